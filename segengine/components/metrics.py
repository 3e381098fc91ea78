"""Built-in metrics beside the scores from counts: distances of surfaces, thin structures, calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from segengine.components.base import Metric, MetricNeeds

if TYPE_CHECKING:
    from segengine.metrics.pairs import ImageMetric


class Hd95(Metric):
    """The 95th percentile of the distance between surfaces (HD95), the larger of both directions.

    Undefined if the class is absent from truth or prediction. See Maier-Hein, Reinke et al., Metrics Reloaded, 2024.
    """

    better = "lower"
    length = True
    words = "HD95"
    name: Literal["hd95"] = "hd95"

    def build(self) -> ImageMetric:
        from segengine.metrics.surface import hausdorff

        return lambda pair: hausdorff(pair, 95)


class Hausdorff(Metric):
    """A percentile of the distance between surfaces, the larger of both directions; 100 is the Hausdorff distance.

    Undefined if the class is absent from truth or prediction. See Huttenlocher et al. 1993; Metrics Reloaded, 2024.
    """

    better = "lower"
    length = True
    words = "Hausdorff distance"
    name: Literal["hausdorff"] = "hausdorff"
    percentile: float = Field(default=100, gt=0, le=100, description="percentile of each direction's distances")

    def build(self) -> ImageMetric:
        from segengine.metrics.surface import hausdorff

        return lambda pair: hausdorff(pair, self.percentile)


class Assd(Metric):
    """The average symmetric surface distance (ASSD): the mean distance of both surfaces' pixels to the other surface.

    Undefined if the class is absent from truth or prediction. See Yeghiazaryan & Voiculescu 2018; Metrics Reloaded, 2024.
    """

    better = "lower"
    length = True
    words = "ASSD"
    name: Literal["assd"] = "assd"

    def build(self) -> ImageMetric:
        from segengine.metrics.surface import assd

        return assd


class Nsd(Metric):
    """The normalised surface distance (NSD, surface Dice): the fraction of both surfaces within a tolerance of the other.

    0 if the class is only in the truth or only in the prediction. See Nikolov et al. 2021; Metrics Reloaded, 2024.
    """

    words = "NSD"
    name: Literal["nsd"] = "nsd"
    tolerance: float = Field(
        ge=0,
        le=1e9,
        description="largest distance that is no error, in evaluation.spacing's unit (pixels without a spacing)",
    )

    def build(self) -> ImageMetric:
        from segengine.metrics.surface import nsd

        return lambda pair: nsd(pair, self.tolerance)


class BoundaryIou(Metric):
    """The IoU of the bands along the inner contours of truth and prediction (boundary IoU, Cheng et al. 2021).

    0 if the class is only in the truth or only in the prediction.
    """

    words = "boundary IoU"
    name: Literal["boundary-iou"] = "boundary-iou"
    ratio: float = Field(default=0.02, gt=0, le=1, description="width of the bands as a share of the image's diagonal")

    def build(self) -> ImageMetric:
        from segengine.metrics.boundary import boundary_iou

        return lambda pair: boundary_iou(pair, self.ratio)


class ClDice(Metric):
    """The overlap of centre lines with the other mask, for vessels and roads (clDice, Shit et al. 2021).

    Centre lines are computed by thinning (Guo & Hall 1989). 0 if the class is only in the truth or only in the prediction.
    """

    words = "clDice"
    name: Literal["cldice"] = "cldice"

    def build(self) -> ImageMetric:
        from segengine.metrics.skeleton import cl_dice

        return cl_dice


class ExpectedCalibrationError(Metric):
    """Expected calibration error of the largest probability (ECE, Guo et al. 2017), one value per image.

    The mean over images is at least the error of all pixels taken together.
    """

    needs: ClassVar[MetricNeeds] = "probabilities"
    better = "lower"
    by_class = False
    words = "ECE"
    name: Literal["ece"] = "ece"
    bins: int = Field(
        default=15, ge=1, le=1000, description="number of bins of equal width that probabilities are put into"
    )

    def build(self) -> ImageMetric:
        from segengine.metrics.calibration import calibration_error

        return lambda pair: calibration_error(pair, self.bins)
