"""What only a person can decide, in words: what was found, and how to answer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from segengine.data.sources.records import listed
from segengine.errors import DataError, counted
from segengine.inspection.layouts.contents import undecodable
from segengine.inspection.layouts.hypotheses import Hypothesis
from segengine.inspection.layouts.tree import Tree

_OPTIONS = (
    (r"or set data\.source\.unpaired: skip", "or leave them out with --unpaired skip"),
    (r"set outside: allow in data\.source to permit this", "allow this with --outside allow"),
    (r"correct data\.source\.masks", "say which files are masks with --masks PATTERN"),
    (
        r"set data\.source\.images to a pattern of the intended images",
        "choose the intended images with --images PATTERN",
    ),
    (r"correct data\.source\.images", "correct --images"),
    (r"write images:? and masks:?(?: patterns)? in data\.source", "give --images PATTERN and --masks PATTERN"),
    (r"write patterns such as images: (\S+) and masks: (\S+)", r"give patterns such as --images '\1' --masks '\2'"),
)
_SETTING = r"[;,][^;]*\bdata\.(?:source|mask_mapper|classes|split|channels|window)\b[^;]*"


def before_a_file(message: str) -> str:
    """A message about data for somebody who has no experiment file yet: options of `init` in place of settings."""
    for setting, option in _OPTIONS:
        message = re.sub(setting, option, message)
    return re.sub(_SETTING, "", message)


class UndecidedError(DataError):
    """What only a person can decide: `text`, and the `choices` as (images, masks) patterns with the reason of each."""

    def __init__(self, text: str, choices: Sequence[Hypothesis] = ()) -> None:
        super().__init__(text)
        self.choices = tuple(choices)


def question(
    tree: Tree, why: str, rivals: Sequence[Hypothesis], annotations: Sequence[str], problem: str = ""
) -> UndecidedError:
    """The question in words: what was found, two or three choices, and how to answer.

    `annotations` are sentences on annotation files, and `problem` is why they can't be rasterised.
    """
    unread = tree.unread_words()
    where = str(tree.root)
    if not tree.pictures:
        found = [*annotations, *([unread] if unread else [])]
        if tree.outside:
            links = counted(len(tree.outside), "link leads", "links lead")
            found.append(f"{links} out of it (first {'/'.join(tree.outside[0])}); follow them with --outside allow")
        return UndecidedError(f"{where}: holds no images that can be read{'; ' + '; '.join(found) if found else ''}")
    if problem_of_all := undecodable([tree.path(parts) for parts in tree.pictures]):
        return UndecidedError(
            f"{where}: none of {counted(len(tree.pictures), 'image')} can be decoded; {problem_of_all}"
        )
    if annotations and not any(r.marks["contents"] > 0.6 for r in rivals):
        words = "; ".join([*annotations, *([problem] if problem else [])])
        return UndecidedError(f"{where}: holds {counted(len(tree.pictures), 'image')} and no masks; {words}")
    folders = Counter("/".join(p[:-1]) or "." for p in tree.pictures)
    there = listed([f"{name}/ ({counted(n, 'image')})" for name, n in folders.most_common(5)], 5)
    options = "; ".join(f"--images '{r.images}' --masks '{r.masks}'" for r in rivals[:3])
    asked = f"which is meant? {options}" if options else (
        "which are the images and which the masks? Answer with --images PATTERN --masks PATTERN, for example --images 'photos/*.jpg' "
        "--masks 'labels/*.png'; * stands for what an image and its mask have in common"
    )  # fmt: skip
    extra = "".join(f"; {text}" for text in [*([unread] if unread else []), *annotations])
    if tree.outside:
        extra += (
            f"; {counted(len(tree.outside), 'link leads', 'links lead')} out of the folder: follow with --outside allow"
        )
    return UndecidedError(f"{where}: {why}; there: {there}{extra}; {asked}", rivals[:3])
