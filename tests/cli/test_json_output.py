import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.training.small import Study, segengine

COMMANDS: dict[str, Callable[[Study, Path], list[str]]] = {
    "validate": lambda study, out: ["validate", "blobs.yaml", "--json"],
    "plugins list": lambda study, out: ["plugins", "list", "--json"],
    "compare": lambda study, out: ["compare", "--json"],
    "predict": lambda study, out: ["predict", str(study.run), "data/test/images", "-o", str(out), "--json"],
    "doctor": lambda study, out: ["doctor", "--json"],
    "run, all finished": lambda study, out: ["run", "blobs.yaml", "--json"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_json_is_one_document_on_standard_output(command: str, study: Study, tmp_path: Path) -> None:
    done = segengine(*COMMANDS[command](study, tmp_path), folder=study.folder)
    assert json.loads(done.out)
    assert done.code == 0 or command == "doctor", done.err


def test_run_json_is_one_document_with_every_run_while_progress_goes_to_standard_error(study: Study) -> None:
    document = json.loads(study.done.out)
    assert [(run["variant"], run["seed"], run["status"]) for run in document] == [
        ("plain", 0, "finished"), ("slow", 0, "finished"),
    ]  # fmt: skip
    assert 0 <= document[0]["scores"]["test"]["mean"]["dice"] <= 1
    assert (study.folder / document[0]["folder"] / "run.json").exists()
    assert "epoch 3/3" in study.done.err


def test_validate_json_of_a_wrong_file_is_one_document_too(study: Study, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text("titel: x\n")
    done = segengine("validate", "wrong.yaml", "--json", folder=tmp_path)
    document = json.loads(done.out)
    assert done.code == 2
    assert document["valid"] is False
    assert any("title" in problem for problem in document["problems"])


def test_predict_json_names_what_was_written_and_what_was_not(study: Study, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    good = study.folder / "data/test/images/te0.png"
    done = segengine("predict", study.run, good, "broken.png", "-o", "out", "--json", folder=tmp_path)
    assert done.code == 1
    first, second = json.loads(done.out)["images"]
    assert (first["written"], first["problem"]) == (["out/te0.png"], "")
    assert second["written"] == []
    assert "broken.png" in second["problem"]
