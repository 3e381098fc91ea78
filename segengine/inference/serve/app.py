"""The web application: routes, and the way of a request from upload to answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib import metadata
from time import perf_counter
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from segengine.engine.machine_errors import out_of_memory
from segengine.errors import unexpected
from segengine.inference.serve import answers, described
from segengine.inference.serve.batching import Batcher, Inferred
from segengine.inference.serve.guard import Guard
from segengine.inference.serve.limits import Admission, HeldBytes, Limits, RefusedError, stopping
from segengine.inference.serve.metrics import Metrics
from segengine.inference.serve.page import page
from segengine.inference.serve.service import Picture, Service
from segengine.inference.serve.uploads import read_upload

VERSION = metadata.version("segengine")
DECODERS, ENCODERS = 2, 2
"""Threads that decode uploads, and that encode answers."""
_ROOM_SECONDS = 0.01


class Server:
    """State of one server: limits, what is held in memory, threads, metrics."""

    def __init__(self, service: Service, limits: Limits) -> None:
        self.service, self.limits = service, limits
        self.metrics = Metrics()
        self.admission = Admission(limits.requests)
        self.uploads, self.images = HeldBytes(limits.uploads_bytes), HeldBytes(limits.images_bytes)
        self.given_up = False
        self._unanswered: set[asyncio.Future[None]] = set()
        self.batcher = Batcher(service.infer, batch=limits.batch, done=self.metrics.batch.observe)
        self.metrics.waiting.set_function(lambda: float(self.batcher.waiting))
        self.metrics.active.set_function(lambda: float(self.admission.now))
        self._decoding = asyncio.Semaphore(DECODERS)
        self._decoders = ThreadPoolExecutor(DECODERS, "decode")
        self._encoders = ThreadPoolExecutor(ENCODERS, "encode")

    async def predict(self, request: Request) -> Response:
        """Answer a request to /predict.

        Raises:
            RefusedError: any problem of the request, or too little time or memory.
        """
        began = perf_counter()
        kind = answers.media_type(request.query_params.get("output"), request.headers.get("accept", ""))
        parts = answers.parts_of(request.query_params.get("include"))
        self.admission.check()
        try:
            name, content = await read_upload(request, self.limits, self.uploads)
            with self.admission.admitted():
                async with asyncio.timeout(self.limits.seconds):
                    body = await self._while_connected(request, self._predicted(request, name, content, kind, parts))
        except TimeoutError:
            raise RefusedError(
                504, "timeout", f"the prediction wasn't ready within {self.limits.seconds:g} s", {"Retry-After": "1"}
            ) from None
        finally:
            self.uploads.release(request)
            self.images.release(request)
        self.metrics.seconds.observe(perf_counter() - began)
        headers = {"Content-Disposition": 'inline; filename="mask.png"'} if kind == answers.PNG else None
        return Response(body, media_type=kind, headers=headers)

    async def _predicted(self, request: Request, name: str, content: bytes, kind: str, parts: frozenset[str]) -> bytes:
        loop = asyncio.get_running_loop()
        async with self._decoding:
            while self.images.full:
                await asyncio.sleep(_ROOM_SECONDS)
            picture: Picture = await loop.run_in_executor(self._decoders, self._decoded, name, content)
            self.images.hold(request, picture.size_bytes)
        self.uploads.release(request)
        del content
        future = self.batcher.submit(picture.pixels, probabilities="probabilities" in parts and kind == answers.JSON)
        inferred = await self._inferred(asyncio.wrap_future(future))
        self.metrics.images.inc()
        self.metrics.pixels.inc(inferred.classes.size)
        return await loop.run_in_executor(self._encoders, answers.answer, self.service, picture, inferred, kind, parts)

    def _decoded(self, name: str, content: bytes) -> Picture:
        return self.service.read(name, content, most_pixels=self.limits.pixels)

    async def _inferred(self, future: asyncio.Future[Inferred]) -> Inferred:
        try:
            return await future
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            raise RefusedError(
                503, "out-of-memory", "the image needs more memory than there is; send a smaller one"
            ) from error

    async def _while_connected(self, request: Request, work: Any) -> bytes:
        """The result of `work`, cancelled if the client disconnects (so that no batch is spent on it) or by `give_up`."""

        async def disconnected() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass

        stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unanswered.add(stop)
        task, watch = asyncio.ensure_future(work), asyncio.ensure_future(disconnected())
        try:
            if not self.given_up:
                await asyncio.wait((task, watch, stop), return_when=asyncio.FIRST_COMPLETED)
            if not task.done() and self.given_up:
                raise stopping()
            if not task.done():
                raise RefusedError(499, "disconnected", "the client closed the connection")
            return bytes(task.result())
        finally:
            self._unanswered.discard(stop)
            for each in (task, watch, stop):
                each.cancel()

    def stop(self) -> None:
        """Refuse new requests and answer those that wait."""
        self.admission.stopped = True
        self.batcher.stop()

    def give_up(self) -> None:
        """Answer all requests that wait with status 503."""
        self.given_up = True
        for stop in list(self._unanswered):
            if not stop.done():
                stop.set_result(None)

    def close(self) -> None:
        """Stop, and end the threads."""
        self.stop()
        for pool in (self._decoders, self._encoders):
            pool.shutdown(wait=False, cancel_futures=True)


def application(server: Server, *, token: str = "", local: bool = True) -> Guard:
    """The ASGI application."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        server.close()

    app = FastAPI(
        title=f"segengine: {server.service.name}", version=VERSION, docs_url=None, redoc_url=None, lifespan=lifespan
    )
    _answer_errors(app)

    async def predict(request: Request) -> Response:
        return await server.predict(request)

    async def classes() -> dict[str, Any]:
        trained = server.service.trained
        return {"model": server.service.name, "channels": trained.channels, "classes": server.service.classes}

    async def health() -> Response:
        healthy = server.batcher.alive and not server.admission.stopped
        document = {"status": "ok" if healthy else "stopping", "model": server.service.name, "version": VERSION}
        return Response(json.dumps(document), 200 if healthy else 503, media_type="application/json")

    async def metrics() -> Response:
        return Response(server.metrics.text(), headers={"Content-Type": server.metrics.content_type})

    async def start_page() -> Response:
        html, policy = page(server.service, token=bool(token), limits=server.limits)
        return Response(html, media_type="text/html", headers={"Content-Security-Policy": policy})

    app.post("/predict", summary="Predict the mask of an image", **described.PREDICT)(predict)
    app.get("/classes", summary="The model's classes", **described.CLASSES)(classes)
    app.get("/health", summary="Whether the server answers", **described.HEALTH)(health)
    app.get("/metrics", summary="Metrics in the text format of Prometheus", **described.METRICS)(metrics)
    app.get("/", include_in_schema=False)(start_page)
    return Guard(app, token=token, local=local, metrics=server.metrics)


def _answer_errors(app: FastAPI) -> None:
    """Answer every error as JSON of one shape."""

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, RefusedError)
        return _json(error)

    async def other(_: Request, error: Exception) -> Response:
        if isinstance(error, RequestValidationError):
            return _json(RefusedError(422, "invalid-request", str(error.errors()[0].get("msg", "invalid request"))))
        assert isinstance(error, HTTPException)
        return _json(RefusedError(error.status_code, "http-error", str(error.detail), error.headers))

    async def failed(_: Request, error: Exception) -> Response:
        return _json(RefusedError(500, "internal-error", unexpected(error)))

    app.add_exception_handler(RefusedError, refused)
    app.add_exception_handler(HTTPException, other)
    app.add_exception_handler(RequestValidationError, other)
    app.add_exception_handler(Exception, failed)


def _json(refused: RefusedError) -> Response:
    body = json.dumps(refused.document, ensure_ascii=False)
    return Response(body, refused.status, headers=refused.headers, media_type="application/json")
