"""A server of images: base64 in JSON, files in binary tensors, and refusals in words."""

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from kserve import InferInput, InferRequest

from components.features import png
from components.serve.launch import ServerProcess
from tests.serve.small import Made, deploy, predict, until

GOOD, OTHER = (png.encode(np.random.default_rng(seed).integers(0, 256, (9, 7, 3), np.uint8)) for seed in (1, 2))


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


INSTANCES: list[dict[str, Any]] = [
    {"photo": text(GOOD), "size": 2.5, "town": "Ulm"},
    {"photo": text(OTHER)},
    {"photo": None, "size": 1.0},
    {"photo": "", "town": "Łódź"},
]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Made:
    from components.compress.compress import compress
    from components.compress.config import Recipe
    from tests.learning.photos import make_transform, write_examples, write_model

    root = tmp_path_factory.mktemp("photos")
    write_model(root / "model", make_transform(), write_examples(root / "examples", make_transform(), 50))
    compress(root / "model", root / "examples", Recipe(names=("float32",)), root, root / "variant")
    return Made(root / "variant" / "serving")


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def url(made, work) -> Iterator[str]:
    deploy(work, "photos", made, log_share=1.0)
    with ServerProcess(["--work", work], work / "server.log") as process:
        yield process.url


def test_rows_and_columns_in_json(url, made) -> None:
    expected = made.predict(INSTANCES)
    assert predict(url, INSTANCES, "photos").json()["predictions"] == pytest.approx(np.array(expected), abs=1e-6)
    columns = {name: [row.get(name) for row in INSTANCES] for name in ("photo", "size", "town")}
    answer = httpx.post(f"{url}/v1/models/photos:predict", json={"inputs": columns}).json()
    assert answer["predictions"] == pytest.approx(np.array(expected), abs=1e-6)


def test_tensors(url, made) -> None:
    expected = np.ravel(made.predict([{"photo": text(GOOD)}, {}]))
    in_binary = InferInput("photo", [2, 1], "BYTES")
    in_binary.set_data_from_numpy(np.array([[GOOD], [b""]], object), binary_data=True)
    content, json_bytes = InferRequest("photos", [in_binary]).to_rest()
    headers = {"inference-header-content-length": str(json_bytes)}
    answer = httpx.post(f"{url}/v2/models/photos/infer", content=content, headers=headers)
    assert answer.json()["outputs"][0]["data"] == pytest.approx(expected, abs=1e-6)
    in_json = {"name": "photo", "shape": [2, 1], "datatype": "BYTES", "data": [text(GOOD), None]}
    answer = httpx.post(f"{url}/v2/models/photos/infer", json={"inputs": [in_json]})
    assert answer.json()["outputs"][0]["data"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("photo", "reason"),
    [
        (text(GOOD[:60]), "row 1: photo is a PNG image that is cut off; send a whole PNG image in base64"),
        (text(b"GIF89a"), "row 1: photo is no PNG image; send a whole PNG image in base64"),
        ("*", "row 1: photo is '*' (str); it must be a PNG image in base64"),
        (7, "row 1: photo is 7 (int); it must be a PNG image in base64"),
    ],
)
def test_a_damaged_image_is_refused(url, photo, reason) -> None:
    rows = [INSTANCES[0], {"photo": photo}]
    answer = predict(url, rows, "photos")
    assert (answer.status_code, answer.json()) == (400, {"error": reason})
    columns = {"photo": [row["photo"] for row in rows]}
    answer = httpx.post(f"{url}/v1/models/photos:predict", json={"inputs": columns})
    assert (answer.status_code, answer.json()) == (400, {"error": reason})
    tensor = {"name": "photo", "shape": [2], "datatype": "BYTES", "data": columns["photo"]}
    answer = httpx.post(f"{url}/v2/models/photos/infer", json={"inputs": [tensor]})
    assert (answer.status_code, answer.json()) == (400, {"error": reason})


def test_an_image_that_unfolds_to_much_is_refused(url) -> None:
    bomb = GOOD[:16] + (2**14).to_bytes(4, "big") * 2 + GOOD[24:]
    content = GOOD[:8] + png.chunk(b"IHDR", bomb[16:29]) + GOOD[33:]
    answer = predict(url, [{"photo": text(content)}], "photos")
    assert answer.status_code == 400
    assert "4194304 in all" in answer.json()["error"]


def test_images_that_are_too_large_together_are_refused(url) -> None:
    large = png.encode(np.zeros((1024, 1024, 1), np.uint8))
    answer = predict(url, [{"photo": text(large)}] * 5, "photos")
    assert answer.status_code == 413
    expected = "the images have 5242880 pixels together; send at most 4194304 in one request"
    assert answer.json() == {"error": expected}
    assert predict(url, [{"photo": text(large)}] * 3, "photos").status_code == 200


def test_a_damaged_image_spoils_no_other_request(url, made) -> None:
    """All of them go to the thread, which predicts what waits for it together."""
    large = png.encode(np.random.default_rng(0).integers(0, 256, (700, 700, 1), np.uint8))
    damaged = large[:-40] + bytes(28) + large[-12:]
    rows = [[INSTANCES[0], {"photo": text(damaged if number % 3 else large)}] for number in range(12)]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda one: predict(url, one, "photos"), rows))
    expected = np.array(made.predict(rows[0]))
    for number, answer in enumerate(answers):
        if number % 3:
            assert answer.status_code == 400
            assert answer.json()["error"].startswith("row 1: photo is a damaged PNG image; send")
        else:
            assert answer.json()["predictions"] == pytest.approx(expected, abs=1e-5)


def test_base64_may_be_broken_into_lines(url, made) -> None:
    lines = base64.encodebytes(GOOD).decode()
    assert "\n" in lines
    answer = predict(url, [{"photo": lines}], "photos")
    expected = np.array(made.predict([{"photo": text(GOOD)}]))
    assert answer.json()["predictions"] == pytest.approx(expected, abs=1e-6)


def test_the_openapi_document_tells_how_images_come(url) -> None:
    document = httpx.get(f"{url}/openapi.json").json()
    request = document["paths"]["/v1/models/photos:predict"]["post"]["requestBody"]["content"]["application/json"]
    schema = request["schema"]["oneOf"][0]["properties"]["instances"]["items"]["properties"]["photo"]
    assert (schema["contentEncoding"], schema["contentMediaType"]) == ("base64", "image/png")
    (example,) = request["schema"]["examples"]
    assert predict(url, example["instances"], "photos").status_code == 200


def test_logged_images_can_be_asked_again(url, work) -> None:
    predict(url, [INSTANCES[0]], "photos")
    folder = work / "requests" / "photos"

    def logged() -> list[dict[str, Any]]:
        lines = [line for path in folder.glob("*.jsonl") for line in path.read_text().splitlines()]
        return [json.loads(line)["instance"] for line in lines]

    until(lambda: INSTANCES[0] in logged())
