"""Overrides and variants change the default of a component that a file doesn't name, and keep what a short form says."""

from __future__ import annotations

from pathlib import Path

import pytest

from segengine.specs.experiment import Experiment
from segengine.specs.load import load_experiment, read_experiment

ROOT = Path(__file__).parents[2]
BARE = """\
data: {source: {name: folders, root: data}}
model: {backbone: vgg}
training: {early_stopping: 20}
"""


def one(text: str, *overrides: str) -> Experiment:
    (experiment,) = read_experiment(Path("bare.yaml"), text, overrides).variants.values()
    return experiment


def test_the_first_override_that_anyone_tries_works_on_the_shipped_experiment() -> None:
    loaded = load_experiment(ROOT / "experiments" / "abdomen.yaml", ["training.optimizer.learning_rate=1e-4"])
    assert {v.training.optimizer.peak_learning_rate for v in loaded.variants.values()} == {1e-4}
    assert {v.training.optimizer.name for v in loaded.variants.values()} == {"adamw"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("training.optimizer.weight_decay", 0.5),
        ("training.schedule.final", 0.25),
        ("loss.label_smoothing", 0.1),
        ("model.decoder.channels", [64, 32, 16, 8, 8]),
        ("data.mask_mapper.ignore", [255]),
        ("executor.jobs", 2),
        ("model.backbone.depth", 19),
    ],
)
@pytest.mark.parametrize("written", ["override", "variant"])
def test_a_parameter_of_any_default_can_be_changed(path: str, value: object, written: str) -> None:
    if written == "override":
        experiment = one(BARE, f"{path}={value}")
    elif path.startswith("executor"):
        pytest.skip("the executor belongs to the whole file")
    else:
        *blocks, last = path.split(".")
        change = "".join(f"{{{block}: " for block in blocks) + f"{{{last}: {value}}}" + "}" * len(blocks)
        experiment = one(BARE + f"variants: {{a: {change}}}")
    found: object = experiment
    for step in path.split("."):
        found = getattr(found, step)
    assert (list(found) if isinstance(found, tuple) else found) == value


def test_the_rest_of_the_default_stays() -> None:
    schedule = one(BARE, "training.schedule.final=0.25").training.schedule
    assert schedule.model_dump() == {"name": "cosine", "warmup": 0.05, "final": 0.25}


def test_a_number_that_is_short_for_a_block_stays_when_another_setting_is_added() -> None:
    stopping = one(BARE, "training.early_stopping.min_rise=0.5").training.early_stopping
    assert stopping is not None
    assert (stopping.patience, stopping.min_rise) == (20, 0.5)
    varied = one(BARE + "variants: {a: {training: {early_stopping: {min_rise: 0.5}}}}").training.early_stopping
    assert varied == stopping


def test_a_mistake_in_a_merged_default_is_named_where_it_was_written() -> None:
    with pytest.raises(
        Exception, match=r"^bare.yaml:4:39: training.optimizer.momentum: unknown setting; remove it, or"
    ):
        one(BARE + "variants: {a: {training: {optimizer: {momentum: 0.5}}}}")
    with pytest.raises(Exception, match=r"^-s loss.smooth=1: loss.smooth: unknown setting; remove it"):
        one(BARE, "loss.smooth=1")


def test_what_every_variant_replaces_is_checked_too() -> None:
    with pytest.raises(Exception, match=r"^bare.yaml:4:8: seeds: .*\nbare.yaml:5:7: loss: there is no loss 'dcie'"):
        one(BARE + "seeds: none\nloss: dcie\nvariants: {a: {loss: dice}, b: {loss: jaccard}}")
    with pytest.raises(Exception, match=r"^bare.yaml:4:7: loss: there is no loss 'dcie'"):
        one(BARE + "loss: dcie\nvariants: {a: {loss: dice}, b: {loss: jaccard}}")


def test_a_file_may_leave_to_its_variants_what_it_does_not_say() -> None:
    text = "data: {source: {name: folders}}\nvariants: {a: {data: {source: {root: x}}, model: {backbone: vgg}}}"
    assert one(text).model.backbone.name == "vgg"
