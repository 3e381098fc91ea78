"""Export of a run: the file is compared with the trained model on real images and kept only if they agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.building.dataset import load_dataset
from segengine.building.model_card import write_model_card
from segengine.components.base import Exporter
from segengine.data.batches.dataset import Dataset
from segengine.errors import DataError, RunError, SpecError
from segengine.events import Doing, Listener
from segengine.inference.evaluate import data_of
from segengine.inference.export.components import Onnx
from segengine.inference.export.job import Example, ExportJob, check_exportable, pixels_for
from segengine.inference.export.parity import LIMITS, Limits, Network, Parity, measure_parity
from segengine.inference.load import Trained, check_overrides, load_trained
from segengine.runs import names

_SPLITS = ("validation", "test", "train")


@dataclass(frozen=True)
class Exported:
    """An exported file.

    Attributes:
        parity: agreement with the trained model; None for formats that cannot be executed here.
        bytes: size of the file.
        accepted: reason why the file exceeds its limits, if it was kept nevertheless; else empty.
    """

    path: Path
    parity: Parity | None
    bytes: int
    accepted: str = ""


def export_run(
    folder: Path, target: Path, exporter: Exporter, listener: Listener, *, overrides: Sequence[str] = (),
    images: int = 50, accept_loss: bool = False, overwrite: bool = False, licence: str = "", postprocess: bool = True,
) -> Exported:  # fmt: skip
    """Export a run's best checkpoint to `target`.

    Args:
        folder: the run folder.
        target: path of the file, created only after the comparison has passed.
        exporter: the format.
        listener: called with progress events.
        overrides: overrides of the run's spec, for example if the data was moved: `data.source.root=...`.
        images: maximum number of labelled images for the comparison.
        accept_loss: keep a file that exceeds its limits.
        overwrite: replace `target` if it exists.
        postprocess: record the run's post-processing in the file.
        licence: free text for the metadata.

    Raises:
        RunError: training is not finished, the format does not support the network, or the file exceeds its limits.
        DataError: the run's images cannot be read.
        SpecError: `target` exists or is not a file name, or a package is missing.
    """
    file_parents = [parent for parent in target.parents if parent.exists() and not parent.is_dir()]
    if target.is_dir() or file_parents:
        what = f"{file_parents[0]}: is a file, not a folder" if file_parents else f"{target}: is a folder"
        raise SpecError(f"{what}; specify a file name with -o, such as model.onnx")
    if target.exists() and not overwrite:
        raise SpecError(f"{target}: exists; choose another name, or use --overwrite")
    exporter.preflight()
    trained = load_trained(folder, "cpu", postprocess=postprocess)
    check_exportable(trained)
    dataset = _dataset(trained, overrides, listener)
    job = ExportJob(trained, lambda: _examples(trained, dataset, "train"), licence)
    part = target.with_name(f".{target.stem}.part{target.suffix}")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        listener(Doing(f"writing {target.name}"))
        exporter.build()(job, part)
        parity, accepted = None, ""
        if isinstance(exporter, Onnx):
            parity = _parity(job, dataset, part, images, listener)
            accepted = parity.problem(LIMITS.get(exporter.precision, Limits()))
            if accepted and not accept_loss:
                raise RunError(f"{target}: not written: {accepted}; use --accept-loss to keep such a file")
            _record(part, parity)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    card = target.with_name(f"{target.stem}-{names.MODEL_CARD}")
    if overwrite or not card.exists():
        write_model_card(trained.folder, card, file=target.name, licence=licence)
    return Exported(target, parity, target.stat().st_size, accepted)


def _dataset(trained: Trained, overrides: Sequence[str], listener: Listener) -> Dataset:
    check_overrides(overrides)
    experiment = data_of(trained, overrides, listener)
    try:
        dataset = load_dataset(experiment, trained.run.get("fold"), listener)
    except DataError as error:
        raise DataError(
            f"{error}\nexport compares the file with the model on the run's images; if they were moved, use "
            "-s data.source.root=FOLDER"
        ) from error
    found = [(label.name, label.raw) for label in dataset.labels]
    if found != [(label.name, label.raw) for label in trained.mapping.labels]:
        raise DataError(f"{trained.folder.path}: the classes of the data differ from those of the run")
    return dataset


def _examples(trained: Trained, dataset: Dataset, split: str) -> Iterator[Example]:
    for index in dataset.splits[split]:
        yield Example(pixels_for(trained, dataset.records[index].image), dataset.pair(index)[1])


def _parity(job: ExportJob, dataset: Dataset, path: Path, images: int, listener: Listener) -> Parity:
    import torch

    split = next(name for name in _SPLITS if dataset.splits.get(name))
    total = min(images, len(dataset.splits[split]))

    def chosen() -> Iterator[Example]:
        for number, example in enumerate(_examples(job.trained, dataset, split)):
            if number == total:
                return
            listener(Doing("comparing the file with the trained model", number, total))
            yield example

    policy = job.trained.run["metric_policy"]
    threads = torch.get_num_threads()
    return measure_parity(
        _trained_network(job), _onnx_network(path, threads), chosen(), split=split,
        names=[label.name for label in job.trained.mapping.labels], averaged=policy["averaged"], threads=threads,
    )  # fmt: skip


def _trained_network(job: ExportJob) -> Network:
    """The trained model as in evaluation, with the same windows applied to its input."""
    import torch

    from segengine.data.files.windows import through_windows

    predictor, windows = job.trained.predictor, job.windows

    def run(pixels: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        image = pixels if windows is None else through_windows(pixels, windows)
        with torch.inference_mode():
            logits = predictor.logits(torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].to(predictor.device))[0]
        return logits.max(0).indices.to(torch.uint8).cpu().numpy(), logits.cpu().numpy()

    return run


def _onnx_network(path: Path, threads: int) -> Network:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(pixels: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        try:
            classes, logits = session.run(["classes", "logits"], {"image": np.ascontiguousarray(pixels)[None]})
        except Exception as error:  # onnxruntime raises one exception type per status
            size = f"{pixels.shape[1]}x{pixels.shape[0]}"
            raise RunError(
                f"not exported: onnxruntime fails on an image of {size} pixels ({' '.join(str(error).split())[:200]})"
            ) from error
        return classes[0], logits[0]

    return run


def _record(path: Path, parity: Parity) -> None:
    from segengine.inference.export.onnx_file import with_parity

    with_parity(path, parity.as_dict())
