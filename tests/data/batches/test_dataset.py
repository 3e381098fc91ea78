import os
import pickle
import time

import cv2
import numpy as np
import pytest
from PIL import Image

from segengine.components.mask_mappers import GrayIndex
from segengine.data.batches import cache as cache_module
from segengine.data.batches.cache import Disk, Memory
from segengine.data.batches.dataset import prepare
from segengine.data.files.windows import Windowing
from segengine.data.sources.folders import FolderPlan, read_folders
from segengine.data.sources.records import Record
from segengine.data.sources.splits import Folds, Fractions
from segengine.errors import DataError

HALVES = Fractions(0.5, 0.25, 0.25)


def mask(seed, size=(20, 24)):
    canvas = np.zeros(size, np.uint8)
    cv2.circle(canvas, (8 + seed % 5, 10), 6, 63, -1)
    return canvas


@pytest.fixture
def root(tmp_path):
    for i in range(8):
        write(tmp_path, f"p{i // 2}_{i}", i)
    return tmp_path


def write(root, name, seed, image=None, truth=None):
    rng = np.random.default_rng(seed)
    for folder, array in (
        ("images", rng.integers(0, 256, (20, 24), dtype=np.uint8) if image is None else image),
        ("masks", mask(seed) if truth is None else truth),
    ):
        (root / folder).mkdir(exist_ok=True)
        Image.fromarray(array).save(root / folder / f"{name}.png")


def data(root, *, split=HALVES, mapper=None, **options):
    component = mapper or GrayIndex()
    build = lambda found: component.build(classes=None, found=found)  # noqa: E731
    return prepare(read_folders(FolderPlan(root)), build_mapper=build, split=split, **options)


def test_all_is_known_before_training(root):
    found = data(root)
    assert [r.id for r in found.records] == sorted(r.id for r in found.records)
    assert {name: len(i) for name, i in found.splits.items()} == {"train": 4, "validation": 2, "test": 2}
    assert found.channels == 1
    assert found.window == Windowing()
    assert found.sizes.tolist() == [[20, 24]] * 8
    assert found.class_pixels.sum() == 8 * 20 * 24
    assert found.warnings == ()
    image, classes = found.pair(3)
    assert (image.shape, image.dtype, classes.dtype) == ((20, 24, 1), np.uint8, np.uint8)
    assert np.bincount(classes.ravel(), minlength=2).tolist() == found.class_pixels[3].tolist()


@pytest.mark.parametrize("kind", ["none", "ram", "disk", "device"])
def test_every_cache_gives_the_same_pairs(root, tmp_path, kind):
    plain, kept = data(root, cache="none"), data(root, cache=kind, cache_folder=tmp_path / "cache")
    for i in range(8):
        for one, two in zip(plain.pair(i), kept.pair(i), strict=True):
            assert np.array_equal(one, two)


def test_cached_pairs_cannot_be_changed(root, tmp_path):
    for kind in ("ram", "disk"):
        image, classes = data(root, cache=kind, cache_folder=tmp_path / "cache").pair(0)
        for array in (image, classes):
            with pytest.raises(ValueError, match="read-only"):
                array[0, 0] = 1


