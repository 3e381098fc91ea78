"""Built-in trackers: TensorBoard and MLflow. The run folder remains the primary record."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from segengine.components.base import Tracker
from segengine.errors import RegistryError

if TYPE_CHECKING:
    from pathlib import Path


class _Extra(Tracker):
    """A tracker whose library is an optional dependency (extra) of the same name."""

    every: int = Field(default=10, ge=1, le=10**9, description="interval in steps for training loss and learning rate")

    def preflight(self) -> None:
        if find_spec(self.name) is None:
            raise RegistryError(
                f"trackers: {self.name} needs a package that isn't installed; pip install 'segengine[{self.name}]'"
            )


class TensorBoard(_Extra):
    """TensorBoard event files in the run folder; view all runs with `tensorboard --logdir runs`."""

    name: Literal["tensorboard"] = "tensorboard"
    folder: str = Field(default="tensorboard", min_length=1, description="subfolder of the run folder for event files")

    def build(self, *, folder: Path) -> Any:
        """A listener that writes event files below `folder`.

        Raises:
            RegistryError: the package tensorboard isn't installed.
        """
        self.preflight()
        from segengine.training.trackers.tensorboard import TensorBoardListener

        return TensorBoardListener(folder / self.folder, self.every)


class MlFlow(_Extra):
    """Parameters, curves and final scores in MLflow, one MLflow run per run; a resumed run continues its MLflow run."""

    name: Literal["mlflow"] = "mlflow"
    uri: str | None = Field(
        default=None,
        description="tracking server or database, such as http://localhost:5000 or sqlite:///mlflow.db; null: "
        "MLFLOW_TRACKING_URI",
    )
    experiment: str | None = Field(
        default=None,
        description="name of the MLflow experiment; null: name of the folder that contains the runs",
    )

    def build(self, *, folder: Path) -> Any:
        """A listener that writes to the tracking server.

        Raises:
            RegistryError: the package mlflow isn't installed.
        """
        self.preflight()
        from segengine.training.trackers.mlflow import MlFlowListener

        return MlFlowListener(folder, self.uri, self.experiment or folder.absolute().parent.name, self.every)
