"""Export of the network to ONNX with torch, and conversion to fp16 or int8."""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segengine.errors import RunError
from segengine.inference.export.job import ExportJob

OPSET = 18
METADATA_KEY = "segengine"
_EXAMPLE = (2, 97, 70)  # batch, height, width; unusual sizes, so that none is specialised to a constant
_LARGEST = 65536
_CALIBRATION_IMAGES = 32


def write_onnx(job: ExportJob, path: Path, precision: Literal["fp32", "fp16", "int8"]) -> None:
    """Write an ONNX file with dynamic batch size, height and width.

    Raises:
        RunError: torch cannot export the network to ONNX.
    """
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "fp32.onnx"
        _export(job, plain)
        model = onnx.load(plain)
        if precision == "fp16":
            model = _as_fp16(model)
        elif precision == "int8":
            model = _as_int8(job, plain)
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, json.dumps({**job.facts(), "precision": precision})
    onnx.save(model, path)


def with_parity(path: Path, report: dict[str, Any]) -> None:
    """Add the parity report to the metadata of the file."""
    import onnx

    model = onnx.load(path)
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            entry.value = json.dumps({**json.loads(entry.value), "parity": report})
    onnx.save(model, path)


def _export(job: ExportJob, path: Path) -> None:
    import torch

    channels, windows = int(job.trained.run["data"]["channels"]), job.windows
    example = torch.zeros(*_EXAMPLE, channels, dtype=torch.uint8 if windows is None else torch.float32)
    sizes = {
        0: torch.export.Dim("batch", min=1, max=_LARGEST),
        1: torch.export.Dim("height", min=1, max=_LARGEST),
        2: torch.export.Dim("width", min=1, max=_LARGEST),
    }
    try:
        with torch.no_grad(), _quiet():
            program = torch.onnx.export(
                job.network(), (example,), None, input_names=["image"], output_names=["classes", "mask", "logits"],
                dynamic_shapes={"image": sizes}, dynamo=True, opset_version=OPSET, verbose=False,
            )  # fmt: skip
        assert program is not None
        program.save(str(path))
    except Exception as error:  # the exporter raises different types per stage
        reason = " ".join(str(error).split())[:300]
        raise RunError(
            f"{job.trained.folder.path}: torch can't export this network to ONNX with dynamic image sizes ({reason})"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Context without progress and deprecation messages of the exporter."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _as_fp16(model: Any) -> Any:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with _quiet():
        return convert_float_to_float16(model, keep_io_types=True)


def _as_int8(job: ExportJob, path: Path) -> Any:
    """Static quantisation of convolutions, per output channel, calibrated on training images (QDQ format).

    Weights have 7 bits: on CPUs without VNNI instructions, 16-bit sums of two 8-bit products saturate.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared, written = path.with_name("prepared.onnx"), path.with_name("int8.onnx")
    with _quiet():
        quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared), str(written), _Calibration(job), quant_format=QuantFormat.QDQ, per_channel=True,
            reduce_range=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv", "ConvTranspose"], calibrate_method=CalibrationMethod.MinMax,
        )  # fmt: skip
        return onnx.load(written)


class _Calibration:
    """onnxruntime's `CalibrationDataReader` over the first training images."""

    def __init__(self, job: ExportJob) -> None:
        self._images = self._first(job)

    @staticmethod
    def _first(job: ExportJob) -> Iterator[NDArray[Any]]:
        for number, example in enumerate(job.calibration()):
            if number == _CALIBRATION_IMAGES:
                return
            yield example.pixels

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """The next input of the network; None after the last one."""
        image = next(self._images, None)
        return None if image is None else {"image": np.ascontiguousarray(image)[None]}
