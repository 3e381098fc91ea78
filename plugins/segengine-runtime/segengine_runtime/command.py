"""`segengine-predict`: prediction of masks with an exported model, without torch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from segengine_runtime.errors import ModelError
from segengine_runtime.images import SUFFIXES
from segengine_runtime.model import load


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0 all masks written, 1 some images failed, 2 invalid request."""
    parser = argparse.ArgumentParser(
        "segengine-predict", description="Predict masks with a model exported by segengine."
    )
    parser.add_argument("model", type=Path, help="the .onnx file")
    parser.add_argument("images", nargs="+", type=Path, help="image files or folders")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for the masks")
    parser.add_argument("--flips", action="store_true", help="average the predictions of mirror images")
    parser.add_argument("--overwrite", action="store_true", help="replace existing masks")
    given = parser.parse_args(arguments)
    try:
        model, images = load(given.model), _images(given.images)
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 2
    if model.facts.get("postprocess"):
        steps = ", ".join(str(step["name"]) for step in model.facts["postprocess"]["steps"])
        print(f"note: without the model's post-processing ({steps}), which needs segengine predict", file=sys.stderr)  # noqa: T201
    problems = 0
    for image, place in images:
        try:
            target = given.out / place.with_suffix(model.encoding.suffix)
            if target.resolve() == image.resolve():
                raise ModelError(f"{target}: is the image itself; choose another folder with -o")
            model.predict(image, flips=given.flips).save(target, overwrite=given.overwrite)
        except ModelError as error:
            problems += 1
            print(f"skipped: {error}", file=sys.stderr)  # noqa: T201
    print(f"{len(images) - problems} of {len(images)} masks written to {given.out}")  # noqa: T201
    return int(problems > 0)


def _images(paths: Sequence[Path]) -> list[tuple[Path, Path]]:
    found: list[tuple[Path, Path]] = []
    for path in paths:
        if path.is_dir():
            inside = [p for p in sorted(path.rglob("*")) if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
            found += [(p, p.relative_to(path)) for p in inside]
        elif path.exists():
            found.append((path, Path(path.name)))
        else:
            raise ModelError(f"{path}: no such file or folder")
    if not found:
        raise ModelError(f"no image ({', '.join(SUFFIXES)}) in {', '.join(map(str, paths))}")
    return found
