"""TIFF files written by rows: an interruption or an error ends the thread that writes."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from segengine.inference.predict.tiff_rows import TiffRows


def test_rows_of_any_height_are_written_as_given(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 9, (700, 300)).astype(np.uint8)
    writer = TiffRows(tmp_path / "a.tif", values.shape, np.uint8, None)
    for start in range(0, 700, 90):
        writer.put(values[start : start + 90])
    writer.close()
    assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), values)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("rows", [0, 100, 400])
def test_an_incomplete_file_is_ended_without_waiting(tmp_path: Path, rows: int) -> None:
    writer = TiffRows(tmp_path / "a.tif", (700, 300), np.uint8, None)
    writer.put(np.zeros((rows, 300), np.uint8))
    writer.close(complete=False)
    assert not writer._thread.is_alive()


def written(writer: TiffRows) -> None:
    for _ in range(7):
        writer.put(np.zeros((100, 300), np.uint8))
    writer.close()


@pytest.mark.timeout(20)
def test_an_error_of_the_thread_reaches_the_caller(tmp_path: Path) -> None:
    writer = TiffRows(tmp_path / "no/folder/a.tif", (700, 300), np.uint8, None)
    with pytest.raises(OSError, match="No such file"):
        written(writer)
