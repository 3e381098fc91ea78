"""The run folder: its state, its record, who works in it, and where it goes when set aside."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from segengine.errors import RunError
from segengine.runs import names
from segengine.runs.find import find_runs
from segengine.runs.folder import RunFolder
from segengine.runs.provenance import git_state, now, versions
from segengine.runs.record import read_record

COMPLETE = {
    "status": "finished", "experiment": "abdomen", "variant": "vgg11", "seed": 0,
    "data": {"fingerprint": "ab12", "images": {"train": 3, "test": 2}},
    "labels": [{"index": k, "name": name, "raw": 63 * k, "colour": [k, k, k]} for k, name in enumerate(["background", "liver"])],
    "metric_policy": {"averaged": ["liver"], "left_out": ["background"], "undefined": "left out"},
}  # fmt: skip


def made(path, **changes):
    path.mkdir(parents=True, exist_ok=True)
    folder = RunFolder(path)
    folder.update(**(COMPLETE | changes))
    return folder


def test_what_is_written_is_read_as_a_typed_record(tmp_path):
    record = read_record(made(tmp_path / "a", something_new=7, parameters=12))
    assert record.classes == ("background", "liver")
    assert record.metric_policy.averaged == ("liver",)
    assert (record.status, record.seed, record.fold, record.parameters) == ("finished", 0, None, 12)
    assert record.model_extra is not None
    assert record.model_extra["something_new"] == 7


def test_an_update_keeps_the_other_facts(tmp_path):
    folder = made(tmp_path / "a")
    folder.update(status="failed", message="out of memory")
    assert read_record(folder).message == "out of memory"
    assert read_record(folder).variant == "vgg11"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"format": 1, "sta', "not readable"),
        ("[1, 2]", "not readable"),
        ("{}", "not readable"),
        ('{"format": 99}', "has format 99; this version of segengine reads format 1"),
        ('{"format": 1, "status": "finished"}', "experiment: Field required"),
    ],
)
def test_a_broken_record_is_named_with_its_file(tmp_path, text, said):
    (tmp_path / names.RUN).write_text(text)
    with pytest.raises(RunError, match=said) as error:
        read_record(RunFolder(tmp_path))
    assert str(tmp_path / names.RUN) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"a: [", b"", b"- 1", b"\xff\xfe\x00", None])
def test_broken_settings_are_named_with_their_file(tmp_path, content):
    if content is not None:
        (tmp_path / names.SPEC).write_bytes(content)
    with pytest.raises(RunError, match="the run folder is damaged") as error:
        RunFolder(tmp_path).spec()
    assert str(error.value).startswith(f"{tmp_path / names.SPEC}: not readable (")
    assert "\n" not in str(error.value)


def test_a_folder_without_a_record_is_no_run(tmp_path):
    with pytest.raises(RunError, match=r"not a run folder, it has no run\.json"):
        read_record(RunFolder(tmp_path))


def test_a_run_set_aside_is_kept_but_no_longer_found(tmp_path):
    folder = made(tmp_path / "abdomen" / "vgg11-seed0")
    target = folder.set_aside()
    assert not folder.exists
    assert json.loads((target / names.RUN).read_text())["variant"] == "vgg11"
    assert find_runs(tmp_path) == []
    made(folder.path)
    assert folder.set_aside() != target


def test_runs_are_found_at_any_depth_in_order_of_their_path(tmp_path):
    for name in ("b/x-seed1", "a/y-seed0", "b/x-seed0", "c"):
        made(tmp_path / name)
    made(tmp_path / ".hidden" / "z")
    assert [run.path.relative_to(tmp_path).as_posix() for run in find_runs(tmp_path)] == [
        "a/y-seed0",
        "b/x-seed0",
        "b/x-seed1",
        "c",
    ]
    assert find_runs(tmp_path / "c") == [RunFolder(tmp_path / "c")]
    assert find_runs(tmp_path / "nowhere") == []


_HOLDER = """
import os, sys, time
from pathlib import Path
from segengine.runs.folder import RunFolder
with RunFolder(Path(sys.argv[1])).locked():
    if sys.argv[2] == "alone" or os.fork() == 0:  # the child speaks once it is past what runs at a fork
        print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("children", ["alone", "fork"])
def test_a_run_is_held_by_one_process_and_free_once_that_is_killed(tmp_path, children):
    # With "fork" a child lives on, as data-loading workers do for some seconds: it must not keep the lock.
    folder = RunFolder(tmp_path / "run")
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(folder.path), children], stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RunError, match="another process is working on this run"), folder.locked():
            pytest.fail("two processes hold one run")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with folder.locked():
            assert (folder.path / names.LOCK).exists()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(holder.pid, signal.SIGKILL)
        holder.wait()
        holder.stdout.close()


def test_a_repository_is_named_with_its_commit_and_whether_it_changed(tmp_path, monkeypatch):
    for name in [key for key in os.environ if key.startswith("GIT_")]:
        monkeypatch.delenv(name)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    (tmp_path / "x").write_text("1")
    for arguments in (["init", "-q"], ["add", "x"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *arguments], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert git_state(tmp_path) == {"commit": commit, "changed": False}
    (tmp_path / "x").write_text("2")
    assert git_state(tmp_path) == {"commit": commit, "changed": True}


def test_no_repository_and_no_git_are_no_error(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state(tmp_path) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) is None


def test_versions_and_time_are_told_without_importing_torch():
    code = "import sys; from segengine.runs.provenance import versions; v = versions(); assert 'torch' not in sys.modules; print(sorted(v))"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "'torch'" in said
    assert versions()["python"] == ".".join(map(str, sys.version_info[:3]))
    assert time.strptime(now(), "%Y-%m-%dT%H:%M:%S+00:00").tm_year >= 2024


def test_the_file_of_gray_values_has_the_same_name_in_a_run_folder_and_beside_the_data() -> None:
    from segengine.data.masks.gray_values import FILE
    from segengine.runs import names

    assert names.GRAY_VALUES == FILE
