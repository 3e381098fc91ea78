"""All that a run's report shows."""

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
    """What one run's report is made of; everything but the first five may be absent.

    `rows` are those of metrics.jsonl. `scores` holds one evaluation by split, each shaped like a row's
    "validation"; the headline is about "test" where it is there, else about the first. `confusion` int64 [K, K]
    (rows truth, columns predicted) belongs to that same split. `best` is the epoch whose weights were evaluated.
    `model` is the model in words ("VGG 16 and U-Net"), `training_images` how many it was trained on, `seeds` how
    many seeds its experiment runs, `seconds` the whole run's. `facts` is shown as it is, nested mappings as groups.
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
        """The split that the headline is about; None without any scores."""
        return "test" if "test" in self.scores else next(iter(self.scores), None)

    @property
    def marked_epoch(self) -> int | None:
        """The epoch that figures mark as the best."""
        return best_epoch(self.rows) if self.best is None else self.best
