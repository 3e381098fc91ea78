"""`--html` and `--out`: what is written, what is never overwritten, and that a refusal writes nothing."""

import csv
import json
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from segengine.cli.main import main
from segengine.comparison.render.latex import latex, latex_text
from segengine.comparison.table import Cell, table_of
from tests.comparison.conftest import make
from tests.comparison.page.comparisons import EVIL, experiment

__all__ = ["make"]
TWO = {"resnet": 0.9, "vgg": 0.6}


@pytest.fixture
def said(capsys, tmp_path, monkeypatch):
    """Runs `compare` without pictures: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main(["compare", "--resamples", "200", "--pictures", "0", *map(str, arguments)])
        captured = capsys.readouterr()
        return end.value.code, captured.out, captured.err

    return run


def _rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_page_is_written_beside_the_table_and_replaced_with_a_word(make, tmp_path, said):
    experiment(make, tmp_path / "runs", TWO, 1)
    code, out, err = said("--html", "pages/comparison.html")
    assert (code, err) == (0, "wrote pages/comparison.html\n")
    assert "mean Dice over 2 classes" in out
    first = (tmp_path / "pages/comparison.html").read_text(encoding="utf-8")
    assert first.startswith("<!doctype html>")
    code, out, err = said("--html", "pages/comparison.html", "--json")
    assert (code, err) == (0, "replaced pages/comparison.html\n")
    assert json.loads(out)["comparisons"][0]["title"] == f"Organs {EVIL}"
    assert [path.name for path in (tmp_path / "pages").iterdir()] == ["comparison.html"]


def test_a_page_of_someone_else_is_not_overwritten(make, tmp_path, said):
    experiment(make, tmp_path / "runs", TWO, 1)
    (tmp_path / "mine.html").write_text("<p>my own notes")
    code, out, err = said("--html", "mine.html")
    assert (code, out) == (2, "")
    assert err == "error: mine.html: is no comparison that segengine wrote; choose another name, or remove it\n"
    assert (tmp_path / "mine.html").read_text() == "<p>my own notes"
    code, _, err = said("--html", "runs")
    assert code == 2
    assert err == "error: runs: is a folder; give --html the name of a file, such as runs/comparison.html\n"


def test_the_folder_holds_every_table_and_figure(make, tmp_path, said):
    experiment(make, tmp_path / "runs", TWO)
    code, _, err = said("--out", "out")
    assert code == 0
    files = sorted(
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()
    )
    assert err == f"wrote {len(files) - 1} files to out\n"
    assert {f for f in files if "/" not in f} == {
        "comparison.json", "comparison.md", "confusion.csv", "costs.csv", "curves.csv", "differences.csv", "files.json",
        "images.csv", "methods.txt", "ranking.csv", "scores.csv",
    }  # fmt: skip
    assert {f for f in files if f.startswith("tables/")} == {
        f"tables/{name}.{suffix}"
        for name in (
            "scores", "classes-pooled", "classes-per-image", "classes-per-group", "differences", "differences-by-class", "ranking",
            "costs", "training-costs",
        )
        for suffix in ("csv", "tex")
    }  # fmt: skip
    for figure in (tmp_path / "out/figures").glob("*.svg"):
        assert ElementTree.fromstring(figure.read_text(encoding="utf-8")).tag == "{http://www.w3.org/2000/svg}svg"
    assert f"## Organs {EVIL.replace('<', chr(92) + '<')}" in (tmp_path / "out/comparison.md").read_text(
        encoding="utf-8"
    )


def test_the_csv_files_say_what_json_says_unrounded(make, tmp_path, said):
    experiment(make, tmp_path / "runs", TWO)
    said("--out", "out")
    document = json.loads((tmp_path / "out/comparison.json").read_text(encoding="utf-8"))
    scores = {(r["variant"], r["kind"], r["class"]): r for r in _rows(tmp_path / "out/scores.csv")}
    for variant in document["variants"]:
        for kind in ("pooled", "per_image"):
            row = scores[variant["name"], kind, "(mean)"]
            assert float(row["mean"]) == variant["dice"][kind]["mean"]["mean"]
            assert [float(row[f"seed {seed}"]) for seed in (0, 1, 2)] == variant["dice"][kind]["mean"]["values"]
    pairs = {(r["kind"], r["class"]): r for r in _rows(tmp_path / "out/differences.csv")}
    mean = document["differences"][0]["pairs"][0]
    assert float(pairs["pooled", "(mean)"]["difference"]) == mean["difference"]
    assert float(pairs["pooled", "(mean)"]["p_holm"]) == mean["p_holm"]
    images = _rows(tmp_path / "out/images.csv")
    assert len(images) == 30 * 6
    assert {row["group"] for row in images} == {f"p{i}" for i in range(5, 20)}


def test_an_earlier_output_is_replaced_and_what_it_no_longer_has_is_removed(make, tmp_path, said):
    experiment(make, tmp_path / "runs", {**TWO, "third": 0.8})
    assert said("--out", "out")[0] == 0
    assert (tmp_path / "out/figures/confusion-3.svg").exists()
    runs = [path for path in (tmp_path / "runs/abdomen").iterdir() if not path.name.startswith("v2")]
    code, _, err = said(*runs, "--out", "out")
    assert (code, err.startswith("wrote ")) == (0, True)
    assert not (tmp_path / "out/figures/confusion-3.svg").exists()


def test_files_of_others_are_never_touched(make, tmp_path, said):
    experiment(make, tmp_path / "runs", TWO, 1)
    own = tmp_path / "own"
    own.mkdir()
    (own / "thesis.txt").write_text("mine")
    code, out, err = said("--out", "own")
    assert (code, out) == (2, "")
    assert err == "error: own: is not empty and holds no earlier comparison; choose an empty folder or a new one\n"
    assert [path.name for path in own.iterdir()] == ["thesis.txt"]

    assert said("--out", "out")[0] == 0
    (tmp_path / "out/scores.csv").write_text("edited by hand")
    code, _, err = said("--out", "out")
    assert code == 2
    assert (
        err == "error: out/scores.csv: was changed since segengine wrote it; move it away, or choose another folder\n"
    )
    assert (tmp_path / "out/scores.csv").read_text() == "edited by hand"


def test_a_list_that_points_outside_its_folder_removes_nothing_there(make, tmp_path, said):
    experiment(make, tmp_path / "runs", TWO, 1)
    assert said("--out", "out")[0] == 0
    outside = tmp_path / "precious.txt"
    outside.write_text("mine")
    path = tmp_path / "out/files.json"
    document = json.loads(path.read_text())
    import hashlib

    document["files"]["../precious.txt"] = [hashlib.sha256(b"mine").hexdigest()]
    path.write_text(json.dumps(document))
    assert said("--out", "out")[0] == 0
    assert outside.read_text() == "mine"


def test_a_refusal_ends_with_2_and_writes_nothing(make, tmp_path, said):
    experiment(make, tmp_path / "runs", {"resnet": 0.9}, 1)
    experiment(
        make, tmp_path / "runs", {"vgg": 0.6, "swin": 0.7}, 1, data={"fingerprint": "bbbb", "images": {"test": 30}}
    )
    code, _, err = said("--html", "page.html", "--out", "out")
    assert code == 2
    assert "data fingerprint" in err
    assert err.endswith("nothing was written\n")
    assert not (tmp_path / "page.html").exists()
    assert not (tmp_path / "out").exists()


def test_several_experiments_share_a_page_and_have_a_folder_each(make, tmp_path, said):
    experiment(make, tmp_path / "runs", TWO, 1, experiment="first", title="Organs, once")
    experiment(make, tmp_path / "runs", TWO, 1, experiment="second", title="Organs, again")
    code, _, _ = said("--html", "page.html", "--out", "out")
    assert code == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<article") == 2
    assert '<a href="#c2-top">Organs, again</a>' in page
    below = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert below == ["01-organs-once", "02-organs-again", "files.json"]
    assert (tmp_path / "out/02-organs-again/figures/classes.svg").exists()


def test_latex_takes_every_name_literally():
    assert latex_text(r"50 % of {a_b} & $c$ \d #1 ~^") == (
        r"50 \% of \{a\_b\} \& \$c\$ \textbackslash{}d \#1 \textasciitilde{}\textasciicircum{}"
    )
    table = table_of(
        "scores", "Dice & more", ("variant", "mean"), [[Cell("a_1"), Cell("0.9", 0.9, "0.8 to 1.0", best=True)]]
    )
    assert r"    a\_1 & \textbf{0.9} (0.8 to 1.0) \\" in latex(table).splitlines()
    assert r"\caption{Dice \& more}" in latex(table)
    assert latex_text("-1.20 to +3.00 (-0.50 to 2)") == "$-$1.20 to +3.00 ($-$0.50 to 2)"
    assert latex_text("vgg-11") == "vgg-11"


@pytest.mark.parametrize("pictures", ["0", "2"])
def test_a_page_without_pictures_loads_no_torch(make, tmp_path, pictures):
    experiment(make, tmp_path / "runs", TWO, 1)
    code = (
        "import sys\nfrom segengine.cli.main import main\ntry:\n    main(sys.argv[1:])\nfinally:\n"
        "    print('heavy:', sorted({'torch', 'cv2', 'matplotlib'} & set(sys.modules)))\n"
    )
    arguments = ["compare", "--resamples", "100", "--html", "page.html", "--pictures", pictures]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout.splitlines()[-1] == "heavy: []") == (pictures == "0")
