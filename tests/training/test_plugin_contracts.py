"""Contracts of plugins are enforced before training, or at the first batch, with the plugin's name."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_plugins import ACME, Site
from tests.training.small import Done, segengine, write_problem
from tests.training.test_plugins_of_runs import SPEC


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    folder = Site(tmp_path / "site")
    folder.folder.mkdir()
    monkeypatch.syspath_prepend(str(folder.folder))
    monkeypatch.setattr("segengine.training.finish._report", lambda *arguments: None)
    folder.add_acme()
    write_problem(tmp_path, SPEC)
    yield folder
    folder.close()


def broken(site: Site, kind: str, before: str, after: str, *arguments: str) -> Done:
    """The run with one text of the component of `kind` replaced."""
    assert before in ACME
    site.add_acme(kinds=(kind,), code=ACME.replace(before, after))
    return segengine("run", "blobs.yaml", *arguments, folder=site.folder.parent)


SPLIT = "image.stem, split)"
LIST = "        return [\n            Record"
NET = "        return Net()"
LOSS = "return nn.CrossEntropyLoss(ignore_index=ignore_index)"
BUILD = "def build(self, *, in_channels, output_stride=32):"
NAMES = {
    "backbones": "backbone 'acme-backbones/tiny'",
    "losses": "loss 'acme-losses/plain'",
    "augmentations": "augmentation 'acme-augmentations/invert'",
    "schedules": "schedule 'acme-schedules/level'",
    "optimizers": "optimizer 'acme-optimizers/descent'",
}


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            SPLIT,
            'image.stem, split.replace("train", "trian"))',
            "train/tr0: there is no split 'trian'; did you mean 'train'?",
        ),
        (
            'Record(f"{split}/{image.stem}"',
            'Record(f"{split}"',
            "several images have the id test, train, validation; ids must be unique",
        ),
        ('"masks" / image.name', '"masks" / (image.name + "x")', "te0.pngx: no such file"),
        (SPLIT, '"", split)', "test/te0: has no group"),
        (LIST, LIST.replace("[", "[1] + [", 1), "build() returns a list with int"),
        (LIST, f"        raise EOFError('no more')\n{LIST}", "build() raises EOFError: no more (acme_sources.py, line"),
        (LIST, f"        raise MemoryError\n{LIST}", "build() raises MemoryError (acme_sources.py, line"),
    ],
)
def test_records_of_a_source_are_checked(site: Site, before: str, after: str, said: str) -> None:
    done = broken(site, "sources", before, after)
    assert done.code == 2
    (line,) = [line for line in done.err.splitlines() if line.startswith("error")]
    assert line.startswith("error: source 'acme-sources/listing' of plugin acme-sources 0.1: ")
    assert said in line


def test_records_are_sorted_for_the_source(site: Site) -> None:
    done = broken(
        site, "sources", 'for split in ("test", "train", "validation")', 'for split in ("train", "validation", "test")'
    )
    assert done.code == 0, done.err
    ids = (site.folder.parent / "runs/blobs/default-seed0/images.csv").read_text().split()[1:]
    assert [line.split(",")[1] for line in ids] == sorted(line.split(",")[1] for line in ids)


@pytest.mark.parametrize(
    ("kind", "before", "after", "said"),
    [
        (
            "backbones",
            NET,
            f"        import torch\n        torch.manual_seed(0)\n{NET}",
            "build() seeds torch's generator, so that all seeds would get the same weights",
        ),
        (
            "backbones",
            "(4, 8), (1, 2)",
            "(4, 8), (2, 4)",
            "map 0 of an image of 8x12 has shape [2, 4, 8, 12], declared is [2, 4, 4, 6]",
        ),
        (
            "backbones",
            "(4, 8), (1, 2)",
            "(4, 9), (1, 2)",
            "map 1 of an image of 4x6 has shape [2, 8, 2, 3], declared is [2, 9, 2, 3]",
        ),
        (
            "backbones",
            "mean, std = (0.5,) * in_channels",
            "mean, std = (0.5,) * 9",
            "`mean` has 9 values for 1 channels",
        ),
        (
            "backbones",
            BUILD,
            "def build(self, channels):",
            "build() raises TypeError: Tiny.build() got an unexpected keyword argument 'in_channels'",
        ),
        (
            "backbones",
            "first = self.one(x).relu()",
            "first = self.on(x).relu()",
            "forward() raises AttributeError: 'Net' object has no attribute 'on'",
        ),
        (
            "losses",
            "ignore_index=ignore_index)",
            "ignore_index=ignore_index, reduction='none')",
            "returns a tensor of shape [2, 32, 32], torch.float32; return a floating point scalar",
        ),
        (
            "losses",
            LOSS,
            "return nn.PReLU()",
            "has learnable parameters (weight), which are not trained; make them buffers or settings",
        ),
        ("losses", LOSS, "return nn.Identity(1)", "forward() raises TypeError"),
        (
            "augmentations",
            "(255 - image if",
            "(image / 255 if",
            "returns an image of float64 and a mask of uint8; return uint8",
        ),
        (
            "augmentations",
            ", mask\n",
            ", mask[1:]\n",
            "returns an image of 48x48 and a mask of 47x48 pixels; transform both in the same way",
        ),
        ("augmentations", "self.size = size", "self.size = (3, 4)", "returns 48x48 pixels, `size` declares 3x4"),
        ("augmentations", "rng.random()", "rng.randon()", "apply() raises AttributeError"),
        (
            "schedules",
            "return 1.0",
            "return 2.0",
            "the factor at step 0 of 3 is 2.0; return a fraction of the peak rate, 0 to 1",
        ),
        ("schedules", "return 1.0", "return None", "the factor at step 0 of 3 is None"),
        (
            "optimizers",
            "return torch.optim.SGD(parameters, lr=0.01)",
            "return None",
            "build() returns NoneType; return a torch.optim.Optimizer",
        ),
    ],
)
def test_a_broken_contract_names_the_plugin(site: Site, kind: str, before: str, after: str, said: str) -> None:
    done = broken(site, kind, before, after)
    assert done.code == 1
    assert f"{NAMES[kind]} of plugin acme-{kind} 0.1: {said}" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            "values[k] = 0.5",
            "values[k] = 12.5",
            "returns 12.5; values are fractions from 0 to 1, or lengths with `length = True`",
        ),
        (
            "values[k] = 0.5",
            "values[k] = np.inf",
            "returns an infinite value; return NaN where the metric is undefined",
        ),
        (
            "            return values",
            "            return values[:1]",
            "returns float64 [1]; return float64 [2], or set by_class",
        ),
        ("values[k] = 0.5", "values[j] = 0.5", "raises NameError: name 'j' is not defined"),
    ],
)
def test_a_broken_metric_is_found_before_training(site: Site, before: str, after: str, said: str) -> None:
    done = broken(site, "metrics", before, after)
    assert done.code == 2
    assert f"metric 'acme-metrics/half' of plugin acme-metrics 0.1: {said}" in done.err
    assert not (site.folder.parent / "runs").exists()


def test_a_metric_has_no_name_of_a_score(site: Site) -> None:
    site.add("odd", {"metrics": {"dice": "odd:Half"}}, ACME.replace('"half"', '"dice"'))
    done = segengine("validate", "blobs.yaml", "-s", "evaluation.metrics=[dice]", folder=site.folder.parent)
    assert done.code == 2
    assert "metric 'dice' of plugin odd 1.0 has the name of a score that segengine computes itself" in done.err
