"""The rule by which three channels become another number of them."""

import pytest
import torch
from torch.nn import functional as F

from segengine.nn.input_channels import convolution_for, statistics_for


def test_a_gray_image_answers_as_its_rgb_copy_would():
    weight, gray = torch.rand(4, 3, 3, 3), torch.rand(1, 1, 8, 8)
    torch.testing.assert_close(F.conv2d(gray, convolution_for(weight, 1)), F.conv2d(gray.expand(1, 3, 8, 8), weight))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_the_rule_is_the_one_of_timm(channels):
    from timm.models import adapt_input_conv

    weight = torch.rand(4, 3, 3, 3)
    torch.testing.assert_close(convolution_for(weight, channels), adapt_input_conv(channels, weight.clone()))


def test_statistics_are_averaged_for_one_channel_and_taken_in_turn_for_more():
    assert statistics_for((0.1, 0.2, 0.6), 1) == pytest.approx((0.3,))
    assert statistics_for((0.1, 0.2, 0.6), 3) == (0.1, 0.2, 0.6)
    assert statistics_for((0.1, 0.2, 0.6), 5) == (0.1, 0.2, 0.6, 0.1, 0.2)
