"""Loading a trained model from its run folder."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segengine.building.build import build_network
from segengine.building.labels import StoredMapping
from segengine.data.files.decoding import decode
from segengine.data.files.images import readable_group_windows
from segengine.data.files.reading import AnyWindow, check_fits, to_picture
from segengine.data.files.stored import Stored, missing_pixels
from segengine.data.files.windows import PER_IMAGE, Windowing
from segengine.data.masks.mapping import Postprocess
from segengine.engine.checkpoint import load_weights
from segengine.engine.checkpoint_hash import sha256_of
from segengine.engine.distributed import pick_device
from segengine.engine.precision import Precision, pick_precision
from segengine.engine.prediction import Predictor
from segengine.engine.wrap_model import placed
from segengine.errors import DataError, NotARunError, RunError, SpecError
from segengine.inference.postprocess.record import KEY, recorded_postprocess
from segengine.inference.saved import saved_network
from segengine.runs import names
from segengine.runs.folder import RunFolder
from segengine.specs.trees import parse_override

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Trained:
    """A run's best checkpoint, for prediction of files. `notes`: plugins of the network that changed since training."""

    folder: RunFolder
    run: dict[str, Any]
    mapping: StoredMapping
    predictor: Predictor

    windowing: Windowing
    notes: tuple[str, ...] = ()

    def read(self, path: Path) -> NDArray[np.uint8]:
        """Read an image as in training: uint8 [H, W, C].

        Raises:
            DataError: unreadable file, or a different number of channels or bit depth than in training.
        """
        return self.read_with_missing(path)[0]

    def read_with_missing(
        self, path: Path, content: bytes | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
        """The image, and a mask bool [H, W] of pixels without measurement; None if all pixels are valid.

        `content`: the file's bytes if they are in memory; `path` then only names it in messages.
        """
        stored = decode(path, content)
        return self.picture(stored, path, self.window_of(path)), stored.missing

    def for_single_images(self) -> Trained:
        """The model for images of unknown group: if windows are per group, each image is a group of its own."""
        if not self.windowing.groups:
            return self
        return replace(self, windowing=Windowing(PER_IMAGE))

    def group_of(self, path: Path) -> str:
        """The group of a file by the run's `data.split.group`, else its folder if folders were groups, else its path."""
        data = self.folder.spec()["data"]
        pattern = (data.get("split") or {}).get("group")
        if pattern is None and "{group}/" in str((data.get("source") or {}).get("images")):
            return str(path.parent)
        found = re.search(pattern, path.stem) if pattern else None
        return str(path) if found is None else found[1] if found.re.groups else found[0]

    @property
    def channels(self) -> int:
        """Number of image channels."""
        return int(self.run["data"]["channels"])

    def picture(self, stored: Stored, path: Path, window: AnyWindow) -> NDArray[np.uint8]:
        """Stored values as the network sees them, uint8 [H, W, C]; raises DataError if they don't match the training images."""
        check_fits(stored, path, channels=self.channels, deep=self.windowing.common is not None)
        return to_picture(stored, path, channels=self.channels, window=window)

    def window_of(self, path: Path) -> AnyWindow:
        """The windows that map this file's values to 0..255."""
        return self.windowing.of(self.group_of(path))

    @property
    def finish(self) -> Postprocess | None:
        """The applied post-processing of class maps; None if there is none."""
        return self.predictor.finish

    def finished(self, classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Class indices uint8 [H, W] after the run's post-processing, for classes computed from `probabilities`."""
        finish = self.predictor.finish
        return classes if finish is None else finish(classes)

    def identity(self) -> str:
        """sha256 over the weights and everything in run.json that affects a prediction."""
        digest = sha256_of(self.folder / names.WEIGHTS)
        finish = self.run.get(KEY) if self.predictor.finish is not None else None
        return identity_of(
            [
                digest,
                *(self.run.get(key) for key in ("labels", "ignored", "masks", "precision")),
                *([finish] if finish else []),
            ]
        )

    def for_images(self, paths: Sequence[Path]) -> Trained:
        """The model with windows computed for groups unseen in training, if windows are per group."""
        if not self.windowing.groups:
            return self
        members: dict[str, list[Path]] = {}
        for path in paths:
            members.setdefault(self.group_of(path), []).append(path)
        new = {group: of for group, of in members.items() if group not in self.windowing.groups}
        groups = readable_group_windows(new, self.run["data"]["channels"])
        return replace(self, windowing=replace(self.windowing, groups={**self.windowing.groups, **groups}))

    def from_array(self, values: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
        """An array [H, W] or [H, W, C] of stored values as an image, and a mask of pixels without measurement.

        Raises:
            DataError: different shape, bit depth or number of channels than in training.
        """
        return stored_array(values, channels=self.run["data"]["channels"], window=self.windowing.common)

    def classes(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Class indices uint8 [H, W] of an image uint8 [H, W, C], after the run's post-processing."""
        return self.predictor.image_classes(image)

    def probabilities_of(self, images: Tensor) -> Tensor:
        """Class probabilities float32 [B, K, h, w] on the model's device of images uint8 [B, C, h, w], in one pass."""
        return self.predictor.probabilities_of_a_pass(images)

    def classes_of_batch(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """Class indices uint8 [B, H, W] of images uint8 [H, W, C] of one size, in as few forward passes as memory allows."""
        import torch

        batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        return np.asarray(self.predictor.classes(batch).cpu().numpy())

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Class probabilities float32 [K, H, W] of an image uint8 [H, W, C]."""
        return self.predictor.image_probabilities(image)


def identity_of(facts: Sequence[Any]) -> str:
    """sha256 of facts as JSON."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def stored_array(
    values: NDArray[Any], *, channels: int, window: AnyWindow
) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
    """An array of stored values -> an image uint8 [H, W, C], and a mask bool [H, W] of pixels without measurement (or None).

    Raises:
        DataError: invalid shape, or unsuitable for a model with `channels` and `window`.
    """
    if values.ndim not in (2, 3) or 0 in values.shape:
        raise DataError(f"an image is an array [H, W] or [H, W, C], not {list(values.shape)}")
    alpha = values.ndim == 3 and values.shape[2] in (2, 4) and values.shape[2] != channels
    stored = Stored(values, 8 * values.dtype.itemsize, alpha=alpha, missing=missing_pixels(values, None))
    where = Path("array")
    check_fits(stored, where, channels=channels, deep=window is not None)
    return to_picture(stored, where, channels=channels, window=window), stored.missing


def load_trained(path: Path, device: str = "auto", *, postprocess: bool = True) -> Trained:
    """Read a run folder's model. `postprocess`: apply the steps that `segengine postprocess fit` has recorded.

    Raises:
        RunError: not a run folder, training isn't finished, or inconsistent files.
        RegistryError: a plugin of the network isn't installed; names package and version.
    """
    _check_no_file(path)
    folder = RunFolder(path)
    run = folder.read()
    weights = folder / names.WEIGHTS
    if not weights.exists():
        raise RunError(
            f"{path}: has no {names.WEIGHTS} (its status is {run.get('status')}); finish it with `segengine run`"
        )
    mapping = StoredMapping(run)
    windowing = Windowing.from_record(run["data"])
    network, notes = saved_network(folder, run)
    chosen = pick_device(device)
    model = build_network(network, channels=run["data"]["channels"], num_classes=len(mapping.labels))
    load_weights(weights, model, (run.get("weights") or {}).get("sha256"))
    model = placed(model, chosen).eval()
    finish = recorded_postprocess(folder, run) if postprocess else None
    predictor = Predictor(model, chosen, run_precision(run, chosen), finish=finish)
    return Trained(folder, run, mapping, predictor, windowing, notes)


def check_overrides(overrides: Sequence[str]) -> None:
    """Reject overrides of settings that are fixed after training, because they would have no effect.

    Raises:
        SpecError: an override is neither below `data` nor below `evaluation`.
    """
    for text in overrides:
        first = parse_override(text).steps[0]
        if first not in ("data", "evaluation"):
            raise SpecError(
                f"-s {text}: {first} is fixed after training; only settings below data and evaluation can be changed"
            )


def run_precision(run: dict[str, Any], device: torch.device) -> Precision:
    """The precision of training and evaluation; float32 instead of fp16 on a CPU."""
    recorded = run.get("precision", "auto")
    return pick_precision("fp32" if recorded == "fp16" and device.type == "cpu" else recorded, device)


def _check_no_file(path: Path) -> None:
    """Raise RunError for a file, naming its run folder: weights alone lack the settings for reading images and writing masks."""
    if not path.is_file():
        return
    runs = [parent for parent in path.absolute().parents[:2] if (parent / names.RUN).is_file()]
    if not runs:
        raise NotARunError(f"{path}: is a file, not a run folder; give the folder written by `segengine run`")
    folder = path.parent if runs[0] == path.absolute().parent else path.parent.parent
    raise NotARunError(
        f"{path}: is a file of a run; give the run folder {folder} instead, which also records how images are read and masks "
        "are written (its best checkpoint is used)"
    )
