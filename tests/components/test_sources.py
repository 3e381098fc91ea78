import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from segengine.components.sources import Folders


def test_root_is_relative_to_the_experiment_file(tmp_path):
    for name in ("data/images/a.png", "data/masks/a.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / name)
    source = Folders.model_validate({"root": "data"}, context={"base_folder": tmp_path})
    assert source.root == tmp_path / "data"
    assert [r.id for r in source.build()] == ["images/a"]


def test_an_absolute_root_stays_as_it_is(tmp_path):
    assert Folders.model_validate({"root": str(tmp_path)}, context={"base_folder": "/elsewhere"}).root == tmp_path


def test_a_home_folder_is_not_expanded_silently():
    with pytest.raises(ValidationError, match="'~/data' is not expanded; write the full path"):
        Folders(root="~/data")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{stem}.png", "in braces are {split}, {class}, {object}, {channel}, {group}, {slice}, {any}"),
        ("", "a pattern is empty"),
        ("a\\*.png", "write / between folders"),
        ("{split}/{split}.png", "may occur only once"),
    ],
)
def test_patterns_are_checked_before_any_file_is_read(pattern, message):
    with pytest.raises(ValidationError, match=message):
        Folders(root="x", images=pattern)


def test_checking_a_source_loads_no_heavy_library():
    code = (
        "import sys; from segengine.components.sources import Folders; Folders(root='x', images='*.png');"
        "print([m for m in ('torch', 'cv2', 'numpy', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
