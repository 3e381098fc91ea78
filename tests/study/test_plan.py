from pathlib import Path

import pytest

from segengine.errors import SpecError
from segengine.specs.load import load_experiment
from segengine.study.plan import plans
from tests.training.small import SPEC

STUDY = SPEC + "seeds: [0, 5]\nvariants:\n  a: {}\n  b: {loss: dice}\n"
FOLDS = "  split: {folds: 3, seed: 1}\n"


def loaded(folder: Path, spec: str):
    (folder / "data").mkdir(exist_ok=True)
    (folder / "blobs.yaml").write_text(spec)
    return load_experiment(folder / "blobs.yaml", ())


def test_every_variant_runs_with_every_seed_seed_by_seed(tmp_path: Path) -> None:
    found = plans(loaded(tmp_path, STUDY), Path("out"))
    assert [plan.name for plan in found] == ["a-seed0", "b-seed0", "a-seed5", "b-seed5"]
    assert found[1].folder == Path("out/blobs/b-seed0")
    assert found[1].experiment.loss.name == "dice"


def test_only_some_variants_and_seeds_where_asked(tmp_path: Path) -> None:
    found = plans(loaded(tmp_path, STUDY), Path("out"), variants=["b"], seeds=[5])
    assert [plan.name for plan in found] == ["b-seed5"]


def test_folds_are_runs_of_their_own(tmp_path: Path) -> None:
    spec = STUDY.replace("augmentations:", FOLDS + "augmentations:")
    assert [p.name for p in plans(loaded(tmp_path, spec), Path("out"), variants=["a"], seeds=[0])] == [
        "a-fold0-seed0", "a-fold1-seed0", "a-fold2-seed0",
    ]  # fmt: skip
    one = spec.replace("seed: 1", "fold: 2")
    assert [p.name for p in plans(loaded(tmp_path, one), Path("out"), ["a"], [0])] == ["a-fold2-seed0"]


@pytest.mark.parametrize(("variants", "seeds", "words"), [(["c"], [], "--variant c"), ([], [1], "--seed 1")])
def test_what_the_file_does_not_have_is_said(variants: list[str], seeds: list[int], words: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=words):
        plans(loaded(tmp_path, STUDY), Path("out"), variants, seeds)
