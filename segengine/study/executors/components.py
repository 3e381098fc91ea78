"""Built-in executors: local processes and Ray."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from segengine.components.base import Executor
from segengine.errors import RegistryError

if TYPE_CHECKING:
    from segengine.components.jobs import Execute


class Local(Executor):
    """Each run in its own process on this machine; one concurrent run per GPU, one on a CPU."""

    name: Literal["local"] = "local"
    jobs: int | None = Field(
        default=None, ge=1, le=10**6, description="number of concurrent runs; null: the number of GPUs, 1 without any"
    )
    start: Literal["auto", "fork", "spawn"] = Field(
        default="auto",
        description="fork: runs start immediately and share decoded images; spawn: each run is a new Python process that "
        "reads the data again, for libraries that can't be forked; auto: fork on Linux",
    )

    def build(self) -> Execute:
        """The callable that runs jobs in local processes."""
        from segengine.study.executors.local_processes import LocalProcesses

        return LocalProcesses(self.jobs, self.start)


class Ray(Executor):
    """Each run is a task of a Ray cluster; runs of a lost node resume on another node from their checkpoints.

    All nodes need the same environment, and the experiment file, data and run folder under the same paths.
    """

    name: Literal["ray"] = "ray"
    address: str | None = Field(
        default=None,
        description="the cluster: auto (that of this machine), host:port, or ray://host:port; null: RAY_ADDRESS, or "
        "a new Ray instance on this machine",
    )
    cpus: float = Field(default=1, gt=0, le=10**6, description="CPU cores and threads per run")
    gpus: float = Field(default=0, ge=0, le=10**6, description="GPUs per run; with 0.5 two runs share one GPU")
    jobs: int | None = Field(
        default=None, ge=1, le=10**6, description="number of concurrent runs; null: as many as resources allow"
    )
    retries: int = Field(
        default=3, ge=0, le=10**6, description="number of times a run resumes on another node after its node is lost"
    )

    def preflight(self) -> None:
        if find_spec("ray") is None:
            raise RegistryError("executor: ray needs a package that isn't installed; pip install 'segengine[ray]'")

    def build(self) -> Execute:
        """The callable that runs jobs on the cluster."""
        from segengine.study.executors.ray_tasks import RayTasks

        return RayTasks(self.address, self.cpus, self.gpus, self.jobs, self.retries)
