"""File names of a run folder (a stable interface for scripts)."""

EXPERIMENT = "experiment.yaml"
SPEC = "spec.yaml"
RUN = "run.json"
COST = "cost.json"
IMAGES = "images.csv"
FILES = "files.csv"
METRICS = "metrics.jsonl"
COUNTS = "counts"
CHECKPOINTS = "checkpoints"
LAST = "checkpoints/last.pt"
PREVIOUS = "checkpoints/previous.pt"
BEST = "checkpoints/best.pt"
WEIGHTS = "checkpoints/weights.safetensors"
VALUES = "metrics"
FIGURES = "figures"
REPORT = "report.html"
COMPARISON = "comparison.html"
"""In the folder of the experiment, above its runs."""
LOG = "log.txt"
MODEL_CARD = "model-card.md"
POSTPROCESS = "postprocess.json"
GRAY_VALUES = "gray-values.txt"
"""Written only if the data folder is read-only; same name as in the data folder."""
LOCK = ".lock"
SET_ASIDE = ".old"

WRITTEN = (
    EXPERIMENT, SPEC, RUN, COST, IMAGES, FILES, METRICS, REPORT, LOG, MODEL_CARD, POSTPROCESS, GRAY_VALUES, LOCK, "mlflow-run.txt",
    "events.out.tfevents.*", f"{COUNTS}/*.csv", f"{COUNTS}/*.csv.gz", f"{VALUES}/*.csv", f"{VALUES}/*.json",
    f"{CHECKPOINTS}/*.pt", f"{CHECKPOINTS}/*.safetensors", f"{FIGURES}/*.png", f"{FIGURES}/*.svg",
    "*/events.out.tfevents.*", ".*.part", "*/.*.part",
)  # fmt: skip
"""Patterns of all files written into a run folder by runs, trackers and commands; removing a run deletes these only."""


def counts_file(split: str) -> str:
    """The file of a split's confusion counts."""
    return f"{COUNTS}/{split}.csv"


def values_file(split: str, label: str) -> str:
    """The file of a metric's per-image values on a split; its description has the suffix .json."""
    return f"{VALUES}/{split}-{label}.csv"


def figure_file(name: str, suffix: str = "png") -> str:
    """The file of a figure: curves, classes and confusion as .png and .svg; predictions and augmentations as .png."""
    return f"{FIGURES}/{name}.{suffix}"
