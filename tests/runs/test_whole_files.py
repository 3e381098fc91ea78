"""Files are whole or absent, and whoever may read other files may read them."""

import os
import subprocess
import sys

import pytest

from segengine.files import whole_file, write_bytes


def test_a_file_has_the_rights_that_the_users_mask_gives(tmp_path):
    code = f"import os, pathlib; os.umask(0o027); from segengine import files; files.write_text(pathlib.Path({str(tmp_path / 'a')!r}), '')"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_what_fails_while_it_is_written_leaves_the_old_file_and_nothing_else(tmp_path):
    write_bytes(tmp_path / "a", b"old")

    def half() -> None:
        with whole_file(tmp_path / "a") as part:
            part.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert (tmp_path / "a").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_what_stood_there_is_kept_under_another_name(tmp_path):
    write_bytes(tmp_path / "a", b"old")
    with whole_file(tmp_path / "a", previous=tmp_path / "before") as part:
        part.write_bytes(b"new")
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "before").read_bytes()) == (b"new", b"old")
