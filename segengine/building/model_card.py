"""The model card of a finished run: Markdown with the front matter that the Hugging Face Hub reads.

Fields of the front matter: https://huggingface.co/docs/hub/model-cards. Sections follow Mitchell et al., Model Cards for
Model Reporting, 2019. All texts of the user are escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from segengine.comparison.render.markdown import escaped
from segengine.comparison.statistics.score_intervals import Interval, ScoreIntervals, score_intervals
from segengine.comparison.summary import Comparison, compare_folders
from segengine.errors import SegengineError
from segengine.files import write_text
from segengine.runs import names
from segengine.runs.folder import RunFolder

CONFIDENCE = 0.95
FEW_IMAGES = 10
"""Classes in fewer evaluated images than this are named among the limits."""
UNKNOWN_LICENCE = "unknown"
_LANGUAGE = "python"


def write_model_card(folder: RunFolder, target: Path | None = None, *, file: str = "", licence: str = "") -> Path:
    """Write the card of a finished run to `target`, default: model-card.md in the run folder.

    `file`: the exported file that the card goes with; the card then shows how to load that file.
    """
    path = target or folder / names.MODEL_CARD
    write_text(path, model_card(folder, file=file, licence=licence))
    return path


def model_card(folder: RunFolder, *, file: str = "", licence: str = "") -> str:
    """The card as Markdown.

    Raises:
        RunError: run.json or spec.yaml is missing or damaged.
    """
    run, spec = folder.read(), folder.spec()
    split, scores = _scored(run)
    intervals = _intervals(folder) if scores else None
    title = _line(f"{run.get('title') or run.get('experiment')}: {run.get('variant')}, seed {run.get('seed')}")
    parts = [
        f"# {escaped(title)}", "",
        f"Semantic segmentation of images into {len(run['labels'])} classes, trained with segengine "
        f"{escaped(str((run.get('versions') or {}).get('segengine', '')))}.",
        *_section("Classes", _classes(run)),
        *_section("Data", _data(run, spec)),
        *_section("Scores", _scores(run, split, scores, intervals)),
        *_section("Limits", _limits(run, split, scores)),
        *_section("Use", _use(folder, file)),
        *_section("Training", _training(run, spec)),
    ]  # fmt: skip
    return (
        f"---\n{_front_matter(run, spec, title=title, split=split, scores=scores, licence=licence)}---\n\n"
        + "\n".join(parts)
        + "\n"
    )


def _section(heading: str, lines: Sequence[str]) -> list[str]:
    return ["", f"## {heading}", "", *lines]


def _front_matter(
    run: Mapping[str, Any], spec: Mapping[str, Any], *, title: str, split: str, scores: Mapping[str, Any], licence: str
) -> str:
    """YAML; a licence that is no identifier of the Hub is given as `license_name`."""
    identifier = licence.strip().lower()
    known = identifier.replace("-", "").replace(".", "").isalnum() and identifier.isascii()
    facts: dict[str, Any] = {"license": identifier if known else "other" if licence else UNKNOWN_LICENCE}
    if licence and not known:
        facts["license_name"] = _line(licence)
    facts |= {"library_name": "segengine", "pipeline_tag": "image-segmentation", "tags": _tags(spec)}
    mean = scores.get("mean") or {}
    metrics = [
        {"type": kind, "name": f"{name}, mean over classes, {split}", "value": round(float(mean[kind]), 6)}
        for kind, name in (("dice", "Dice"), ("iou", "IoU")) if isinstance(mean.get(kind), int | float)
    ]  # fmt: skip
    if metrics:
        facts["metrics"] = [entry["type"] for entry in metrics]
        dataset = {
            "name": _line(str(run.get("title") or run.get("experiment"))),
            "type": str(run.get("experiment")),
            "split": split,
        }
        result = {"task": {"type": "image-segmentation"}, "dataset": dataset, "metrics": metrics}
        facts["model-index"] = [{"name": title, "results": [result]}]
    return yaml.safe_dump(facts, sort_keys=False, allow_unicode=True)


def _line(text: str) -> str:
    """Text on one line, so that none of it can end the front matter."""
    return " ".join(text.split())


def _tags(spec: Mapping[str, Any]) -> list[str]:
    model = spec.get("model") or {}
    parts = [model.get(part) for part in ("network", "backbone", "decoder")]
    return ["semantic-segmentation", "segengine", *(str(part["name"]) for part in parts if isinstance(part, Mapping))]


def _classes(run: Mapping[str, Any]) -> list[str]:
    rows = []
    for label in run["labels"]:
        raw = label["raw"]
        value = ", ".join(map(str, raw)) if isinstance(raw, list) else str(raw)
        rows.append(f"| {label['index']} | {escaped(str(label['name']))} | {value} |")
    masks = run.get("masks") or {}
    how = {"gray": "gray values", "palette": "palette indices", "rgb": "colours"}.get(str(masks.get("kind")), "values")
    return [
        "| index | class | value in masks |", "| --: | :-- | --: |", *rows, "",
        f"Predicted masks hold the values above ({masks.get('bits', 8)}-bit {how}).",
    ]  # fmt: skip


def _data(run: Mapping[str, Any], spec: Mapping[str, Any]) -> list[str]:
    data = run["data"]
    images = ", ".join(f"{number} {split}" for split, number in (data.get("images") or {}).items() if number)
    window = data.get("window")
    depth = "8 bits per value" if window is None else "more than 8 bits per value, mapped to 0..255 by windows"
    split = (spec.get("data") or {}).get("split") or {}
    lines = [
        f"- Images: {images}, {data.get('channels')} channel{'s' * (data.get('channels') != 1)}, {depth}",
        f"- Fingerprint (sha256 over ids, images, masks and split): `{data.get('fingerprint')}`",
    ]
    if isinstance(split, Mapping) and split.get("group"):
        lines.append("- Images of one group (such as a patient) are in one split only")
    lines += [f"- Note: {escaped(str(warning))}" for warning in data.get("warnings") or ()]
    return lines


def _scored(run: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    scores = run.get("scores") or {}
    return next(((split, scores[split]) for split in ("test", "validation", "train") if split in scores), ("", {}))


def _intervals(folder: RunFolder) -> ScoreIntervals | None:
    """Intervals of the run's pooled Dice by the comparison's statistics; None if they can't be computed."""
    try:
        (found,) = compare_folders([folder.path], folder.path)
        return score_intervals(found, "dice", "pooled", CONFIDENCE)[0] if isinstance(found, Comparison) else None
    except (SegengineError, ValueError):
        return None


