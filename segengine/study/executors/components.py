"""Built-in executors: processes of this machine, and a Ray cluster."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from segengine.components.base import Executor
from segengine.errors import RegistryError

if TYPE_CHECKING:
    from segengine.components.jobs import Execute


class Local(Executor):
    """Each run in a process of its own on this machine, as many at a time as there are GPUs; one on a CPU."""

    name: Literal["local"] = "local"
    jobs: int | None = Field(
        default=None, ge=1, le=10**6, description="runs at a time; null takes the number of GPUs, and 1 without any"
    )
    start: Literal["auto", "fork", "spawn"] = Field(
        default="auto",
        description="fork: runs start at once and share decoded images; spawn: each is a new Python that reads the data "
        "anew, for libraries that can't be forked; auto forks on Linux",
    )

    def build(self) -> Execute:
        """What runs jobs in processes of this machine."""
        from segengine.study.executors.local_processes import LocalProcesses

        return LocalProcesses(self.jobs, self.start)


class Ray(Executor):
    """Each run is a task of a Ray cluster; those of a node that dies go on elsewhere from their checkpoints.

    All nodes need the same environment, and the experiment file, data and folder of runs under the same paths.
    """

    name: Literal["ray"] = "ray"
    address: str | None = Field(
        default=None,
        description="the cluster: auto (the one that this machine belongs to), host:port, or ray://host:port; null takes "
        "RAY_ADDRESS, and without it starts Ray on this machine",
    )
    cpus: float = Field(default=1, gt=0, le=10**6, description="CPU cores of each run, which are also its threads")
    gpus: float = Field(default=0, ge=0, le=10**6, description="GPUs of each run; 0.5 lets two runs share one")
    jobs: int | None = Field(
        default=None, ge=1, le=10**6, description="runs at a time; null takes as many as there is room for"
    )
    retries: int = Field(
        default=3, ge=0, le=10**6, description="how often a run goes on elsewhere after its node has died"
    )

    def preflight(self) -> None:
        if find_spec("ray") is None:
            raise RegistryError("executor: ray needs a package that isn't installed; pip install 'segengine[ray]'")

    def build(self) -> Execute:
        """What runs jobs on the cluster."""
        from segengine.study.executors.ray_tasks import RayTasks

        return RayTasks(self.address, self.cpus, self.gpus, self.jobs, self.retries)
