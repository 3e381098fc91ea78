"""Built-in trackers: they show a run elsewhere while it goes on; what counts is always the run's own folder."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from segengine.components.base import Tracker
from segengine.errors import RegistryError

if TYPE_CHECKING:
    from pathlib import Path


class _Extra(Tracker):
    """A tracker whose library is an extra of segengine, named like the tracker."""

    every: int = Field(
        default=10, ge=1, le=10**9, description="steps between two points of the training loss and the learning rate"
    )

    def preflight(self) -> None:
        if find_spec(self.name) is None:
            raise RegistryError(
                f"trackers: {self.name} needs a package that isn't installed; pip install 'segengine[{self.name}]'"
            )


class TensorBoard(_Extra):
    """Curves for TensorBoard, in the run's folder; look at all runs with `tensorboard --logdir runs`."""

    name: Literal["tensorboard"] = "tensorboard"
    folder: str = Field(
        default="tensorboard", min_length=1, description="where in the run's folder the event files are written"
    )

    def build(self, *, folder: Path) -> Any:
        """A listener that writes event files below `folder`.

        Raises:
            RegistryError: the package tensorboard isn't installed.
        """
        self.preflight()
        from segengine.training.trackers.tensorboard import TensorBoardListener

        return TensorBoardListener(folder / self.folder, self.every)


class MlFlow(_Extra):
    """Parameters, curves and final scores for MLflow, one MLflow run for each run; a run that goes on keeps its own."""

    name: Literal["mlflow"] = "mlflow"
    uri: str | None = Field(
        default=None,
        description="tracking server or data base, such as http://localhost:5000 or sqlite:///mlflow.db; null takes "
        "MLFLOW_TRACKING_URI",
    )
    experiment: str | None = Field(
        default=None,
        description="name of the experiment in MLflow; null takes the name of the folder that holds the runs",
    )

    def build(self, *, folder: Path) -> Any:
        """A listener that writes to the tracking server.

        Raises:
            RegistryError: the package mlflow isn't installed.
        """
        self.preflight()
        from segengine.training.trackers.mlflow import MlFlowListener

        return MlFlowListener(folder, self.uri, self.experiment or folder.absolute().parent.name, self.every)
