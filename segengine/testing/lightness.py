"""Check that importing a component's module imports no heavy library: torch and others are imported by build() only."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache

HEAVY = ("torch", "torchvision", "timm", "segmentation_models_pytorch", "albumentations", "cv2", "matplotlib")

_PROBE = """
import importlib, importlib.util, json, sys
name, path = sys.argv[1:3]
try:
    importlib.import_module(name)
except ModuleNotFoundError as error:
    if error.name is None or not (name + ".").startswith(error.name + "."):
        raise
    spec = importlib.util.spec_from_file_location("segengine_probe", path)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
print(json.dumps(sorted({m.partition(".")[0] for m in sys.modules})))
"""


def imports_nothing_heavy(cls: type) -> Iterator[str]:
    """Importing the class's module imports none of `HEAVY`, tested in a new process."""
    try:
        path = inspect.getsourcefile(cls) or ""
    except (OSError, TypeError):
        path = ""
    if cls.__module__ == "__main__" or not path:
        return  # defined interactively: there is no module to import
    yield from _probed(cls.__module__, path)


@cache
def _probed(module: str, path: str) -> tuple[str, ...]:
    paths = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, module, path],
        env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return (f"module {module} can't be imported in a new process: {last}; correct its imports",)
    loaded = [name for name in HEAVY if name in json.loads(done.stdout.splitlines()[-1])]
    if not loaded:
        return ()
    names = ", ".join(loaded)
    return (f"importing {module} also imports {names}; import it inside build(), or in a module that build() imports",)
