"""The notebook runs from top to bottom.

Its cells are executed here as plain Python, in the folder of the documentation's runs: without nbclient and ipykernel, which install about
30 packages for what `exec` does with cells that have no magics.
"""

import ast
import json
from contextlib import chdir
from typing import Any

import pytest

from tests.docs.conftest import TINY, Desk
from tests.docs.pages import ROOT

NOTEBOOK = ROOT / "docs" / "python.ipynb"


def cells() -> list[dict[str, Any]]:
    found = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (found["nbformat"], found["nbformat_minor"]) == (4, 5)
    return [cell for cell in found["cells"] if cell["cell_type"] == "code"]


def run(source: str, names: dict[str, Any]) -> Any:
    """The value of a cell's last line, as a notebook shows it."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, NOTEBOOK.name, "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), NOTEBOOK.name, "eval"), names)


def test_cells_have_no_magics_and_no_stored_outputs() -> None:
    for cell in cells():
        assert not any(line.lstrip().startswith(("%", "!")) for line in cell["source"])
        assert cell["outputs"] == []


def test_the_notebook_runs_from_top_to_bottom(trained: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    settings = [word for word in TINY if word not in ("-s", "--device", "cpu")]
    names: dict[str, Any] = {}
    shown: list[Any] = []
    with chdir(trained.folder):
        for cell in cells():
            shown.append(run("".join(cell["source"]), names))
            if "parameters" in cell["metadata"].get("tags", []):
                names["settings"] = settings
        assert (trained.folder / "notebook-masks/areas.csv").exists()
    ends = [ast.parse("".join(cell["source"])).body[-1] for cell in cells()]
    assert all(value is not None for end, value in zip(ends, shown, strict=True) if isinstance(end, ast.Expr))
    assert "<table>" in names["inspection"]._repr_html_()
    assert "<table>" in names["comparison"]._repr_html_()
    assert names["prediction"]._repr_png_().startswith(b"\x89PNG")
