"""One or more trained models as one: probabilities averaged over models and views, image rows in bands of tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segengine.data.masks.mapping import IGNORE
from segengine.engine.machine_errors import out_of_memory
from segengine.engine.memory import release_memory
from segengine.engine.prediction import LARGEST_PIXELS, SMALLEST_TILE, TILE_PIXELS, PassLimits
from segengine.engine.sliding import Tiling, weighted_bands
from segengine.errors import SpecError
from segengine.inference.exported import ONNX_SUFFIX, Exported, load_any
from segengine.inference.load import Trained, identity_of
from segengine.inference.tta import Views
from segengine.runs import names

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from segengine.inference.sources import Source

Member = Trained | Exported
_MOST_ROWS = 128  # rows of a band whose outputs are computed at once
_SMALLEST = 1e-12  # probabilities below contribute nothing to an entropy


@dataclass(frozen=True)
class Wanted:
    """Which outputs of the network are needed besides classes."""

    probabilities: bool = False
    entropy: bool = False
    disagreement: bool = False

    @property
    def any(self) -> bool:
        """Whether anything but classes is needed."""
        return self.probabilities or self.entropy or self.disagreement


@dataclass(frozen=True, eq=False)
class Band:
    """Outputs for some rows of an image: `classes` uint8 [h, W], 255 where the image has no measurement.

    `probabilities`: float32 [K, h, W]. `entropy`: float32 [h, W] in 0..1, the entropy of the mean probabilities divided by
    log K. `disagreement`: float32 [h, W] in 0..1, the part of it that is due to differences between the models: the entropy
    minus the mean entropy of the models (Houlsby et al., 2011).
    """

    classes: NDArray[np.uint8]
    probabilities: NDArray[np.float32] | None = None
    entropy: NDArray[np.float32] | None = None
    disagreement: NDArray[np.float32] | None = None

    @classmethod
    def joined(cls, bands: Sequence[Band]) -> Band:
        """The bands of an image from the top, as one."""

        def whole(name: str, axis: int) -> NDArray[np.float32] | None:
            parts = [getattr(band, name) for band in bands]
            return None if parts[0] is None else np.concatenate(parts, axis)

        classes = np.concatenate([band.classes for band in bands])
        return cls(classes, whole("probabilities", 1), whole("entropy", 0), whole("disagreement", 0))


@dataclass(frozen=True)
class Ensemble:
    """Models with the same classes. A single model without views and tiling predicts as `Trained.classes` does."""

    members: tuple[Member, ...]
    views: Views = field(default_factory=Views)
    tiling: Tiling | None = None
    limits: PassLimits = field(default_factory=PassLimits)

    def __post_init__(self) -> None:
        for other in self.members[1:]:
            _check_alike(self.first, other)

    @property
    def first(self) -> Member:
        """The model whose encoding masks are written in."""
        return self.members[0]

    @property
    def notes(self) -> tuple[str, ...]:
        """Plugins of the networks that changed since training."""
        return tuple(note for member in self.members if isinstance(member, Trained) for note in member.notes)

    @property
    def device(self) -> torch.device:
        """Where tiles are computed and summed."""
        import torch

        return self.first.predictor.device if isinstance(self.first, Trained) else torch.device("cpu")

    def for_images(self, paths: Sequence[Path]) -> Ensemble:
        """Each member as `Trained.for_images`."""
        return replace(self, members=tuple(member.for_images(paths) for member in self.members))

    def identity(self) -> str:
        """sha256 over everything in the models that affects a prediction."""
        each = [member.identity() for member in self.members]
        return each[0] if len(each) == 1 else identity_of(each)

    def settings(self) -> dict[str, Any]:
        """Views and tiling as JSON; a mask with other settings may differ."""
        tiling = self.tiling and {
            "tile": self.tiling.tile, "overlap": self.tiling.overlap, "weights": self.tiling.weights,
        }  # fmt: skip
        return {"views": self.views.as_record(), "tiling": tiling}

    def active_limits(self) -> str:
        """The limits of passes after memory ran out, in words; '' where it has not."""
        found = [m.predictor.limits.active for m in self.members if isinstance(m, Trained)]
        return self.limits.active or next((words for words in found if words), "")

    def predict(self, source: Source, wanted: Wanted = Wanted()) -> Band:
        """The outputs for a whole image."""
        simple = len(self.members) == 1 and self.views.plain and self.tiling is None and not wanted.any
        if simple and source.picture is not None:
            classes = self.first.classes(source.picture)
            missing = source.missing
            return Band(classes if missing is None else np.where(missing, np.uint8(IGNORE), classes))
        band = Band.joined(self.retrying(source, lambda tiling: list(self.bands(source, wanted, tiling))))
        return replace(band, classes=self.first.finished(band.classes))

    def retrying(self, source: Source, compute: Callable[[Tiling], list[Band]]) -> list[Band]:
        """`compute` with the tiling of the source's size; when memory runs out, again with smaller passes."""
        tiling = self._tiling_of(source.height, source.width)
        while True:
            try:
                return compute(tiling)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error) or (tiling.tile <= SMALLEST_TILE and tiling.batch == 1):
                    raise
            # Only after the except block are the error's frames, which hold the pass's tensors, released.
            release_memory(self.device)
            tiling = self._smaller(tiling, max(source.height, source.width))

    def bands(self, source: Source, wanted: Wanted, tiling: Tiling) -> Iterator[Band]:
        """The outputs for an image's rows from the top, at most 128 rows at a time."""
        sums_of_bands = weighted_bands(
            lambda tiles: self.views.mean(lambda view: self._outputs(view, source, wanted), tiles),
            source.rows_for([(top, bottom) for top, bottom in _ranges(source.height, tiling)]),
            (source.height, source.width), tiling, self.device,
        )  # fmt: skip
        top = 0
        for sums in sums_of_bands:
            for start in range(0, sums.shape[1], _MOST_ROWS):
                rows = sums[:, start : start + _MOST_ROWS]
                missing = source.missing_rows(top, top + rows.shape[1])
                yield _band(rows, missing, wanted)
                top += rows.shape[1]

    def _outputs(self, view: Tensor, source: Source, wanted: Wanted) -> Tensor:
        """Mean probabilities [B, K, h, w]; for disagreement with the models' mean entropy as a last output."""
        import torch

        total: Tensor | None = None
        entropy: Tensor | None = None
        for member, channels in zip(self.members, source.channels_of, strict=True):
            probabilities = member.probabilities_of(view[:, channels]).to(self.device)
            total = probabilities if total is None else total + probabilities
            if wanted.disagreement:
                own = _entropy(probabilities, 1)
                entropy = own if entropy is None else entropy + own
        assert total is not None
        mean = total if len(self.members) == 1 else total / len(self.members)
        return mean if entropy is None else torch.cat([mean, entropy[:, None] / len(self.members)], dim=1)

    def _tiling_of(self, height: int, width: int) -> Tiling:
        if self.tiling is not None:
            tiling = self.tiling
        elif height * width <= LARGEST_PIXELS:
            tiling = Tiling(max(height, width))
        else:
            tiling = Tiling(TILE_PIXELS)
        if self.limits.tile is not None:
            tiling = replace(tiling, tile=min(tiling.tile, self.limits.tile))
        return replace(tiling, batch=min(tiling.batch, self.limits.images or tiling.batch))

    def _smaller(self, tiling: Tiling, longest: int) -> Tiling:
        if tiling.batch > 1:
            self.limits.images = -(-tiling.batch // 2)
            return replace(tiling, batch=self.limits.images)
        self.limits.tile = max(SMALLEST_TILE, 32 * (min(tiling.tile, longest) // 64))
        return replace(tiling, tile=self.limits.tile)


def load_ensemble(
    paths: Sequence[Path], device: str, *, views: Views, tiling: Tiling | None, postprocess: bool = True
) -> Ensemble:
    """The models of run folders and .onnx files as one. `postprocess`: apply recorded steps, if there is one model.

    Raises:
        RunError: neither a finished run folder nor a valid exported file.
        SpecError: models of different classes.
    """
    applied = postprocess and len(paths) == 1
    return Ensemble(tuple(load_any(path, device, postprocess=applied) for path in paths), views, tiling)


def is_model(path: Path) -> bool:
    """Whether a path is a run folder or an exported file."""
    return path.suffix == ONNX_SUFFIX or (path / names.RUN).is_file()


def tiling_of(tile: int | None, overlap: float = 0.5, weights: str = "gaussian", batch: int = 1) -> Tiling | None:
    """The tiling for these settings; None for the default.

    Raises:
        SpecError: a tile below 32 pixels, an overlap outside 0 to 0.9, unknown weights, or fewer than one tile per pass.
    """
    if (tile, overlap, weights, batch) == (None, 0.5, "gaussian", 1):
        return None
    tile = TILE_PIXELS if tile is None else tile
    if tile < 32 or not 0 <= overlap <= 0.9 or weights not in ("gaussian", "uniform") or batch < 1:
        raise SpecError(
            f"tiles of {tile} pixels, overlap {overlap:g}, {weights} weights, {batch} per pass: tiles have at least 32 pixels, an "
            "overlap from 0 to 0.9, gaussian or uniform weights, and at least one per pass"
        )
    return Tiling(tile, overlap, "uniform" if weights == "uniform" else "gaussian", batch)


def _ranges(height: int, tiling: Tiling) -> Iterator[tuple[int, int]]:
    from segengine.engine.sliding import spread

    for top in spread(height, tiling.tile, tiling.overlap):
        yield top, min(top + tiling.tile, height)


def _band(sums: Tensor, missing: NDArray[np.bool_] | None, wanted: Wanted) -> Band:
    """Outputs from weighted sums [K, h, W], or [K + 1, h, W] with the models' mean entropy."""
    entropies = sums[-1] if wanted.disagreement else None
    sums = sums[:-1] if wanted.disagreement else sums
    classes = sums.max(0).indices.byte().cpu().numpy()
    if missing is not None:
        classes = np.where(missing, np.uint8(IGNORE), classes)
    if not wanted.any:
        return Band(classes)
    weights = sums.sum(0)
    mean = sums / weights
    entropy = _entropy(mean, 0)
    disagreement = None if entropies is None else (entropy - entropies / weights).clamp(0, 1).cpu().numpy()
    return Band(
        classes,
        mean.cpu().numpy() if wanted.probabilities else None,
        entropy.cpu().numpy() if wanted.entropy else None,
        disagreement,
    )


def _entropy(probabilities: Tensor, axis: int) -> Tensor:
    """Entropy over the classes, divided by log K."""
    count = probabilities.shape[axis]
    entropy = -(probabilities * probabilities.clamp(min=_SMALLEST).log()).sum(axis)
    return (entropy / np.log(count)).clamp(0, 1) if count > 1 else entropy * 0


def _check_alike(first: Member, other: Member) -> None:
    """Raise SpecError if two models have different classes, mask encodings or channels."""
    for words, of in (("classes", _classes), ("channels", lambda member: member.channels)):
        one, two = of(first), of(other)
        if one != two:
            raise SpecError(
                f"{place_of(other)}: has other {words} than {place_of(first)} ({_shown(two)}; {_shown(one)}); "
                "an ensemble needs models of the same classes and channels"
            )


def _classes(member: Member) -> list[tuple[str, Any]]:
    return [(label.name, label.raw) for label in member.mapping.labels]


def _shown(value: Any) -> str:
    return ", ".join(f"{name} = {raw}" for name, raw in value) if isinstance(value, list) else str(value)


def place_of(member: Member) -> Path:
    """The run folder or file of a model."""
    return member.folder.path if isinstance(member, Trained) else member.path
