"""The text of an experiment file for a detected layout, with reasons as comments."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segengine.inspection.layouts.meaning import values_in_words
from segengine.inspection.layouts.training import Training, no_flip_reason, plan_training
from segengine.inspection.layouts.understand import Finding

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./ -]*[A-Za-z0-9_/]|[A-Za-z_]")
_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "none", "y", "n", "nan", "inf"}
_WIDE = 110
_LONGEST = 320


def experiment_text(finding: Finding, file: Path) -> str:
    """The experiment for a detected layout; `file` is its path, which relative paths refer to."""
    inspection, meaning = finding.inspection, finding.meaning
    training = plan_training(inspection.longer_sides, inspection.records, meaning)
    lines = [
        "# yaml-language-server: $schema=.segengine/schema.json",
        *(
            _comment(text)
            for text in (
                *finding.evidence,
                finding.masks_are,
                *meaning.notes,
                *finding.notes,
            )
        ),
        f"title: {scalar(file.stem)}",
        "data:",
        *_source_lines(finding, file),
    ]
    if not meaning.named_by_mapper:
        lines.append(
            f"  classes: {flow(list(meaning.classes))}    # your names for {printable(values_in_words(meaning))}"
        )
    hint = "    # rename classes here" if meaning.named_by_mapper else ""
    lines += _mapper_lines(meaning.mapper, hint)
    if finding.window is not None:
        lines.append(f"  window: {flow(finding.window)}{_because(finding.window_why)}")
    if finding.split:
        lines.append(f"  split: {flow(finding.split)}{_because(finding.split_why)}")
    return "\n".join([*lines, *_training_lines(finding, training)]) + "\n"


def _source_lines(finding: Finding, file: Path) -> list[str]:
    root = os.path.relpath(finding.root.absolute(), file.absolute().parent)
    source = {"name": finding.source["name"], "root": Path(root).as_posix()}
    source |= {key: value for key, value in finding.source.items() if key != "name"}
    why = {"labels": "    # as the annotations write them; rename classes in data.classes"}
    return ["  source:", *(f"    {key}: {flow(value)}{why.get(key, '')}" for key, value in source.items())]


def _mapper_lines(mapper: Mapping[str, Any], hint: str) -> list[str]:
    one = f"  mask_mapper: {flow(mapper)}"
    if "colours" not in mapper and len(one) <= _WIDE * 2:
        return [one + hint]
    lines = ["  mask_mapper:"]
    for key, value in mapper.items():
        if key == "colours":
            lines.append(f"    colours:{hint}")
            lines += [f"      {scalar(name)}: {flow(colour)}" for name, colour in value.items()]
        else:
            lines.append(f"    {key}: {flow(value)}")
    return lines


def _training_lines(finding: Finding, training: Training) -> list[str]:
    lines = ["augmentations:"]
    lines += [f"  - {flow(block)}{_because(why)}" for block, why in training.augmentations]
    if len(training.augmentations) == 1:
        lines.append(f"  {_comment(no_flip_reason(finding.inspection.records, finding.meaning))}")
    lines += [
        "model:",
        f"  backbone: {training.backbone}",
        "  decoder: unet",
        f"loss: {flow(training.loss)}{_because(training.loss_why)}",
        *_spacing_lines(finding),
        "training:",
        f"  epochs: {training.epochs}",
        f"  batch_size: {training.batch_size}{_because(training.batch_why)}",
        "  optimizer: {name: adamw, learning_rate: 1e-3}",
        "seeds: [0]",
        "variants:",
        f"  {training.variant}: {{}}",
    ]
    other = training.other
    return [*lines, f"  {other}" if training.gpu else f"  # {other}    # a second backbone to compare with"]


def _spacing_lines(finding: Finding) -> list[str]:
    """Lengths in millimetres where medical files declare the distance of their pixels."""
    medical = str(finding.source.get("images", "")).lower().endswith((".dcm", ".nii", ".nii.gz"))
    if not medical or any(image.spacing is None for image in finding.inspection.images):
        return []
    return ["evaluation: {spacing: auto}    # lengths of metrics such as hd95 in mm, by the spacing in the files"]


def flow(value: Any) -> str:
    """A value in YAML's flow style on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(str(k))}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(flow(v) for v in value) + "]"
    return scalar(value)


def scalar(value: Any) -> str:
    """A scalar in YAML; text is quoted if it would be read as another type."""
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=not value.isprintable())  # a JSON string is a YAML string


def printable(text: str) -> str:
    """Text on one line, with unprintable characters replaced by `?`."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def _comment(text: str) -> str:
    line = printable(text)
    return f"# {line if len(line) <= _LONGEST else line[: _LONGEST - 4] + ' ...'}"


def _because(why: str) -> str:
    return f"    {_comment(why)}" if why else ""
