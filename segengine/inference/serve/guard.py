"""What applies to every request: known host, token, security headers, counted answers."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from segengine.inference.serve.limits import RefusedError
from segengine.inference.serve.metrics import Metrics

OPEN_PATHS = ("/", "/health")
"""Paths that need no token."""
PATHS = (*OPEN_PATHS, "/predict", "/classes", "/metrics", "/openapi.json")
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """ASGI middleware around the application.

    `token`: needed as `Authorization: Bearer TOKEN`; '' for none. `local`: only accept requests that name a loopback
    host, so that a web page can't reach the server under another name (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, *, token: str, local: bool, metrics: Metrics) -> None:
        self._app, self._token, self._local, self._metrics = app, token, local, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in PATHS else "other"

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.requests.labels(path, str(message["status"])).inc()
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            self._check(Headers(scope=scope), path)
        except RefusedError as refused:
            await _refuse(refused, counted)
            return
        await self._app(scope, receive, counted)

    def _check(self, headers: Headers, path: str) -> None:
        if self._local and _host(headers.get("host", "")) not in LOOPBACK:
            raise RefusedError(
                400, "unknown-host", "the Host header names no loopback address; start with --host to serve others"
            )
        given = headers.get("authorization", "")
        if (
            self._token
            and path not in OPEN_PATHS
            and not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode())
        ):
            raise RefusedError(
                401, "token-needed", "send the token in the header Authorization: Bearer TOKEN",
                {"WWW-Authenticate": "Bearer"},
            )  # fmt: skip


def _host(header: str) -> str:
    """The host without port and brackets."""
    if header.startswith("["):
        return header[1:].split("]", maxsplit=1)[0].lower()
    return header.rsplit(":", 1)[0].lower()


def error_headers(refused: RefusedError) -> Mapping[str, str]:
    """Headers of an error's answer."""
    return {"content-type": "application/json", **refused.headers}


async def _refuse(refused: RefusedError, send: Send) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in error_headers(refused).items()]
    body = json.dumps(refused.document).encode()
    headers += [(b"content-length", str(len(body)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
