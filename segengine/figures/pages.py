"""Shared parts of all HTML pages: templates, style sheet and content security policy."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
from typing import TYPE_CHECKING

from segengine.figures import palette

if TYPE_CHECKING:
    from jinja2 import Environment


def templates(package: str) -> Environment:
    """Jinja environment with the package's templates and the shared ones; autoescaping is on."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    loader = ChoiceLoader([PackageLoader(package, "templates"), PackageLoader("segengine.figures", "templates")])
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def resource(package: str, name: str) -> str:
    """The content of a file in a package's `templates` folder."""
    return (importlib.resources.files(package) / "templates" / name).read_text(encoding="utf-8")


def page_css(*more: str) -> str:
    """The style sheet of a page: palette variables, shared styles, and the styles in `more`."""
    return palette.css() + "".join(
        (*(resource("segengine.figures", f"{name}.css") for name in ("page", "figure")), *more)
    )


def policy(style: str, script: str = "") -> str:
    """A content security policy that allows only this style sheet, this script and images as data URIs."""
    scripts = _hash(script) if script else "'none'"
    return (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {scripts}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
