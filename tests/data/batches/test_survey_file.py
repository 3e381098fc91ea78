"""What is known about files is kept between starts, and every change of a file is noticed."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segengine.data.batches import shared_pairs
from segengine.data.batches import survey_file as module
from segengine.data.batches.cache import Memory
from segengine.data.batches.dataset import prepare
from segengine.data.batches.survey_file import survey_file
from segengine.data.files import decoding
from segengine.data.masks.gray_values import choose_values
from segengine.data.masks.labels import make_labels
from segengine.data.masks.mappers import GrayMapper
from segengine.data.sources.folders import FolderPlan, read_folders
from segengine.data.sources.splits import Fractions

GROUPED = Fractions(0.4, 0.3, 0.3, by="group", group="^(p[0-3])")
HERE = Path(__file__).parents[3]


def write(root, name, seed, *, top=3, size=(16, 12)):
    rng = np.random.default_rng(seed)
    for kind, values in (("images", rng.integers(0, 256, (*size, 3))), ("masks", rng.integers(0, top, size))):
        (root / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(values.astype(np.uint8)).save(root / kind / f"{name}.png")


@pytest.fixture
def root(tmp_path):
    for number in range(10):
        write(tmp_path / "data", f"p{number}", number)
    return tmp_path / "data"


@pytest.fixture
def decoded(monkeypatch):
    """The files that are decoded."""
    names, real = [], decoding.format_of

    def counted(path, content):
        names.append(f"{path.parent.name}/{path.stem}")
        return real(path, content)

    monkeypatch.setattr(decoding, "format_of", counted)
    return names


def mapper_of(found):
    chosen = choose_values(found, None, (), repair=False, named=None)
    return GrayMapper(make_labels(chosen.values, None, found), (), found.encoding)


def started(root, cache_folder, **settings):
    records = read_folders(FolderPlan(root))
    settings = {"cache": "none", "split": Fractions(0.6, 0.2, 0.2), **settings}
    return prepare(records, build_mapper=mapper_of, cache_folder=cache_folder, **settings)


def facts(dataset):
    return (
        dataset.fingerprint, dataset.digests, dataset.sizes.tolist(), dataset.class_pixels.tolist(), dataset.labels,
        dataset.warnings, dataset.channels,
    )  # fmt: skip


def later(seconds, monkeypatch):
    """As if `seconds` had passed since the files were written."""
    monkeypatch.setattr(module.time, "time", lambda now=module.time.time: now() + seconds)


def test_a_second_start_decodes_nothing_and_finds_the_same(root, tmp_path, decoded, monkeypatch):
    later(10, monkeypatch)
    first = started(root, tmp_path / "cache")
    assert sorted(set(decoded)) == sorted(f"{kind}/p{n}" for kind in ("images", "masks") for n in range(10))
    decoded.clear()
    second = started(root, tmp_path / "cache")
    assert decoded == []
    assert facts(second) == facts(first)


@pytest.mark.parametrize("kind", ["gray", "rgb", "palette", "16 bits", "1 bit"])
def test_what_is_kept_about_masks_of_any_encoding_is_what_was_found(tmp_path, monkeypatch, kind):
    later(10, monkeypatch)
    paths = []
    for n in range(3):
        plane = np.random.default_rng(n).integers(0, 2 if kind == "1 bit" else 5, (9, 7)).astype(np.uint8)
        image = Image.fromarray(plane)
        if kind == "rgb":
            image = Image.fromarray(np.stack([plane, plane * 7, plane * 0], axis=-1))
        elif kind == "16 bits":
            image = Image.fromarray(plane.astype(np.uint16) * 3000)
        elif kind == "1 bit":
            image = Image.fromarray(plane.astype(bool))
        elif kind == "palette":
            image.putpalette([11 * i % 256 for i in range(768)])
        paths.append(tmp_path / f"m{n}.png")
        image.save(paths[-1])
    found = []
    for _ in range(2):
        with survey_file(tmp_path, tmp_path / "cache") as known:
            masks = known.masks(paths)
            found.append((masks, known.shapes(masks)))
    (one, shapes), (two, same_shapes) = found
    assert shapes == same_shapes
    for before, after in zip(one, two, strict=True):
        assert before is not after
        assert (before.values == after.values).all()
        assert before.values.dtype == after.values.dtype
        assert before.values.shape == after.values.shape
        assert (before.pixels == after.pixels).all()
        bare = {"values": None, "pixels": None}
        assert replace(before, **bare).__dict__ == replace(after, **bare).__dict__


def change_content(root):
    write(root, "p3", 99)


def change_mask_in_place(root):
    path = root / "masks" / "p3.png"
    before, stat = path.read_bytes(), path.stat()
    image = np.array(Image.open(path))
    image[0, :2] = image[0, 1::-1] if image[0, 0] != image[0, 1] else (image[0, 0] + 1) % 3
    while True:  # another content of the same size
        Image.fromarray(image).save(path, compress_level=0)
        if path.read_bytes() != before:
            break
        image[1, 0] = (image[1, 0] + 1) % 3
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def add(root):
    write(root, "p77", 77)


def remove(root):
    for kind in ("images", "masks"):
        (root / kind / "p3.png").unlink()


@pytest.mark.parametrize("change", [change_content, change_mask_in_place, add, remove])
def test_a_changed_added_or_removed_file_is_noticed_and_only_that_is_decoded(
    root, tmp_path, decoded, monkeypatch, change
):
    if change is change_mask_in_place:
        for path in (root / "masks").glob("*"):
            Image.open(path).save(path, compress_level=0)
    later(10, monkeypatch)
    first = started(root, tmp_path / "cache")
    change(root)
    decoded.clear()
    second = started(root, tmp_path / "cache")
    images_decoded = {name for name in decoded if name.startswith("images")}
    assert images_decoded == {change_content: {"images/p3"}, add: {"images/p77"}}.get(change, set())
    assert second.fingerprint != first.fingerprint
    assert facts(second) == facts(started(root, tmp_path / "another cache"))


def test_a_file_that_changed_within_the_resolution_of_time_stamps_is_noticed(root, tmp_path, monkeypatch):
    """With coarse time stamps a file can change and keep size and times; the content decides for fresh files."""
    first = started(root, tmp_path / "cache")
    frozen = {path: module.FileState.of(path) for path in root.rglob("*.png")}
    write(root, "p3", 99)
    monkeypatch.setattr(module.FileState, "of", classmethod(lambda _, path: frozen[path]))
    assert started(root, tmp_path / "cache").fingerprint != first.fingerprint


def test_a_damaged_survey_file_is_made_anew(root, tmp_path, decoded, monkeypatch):
    later(10, monkeypatch)
    first = started(root, tmp_path / "cache")
    [path] = (tmp_path / "cache/surveys").glob("*.npz")
    content = path.read_bytes()
    for damaged in (
        content[: len(content) // 2],
        b"",
        b"PK\x05\x06" + bytes(18),
        content[:200] + b"x" * 50 + content[250:],
    ):
        path.write_bytes(damaged)
        assert facts(started(root, tmp_path / "cache")) == facts(first)
    decoded.clear()
    started(root, tmp_path / "cache")
    assert decoded == []


def test_a_cache_folder_that_cannot_be_written_to_is_no_obstacle(root, tmp_path):
    (tmp_path / "cache").write_text("no folder")
    assert len(started(root, tmp_path / "cache").records) == 10


def test_a_later_split_or_a_part_of_the_data_uses_the_same_survey(root, tmp_path, decoded, monkeypatch):
    later(10, monkeypatch)
    started(root, tmp_path / "cache")
    decoded.clear()
    records = read_folders(FolderPlan(root))
    part = type(records)(records[:6], root=root)
    prepare(part, build_mapper=mapper_of, split=Fractions(0.5, 0.5, 0.0), cache_folder=tmp_path / "cache", cache="none")
    assert {name for name in decoded if name.startswith("images")} == set()
    started(root, tmp_path / "cache")
    assert {name for name in decoded if name.startswith("images")} == set()


@pytest.mark.parametrize("cache", ["auto", "ram", "disk", "device"])
def test_a_first_start_decodes_each_file_once(root, tmp_path, decoded, cache):
    dataset = started(root, tmp_path / "cache", cache=cache)
    plain = started(root, tmp_path / "other", cache="none")
    del decoded[20:]
    assert sorted(decoded) == sorted(f"{kind}/p{n}" for kind in ("images", "masks") for n in range(10))
    for index in range(10):
        for kept, anew in zip(dataset.pair(index), plain.pair(index), strict=True):
            assert (kept == anew).all()


@pytest.mark.parametrize("settings", [{"window": "auto"}, {"window": "per-image", "split": GROUPED}])
def test_16_bit_images_are_decoded_once_as_well_and_windows_are_kept(tmp_path, decoded, settings, monkeypatch):
    root = tmp_path / "data"
    for number in range(6):
        write(root, f"p{number}", number)
        values = np.random.default_rng(number).integers(0, 5000, (16, 12)).astype(np.uint16)
        Image.fromarray(values).save(root / "images" / f"p{number % 4}{number}.png")
        (root / "images" / f"p{number}.png").unlink()
        (root / "masks" / f"p{number}.png").rename(root / "masks" / f"p{number % 4}{number}.png")
    later(10, monkeypatch)
    first = started(root, tmp_path / "cache", cache="ram", **settings)
    assert len(decoded) == len(set(decoded)) == 12
    decoded.clear()
    second = started(root, tmp_path / "cache", **settings)
    assert decoded == []
    assert second.window == first.window
    assert second.warnings == first.warnings


def test_where_there_is_no_room_files_are_decoded_anew(root, tmp_path, decoded, monkeypatch):
    monkeypatch.setattr("segengine.data.batches.dataset.available_bytes", lambda: 2 * 1000)
    started(root, tmp_path / "cache", cache="ram")
    assert 20 < len(decoded) <= 60


RANK = """
import os, sys, json, time
from pathlib import Path
from segengine.data.files import decoding
real, names = decoding.format_of, []
def counted(path, content):
    names.append(str(path))
    return real(path, content)
