"""The sentences of a run's report: headline, training and notes."""

from collections.abc import Sequence

from segengine.figures.numbers import count, duration, finite, plural, score
from segengine.figures.series import look_up
from segengine.metrics.names import DEFAULT_METRIC
from segengine.report.run_report import RunReport, Scores


def headline(report: RunReport) -> str:
    """The main score with the kind of mean, the classes and the images that it covers."""
    split = report.split
    if split is None:
        return "No score: the run ended before the first evaluation."
    scores = report.scores[split]
    over = list(scores["mean"].get("over", ()))
    images = count(scores.get("images"))
    grouped = f"{DEFAULT_METRIC}_per_group" in scores["mean"]
    mean = look_up(scores, ("mean", f"{DEFAULT_METRIC}_per_group" if grouped else DEFAULT_METRIC))
    if mean is None:
        return f"No class has a defined score on the {images} {split} images."
    of = f" of {count(scores.get('groups'))} groups" if grouped else ""
    return f"Mean Dice{' per group' if grouped else ''} {score(mean)} over {classes(over)}, on {images} {split} images{of}."


def classes(names: Sequence[str]) -> str:
    """`2 classes (liver and spleen)`; of more than six classes only their number."""
    if len(names) == 1:
        return f"one class ({names[0]})"
    if len(names) > 6:
        return f"{len(names)} classes"
    return f"{len(names)} classes ({', '.join(names[:-1])} and {names[-1]})" if names else "no class"


def training(report: RunReport) -> str:
    """Model, number of training images, duration, and the epoch whose weights were evaluated."""
    what = report.model or report.variant
    on = f" on {plural(report.training_images, 'image')}" if report.training_images else ""
    if not report.rows:
        return f"{what}{on}: no epoch was completed."
    trained = f"{what}, trained{on} for {plural(len(report.rows), 'epoch')}"
    step = report.rows[-1].get("step")
    trained += f" ({plural(step, 'step')})" if step else ""
    trained += f" in {duration(report.seconds)}" if report.seconds is not None else ""
    best = report.marked_epoch
    kept = (
        f" Scores are of the weights after epoch {best}, the best on the validation images." if best is not None else ""
    )
    return f"{trained}.{kept}"


def notes(report: RunReport) -> list[str]:
    """Notes on the limits of the scores, after the run's own warnings."""
    found = list(report.warnings)
    if report.status != "finished":
        reason = f": {report.message.rstrip('.')}" if report.message else ""
        verb = {"failed": "failed", "interrupted": "was interrupted"}.get(report.status, f"is {report.status}")
        done, planned = len(report.rows), report.planned_epochs
        epochs = f"{done} of {plural(planned, 'epoch')}" if planned else plural(done, "epoch")
        found.insert(0, f"This run {verb} after {epochs}{reason}.")
    if report.split == "validation":
        found.append(
            "The score is on the validation images, which were also used to select the epoch; expect a somewhat lower score on new images."
        )
    if report.split is not None:
        found += _about_scores(report.scores[report.split], report.split)
    found += _about_training(report)
    if report.seeds == 1:
        found.append(
            "One seed: the variation between seeds is unknown, so small differences to other runs are not evidence."
        )
    return found


def _about_scores(scores: Scores, split: str) -> list[str]:
    """Notes on absent and rare classes and on small numbers of images."""
    over = scores["mean"].get("over", ())
    absent = {name: values for name, values in scores["classes"].items() if not values.get("pixels")}
    silent = [name for name, values in absent.items() if finite(values.get(DEFAULT_METRIC)) is None]
    invented = [name for name in absent if name not in silent]
    rare = [name for name, values in scores["classes"].items() if name in over and 0 < (values.get("images") or 0) < 5]
    found = []
    if silent:
        found.append(
            f"No score, because neither masks nor predictions of the {split} images contain the class: {_all(silent)}."
        )
    if invented:
        found.append(f"Predicted although no mask of the {split} images contains the class (Dice 0): {_all(invented)}.")
    if rare:
        found.append(f"In fewer than 5 {split} images, so the score depends on few objects: {_all(rare)}.")
    images = finite(scores.get("images"))
    if images is not None and images < 20:
        found.append(f"Only {plural(int(images), f'{split} image')}: the score depends strongly on their selection.")
    return found


def _about_training(report: RunReport) -> list[str]:
    """Notes on the number of epochs: still improving."""
    if report.status != "finished" or len(report.rows) < 5:
        return []
    last = int(report.rows[-1]["epoch"])
    if report.marked_epoch == last:
        return ["The last epoch was the best: more epochs may improve the score."]
    return []


def _all(names: Sequence[str]) -> str:
    return ", ".join(names)
