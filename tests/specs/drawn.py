"""Random experiment files: mutations of a good one, and documents drawn from the JSON Schema."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

GOOD = """\
title: A test
data:
  source: {name: folders, root: data}
  classes: [background, thing]
  mask_mapper: {name: gray-index, values: [0, 255], ignore: []}
  split: {train: 0.7, validation: 0.15, by: group, group: "^(p[0-9]+)"}
  window: [0, 1000.5]
augmentations:
  - {name: multi-scale, base_size: 64, scale: [0.5, 1.5], crop_size: 32}
  - flip
  - {name: albumentations, transform: GaussNoise, parameters: {p: 0.5}}
model:
  backbone: {name: vgg, depth: 11}
  decoder: unet
loss: {name: weighted-sum, terms: [{loss: cross-entropy}, {loss: dice, weight: 0.5}]}
training:
  epochs: 2
  batch_size: 4
  optimizer: {name: adamw, learning_rate: 3e-4, betas: [0.9, 0.99]}
  schedule: {name: step, milestones: [0.3, 0.8]}
  early_stopping: 20
  checkpoint_every: {steps: 10}
  deterministic: true
evaluation: {metrics: [hd95, {name: nsd, tolerance: 2}], spacing: [0.8, 0.8]}
seeds: [0, 1]
variants:
  small: {}
  other: {model: {backbone: {name: timm, model: resnet18}}, training: {epochs: 3}}
  tuned: {training: {optimizer: {learning_rate: 1e-3}, early_stopping: {min_rise: 0.1}}, loss: dice}
