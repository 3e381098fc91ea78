"""Images and masks in several files, groups from folders, tiles, lists in any form, and tables."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from segengine.components.mask_mappers import Foreground
from segengine.data.files.decoding import decode
from segengine.data.files.reading import read_image, read_mask
from segengine.data.masks.survey import survey_masks
from segengine.data.sources.folders import FolderPlan, read_folders
from segengine.data.sources.patterns import check_pattern, find, literal
from segengine.data.sources.table import TablePlan, read_pairs
from segengine.errors import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def save(path: Path, values) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(path)


def files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*")}


def test_one_mask_a_class_becomes_one_mask_in_the_order_given(tmp_path):
    root = tmp_path / "data"
    save(root / "images/a.jpg", np.zeros((4, 4, 3)))
    save(root / "masks/Rust/a.png", [[255, 0, 0, 0]] * 4)
    save(root / "masks/Crack/a.png", [[0, 255, 120, 0]] * 4)
    before = files(root)
    plan = FolderPlan(root, "images/*", "masks/{class}/*")
    (record,) = read_folders(plan)
    assert read_mask(record.mask).tolist() == [[2, 1, 0, 0]] * 4
    (record,) = read_folders(FolderPlan(root, "images/*", "masks/{class}/*", class_order=("Rust", "Crack")))
    assert read_mask(record.mask).tolist() == [[1, 2, 0, 0]] * 4
    assert files(root) == before
    with pytest.raises(DataError, match=r"masks match Crack, missing from data\.source.class_order"):
        read_folders(FolderPlan(root, "images/*", "masks/{class}/*", class_order=("Rust",)))


def test_one_mask_an_object_becomes_one_mask_and_follows_its_files(tmp_path):
    for name in ("x", "y"):
        save(tmp_path / name / "images" / f"{name}.png", np.zeros((3, 3, 3)))
        for k in range(3):
            save(tmp_path / name / "masks" / f"{k}abc.png", np.eye(3) * 255 if k == 0 else np.zeros((3, 3)))
    plan = FolderPlan(tmp_path, "*/images/{any}", "*/masks/{object}")
    assert [read_mask(r.mask).tolist() for r in read_folders(plan)] == [np.eye(3).tolist()] * 2
    save(tmp_path / "x/masks/0abc.png", np.ones((3, 3)))
    assert read_mask(read_folders(plan)[0].mask).all()
    save(tmp_path / "x/masks/1abc.png", np.ones((3, 4)))
    with pytest.raises(DataError, match=r"1abc.png is 4x3 and .*0abc.png 3x3 .*must have the same size"):
        read_folders(plan)


def test_channels_in_several_files_become_one_image(tmp_path):
    for i in (1, 2):
        for c in range(4):
            save(tmp_path / f"imagesTr/case_{i}_000{c}.png", np.full((5, 6), 10 * i + c))
        save(tmp_path / f"labelsTr/case_{i}.png", np.zeros((5, 6)))
    records = read_folders(FolderPlan(tmp_path, "images{split}/*_{channel}.png", "labels{split}/*.png"))
    assert [r.split for r in records] == ["train", "train"]
    image = read_image(records[1].image)
    assert image.shape == (5, 6, 4)
    assert image[0, 0].tolist() == [20, 21, 22, 23]
    assert records[0].image.stem == "case_1_0000"  # what group patterns look at


def test_a_folder_can_be_the_group_and_only_some_splits_used(tmp_path):
    for split, patient in (("train", "p1"), ("train", "p2"), ("Test", "p3")):
        save(tmp_path / split / patient / "img/1.png", np.zeros((2, 2)))
        save(tmp_path / split / patient / "seg/1.png", np.zeros((2, 2)))
    plan = FolderPlan(tmp_path, "{split}/{group}/img/*", "{split}/{group}/seg/*", splits=("train",))
    assert [(r.group, r.split) for r in read_folders(plan)] == [("p1", "train"), ("p2", "train")]


def test_tiles_hold_each_pixel_once_with_the_values_stored(tmp_path):
    values = np.arange(7 * 9, dtype=np.uint16).reshape(7, 9) * 300
    tifffile = pytest.importorskip("tifffile")
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    tifffile.imwrite(tmp_path / "images/a.tif", values)
    Image.fromarray((values % 5).astype(np.uint8)).save(tmp_path / "masks/a.png")
    records = read_folders(FolderPlan(tmp_path, tiles=4))
    assert [r.id for r in records] == [f"images/a_y0000{y}x0000{x}" for y in (0, 4) for x in (0, 3, 6)]
    assert sorted(np.concatenate([decode(r.image).values.ravel() for r in records])) == sorted(values.ravel())
    for record in records:
        assert (read_mask(record.mask) == decode(record.image).values % 5).all()


@pytest.mark.parametrize("name", ["a[1]", "x{split}", "q?*", "b]", "back\\slash", "ü ñ", "two\nlines"])
def test_any_name_can_be_written_as_a_pattern(tmp_path, name):
    save(tmp_path / name / f"{name}.png", np.zeros((2, 2)))
    save(tmp_path / "a1" / "other.png", np.zeros((2, 2)))
    assert [m.path.parent.name for m in find(tmp_path, check_pattern(f"{literal(name)}/*"))] == [name]


def test_lists_may_hold_paths_from_elsewhere_and_tables_splits(tmp_path):
    for name in ("a b", "c"):
        save(tmp_path / f"images/{name}.png", np.zeros((2, 2)))
        save(tmp_path / f"masks/{name}.png", np.zeros((2, 2)))
    (tmp_path / "train.txt").write_text("a b.png\n")
    (tmp_path / "val.txt").write_text("/home/me/data/images/c.png /home/me/data/masks/c.png\n")
    (tmp_path / "sets.csv").write_text("file,subset,size\na b,Training,1\nc.png,valid,2\n")
    for lists in ("{split}.txt", "sets.csv"):
        found = read_folders(FolderPlan(tmp_path, lists=lists))
        assert [(r.id, r.split) for r in found] == [("images/a b", "train"), ("images/c", "validation")], lists


def test_a_table_names_pairs_splits_and_groups(tmp_path):
    for name in ("1", "2"):
        save(tmp_path / f"pics/{name}.jpg", np.zeros((2, 2)))
        save(tmp_path / f"deep/er/{name}_gt.png", np.zeros((2, 2)))
    (tmp_path / "t.csv").write_text("img,gt,who,set\npics/1.jpg,1_gt.png,anna,train\n2,2_gt,ben,val\n9,9_gt,x,val\n")
    plan = TablePlan(tmp_path, "t.csv", "img", "gt", "set", "who")
    with pytest.raises(DataError, match="1 listed file not found"):
        read_pairs(plan)
    found = read_pairs(TablePlan(tmp_path, "t.csv", "img", "gt", "set", "who", skip_missing=True))
    assert [(r.id, r.mask.name, r.split, r.group) for r in found] == [
        ("pics/1", "1_gt.png", "train", "anna"), ("pics/2", "2_gt.png", "validation", "ben"),
    ]  # fmt: skip
    with pytest.raises(DataError, match="has no column 'image'; there: img, gt, who, set"):
        read_pairs(TablePlan(tmp_path, "t.csv"))


def test_numbered_objects_become_background_and_object(tmp_path):
    save(tmp_path / "m.png", np.arange(40).reshape(5, 8))
    mapper = Foreground(ignore=(39,)).build(classes=None, found=survey_masks([tmp_path / "m.png"], tmp_path))
    assert [label.name for label in mapper.labels] == ["background", "object"]
    classes = mapper.to_classes(np.array([[0, 1, 38, 39]], np.uint8))
    assert classes.tolist() == [[0, 1, 1, 255]]
    assert mapper.to_raw(classes).tolist() == [[0, 1, 1, 39]]


def test_each_page_of_a_stack_is_a_record_and_a_file_one_group(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        for folder, kind, most in (("images", np.float32, 900), ("masks", np.uint8, 3)):
            (tmp_path / folder).mkdir(exist_ok=True)
            stack = rng.integers(0, most, (4, 20, 30)).astype(kind)
            tags = [(42113, "s", 0, "7", False)]
            tifffile.imwrite(tmp_path / folder / f"{name}.tif", stack, photometric="minisblack", extratags=tags)
            np.save(tmp_path / f"{folder}-{name}.npy", stack)
    records = read_folders(FolderPlan(tmp_path, pages=True))
    assert [r.id for r in records] == [f"images/{n}_page000{i}" for n in "ab" for i in (1, 2, 3, 4)]
    assert [r.group for r in records] == [f"images/{n}" for n in "ab" for _ in range(4)]
    for i, record in enumerate(records):
        for folder, path in (("images", record.image), ("masks", record.mask)):
            stored = decode(path)
            assert np.array_equal(stored.values, np.load(tmp_path / f"{folder}-{'ab'[i // 4]}.npy")[i % 4])
            assert stored.nodata == 7
    with pytest.raises(DataError, match=r"a\.tif: is a stack of 4x20x30 .*data.source.pages: all"):
        decode(tmp_path / "images" / "a.tif")


def test_stacks_of_different_length_are_named(tmp_path):
    for folder, pages in (("images", 4), ("masks", 3)):
        (tmp_path / folder).mkdir()
        tifffile.imwrite(tmp_path / folder / "a.tif", np.zeros((pages, 20, 30), np.uint8), photometric="minisblack")
    with pytest.raises(
        DataError,
        match=r"images/a\.tif: has 4 pages but its mask .*masks/a\.tif has 3; save both with the same number of pages",
    ):
        read_folders(FolderPlan(tmp_path, pages=True))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_tiles_of_images_with_few_bits_are_as_bright_as_the_whole_image(tmp_path, bits):
    values = np.random.default_rng(bits).integers(0, 2**bits, (8, 8)).astype(np.uint8)
    for kind in ("images", "masks"):
        (tmp_path / "data" / kind).mkdir(parents=True)
        packed = np.packbits(np.unpackbits(values[..., None], axis=2)[..., 8 - bits :].reshape(8, -1), axis=1)
        (tmp_path / "data" / kind / "a.png").write_bytes(png_of(packed, bits))
    (whole,) = read_folders(FolderPlan(tmp_path / "data"))
    tiles = read_folders(FolderPlan(tmp_path / "data", tiles=4))
    assert len(tiles) == 4
    for record, rows, columns in zip(
        tiles, (slice(4), slice(4), slice(4, 8), slice(4, 8)), (slice(4), slice(4, 8)) * 2, strict=True
    ):
        assert (read_image(record.image) == read_image(whole.image)[rows, columns]).all()
        assert (read_mask(record.mask) == read_mask(whole.mask)[rows, columns]).all()


def png_of(packed: np.ndarray, bits: int) -> bytes:
    """A gray PNG of 8x8 pixels with `bits` per value, from its packed rows."""
    header = struct.pack(">IIBBBBB", 8, 8, bits, 0, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def test_the_nodata_value_of_the_first_page_is_that_of_all_pages(tmp_path):
    pages = np.full((2, 6, 6), 5, np.int16)
    pages[:, 0] = -9999
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with tifffile.TiffWriter(tmp_path / "images/a.tif") as tiff:
        for number, page in enumerate(pages):
            tags = [(42113, "s", 0, "-9999", True)] if number == 0 else []
            tiff.write(page, photometric="minisblack", contiguous=False, metadata=None, extratags=tags)
    tifffile.imwrite(tmp_path / "masks/a.tif", np.zeros((2, 6, 6), np.uint8), photometric="minisblack", metadata=None)
    found = [decode(record.image) for record in read_folders(FolderPlan(tmp_path, pages=True))]
    assert [stored.missing is not None and int(stored.missing.sum()) for stored in found] == [6, 6]


def test_signed_8_bit_images_are_named(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.full((4, 4), -3, np.int8), photometric="minisblack")
    assert "signed (int8)" in " ".join(decode(tmp_path / "a.tif").notes)
