from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segengine.data.sources.folders import FolderPlan, read_folders
from segengine.data.sources.records import Record, data_folder
from segengine.errors import DataError


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((2, 2), np.uint8)).save(path)
    return root


def paired(records):
    return [(r.id, r.mask.name, r.split) for r in records]


def test_split_folders_are_found_without_patterns(tmp_path):
    touch(tmp_path, "train/images/a.png", "train/masks/a.png", "val/images/b.jpg", "val/masks/b.png",
          "test/images/c.tif", "test/masks/c.bmp")  # fmt: skip
    assert paired(read_folders(FolderPlan(tmp_path))) == [
        ("test/images/c", "c.bmp", "test"),
        ("train/images/a", "a.png", "train"),
        ("val/images/b", "b.png", "validation"),
    ]


@pytest.mark.parametrize(
    ("folder", "split"),
    [("training", "train"), ("valid", "validation"), ("validation", "validation"), ("testing", "test")],
)
def test_splits_have_their_usual_spellings(tmp_path, folder, split):
    touch(tmp_path, f"{folder}/images/a.png", f"{folder}/masks/a.png")
    assert [r.split for r in read_folders(FolderPlan(tmp_path))] == [split]


def test_one_folder_of_each_is_found_without_patterns(tmp_path):
    touch(tmp_path, "images/b.JPG", "images/a.jpg", "masks/a.png", "masks/b.PNG", "images/._a.jpg")
    assert paired(read_folders(FolderPlan(tmp_path))) == [("images/a", "a.png", None), ("images/b", "b.PNG", None)]


def test_camvid_folders_are_found_without_patterns(tmp_path):
    touch(tmp_path, "train/a.png", "trainannot/a.png", "val/b.png", "valannot/b.png")
    records = read_folders(FolderPlan(tmp_path))
    assert paired(records) == [("train/a", "a.png", "train"), ("val/b", "b.png", "validation")]
    assert records[0].mask.parent.name == "trainannot"
    assert "masks '{split}annot/*'" in records.notes[0]


def test_patterns_pair_by_what_the_star_matched(tmp_path):
    touch(tmp_path, "images/21_training.tif", "images/22_training.tif", "1st_manual/21_manual1.gif",
          "1st_manual/22_manual1.gif", "mask/21_training_mask.gif")  # fmt: skip
    plan = FolderPlan(tmp_path, "images/*_training.tif", "1st_manual/*_manual1.gif")
    records = read_folders(plan)
    assert paired(records) == [
        ("images/21_training", "21_manual1.gif", None),
        ("images/22_training", "22_manual1.gif", None),
    ]
    assert records.notes == ()


def test_several_stars_pair_by_all_of_them(tmp_path):
    touch(tmp_path, "A/1.jpg", "A/1.png", "B/1.jpg", "B/1.png")
    records = read_folders(FolderPlan(tmp_path, "*/*.jpg", "*/*.png"))
    assert [(r.id, r.mask.parent.name) for r in records] == [("A/1", "A"), ("B/1", "B")]


def test_two_stars_match_any_depth(tmp_path):
    touch(tmp_path, "x/y/images/1.jpg", "images/1.jpg", "x/y/masks/1.png", "masks/1.png")
    records = read_folders(FolderPlan(tmp_path, "**/images/*", "**/masks/*"))
    assert [(r.id, r.mask.relative_to(tmp_path).as_posix()) for r in records] == [
        ("images/1", "masks/1.png"),
        ("x/y/images/1", "x/y/masks/1.png"),
    ]


@pytest.mark.parametrize(
    ("image", "mask", "rule"),
    [
        ("{}.jpg", "{}_mask.png", "<image>_mask"),
        ("{}.png", "{}_L.png", "<image>_L"),
        ("{}.tif", "seg_{}.png", "seg_<image>"),
        ("{}_rgb.png", "{}.png", "images are <mask>_rgb"),
        ("{}_image.png", "{}_annotation.png", "<name>_image with <name>_annotation"),
        ("img_{}.png", "gt_{}.png", "img_<name> with gt_<name>"),
    ],
)
def test_a_common_difference_of_names_is_inferred_and_said(tmp_path, image, mask, rule):
    names = ["001", "011", "0011", "102"]
    touch(tmp_path, *(f"images/{image.format(n)}" for n in names), *(f"masks/{mask.format(n)}" for n in names))
    records = read_folders(FolderPlan(tmp_path))
    assert {(r.image.name, r.mask.name) for r in records} == {(image.format(n), mask.format(n)) for n in names}
    assert records.notes == (f"masks are paired by the rule '{rule}'",)


