"""Built-in sources: folders of images and masks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, ValidationInfo, field_validator

from segengine.components.base import Source

if TYPE_CHECKING:
    from segengine.data.sources.records import Record


class Folders(Source):
    """Images and masks in folders, paired by their names."""

    name: Literal["folders"] = "folders"
    root: Path = Field(description="folder that holds images and masks; relative to the experiment file")
    images: str | None = Field(
        default=None,
        description="pattern under root, such as {split}/images/*.png; default: the usual layouts, any image suffix",
    )
    masks: str | None = Field(
        default=None, description="pattern under root, such as {split}/masks/*.png; pairs by what the wildcards match"
    )
    lists: str | None = Field(
        default=None, description="pattern of text files, one image name a line, such as lists/{split}.txt"
    )
    unpaired: Literal["error", "skip"] = Field(
        default="error", description="images without mask and masks without image: stop, or leave them out and say so"
    )
    outside: Literal["refuse", "allow"] = Field(
        default="refuse", description="patterns and links that lead out of root: refuse or allow"
    )

    @field_validator("root")
    @classmethod
    def _resolved(cls, root: Path, info: ValidationInfo) -> Path:
        if str(root).startswith("~"):
            raise ValueError(f"'{root}' is not expanded; write the full path, or one relative to the experiment file")
        base = (info.context or {}).get("base_folder")
        return root if base is None or root.is_absolute() else Path(base) / root

    @field_validator("images", "masks", "lists")
    @classmethod
    def _usable(cls, pattern: str | None) -> str | None:
        from segengine.data.sources.patterns import check_pattern

        return None if pattern is None else check_pattern(pattern)

    def build(self) -> list[Record]:
        """One record a pair, sorted by id; raises DataError where files are missing or names are ambiguous."""
        from segengine.data.sources.folders import FolderPlan, read_folders

        plan = FolderPlan(self.root, self.images, self.masks, self.lists, self.unpaired, self.outside == "allow")
        return read_folders(plan)
