"""Built-in augmentations: names, parameters, and the transforms they build."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from segengine.components.base import Augmentation

if TYPE_CHECKING:
    from segengine.data.augment.transforms import BatchTransform, Transform

Probability = Annotated[float, Field(ge=0, le=1)]
Pixels = Annotated[int, Field(ge=1, le=65536)]
Factor = Annotated[float, Field(gt=0, le=100)]
Degrees = Annotated[float, Field(ge=-360, le=360)]
Size = Pixels | tuple[Pixels, Pixels]
_RARE_SHARE = (
    "fraction of the samples whose window is centred, within the image, on a random pixel of a class drawn uniformly from the "
    "classes in the image's mask, to oversample rare classes (nnU-Net, Isensee et al., 2021, uses one third); 0: random "
    "windows only"
)
_ATTEMPTS = "maximum number of draws until the window contains a labelled pixel; the last draw is used in any case"


class MultiScale(Augmentation):
    """Rescale by a random factor, crop a random window, and pad smaller images with ignored pixels."""

    name: Literal["multi-scale"] = "multi-scale"
    base_size: Pixels = Field(default=256, description="length of the image's longer side at scale 1, in pixels")
    scale: tuple[Factor, Factor] = Field(
        default=(0.5, 1.5), description="smallest and largest factor, drawn uniformly; the aspect ratio is kept"
    )
    crop_size: Size = Field(
        default=256, description="size of the resulting window in pixels: one number or [height, width]"
    )
    attempts: Annotated[int, Field(ge=1, le=1000)] = Field(default=10, description=_ATTEMPTS)
    rare_share: Probability = Field(default=0.0, description=_RARE_SHARE)

    @field_validator("scale")
    @classmethod
    def _ascending(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if scale[0] > scale[1]:
            raise ValueError("must be two numbers above 0 in ascending order")
        return scale

    def build(self, *, size: tuple[int, int] | None) -> Transform:  # noqa: ARG002
        from segengine.data.augment import geometric

        return geometric.MultiScale(self.base_size, self.scale, _pair(self.crop_size), self.attempts, self.rare_share)


class Flip(Augmentation):
    """Flip the image horizontally, vertically, or both."""

    name: Literal["flip"] = "flip"
    horizontal: Probability = Field(default=0.5, description="probability of a horizontal flip")
    vertical: Probability = Field(default=0.0, description="probability of a vertical flip")

    def build(self, *, size: tuple[int, int] | None) -> Transform:
        from segengine.data.augment import geometric

        return geometric.Flip(self.horizontal, self.vertical, size)


class Rotate(Augmentation):
    """Rotate the image about its centre; corners outside the image are ignored pixels."""

    name: Literal["rotate"] = "rotate"
    degrees: Degrees | tuple[Degrees, Degrees] = Field(
        default=15.0,
        description="largest angle to either side, or [lowest, highest], in degrees, counter-clockwise, drawn uniformly",
    )
    probability: Probability = Field(default=1.0, description="probability of a rotation")

    @field_validator("degrees")
    @classmethod
    def _ascending(cls, degrees: float | tuple[float, float]) -> float | tuple[float, float]:
        low, high = _range(degrees)
        if low > high:
            raise ValueError("must be an angle from 0 to 360, or two from -360 to 360, the smaller first")
        return degrees

    def build(self, *, size: tuple[int, int] | None) -> Transform:
        from segengine.data.augment import geometric

        return geometric.Rotate(_range(self.degrees), self.probability, size)


class Crop(Augmentation):
    """Cut out a window of fixed size; a smaller image is padded with ignored pixels."""

    name: Literal["crop"] = "crop"
    size: Size = Field(default=256, description="size of the window in pixels: one number or [height, width]")
    position: Literal["random", "centre"] = Field(default="random", description="position of the window")
    attempts: Annotated[int, Field(ge=1, le=1000)] = Field(default=10, description=_ATTEMPTS)
    rare_share: Probability = Field(default=0.0, description=_RARE_SHARE)

    @field_validator("rare_share")
    @classmethod
    def _movable(cls, share: float, info: ValidationInfo) -> float:
        if share and info.data.get("position") == "centre":
            raise ValueError("needs position: random")
        return share

    def build(self, *, size: tuple[int, int] | None) -> Transform:  # noqa: ARG002
        from segengine.data.augment import geometric

        attempts = self.attempts if self.position == "random" else 1
        return geometric.Crop(_pair(self.size), self.position, attempts, self.rare_share)


class BrightnessContrast(Augmentation):
    """Change brightness and contrast at random."""

    name: Literal["brightness-contrast"] = "brightness-contrast"
    brightness: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.2, description="largest change up or down, as a fraction of the full range of values"
    )
    contrast: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.2, description="largest relative change of the contrast about the image's mean"
    )
    probability: Probability = Field(default=1.0, description="probability of a change")

    def build(self, *, size: tuple[int, int] | None) -> Transform:
        from segengine.data.augment import pixels

        return pixels.BrightnessContrast(self.brightness, self.contrast, self.probability, size)


class Albumentations(Augmentation):
    """Apply any transform of the albumentations library; masks are filled with ignored pixels."""

    name: Literal["albumentations"] = "albumentations"
    transform: str = Field(default="GaussNoise", description="the transform's name in albumentations")
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="the transform's own parameters (p is its probability)"
    )

    def preflight(self) -> None:
        self.build(size=None)

    def build(self, *, size: tuple[int, int] | None) -> Transform:
        from segengine.data.augment.albumentations_bridge import AlbumentationsTransform

        return AlbumentationsTransform(self.transform, self.parameters, size=size)


class CutMix(Augmentation):
    """Paste a rectangle of another image of the batch, with its labels (Yun et al., 2019).

    A batch augmentation: applied after all others, on the training device. Each process mixes its own part of the batch.
    """

    name: Literal["cutmix"] = "cutmix"
    probability: Probability = Field(default=0.5, description="probability per image")
    alpha: Annotated[float, Field(gt=0, le=1000)] = Field(
        default=1.0, description="both parameters of the Beta distribution of the area fraction that is kept"
    )

    def build(self, *, size: tuple[int, int] | None) -> BatchTransform:
        from segengine.data.augment import mixing

        return mixing.CutMix(self.probability, self.alpha, size)


class CopyPaste(Augmentation):
    """Paste the pixels of some classes of another image of the batch, with their labels (Ghiasi et al., 2021).

    A batch augmentation: applied after all others, on the training device. Each process mixes its own part of the batch.
    """

    name: Literal["copy-paste"] = "copy-paste"
    probability: Probability = Field(default=0.5, description="probability per image")
    share: Probability = Field(default=0.5, description="probability per class, for images that are augmented")
    classes: Literal["auto"] | tuple[Annotated[int, Field(ge=0, le=254)], ...] = Field(
        default="auto",
        description="classes that may be pasted, as numbers from 0 in the order of data.classes; auto: all but class 0, "
        "usually the background",
    )

    def build(self, *, size: tuple[int, int] | None) -> BatchTransform:
        from segengine.data.augment import mixing

        classes = None if self.classes == "auto" else tuple(self.classes)
        return mixing.CopyPaste(self.probability, self.share, classes, size)


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _range(degrees: float | tuple[float, float]) -> tuple[float, float]:
    return (-degrees, degrees) if isinstance(degrees, int | float) else degrees
