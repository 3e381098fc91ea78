import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from segengine.components.jobs import ExecutorContext, Job, JobEnded, JobPlacement, Work
from segengine.errors import RunError
from segengine.study.crashes import crash_message
from segengine.study.executors import local_processes
from segengine.study.executors.job_process import TAIL, JobProcess, forked, spawned
from segengine.study.executors.local_processes import LocalProcesses, visible_gpus

Tell = Callable[[str], None]


@dataclass
class Context(ExecutorContext):
    device: str = "cpu"
    lines: list[tuple[str, str]] = field(default_factory=list)
    stop_after: int = 10**9
    ticks: int = 0

    def tell(self, job: Job, line: str) -> None:
        self.lines.append((job.name, line))

    def stop_wanted(self) -> bool:
        return len(self.lines) >= self.stop_after

    def tick(self) -> None:
        self.ticks += 1
        assert self.ticks < 600, "it hangs"


def job(name: str, work: Work) -> Job:
    return Job(name, {}, lambda: work)


def run(*jobs: Job, context: Context | None = None, at_once: int | None = 1) -> list[JobEnded]:
    return list(LocalProcesses(at_once, "fork")(iter(jobs), context or Context()))


def killed(placement: JobPlacement, tell: Tell) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def left(placement: JobPlacement, tell: Tell) -> int:
    os._exit(9)


def crashed(placement: JobPlacement, tell: Tell) -> int:
    import ctypes

    ctypes.string_at(0)
    return 0


def raised(placement: JobPlacement, tell: Tell) -> int:
    raise LookupError("no such thing")


def finished(placement: JobPlacement, tell: Tell) -> int:
    tell("done")
    return 0


@pytest.mark.parametrize(
    ("work", "code", "words"),
    [
        (killed, -signal.SIGKILL, "its process was killed by SIGKILL (usually the kernel's out-of-memory killer"),
        (left, 9, "its process exited with code 9 without a message"),
        (crashed, -signal.SIGSEGV, "its process was killed by SIGSEGV (a library accessed invalid memory); last output: "
         'Segmentation fault, File "'),
        (raised, 70, "its process failed with an unexpected error; last output: LookupError: no such thing"),
    ],
)  # fmt: skip
def test_a_process_that_dies_is_explained_and_the_next_one_runs(work: Work, code: int, words: str) -> None:
    context = Context()
    first, second = run(job("a", work), job("b", finished), context=context)
    assert (first.job.name, first.exit_code, second.exit_code) == ("a", code, 0)
    assert crash_message(first).startswith(words)
    assert context.lines == [("b", "done")]


def test_as_many_at_a_time_as_wanted_each_told_how_many_share_the_machine() -> None:
    def meet(placement: JobPlacement, tell: Tell) -> int:
        tell(f"{placement.device} {placement.concurrent_jobs} {time.monotonic()}")
        time.sleep(0.4)
        tell(str(time.monotonic()))
        return 0

    context = Context()
    assert len(run(job("a", meet), job("b", meet), job("c", meet), context=context, at_once=2)) == 3
    lines = {name: [line for job_name, line in context.lines if job_name == name] for name in "abc"}
    assert all(first.startswith("cpu 2 ") for first, _ in lines.values())
    began, ended = ({name: float(lines[name][i].split()[-1]) for name in "abc"} for i in (0, 1))
    assert began["b"] < ended["a"]
    assert began["c"] > min(ended["a"], ended["b"])


def test_each_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def which(placement: JobPlacement, tell: Tell) -> int:
        tell(f"{placement.device} {os.environ['CUDA_VISIBLE_DEVICES']}")
        time.sleep(0.3)
        return 0

    monkeypatch.setattr(local_processes, "visible_gpus", lambda device: ["3", "GPU-7f"])
    context = Context("auto")
    run(job("a", which), job("b", which), context=context, at_once=None)
    assert sorted(context.lines) == [("a", "cuda 3"), ("b", "cuda GPU-7f")]
    assert os.environ.get("CUDA_VISIBLE_DEVICES") not in ("3", "GPU-7f")


def test_gpus_are_those_that_may_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_processes, "_count_gpus", lambda: 3)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    assert visible_gpus("auto") == ["4", "5", "6"]
    assert visible_gpus("cuda:1") == ["5"]
    assert visible_gpus("cpu") == []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert visible_gpus("cuda") == ["0", "1", "2"]
    with pytest.raises(RunError, match="--device cuda:3: no such GPU"):
        visible_gpus("cuda:3")


def test_a_wish_to_stop_lets_running_ones_save_and_starts_no_other() -> None:
    def patient(placement: JobPlacement, tell: Tell) -> int:
        stopped: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
        tell("ready")
        while not stopped:
            time.sleep(0.01)
        tell("saved")
        return 5

    context = Context(stop_after=1)
    [ended] = run(job("a", patient), job("b", finished), context=context)
    assert (ended.exit_code, context.lines) == (5, [("a", "ready"), ("a", "saved")])


def test_nothing_is_left_running_when_the_study_gives_up() -> None:
    def forever(placement: JobPlacement, tell: Tell) -> int:
        tell(str(os.getpid()))
        time.sleep(100)
        return 0

    def jobs() -> Iterator[Job]:
        yield job("a", forever)
        while not context.lines:
            yield job("b", finished)
        raise RunError("the data can't be read")

    context = Context()
    with pytest.raises(RunError):
        list(LocalProcesses(2, "fork")(jobs(), context))
    pid = int(next(line for name, line in context.lines if name == "a"))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_much_that_nobody_reads_makes_no_job_wait() -> None:
    def talk(placement: JobPlacement, tell: Tell) -> int:
        for _ in range(30):
            tell("x" * 10_000)
            sys.stderr.write("y" * 10_000)
        return 0

    line = os.pipe()
    process = forked(job("a", talk), talk, JobPlacement("cpu"), line)
    assert process.poll(wait=True) == 0
    assert [len(text) for text in process.lines()] == [10_000] * 30
    assert process.ended(0).output == "y" * TAIL
    for end in line:
        os.close(end)


def ends(process: JobProcess) -> bool:
    until = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    return process.ended(process.poll() or 0).exit_code == -signal.SIGKILL


def test_a_job_ends_at_once_when_its_parent_is_gone() -> None:
    def forever(placement: JobPlacement, tell: Tell) -> int:
        time.sleep(100)
        return 0

    line = os.pipe()
    process = forked(job("a", forever), forever, JobPlacement("cpu"), line)
    time.sleep(0.1)
    assert process.poll() is None
    for end in line:
        os.close(end)  # as the kernel does for a process that is killed
    assert ends(process)


def test_a_new_python_ends_at_once_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import os, time; from segengine.study.executors.job_process import end_with_stdin; os.read(0, 1); end_with_stdin();"
        "time.sleep(100)"
    )
    monkeypatch.setattr("segengine.study.executors.job_process.WORKER", ("-c", code))
    real, started = subprocess.Popen, []
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(real(*a, **k)) or started[-1])
    process = spawned(job("a", finished), JobPlacement("cpu"))
    time.sleep(0.1)
    assert process.poll() is None
    started[0].stdin.close()
    assert ends(process)


def test_jobs_are_not_forked_once_autograd_has_threads() -> None:
    code = """if True:
        import torch
        from torch._subclasses.fake_tensor import FakeTensorMode
        from segengine.study.executors.local_processes import can_fork

        before = can_fork()
        with FakeTensorMode():  # as torch.export and torch.compile do
            torch.ones(1)
        torch.ones(1, requires_grad=True).sum().backward()
        print(before, can_fork())
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]
