"""Pictures of the gallery as tiles: image, truth, and the predictions of all variants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from segengine.comparison.gallery import Gallery, Picture, Pixels
from segengine.figures.encoding import png_of
from segengine.figures.numbers import score
from segengine.figures.panels import strip, tile

SIDE = 300


def tiles(
    picture: Picture, gallery: Gallery, names: Sequence[str], side: int = SIDE
) -> Iterator[tuple[str, str, Pixels]]:
    """Name, alternative text and pixels uint8 [h, w, 3] of each tile; `names` are the variants' names."""
    about, labels = picture.about, gallery.labels
    yield "image", f"image {about.id}", tile(picture.image, None, labels, side)
    yield "truth", f"truth of {about.id}", tile(picture.image, picture.truth, labels, side)
    for i, classes in picture.predictions.items():
        alt = f"prediction of {names[i]} for {about.id}"
        yield f"{names[i]} {score(about.scores[i])}", alt, tile(picture.image, classes, labels, side)


def picture_png(picture: Picture, gallery: Gallery) -> bytes:
    """PNG of image, truth and predictions side by side, variants in order of their scores."""
    labels = gallery.labels
    row = [
        tile(picture.image, classes, labels, SIDE) for classes in (None, picture.truth, *picture.predictions.values())
    ]
    return png_of(strip(row), keep=[label.colour for label in labels])
