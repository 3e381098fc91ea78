"""`segengine runs` tells how every run stands; `segengine runs rm` removes what it was told to, and nothing else."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from segengine.cli.main import main
from segengine.cli.runs import size_text
from segengine.runs.folder import RunFolder

HOLDER = (
    "import sys, time\nfrom pathlib import Path\nfrom segengine.runs.folder import RunFolder\n"
    "with RunFolder(Path(sys.argv[1])).locked():\n    print('held', flush=True)\n    time.sleep(60)\n"
)


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def make(root):
    """`make("vgg", 0, status="failed", message="...")`: a run folder of 1,000 bytes besides run.json."""

    def run(variant: str, seed: int = 0, experiment: str = "abdomen", **facts) -> RunFolder:
        folder = RunFolder(root / experiment / f"{variant}-seed{seed}")
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "checkpoints/last.pt").write_bytes(b"x" * 1000)
        folder.update(**{
            "status": "finished", "message": "", "experiment": experiment, "variant": variant, "seed": seed, "fold": None,
            "started": "2026-01-01T10:00:00+00:00", "ended": "2026-01-01T11:30:00+00:00",
            "scores": {"test": {"mean": {"dice": 0.875, "iou": 0.75, "over": ["liver"]}}},
        } | facts)  # fmt: skip
        return folder

    return run


@pytest.fixture
def said(capsys, monkeypatch):
    """Runs `segengine runs ...` with an answer on standard input: exit code, standard output, standard error."""

    def run(*arguments, answer: str = ""):
        reader, writer = os.pipe()
        os.write(writer, answer.encode())
        os.close(writer)
        with os.fdopen(reader) as given:
            monkeypatch.setattr("sys.stdin", given)
            with pytest.raises(SystemExit) as end:
                main(["runs", *map(str, arguments)])
        captured = capsys.readouterr()
        return end.value.code, captured.out, captured.err

    return run


@pytest.fixture
def holder(make):
    """A run that another process works on, and that process."""
    folder = make("held", status="running", ended=None, scores=None)
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder.path)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    yield folder, process
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


def states(said, root) -> dict:
    code, out, err = said(root, "--json")
    assert (code, err) == (0, "")
    return {Path(run["folder"]).name: run for run in json.loads(out)["runs"]}


def test_every_run_is_listed_with_state_size_scores_and_time(make, root, said):
    make("vgg")
    make("vgg", 1, status="failed", message="out of\nmemory", scores=None)
    make("vgg", 2, status="interrupted", message="continue with the same command", scores=None)
    code, out, err = said(root)
    assert (code, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0].startswith("abdomen: 3 runs, 3.")
    size = size_text((root / "abdomen/vgg-seed0/run.json").stat().st_size + 1000)
    assert f"{root}/abdomen/vgg-seed0 vgg 0 finished {size} 0.875 0.750 test 2026-01-01 11:30" in lines
    assert any(line.startswith(f"{root}/abdomen/vgg-seed1 vgg 1 failed") for line in lines)
    assert f"{root}/abdomen/vgg-seed1: out of memory" in lines
    assert any(line.startswith(f"{root}/abdomen/vgg-seed2 vgg 2 interrupted") for line in lines)


def test_json_has_the_same_and_folds(make, root, said):
    make("vgg", fold=2)
    found = states(said, root)["vgg-seed0"]
    size = (root / "abdomen/vgg-seed0/run.json").stat().st_size + 1000
    assert found == {
        "folder": str(root / "abdomen/vgg-seed0"), "experiment": "abdomen", "variant": "vgg", "seed": 0, "fold": 2,
        "state": "finished", "message": "", "bytes": size, "split": "test", "scores": {"dice": 0.875, "iou": 0.75},
        "when": "2026-01-01T11:30:00+00:00",
    }  # fmt: skip
    assert " fold " in said(root)[1]


def test_a_run_is_running_while_a_process_lives_and_killed_afterwards(holder, root, said):
    _, process = holder
    assert states(said, root)["held-seed0"]["state"] == "running"
    process.send_signal(signal.SIGKILL)
    process.wait()
    found = states(said, root)["held-seed0"]
    assert found["state"] == "killed"
    assert found["message"] == "its process is gone; `segengine run` resumes from the last checkpoint"


def test_a_damaged_run_is_listed_as_unreadable(make, root, said):
    (make("vgg").path / "run.json").write_text("{")
    found = states(said, root)["vgg-seed0"]
    assert (found["state"], found["experiment"]) == ("unreadable", "abdomen")
    assert "run.json: not readable" in found["message"]


def test_no_runs_are_said_and_no_folder_is_an_error(root, said):
    code, _, err = said(root)
    assert (code, err) == (2, f"error: {root}: no such folder; train runs with `segengine run SPEC`\n")
    root.mkdir()
    assert said(root) == (0, f"no runs in {root}\n", "")


def test_rm_shows_asks_and_removes_only_what_was_named(make, root, said):
    gone, kept = make("vgg"), make("resnet")
    code, out, _ = said("rm", gone.path, answer="n\n")
    assert (code, out.endswith("? [y/N]: nothing was removed\n")) == (0, True)
    assert f"{gone.path}: finished, 1." in out
    assert gone.exists
    code, out, _ = said("rm", gone.path, answer="y\n")
    assert code == 0
    assert "delete 1 folder, 1." in out
    assert "removed 1 folder, 1." in out.splitlines()[-1]
    assert (gone.path.exists(), kept.exists) == (False, True)
    assert not (root / "abdomen/.old").exists()


def test_rm_without_an_answer_removes_nothing_and_yes_does_not_ask(make, root, said):
    folder = make("vgg")
    code, _, err = said("rm", folder.path)
    assert (code, err.splitlines()[-1]) == (
        2,
        "error: nothing was removed: no confirmation was given; --yes removes without one",
    )
    assert folder.exists
    code, out, err = said("rm", folder.path, "--yes")
    assert (code, err) == (0, "")
    assert "[y/N]" not in out
    assert not (root / "abdomen").exists()  # the experiment had no other run


def test_rm_refuses_what_is_no_run_and_then_removes_nothing_at_all(make, root, said, tmp_path):
    folder = make("vgg")
    link = tmp_path / "link"
    link.symlink_to(folder.path)
    code, out, err = said("rm", "--yes", folder.path, root / "abdomen", link, tmp_path / "nowhere", tmp_path)
    assert (code, out) == (2, "")
    assert err == (
        f"error: {root}/abdomen: not a run folder: it has no run.json; runs in it: {folder.path}\n"
        f"error: {link}: is a link to {folder.path}; name that folder\n"
        f"error: {tmp_path}/nowhere: no such folder\n"
        f"error: {tmp_path}: not a run folder: it has no run.json; runs in it: {folder.path}\n"
        "error: nothing was removed\n"
    )
    assert folder.exists


def test_rm_refuses_a_run_that_a_process_works_on(holder, said):
    folder, _ = holder
    code, out, err = said("rm", "--yes", folder.path)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {folder.path}: a process is working on this run; stop it first\n")
    assert folder.exists


def test_what_links_in_a_run_point_to_stays_and_counts_nothing(make, root, said, tmp_path):
    folder = make("vgg")
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/data.bin").write_bytes(b"x" * 50_000)
    (tmp_path / "precious/last.pt").write_bytes(b"x" * 50_000)
    (folder / "figures").symlink_to(tmp_path / "precious")
    (folder / "log.txt").symlink_to(tmp_path / "precious/data.bin")
    assert states(said, root)["vgg-seed0"]["bytes"] < 5_000
    assert said("rm", "--yes", folder.path)[0] == 0
    assert [path.name for path in folder.path.iterdir()] == ["figures"]  # a link that no run wrote
    assert sorted(path.name for path in (tmp_path / "precious").iterdir()) == ["data.bin", "last.pt"]


def test_rm_leaves_what_no_run_wrote_and_names_it(make, root, said):
    folder = make("vgg")
    for name in (
        "photo.png",
        "checkpoints/mine.bin",
        "notes/today.txt",
        "figures/one.png",
        "counts/test.csv",
        "spec.yaml.bak",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("x")
    code, out, _ = said("rm", "--yes", folder.path)
    assert code == 0
    assert out.splitlines()[-5:] == [
        f"removed 1 folder, {out.splitlines()[0].rpartition(', ')[2]}, except files that no run wrote:",
        *(
            f"  {folder.path}/{name}"
            for name in ("checkpoints/mine.bin", "notes/today.txt", "photo.png", "spec.yaml.bak")
        ),
    ]
    assert sorted(p.relative_to(folder.path).as_posix() for p in folder.path.rglob("*") if p.is_file()) == [
        "checkpoints/mine.bin", "notes/today.txt", "photo.png", "spec.yaml.bak",
    ]  # fmt: skip
    assert [path.name for path in (root / "abdomen").iterdir()] == ["vgg-seed0"]


@pytest.mark.parametrize(
    "document", ['{"name": "holiday"}', '{"format": 1}', "[]", "no json", '{"format": 2, "status": "finished"}']
)
def test_rm_refuses_photos_beside_another_programs_run_json(tmp_path, said, document):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/run.json").write_text(document)
    (tmp_path / "photos/report.html").write_text("mine")
    code, _, err = said("rm", "--yes", tmp_path / "photos")
    assert (code, err) == (
        2,
        f"error: {tmp_path}/photos: its run.json is not that of a run; remove the folder by other means\n"
        "error: nothing was removed\n",
    )
    assert (tmp_path / "photos/report.html").exists()


def test_a_run_that_lost_its_run_json_is_listed_as_damaged(make, root, said):
    folder = make("vgg")
    (folder / "spec.yaml").write_text("{}")
    (folder / "experiment.yaml").write_text("{}")
    (folder / "run.json").unlink()
    found = states(said, root)["vgg-seed0"]
    assert (found["state"], found["message"]) == (
        "unreadable", f"{folder.path}: its run.json is missing; the run folder is damaged",
    )  # fmt: skip


def test_what_was_set_aside_stays_unless_asked_for(make, root, said):
    make("vgg").set_aside()
    make("vgg", 1).set_aside()
    folder = make("vgg")
    assert "set aside by --fresh: 1 earlier run, 1." in said(root)[1]
    assert said("rm", "--yes", folder.path)[0] == 0
    assert len(list((root / "abdomen/.old").iterdir())) == 2
    folder = make("vgg")
    code, out, _ = said("rm", "--yes", "--aside", folder.path)
    assert code == 0
    assert "set aside, 1." in out
    (left,) = (root / "abdomen/.old").iterdir()
    assert left.name.startswith("vgg-seed1-")


def test_an_earlier_run_can_be_named_itself(make, root, said):
    aside = make("vgg").set_aside()
    make("vgg")
    assert said("rm", "--yes", aside)[0] == 0
    assert sorted(path.name for path in (root / "abdomen").iterdir()) == ["vgg-seed0"]


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (35_200_000, "35.2 MB"), (2_500_000_000_000, "2500.0 GB")],
)
def test_sizes_have_units(size, words):
    assert size_text(size) == words


def test_listing_imports_nothing_heavy(make, root):
    make("vgg")
    code = (
        "import sys\nfrom segengine.cli.main import main\n"
        "try:\n    main(['runs', sys.argv[1]])\nfinally:\n"
        "    heavy = {'torch', 'numpy', 'timm', 'albumentations', 'cv2', 'matplotlib', 'scipy'}\n"
        "    print('heavy:', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(root)], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("heavy: []\n")


@pytest.mark.parametrize(
    "scores", [{"test": None}, {"test": {"mean": None}}, {"test": {"mean": {"dice": "high"}}}, [], {"test": []}]
)
def test_scores_that_are_none_are_dashes(make, root, said, scores):
    make("vgg", scores=scores)
    code, out, err = said(root)
    assert (code, err) == (0, "")
    assert "finished" in out
