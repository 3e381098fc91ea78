"""Requests and answers of the server, without a socket."""

import base64
import io
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import segengine
from segengine.inference.load import load_trained
from tests.inference.serve.samples import bomb, png
from tests.training.small import Study, sample

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
from starlette.testclient import TestClient

from segengine.inference.serve.app import Server, application
from segengine.inference.serve.limits import Limits
from segengine.inference.serve.service import Service

LOCAL = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def service(study: Study) -> Service:
    return Service(load_trained(study.run, "cpu").for_single_images(), "plain-seed0")


@pytest.fixture
def server(service: Service) -> Iterator[Server]:
    made = Server(service, Limits(upload_bytes=100_000, pixels=10_000, seconds=20))
    yield made
    made.close()


@pytest.fixture
def client(server: Server) -> TestClient:
    return TestClient(application(server), LOCAL, raise_server_exceptions=False)


def error_of(answer: Any) -> tuple[int, str, str]:
    error = answer.json()["error"]
    assert error["status"] == answer.status_code
    assert answer.headers["content-type"] == "application/json"
    return error["status"], error["code"], error["message"]


def test_the_mask_is_what_predict_gives_for_the_same_file(client: TestClient, study: Study, tmp_path: Path) -> None:
    picture, _ = sample(7, 40, 56)
    (tmp_path / "a.png").write_bytes(png(picture))
    expected = segengine.load(study.run, device="cpu").predict(tmp_path / "a.png")
    for answer in (
        client.post("/predict", files={"image": ("a.png", png(picture), "image/png")}),
        client.post("/predict", content=png(picture), headers={"Content-Type": "image/png"}),
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "image/png"
        mask = Image.open(io.BytesIO(answer.content))
        assert mask.mode == "L"
        assert np.array_equal(np.asarray(mask), expected.mask)


def test_areas_and_all_parts_as_json(client: TestClient) -> None:
    picture, _ = sample(7, 40, 56)
    query = {"output": "json", "include": "mask,classes,image,probabilities"}
    found = client.post("/predict", content=png(picture), params=query).json()
    assert (found["width"], found["height"], found["ignored"]) == (56, 40, 0)
    assert [entry["name"] for entry in found["classes"]] == ["background", "disc", "square"]
    assert sum(entry["pixels"] for entry in found["classes"]) == 40 * 56
    assert sum(entry["share"] for entry in found["classes"]) == pytest.approx(1)
    decoded = {
        part: np.asarray(Image.open(io.BytesIO(base64.b64decode(found[part]))))
        for part in ("mask", "class_map", "image")
    }
    assert np.array_equal(decoded["mask"], np.array([0, 63, 252])[decoded["class_map"]])
    assert np.array_equal(decoded["image"][..., 0], picture)
    count, height, width = found["probabilities"]["shape"]
    chances = np.frombuffer(base64.b64decode(found["probabilities"]["data"]), np.uint8).reshape(count, height, width)
    assert chances.shape == (3, 40, 56)
    assert np.abs(chances.sum(0, dtype=int) - 255).max() <= 2
    of_class = np.take_along_axis(chances, decoded["class_map"][None].astype(int), 0)[0]
    assert np.array_equal(of_class, chances.max(0))


def test_outlines_are_geojson_with_the_areas_of_the_classes(client: TestClient) -> None:
    body = png(sample(7)[0])
    areas = client.post("/predict", content=body, params={"output": "json"}).json()
    answer = client.post("/predict", content=body, headers={"Accept": "application/geo+json"})
    assert answer.headers["content-type"] == "application/geo+json"
    features = answer.json()["features"]
    for entry in areas["classes"]:
        same = [f["properties"]["pixels"] for f in features if f["properties"]["class"] == entry["name"]]
        assert sum(same) == entry["pixels"]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "image/png"), ("image/*", "image/png"), ("application/json", "application/json"), ("", "image/png"),
        ("text/html, application/json;q=0.5, image/png;q=0.1", "application/json"), ("IMAGE/PNG;q=x, */*;q=0.1", "image/png"),
    ],
)  # fmt: skip
def test_accept_decides_the_form_of_the_answer(client: TestClient, accept: str, kind: str) -> None:
    answer = client.post("/predict", content=png(sample(1)[0]), headers={"Accept": accept})
    assert answer.headers["content-type"] == kind


