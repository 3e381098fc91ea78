"""The names of the files of a run folder: a contract that scripts rely on."""

from segengine.data.masks.gray_values import FILE

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
GRAY_VALUES = FILE
"""Only where the data's own folder can't be written to."""
LOCK = ".lock"
SET_ASIDE = ".old"


def counts_file(split: str) -> str:
    """The file of a split's confusion counts."""
    return f"{COUNTS}/{split}.csv"


def values_file(split: str, label: str) -> str:
    """The file of a metric's values of each image of a split; beside it, with the suffix .json, what they are."""
    return f"{VALUES}/{split}-{label}.csv"
