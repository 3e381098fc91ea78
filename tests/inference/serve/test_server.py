"""A real server in a process of its own: slow and many clients, signals, memory."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
from tests.inference.serve.samples import bomb, png
from tests.training.small import Study, sample

pytestmark = pytest.mark.slow


@contextmanager
def served(study: Study, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """URL and process of a running server."""
    command = [sys.executable, "-m", "segengine", "serve", str(study.run), "--port", "0", "--device", "cpu", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, (line, process.stderr.read() if process.stderr else "")
        yield found[0], process
    finally:
        process.kill()
        process.communicate()


def address(url: str) -> tuple[str, int]:
    parsed = httpx.URL(url)
    return parsed.host, parsed.port or 80


def slow_client(url: str, head: bytes) -> socket.socket:
    """A connection that sends the beginning of a request, and nothing more."""
    connection = socket.create_connection(address(url))
    connection.sendall(head)
    return connection


HALF_HEADERS = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Le"
HALF_BODY = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\nContent-Length: 5000\r\n\r\nabc"


def test_many_slow_and_hostile_clients_leave_it_alive_and_its_memory_bounded(study: Study) -> None:
    with served(study, "--timeout", "20", "--max-pixels", "100000") as (url, process):
        body = png(sample(1)[0])

        async def send(client: httpx.AsyncClient, number: int) -> int:
            content = (bomb(), b"junk", body[:200])[number // 10 % 3] if number % 10 == 0 else body
            answer = await client.post(f"{url}/predict", content=content)
            return answer.status_code

        async def all_at_once() -> list[int]:
            limits = httpx.Limits(max_connections=None)
            async with httpx.AsyncClient(limits=limits, timeout=60) as client:
                return await asyncio.gather(*(send(client, number) for number in range(200)))

        slow = [slow_client(url, head) for head in (HALF_HEADERS, HALF_BODY, b"") for _ in range(40)]
        asyncio.run(all_at_once())
        before = psutil.Process(process.pid).memory_info().rss
        statuses = [status for _ in range(3) for status in asyncio.run(all_at_once())]
        assert {status: statuses.count(status) for status in set(statuses)} == {200: 540, 413: 21, 415: 21, 422: 18}
        assert psutil.Process(process.pid).memory_info().rss - before < 100 * 2**20
        assert httpx.get(f"{url}/health").status_code == 200
        deadline = time.monotonic() + 30
        for connection in slow:  # each was cut, or answered with 408
            connection.settimeout(max(1.0, deadline - time.monotonic()))
            answer = connection.recv(1000)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 408")
            connection.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_answers_what_was_begun_and_ends(study: Study, number: signal.Signals) -> None:
    with served(study) as (url, process):
        body = png(sample(1, 300, 300)[0])

        async def send_and_stop() -> list[int | str]:
            async with httpx.AsyncClient(limits=httpx.Limits(max_connections=None), timeout=40) as client:

                async def send() -> int | str:
                    try:
                        return (await client.post(f"{url}/predict", content=body)).status_code
                    except httpx.TransportError as error:
                        return type(error).__name__

                requests = [asyncio.create_task(send()) for _ in range(20)]
                await asyncio.wait(requests, return_when=asyncio.FIRST_COMPLETED)
                process.send_signal(number)
                return await asyncio.gather(*requests)

        found = asyncio.run(send_and_stop())
        assert process.wait(60) == 0
        assert set(found) <= {200, 503}
        assert found.count(200) >= 1
        assert "Traceback" not in process.communicate()[1]


def test_no_client_hangs_when_the_server_is_killed(study: Study) -> None:
    with served(study) as (url, process):
        body = png(sample(1, 600, 600)[0])

        async def send_and_kill() -> list[object]:
            async with httpx.AsyncClient(limits=httpx.Limits(max_connections=None), timeout=40) as client:
                requests = [asyncio.create_task(client.post(f"{url}/predict", content=body)) for _ in range(20)]
                await asyncio.wait(requests, return_when=asyncio.FIRST_COMPLETED)
                os.kill(process.pid, signal.SIGKILL)
                return await asyncio.wait_for(asyncio.gather(*requests, return_exceptions=True), 10)

        found = asyncio.run(send_and_kill())
        assert any(isinstance(one, httpx.TransportError) for one in found)
        assert not any(isinstance(one, httpx.TimeoutException) for one in found)


def test_a_port_that_is_taken_is_an_error_in_words(study: Study) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "segengine", "serve", str(study.run), "--port", port, "--device", "cpu"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"error: 127.0.0.1:{port}: can't listen (Address already in use); choose another --port or --host\n"
    )


def test_nothing_is_written(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = {path: path.stat().st_mtime_ns for path in study.folder.rglob("*")}
    with served(study) as (url, process):
        large = sample(1, 1500, 1500)[0]  # above the megabyte at which forms are usually written to disk
        form = {"image": ("a.png", png(large), "image/png")}
        assert len(form["image"][1]) > 2**20
        assert httpx.post(f"{url}/predict", files=form, timeout=60).status_code == 200
        open_files = [file.path for file in psutil.Process(process.pid).open_files()]
        assert [path for path in open_files if path.startswith(str(tmp_path))] == []
    assert list(tmp_path.rglob("*")) == []
    assert {path: path.stat().st_mtime_ns for path in study.folder.rglob("*")} == before
