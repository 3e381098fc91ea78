"""What counting costs beside the forward pass that it counts: VGG16-UNet, one image at a time, as evaluation does on a CPU.

    python tests/benchmarks/evaluation.py [--side 256] [--classes 5] [--repeats 10] [--json FILE]

The metric part is the arg-max over classes and the confusion table. The fastest repeat of each is shown.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from segengine.components.backbones import Vgg
from segengine.components.decoders import Unet
from segengine.engine.evaluation import confusions
from segengine.engine.precision import pick_precision
from segengine.engine.prediction import Predictor
from segengine.engine.wrap_model import placed
from segengine.nn.segmenter import Segmenter

CPU = torch.device("cpu")


def fastest(work: Callable[[], Any], repeats: int) -> float:
    """Milliseconds of the fastest repeat."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - began))
    return min(times)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--classes", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    side, classes = arguments.side, arguments.classes
    backbone = Vgg(depth=16).build(in_channels=3)
    decoder = Unet().build(channels=backbone.channels, strides=backbone.strides)
    model = placed(Segmenter(backbone, decoder, classes), CPU).eval()
    predictor = Predictor(model, CPU, pick_precision("fp32", CPU))
    images = torch.randint(256, (1, side, side, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    truth = torch.randint(classes, (1, side, side), dtype=torch.uint8)
    logits = predictor.logits(images)
    figures = {
        "forward": fastest(lambda: predictor.logits(images), arguments.repeats),
        "metric": fastest(
            lambda: confusions(truth, logits.max(1).indices.to(torch.uint8), classes), 3 * arguments.repeats
        ),
        "plain arg-max alone": fastest(lambda: logits.argmax(1), 3 * arguments.repeats),
    }
    sys.stdout.write("| part | ms an image |\n| --- | ---: |\n")
    sys.stdout.writelines(f"| {name} | {value:.2f} |\n" for name, value in figures.items())
    sys.stdout.write(f"\nmetric part: {figures['metric'] / figures['forward']:.1%} of the forward pass\n")
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"side": side, "classes": classes, "milliseconds": figures}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
