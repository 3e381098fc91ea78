"""Built-in sources: folders of images and masks, and CSV files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from segengine.components.base import Source

if TYPE_CHECKING:
    from segengine.data.sources.records import Record


class Folders(Source):
    """Images and masks in folders, paired by their names."""

    name: Literal["folders"] = "folders"
    root: Path = Field(description="folder that holds images and masks; relative to the experiment file")
    images: str | None = Field(
        default=None,
        description="pattern under root, such as {split}/images/*.png; default: the usual layouts, any image suffix. "
        "{channel} marks channels in separate files, {slice} the slices of a DICOM series, {group} the patient or video",
    )
    masks: str | None = Field(
        default=None,
        description="pattern under root, such as {split}/masks/*.png; pairs by the text that wildcards match. {class} and {object} "
        "mark several files per image, which are merged; {any} matches ignored text",
    )
    lists: str | None = Field(
        default=None, description="pattern of text files, one image name per line, such as lists/{split}.txt"
    )
    unpaired: Literal["error", "skip"] = Field(
        default="error",
        description="images without a mask and masks without an image: an error, or skipped with a note",
    )
    outside: Literal["refuse", "allow"] = Field(
        default="refuse", description="patterns and links that lead outside root: refuse or allow"
    )

    splits: tuple[Literal["train", "validation", "test"], ...] | None = Field(
        default=None,
        description="splits of the folders or lists that are used, such as [train, validation]; default: all",
    )
    class_order: tuple[str, ...] | None = Field(
        default=None,
        description="for masks with {class}, one mask file per class: the matched texts in the order of classes 1, 2 ... "
        "(0: set in no file; where two overlap, the later one wins); default: sorted",
    )
    tiles: Annotated[int, Field(ge=32, le=65536)] | None = Field(
        default=None,
        description="cut images and masks into tiles of at most this many pixels per side, used as separate images; for a few "
        "large images",
    )

    pages: Literal["refuse", "all"] = Field(
        default="refuse",
        description="files of several pages (TIFF stacks, DICOM frames): refuse them, or read each page with its mask's page as a "
        "separate image; all pages of a file form one group",
    )

    slices: Literal["auto", "axial", "coronal", "sagittal"] = Field(
        default="auto",
        description="plane of the slices into which volumes (NIfTI, DICOM series with {slice}) are divided, all slices of a "
        "volume forming one group; auto: the plane of acquisition, across the largest spacing, or axial if spacings are alike",
    )

    @field_validator("images", "masks", "lists")
    @classmethod
    def _usable(cls, pattern: str | None) -> str | None:
        from segengine.data.sources.patterns import check_pattern

        return None if pattern is None else check_pattern(pattern)

    def build(self) -> list[Record]:
        """One record per pair, sorted by id; raises DataError for missing files or ambiguous names."""
        from segengine.data.sources.folders import FolderPlan, read_folders

        plan = FolderPlan(
            self.root, self.images, self.masks, self.lists, self.unpaired, self.outside == "allow",
            self.splits, self.class_order, self.tiles, self.pages == "all", self.slices,
        )  # fmt: skip
        return read_folders(plan)


class Table(Source):
    """Images and masks named in the columns of a CSV file."""

    name: Literal["table"] = "table"
    root: Path = Field(description="folder that holds images and masks; relative to the experiment file")
    file: str = Field(description="the CSV file, relative to root; its first line names the columns")
    image: str = Field(default="image", description="column with the image's path or name")
    mask: str = Field(default="mask", description="column with the mask's path or name")
    split: str | None = Field(default=None, description="column with train, validation or test; default: not given")
    group: str | None = Field(default=None, description="column with the patient, video or scene; default: not given")
    unpaired: Literal["error", "skip"] = Field(
        default="error", description="rows with missing files: an error, or skipped with a note"
    )

    def build(self) -> list[Record]:
        """One record per row, sorted by id; raises DataError for a missing table, column or file."""
        from segengine.data.sources.table import TablePlan, read_pairs

        skip = self.unpaired == "skip"
        return read_pairs(TablePlan(self.root, self.file, self.image, self.mask, self.split, self.group, skip))
