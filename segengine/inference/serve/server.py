"""Runs the application with uvicorn: sockets, slow connections, signals."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from segengine.errors import RunError
from segengine.inference.serve.app import Server, application
from segengine.inference.serve.guard import LOOPBACK

HEADER_SECONDS, STALLED_SECONDS = 10.0, 30.0
"""Time for a request's headers, and for a client to take a part of an answer, before the connection is cut."""
ANSWER_SECONDS, GRACE_SECONDS = 15, 20
"""Time after a signal to stop until waiting requests are refused, and until connections are cut."""
_BATCH_SECONDS = 5
"""Time for the batch in progress after that."""
_BACKLOG = 1024


class Connection(H11Protocol):
    """uvicorn's HTTP connection, cut if headers take too long or the client doesn't read its answer."""

    _late: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_headers()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait_for_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._late, self._stalled):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(STALLED_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
        super().resume_writing()

    def _wait_for_headers(self) -> None:
        """Start the timer while headers are incomplete, and stop it once they are complete."""
        if self.conn.their_state is not h11.IDLE:
            if self._late is not None:
                self._late.cancel()
                self._late = None
        elif self._late is None:
            self._late = self.loop.call_later(HEADER_SECONDS, self.transport.abort)


class _Uvicorn(uvicorn.Server):
    """uvicorn, which refuses new requests at the first signal, and returns after a graceful stop instead of raising it."""

    def __init__(self, config: uvicorn.Config, server: Server) -> None:
        super().__init__(config)
        self._server = server

    def handle_exit(self, sig: int, frame: Any) -> None:
        super().handle_exit(sig, frame)
        self._server.admission.stopped = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().call_later(ANSWER_SECONDS, self._server.give_up)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def serve(server: Server, *, host: str, port: int, token: str = "", ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; requests in progress are answered first.

    Args:
        server: the model with its limits.
        host: address to bind to.
        port: 0 for a free one.
        token: needed by requests; '' for none.
        ready: called with the URL once connections are accepted.

    Raises:
        RunError: the address can't be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)  # Python adds the address to `strerror`
        raise RunError(f"{host}:{port}: can't listen ({reason}); choose another --port or --host") from error
    local = host in LOOPBACK
    config = uvicorn.Config(
        application(server, token=token, local=local), http=Connection, ws="none", log_config=None, access_log=False,
        server_header=False, limit_concurrency=server.limits.connections, timeout_keep_alive=10, backlog=_BACKLOG,
        timeout_graceful_shutdown=GRACE_SECONDS, lifespan="on",
    )  # fmt: skip
    shown = f"[{host}]" if family == socket.AF_INET6 else host
    with bound:
        ready(f"http://{shown}:{bound.getsockname()[1]}")
        _Uvicorn(config, server).run(sockets=[bound])
    server.close()
    if not server.batcher.ended(_BATCH_SECONDS):
        os._exit(0)  # a thread inside torch while the interpreter shuts down would abort the process
