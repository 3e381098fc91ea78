"""The page of a run: whole, offline, escaped, honest."""

import base64
import hashlib
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from segengine.figures.examples import Augmented, Example
from segengine.figures.numbers import compact, count, duration, plural, score
from segengine.report.page import run_page
from segengine.report.words import headline, notes, training
from segengine.report.write import write_run_report

HOSTILE = "<script>alert('x')</script>"


class Tags(HTMLParser):
    """All start tags with their attributes, and the text outside of styles."""

    def __init__(self, page: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page(report_of) -> str:
    return run_page(report_of(3, 4))


def test_a_report_is_written_with_all_its_figures(tmp_path, report_of):
    page = write_run_report(tmp_path, report_of(2, 1))
    assert page == tmp_path / "report.html"
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        "curves.png",
        "curves.svg",
        "classes.png",
        "classes.svg",
        "confusion.png",
        "confusion.svg",
        "predictions.png",
        "augmentations.png",
    }
    for path in (tmp_path / "figures").glob("*.png"):
        assert path.stat().st_size < 600_000
        with Image.open(path) as image:
            assert image.convert("RGB").size > (500, 200)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figures", "report.html"]


def test_a_run_of_many_classes_has_a_row_for_each(report_of):
    table = Tags(run_page(report_of(21, 2, examples=(), augmentations=())))
    scores = [tag.get("scope") for tag in table.all("th")]
    assert scores.count("row") >= 22


def test_nothing_on_the_page_comes_from_elsewhere(page):
    assert not re.search(r"(https?:)?//[a-z]", re.sub(r"base64,[A-Za-z0-9+/=]+", "", page))
    parsed = Tags(page)
    assert not parsed.all("script")
    assert not parsed.all("iframe")
    for name, attributes in parsed.tags:
        for key in ("src", "href", "srcset"):
            if attributes.get(key) is not None:
                assert attributes[key].startswith("data:"), (name, key)


def test_every_picture_decodes_and_says_what_it_shows(page):
    pictures = Tags(page).all("img")
    assert len(pictures) == 3 + 2
    for picture in pictures:
        assert picture["alt"]
        data = base64.b64decode(picture["src"].removeprefix("data:image/png;base64,"))
        with Image.open(io.BytesIO(data)) as image:
            image.load()


def test_every_chart_has_a_title_a_description_and_a_table(page):
    parsed = Tags(page)
    drawings = [tag for tag in parsed.all("svg") if tag.get("aria-labelledby")]
    assert [tag["aria-labelledby"] for tag in drawings] == [
        f"{name}-{size}-title" for name in ("curves", "classes", "confusion") for size in ("for-wide", "for-narrow")
    ]
    ids = [tag["id"] for _, tag in parsed.tags if "id" in tag]
    assert len(ids) == len(set(ids))
    for tag in drawings:
        assert {tag["aria-labelledby"], tag["aria-describedby"]} <= set(ids)
    assert {f"{name}-numbers-caption" for name in ("curves", "classes", "confusion")} <= set(ids)


def test_the_policy_allows_the_pages_own_style_and_nothing_else(page):
    parsed = Tags(page)
    assert not any("style" in attributes for _, attributes in parsed.tags)
    (policy,) = [m["content"] for m in parsed.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; script-src 'none'; base-uri 'none'; form-action 'none'"
    )


def test_of_many_classes_the_lowest_and_the_highest_come_first(report_of):
    page = run_page(report_of(150, 2, examples=(), augmentations=()))
    parsed = Tags(page)
    assert parsed.text.index("Mean") < parsed.text.index("Lowest Dice") < parsed.text.index("Highest Dice")
    first = page[: page.index("The other 130 classes")]
    assert first.count('scope="row"') == 1 + 10 + 10
    assert [tag.get("scope") for tag in parsed.all("th")].count("row") >= 151
    assert "class 80" in first
    assert "class 149" not in first
    assert "the 20 most confused of 150 classes" in page


def test_a_page_of_many_classes_and_large_photos_is_bounded(report_of):
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (270, 360, 3), dtype=np.uint8)
    classes = rng.integers(0, 150, (270, 360), dtype=np.uint8)
    examples = [Example(f"e{k}", 0.5, photo, classes, classes) for k in range(1)]
    rows = [Augmented(f"a{k}", photo, classes, photo, classes) for k in range(1)]
    confusion = rng.integers(0, 200, (150, 150)).astype(np.int64)
    report = report_of(150, 60, examples=examples, augmentations=rows, confusion=confusion)
    assert len(run_page(report)) < 1_500_000


