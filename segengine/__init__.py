"""segengine: semantic image segmentation, and statistical comparison of backbones.

The functions correspond to the commands of the same names and are imported when first used; importing the package
loads neither torch nor any other large library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segengine_runtime import Prediction

    from segengine.inference.model import Model
    from segengine.study.api import Run, load, run
    from segengine.study.comparing import Comparison, compare
    from segengine.study.looking import Inspection, inspect

__version__ = "0.1.0"

_HOMES = {
    "Comparison": "segengine.study.comparing",
    "Inspection": "segengine.study.looking",
    "Model": "segengine.inference.model",
    "Prediction": "segengine_runtime",
    "Run": "segengine.study.api",
    "compare": "segengine.study.comparing",
    "inspect": "segengine.study.looking",
    "load": "segengine.study.api",
    "run": "segengine.study.api",
}
"""Public names and their modules."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'segengine' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])


__all__ = [
    "Comparison",
    "Inspection",
    "Model",
    "Prediction",
    "Run",
    "__version__",
    "compare",
    "inspect",
    "load",
    "run",
]
