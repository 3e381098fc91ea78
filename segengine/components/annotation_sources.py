"""Built-in sources: annotations as polygons, boxes and run lengths, rasterised on reading."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator

from segengine.components.base import Source

if TYPE_CHECKING:
    from segengine.data.annotations.image_files import ImageFiles
    from segengine.data.annotations.records import AnnotationPlan
    from segengine.data.annotations.shapes import Annotations
    from segengine.data.sources.records import Record

_UNPAIRED = "images without annotation: background in every pixel, or skipped with a note"


class AnnotationSource(Source):
    """Images with annotations that are rasterised as masks: 0 is the background, 1, 2 ... are the labels in order."""

    reader: ClassVar[str] = ""
    one_each: ClassVar[bool] = False
    root: Path = Field(description="folder with images and annotations; relative to the experiment file")
    annotations: str = Field(description="pattern of the annotation files under root; may have {split}")
    images: str | None = Field(
        default=None,
        description="pattern of the image files under root, such as {split}2017/*.jpg; default: all image files under root",
    )
    labels: tuple[str, ...] | None = Field(
        default=None,
        description="labels as written in the annotations, in the order of the values 1, 2 ... in masks (0: background); default: "
        "the order of the annotation file's own list, or sorted where it has none",
    )
    overlap: Literal["small-on-top", "file-order", "z-order"] = Field(
        default="small-on-top",
        description="which shape is on top: the one with fewer pixels, the later one in the file, or the one with the higher "
        "z_order (CVAT; file-order elsewhere)",
    )
    unpaired: Literal["background", "skip"] = Field(default="background", description=_UNPAIRED)
    missing: Literal["error", "skip"] = Field(
        default="error", description="annotated images without a file: an error, or skipped with a note"
    )
    splits: tuple[Literal["train", "validation", "test"], ...] | None = Field(
        default=None, description="splits that are used, such as [train, validation]; default: all"
    )

    @field_validator("annotations", "images")
    @classmethod
    def _usable(cls, pattern: str | None) -> str | None:
        from segengine.data.sources.patterns import check_pattern

        return None if pattern is None else check_pattern(pattern)

    @field_validator("labels")
    @classmethod
    def _distinct(cls, labels: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if labels is not None and (not labels or len(set(labels)) < len(labels)):
            raise ValueError("list each label once, at least one")
        return labels

    def preflight(self) -> None:
        """Raises DataError if pycocotools is not installed."""
        from segengine.data.annotations.raster import mask_library

        mask_library()

    def build(self) -> list[Record]:
        """One record per annotated image, sorted by id; raises DataError for invalid annotations or missing images."""
        from segengine.data.annotations.records import annotation_records

        found, files = self.read()
        return annotation_records(self._plan(), found, files)

    def read(self) -> tuple[Annotations, ImageFiles]:
        """Everything in the annotation files, and the image files; raises DataError for invalid annotations."""
        from segengine.data.annotations.records import read_annotations

        return read_annotations(self._plan(), self._reader())

    def class_labels(self) -> tuple[str, ...]:
        """The labels in the order of the values 1, 2 ... in masks; raises DataError for invalid annotations."""
        from segengine.data.annotations.records import class_labels

        return class_labels(self._plan(), self.read()[0])

    def _reader(self) -> Any:
        from importlib import import_module

        module, _, function = self.reader.partition(":")
        return getattr(import_module(f"segengine.data.annotations.{module}"), function)

    def _plan(self) -> AnnotationPlan:
        from segengine.data.annotations.records import AnnotationPlan

        return AnnotationPlan(
            self.root, self.annotations, self.images, self.labels, self.overlap, getattr(self, "crowd", "ignore"), self.unpaired,
            self.missing, self.splits, self.one_each,
        )  # fmt: skip


class Coco(AnnotationSource):
    """COCO JSON: polygons and run lengths of instances, with categories as classes."""

    name: Literal["coco"] = "coco"
    reader: ClassVar[str] = "coco:add_coco"
    annotations: str = Field(
        default="annotations/instances_{split}*.json",
        description="pattern of the JSON files under root; may have {split}",
    )
    crowd: Literal["ignore", "class"] = Field(
        default="ignore",
        description="regions marked iscrowd: ignored where no other object is, or pixels of their class",
    )


class Labelme(AnnotationSource):
    """labelme: one JSON file per image with polygons, rectangles, circles and masks."""

    name: Literal["labelme"] = "labelme"
    reader: ClassVar[str] = "labelme:add_labelme"
    one_each: ClassVar[bool] = True
    annotations: str = Field(
        default="**/*.json",
        description="pattern of the JSON files under root; may have {split}; other JSON is left out",
    )
    unpaired: Literal["background", "skip"] = Field(
        default="skip", description=f"{_UNPAIRED}; an image whose file lists no shapes is annotated"
    )


class Yolo(AnnotationSource):
    """YOLO segmentation: one text file of polygons per image, class names in data.yaml."""

    name: Literal["yolo"] = "yolo"
    annotations: str = Field(
        default="data.yaml",
        description="file with the class names, relative to root: data.yaml, or a text file with one name per line. The polygons "
        "are in folders `labels` beside `images`, or beside the images",
    )
    images: str | None = Field(
        default=None,
        description="pattern of the image files under root, such as images/{split}/*; default: the train, val and test folders of "
        "data.yaml",
    )

    def read(self) -> tuple[Annotations, ImageFiles]:
        """Everything in the text files, and the image files; raises DataError for invalid annotations."""
        from segengine.data.annotations.records import read_yolo

        return read_yolo(self._plan())


class Cvat(AnnotationSource):
    """CVAT for images 1.1: polygons, boxes, ellipses and masks in one XML file."""

    name: Literal["cvat"] = "cvat"
    reader: ClassVar[str] = "cvat:add_cvat"
    annotations: str = Field(
        default="annotations.xml", description="pattern of the XML files under root; may have {split}"
    )
    overlap: Literal["small-on-top", "file-order", "z-order"] = Field(
        default="z-order",
        description="which shape is on top: the one with fewer pixels, the later one in the file, or the one with the higher "
        "z_order, then the later one, as CVAT shows them",
    )


class LabelStudio(AnnotationSource):
    """Label Studio's JSON export: polygons, rectangles, ellipses and brushes."""

    name: Literal["label-studio"] = "label-studio"
    reader: ClassVar[str] = "label_studio:add_label_studio"
    annotations: str = Field(default="*.json", description="pattern of the JSON files under root; may have {split}")
    unpaired: Literal["background", "skip"] = Field(
        default="skip", description=f"{_UNPAIRED}; a task that was submitted without regions is annotated"
    )
