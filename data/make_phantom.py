"""Make, or check, the embedded sample: slices of a digital abdomen phantom (see README.md beside this file)."""

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from phantom.sample import render, slices
from PIL import Image

FOLDER = Path(__file__).parent / "abdomen"


def write(folder: Path) -> int:
    """Write all slices below `folder`; return how many bytes."""
    total = 0
    for one in slices():
        for path, pixels in zip(one.paths(), render(one), strict=True):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(target, optimize=True)
            total += target.stat().st_size
    return total


def differing(folder: Path) -> list[str]:
    """Return one line for each file that is missing, strange or has other pixels than the generator makes."""
    lines = []
    expected = {path: pixels for one in slices() for path, pixels in zip(one.paths(), render(one), strict=True)}
    for path, pixels in expected.items():
        if not (folder / path).is_file():
            lines.append(f"{folder / path}: is missing")
        elif (count := _different_pixels(folder / path, pixels)) != 0:
            lines.append(f"{folder / path}: {count} of {pixels.size} pixels differ")
    known = {folder / path for path in expected}
    lines += [f"{path}: is not part of the sample" for path in sorted(folder.rglob("*.png")) if path not in known]
    return lines


def _different_pixels(path: Path, pixels: NDArray[np.uint8]) -> int:
    with Image.open(path) as image:
        found = np.asarray(image)
    return pixels.size if found.shape != pixels.shape else int(np.count_nonzero(found != pixels))


def main() -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER, help="the sample's folder (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="write nothing; compare the folder's pixels")
    options = parser.parse_args()
    if not options.check:
        print(f"wrote {write(options.out) / 1e6:.2f} MB to {options.out}")
        return 0
    lines = differing(options.out)
    print("\n".join(lines) or f"{options.out}: every pixel is as generated")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