def _scores(
    run: Mapping[str, Any], split: str, scores: Mapping[str, Any], intervals: ScoreIntervals | None
) -> list[str]:
    if not scores:
        return ["Not evaluated."]
    rows = []
    for place, (name, found) in enumerate(scores["classes"].items()):
        of_class = intervals.classes[place] if intervals and place < len(intervals.classes) else None
        cells = (escaped(str(name)), _score(found.get("dice")), _ends(of_class), _score(found.get("iou")))
        rows.append(f"| {' | '.join(cells)} | {found.get('images', '')} |")
    mean = scores["mean"]
    cells = ("mean", _score(mean.get("dice")), _ends(intervals.mean if intervals else None), _score(mean.get("iou")))
    over = ", ".join(map(str, mean.get("over", ())))
    stated = run.get("metric_policy") or {}
    return [
        f"On {scores.get('images')} {split} images, pooled over pixels; the mean is over {escaped(over)}. Intervals of {CONFIDENCE:.0%}: "
        "variation over images, or over groups if the data has any, for this one trained model.",
        "", "| class | Dice | interval | IoU | images with the class |", "| :-- | --: | --: | --: | --: |", *rows,
        f"| {' | '.join(cells)} | |", "",
        f"Checkpoint: {escaped(str(stated.get('checkpoint', '')))}.",
    ]  # fmt: skip


def _score(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) else "-"


def _ends(interval: Interval | None) -> str:
    return "-" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"


def _limits(run: Mapping[str, Any], split: str, scores: Mapping[str, Any]) -> list[str]:
    data = run["data"]
    few = [
        f"{name} ({found.get('images')})" for name, found in (scores.get("classes") or {}).items()
        if isinstance(found.get("images"), int) and found["images"] < FEW_IMAGES
    ]  # fmt: skip
    lines = [
        "- Scores are those of images from the same source as the training images; other devices, sites or conditions were not "
        "evaluated (`segengine evaluate` does so).",
        "- Each pixel gets one of the classes above, also in images that show something else.",
        f"- Images need {data.get('channels')} channel{'s' * (data.get('channels') != 1)} and the bit depth of the training images.",
        "- One training with one seed; a repeated training gives other scores.",
    ]
    if split != "test":
        lines.append("- There were no test images: the checkpoint was selected on the images that the scores are from.")
    if few:
        lines.append(
            f"- Classes in fewer than {FEW_IMAGES} of the {split} images, with uncertain scores: {escaped(', '.join(few))}."
        )
    return lines


def _use(folder: RunFolder, file: str) -> list[str]:
    what = file or "path/to/this/folder"
    command = f'segengine predict "{_quoted(what)}" images/ -o masks'
    code = [
        "import segengine", "", f'model = segengine.load("{_quoted(what)}")',
        'prediction = model.predict("image.png")', "prediction.mask, prediction.areas",
    ]  # fmt: skip
    lines = ["```bash", "pip install segengine", command, "```", "", f"```{_LANGUAGE}", *code, "```"]
    if (folder / names.POSTPROCESS).is_file() and (folder.read().get("postprocess") or {}).get("steps"):
        lines += ["", "Recorded post-processing is applied; `--no-postprocess` (`postprocess=False`) leaves it out."]
    return lines


def _quoted(text: str) -> str:
    """A file name inside a code block in double quotes: no line or quotation ends early."""
    return "".join(c for c in text if c.isprintable() and c not in '"`$\\')


def _training(run: Mapping[str, Any], spec: Mapping[str, Any]) -> list[str]:
    model, training = spec.get("model") or {}, spec.get("training") or {}
    parts = [
        f"{part} {escaped(str(model[part].get('name')))}" for part in ("network", "backbone", "decoder")
        if isinstance(model.get(part), Mapping)
    ]  # fmt: skip
    trained, initial = run.get("trained") or {}, run.get("initial_weights") or {}
    versions = {**(run.get("versions") or {}), **(run.get("plugins") or {})}
    lines = [
        f"- Network: {', '.join(parts)}; {run.get('parameters', 0):,} parameters",
        f"- Loss: {escaped(_named(spec.get('loss')))}; optimizer: {escaped(_named(training.get('optimizer')))}",
        f"- Trained for {trained.get('epochs', training.get('epochs'))} epochs, {trained.get('images', '?')} images",
        f"- Weights: sha256 `{(run.get('weights') or {}).get('sha256', '')}`",
    ]
    if initial:
        said = [str(initial[key]) for key in ("file", "licence", "source") if initial.get(key)]
        lines.append(f"- Initial weights: {escaped(', '.join(said))}")
    lines.append(f"- Versions: {escaped(', '.join(f'{name} {version}' for name, version in versions.items()))}")
    lines.append(f"- All settings: `{names.SPEC}`")
    return lines


def _named(block: Any) -> str:
    return str(block.get("name", "")) if isinstance(block, Mapping) else str(block or "")