def test_hostile_names_are_text_wherever_they_appear(report_of, labels_of, scene_of):
    labels = labels_of(3, (HOSTILE, HOSTILE + "1", '" onload="x'))
    image, truth = scene_of(3)
    report = report_of(
        3,
        2,
        labels=labels,
        title=HOSTILE,
        variant=HOSTILE,
        model=HOSTILE,
        status="failed",
        message=HOSTILE,
        warnings=[HOSTILE],
        spec=HOSTILE,
        facts={HOSTILE: HOSTILE, "group": {HOSTILE: [HOSTILE]}},
        examples=[Example(HOSTILE, 0.5, image, truth, truth, HOSTILE)],
        augmentations=[Augmented('"><img src=x>', image, truth, image, truth)],
    )
    page = run_page(report)
    parsed = Tags(page)
    assert "<script" not in page
    assert not any(key.startswith("on") for _, attributes in parsed.tags for key in attributes)
    assert len(parsed.all("img")) == 3 + 2
    assert parsed.text.count(HOSTILE) >= 10


def test_undefined_scores_are_dashes_and_left_out(report_of):
    page = run_page(report_of(3, 2, absent=(2,), examples=(), augmentations=()))
    row = next(part for part in page.split("<tr") if "class 2" in part and 'scope="row"' in part)
    cells = re.findall(r'<td class="number[^"]*">([^<]*)', row)
    assert cells == ["–"] * 6 + ["0", "0"]
    assert not re.search(r"\b(nan|None)\b", Tags(page).text)
    assert "over one class (class 1)" in page


def test_the_headline_says_which_mean_over_what_on_which_images(report_of):
    report = report_of(3, 4)
    assert headline(report) == "Mean Dice 0.785 over 2 classes (class 1 and class 2), on 30 test images."
    assert training(report) == (
        "VGG 16 and U-Net, trained on 120 images for 4 epochs (40 steps)."
        " Scores are of the weights after epoch 4, the best on the validation images."
    )


def test_a_run_without_an_epoch_says_so(report_of):
    empty = report_of(
        2,
        1,
        rows=(),
        scores={},
        confusion=None,
        examples=(),
        augmentations=(),
        status="failed",
        message="no disk left.",
    )
    assert headline(empty) == "No score: the run ended before the first evaluation."
    assert notes(empty)[0] == "This run failed after 0 epochs: no disk left."
    parsed = Tags(run_page(empty))
    assert not parsed.all("img")
    assert not parsed.all("table")


def test_notes_are_honest_about_seeds_splits_and_rare_classes(report_of):
    report = report_of(3, 6)
    found = notes(report)
    assert found[-1].startswith("One seed:")
    assert "The last epoch was the best: more epochs may improve the score." in found
    validated = report_of(
        3, 2, scores={"validation": report.scores["test"]}, seeds=3, warnings=["2 images are missing."]
    )
    assert notes(validated) == [
        "2 images are missing.",
        "The score is on the validation images, which were also used to select the epoch; expect a somewhat lower score on new images.",
    ]
    scores = report.scores["test"]
    rare = {**scores["classes"], "class 1": {**scores["classes"]["class 1"], "images": 2}}
    few = report_of(3, 2, seeds=2, scores={"test": {**scores, "images": 4, "classes": rare}})
    assert notes(few) == [
        "In fewer than 5 test images, so the score depends on few objects: class 1.",
        "Only 4 test images: the score depends strongly on their selection.",
    ]


def test_numbers_read_well():
    assert [score(None), score(float("nan")), score(0.98765), score(np.float32(1))] == ["–", "–", "0.988", "1.000"]
    assert [compact(v) for v in (0, 950, 9_500, 999_600, 12_345, 3_400_000)] == [
        "0",
        "950",
        "9.5k",
        "1.0M",
        "12k",
        "3.4M",
    ]
    assert [duration(v) for v in (None, 4.21, 59.7, 750, 11_100)] == [
        "–",
        "4.2 s",
        "1 min 00 s",
        "12 min 30 s",
        "3 h 05 min",
    ]
    assert [plural(1, "class", "classes"), plural(1200, "image")] == ["1 class", f"{count(1200)} images"]
