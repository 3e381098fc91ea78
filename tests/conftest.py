"""What all tests share: one torch thread, real data where it is, fake plugins."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
_cache = tempfile.TemporaryDirectory(prefix="segengine-tests-")
os.environ["XDG_CACHE_HOME"] = _cache.name  # survey files of tests are nothing for the user's cache folder


def pytest_collection_finish() -> None:
    """A first backward pass: after an export or a compilation it would start threads, and studies could not be forked any more."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.ones(1, requires_grad=True).sum().backward()


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session")
def datasets() -> Path:
    """The folder of real data sets, or a skip."""
    folder = os.environ.get("SEGENGINE_DATASETS")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SEGENGINE_DATASETS is not set to a folder of real data sets")
    return Path(folder)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Installs a fake plugin: `install("acme", {"backbones": {"x": "acme:X"}}, "class X: ...")`."""
    from tests.fake_plugins import Site

    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    site = Site(folder)
    yield site.add
    site.close()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `gpu` are skipped on machines without one."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA GPU")
