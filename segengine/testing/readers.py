"""What a reader promises: suffixes of its own, an image per file (or pages, or a volume), and an error for any other content."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from segengine.components import readers
from segengine.data.files.formats import SUFFIXES, suffix_of
from segengine.data.files.stored import Stored
from segengine.data.files.volumes import Volume
from segengine.testing.subject import Check, Subject, raised

_METHODS = {"image": "read", "pages": "read_pages", "volume": "read_volume"}
_NOISE = bytes((7 * i * i + 3 * i) % 256 for i in range(3000))


def reads_what_it_declares(subject: Subject) -> Iterator[str]:
    """build() gives an object with `read`, and the method that `holds` promises."""
    component = subject.component
    if component.holds not in _METHODS:
        yield f"holds is {component.holds!r}; declare one of {', '.join(_METHODS)}"
        return
    built = component.build()
    for method in dict.fromkeys(("read", _METHODS[component.holds])):
        if not callable(getattr(built, method, None)):
            yield f"build() gives {type(built).__name__} without {method}(path, content); write it"


def suffixes_are_its_own(subject: Subject) -> Iterator[str]:
    """The name lists suffixes that neither segengine nor another plugin reads."""
    if subject.cls.__module__ == readers.__name__:
        return
    for suffix in subject.component.suffixes:
        if suffix in SUFFIXES:
            yield f"{suffix} files are read by segengine itself; choose a name of other suffixes"


def signatures_are_bytes(subject: Subject) -> Iterator[str]:
    """Signatures are the leading bytes of its files."""
    for signature in subject.component.signatures:
        if not isinstance(signature, bytes) or not signature.strip(b"?"):
            yield f"signature {signature!r} fits every file; give the leading bytes of the format, or none"


def other_content_is_refused(subject: Subject) -> Iterator[str]:
    """Bytes that are not of the format raise an exception; they never become an image or end the process."""
    method = getattr(subject.component.build(), _METHODS[subject.component.holds])
    heads = [b"", b"hello world", *(signature.replace(b"?", b"\0") for signature in subject.component.signatures)]
    for content in [*heads, *(head + _NOISE for head in heads[2:])]:
        found = _outcome(method, subject.scratch / "noise", content)
        if found == "read":
            yield f"reads {content[:12]!r}... ({len(content)} bytes) as an image; raise DataError for other content"
        elif found:
            yield f"{found} for {content[:12]!r}...; raise DataError with what is wrong"


def _outcome(method: Any, path: Path, content: bytes) -> str:
    """Either "read", nothing for an exception, or that the process would end."""
    try:
        method(path, content)
    except SystemExit as error:
        return raised(error)
    except Exception:
        return ""
    return "read"


def files_are_read(subject: Subject) -> Iterator[str]:
    """The files of the given folder are read, the same every time; cut in half they are refused."""
    component = subject.component
    files = (
        []
        if subject.files is None
        else sorted(p for p in subject.files.rglob("*") if suffix_of(p) in component.suffixes)
    )
    if subject.files is not None and not files:
        yield f"{subject.files} holds no file with a suffix of {', '.join(component.suffixes)}; put some there"
    method = getattr(component.build(), _METHODS[component.holds])
    for path in files:
        content = path.read_bytes()
        images = _images(method(path, content))
        problems = [problem for image in images for problem in _image_problems(image)]
        if not images:
            problems.append("gives no image; raise DataError")
        again = _images(method(path, content))
        if not all(
            np.array_equal(a.values, b.values, equal_nan=_floats(a)) for a, b in zip(images, again, strict=True)
        ):
            problems.append("gives other values the second time; let nothing but the content decide")
        if _outcome(method, path, content[: len(content) // 2]) == "read":
            problems.append("is read although half of it is missing; compare the declared size with what is there")
        for problem in dict.fromkeys(problems):
            yield f"{path.name}: {problem}"


def _images(found: Any) -> list[Any]:
    return list(found) if isinstance(found, list | tuple) else [found]


def _floats(image: Any) -> bool:
    return bool(np.issubdtype(image.values.dtype, np.floating))


def _image_problems(image: Any) -> Iterator[str]:
    if not isinstance(image, Stored | Volume):
        yield f"gives {type(image).__name__}; give segengine.plugin.Stored (or Volume where holds is volume)"
        return
    values, axes = image.values, (3, 4) if isinstance(image, Volume) else (2, 3)
    if values.ndim not in axes or not values.size or values.dtype.kind not in "uif":
        yield f"gives {values.dtype} {list(values.shape)}; give numbers [H, W] or [H, W, C] (a volume [I, J, K] or [I, J, K, C])"
        return
    extent = values.shape[: axes[0]]
    if image.missing is not None and (image.missing.dtype != bool or image.missing.shape != extent):
        yield f"missing is {image.missing.dtype} {list(image.missing.shape)}; give bool {list(extent)}"
    spacing = image.spacing
    if spacing is not None and not all(np.isfinite(side) and side > 0 for side in spacing):
        yield f"spacing is {spacing}; give positive lengths, or None where the file declares none"


CHECKS: tuple[Check, ...] = (
    reads_what_it_declares,
    suffixes_are_its_own,
    signatures_are_bytes,
    other_content_is_refused,
    files_are_read,
)
