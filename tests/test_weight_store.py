"""The local store of initial weights: content-addressed, verified on use, named in specs as `store:NAME`."""

import json
import os
import subprocess
import sys

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from segengine import weight_store
from segengine.cli.main import main
from segengine.components.backbones import Vgg
from segengine.components.backbones import Vgg as VggComponent
from segengine.errors import SpecError
from segengine.nn.vgg import build_vgg


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    folder = tmp_path / "store"
    monkeypatch.setenv(weight_store.FOLDER_VARIABLE, str(folder))
    return folder


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(3)
    path = tmp_path / "vgg11.safetensors"
    save_file(build_vgg(11, batch_norm=False, in_channels=3, output_stride=32, weights="none").state_dict(), path)
    return path


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return ended.value.code


def test_a_backbone_takes_its_weights_from_the_store_and_records_their_origin(weights):
    entry = weight_store.add(weights, name="mine", licence="Apache-2.0", source="https://example.org/vgg11")
    component = Vgg(depth=11, batch_norm=False, weights="store:mine")
    component.preflight()
    loaded = component.build(in_channels=3)
    again = build_vgg(11, batch_norm=False, in_channels=3, output_stride=32, weights=str(weights))
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), loaded.parameters(), strict=True))
    record = loaded.initial_weights
    assert (record["file"], record["sha256"]) == ("store:mine", entry.sha256)
    assert (record["licence"], record["source"]) == ("Apache-2.0", "https://example.org/vgg11")


def test_the_same_file_can_be_added_twice_but_a_name_keeps_its_weights(weights, tmp_path):
    first = weight_store.add(weights, name="mine")
    assert weight_store.add(weights, name="mine") == first
    other = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, other)
    with pytest.raises(SpecError, match=r"name 'mine' is taken by other weights \(sha256 .*choose another name"):
        weight_store.add(other, name="mine")
    assert [entry.name for entry in weight_store.entries()] == ["mine"]


def test_two_names_of_one_content_share_one_file(weights, store):
    weight_store.add(weights, name="a")
    weight_store.add(weights, name="b")
    assert len(list((store / "files").iterdir())) == 1


def test_a_changed_file_is_refused_where_it_is_used(weights):
    entry = weight_store.add(weights, name="mine")
    with entry.path.open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"\x00\x00\x80\x7f")
    for use in (Vgg(depth=11, weights="store:mine").preflight, lambda: weight_store.weights_path("store:mine")):
        with pytest.raises(SpecError, match="has changed since it was added; delete it and add it again"):
            use()
    assert weight_store.add(weights, name="mine").path == entry.path  # adding repairs it
    Vgg(depth=11, weights="store:mine").preflight()


def test_a_missing_entry_says_what_to_bring(weights):
    weight_store.add(weights, name="resnet34-a1")
    with pytest.raises(SpecError, match=r"store:resnet34-a2 are not in the store .*did you mean 'resnet34-a1'\?"):
        Vgg(weights="store:resnet34-a2").preflight()
    with pytest.raises(SpecError, match="add the file: segengine weights add FILE --name swin"):
        Vgg(weights="store:swin").preflight()
    entry = weight_store.add(weights, name="b", source="https://example.org/b")
    entry.path.unlink()
    with pytest.raises(
        SpecError, match=r"is missing; add .* again \(sha256 [0-9a-f]{64}, from https://example.org/b\)|is missing"
    ):
        Vgg(weights="store:b").preflight()


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "x" * 101, "a\nb"])
def test_a_name_never_leaves_the_store(weights, name):
    with pytest.raises(SpecError, match="use up to 100 letters"):
        weight_store.add(weights, name=name)
    with pytest.raises((SpecError, ValidationError)):
        VggComponent(weights=f"store:{name}").preflight()


@pytest.mark.parametrize("change", [{"sha256": "../../etc/passwd"}, {"suffix": "/../x"}, {"size": "1"}, {"more": 1}])
def test_a_damaged_entry_is_named_and_its_path_not_followed(weights, store, change):
    weight_store.add(weights, name="mine")
    path = store / "names" / "mine.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(SpecError, match=r"mine\.json: damaged entry"):
        weight_store.verified("mine")


def test_the_commands_add_list_and_find_weights(weights, capsys):
    assert run("weights", "list") in (0, None)
    assert "is empty; add a file" in capsys.readouterr().out
    assert run("weights", "add", str(weights), "--licence", "MIT", "--source", "a lab") in (0, None)
    out = capsys.readouterr()
    assert out.out.startswith("store:vgg11: 16 tensors, ")
    assert "weights: store:vgg11" in out.err
    assert run("weights", "list", "--json") in (0, None)
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["licence"], row["source"]) == ("vgg11", "MIT", "a lab")
    assert run("weights", "path", "store:vgg11") in (0, None)
    assert capsys.readouterr().out.strip() == row["path"]
    assert run("weights", "list") in (0, None)
    assert "store:vgg11" in capsys.readouterr().out


def test_a_file_that_holds_more_than_tensors_is_not_added(tmp_path, capsys, store):
    path = tmp_path / "model.pth"
    torch.save({"model": Vgg}, path)
    assert run("weights", "add", str(path)) == 2
    assert "can't be read as plain tensors" in capsys.readouterr().err
    assert not store.exists()


def test_listing_loads_no_torch(weights):
    weight_store.add(weights, name="mine")
    code = (
        "import sys\nfrom segengine.cli.main import main\ntry:\n main(['weights', 'list'])\nexcept SystemExit: pass\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("False")
