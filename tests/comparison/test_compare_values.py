"""`compare --metric` on values of each image: the same images for all, lower better in words, what is missing."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from segengine.cli.main import main
from segengine.comparison.gallery import most_disagreed
from segengine.comparison.image_metrics import measured, with_values
from segengine.comparison.judge import judge
from segengine.comparison.samples import differences
from segengine.comparison.summary import Comparison, compare_folders
from segengine.metrics.scores import scores_of
from segengine.metrics.values import MetricValues
from segengine.runs.folder import RunFolder
from segengine.runs.values import MetricRecord, write_values
from tests.comparison.conftest import Make

IMAGES = tuple(range(2, 14))
HD95 = MetricRecord(
    label="hd95", words="HD95", better="lower", by_class=True, unit="mm", spacing=(0.5, 0.5), settings={"name": "hd95"}
)
NSD = HD95.model_copy(update={"label": "nsd-tolerance-2", "words": "NSD (tolerance 2)", "better": "higher", "unit": None,
                              "settings": {"name": "nsd", "tolerance": 2.0}})  # fmt: skip


def keep(folder: RunFolder, values: np.ndarray, record: MetricRecord = HD95, states: np.ndarray | None = None) -> None:
    """Store values [N, C] of liver and spleen; a place in STATES for each, `both` unless given."""
    classes = (1, 2) if record.by_class else None
    states = np.full(values.shape, 3, np.uint8) if states is None else states.astype(np.uint8)
    write_values(folder, "test", record, MetricValues(IMAGES, classes, values, states))


def finished(make: Make, name: str, seed: int = 0, **more: object) -> RunFolder:
    return make(name, seed, images=14, test=IMAGES, **more)


def compared(root: Path, metric: str) -> Comparison:
    (result,) = compare_folders([root], root)
    assert isinstance(result, Comparison)
    return with_values(result, metric)[0]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def distances() -> np.ndarray:
    return np.random.default_rng(3).gamma(2, 3, (len(IMAGES), 2))


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]):
    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(["compare", *map(str, arguments)])
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out, captured.err

    return run


def test_the_nearer_surface_is_better_in_words_order_and_ranking(make, root, said, distances):
    keep(finished(make, "vgg"), distances + 4 + 0.1 * np.random.default_rng(1).standard_normal(distances.shape))
    keep(finished(make, "resnet"), distances)
    code, out, err = said(root / "abdomen", "--metric", "hd95")
    assert (code, err) == (0, "")
    assert "mean HD95 over 2 classes in mm; lower is better" in out
    assert "of these two trained models, resnet is better than vgg: " in out.replace("Of these", "of these")
    assert "mm of mean HD95 (per group), 95 % interval -4" in out
    assert "resnet first in 100 % (rank 1), vgg first in 0 % (rank 2)" in out
    assert "a difference within ±0.5 mm" in out
    assert "pooled" not in out


def test_values_of_images_are_judged_as_the_same_scores_from_counts_are(make, root):
    for name, quality in (("vgg", 0.7), ("resnet", 0.72)):
        for seed in range(3):
            finished(make, name, seed, quality=quality)
    (plain,) = compare_folders([root], root)
    assert isinstance(plain, Comparison)
    record = NSD.model_copy(update={"label": "same", "settings": {"name": "same"}})
    for model in plain.models.models:
        dice = scores_of(model.stacked[:, 0], model.stacked[:, 1], model.stacked[:, 2])["dice"]
        keep(model.runs[0].folder, dice[:, 1:], record)
    ours, theirs = differences(compared(root, "same"), "same", "per_image"), differences(plain, "dice", "per_image")
    assert ours.grouped
    for a, b in zip(ours.rows, theirs.rows, strict=True):
        assert (a.verdict, a.units, a.score) == (b.verdict, b.units, b.score)
        np.testing.assert_allclose([a.difference, a.low, a.high, a.p_holm], [b.difference, b.low, b.high, b.p_holm])
    assert ours.ranking == theirs.ranking


def test_an_image_in_which_one_of_two_models_has_no_distance_counts_for_none(make, root, said, tmp_path, distances):
    vgg, resnet = finished(make, "vgg"), finished(make, "resnet")
    values, states = distances.copy(), np.full(distances.shape, 3)
    values[0, 0], states[0, 0] = np.nan, 1  # vgg misses the hardest liver
    distances[0, 0] = 500
    values[5], states[5], distances[5] = np.nan, 0, np.nan  # neither has anything there
    keep(vgg, values, states=states)
    keep(resnet, distances, states=np.where(np.isnan(distances), 0, 3))
    variants = {variant.name: variant for variant in compared(root, "hd95").variants}
    without = np.delete(distances, [0, 5], axis=0)[:, 0].mean()
    for variant in variants.values():
        assert variant.scores["hd95", "per_image"].classes[1].mean == pytest.approx(without)
    assert variants["vgg"].scores["dice", "pooled"].mean.mean is not None
    page = tmp_path / "page.html"
    _, out, _ = said(root / "abdomen", "--metric", "hd95", "--resamples", 200, "--html", page, "--pictures", 0)
    assert (
        "note: HD95 of liver: vgg missed it in 1 of 12 predictions; tables leave 1 of 12 images out for all variants"
        in out
    )
    (found,) = judge(compared(root, "hd95"), "hd95").found[1:]
    means = [variant.scores["hd95", "per_image"].mean.mean for variant in variants.values()]
    assert found.means[0].difference == pytest.approx(means[0] - means[1])
    said_too = "resnet and vgg are not distinguishable by how often they lack HD95: -8.33 points of all images"
    assert said_too in out
    assert said_too in page.read_text()


def test_a_missed_class_stays_in_a_share(make, root, said, distances):
    shares = distances / 100
    shares[0, 0] = 0
    states = np.full(shares.shape, 3)
    states[0, 0] = 1
    keep(finished(make, "vgg"), shares, NSD, states)
    keep(finished(make, "resnet"), distances / 90, NSD)
    assert compared(root, "nsd").variants[1].scores["nsd-tolerance-2", "per_image"].classes[1].mean == pytest.approx(
        shares[:, 0].mean()
    )
    _, out, _ = said(root / "abdomen", "--metric", "nsd")
    assert "vgg missed it in 1 of 12 predictions; such an image has a value like any other" in out


def test_a_metric_of_whole_images_has_one_row(make, root, said, distances):
    record = HD95.model_copy(update={"label": "ece", "words": "ECE", "by_class": False, "unit": None, "spacing": None,
                                     "settings": {"name": "ece", "bins": 15}})  # fmt: skip
    keep(finished(make, "vgg"), distances[:, :1] / 20, record)
    keep(finished(make, "resnet"), distances[:, :1] / 30, record)
    code, out, _ = said(root / "abdomen", "--metric", "ece", "--json")
    (document,) = json.loads(out)["comparisons"]
    assert (code, document["averaged"], document["differences"][0]["better"]) == (0, ["image"], "lower")
    assert document["variants"][0]["ece"]["per_image"]["mean"]["mean"] == pytest.approx(distances[:, 0].mean() / 30)


def test_runs_without_the_values_are_named_with_the_command_that_adds_them(make, root, said, distances):
    vgg, resnet = finished(make, "vgg"), finished(make, "resnet")
    code, out, err = said(root / "abdomen", "--metric", "hd59")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "error: abdomen: --metric hd59: not measured on the test images of abdomen/resnet-seed0, abdomen/vgg-seed0; "
        "did you mean 'hd95'? Else add it:",
        f"error:   segengine evaluate {resnet.path} --metric hd59 --split test --save",
        f"error:   segengine evaluate {vgg.path} --metric hd59 --split test --save",
    ]
    keep(vgg, distances, NSD.model_copy(update={"spacing": (0.5, 0.5), "unit": None}))
    _, _, err = said(root / "abdomen", "--metric", "nsd-tolerance-2")
    assert err.splitlines()[1] == (
        f"error:   segengine evaluate {resnet.path} --metric '{{name: nsd, tolerance: 2.0}}' "
        "-s 'evaluation.spacing=[0.5, 0.5]' --split test --save"
    )
    _, _, err = said(root / "abdomen", "--metric", "nds-tolerance-2")
    assert "; did you mean 'nsd-tolerance-2'? Else add it:" in err


def test_a_known_metric_that_nothing_has_does_not_suggest_itself(make, root, said):
    finished(make, "vgg")
    _, _, err = said(root / "abdomen", "--metric", "hd95")
    assert err.splitlines()[0].endswith("not measured on the test images of abdomen/vgg-seed0; add it:")
    assert "did you mean" not in err


def test_other_spacings_and_ambiguous_names_are_refused(make, root, said, distances):
    vgg, resnet = finished(make, "vgg"), finished(make, "resnet")
    keep(vgg, distances)
    keep(resnet, distances, HD95.model_copy(update={"spacing": (0.8, 0.8)}))
    assert (
        "--metric hd95: measured differently: HD95 with spacing 0.8 x 0.8 mm in abdomen/resnet-seed0; "
        "HD95 with spacing 0.5 x 0.5 mm in abdomen/vgg-seed0; measure both alike"
        in said(root / "abdomen", "--metric", "hd95")[2]
    )
    keep(vgg, distances, NSD)
    keep(vgg, distances, NSD.model_copy(update={"label": "nsd-tolerance-3"}))
    assert "--metric nsd: the runs have nsd-tolerance-2, nsd-tolerance-3; name one of them" in said(
        root / "abdomen", "--metric", "nsd"
    )[2]  # fmt: skip


def test_a_damaged_table_is_named(make, root, distances):
    folder = finished(make, "vgg")
    keep(folder, distances)
    path = folder / "metrics/test-hd95.csv"
    path.write_text(path.read_text().replace("13,2,", "99,2,"))
    (result,) = measured(compare_folders([root], root), "hd95")[0]
    assert not isinstance(result, Comparison)
    assert result.message == (
        f"{path}: not a readable table of values (its images differ from those of the split); the run folder is damaged"
    )


def test_page_and_files_show_distances_in_their_unit_the_lowest_first(make, root, said, tmp_path, distances):
    for name, more in (("vgg", 40), ("resnet", 30)):
        for seed in (0, 1):
            keep(finished(make, name, seed), distances + more + seed)
    targets = ("--html", tmp_path / "page.html", "--out", tmp_path / "out", "--pictures", 0)
    code, _, err = said(root / "abdomen", "--metric", "hd95", "--resamples", 200, *targets)
    assert code == 0, err
    page, files = (tmp_path / "page.html").read_text(), tmp_path / "out"
    assert "HD95 by class in mm, mean over groups; lower is better; * not in the means; with 95 % intervals" in page
    assert "mm of difference; left of 0 the first is better" in page
    assert "The lowest score of each column is bold" in page
    assert "margin of ±0.5 mm within" in page
    assert "Confusion is of pixel counts" in page
    assert 'aria-sort="ascending"' in page
    assert not re.search(r"\d points", page)
    assert "The score is HD95 (in mm, lower is better), measured on each image" in (files / "methods.txt").read_text()
    with (files / "scores.csv").open(newline="") as file:
        (resnet,) = (
            r
            for r in csv.DictReader(file)
            if (r["variant"], r["class"], r["kind"]) == ("resnet", "(mean)", "per_image")
        )
    assert float(resnet["mean"]) == pytest.approx(distances.mean() + 30.5)
    assert 1 < float(resnet["low"]) < float(resnet["mean"]) < float(resnet["high"])
    with (files / "images.csv").open(newline="") as file:
        first = next(csv.DictReader(file))
    assert float(first["hd95 liver"]) in (pytest.approx(distances[0, 0] + 30), pytest.approx(distances[0, 0] + 40))
    assert not (files / "confusion.csv").exists()


def test_a_metric_of_whole_images_makes_a_page_too(make, root, said, tmp_path, distances):
    record = HD95.model_copy(
        update={"label": "ece", "words": "ECE", "by_class": False, "unit": None, "settings": {"name": "ece"}}
    )
    for name, part in (("vgg", 200), ("resnet", 100)):
        keep(finished(make, name), distances[:, :1] / part, record)
    code, _, err = said(
        root / "abdomen", "--metric", "ece", "--resamples", 200, "--html", tmp_path / "page.html", "--pictures", 0
    )
    assert code == 0, err
    assert re.search(
        r"vgg is better than resnet: -\d\.\d+ points of mean ECE \(per group\)", (tmp_path / "page.html").read_text()
    )


def test_the_images_shown_are_those_of_the_widest_spread_of_the_values(make, root, distances):
    keep(finished(make, "resnet"), distances)
    distances = distances.copy()
    distances[7] += 50
    distances[3] += 20
    keep(finished(make, "vgg"), distances)
    found = compared(root, "hd95")
    images = most_disagreed(found, "hd95", 2).images
    assert [image.row for image in images] == [7, 3]
    assert [image.spread for image in images] == pytest.approx([50, 20])


def test_a_class_without_any_value_is_left_out_in_these_words(make, root, said, distances):
    distances[:, 0] = np.nan
    for name in ("vgg", "resnet"):
        keep(finished(make, name), distances, states=np.where(np.isnan(distances), 1, 3))
    code, out, _ = said(root / "abdomen", "--metric", "hd95", "--resamples", 200)
    assert code == 0
    assert "note: the means are without liver: no variant has HD95 of it in any image" in out


def test_a_name_near_a_known_metric_is_suggested_where_nothing_is_stored(make, root, said):
    finished(make, "vgg")
    _, _, err = said(root / "abdomen", "--metric", "hd59")
    assert "did you mean 'hd95'?" in err


def three_with_a_collapse(make: Make, distances: np.ndarray) -> None:
    """vgg and resnet measure everything; swin never predicts liver, and so has no distance of it."""
    keep(finished(make, "vgg"), distances + 4 + 0.1 * np.random.default_rng(1).standard_normal(distances.shape))
    keep(finished(make, "resnet"), distances)
    values, states = distances.copy(), np.full(distances.shape, 3)
    values[:], states[:] = np.nan, 1
    keep(finished(make, "swin"), values, states=states)


def test_a_collapsed_variant_takes_no_distance_from_the_others(make, root, said, distances):
    three_with_a_collapse(make, distances)
    code, out, err = said(root / "abdomen", "--metric", "hd95", "--resamples", 200)
    assert (code, err) == (0, "")
    assert re.search(r"resnet is better than vgg: -\d.\d\d mm of mean HD95 \(per group\)", out)
    assert "resnet and swin are not tested by mean HD95 (per group): swin has no HD95 in any image" in out
    assert "note: swin has no HD95 in any image, and no mean" in out
    assert "none is in the truth" not in out
    (row,) = (line.split() for line in out.splitlines() if re.match(r"swin +1 +–", line))
    assert row[-3:] == ["12", "of", "12"]
    (document,) = json.loads(said(root / "abdomen", "--metric", "hd95", "--json", "--resamples", 200)[1])["comparisons"]
    assert document["averaged"] == ["liver", "spleen"]
    scores = document["tables"]["scores"]
    rates = {row[0]: row[scores["columns"].index("undefined_rate")] for row in scores["rows"]}
    assert rates == {"resnet": 0.0, "vgg": 0.0, "swin": 1.0}


def test_undefined_distances_are_left_out_pair_by_pair_and_their_rates_are_tested(make, root, said, distances):
    """swin has less than half of the values: vgg and resnet are compared over all images all the same."""
    states = np.full(distances.shape, 3)
    rng = np.random.default_rng(1)
    keep(finished(make, "vgg"), distances + 1 + 0.1 * rng.standard_normal(distances.shape))
    keep(finished(make, "resnet"), distances)
    values = distances + 2
    gone = [0, 1, 2, 4, 6, 8, 10]
    values[gone], states[gone] = np.nan, 1
    keep(finished(make, "swin"), values, states=states)
    found = judge(compared(root, "hd95"), "hd95")
    per_image = next(each for each in found.found if each.kind == "per_image")
    by = {(row.first, row.second): row for row in per_image.means}
    assert by["resnet", "vgg"].difference == pytest.approx(-1, abs=0.1)
    assert {pair: row.units for pair, row in by.items()} == {
        ("resnet", "swin"): 5, ("resnet", "vgg"): 6, ("swin", "vgg"): 5,
    }  # fmt: skip
    assert [found.names[i] for i in found.ranked] == ["resnet", "vgg", "swin"]  # the mean of swin is of 5 of 12 images
    code, out, err = said(root / "abdomen", "--metric", "hd95", "--json", "--resamples", 200)
    assert (code, err) == (0, "")
    (document,) = json.loads(out)["comparisons"]
    rates = document["tables"]["differences-of-undefined"]
    assert ["resnet − swin", pytest.approx(-7 / 12)] in [row[:2] for row in rates["rows"]]
    assert any(
        line.startswith(
            "of these two trained models, resnet lacks HD95 in fewer images than swin: -58.33 points of all images"
        )
        for line in document["sentences"]["pairs"]
    )


def test_where_no_image_has_a_distance_of_both_that_is_said_and_the_rates_are_shown(make, root, said, distances):
    for name, gone in (("vgg", slice(0, 6)), ("resnet", slice(6, 12))):
        values, states = distances.copy(), np.full(distances.shape, 3)
        values[gone], states[gone] = np.nan, 1
        keep(finished(make, name), values, states=states)
    code, out, err = said(root / "abdomen", "--metric", "hd95", "--resamples", 200)
    assert (code, err) == (0, "")
    assert "note: the means are without liver: in no image every variant has HD95 of it" in out
    assert "no variant has HD95" not in out
    for name in ("vgg", "resnet"):
        assert re.search(rf"^{name} .* 6 of 12$", out, re.MULTILINE)


def test_a_class_that_one_variant_never_finds_is_out_of_everybody_s_mean(make, root, said, distances):
    vgg, resnet = finished(make, "vgg"), finished(make, "resnet")
    values, states = distances + 1, np.full(distances.shape, 3)
    values[:, 0], states[:, 0] = np.nan, 1
    keep(vgg, values, states=states)
    keep(resnet, distances)
    _, out, _ = said(root / "abdomen", "--metric", "hd95", "--resamples", 200)
    assert "means over 1 class: spleen" in out
    assert "note: the means are without liver: vgg has no HD95 of it in any image" in out
    assert "note: HD95 of liver: vgg missed it in 12 of 12 predictions; such an image has no value" in out
    assert "Of these two trained models, resnet is better than vgg: -1.00 mm" in out


@pytest.mark.parametrize(
    ("record", "margin"),
    [
        (HD95, "±0.5 mm"),
        (HD95.model_copy(update={"spacing": (0.8, 2.5)}), "±2.5 mm"),
        (HD95.model_copy(update={"spacing": None, "unit": "px"}), "±1 px"),
        (NSD, "±0.5 points"),
    ],
)
def test_the_default_margin_is_a_pixel_or_half_a_point(make, root, said, distances, *, record, margin):
    scale = 1 if record.unit else 1 / 60
    for name in ("vgg", "resnet"):
        keep(finished(make, name), scale * distances, record)
    _, out, _ = said(root / "abdomen", "--metric", record.label, "--resamples", 200)
    assert f"resnet and vgg are practically equal (within {margin})" in out.replace("vgg and resnet", "resnet and vgg")
    assert "show a difference within " + margin in out


def test_a_margin_of_distances_is_in_their_unit_and_one_of_scores_at_most_100_points(make, root, said, distances):
    for name in ("vgg", "resnet"):
        keep(finished(make, name), distances)
    assert "show a difference within ±150 mm" in said(root / "abdomen", "--metric", "hd95", "--margin", 150)[1]
    for value, why in (
        ("150", "150 points; scores differ by 100 points at most"),
        ("nan", "nan is not a finite number from 0"),
        ("inf", "inf is not a finite number from 0"),
    ):
        code, out, err = said(root / "abdomen", "--margin", value)
        assert (code, out) == (2, "")
        assert f"--margin: {why}" in err.replace("'", "")


def test_undefined_worst_takes_the_image_s_diagonal(make, root, said, distances):
    three_with_a_collapse(make, distances)
    code, out, err = said(root / "abdomen", "--metric", "hd95", "--undefined", "worst", "--resamples", 200)
    assert (code, err) == (0, "")
    diagonal = np.hypot(40 * 0.5, 50 * 0.5)
    assert re.search(rf"^swin +1 +{diagonal:.3f} ", out, re.MULTILINE)
    assert re.search(r"resnet (is better than|and) swin\D*: -2\d\.\d\d mm", out)
    assert "swin missed it in 12 of 12 predictions; the image's diagonal stands for it" in out
    assert "tables leave" not in out
    code, _, err = said(root / "abdomen", "--undefined", "worst")
    assert code == 2
    assert "--undefined worst is for distances such as hd95; dice has a score wherever there is a class" in err


def test_a_damaged_table_of_values_leaves_its_run_out_and_says_so(make, root, said, distances):
    for name in ("vgg", "resnet", "swin"):
        folder = finished(make, name)
        keep(folder, distances + len(name))
    path = folder.path / "metrics/test-hd95.csv"
    path.write_text("nonsense")
    code, out, err = said(root / "abdomen", "--metric", "hd95", "--resamples", 200)
    assert (code, err) == (0, "")
    assert f"left out: abdomen/swin-seed0 (unreadable: {path}" in out
    assert "resnet" in out
