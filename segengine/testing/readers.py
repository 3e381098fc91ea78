"""Checks of readers: suffixes, results of the declared kind (image, pages or volume), and errors for other content."""

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
    """build() returns an object with `read`, and with the method that `holds` declares."""
    component = subject.component
    if component.holds not in _METHODS:
        yield f"holds is {component.holds!r}; declare one of {', '.join(_METHODS)}"
        return
    built = component.build()
    for method in dict.fromkeys(("read", _METHODS[component.holds])):
        if not callable(getattr(built, method, None)):
            yield f"build() returns {type(built).__name__} without {method}(path, content); add this method"


def suffixes_are_its_own(subject: Subject) -> Iterator[str]:
    """The suffixes in the name are not those of built-in formats."""
    if subject.cls.__module__ == readers.__name__:
        return
    for suffix in subject.component.suffixes:
        if suffix in SUFFIXES:
            yield f"{suffix} is the suffix of a built-in format; choose a name with other suffixes"


def signatures_are_bytes(subject: Subject) -> Iterator[str]:
    """Signatures are the leading bytes of the format."""
    for signature in subject.component.signatures:
        if not isinstance(signature, bytes) or not signature.strip(b"?"):
            yield f"signature {signature!r} matches every file; declare the leading bytes of the format, or no signature"


def other_content_is_refused(subject: Subject) -> Iterator[str]:
    """Content of another format raises an exception; it is not decoded as an image and does not exit the process."""
    method = getattr(subject.component.build(), _METHODS[subject.component.holds])
    heads = [b"", b"hello world", *(signature.replace(b"?", b"\0") for signature in subject.component.signatures)]
    for content in [*heads, *(head + _NOISE for head in heads[2:])]:
        found = _outcome(method, subject.scratch / "noise", content)
        if found == "read":
            yield f"{content[:12]!r}... ({len(content)} bytes) is decoded as an image; raise DataError for other content"
        elif found:
            yield f"{found} for {content[:12]!r}...; raise DataError with the problem"


def _outcome(method: Any, path: Path, content: bytes) -> str:
    """Outcome of the call: "read" without an exception, "" after one, or the description of a SystemExit."""
    try:
        method(path, content)
    except SystemExit as error:
        return raised(error)
    except Exception:  # any exception rejects the content; a reader that rejects everything fails `files_are_read`
        return ""
    return "read"


def files_are_read(subject: Subject) -> Iterator[str]:
    """The files in the given folder are decoded, with the same result in each call; truncated files are rejected."""
    component = subject.component
    files = (
        []
        if subject.files is None
        else sorted(p for p in subject.files.rglob("*") if suffix_of(p) in component.suffixes)
    )
    if subject.files is not None and not files:
        yield f"{subject.files} has no file with suffix {', '.join(component.suffixes)}; add some"
    method = getattr(component.build(), _METHODS[component.holds])
    for path in files:
        content = path.read_bytes()
        images = _images(method(path, content))
        problems = [problem for image in images for problem in _image_problems(image)]
        if not images:
            problems.append("no image is returned; raise DataError instead")
        again = _images(method(path, content))
        if not all(
            np.array_equal(a.values, b.values, equal_nan=_floats(a)) for a, b in zip(images, again, strict=True)
        ):
            problems.append("values differ between two calls; they must depend on the content only")
        if _outcome(method, path, content[: len(content) // 2]) == "read":
            problems.append(
                "a truncated file (half of the bytes) is decoded; compare the declared size with the length of the content"
            )
        for problem in dict.fromkeys(problems):
            yield f"{path.name}: {problem}"


def _images(found: Any) -> list[Any]:
    return list(found) if isinstance(found, list | tuple) else [found]


def _floats(image: Any) -> bool:
    return bool(np.issubdtype(image.values.dtype, np.floating))


def _image_problems(image: Any) -> Iterator[str]:
    if not isinstance(image, Stored | Volume):
        yield f"returns {type(image).__name__}; return segengine.plugin.Stored (or Volume if holds is volume)"
        return
    values, axes = image.values, (3, 4) if isinstance(image, Volume) else (2, 3)
    if values.ndim not in axes or not values.size or values.dtype.kind not in "uif":
        yield f"values are {values.dtype} {list(values.shape)}; return numbers [H, W] or [H, W, C] (a volume [I, J, K] or [I, J, K, C])"
        return
    extent = values.shape[: axes[0]]
    if image.missing is not None and (image.missing.dtype != bool or image.missing.shape != extent):
        yield f"missing is {image.missing.dtype} {list(image.missing.shape)}; it must be bool {list(extent)}"
    spacing = image.spacing
    if spacing is not None and not all(np.isfinite(side) and side > 0 for side in spacing):
        yield f"spacing is {spacing}; return positive lengths, or None if the file declares no spacing"


CHECKS: tuple[Check, ...] = (
    reads_what_it_declares,
    suffixes_are_its_own,
    signatures_are_bytes,
    other_content_is_refused,
    files_are_read,
)
