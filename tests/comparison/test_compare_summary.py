"""Scores by variant equal those from the counts themselves, over seeds and folds; absent classes are undefined."""

import re

import numpy as np
import pytest

from segengine.comparison.judge import judge
from segengine.comparison.load import candidates
from segengine.comparison.summary import Comparison, Spread, compare, compare_folders
from segengine.errors import ComparisonError, RunError
from segengine.metrics.confusion import ImageCounts
from segengine.metrics.scores import evaluate_counts
from segengine.runs import names
from segengine.runs.tables import read_counts, write_counts


def compared(root, split=None) -> Comparison:
    (found,) = candidates([], root)
    return compare(found, split)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "runs"


def test_scores_are_those_of_the_counts_pooled_and_per_image(make, root):
    folders = [make("vgg", seed, quality=0.7 + 0.05 * seed) for seed in range(3)]
    variant = compared(root).variants[0]
    each = [evaluate_counts(read_counts(folder / names.counts_file("test"), 3, [3, 4, 5])) for folder in folders]
    for metric in ("dice", "iou"):
        for kind in ("pooled", "per_image"):
            table = variant.scores[metric, kind]
            means = [scores.mean([1, 2], score=metric, per_image=kind == "per_image") for scores in each]
            assert table.mean.values == pytest.approx(means)
            assert table.mean.mean == pytest.approx(np.mean(means))
            assert table.mean.sd == pytest.approx(np.std(means, ddof=1))
            assert (table.mean.minimum, table.mean.maximum) == pytest.approx((min(means), max(means)))
            for k in range(3):
                values = [(scores.pooled if kind == "pooled" else scores.per_image)[metric][k] for scores in each]
                assert table.classes[k].values == pytest.approx(values)
    assert variant.seeds == (0, 1, 2)
    assert variant.minutes.mean == 2.0
    assert variant.images_per_second.mean == 5.0
    assert variant.parameters == 9_220_480


def test_one_seed_has_no_deviation():
    spread = Spread.of([0.5])
    assert (spread.mean, spread.sd, spread.minimum, spread.maximum) == (0.5, None, 0.5, 0.5)


def test_an_undefined_value_is_left_out_and_stays_visible():
    spread = Spread.of([0.25, float("nan"), 0.75])
    assert spread.values == (0.25, None, 0.75)
    assert spread.mean == 0.5
    assert Spread.of([float("nan")]).mean is None


def test_classes_are_listed_with_the_images_and_pixels_they_occur_in(make, root):
    truth = np.array([[10, 20, 0], [10, 0, 0], [10, 5, 0], [10, 20, 0], [10, 0, 0], [10, 5, 0]])
    make("vgg", truth=truth, quality=1.0)
    comparison = compared(root)
    assert [(c.name, c.averaged, c.images, c.pixels) for c in comparison.classes] == [
        ("background", False, 3, 30),
        ("liver", True, 2, 25),
        ("spleen", False, 0, 0),
    ]
    assert comparison.averaged == ("liver",)


def test_a_class_in_neither_truth_nor_prediction_is_undefined_and_noted(make, root):
    folder = make("vgg")
    write_counts(folder / names.counts_file("test"), ImageCounts.of({3: np.diag([4, 4, 0]), 4: np.diag([4, 0, 0])}, 3))
    comparison = compared(root)
    (variant,) = comparison.variants
    assert variant.scores["dice", "pooled"].classes[2].mean is None
    assert variant.scores["dice", "pooled"].mean.mean == 1.0
    assert variant.undefined == comparison.undefined == ("spleen",)
    assert comparison.averaged == ("liver",)
    assert (
        "the means are without spleen: no truth has it, and not every seed of any variant predicted it"
        in comparison.notes
    )


def test_an_image_whose_pixels_are_all_ignored_is_still_counted_as_an_image(make, root):
    folder = make("vgg")
    write_counts(folder / names.counts_file("test"), ImageCounts.of({3: np.diag([4, 4, 4])}, 3))
    assert compared(root).image_count == 3
    assert compared(root).variants[0].scores["dice", "per_image"].mean.mean == 1.0