decoding.format_of = counted
from segengine.data.batches.shared_pairs import SharedPairs
from tests.data.batches.test_survey_file import started
dataset = started(Path(sys.argv[1]), Path(sys.argv[2]), cache="ram", processes=2)
assert isinstance(dataset.pairs, SharedPairs), dataset.pairs
total = [int(image.sum()) + 7 * int(mask.sum()) for image, mask in map(dataset.pair, range(10))]
assert not dataset.pair(0)[0].flags.writeable
print(json.dumps([len(names), total]))
Path(sys.argv[2], f"mapped-{os.getpid()}").touch()
while len(list(Path(sys.argv[2]).glob("mapped-*"))) < 2:  # ranks of a run wait for each other
    time.sleep(0.05)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file that outlives its name")
def test_processes_of_a_machine_share_the_survey_and_one_memory(root, tmp_path):
    command = [sys.executable, "-c", RANK, str(root), str(tmp_path / "cache")]
    before = set(Path("/dev/shm").glob("segengine-pairs*"))
    ranks = [subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    found = [json.loads(rank.communicate(timeout=120)[0]) for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0]
    assert sorted(decodes for decodes, _ in found) == [0, 20]
    plain = started(root, tmp_path / "other")
    expected = [int(image.sum()) + 7 * int(mask.sum()) for image, mask in map(plain.pair, range(10))]
    assert [totals for _, totals in found] == [expected, expected]
    left = set(Path("/dev/shm").glob("segengine-pairs*")) - before
    assert left == set()


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file that outlives its name")
def test_where_shared_memory_is_too_small_the_cache_folder_is_used(root, tmp_path, monkeypatch):
    free = {shared_pairs._SHARED_MEMORY: 100, tmp_path / "cache/shared": 10**9}
    monkeypatch.setattr(shared_pairs, "_free_bytes", lambda place: free[place])
    dataset = started(root, tmp_path / "cache", cache="ram", processes=2)
    assert isinstance(dataset.pairs, shared_pairs.SharedPairs)
    assert [p.name for p in (tmp_path / "cache/shared").glob("*.processes")]
    free[tmp_path / "another/shared"] = 100
    assert isinstance(started(root, tmp_path / "another", cache="ram", processes=2).pairs, Memory)
    assert not list((tmp_path / "another/shared").iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file that outlives its name")
def test_a_process_that_ends_before_the_others_come_leaves_nothing_in_shared_memory(root, tmp_path):
    before = set(Path("/dev/shm").glob("segengine-pairs*"))
    code = RANK.partition("Path(sys.argv[2], ")[0]
    command = [sys.executable, "-c", code, str(root), str(tmp_path / "cache")]
    subprocess.run(command, cwd=HERE, stdout=subprocess.PIPE, check=True)
    assert set(Path("/dev/shm").glob("segengine-pairs*")) - before == set()
