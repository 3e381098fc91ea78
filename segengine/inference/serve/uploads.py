"""Reads the image of a request into memory, within limits of bytes and time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import PurePosixPath

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from segengine.errors import printable
from segengine.inference.serve.limits import MIB, HeldBytes, Limits, RefusedError

FIELD = "image"
"""Name of the form field that holds the image."""
_FORM = "multipart/form-data"
_RAW = ("image/", "application/octet-stream")
_DISCARDED_SECONDS = 2.0
_LONGEST_NAME = 100


async def read_upload(request: Request, limits: Limits, held: HeldBytes) -> tuple[str, bytes]:
    """File name and content of the request's image: the body itself, or the field `image` of a form.

    The bytes received so far count as held by the request.

    Raises:
        RefusedError: 408, 413, 415, 422 or 503.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != _FORM and kind and not kind.startswith(_RAW):
        raise RefusedError(
            415, "unsupported-media-type",
            f"Content-Type is '{printable(kind[:80])}'; send an image file as the body (image/png ...), or as field '{FIELD}' "
            f"of {_FORM}",
        )  # fmt: skip
    body = await _body(request, limits, held)
    name, content = await _of_form(request, body) if kind == _FORM else ("image", body)
    if not content:
        raise RefusedError(
            422, "no-image", f"the request has no image; send it as the body, or as field '{FIELD}' of a form"
        )
    return name, content


async def _body(request: Request, limits: Limits, held: HeldBytes) -> bytes:
    declared = request.headers.get("content-length", "")
    too_large = RefusedError(413, "too-many-bytes", f"the request has more than {limits.upload_bytes / MIB:g} MiB")
    if declared.isdecimal() and int(declared) > limits.upload_bytes:
        await _discard(request, 2 * limits.upload_bytes)
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(limits.upload_seconds):
            async for chunk in request.stream():
                body += chunk
                held.hold(request, len(body))
                if len(body) > limits.upload_bytes:
                    body.clear()
                    await _discard(request, 2 * limits.upload_bytes)
                    raise too_large
                if held.now > held.most:
                    raise RefusedError(
                        503, "out-of-memory", "the memory for uploads is used up; try again later", {"Retry-After": "1"}
                    )
    except TimeoutError:
        raise RefusedError(
            408, "slow-upload", f"the upload took longer than {limits.upload_seconds:g} s", {"Connection": "close"}
        ) from None
    return bytes(body)


async def _discard(request: Request, most: int) -> None:
    """Receive the rest of a body without keeping it, so that the client reads the answer before the connection closes."""
    received = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(_DISCARDED_SECONDS):
            while received < most:
                message = await request.receive()
                received += len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return


async def _of_form(request: Request, body: bytes) -> tuple[str, bytes]:
    async def chunks() -> AsyncIterator[bytes]:
        yield body
        yield b""

    parser = MultiPartParser(request.headers, chunks(), max_files=1, max_fields=8, max_part_size=MIB)  # type: ignore[arg-type]
    parser.spool_max_size = len(body) + 1  # otherwise files above 1 MiB are written to disk
    try:
        form = await parser.parse()
    except (MultiPartException, ValueError, KeyError) as error:
        raise RefusedError(422, "invalid-form", f"not a valid form: {printable(str(error))[:200]}") from error
    try:
        file = form.get(FIELD)
        if not isinstance(file, UploadFile):
            raise RefusedError(422, "no-image", f"the form has no file in the field '{FIELD}'")
        name = PurePosixPath((file.filename or "image").replace("\\", "/")).name
        return printable(name)[:_LONGEST_NAME] or "image", await file.read()
    finally:
        await form.close()
