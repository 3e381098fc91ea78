"""Mistakes in backbones, decoders and losses that training reveals late or never."""

from functools import cache
from typing import Literal

import pytest

from segengine.plugin import Backbone, Decoder, Loss, SpecError
from segengine.testing import findings


@cache
def stem():
    """A backbone module with one mistake per name; torch is imported only when a test runs."""
    import torch
    from torch import nn

    class Stem(nn.Module):
        def __init__(self, mistake, in_channels):
            super().__init__()
            self.mistake = mistake
            self.channels, self.strides = (4, 8), (2, 4)
            self.mean, self.std = (0.5,) * in_channels, (0.25,) * in_channels
            if mistake == "strides":
                self.strides = (2, 8)
            if mistake == "statistics":
                self.mean = (0.5, 0.5, 0.5)
            self.one = nn.Conv2d(in_channels, 4, 3, stride=2, padding=1)
            self.two = nn.Conv2d(4, 8, 3, stride=2, padding=1)
            if mistake == "unused":
                self.three = nn.Conv2d(8, 8, 1)
            self.shift = torch.randn(8, 1, 1) if mistake == "state" else 0.0
            if mistake == "generator":
                import numpy as np

                self.one.weight.data.mul_(float(np.random.default_rng().uniform(0.5, 2)))

        def forward(self, images):
            if self.mistake == "in place":
                images = images.mul_(2)
            one = self.one(images).relu()
            two = self.two(one) + self.shift
            if self.mistake == "batch":
                two = two - two.mean(dim=0, keepdim=True)
            if self.mistake == "dropout":
                two = nn.functional.dropout(two, 0.5)
            if self.mistake == "one":
                two = nn.functional.batch_norm(two.mean((2, 3), keepdim=True), None, None, training=True) + two
            if self.mistake == "odd" and images.shape[-1] % 2:
                two = two[..., 1:-1]
            return [one, two]

    return Stem


class Net(Backbone):
    """Two convolutions."""

    name: Literal["net"] = "net"

    def build(self, *, in_channels, output_stride=32):
        return stem()("", in_channels)


@pytest.mark.parametrize(
    ("mistake", "finding"),
    [
        ("", None),
        (
            "strides",
            "map 1 of an image of 16x24 has shape [2, 8, 4, 6], declared is [2, 8, 2, 3]; correct the declaration",
        ),
        ("statistics", "`mean` has 3 values for 1 channels; set one per channel"),
        ("unused", "no gradient reaches three.weight, three.bias; use these parameters in forward()"),
        ("state", "outputs differ for the same state_dict"),
        ("generator", "initial weights differ for the same torch.manual_seed"),
        ("in place", "forward() modifies its input tensors"),
        ("batch", "an image's output in evaluation mode depends on the other images"),
        ("dropout", "outputs in evaluation mode differ between two calls"),
        ("one", "Expected more than 1 value per channel when training"),
        ("odd", "map 1 of an image of 65x97 is 17x23, which for stride 4 is neither rounded down nor up; pad inside"),
    ],
)
def test_mistakes_of_backbones(mistake, finding):
    def build(self, *, in_channels, output_stride=32):
        return stem()(mistake, in_channels)

    found = findings(type("Net", (Net,), {"__doc__": Net.__doc__, "build": build, "__module__": __name__}))
    assert found == [] if finding is None else [line for line in found if finding in line], found


def test_an_output_stride_is_implemented_or_rejected():
    def build(self, *, in_channels, output_stride=32):
        from torch import nn

        stack = stem()("", in_channels)
        stack.strides, stack.two = (2, 32), nn.Conv2d(4, 8, 3, stride=16, padding=1)
        return stack

    def refusing(self, *, in_channels, output_stride=32):
        if output_stride < 32:
            raise SpecError("can't be dilated")
        return build(self, in_channels=in_channels)

    deaf = type("Deaf", (Net,), {"__doc__": Net.__doc__, "build": build, "__module__": __name__})
    assert (
        "Deaf: build(output_stride=16) has strides (2, 32); dilate the last stages, or raise SpecError if that is not possible"
        in findings(deaf)
    )
    honest = type("Honest", (Net,), {"__doc__": Net.__doc__, "build": refusing, "__module__": __name__})
    assert findings(honest) == []