def test_validation_is_taken_where_there_is_no_test_split_and_that_is_said(make, root):
    make("vgg", split="validation")
    comparison = compared(root)
    assert comparison.split == "validation"
    assert "no test scores" in comparison.notes[0]
    assert compared(root, "validation").notes == ()


def test_unfinished_and_broken_runs_are_listed_not_counted(make, root):
    make("vgg", 0)
    make("vgg", 1, status="failed", message="out of\nmemory")
    make("vgg", 2, status="running")
    (make("vgg", 3).path / names.RUN).write_text("{")
    (make("vgg", 4).path / names.SPEC).unlink()
    comparison = compared(root)
    assert comparison.variants[0].seeds == (0,)
    listed = {other.name: (other.status, other.message) for other in comparison.others}
    assert listed["abdomen/vgg-seed1"] == ("failed", "out of memory")
    assert listed["abdomen/vgg-seed2"] == ("running", "")
    assert listed["abdomen/vgg-seed3"][0] == listed["abdomen/vgg-seed4"][0] == "unreadable"


def test_damaged_counts_are_named_with_their_file(make, root):
    folder = make("vgg")
    (folder / names.counts_file("test")).write_text(
        "index,truth,predicted,pixels\n0,0,0,5\n"
    )  # image 0 is a training image
    with pytest.raises(RunError, match=r"test\.csv: .*images\.csv; the run folder is damaged"):
        compared(root)
    (refusal,) = compare_folders([], root)
    assert "run folder is damaged" in refusal.message


def test_folds_become_one_set_of_out_of_fold_counts(make, root):
    for variant in ("resnet", "vgg"):
        for fold, test in enumerate([(0, 1, 2), (3, 4, 5)]):
            make(variant, fold=fold, test=test)
    comparison = compared(root)
    assert comparison.image_count == 6
    assert sorted(comparison.models.ids) == [f"p{i // 2}/s{i}" for i in range(6)]
    assert comparison.group_count == 3
    folders = [root / "abdomen" / f"vgg-fold{fold}-seed0" / names.counts_file("test") for fold in (0, 1)]
    total = sum(read_counts(path, 3).total() for path in folders)
    assert comparison.models.models[1].stacked.sum(0)[0].tolist() == np.diagonal(total).tolist()


def test_a_missing_fold_is_refused(make, root):
    make("resnet", fold=0, test=(0, 1, 2))
    make("resnet", fold=1, test=(3, 4, 5))
    make("vgg", fold=0, test=(0, 1, 2))
    with pytest.raises(ComparisonError, match="vgg with seed 0 lacks a finished run of fold 1"):
        compared(root)


def test_each_experiment_is_a_table_and_named_runs_form_one(make, root):
    first, second = make("vgg"), make("vgg", experiment="longer", settings={"training.epochs": 40})
    assert [len(result.variants) for result in compare_folders([], root)] == [1, 1]
    (together,) = compare_folders([first.path, second.path], root)
    assert [variant.name for variant in together.variants] == ["abdomen/vgg", "longer/vgg"]
    assert together.factor.text() == "training.epochs: 20 (abdomen/vgg), 40 (longer/vgg)"


def test_one_refused_experiment_leaves_the_others_their_table(make, root):
    make("vgg")
    make("vgg", experiment="mixed")
    make("resnet", experiment="mixed", ignored=[255])
    assert [type(result).__name__ for result in compare_folders([], root)] == ["Comparison", "Refusal"]


@pytest.mark.parametrize("name", ["", "nowhere"])
def test_a_place_without_runs_is_refused(root, name):
    root.mkdir()
    with pytest.raises(ComparisonError, match="make runs with `segengine run SPEC`"):
        compare_folders([], root / name)


def test_no_finished_run_says_what_they_are(make, root):
    make("vgg", status="interrupted")
    with pytest.raises(ComparisonError, match="no run is finished \\(they are interrupted\\)"):
        compared(root)


