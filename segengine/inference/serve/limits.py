"""Limits of the server, and the errors that a request is answered with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """Limits of one server.

    `upload_bytes`: of one request's body. `pixels`: height times width of one image. `upload_seconds`: for the upload; `seconds`:
    from there to the answer. `requests`: uploaded but not yet answered requests. `batch`: images per forward pass.
    `uploads_bytes`: of all bodies in memory. `images_bytes`: of all decoded images in memory; exceeded by at most one image
    per decoding thread. `connections`: open at the same time.
    """

    upload_bytes: int = 32 * MIB
    pixels: int = 2**24
    seconds: float = 60.0
    upload_seconds: float = 30.0
    requests: int = 256
    batch: int = 8
    uploads_bytes: int = 256 * MIB
    images_bytes: int = 256 * MIB
    connections: int = 1024


class RefusedError(Exception):
    """A request that is answered with an error: HTTP status, a short code for programs, a message for people."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers = dict(headers or {})

    @property
    def document(self) -> dict[str, object]:
        """The JSON body of the answer."""
        return {"error": {"status": self.status, "code": self.code, "message": self.message}}


def busy(requests: int) -> RefusedError:
    """The answer if too many requests are waiting."""
    return RefusedError(
        429, "too-many-requests", f"{requests} requests are waiting already; try again later", {"Retry-After": "1"}
    )


def stopping() -> RefusedError:
    """The answer while the server shuts down."""
    return RefusedError(503, "stopping", "the server is shutting down", {"Retry-After": "10"})


@dataclass
class Admission:
    """Counts uploaded requests that are not answered yet, up to a limit."""

    most: int
    now: int = 0
    stopped: bool = False

    def check(self) -> None:
        """Raise RefusedError if another request can't be admitted."""
        if self.stopped:
            raise stopping()
        if self.now >= self.most:
            raise busy(self.most)

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """One admitted request. Raises RefusedError."""
        self.check()
        self.now += 1
        try:
            yield
        finally:
            self.now -= 1


@dataclass
class HeldBytes:
    """Bytes held in memory for one purpose. Used by the event loop only."""

    most: int
    now: int = 0
    _held: dict[object, int] = field(default_factory=dict)

    def hold(self, owner: object, number: int) -> None:
        """Set the bytes held for `owner`."""
        self.now += number - self._held.get(owner, 0)
        self._held[owner] = number

    def release(self, owner: object) -> None:
        """Forget what is held for `owner`."""
        self.now -= self._held.pop(owner, 0)

    @property
    def full(self) -> bool:
        """Whether the limit is reached."""
        return self.now >= self.most
