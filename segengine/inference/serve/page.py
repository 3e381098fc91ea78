"""The page at `/`: drop an image, see its mask, areas and probabilities. Self-contained, in the look of the reports."""

from __future__ import annotations

from functools import cache

from segengine.data.files.formats import PICTURE_SUFFIXES
from segengine.figures.labels import hexadecimal
from segengine.figures.pages import page_css, policy, resource, templates
from segengine.inference.serve.limits import MIB, Limits
from segengine.inference.serve.service import Service

_PACKAGE = "segengine.inference.serve"


def page(service: Service, *, token: bool, limits: Limits) -> tuple[str, str]:
    """The page as HTML, and its content security policy: its own style, script and server, and nothing else.

    `token`: requests need one, which the page asks for and keeps in memory only.
    """
    style, script = _parts()
    allowed = policy(style, script) + "; connect-src 'self'; frame-ancestors 'none'"
    html = (
        templates(_PACKAGE)
        .get_template("serve.html")
        .render(
            name=service.name, style=style, script=script, token=token, mebibytes=f"{limits.upload_bytes / MIB:g}",
            megapixels=f"{limits.pixels / 1e6:.3g}", suffixes=",".join(PICTURE_SUFFIXES),
            classes=[(label.name, hexadecimal(label.colour)) for label in service.trained.mapping.labels],
        )
    )  # fmt: skip
    return html, allowed


@cache
def _parts() -> tuple[str, str]:
    return page_css(resource(_PACKAGE, "serve.css")), resource(_PACKAGE, "serve.js")