class Head(Decoder):
    """A convolution of the deepest map."""

    name: Literal["head"] = "head"

    def build(self, *, channels, strides):
        from torch import nn

        class Deepest(nn.Module):
            def __init__(self):
                super().__init__()
                self.out_channels, self.stride = 4, strides[-1]
                self.conv = nn.Conv2d(channels[-1], 4, 3, padding=1)

            def forward(self, features):
                return self.conv(features[-1])

        return Deepest()


def test_a_plain_decoder_passes_and_its_mistakes_are_named():
    assert findings(Head) == []

    class Wrong(Head):
        """A convolution of the deepest map."""

        def build(self, *, channels, strides):
            module = super().build(channels=channels, strides=strides)
            module.stride = 4
            return module

    assert findings(Wrong)[0] == (
        "Wrong: the output for the maps of a ResNet (64x96) has shape [2, 4, 2, 3], declared is [2, 4, 16, 24]; "
        "correct the declaration or forward()"
    )

    class Choosy(Head):
        """A convolution of the deepest map."""

        def build(self, *, channels, strides):
            raise SpecError("no")

    assert findings(Choosy) == [
        "Choosy: build() rejects the feature maps of all tested backbones (ResNet, VGG, ConvNeXt); support at least one"
    ]


def entropy(self, logits, target):
    from torch.nn import functional as F

    valid = target != 255
    pixels = F.cross_entropy(logits, target, ignore_index=255, reduction="none")
    return pixels.sum() / valid.sum().clamp(min=1)


def plain_mean(self, logits, target):
    from torch.nn import functional as F

    return F.cross_entropy(logits, target, ignore_index=255)


def clamped(self, logits, target):
    from torch.nn import functional as F

    return F.nll_loss(F.log_softmax(logits, 1), target.clamp(max=2))


def naive_logarithm(self, logits, target):
    p = logits.softmax(1).gather(1, target.clamp(max=2).unsqueeze(1)).squeeze(1)
    valid = target != 255
    return -(p.log() * valid).sum() / valid.sum().clamp(min=1)


@pytest.mark.parametrize(
    ("forward", "finding"),
    [
        (entropy, None),
        (plain_mean, "the loss of a batch in which all pixels are ignored is nan; return 0"),
        (clamped, "ignored pixels have a gradient; exclude pixels where target == ignore_index"),
        (naive_logarithm, "loss or gradient is not finite for logits of up to 400"),
        (lambda self, logits, target: -entropy(self, logits, target), "the loss of a correct prediction is"),
        (
            lambda self, logits, target: entropy(self, logits, target).detach(),
            "the loss has no gradient; do not detach the logits",
        ),
        (
            lambda self, logits, target: logits.square().mean((2, 3)),
            "forward() returns a tensor of shape [2, 3], torch.float32",
        ),
        (lambda self, logits, target: 1.0, "forward() returns float; return a scalar tensor"),
    ],
)
def test_mistakes_of_losses(forward, finding):
    class Sample(Loss):
        """A mean over valid pixels."""

        name: Literal["sample"] = "sample"

        def build(self, *, num_classes, ignore_index, class_pixels):
            from torch import nn

            return type("Module", (nn.Module,), {"forward": forward})()

    found = findings(Sample)
    assert found == [] if finding is None else [line for line in found if finding in line], found


def test_a_build_that_ignores_the_seed_is_found():
    import torch
    from torch import nn

    class Net(nn.Module):
        channels, strides = (4,), (1,)

        def __init__(self, in_channels):
            super().__init__()
            self.mean = self.std = (0.5,) * in_channels
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                self.convolution = nn.Conv2d(in_channels, 4, 3, padding=1)

        def forward(self, x):
            return [self.convolution(x)]

    class Fixed(Backbone):
        """One convolution, always the same."""

        name: Literal["fixed"] = "fixed"

        def build(self, *, in_channels, output_stride=32):
            return Net(in_channels)

    assert findings(Fixed) == [
        "Fixed: all seeds give the same initial weights; remove torch.manual_seed and fixed generators from build()"
    ]
