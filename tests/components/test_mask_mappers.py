import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from segengine.components.mask_mappers import GrayIndex, Index, Palette, Rgb
from segengine.data.masks.survey import survey_masks
from segengine.errors import DataError


def stripes(*values, width=8):
    return np.repeat(np.repeat(np.array(values, np.uint8)[None], 16, axis=0), width, axis=1)


def survey(folder, *masks, palette=None):
    for i, mask in enumerate(masks):
        image = Image.fromarray(mask)
        if palette is not None:
            image.putpalette(palette)
        image.save(folder / f"m{i}.png")
    return survey_masks(sorted(folder.glob("*.png")), folder)


def test_gray_values_are_written_once_and_read_again(tmp_path):
    found = survey(tmp_path, stripes(252, 0, 63))
    mapper = GrayIndex().build(classes=None, found=found)
    assert [label.raw for label in mapper.labels] == [0, 63, 252]
    lines = (tmp_path / "gray-values.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["0", "63", "252"]
    (tmp_path / "gray-values.txt").write_text("# mine\n0\n63  # liver\n126\n252\n")
    mapper = GrayIndex().build(classes=["b", "liver", "x", "spleen"], found=found)
    assert [(label.name, label.raw) for label in mapper.labels] == [
        ("b", 0),
        ("liver", 63),
        ("x", 126),
        ("spleen", 252),
    ]
    assert mapper.notes == ("1 listed value not found in any mask: 126",)


def test_a_list_that_no_longer_matches_names_the_new_value(tmp_path):
    (tmp_path / "gray-values.txt").write_text("0\n63\n")
    with pytest.raises(DataError) as error:
        GrayIndex().build(classes=None, found=survey(tmp_path, stripes(0, 63), stripes(0, 70, 63)))
    assert str(error.value) == (
        f"{tmp_path}/gray-values.txt: value 70 occurs in the masks but not in the list (128 pixels in 1 mask, first "
        f"{tmp_path}/m1.png; nearest listed value 63); add 70 there or to ignore, or delete gray-values.txt to regenerate it"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [("0\nx\n", r"gray-values\.txt:2: 'x' is not a gray value"), ("0\n0\n", r":2: 0 is listed twice"),
     ("0\n70000\n", r":2: '70000'"), ("0\n", r"lists 1 value")],
)  # fmt: skip
def test_a_wrong_line_in_the_list_is_named(tmp_path, text, message):
    (tmp_path / "gray-values.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        GrayIndex().build(classes=None, found=survey(tmp_path, stripes(0, 63)))


def test_a_folder_that_cannot_be_written_to_is_said_and_no_obstacle(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("segengine.data.masks.gray_values.write_bytes", refuse)
    mapper = GrayIndex().build(classes=None, found=survey(tmp_path, stripes(0, 63)))
    assert mapper.notes == (
        f"{tmp_path}/gray-values.txt can't be written (Read-only file system); the values found are used and saved in "
        "the run folder as gray-values.txt: 0, 63",
    )
    assert mapper.values_file.splitlines()[1:] == ["0", "63"]


def test_listed_values_give_the_order_and_leave_no_file(tmp_path):
    mapper = GrayIndex(values=[255, 0]).build(classes=["vessel", "background"], found=survey(tmp_path, stripes(0, 255)))
    assert [(label.name, label.raw) for label in mapper.labels] == [("vessel", 255), ("background", 0)]
    assert not (tmp_path / "gray-values.txt").exists()


def test_which_255_was_found_is_said(tmp_path):
    mapper = GrayIndex().build(classes=None, found=survey(tmp_path, stripes(0, 255)))
    assert "255 is the foreground" in mapper.notes[0]


def test_blurred_masks_are_refused_with_the_line_to_write_and_then_repaired(tmp_path):
    found = survey(
        tmp_path, np.repeat(np.array([[0] * 20 + list(range(20, 250, 20)) + [255] * 20], np.uint8), 16, axis=0)
    )
    with pytest.raises(
        DataError, match=r"write mask_mapper: \{name: gray-index, values: \[0, 255\], repair: nearest\}"
    ):
        GrayIndex().build(classes=None, found=found)
    assert not (tmp_path / "gray-values.txt").exists()
    with pytest.raises(DataError, match=r"add repair: nearest to data.mask_mapper"):
        GrayIndex(values=[0, 255]).build(classes=None, found=found)
    mapper = GrayIndex(values=[0, 255], repair="nearest").build(classes=None, found=found)
    assert mapper.notes[-1].startswith("repair: nearest maps 192 mask pixels (23 %) in 1 mask with 12 unlisted values")


def test_ignored_values_are_no_classes(tmp_path):
    mapper = GrayIndex(ignore=[11]).build(classes=["road", "car"], found=survey(tmp_path, stripes(0, 1, 11)))
    assert mapper.to_classes(stripes(11, 1, width=1)).tolist()[0] == [255, 1]
    assert "# 11 is ignored" in (tmp_path / "gray-values.txt").read_text()


def test_coloured_masks_are_refused_by_gray_index_with_the_line_to_write(tmp_path):
    mask = np.zeros((16, 16, 3), np.uint8)
    mask[4:12, 4:12] = (255, 0, 0)
    with pytest.raises(
        DataError, match=r"write mask_mapper: \{name: rgb, colours: \{class0: \[0, 0, 0\], class1: \[255, 0, 0\]\}\}"
    ):
        GrayIndex().build(classes=None, found=survey(tmp_path, mask))


def test_palette_indices_are_classes_and_predictions_carry_the_palette(tmp_path):
    palette = [0, 0, 0, 128, 0, 0, 0, 128, 0, *[9] * 3 * 252, 224, 224, 192]
    found = survey(tmp_path, stripes(0, 2, 255), palette=palette)
    mapper = Palette(ignore=[255]).build(classes=["background", "plane", "bird"], found=found)
    assert [(label.raw, label.colour) for label in mapper.labels] == [
        (0, (0, 0, 0)),
        (1, (128, 0, 0)),
        (2, (0, 128, 0)),
    ]
    assert mapper.to_classes(stripes(0, 2, 255, width=1)).tolist()[0] == [0, 2, 255]
    assert mapper.encoding.kind == "palette"
    assert mapper.encoding.palette[255] == (224, 224, 192)
    assert mapper.notes == ("1 class index not found in any mask: 1",)
    with pytest.raises(DataError, match=r"value 255 in the masks .* is beyond the 3 classes of data.classes"):
        Palette().build(classes=["background", "plane", "bird"], found=found)


def test_palette_refuses_gray_masks(tmp_path):
    with pytest.raises(DataError, match="masks have no palette but are gray; use mask_mapper: gray-index"):
        Palette().build(classes=None, found=survey(tmp_path, stripes(0, 1)))


def test_index_takes_values_as_they_are(tmp_path):
    found = survey(tmp_path, stripes(0, 3))
    assert [label.raw for label in Index().build(classes=None, found=found).labels] == [0, 1, 2, 3]
    assert len(Index().build(classes=list("abcde"), found=found).labels) == 5
    with pytest.raises(DataError, match=r"value 3 in the masks .* is beyond the 3 classes"):
        Index().build(classes=list("abc"), found=found)


def test_colours_have_names_and_their_own_order(tmp_path):
    mask = np.zeros((16, 24, 3), np.uint8)
    mask[:, 8:16], mask[:, 16:] = (255, 0, 0), (0, 255, 0)
    found = survey(tmp_path, mask)
    table = {"soil": (0, 0, 0), "weed": (255, 0, 0), "crop": (0, 255, 0)}
    mapper = Rgb(colours=table).build(classes=None, found=found)
    assert [(label.name, label.raw, label.colour) for label in mapper.labels] == [(n, c, c) for n, c in table.items()]
    assert Rgb(colours=table).build(classes=["weed", "soil", "crop"], found=found).labels[0].name == "weed"
    assert len(Rgb().build(classes=None, found=found).labels) == 3
    with pytest.raises(
        DataError, match=r"colour \[0, 255, 0\] occurs in the masks but not in data.mask_mapper.colours"
    ):
        Rgb(colours={"soil": (0, 0, 0), "weed": (255, 0, 0)}).build(classes=None, found=found)
    with pytest.raises(DataError, match="make them the same"):
        Rgb(colours=table).build(classes=["weed", "soil", "corn"], found=found)


def test_settings_are_checked():
    with pytest.raises(ValidationError, match="list at least two different values"):
        GrayIndex(values=[3, 3])
    with pytest.raises(ValidationError):
        GrayIndex(values=[0, 70000])


def _survey_of(folder, mask):
    Image.fromarray(mask).save(folder / "a.png")
    return survey_masks([folder / "a.png"], folder)


def test_values_that_do_not_fit_the_names_leave_no_list_behind(tmp_path):
    found = _survey_of(tmp_path, np.kron(np.array([[0, 63, 126]], np.uint8), np.ones((30, 30), np.uint8)))
    with pytest.raises(DataError):
        GrayIndex().build(classes=["background", "liver"], found=found)
    assert not (tmp_path / "gray-values.txt").exists()
    GrayIndex().build(classes=["background", "liver", "kidney"], found=found)
    assert (tmp_path / "gray-values.txt").exists()


def test_a_void_border_that_has_no_name_is_called_one(tmp_path):
    mask = np.zeros((60, 60), np.uint8)
    mask[15:45, 15:45] = 255
    mask[18:42, 18:42] = 1
    with pytest.raises(DataError, match=r"255 is a void border.*write ignore: \[255\] in data.mask_mapper"):
        GrayIndex().build(classes=["background", "thing"], found=_survey_of(tmp_path, mask))
