"""The content of a run's report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.figures.examples import Augmented, Example
from segengine.figures.labels import LabelLike
from segengine.figures.series import Rows, best_epoch

Scores = Mapping[str, Any]


@dataclass(frozen=True)
class RunReport:
    """The content of one run's report; all fields after `labels` are optional.

    Attributes:
        status: the run's status, as in run.json.
        rows: rows of metrics.jsonl.
        scores: evaluation per split, each with the keys of a row's "validation"; the headline is about "test" if present, else
            about the first split.
        confusion: int64 [K, K], pixels of that same split; rows are true classes, columns predicted ones.
        best: epoch whose weights were evaluated.
        facts: shown unchanged; nested mappings are shown as groups.
        warnings: notes shown at the top of the page.
        spec: resolved experiment as YAML.
        model: description of the model, such as "VGG 16 and U-Net".
        message: reason of a failure or interruption.
        training_images, planned_epochs: numbers of training images and of epochs in the experiment.
        seeds: number of seeds in the experiment.
        seconds: duration of the run.
    """

    title: str
    variant: str
    seed: int
    status: str
    labels: Sequence[LabelLike]
    rows: Rows = ()
    scores: Mapping[str, Scores] = field(default_factory=dict)
    confusion: NDArray[np.int64] | None = None
    best: int | None = None
    examples: Sequence[Example] = ()
    augmentations: Sequence[Augmented] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    spec: str = ""
    model: str = ""
    message: str = ""
    training_images: int | None = None
    planned_epochs: int | None = None
    seeds: int = 1
    seconds: float | None = None

    @property
    def split(self) -> str | None:
        """The split of the headline score; None if there are no scores."""
        return "test" if "test" in self.scores else next(iter(self.scores), None)

    @property
    def marked_epoch(self) -> int | None:
        """The epoch marked as the best one in figures."""
        return best_epoch(self.rows) if self.best is None else self.best
