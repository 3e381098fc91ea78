"""Input of exporters: a trained run, the metadata of the file, and images for calibration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segengine.building.labels import mask_facts
from segengine.data.files.decoding import decode
from segengine.data.files.reading import channel_values, check_fits
from segengine.errors import RunError
from segengine.inference.load import Trained
from segengine.inference.postprocess.record import recorded_steps, spacing_of
from segengine.runs import names

if TYPE_CHECKING:
    from segengine.nn.deployed import DeployedSegmenter
    from segengine.nn.segmenter import Segmenter

FORMAT = 1


@dataclass(frozen=True)
class Example:
    """Input of the exported network [H, W, C] (see `pixels_for`), and the ground truth uint8 [H, W], 255 = ignore."""

    pixels: NDArray[Any]
    truth: NDArray[np.uint8]


@dataclass(frozen=True)
class ExportJob:
    """A trained run to be exported.

    Attributes:
        calibration: function that yields training images.
        licence: free text for the metadata; may be empty.
    """

    trained: Trained
    calibration: Callable[[], Iterator[Example]]
    licence: str = ""

    @property
    def windows(self) -> tuple[tuple[float, float], ...] | None:
        """Windows (low, high) that are part of the network; None for 8-bit images and for windows per image."""
        common = self.trained.windowing.common
        return None if common is None or isinstance(common, str) else common

    @property
    def postprocess(self) -> dict[str, Any]:
        """Recorded post-processing: the steps' settings and the spacing; empty if none is applied."""
        if self.trained.predictor.finish is None:
            return {}
        spacing = spacing_of(self.trained.folder.spec())
        return {"steps": recorded_steps(self.trained.folder, self.trained.run), "spacing": spacing}

    @property
    def segmenter(self) -> Segmenter:
        """The trained network on the CPU, in evaluation mode."""
        return self.trained.predictor.model.cpu().eval()  # type: ignore[return-value]

    def network(self) -> DeployedSegmenter:
        """The network from stored pixels to mask values, on the CPU, in evaluation mode."""
        from segengine.nn.deployed import DeployedSegmenter

        labels = self.trained.mapping.labels
        raw = [list(label.raw) if isinstance(label.raw, tuple) else int(label.raw) for label in labels]
        return DeployedSegmenter(self.segmenter, raw, self.windows).eval()  # type: ignore[arg-type]

    def facts(self) -> dict[str, Any]:
        """Metadata of the file as JSON-compatible data: input, output and provenance of the model."""
        run, trained = self.trained.run, self.trained
        spec = (trained.folder / names.SPEC).read_text(encoding="utf-8")
        common = trained.windowing.common
        return {
            "format": FORMAT,
            **mask_facts(trained.mapping.labels, trained.mapping.ignored, trained.mapping.encoding),
            "image": {
                "channels": run["data"]["channels"],
                "window": common if common is None or isinstance(common, str) else [list(pair) for pair in common],
            },
            "metric_policy": run["metric_policy"],
            "licence": self.licence,
            **({"postprocess": self.postprocess} if self.postprocess else {}),
            "provenance": {
                "run": trained.folder.name, "spec": spec, "data_fingerprint": run["data"].get("fingerprint"),
                "scores": run.get("scores"), "versions": run.get("versions"), "plugins": run.get("plugins"),
                "git": run.get("git"), "trained": run.get("ended") or run.get("started"),
            },
        }  # fmt: skip


def pixels_for(trained: Trained, path: Path) -> NDArray[Any]:
    """Read an image file as input of the exported network: [H, W, C], uint8, or float32 in stored values if it has windows.

    Raises:
        DataError: the file can't be read or doesn't fit the model.
    """
    common, channels = trained.windowing.common, int(trained.run["data"]["channels"])
    if common is None or isinstance(common, str):
        return trained.read(path)
    stored = decode(path)
    check_fits(stored, path, channels=channels, deep=True)
    values = channel_values(stored, path, channels).astype(np.float32)
    if stored.missing is not None:
        values[stored.missing] = np.nan
    return np.ascontiguousarray(values)


def check_exportable(trained: Trained) -> None:
    """Check that a run can be exported.

    Raises:
        RunError: windows are per group, so they depend on other images than the one to be predicted.
    """
    if trained.windowing.groups:
        raise RunError(
            f"{trained.folder.path}: windows are per group, which an exported file does not support; "
            "train with data.window: auto or per-image to export"
        )