"""

SCALARS = (
    None, True, False, 0, 1, -1, 3, 3.0, 0.5, -0.5, 1e-300, 1e300, 2**31, 2**63 - 1, -(2**63), "", "a", "true", "no", "on", "1",
    "3e-4", "auto", "none", "unet", "vgg", "name", "../..", "/dev/zero", "~", "x" * 300, "ü", "日本", "a b", "a/b", "a\\b", "*", "{split}",
    "(", "[", "[::", "%s", "{}", "{0}", "{message}", "-", "--json", "=1+1", "null", "\n", "a\nb", "\t",
)  # fmt: skip
TOKENS = (
    ":", "- ", "{", "}", "[", "]", "&a ", "*a", "!!int ", "!!str ", "!!set ", "!x ", "<<: ", "? ", "| ", "> ", "'", '"', "#", "%", "@", "`",
    "\t", "\n", "\n\n", "\\x1b", "\x1b[31m", "\x00", "\ufeff", "\u202e", "\u2028", "\ud800", ".inf", ".nan", "-.inf", "1e999", "9" * 5000,
    "0x" + "f" * 99, "[" * 200, "{a: " * 200, "- " * 200, "---\n", "...\n", "~", ",", '"\\ud800"', '"\\x00"', "!!binary aGk=", "!!float x",
)  # fmt: skip


def mutated_text(draw: random.Random, text: str = GOOD) -> str:
    """The text with one to three changes that know nothing of YAML."""
    for _ in range(draw.randint(1, 3)):
        lines = text.split("\n")
        place = draw.randrange(len(text) + 1)
        match draw.randrange(7):
            case 0:
                text = text[:place] + draw.choice(TOKENS) + text[place:]
            case 1:
                text = text[:place] + text[place + draw.randint(1, 5) :]
            case 2:
                lines.insert(draw.randrange(len(lines)), draw.choice(lines))
                text = "\n".join(lines)
            case 3:
                lines.pop(draw.randrange(len(lines)))
                text = "\n".join(lines)
            case 4:
                i = draw.randrange(len(lines))
                lines[i] = " " * draw.randint(0, 6) + lines[i].strip()
                text = "\n".join(lines)
            case 5:
                text = text[:place] + chr(draw.choice([draw.randrange(256), draw.randrange(0x11000)])) + text[place:]
            case _:
                words = text.split(" ")
                i, j = draw.randrange(len(words)), draw.randrange(len(words))
                words[i], words[j] = words[j], words[i]
                text = " ".join(words)
    return text


def mutated_data(draw: random.Random, data: dict[str, Any]) -> dict[str, Any]:
    """The data with one to three values, keys or shapes changed."""
    data = copy.deepcopy(data)
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        parent, key = draw.choice(list(_places(data)))
        value = parent[key]
        match draw.randrange(11):
            case 8 | 9 | 10 if isinstance(value, int | float) and not isinstance(value, bool):
                parent[key] = draw.choice([value * 2, value + 1, value / 2, float(value), -value, value * 1e6, 1, 0])
            case 0 | 1 | 2:
                parent[key] = draw.choice(SCALARS)
            case 3:
                parent[key] = [value] * draw.randint(0, 3)
            case 4:
                parent[key] = {draw.choice(("name", "loss", "epochs", "x")): value}
            case 5:
                parent.pop(key)
            case 6 if isinstance(parent, dict):
                parent[draw.choice(("name", "epochs", "seed", "folds", "nmae", "depth", "terms", "ü"))] = draw.choice(
                    SCALARS
                )
            case _:
                other, there = draw.choice(list(_places(data)))
                parent[key] = copy.deepcopy(other[there])
        if not data:
            data = {"title": "nothing left"}
    return data


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    for key in node if isinstance(node, dict) else range(len(node)):
        yield node, key
        if isinstance(node[key], dict | list):
            yield from _places(node[key])


class Drawer:
    """Draws documents that a JSON Schema allows, of the keywords that pydantic and segengine write."""

    def __init__(self, draw: random.Random, schema: dict[str, Any]) -> None:
        self.draw, self.definitions = draw, schema["$defs"]

    def __call__(self, node: Any, depth: int = 0) -> Any:
        draw = self.draw
        if "$ref" in node:
            return self(
                self.definitions[node["$ref"].removeprefix("#/$defs/").replace("~1", "/").replace("~0", "~")], depth
            )
        if "anyOf" in node:
            options = [option for option in node["anyOf"] if depth < 6 or "$ref" not in option]
            return self(draw.choice(options), depth + 1)
        if "enum" in node:
            return draw.choice(node["enum"])
        if "const" in node:
            return node["const"]
        kind = node.get("type", "any")
        if isinstance(kind, list):
            kind = draw.choice(kind)
        match kind:
            case "null":
                return None
            case "boolean":
                return draw.random() < 0.5
            case "string":
                return self._text(node)
            case "integer" | "number":
                return self._number(node, whole=kind == "integer")
            case "array":
                return self._array(node, depth)
            case "object":
                return self._object(node, depth)
        return draw.choice([None, 1, 0.5, "x", [1], {"a": 1}])

    def _text(self, node: dict[str, Any]) -> str:
        return self.draw.choice(["x", "abc", "Ü 1"]) if "A-Za" not in node.get("pattern", "") else "name-1"

    def _number(self, node: dict[str, Any], *, whole: bool) -> float:
        low = node.get("minimum", node.get("exclusiveMinimum", -5))
        high = node.get("maximum", node.get("exclusiveMaximum", low + 10))
        if whole:
            low, high = low + ("exclusiveMinimum" in node), high - ("exclusiveMaximum" in node)
            value = self.draw.choice([low, high, min(high, low + 1), min(high, low + self.draw.randrange(100))])
            step = node.get("multipleOf", 1)
            value = int(-(-value // step) * step)
            return float(value) if self.draw.random() < 0.1 and abs(value) < 2**50 else value
        edges = [edge for edge, name in ((low, "minimum"), (high, "maximum")) if name in node]
        return self.draw.choice([*edges, low + (high - low) * self.draw.uniform(0.01, 0.99)])

    def _array(self, node: dict[str, Any], depth: int) -> list[Any]:
        if "prefixItems" in node:
            return [self(item, depth + 1) for item in node["prefixItems"]]
        number = self.draw.randint(node.get("minItems", 0), min(node.get("maxItems", 3), node.get("minItems", 0) + 3))
        return [self(node.get("items", {}), depth + 1) for _ in range(number)]

    def _object(self, node: dict[str, Any], depth: int) -> dict[str, Any]:
        known, more = node.get("properties", {}), node.get("additionalProperties")
        chance = 0.5 if depth < 3 else 0.25
        result = {
            key: self(value, depth + 1)
            for key, value in known.items()
            if key in node.get("required", ()) or self.draw.random() < chance
        }
        if isinstance(more, dict):
            for number in range(self.draw.randint(node.get("minProperties", 0), 3)):
                result[f"name-{number}"] = self(more, depth + 1)
        return {key: value for key, value in result.items() if key != "name" or "not" not in node}
