"""`compare --json`, `format: 1`: what scripts rely on. Keys may be added; none may go, or change its type."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segengine.cli.main import main
from segengine.runs.costs import CostRecord, Latency, Memory, Throughput, write_cost
from tests.comparison.conftest import Make

CONTRACT = Path(__file__).with_name("json_format_1.txt")
"""A line per key: its path (`[]` is any entry of a list, `*` any name) and the JSON types that it may have."""
NAMED = ("variants[].dice.pooled.classes", "variants[].dice.per_image.classes", "variants[].iou.pooled.classes",
         "variants[].iou.per_image.classes", "factor.values", "confounders[].values")  # fmt: skip
"""Objects whose keys are names of classes or values."""
REFUSED = {"title", "refused", "left_out"}
TYPES: dict[type, str] = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "number",
    float: "number",
    type(None): "null",
}


def entries(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with the path of its key."""
    yield path, value
    if isinstance(value, dict):
        named = path.endswith(NAMED)
        for key, item in value.items():
            yield from entries(item, f"{path}.{'*' if named else key}".lstrip("."))
    if isinstance(value, list):
        for item in value:
            yield from entries(item, f"{path}[]")


def cost(name: str, milliseconds: float) -> CostRecord:
    return CostRecord(
        measured="2026-01-01T00:00:00+00:00", by="cost", network_of=name, device="CPU", threads=2, torch="2.9", precision="fp32",
        channels=1, size=(256, 256), latency=Latency(batch=1, repeats=9, median_ms=milliseconds, low_ms=9.0, high_ms=11.0),
        throughput=Throughput(batch=8, repeats=9, images_per_second=100.0), memory=Memory(kind="resident", peak_bytes=2**20, batch=8),
    )  # fmt: skip


@pytest.fixture
def document(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Two comparisons, one of them of models alone, and a refusal."""
    truth = np.random.default_rng(1).integers(50, 900, (24, 3))
    test = tuple(range(4, 24))
    for place, variant in enumerate(("resnet", "vgg", "swin")):
        for seed in range(3):
            folder = make(variant, seed, quality=0.9 - 0.001 * place, images=24, test=test, truth=truth,
                          settings={"training.epochs": 20 + 20 * place})  # fmt: skip
            write_cost(folder, cost(folder.name, 10.0 + place))
        make(variant, experiment="models", quality=0.9 - 0.1 * place, images=24, test=test, truth=truth)
    make("failed", status="failed", message="out of memory")
    make("vgg", experiment="mixed")
    make("resnet", experiment="mixed", data={"fingerprint": "bbbb"})
    with pytest.raises(SystemExit):
        main(["compare", "--runs-dir", str(tmp_path / "runs"), "--json", "--resamples", "200"])
    return json.loads(capsys.readouterr().out)


def problems(document: Any) -> list[str]:
    """Keys of the contract that an object lacks, and values of other types."""
    frozen = dict(line.split(" ") for line in CONTRACT.read_text(encoding="utf-8").splitlines())
    inside: dict[str, set[str]] = {}
    for path in frozen:
        parent, _, key = path.rpartition(".")
        if key and key != "*" and not key.endswith("[]"):
            inside.setdefault(parent, set()).add(key)
    found = []
    for path, value in entries(document):
        if isinstance(value, dict):
            wanted = REFUSED if value.get("refused") else inside.get(path, set())
            found += [f"{path}.{key} is missing" for key in sorted(wanted - value.keys())]
        if path in frozen and TYPES[type(value)] not in frozen[path].split("|"):
            found.append(f"{path} is {TYPES[type(value)]}, not {frozen[path]}")
    return found


def test_no_key_of_format_1_is_missing_or_of_another_type(document: Any) -> None:
    seen = {path for path, _ in entries(document)}
    for part in (
        "variants[].dice.per_image.classes.*.values[]",
        "differences[].pairs[].words",
        "costs[].variants[].value",
    ):
        assert f"comparisons[].{part}" in seen
    assert problems(document) == []
    assert (document["format"], document["metric"]) == (1, "dice")
    kinds = [[each["kind"] for each in one["differences"]][:2] for one in document["comparisons"] if not one["refused"]]
    assert kinds == [["pooled", "per_image"]] * 2


def test_a_lost_key_and_another_type_are_noticed(document: Any) -> None:
    whole = next(each for each in document["comparisons"] if not each["refused"])
    del whole["differences"][1]["pairs"][2]["p_holm"]
    whole["variants"][0]["seeds"] = "0, 1"
    assert problems(document) == [
        "comparisons[].variants[].seeds is string, not array",
        "comparisons[].differences[].pairs[].p_holm is missing",
    ]
