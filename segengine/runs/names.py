"""The names of the files of a run folder: a contract that scripts rely on."""

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
LOG = "log.txt"
GRAY_VALUES = "gray-values.txt"
"""Only where the data's own folder can't be written to; the name that it has there."""
LOCK = ".lock"
SET_ASIDE = ".old"

WRITTEN = (
    EXPERIMENT, SPEC, RUN, COST, IMAGES, FILES, METRICS, REPORT, LOG, GRAY_VALUES, LOCK, "mlflow-run.txt",
    "events.out.tfevents.*", f"{COUNTS}/*.csv", f"{COUNTS}/*.csv.gz", f"{VALUES}/*.csv", f"{VALUES}/*.json",
    f"{CHECKPOINTS}/*.pt", f"{CHECKPOINTS}/*.safetensors", f"{FIGURES}/*.png", f"{FIGURES}/*.svg",
    "*/events.out.tfevents.*", ".*.part", "*/.*.part",
)  # fmt: skip
"""Patterns of all files that runs, their trackers and `segengine` commands write into a run folder: what removing a run removes."""


def counts_file(split: str) -> str:
    """The file of a split's confusion counts."""
    return f"{COUNTS}/{split}.csv"


def values_file(split: str, label: str) -> str:
    """The file of a metric's values of each image of a split; beside it, with the suffix .json, what they are."""
    return f"{VALUES}/{split}-{label}.csv"


def figure_file(name: str, suffix: str = "png") -> str:
    """The file of a figure: curves, classes and confusion as .png and .svg; predictions and augmentations as .png."""
    return f"{FIGURES}/{name}.{suffix}"