def test_pixels_without_measurement_get_the_ignored_value(service: Service) -> None:
    picture = service.read("a.png", png(sample(1)[0]), most_pixels=10_000)
    (inferred,) = service.infer([picture.pixels], False)
    missing = np.zeros((48, 48), bool)
    missing[:5] = True
    classes = service.finished(inferred, replace(picture, missing=missing))
    assert (classes[:5] == 255).all()
    assert np.array_equal(classes[5:], inferred.classes[5:])


HOSTILE: dict[str, tuple[bytes, dict[str, str], int, str]] = {
    "too many bytes": (b"x" * 100_001, {}, 413, "too-many-bytes"),
    "a bomb": (bomb(), {}, 413, "too-many-pixels"),
    "one pixel too many": (png(np.zeros((73, 137), np.uint8)), {}, 413, "too-many-pixels"),
    "no image": (b"hello, I am text", {}, 415, "unknown-format"),
    "another type": (b"{}", {"Content-Type": "application/json"}, 415, "unsupported-media-type"),
    "nothing": (b"", {}, 422, "no-image"),
    "cut off": (png(sample(1)[0])[:300], {}, 422, "unusable-image"),
    "bad header": (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, {}, 422, "unusable-image"),
    "16 bits": (png(np.full((9, 9), 4000, np.uint16)), {}, 422, "unusable-image"),
    "a broken form": (b"--x\r\nabc", {"Content-Type": "multipart/form-data; boundary=x"}, 422, "no-image"),
    "a form without boundary": (b"abc", {"Content-Type": "multipart/form-data"}, 422, "invalid-form"),
    "not acceptable": (png(sample(1)[0]), {"Accept": "text/html"}, 406, "not-acceptable"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_cannot_be_predicted_is_refused_in_words(client: TestClient, case: str) -> None:
    body, headers, status, code = HOSTILE[case]
    found = error_of(client.post("/predict", content=body, headers=headers))
    assert found[:2] == (status, code)
    assert len(found[2]) > 20
    assert "Traceback" not in found[2]
    assert client.post("/predict", content=png(sample(1)[0])).status_code == 200


def test_parameters_and_fields_that_do_not_exist(client: TestClient) -> None:
    body = png(sample(1)[0])
    assert error_of(client.post("/predict?output=jpeg", content=body))[:2] == (422, "unknown-output")
    assert error_of(client.post("/predict?output=json&include=x", content=body))[:2] == (422, "unknown-part")
    assert error_of(client.post("/predict", files={"photo": ("a.png", body)}))[:2] == (422, "no-image")
    assert error_of(client.post("/predict", data={"image": "text"}, files={"x": b"1"}))[:2] == (422, "no-image")
    assert error_of(client.get("/predict"))[0] == 405
    assert error_of(client.get("/../etc/passwd"))[0] == 404


def test_names_of_uploads_are_names_only_and_printable(client: TestClient) -> None:
    for name in ("../../etc/x.png", "C:\\x.png", "a\x1b[31m.png", "n" * 3000):
        answer = client.post("/predict", files={"image": (name, b"no picture")})
        status, _, message = error_of(answer)
        assert status == 415
        assert "/etc" not in message
        assert "\x1b" not in message
        assert len(message) < 400


def test_a_full_queue_and_a_stopping_server_refuse(server: Server, client: TestClient) -> None:
    server.admission.now = server.limits.requests
    answer = client.post("/predict", content=png(sample(1)[0]))
    assert error_of(answer)[:2] == (429, "too-many-requests")
    assert answer.headers["retry-after"] == "1"
    server.admission.now = 0
    server.stop()
    assert error_of(client.post("/predict", content=png(sample(1)[0])))[:2] == (503, "stopping")
    assert client.get("/health").status_code == 503
    assert client.get("/health").json()["status"] == "stopping"


def test_requests_that_wait_at_the_end_are_refused(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    monkeypatch.setattr(Service, "infer", lambda *_: go.wait(5) and [])
    server = Server(service, Limits())
    server.give_up()
    try:
        client = TestClient(application(server), LOCAL, raise_server_exceptions=False)
        assert error_of(client.post("/predict", content=png(sample(1)[0])))[:2] == (503, "stopping")
    finally:
        go.set()
        server.close()


def test_memory_for_uploads_is_limited(server: Server, client: TestClient) -> None:
    other = object()
    server.uploads.hold(other, server.uploads.most)
    assert error_of(client.post("/predict", content=png(sample(1)[0])))[:2] == (503, "out-of-memory")
    server.uploads.release(other)
    assert client.post("/predict", content=png(sample(1)[0])).status_code == 200
    assert server.uploads.now == server.images.now == server.admission.now == 0


def test_a_prediction_that_takes_too_long_is_a_timeout(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    monkeypatch.setattr(Service, "infer", lambda *_: go.wait(5) and [])
    server = Server(service, Limits(seconds=0.2))
    client = TestClient(application(server), LOCAL, raise_server_exceptions=False)
    try:
        found = error_of(client.post("/predict", content=png(sample(1)[0])))
        assert found == (504, "timeout", "the prediction wasn't ready within 0.2 s")
        assert server.images.now == server.admission.now == 0
    finally:
        go.set()
        server.close()


@pytest.mark.parametrize(("error", "status"), [(MemoryError(), 503), (ValueError("odd"), 500)])
def test_an_error_of_the_network_is_an_answer(
    error: Exception, status: int, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(Service, "infer", fail)
    server = Server(service, Limits())
    client = TestClient(application(server), LOCAL, raise_server_exceptions=False)
    try:
        assert error_of(client.post("/predict", content=png(sample(1)[0])))[0] == status
        assert server.batcher.alive
    finally:
        server.close()


def test_a_token_is_needed_where_one_is_set(server: Server) -> None:
    client = TestClient(application(server, token="secret"), LOCAL)
    body = png(sample(1)[0])
    for path in ("/classes", "/metrics", "/openapi.json", "/other"):
        assert error_of(client.get(path))[:2] == (401, "token-needed")
    for given in ({}, {"Authorization": "Bearer secre"}, {"Authorization": "secret"}):
        assert client.post("/predict", content=body, headers=given).status_code == 401
    assert client.post("/predict", content=body, headers={"Authorization": "Bearer secret"}).status_code == 200
    assert client.get("/health").status_code == 200
    assert 'id="token"' in client.get("/").text


def test_a_local_server_answers_no_other_host_name(server: Server) -> None:
    body = png(sample(1)[0])
    for host, status in (
        ("127.0.0.1:80", 200), ("localhost", 200), ("[::1]:8000", 200), ("evil.example", 400), ("", 400),
    ):  # fmt: skip
        client = TestClient(application(server), LOCAL)
        assert client.post("/predict", content=body, headers={"Host": host}).status_code == status
    public = TestClient(application(server, local=False), LOCAL)
    assert public.get("/health", headers={"Host": "example.org"}).status_code == 200


def test_classes_health_metrics_and_openapi(client: TestClient) -> None:
    assert client.get("/classes").json()["classes"][1] | {"colour": None} == {
        "index": 1, "name": "disc", "value": 63, "colour": None,
    }  # fmt: skip
    assert client.get("/health").json()["status"] == "ok"
    assert client.post("/predict", content=png(sample(1)[0])).status_code == 200
    client.get("/a-path-of-somebody")
    text = client.get("/metrics").text
    assert 'segengine_requests_total{path="/predict",status="200"} 1.0' in text
    assert 'segengine_requests_total{path="other",status="404"} 1.0' in text
    assert "segengine_images_total 1.0" in text
    assert "segengine_pixels_total 2304.0" in text
    assert "segengine_batch_images_count 1.0" in text
    described = client.get("/openapi.json").json()
    assert set(described["paths"]) == {"/predict", "/classes", "/health", "/metrics"}
    assert set(described["paths"]["/predict"]["post"]["responses"]) == {
        "200", "401", "406", "408", "413", "415", "422", "429", "503", "504",
    }  # fmt: skip
    json.dumps(described, allow_nan=False)


def test_the_page_needs_nothing_from_elsewhere(client: TestClient) -> None:
    answer = client.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http:" not in policy
    assert "src=" not in answer.text
    assert "style=" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert client.get("/health").headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
