"""Built-in losses; each is 0 for a batch without a valid pixel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from segengine.components.base import Component, Loss
from segengine.components.choices import AnyLoss
from segengine.components.settings import Settings
from segengine.errors import SpecError, counted
from segengine.registry import suggest

if TYPE_CHECKING:
    from torch import nn

Weight = Annotated[float, Field(ge=0, le=1e6)]
_WEIGHT_WORDS = ("none", "median-frequency")


def _word_or_numbers(value: object) -> object:
    """Validate with one message instead of one per branch of the union."""
    fits = value in _WEIGHT_WORDS
    if isinstance(value, list | tuple):
        fits = all(isinstance(v, int | float) and not isinstance(v, bool) and v >= 0 for v in value)
    hint = suggest(value, _WEIGHT_WORDS) if isinstance(value, str) else ""
    message = f"{value!r} is not none, median-frequency or a list of numbers from 0"
    if fits and isinstance(value, list | tuple) and not any(value):
        fits, message = False, f"{list(value)} gives every class the weight 0; give one class a weight above 0"
    if not fits:
        # Curly braces are pydantic's placeholders in custom messages.
        raise PydanticCustomError("class_weights", "{message}", {"message": f"{message}; {hint}".rstrip("; ")})
    return value


ClassWeights = Annotated[Literal["none", "median-frequency"] | tuple[Weight, ...], BeforeValidator(_word_or_numbers)]
Region = Literal["batch", "image"]
Absent = Literal["penalise", "skip"]

_CLASS_WEIGHTS = (
    "none, a list of one number per class, or median-frequency: the median of the classes' numbers of training pixels "
    "divided by the class's own"
)
_OVER = "pixels over which counts are summed: all of the batch, or those of each image"
_ABSENT = "loss of a class absent from the target: its mean probability (penalise), or excluded from the mean (skip)"


class CrossEntropy(Loss):
    """Cross-entropy of the softmax: the class-weighted sum over valid pixels divided by their number.

    PyTorch divides by the sum of the weights; dividing by the number of pixels makes gradients accumulated over steps or
    processes equal to those of the whole batch.
    """

    name: Literal["cross-entropy"] = "cross-entropy"
    class_weights: ClassWeights = Field(default="none", description=_CLASS_WEIGHTS)
    label_smoothing: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="label smoothing: fraction of the target spread evenly over all classes (Szegedy et al., 2016)",
    )

    def build(self, *, num_classes: int, ignore_index: int, class_pixels: Sequence[int]) -> nn.Module:
        from segengine.nn.losses import CrossEntropy

        weights = _weights(self.class_weights, num_classes, class_pixels)
        return CrossEntropy(num_classes, ignore_index, weights=weights, label_smoothing=self.label_smoothing)


class Focal(Loss):
    """Focal loss (Lin et al., 2017): cross-entropy that down-weights well-classified pixels; mean over valid pixels."""

    name: Literal["focal"] = "focal"
    gamma: float = Field(
        default=2.0, ge=0, le=100, description="focusing parameter gamma: strength of the down-weighting; 0: none"
    )
    class_weights: ClassWeights = Field(default="none", description=_CLASS_WEIGHTS)

    def build(self, *, num_classes: int, ignore_index: int, class_pixels: Sequence[int]) -> nn.Module:
        from segengine.nn.losses import Focal

        weights = _weights(self.class_weights, num_classes, class_pixels)
        return Focal(num_classes, ignore_index, gamma=self.gamma, weights=weights)


class Tversky(Loss):
    """1 - Tversky index (Salehi et al., 2017), mean over classes: Dice with separate weights of false positives and false negatives."""

    name: Literal["tversky"] = "tversky"
    alpha: Weight = Field(default=0.3, description="weight of false positives")
    beta: Weight = Field(default=0.7, description="weight of false negatives")
    over: Region = Field(default="batch", description=_OVER)
    absent: Absent = Field(default="penalise", description=_ABSENT)

    @model_validator(mode="after")
    def _errors_cost(self) -> Self:
        if not self.alpha + self.beta:
            raise ValueError("alpha and beta are both 0, so the loss is constant; set one above 0")
        return self

    def build(self, *, num_classes: int, ignore_index: int, class_pixels: Sequence[int]) -> nn.Module:  # noqa: ARG002
        return _overlap(num_classes, ignore_index, alpha=self.alpha, beta=self.beta, over=self.over, absent=self.absent)


class Dice(Loss):
    """1 - soft Dice (Milletari et al., 2016), the mean over classes; plain counts, not the logarithm."""

    name: Literal["dice"] = "dice"
    over: Region = Field(default="batch", description=_OVER)
    absent: Absent = Field(default="penalise", description=_ABSENT)

    def build(self, *, num_classes: int, ignore_index: int, class_pixels: Sequence[int]) -> nn.Module:  # noqa: ARG002
        return _overlap(num_classes, ignore_index, alpha=0.5, beta=0.5, over=self.over, absent=self.absent)


class Jaccard(Loss):
    """1 - soft Jaccard index (intersection over union; Rahman & Wang, 2016), the mean over classes."""

    name: Literal["jaccard"] = "jaccard"
    over: Region = Field(default="batch", description=_OVER)
    absent: Absent = Field(default="penalise", description=_ABSENT)

    def build(self, *, num_classes: int, ignore_index: int, class_pixels: Sequence[int]) -> nn.Module:  # noqa: ARG002
        return _overlap(num_classes, ignore_index, alpha=1.0, beta=1.0, over=self.over, absent=self.absent)


class Lovasz(Loss):
    """Lovasz-softmax (Berman et al., 2018): optimises the Jaccard index; mean over the classes in the target."""

    name: Literal["lovasz"] = "lovasz"
    over: Region = Field(default="batch", description=_OVER)

    def build(self, *, num_classes: int, ignore_index: int, class_pixels: Sequence[int]) -> nn.Module:  # noqa: ARG002
        from segengine.nn.losses import LovaszSoftmax

        return LovaszSoftmax(num_classes, ignore_index, over=self.over)


class Ohem(Loss):
    """Cross-entropy of the hard pixels only: online hard example mining (Shrivastava et al., 2016) for single pixels.

    Hard pixels: valid pixels whose true class has a probability below `threshold`, but at least the hardest fraction
    `least`, per process and batch. The loss is the mean over hard pixels.
    """

    name: Literal["ohem"] = "ohem"
    threshold: float = Field(
        default=0.7, ge=0, le=1, description="pixels whose true class has a lower probability are hard"
    )
    least: float = Field(
        default=0.0625, gt=0, le=1, description="minimum fraction of the valid pixels that count as hard"
    )
    class_weights: ClassWeights = Field(default="none", description=_CLASS_WEIGHTS)

    def build(self, *, num_classes: int, ignore_index: int, class_pixels: Sequence[int]) -> nn.Module:
        from segengine.nn.losses import HardPixels

        weights = _weights(self.class_weights, num_classes, class_pixels)
        return HardPixels(num_classes, ignore_index, threshold=self.threshold, least=self.least, weights=weights)


class Boundary(Loss):
    """Boundary loss (Kervadec et al., 2019): probability times the distance to its class's true outline, in pixels.

    Classes absent from an image contribute nothing, and the loss can be negative: combine it with another loss by
    weighted-sum, at a weight of about 0.01. Distances are computed on the CPU per class and image: about 2 ms each at
    256x256 pixels on one core; on a GPU this synchronizes once per step.
    """

    name: Literal["boundary"] = "boundary"

    def build(self, *, num_classes: int, ignore_index: int, class_pixels: Sequence[int]) -> nn.Module:  # noqa: ARG002
        from segengine.nn.losses import Boundary

        return Boundary(num_classes, ignore_index)


class Term(Settings):
    """One loss of a weighted sum."""

    loss: AnyLoss = Field(description="a loss: its name, or a mapping with `name`")
    weight: Weight = Field(default=1.0, description="factor of the loss")


class WeightedSum(Loss):
    """A sum of losses, each times its weight."""

    name: Literal["weighted-sum"] = "weighted-sum"
    terms: Annotated[tuple[Term, ...], Field(min_length=1)] = Field(
        description="the losses, a list of {loss: ..., weight: ...}"
    )

    @field_validator("terms")
    @classmethod
    def _any_counts(cls, terms: tuple[Term, ...]) -> tuple[Term, ...]:
        if not any(term.weight for term in terms):
            raise ValueError("all weights are 0; give one loss a weight above 0")
        return terms

    def parts(self) -> Iterator[Component]:
        yield self
        for term in self.terms:
            yield from term.loss.parts()

    def build(self, *, num_classes: int, ignore_index: int, class_pixels: Sequence[int]) -> nn.Module:
        from segengine.nn.losses import WeightedSum

        losses = [
            term.loss.build(num_classes=num_classes, ignore_index=ignore_index, class_pixels=class_pixels)
            for term in self.terms
        ]
        return WeightedSum(losses, [term.weight for term in self.terms])


def _weights(chosen: ClassWeights, num_classes: int, class_pixels: Sequence[int]) -> Sequence[float] | None:
    from segengine.nn.losses import median_frequency_weights

    if chosen == "none":
        return None
    if chosen == "median-frequency":
        return median_frequency_weights(class_pixels)
    assert isinstance(chosen, tuple)
    if len(chosen) != num_classes:
        raise SpecError(
            f"class_weights has {counted(len(chosen), 'number')} for {num_classes} classes; give one per class"
        )
    return chosen


def _overlap(
    num_classes: int, ignore_index: int, *, alpha: float, beta: float, over: Region, absent: Absent
) -> nn.Module:
    from segengine.nn.losses import Tversky as TverskyModule

    return TverskyModule(num_classes, ignore_index, alpha=alpha, beta=beta, over=over, absent=absent)
