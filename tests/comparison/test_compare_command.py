"""`segengine compare`: tables, Markdown and JSON; refusals end with 2; nothing heavy is imported."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from segengine.cli.compare import print_comparison
from segengine.cli.main import main


@pytest.fixture
def root(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def said(capsys):
    """Runs the command line: exit code, standard output, standard error."""

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main(["compare", *map(str, arguments)])
        captured = capsys.readouterr()
        return end.value.code, captured.out, captured.err

    return run


def test_the_table_names_images_classes_costs_and_caution(make, root, said):
    make("vgg", quality=0.7)
    make("resnet", quality=0.9, settings={"training.epochs": 40})
    make("swin", status="failed", message="out of memory")
    code, out, err = said("--runs-dir", root)
    assert (code, err) == (0, "")
    assert "3 test images of 2 groups; means over 2 classes: liver, spleen, without background" in out
    for word in (
        "Dice per group",
        "Dice pooled",
        "Dice per image",
        "9.2 M",
        "7.6 G",
        "images/s",
        "minutes",
        "background *",
    ):
        assert word in out
    assert out.count("This holds for the trained models alone") == 1
    assert "compared: model.backbone: resnet {depth: 11} (resnet), vgg {depth: 11} (vgg)" in out
    assert "  training.epochs: 40 (resnet), 20 (vgg)" in out
    assert "left out: abdomen/swin-seed0 (failed: out of memory)" in out


def test_json_is_one_document_on_standard_output(make, root, said):
    for seed in range(2):
        make("vgg", seed)
    code, out, err = said(root / "abdomen", "--json", "--metric", "iou")
    document = json.loads(out)
    assert (code, err, document["format"], document["metric"]) == (0, "", 1, "iou")
    (comparison,) = document["comparisons"]
    assert comparison["averaged"] == ["liver", "spleen"]
    assert comparison["refused"] is None
    variant = comparison["variants"][0]
    assert len(variant["dice"]["per_image"]["classes"]["liver"]["values"]) == 2
    assert variant["iou"]["pooled"]["mean"]["sd"] > 0
    assert variant["runs"] == ["abdomen/vgg-seed0", "abdomen/vgg-seed1"]


def test_a_refusal_ends_with_2_and_the_other_tables_are_printed(make, root, said):
    make("vgg")
    make("vgg", experiment="mixed")
    make("resnet", experiment="mixed", data={"fingerprint": "bbbb"})
    code, out, err = said("--runs-dir", root)
    assert code == 2
    assert out.startswith("abdomen\n")
    assert "error: mixed: these runs can't be compared:" in err
    assert "data fingerprint: bbbb in mixed/resnet-seed0; aaaa in mixed/vgg-seed0" in err
    code, out, _ = said("--runs-dir", root, "--json")
    assert code == 2
    assert [bool(c["refused"]) for c in json.loads(out)["comparisons"]] == [False, True]


def test_an_unfinished_experiment_is_an_error_only_where_nothing_is_finished(make, root, said):
    make("vgg", experiment="later", status="running")
    code, out, err = said("--runs-dir", root)
    assert (code, out) == (2, "")
    assert (
        err == "error: later: no run is finished (they are running); `segengine run` continues what was interrupted\n"
    )
    make("vgg")
    code, out, err = said("--runs-dir", root)
    assert (code, err) == (0, "")
    assert out.startswith("abdomen\n")


def test_markdown_has_tables_and_no_cell_ends_early(make, root, said):
    make("vgg", classes=("background", "liver|lobe", "spleen"))
    code, out, _ = said("--runs-dir", root, "--markdown")
    assert code == 0
    assert "| variant | seeds | Dice per group |" in out
    rows = [line for line in out.splitlines() if "lobe" in line and line.startswith("|")]
    assert rows
    assert all(row.startswith("| liver\\|lobe | 3 |") for row in rows)


def test_many_variants_stand_in_rows(make, root, said):
    for variant in ("a", "b", "c", "d"):
        make(variant)
    _, out, _ = said("--runs-dir", root)
    assert "images with the class" in out


def test_differences_stand_in_all_three_forms_with_their_methods(make, root, said):
    truth = np.random.default_rng(1).integers(50, 900, (24, 3))
    for variant, quality in (("resnet", 0.9), ("vgg", 0.6)):
        make(variant, quality=quality, images=24, test=tuple(range(6, 24)), truth=truth)
    _, terminal, _ = said("--runs-dir", root)
    _, markdown, _ = said("--runs-dir", root, "--markdown")
    for out in (terminal, markdown):
        assert "resnet − vgg" in out
        assert out.count("f these two trained models, resnet is better than vgg: +") == 1
        assert "Paired differences over the same 9 groups (18 images)" in out
    _, out, _ = said("--runs-dir", root, "--json", "--margin", "90", "--resamples", "500")
    pooled, per_image, _ = json.loads(out)["comparisons"][0]["differences"]
    assert (pooled["kind"], per_image["kind"], pooled["margin"], pooled["resamples"]) == (
        "pooled",
        "per_image",
        0.9,
        500,
    )
    assert [(row["verdict"], row["within_margin"]) for row in pooled["pairs"]] == [("better", True)] * 3
    assert [row["score"] for row in pooled["pairs"]] == [None, "liver", "spleen"]
    assert pooled["ranking"]["variants"][0]["best"] == 1.0


def test_too_few_groups_are_said_and_one_variant_has_no_differences(make, root, said):
    make("vgg")
    _, out, _ = said("--runs-dir", root, "--json")
    assert json.loads(out)["comparisons"][0]["differences"] == []
    make("resnet")
    _, out, _ = said("--runs-dir", root)
    assert "resnet and vgg are not tested by mean Dice (per group): 2 groups; a test needs at least 6" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["nowhere"],
        ["--json", "--markdown"],
        ["--split", "train"],
        ["--metric", "accuracy"],
        ["--margin", "nan"],
        ["--margin", "-1"],
    ],
)
def test_a_wrong_request_ends_with_2(root, said, arguments):
    code, out, err = said(*arguments, "--runs-dir", root)
    assert (code, out) == (2, "")
    assert err


def test_the_table_after_training_says_on_standard_error_why_there_is_none(make, root, capsys):
    make("vgg")
    make("resnet")
    print_comparison(root / "abdomen")
    assert "Dice pooled" in capsys.readouterr().out
    make("swin", ignored=[255])
    print_comparison(root / "abdomen")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("no comparison: abdomen: these runs can't be compared:")


def test_comparing_imports_nothing_heavy(make, root):
    make("vgg")
    make("resnet")
    code = (
        "import sys\nfrom segengine.cli.main import main\n"
        "try:\n    main(['compare', '--runs-dir', sys.argv[1]])\nfinally:\n"
        "    heavy = {'torch', 'torchvision', 'timm', 'segmentation_models_pytorch', 'albumentations', 'cv2'}\n"
        "    heavy |= {'matplotlib', 'scipy.stats'}\n"
        "    print('heavy:', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(root)], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("heavy: []\n")


def test_of_very_many_pairs_those_with_the_best_variant_are_shown(make, root, said):
    for place in range(12):
        make(f"v{place:02}", quality=0.9 if place == 4 else 0.5 + 0.01 * place)
    _, out, _ = said("--runs-dir", root)
    assert "of 66 pairs those with v04, the first by mean Dice, are shown; --json and --out have all" in out
    assert len([line for line in out.splitlines() if re.match(r"v\d\d − v\d\d +per group", line)]) == 11
    _, out, _ = said("--runs-dir", root, "--json")
    assert len(json.loads(out)["comparisons"][0]["differences"][0]["pairs"]) == 66 * 3


def test_a_damaged_counts_file_leaves_its_run_out_and_says_so(make, root, said):
    make("vgg")
    path = make("resnet").path / "counts/test.csv"
    make("swin")
    path.write_text("index,truth,predicted,pixels\n3,0,oops,5\n")
    code, out, err = said("--runs-dir", root)
    assert (code, err) == (0, "")
    assert f"left out: abdomen/resnet-seed0 (unreadable: {path}" in out
    _, out, _ = said("--runs-dir", root, "--json")
    (comparison,) = json.loads(out)["comparisons"]
    assert [variant["name"] for variant in comparison["variants"]] == ["swin", "vgg"]
    assert [(run["name"], run["status"]) for run in comparison["left_out"]] == [("abdomen/resnet-seed0", "unreadable")]
