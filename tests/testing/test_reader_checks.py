"""Findings of `check` in readers; built-in readers conform."""

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
from PIL import Image

from segengine.components import readers
from segengine.plugin import FileReader, Reader, Stored
from segengine.testing import check, findings


def _files(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 255, (40, 30)).astype(np.uint8)
    for suffix in ("png", "jpg", "tif", "bmp", "gif", "webp"):
        Image.fromarray(values).save(folder / f"a.{suffix}")
    np.save(folder / "a.npy", values)
    np.savez(folder / "a.npz", values)
    return folder


@pytest.mark.parametrize(
    "cls", [readers.Png, readers.Jpeg, readers.Tiff, readers.Bmp, readers.Gif, readers.WebP, readers.Npy, readers.Npz]
)
def test_built_in_readers_read_their_files(cls: type[Reader], tmp_path: Path) -> None:
    check(cls, folder=_files(tmp_path))


def test_medical_readers_read_their_files(tmp_path: Path) -> None:
    from tests.data.files.medical import dicom, nifti

    values = np.random.default_rng(0).integers(0, 900, (8, 6, 4)).astype(np.int16)
    nifti(tmp_path / "a.nii.gz", values)
    dicom(tmp_path / "a.dcm", values[:, :, 0])
    check(readers.Nifti, folder=tmp_path)
    check(readers.Dicom, folder=tmp_path)


class _Any:
    def read(self, path: Path, content: bytes) -> Stored:
        return Stored(np.zeros((2, 2), np.uint8), 8)


class Careless(Reader):
    """Decodes any content."""

    name: Literal["tif-xyz"] = "tif-xyz"
    signatures: ClassVar[tuple[bytes, ...]] = (b"??",)

    def build(self) -> FileReader:
        return _Any()


class Paged(Reader):
    """Declares pages, without `read_pages`."""

    name: Literal["pqr"] = "pqr"
    holds: ClassVar[Literal["image", "pages", "volume"]] = "pages"

    def build(self) -> FileReader:
        return _Any()


def test_findings_say_what_to_write(tmp_path: Path) -> None:
    found = findings(Careless)
    assert "Careless: .tif is the suffix of a built-in format; choose a name with other suffixes" in found
    assert any("signature b'??' matches every file" in line for line in found)
    assert any("b'hello world'... (11 bytes) is decoded as an image" in line for line in found)
    assert findings(Paged) == ["Paged: build() returns _Any without read_pages(path, content); add this method"]
    assert any("has no file with suffix .tif, .xyz" in line for line in findings(Careless, folder=tmp_path))


def test_decoding_a_truncated_file_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_bytes(b"abcdef")
    assert (
        "Careless: a.xyz: a truncated file (half of the bytes) is decoded; compare the declared size with the length of the content"
        in findings(Careless, folder=tmp_path)
    )


def test_a_reader_of_a_plugin_is_found_by_its_suffix(
    tmp_path: Path, install: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    from segengine.data.files.decoding import decode
    from segengine.data.files.formats import picture_suffixes
    from segengine.data.sources.patterns import find
    from segengine.errors import DataError

    (tmp_path / "segengine_grid.py").write_text(
        "from pathlib import Path\nfrom typing import Literal\nimport numpy as np\nfrom segengine.plugin import Reader, Stored\n"
        "class Grid(Reader):\n    'Text.'\n    name: Literal['grid-grd'] = 'grid-grd'\n    def build(self):\n        return self\n"
        "    def read(self, path: Path, content: bytes) -> Stored:\n"
        "        return Stored(np.array(content.decode().split(), np.float32)[None], 32)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    install("segengine-grid", {"readers": {"grid-grd": "segengine_grid:Grid"}})
    assert set(picture_suffixes()) >= {".grid", ".grd"}
    (tmp_path / "a.grd").write_text("1 2 3")
    assert [match.path.name for match in find(tmp_path, "*")] == ["a.grd"]
    assert "segengine_grid" not in sys.modules  # metadata only until a file is read
    assert decode(tmp_path / "a.grd").values.tolist() == [[1, 2, 3]]
    (tmp_path / "b.grd").write_text("one")
    with pytest.raises(DataError, match=r"b.grd: can't be decoded \(could not convert string"):
        decode(tmp_path / "b.grd")


def test_suffix_conflicts_and_broken_plugins_affect_only_their_own_files(tmp_path: Path, install: Any) -> None:
    from segengine.data.files.decoding import decode
    from segengine.errors import DataError, SegengineError

    install("segengine-one", {"readers": {"dup": "segengine_nowhere:A"}})
    install("segengine-two", {"readers": {"dup-solo": "segengine_nowhere:B"}})
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png").values.shape == (4, 4)
    (tmp_path / "a.dup").write_text("x")
    with pytest.raises(
        DataError,
        match=r"\.dup files are read by 2 plugins \(segengine-one .*, segengine-two .*\); uninstall all but one",
    ):
        decode(tmp_path / "a.dup")
    (tmp_path / "a.solo").write_text("x")
    with pytest.raises(SegengineError, match=r"reader 'dup-solo' of plugin segengine-two .* can't be imported"):
        decode(tmp_path / "a.solo")