def test_masks_that_fit_in_two_ways_are_an_error(tmp_path):
    touch(tmp_path, *(f"{n}{s}" for n in "ab" for s in (".jpg", "_1stHO.png", "_2ndHO.png")))
    with pytest.raises(
        DataError,
        match=r"several rules pair masks with images: '<image>_1stHO' \(2 masks\), '<image>_2ndHO' \(2 masks\)",
    ):
        read_folders(FolderPlan(tmp_path, "*.jpg", "*.png"))
    assert len(read_folders(FolderPlan(tmp_path, "*.jpg", "*_1stHO.png"))) == 2


def test_masks_beside_their_images_are_not_images(tmp_path):
    touch(tmp_path, "a.png", "a_mask.png", "b.png", "b_mask.png")
    assert [r.id for r in read_folders(FolderPlan(tmp_path, "*.png", "*_mask.png"))] == ["a", "b"]


def test_missing_partners_are_counted_and_named(tmp_path):
    touch(tmp_path, *(f"images/{i}.png" for i in range(8)), "masks/0.png", "masks/x.png")
    message = (
        r"7 images have no mask \(1\.png, 2\.png, 3\.png, 4\.png, 5\.png and 2 more\) and 1 mask has no image "
        r"\(x\.png\); add what is missing, or set data\.source\.unpaired: skip"
    )
    with pytest.raises(DataError, match=message):
        read_folders(FolderPlan(tmp_path))
    records = read_folders(FolderPlan(tmp_path, unpaired="skip"))
    assert [r.id for r in records] == ["images/0"]
    assert "skipped (unpaired: skip): 7 images have no mask" in records.notes[0]


def test_names_without_any_fit_are_an_error(tmp_path):
    touch(tmp_path, "images/a.png", "images/b.png", "masks/x.png", "masks/y.png")
    with pytest.raises(DataError, match=r"no image of 'images/\*' fits a mask of 'masks/\*'"):
        read_folders(FolderPlan(tmp_path, unpaired="skip"))


def test_nothing_found_names_root_pattern_and_what_is_there(tmp_path):
    touch(tmp_path, "pictures/a.png", "pictures/b.png", "truth/a.png", "x.jpg")
    with pytest.raises(
        DataError, match=r"no images and masks found .*there: pictures/ \(2 entries\), truth/ \(1 entry\), 1 \*\.jpg"
    ):
        read_folders(FolderPlan(tmp_path))
    with pytest.raises(DataError, match=r"no image matches 'pics/\*\.png'; there: pictures/"):
        read_folders(FolderPlan(tmp_path, images="pics/*.png"))
    with pytest.raises(DataError, match="no such folder"):
        read_folders(FolderPlan(tmp_path / "gone"))


def test_a_field_of_view_folder_is_not_taken_for_truth(tmp_path):
    touch(tmp_path, "images/1_training.tif", "mask/1_training_mask.gif", "1st_manual/1_manual1.gif")
    with pytest.raises(DataError, match="no images and masks found"):
        read_folders(FolderPlan(tmp_path))


def test_one_image_and_two_masks_of_one_name_are_an_error(tmp_path):
    touch(tmp_path, "images/a.png", "masks/a.png", "masks/a.tif")
    with pytest.raises(DataError, match=r"two masks would pair the same way: .*a\.png and .*a\.tif"):
        read_folders(FolderPlan(tmp_path))


@pytest.mark.parametrize("pattern", ["../secret/*", "images/../../secret/*", "/etc/*"])
def test_patterns_do_not_leave_the_root(tmp_path, pattern):
    touch(tmp_path, "root/images/a.png", "root/masks/a.png", "secret/a.png")
    with pytest.raises(DataError, match=r"leads outside .*root; set outside: allow in data.source"):
        read_folders(FolderPlan(tmp_path / "root", "images/*", pattern))


