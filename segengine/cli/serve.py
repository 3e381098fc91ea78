"""`segengine serve`: answer predictions over HTTP."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import click

from segengine.cli.options import device_option, no_postprocess_option
from segengine.cli.output import say

_NEEDED = {
    "fastapi": "fastapi",
    "uvicorn": "uvicorn",
    "python_multipart": "python-multipart",
    "prometheus_client": "prometheus-client",
}


@click.command("serve", short_help="Answer predictions over HTTP, with a page to try them.")
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN|FILE")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to bind to; 0.0.0.0 serves other machines."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free port.")
@click.option(
    "--token", default="", metavar="TEXT", envvar="SEGENGINE_TOKEN", show_envvar=True,
    help="Token that requests must send as Authorization: Bearer TEXT.",
)  # fmt: skip
@click.option(
    "--max-mib", type=click.FloatRange(min=0, min_open=True), default=32, show_default=True, metavar="N",
    help="Largest upload in MiB.",
)  # fmt: skip
@click.option(
    "--max-pixels", type=click.IntRange(min=1), default=2**24, show_default=True, metavar="N",
    help="Largest image in pixels, height times width.",
)  # fmt: skip
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=60, show_default=True, metavar="SECONDS",
    help="Longest time from an uploaded image to its answer, and for an upload (at most 30).",
)  # fmt: skip
@click.option(
    "--queue", type=click.IntRange(min=1), default=256, show_default=True, metavar="N",
    help="Most requests waiting for their answer; further ones are refused with status 429.",
)  # fmt: skip
@click.option(
    "--batch", type=click.IntRange(min=1), default=8, show_default=True, metavar="N",
    help="Most images of one size per forward pass.",
)  # fmt: skip
@no_postprocess_option
@device_option
def command(
    run: Path, host: str, port: int, token: str, max_mib: float, max_pixels: int, timeout: float, queue: int, batch: int,
    raw: bool, device: str,
) -> int:  # fmt: skip
    """Serve a run's best checkpoint, or an exported .onnx file, until Ctrl-C or SIGTERM.

    POST /predict takes an image and gives its mask as PNG, areas as JSON or outlines as GeoJSON; /classes, /health,
    /metrics and /openapi.json describe model and server. The page at / does the same in a browser. Nothing is stored.

    \b
    Examples:
      segengine serve runs/abdomen/vgg11-seed0
      segengine serve vgg11.onnx --port 9000 --max-pixels 4000000
    """
    from segengine.errors import SpecError

    missing = [package for module, package in _NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise SpecError(f"serve needs {', '.join(missing)}; pip install 'segengine[serve]'")

    from segengine.inference.exported import load_any
    from segengine.inference.serve.app import Server
    from segengine.inference.serve.guard import LOOPBACK
    from segengine.inference.serve.limits import MIB, Limits
    from segengine.inference.serve.server import serve
    from segengine.inference.serve.service import Service

    if not token.isascii() or any(character.isspace() for character in token):
        raise SpecError("--token has characters that an HTTP header can't hold; use letters and digits")
    service = Service(load_any(run, device, postprocess=not raw).for_single_images(), run.resolve().name)
    limits = Limits(
        upload_bytes=max(1, int(max_mib * MIB)), pixels=max_pixels, seconds=timeout, upload_seconds=min(30.0, timeout),
        requests=queue, batch=batch,
    )  # fmt: skip

    def ready(url: str) -> None:
        say(f"serving {run} at {url} (Ctrl-C stops)")
        if host not in LOOPBACK and not token:
            say("note: reachable from other machines without --token", err=True)

    serve(Server(service, limits), host=host, port=port, token=token, ready=ready)
    return 0
