"""Where images belong to groups (patients), a run's scores and report have the mean over groups as their headline."""

from __future__ import annotations

import numpy as np
import pytest

from segengine.metrics.confusion import ImageCounts
from segengine.metrics.scores import MetricPolicy, as_row, evaluate_counts
from segengine.report.page import score_table
from segengine.report.run_report import RunReport
from segengine.report.words import headline

NAMES = ("background", "liver", "spleen")
POLICY = MetricPolicy(NAMES[1:], NAMES[:1])


class Named:
    def __init__(self, index: int) -> None:
        self.index, self.name, self.raw, self.colour = index, NAMES[index], index, (0, 0, index)


def counts() -> ImageCounts:
    rng = np.random.default_rng(2)
    found = {}
    for image in range(6):
        table = rng.integers(0, 50, (3, 3))
        if image in (0, 1):  # the first patient has no spleen, and none is predicted
            table[2], table[:, 2] = 0, 0
        found[image] = table
    return ImageCounts.of(found, 3)


GROUPS = {0: "p0", 1: "p0", 2: "p1", 3: "p1", 4: "p1", 5: "p2"}


def test_a_score_per_group_is_the_mean_over_groups_of_their_pooled_scores() -> None:
    every = counts()
    scores = evaluate_counts(every, GROUPS)
    assert scores.per_group is not None
    assert scores.total_groups == 3
    for k in (1, 2):
        dice = []
        for group in ("p0", "p1", "p2"):
            table = every.total([i for i, of in GROUPS.items() if of == group])
            size = table[k].sum() + table[:, k].sum()
            if size:
                dice.append(2 * table[k, k] / size)
        assert len(dice) == (3 if k == 1 else 2)
        assert scores.per_group["dice"][k] == pytest.approx(np.mean(dice))
    assert evaluate_counts(every, {i: str(i) for i in range(6)}).per_group is None
    assert evaluate_counts(every).per_group is None


def test_the_report_of_a_run_with_groups_has_their_mean_in_headline_and_table() -> None:
    grouped, plain = (as_row(evaluate_counts(counts(), groups), NAMES, POLICY) for groups in (GROUPS, None))
    labels = [Named(k) for k in range(3)]
    assert grouped["groups"] == 3
    assert set(grouped["mean"]) - set(plain["mean"]) == {"dice_per_group", "iou_per_group"}
    assert grouped["mean"]["dice_per_group"] == pytest.approx(
        np.mean([grouped["classes"][name]["dice_per_group"] for name in NAMES[1:]])
    )
    said = [headline(RunReport("t", "v", 0, "finished", labels, scores={"test": row})) for row in (grouped, plain)]
    assert said[0] == (
        f"Mean Dice per group {grouped['mean']['dice_per_group']:.3f} over 2 classes (liver and spleen), on 6 test images of 3 groups."
    )
    assert said[1] == f"Mean Dice {plain['mean']['dice']:.3f} over 2 classes (liver and spleen), on 6 test images."
    assert "Dice per group" in score_table("test", grouped, labels)["headings"]
    assert "Dice per group" not in score_table("test", plain, labels)["headings"]
