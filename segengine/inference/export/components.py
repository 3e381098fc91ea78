"""Built-in exporters: ONNX."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from segengine.components.base import Exporter
from segengine.errors import SpecError

if TYPE_CHECKING:
    from segengine.inference.export.job import ExportJob

_MODULES = ("onnx", "onnxscript", "onnxruntime")


class Onnx(Exporter):
    """ONNX file from stored pixels to the values of the training masks, for onnxruntime and other runtimes."""

    name: Literal["onnx"] = "onnx"
    precision: Literal["fp32", "fp16", "int8"] = Field(
        default="fp32",
        description="number format inside the network; int8: static quantisation calibrated on training images",
    )

    suffix: ClassVar[str] = ".onnx"

    def preflight(self) -> None:
        """Raise SpecError if a required package is missing."""
        missing = [name for name in _MODULES if find_spec(name) is None]
        if missing:
            raise SpecError(f"export to ONNX requires {', '.join(missing)}; pip install 'segengine[onnx]'")

    def build(self) -> Any:
        """A callable (job: ExportJob, path) that writes the file."""
        from segengine.inference.export.onnx_file import write_onnx

        def write(job: ExportJob, path: Path) -> None:
            write_onnx(job, path, self.precision)

        return write