def judged(root) -> str:
    return " ".join(judge(compared(root), "dice").said.verdict)


def many(variant, make, seeds, quality):
    truth = np.random.default_rng(1).integers(50, 900, (24, 3))
    for seed in range(seeds):
        make(variant, seed, quality=quality, images=24, test=tuple(range(6, 24)), truth=truth)


def test_with_one_seed_the_verdict_is_about_the_two_trained_models_and_says_so(make, root):
    many("vgg", make, 1, 0.6)
    many("resnet", make, 1, 0.9)
    said = judged(root)
    assert said.startswith("Of these two trained models, resnet is better than vgg: +")
    assert (
        "This holds for the trained models alone, on new images like the 18 test images of 9 groups: retraining could"
        in said
    )
    assert "backbone" not in said


def test_one_seed_of_one_variant_makes_it_about_the_models_too(make, root):
    many("vgg", make, 1, 0.6)
    many("resnet", make, 3, 0.9)
    said = judged(root)
    assert said.startswith("Of these 4 trained models, resnet is better than vgg: +")
    assert "This holds for the trained models alone" in said


def test_with_several_seeds_the_verdict_is_about_the_variants(make, root):
    truth = np.random.default_rng(1).integers(50, 900, (24, 3))
    for seed in range(3):
        for variant, quality in (("vgg", 0.6), ("resnet", 0.9)):
            make(variant, seed, quality=quality, images=24, test=tuple(range(4, 24)), truth=truth)
    said = judged(root)
    assert said.startswith("resnet is better than vgg: +")
    assert "This holds for retraining on this training set and split" in said
    assert "trained models" not in said


@pytest.mark.parametrize("seeds", [(2, 2), (3, 2), (2, 1)])
def test_fewer_than_three_seeds_of_a_variant_never_speak_of_retraining(make, root, seeds):
    for count, variant, quality in zip(seeds, ("vgg", "resnet"), (0.6, 0.9), strict=True):
        many(variant, make, count, quality)
    said = judged(root)
    assert said.startswith(f"Of these {sum(seeds)} trained models, resnet is better than vgg: +")
    assert "This holds for the trained models alone" in said
    assert "holds for retraining" not in said


def test_the_verdict_of_folds_holds_within_them(make, root):
    truth = np.random.default_rng(1).integers(50, 900, (24, 3))
    for fold in (0, 1):
        test = tuple(range(12 * fold, 12 * fold + 12))
        for seed in range(3):
            for variant, quality in (("vgg", 0.6), ("resnet", 0.9)):
                make(variant, seed, fold=fold, quality=quality, images=24, test=test, truth=truth)
    assert "; the folds share training images, so that it holds within these folds only." in judged(root)


def test_of_many_variants_the_best_is_named_with_the_second(make, root):
    for variant, quality in (("a", 0.5), ("b", 0.9), ("c", 0.7), ("d", 0.8)):
        many(variant, make, 1, quality)
    assert re.match(r"Of these 4 trained models, b is the best: .* next d \(\+", judged(root))


def test_too_few_units_are_said_in_the_verdict(make, root):
    make("vgg", quality=0.6)
    make("resnet", quality=0.9)
    assert (
        "Of these two trained models, resnet and vgg are not tested by mean Dice (per group): 2 groups; a test"
        in judged(root)
    )


def test_one_variant_alone_gets_no_verdict(make, root):
    make("vgg")
    assert re.match(r"vgg reaches a mean Dice \(per group\) of 0\.\d+; there is no other variant", judged(root))
    assert "retraining could give another score" in judged(root)


def test_without_any_score_one_sentence_says_so(make, root):
    truth = np.zeros((6, 3), dtype=int)
    make("vgg", truth=truth)
    make("resnet", truth=truth)
    assert judged(root) == "Nothing can be said: mean Dice (per group) is undefined for every variant."


def test_different_seeds_are_noted(make, root):
    make("vgg", 0)
    make("vgg", 1)
    make("resnet", 0)
    assert "the variants have different seeds: resnet 0; vgg 0, 1" in compared(root).notes
