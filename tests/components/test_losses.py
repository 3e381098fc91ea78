"""The parameters of losses, and the modules that they build."""

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from segengine.components.choices import AnyLoss
from segengine.components.lookup import dump
from segengine.components.losses import CrossEntropy, Dice, Focal, Jaccard, Lovasz, Tversky, WeightedSum
from segengine.errors import SpecError

LOGITS = torch.tensor([[[[2.0, 0.0]], [[0.0, 1.0]], [[-1.0, 0.5]]]])
TARGET = torch.tensor([[[0, 2]]])
SUM = {
    "name": "weighted-sum",
    "terms": [{"loss": "cross-entropy"}, {"loss": {"name": "dice", "over": "image"}, "weight": 0.5}],
}


def built(component, class_pixels=(100, 400, 200)):
    return component.build(num_classes=len(class_pixels), ignore_index=255, class_pixels=class_pixels)


def value(component):
    return float(built(component)(LOGITS, TARGET))


def test_class_weights_come_from_a_list_or_from_the_data():
    assert built(CrossEntropy()).weight is None
    assert built(CrossEntropy(class_weights=[1, 2, 3])).weight.tolist() == [1, 2, 3]
    assert built(CrossEntropy(class_weights="median-frequency")).weight.tolist() == [2.0, 0.5, 1.0]
    assert built(Focal(class_weights="median-frequency")).weight.tolist() == [2.0, 0.5, 1.0]


def test_a_list_of_weights_must_have_one_for_each_class():
    with pytest.raises(SpecError, match="class_weights has 2 numbers for 3 classes; give one per class"):
        built(CrossEntropy(class_weights=[1, 2]))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("median-freqency", "'median-freqency' is not none, median-frequency or a list of numbers from 0; "
         "did you mean 'median-frequency'?"),
        ([1, -2], "[1, -2] is not none, median-frequency or a list of numbers from 0"),
        ([1, "x"], "[1, 'x'] is not none, median-frequency or a list of numbers from 0"),
        (None, "None is not none, median-frequency or a list of numbers from 0"),
    ],
)  # fmt: skip
def test_wrong_class_weights_get_one_message(given, message):
    with pytest.raises(ValidationError) as caught:
        CrossEntropy(class_weights=given)
    (error,) = caught.value.errors()
    assert error["loc"] == ("class_weights",)
    assert error["msg"] == message


def test_dice_and_jaccard_are_tversky_with_equal_weights():
    assert value(Dice()) == value(Tversky(alpha=0.5, beta=0.5))
    assert value(Jaccard()) == value(Tversky(alpha=1.0, beta=1.0))
    assert value(Dice()) < value(Jaccard())


def test_focal_without_discount_is_cross_entropy():
    assert value(Focal(gamma=0)) == pytest.approx(value(CrossEntropy()))
    assert value(Focal()) < value(CrossEntropy())


def test_a_weighted_sum_is_the_sum_of_its_terms():
    total = TypeAdapter(AnyLoss).validate_python(SUM)
    assert value(total) == pytest.approx(value(CrossEntropy()) + 0.5 * value(Dice(over="image")))


def test_sums_can_hold_sums_and_survive_a_round_trip():
    nested = TypeAdapter(AnyLoss).validate_python(
        {"name": "weighted-sum", "terms": [{"loss": SUM, "weight": 2}, {"loss": "lovasz"}]}
    )
    assert TypeAdapter(AnyLoss).validate_python(dump(nested)) == nested
    assert value(nested) == pytest.approx(
        2 * (value(CrossEntropy()) + 0.5 * value(Dice(over="image"))) + value(Lovasz())
    )
    assert [part.name for part in nested.parts()] == [
        "weighted-sum", "weighted-sum", "cross-entropy", "dice", "lovasz",
    ]  # fmt: skip


def test_an_error_within_a_sum_is_located():
    wrong = {"name": "weighted-sum", "terms": [{"loss": "dice"}, {"loss": {"name": "focal", "gama": 1}}]}
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(AnyLoss).validate_python(wrong)
    (error,) = caught.value.errors()
    assert error["loc"] == ("terms", 1, "loss", "gama")


@pytest.mark.parametrize(
    ("cls", "settings"),
    [(WeightedSum, {"terms": []}), (Focal, {"gamma": -1}), (Tversky, {"alpha": -0.1}), (Dice, {"over": "class"}),
     (CrossEntropy, {"label_smoothing": 1.0})],
)  # fmt: skip
def test_settings_out_of_range_are_refused(cls, settings):
    with pytest.raises(ValidationError):
        cls(**settings)


@pytest.mark.parametrize("cls", [CrossEntropy, Focal, Dice, Jaccard, Tversky, Lovasz])
def test_training_with_a_loss_finds_the_truth(cls):
    truth = torch.tensor([[[0, 1, 2, 255], [0, 1, 2, 0]]])
    logits = torch.zeros(1, 3, 2, 4, requires_grad=True)
    loss = built(cls())
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(40):
        optimizer.zero_grad()
        loss(logits, truth).backward()
        optimizer.step()
    valid = truth != 255
    assert torch.equal(logits.argmax(1)[valid], truth[valid])
