"""images.csv, metrics.jsonl and counts/*.csv: written whole, read exactly, damage named."""

import gzip

import numpy as np
import pytest

from segengine.errors import RunError
from segengine.metrics.confusion import ImageCounts
from segengine.runs import tables as tables_module
from segengine.runs.tables import (
    ImageRow,
    append_metrics,
    counts_exist,
    keep_epochs,
    read_count_rows,
    read_counts,
    read_images,
    read_metrics,
    write_counts,
    write_images,
)


def test_images_with_commas_quotes_and_umlauts_in_their_names_come_back(tmp_path):
    rows = [ImageRow(0, 'a, "b"/c', "p,1", "test", 3, 4), ImageRow(1, "Milz größer/x", "p2", "", 5, 6)]
    write_images(tmp_path / "images.csv", rows)
    assert (tmp_path / "images.csv").read_text(encoding="utf-8").splitlines()[0] == "index,id,group,split,height,width"
    assert read_images(tmp_path / "images.csv") == rows


def test_counts_come_back_exactly_with_empty_images(tmp_path):
    path = tmp_path / "counts" / "test.csv"
    tables = {4: np.array([[2**40, 0], [3, 9]]), 9: np.zeros((2, 2), np.int64)}
    write_counts(path, ImageCounts.of(tables, 2))
    assert path.read_text() == f"index,truth,predicted,pixels\n4,0,0,{2**40}\n4,1,0,3\n4,1,1,9\n"
    counts = read_counts(path, 2, [4, 9])
    assert counts.indices == [4, 9]
    assert np.array_equal(counts[4], tables[4])
    assert counts[9].sum() == 0


def test_large_counts_are_compressed_and_read_by_the_same_name(tmp_path, monkeypatch):
    path = tmp_path / "counts" / "test.csv"
    rng = np.random.default_rng(0)
    tables = {i: rng.integers(0, 3, (20, 20)) for i in range(5)}
    write_counts(path, ImageCounts.of(tables, 20))
    plain = path.read_bytes()
    monkeypatch.setattr(tables_module, "LARGEST_PLAIN_BYTES", 1000)
    packed = write_counts(path, ImageCounts.of(tables, 20))
    assert packed == tmp_path / "counts" / "test.csv.gz"
    assert not path.exists()
    assert gzip.decompress(packed.read_bytes()) == plain
    assert counts_exist(path)
    counts = read_counts(path, 20)
    assert all(np.array_equal(counts[i], table) for i, table in tables.items())
    again = packed.read_bytes()
    write_counts(path, ImageCounts.of(tables, 20))
    assert packed.read_bytes() == again  # no time stamp inside
    monkeypatch.undo()
    write_counts(path, ImageCounts.of(tables, 20))
    assert sorted(p.name for p in path.parent.iterdir()) == ["test.csv"]


@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b[:40] + b"xxxx" + b[44:], lambda _: b"", lambda _: b"no gzip"]
)
def test_damaged_compressed_counts_are_named(tmp_path, damage):
    path = tmp_path / "test.csv.gz"
    rows = "".join(f"{i},0,1,{i * 7919 % 1000}\n" for i in range(1000))
    path.write_bytes(damage(gzip.compress(f"index,truth,predicted,pixels\n{rows}".encode())))
    with pytest.raises(RunError, match=r"test\.csv: not a readable table of counts .*the run folder is damaged"):
        read_count_rows(tmp_path / "test.csv", 2)


def test_counts_without_a_row_are_read(tmp_path):
    write_counts(tmp_path / "test.csv", ImageCounts(3))
    assert read_count_rows(tmp_path / "test.csv", 3).shape == (0, 4)


def test_counts_saved_by_a_spreadsheet_are_read(tmp_path):
    (tmp_path / "test.csv").write_bytes(b"index,truth,predicted,pixels\r\n1,0,1,5\r\n")
    assert read_count_rows(tmp_path / "test.csv", 2).tolist() == [[1, 0, 1, 5]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("index,pixels\n1,2\n", "the first line is not index,truth,predicted,pixels"),
        ("index,truth,predicted,pixels\n1,0,0\n", "not a readable table of counts"),
        ("index,truth,predicted,pixels\n1,0,x,4\n", "not a readable table of counts"),
        ("index,truth,predicted,pixels\n1,0,1,4.5\n", "not a readable table of counts"),
        ("index,truth,predicted,pixels\n1,0,2,4\n", "a class is not one of the 2 of run.json"),
    ],
)
def test_damaged_counts_are_named(tmp_path, text, said):
    path = tmp_path / "test.csv"
    path.write_text(text)
    with pytest.raises(RunError, match=said) as error:
        read_count_rows(path, 2)
    assert str(path) in str(error.value)


def test_a_torn_last_line_is_dropped_and_the_next_one_takes_its_place(tmp_path):
    path = tmp_path / "metrics.jsonl"
    append_metrics(path, {"epoch": 1, "class": "größer\u2028"})
    whole = path.read_bytes()
    path.write_bytes(whole + '{"epoch": 2, "class": "grö'.encode()[:-1])  # torn within a letter
    assert [row["epoch"] for row in read_metrics(path)] == [1]
    append_metrics(path, {"epoch": 2})
    append_metrics(path, {"epoch": 3})
    assert [row["epoch"] for row in read_metrics(path)] == [1, 2, 3]
    assert path.read_bytes().startswith(whole)


def test_a_broken_line_in_the_middle_is_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"epoch": 1}\n{"epo\n{"epoch": 3}\n')
    with pytest.raises(RunError, match=r"metrics\.jsonl:2: not a line of JSON"):
        read_metrics(path)


def test_epochs_that_a_resumed_run_will_write_again_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for epoch in range(1, 6):
        append_metrics(path, {"epoch": epoch})
    keep_epochs(path, 3)
    assert [row["epoch"] for row in read_metrics(path)] == [1, 2, 3]


def test_a_score_that_is_not_a_number_can_not_be_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        append_metrics(tmp_path / "metrics.jsonl", {"dice": float("nan")})