def test_links_do_not_leave_the_root_unless_allowed(tmp_path):
    touch(tmp_path, "root/images/a.png", "secret/a.png")
    (tmp_path / "root/masks").symlink_to(tmp_path / "secret")
    with pytest.raises(DataError, match=r"masks/a\.png: is a link that leads outside"):
        read_folders(FolderPlan(tmp_path / "root"))
    assert len(read_folders(FolderPlan(tmp_path / "root", outside=True))) == 1
    assert len(read_folders(FolderPlan(tmp_path / "root", "images/*", "../secret/*", outside=True))) == 1


def test_lists_give_the_splits_and_what_is_left_out_is_said(tmp_path):
    touch(tmp_path, *(f"JPEGImages/{n}.jpg" for n in "abcd"), *(f"SegmentationClass/{n}.png" for n in "abcx"))
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets/train.txt").write_text("a\nc\n\n")
    (tmp_path / "sets/val.txt").write_text("JPEGImages/b.jpg SegmentationClass/b.png\n")
    (tmp_path / "sets/trainval.txt").write_text("zzz\n")
    records = read_folders(FolderPlan(tmp_path, lists="sets/{split}.txt"))
    assert [(r.image.stem, r.split) for r in records] == [("a", "train"), ("b", "validation"), ("c", "train")]
    assert any("skipped, not in any list: 1 image in" in note for note in records.notes)


def test_lists_with_unknown_or_doubled_names_are_errors(tmp_path):
    touch(tmp_path, *(f"images/{n}.png" for n in "ab"), *(f"masks/{n}.png" for n in "ab"))
    (tmp_path / "train.txt").write_text("a\n../../etc/passwd\n")
    with pytest.raises(DataError, match=r"train\.txt: 1 listed image not found in .* \(\.\./\.\./etc/passwd\)"):
        read_folders(FolderPlan(tmp_path, lists="{split}.txt"))
    (tmp_path / "train.txt").write_text("a\n")
    (tmp_path / "val.txt").write_text("a\nb\n")
    with pytest.raises(DataError, match=r"val\.txt: 'a' is also in the list of train"):
        read_folders(FolderPlan(tmp_path, lists="{split}.txt"))
    with pytest.raises(DataError, match=r"no list matches 'lists/\*\.txt'"):
        read_folders(FolderPlan(tmp_path, lists="lists/*.txt"))


def test_a_split_in_the_images_only_is_enough(tmp_path):
    touch(tmp_path, "images/train/a.png", "images/val/b.png", "masks/a.png", "masks/b.png")
    records = read_folders(FolderPlan(tmp_path, "images/{split}/*", "masks/*"))
    assert [r.split for r in records] == ["train", "validation"]


@pytest.mark.parametrize(
    "line",
    ["my photo 1", "my photo 1.png", "images/my photo 1.png", "/images/my photo 1.png /masks/my photo 1.png", "my photo 1 1 0",
     "\tmy photo 1.png\tmasks/my photo 1.png"],
)  # fmt: skip
def test_names_in_lists_may_hold_blanks(tmp_path, line):
    for name in ("my photo 1", "my photo 2", "my"):
        for kind in ("images", "masks"):
            touch(tmp_path, f"{kind}/{name}.png")
    for split, text in (("train", line), ("val", "my photo 2")):
        (tmp_path / f"{split}.txt").write_text(f"{text}\n")
    records = read_folders(FolderPlan(tmp_path, lists="{split}.txt"))
    assert {r.id: r.split for r in records} == {"images/my photo 1": "train", "images/my photo 2": "validation"}


def test_gray_values_stand_in_the_sources_root_where_masks_lie_elsewhere(tmp_path):
    pictures, elsewhere = tmp_path / "a" / "pictures", tmp_path / "b" / "truth"
    touch(pictures, "images/x.png")
    touch(elsewhere, "x.png")
    plan = FolderPlan(pictures, "images/*.png", f"{elsewhere}/*.png", outside=True)
    assert data_folder(read_folders(plan)) == pictures
    inside = FolderPlan(tmp_path, "a/pictures/images/*.png", "b/truth/*.png")
    assert data_folder(read_folders(inside)) == tmp_path


def test_without_a_known_root_gray_values_never_stand_in_the_root_of_the_file_system():
    record = Record("x", Path("/mnt/pictures/x.png"), Path("/srv/truth/x.png"), "x")
    assert data_folder([record]) == Path("/mnt/pictures")
