"""A finished run predicts and is evaluated in the precision that it was trained in."""

from __future__ import annotations

import pytest
import torch

from segengine.inference.load import run_precision


@pytest.mark.parametrize(
    ("recorded", "device", "used"),
    [
        ("fp32", "cuda", "fp32"), ("bf16", "cuda", "bf16"), ("fp16", "cuda", "fp16"), ("fp32", "cpu", "fp32"),
        ("bf16", "cpu", "bf16"), ("fp16", "cpu", "fp32"), (None, "cpu", "fp32"),
    ],
)  # fmt: skip
def test_the_runs_precision_is_used_and_float32_where_a_cpu_has_no_fp16(
    recorded: str | None, device: str, used: str
) -> None:
    run = {} if recorded is None else {"precision": recorded}
    assert run_precision(run, torch.device(device)).name == used