def test_a_changed_file_is_never_answered_from_the_disk(root, tmp_path):
    folder = tmp_path / "cache"
    before = data(root, cache="disk", cache_folder=folder)
    path = before.records[0].mask
    stat = path.stat()
    Image.fromarray(mask(3)).save(path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    after = data(root, cache="disk", cache_folder=folder)
    assert np.array_equal(after.pair(0)[1], (mask(3) == 63).astype(np.uint8))


def test_another_mapping_or_channels_are_other_entries(root, tmp_path):
    folder = tmp_path / "cache"
    plain = data(root, cache="disk", cache_folder=folder)
    turned = data(root, cache="disk", cache_folder=folder, mapper=GrayIndex(values=[63, 0]), channels=3)
    assert np.array_equal(turned.pair(0)[1], 1 - plain.pair(0)[1])
    assert turned.pair(0)[0].shape == (20, 24, 3)
    assert isinstance(plain.pairs, Disk)
    assert not set(plain.pairs.keys) & set(turned.pairs.keys)


def test_what_no_run_has_needed_for_30_days_leaves_the_disk(root, tmp_path):
    folder = tmp_path / "cache"
    data(root, cache="disk", cache_folder=folder)
    days = 24 * 3600
    needed, (unneeded, recent, foreign) = sorted(folder.rglob("*.npy")), (
        folder / "ab" / f"{name}" for name in ("old.image.npy", "new.image.npy", "notes.txt")
    )  # fmt: skip
    for path, age in [*((path, 40) for path in needed), (unneeded, 31), (recent, 29), (foreign, 400)]:
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.utime(path, (time.time() - age * days,) * 2)
    data(root, cache="disk", cache_folder=folder)
    assert sorted(p for p in folder.glob("??/*") if p.is_file()) == sorted([*needed, recent, foreign])
    assert all(time.time() - path.stat().st_mtime < days for path in needed)


def test_the_disk_cache_is_in_the_users_cache_folder(root, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    data(root, cache="disk")
    assert len(list((tmp_path / "mine" / "segengine").rglob("*.image.npy"))) == 8


def test_a_damaged_entry_is_made_anew(root, tmp_path):
    found = data(root, cache="disk", cache_folder=tmp_path / "cache")
    expected = np.array(found.pair(0)[0])
    for path in (tmp_path / "cache").rglob("*.npy"):
        path.write_bytes(b"rubbish")
    assert np.array_equal(found.pair(0)[0], expected)


def test_auto_takes_memory_only_where_it_fits(root, monkeypatch):
    assert isinstance(data(root).pairs, Memory)
    monkeypatch.setattr(cache_module, "available_bytes", lambda: 8 * 20 * 24 * 2 * 2 - 1)
    found = data(root)
    assert not isinstance(found.pairs, Memory)
    assert "data.cache: auto decodes images in every epoch" in found.warnings[0]
    [note] = (note for note in data(root, cache="device").warnings if "data.cache" in note)
    assert note.startswith(
        "data.cache: device decodes validation and test images in every evaluation: decoded images take"
    )
    with pytest.raises(DataError, match=r"data.cache: ram: decoded images take .* at most half is used"):
        data(root, cache="ram")


def test_a_dataset_travels_to_worker_processes(root):
    found = data(root, cache="none")
    assert np.array_equal(pickle.loads(pickle.dumps(found.pairs))(0)[0], found.pair(0)[0])


def test_the_fingerprint_knows_files_and_splits_and_no_place(root, tmp_path):
    first = data(root).fingerprint
    assert first == data(root).fingerprint
    copy = tmp_path / "elsewhere"
    for path in [*root.glob("images/*"), *root.glob("masks/*")]:
        target = copy / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    assert data(copy).fingerprint == first
    assert data(root, split=Fractions(0.5, 0.25, 0.25, seed=1)).fingerprint != first
    write(root, "p0_0", 99)
    assert data(root).fingerprint != first


def test_sizes_that_differ_are_both_named(root):
    Image.fromarray(mask(0, (24, 20))).save(root / "masks" / "p0_0.png")
    with pytest.raises(DataError, match=r"p0_0\.png is 24x20 and its mask .*p0_0\.png 20x24 \(width x height\).*EXIF"):
        data(root)
    Image.fromarray(mask(0, (10, 12))).save(root / "masks" / "p0_0.png")
    with pytest.raises(DataError, match=r"is 24x20 and its mask .* 12x10 .*give the mask the image's size$"):
        data(root)


def test_a_broken_image_is_found_before_training(root):
    path = root / "images" / "p1_3.png"
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(DataError, match=r"images/p1_3\.png: can't be decoded"):
        data(root, cache="none")


def test_an_unknown_value_names_its_mask_and_true_pixel_count(root):
    canvas = mask(0)
    canvas[0, :5] = 7
    Image.fromarray(canvas).save(root / "masks" / "p0_0.png")

    class Strict(GrayIndex):
        def build(self, *, classes, found):
            from segengine.data.masks.mappers import GrayMapper
            from segengine.data.masks.mapping import Label

            labels = (Label(0, "b", 0, (0, 0, 0)), Label(1, "x", 63, (1, 1, 1)))
            return GrayMapper(labels, (), found.encoding)

    with pytest.raises(DataError, match=r"masks/p0_0\.png: 5 pixels with value 7, .*nearest known value is 0"):
        data(root, mapper=Strict())


def test_gray_images_beside_colour_images_become_colour_and_it_is_said(root):
    write(root, "p0_0", 0, image=np.zeros((20, 24, 3), np.uint8))
    found = data(root)
    assert found.channels == 3
    assert found.warnings == ("7 of 8 images are gray; the channel is repeated three times",)
    with pytest.raises(DataError, match=r"has 3 channels and data.channels is 5|has 1 channels and data.channels is 5"):
        data(root, channels=5)


def test_an_automatic_window_is_that_of_the_training_images(root):
    ramp = np.arange(480, dtype=np.uint16).reshape(20, 24) * 2
    for i in range(8):
        write(root, f"p{i // 2}_{i}", i, image=ramp + np.uint16(1000 * i))
    found = data(root)
    training = np.concatenate([(ramp + 1000 * i).ravel() for i in found.splits["train"]])
    expected = [float(p) for p in np.percentile(training, (0.5, 99.5))]
    assert np.allclose(found.window.common, [expected])
    assert f"data.window: auto is [{expected[0]:g}, {expected[1]:g}]" in found.warnings[0]
    assert data(root, window=(0, 8000)).pair(0)[0].max() == round(958 * 255 / 8000)
    with pytest.raises(DataError, match=r"has 16 bits per value; set data.window: auto"):
        data(root, window=None)


def test_eight_bits_among_sixteen_are_refused(root):
    write(root, "p0_0", 0, image=np.zeros((20, 24), np.uint16))
    with pytest.raises(DataError, match=r"p0_0\.png has 16 bits per value and .*p0_1\.png 8"):
        data(root)


def test_equal_images_in_two_splits_are_said(root):
    for i in range(8):
        write(root, f"p{i // 2}_{i}", 5)
    assert "identical content in several splits" in " ".join(data(root).warnings)


def test_a_class_without_training_pixels_is_said(root):
    found = data(root, mapper=GrayIndex(values=[0, 63, 126]))
    assert "1 listed value not found in any mask: 126" in found.warnings
    assert "1 class not found in any train mask: 126" in found.warnings


def test_images_without_mask_are_left_out_and_said(root):
    records = [*read_folders(FolderPlan(root)), Record("x", root / "x.png", None, "x")]
    found = prepare(records, build_mapper=lambda s: GrayIndex().build(classes=None, found=s), split=HALVES)
    assert len(found.records) == 8
    assert found.warnings == ("skipped, no mask: 1 image (x)",)


def test_training_and_validation_need_images(root):
    with pytest.raises(DataError, match="there are no validation images"):
        data(root, split=Fractions(1.0, 0.0))


def test_groups_and_folds_reach_the_records(root):
    found = data(root, split=Folds(4, 0.4, by="group", group=r"^(p\d)"), fold=1)
    assert {r.group for r in found.records} == {"p0", "p1", "p2", "p3"}
    assert len(found.splits["test"]) == 2


def test_progress_tells_what_is_done(root):
    told = set()
    data(root, progress=lambda what, done, total: told.add((what, total)))
    assert told == {("masks", 8), ("images", 8), ("decoding", 8)}


def test_all_training_pixels_ignored_is_an_error(root):
    class Blind(GrayIndex):
        def build(self, *, classes, found):
            from segengine.data.masks.mappers import GrayMapper
            from segengine.data.masks.mapping import Label

            labels = (Label(0, "b", 1, (0, 0, 0)), Label(1, "x", 2, (1, 1, 1)))
            return GrayMapper(labels, (0, 63), found.encoding)

    with pytest.raises(DataError, match="all train pixels are ignored"):
        data(root, mapper=Blind())
