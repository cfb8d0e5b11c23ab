"""What KServe's client asks, by both protocols, is answered as the predictor answers."""

import asyncio
import json
from typing import Any

import httpx
import numpy as np
import pytest
from kserve import InferenceRESTClient, InferInput, InferRequest, InferResponse
from kserve.inference_client import RESTConfig
from kserve.protocol.infer_type import RequestedOutput

from tests.serve.small import INSTANCE, ROWS, deploy, predict

COLUMNS = {
    "amount": ("FP32", np.array([[12.5], [np.nan]], np.float32)),
    "count": ("INT64", np.array([[4], [-(2**63)]])),
    "carrier": ("BYTES", np.array([["UA"], [""]], object)),
    "open": ("BOOL", np.array([[True], [False]])),
    "when": ("BYTES", np.array([["2013-01-31T17:05:00"], [b"2013-02-01T00:00:00"]], object)),
}
MEANING = [INSTANCE, {"open": False, "when": "2013-02-01T00:00:00"}]


def _ask(protocol: str, method: str, *arguments: Any, **options: Any) -> Any:
    async def ask() -> Any:
        client = InferenceRESTClient(RESTConfig(protocol=protocol))
        try:
            return await getattr(client, method)(*arguments, **options)
        finally:
            await client.close()

    return asyncio.run(ask())


def _tensors(binary: bool, flat: bool) -> list[InferInput]:
    tensors = []
    for name, (datatype, array) in COLUMNS.items():
        shaped = array[:, 0] if flat else array
        tensor = InferInput(name, list(shaped.shape), datatype)
        tensor.set_data_from_numpy(shaped, binary_data=binary)
        if not binary:  # in JSON, null is a missing value
            missing = {"amount": [12.5, None], "count": [4, None]}
            tensor.data = missing.get(name, tensor.data)
        tensors.append(tensor)
    return tensors


def _infer(url: str, tensors: list[InferInput], binary_output: bool | None = None) -> InferResponse:
    outputs = None if binary_output is None else [RequestedOutput("output", {"binary_data": binary_output})]
    return _ask("v2", "infer", url, InferRequest("small", tensors, "my-id", request_outputs=outputs), "small")


def test_v1_rows(server, low) -> None:
    answer = _ask("v1", "infer", server.url, {"instances": ROWS}, "small")
    assert answer["predictions"] == pytest.approx(low.predict(ROWS), abs=1e-6)


def test_v1_columns(server, low) -> None:
    columns = {name: [row.get(name) for row in ROWS] for name in ("id", "amount", "count", "carrier", "open", "when")}
    answer = _ask("v1", "infer", server.url, {"inputs": columns}, "small")
    assert answer["predictions"] == pytest.approx(low.predict(ROWS), abs=1e-6)
    partly = {"amount": columns["amount"], "when": None}
    answer = _ask("v1", "infer", server.url, {"inputs": partly}, "small")
    assert answer["predictions"] == pytest.approx(
        low.predict([{"amount": row.get("amount")} for row in ROWS]), abs=1e-6
    )


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("binary", [True, False])
def test_v2_tensors(server, low, binary, flat) -> None:
    answer = _infer(server.url, _tensors(binary, flat))
    assert answer.outputs[0].data == pytest.approx(low.predict(MEANING), abs=1e-6)
    assert (answer.id, answer.model_name, answer.outputs[0].shape) == ("my-id", "small", [2])


def test_v2_binary_output_only_where_it_is_asked_for(server, low) -> None:
    for wanted in (True, False, None):
        answer = _infer(server.url, _tensors(True, True), wanted)
        assert answer.outputs[0].data == pytest.approx(low.predict(MEANING), abs=1e-6)
    request = {
        "inputs": [{"name": "amount", "shape": [1], "datatype": "FP64", "data": [1.5]}],
        "parameters": {"binary_data_output": True},
    }
    answer = httpx.post(f"{server.url}/v2/models/small/infer", json=request)
    length = int(answer.headers["inference-header-content-length"])
    assert np.frombuffer(answer.content[length:], "<f4") == pytest.approx(low.predict([{"amount": 1.5}]), abs=1e-6)


@pytest.mark.parametrize("datatype", ["INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"])
def test_v2_takes_all_integers(server, low, datatype) -> None:
    array = np.array([7, 100], datatype.lower())
    tensor = InferInput("count", [2], datatype)
    tensor.set_data_from_numpy(array)
    answer = _infer(server.url, [tensor])
    assert answer.outputs[0].data == pytest.approx(low.predict([{"count": 7}, {"count": 100}]), abs=1e-6)


def test_v2_without_an_id_gets_one(client) -> None:
    request = {"inputs": [{"name": "amount", "shape": [1], "datatype": "FP64", "data": [1.5]}]}
    ids = {client.post("/v2/models/small/infer", json=request).json()["id"] for _ in range(2)}
    assert len(ids) == 2 and all(ids)


def test_health_and_readiness(server) -> None:
    assert _ask("v1", "is_server_live", server.url)
    assert _ask("v1", "is_model_ready", server.url, "small")
    assert _ask("v2", "is_server_live", server.url)
    assert _ask("v2", "is_server_ready", server.url)
    assert _ask("v2", "is_model_ready", server.url, "small")
    assert not _ask("v2", "is_model_ready", server.url, "other")


def test_metadata(client) -> None:
    metadata = client.get("/v2/models/small").json()
    assert metadata["versions"] == ["1"]
    assert {tensor["name"]: tensor["datatype"] for tensor in metadata["inputs"]} == {
        "amount": "FP64", "count": "INT64", "carrier": "BYTES", "open": "BOOL", "when": "BYTES",
    }  # fmt: skip
    assert metadata["outputs"] == [{"name": "output", "datatype": "FP32", "shape": [-1]}]
    assert client.get("/v1/models").json() == client.get("/v2/models").json() == {"models": ["small"]}
    assert "binary_tensor_data" in client.get("/v2").json()["extensions"]


def test_only_the_version_in_service_has_paths(client) -> None:
    assert client.get("/v2/models/small/versions/1").json() == client.get("/v2/models/small").json()
    assert client.get("/v2/models/small/versions/1/ready").status_code == 200
    request = {"inputs": [{"name": "amount", "shape": [1], "datatype": "FP64", "data": [1.5]}]}
    answer = client.post("/v2/models/small/versions/1/infer", json=request)
    assert answer.json()["model_version"] == answer.headers["model-version"] == "1"
    assert client.post("/v2/models/small/versions/2/infer", json=request).status_code == 404
    assert "version '2' of small is not in service; 1 is" in client.get("/v2/models/small/versions/2").json()["error"]


def test_a_request_may_name_the_version_in_service(client) -> None:
    request = {"inputs": [{"name": "amount", "shape": [1], "datatype": "FP64", "data": [1.5]}]}
    for version in ("1", "", None):
        assert client.post("/v2/models/small/infer", json={**request, "model_version": version}).status_code == 200
    answer = client.post("/v2/models/small/infer", json={**request, "model_version": "2"})
    assert answer.status_code == 404
    assert answer.json()["error"] == "version '2' of small is not in service; 1 is; ask without a version"


def test_a_folder_without_a_number_has_no_version(start, low) -> None:
    url = start("--folder", f"small={low.folder}").url
    request = {"inputs": [{"name": "amount", "shape": [1], "datatype": "FP64", "data": [1.5]}]}
    reason = "version '3' of small is not in service; what is served has no number; ask without a version"
    for path, named in (("/v2/models/small/versions/3/infer", {}), ("/v2/models/small/infer", {"model_version": "3"})):
        answer = httpx.post(url + path, json={**request, **named})
        assert (answer.status_code, answer.json()["error"]) == (404, reason)
    assert httpx.post(f"{url}/v2/models/small/infer", json=request).status_code == 200


def test_several_classes(start, make, tmp_path) -> None:
    classes = make(classes=3)
    deploy(tmp_path, "classes", classes)
    url = start("--work", tmp_path).url
    expected = classes.predict(ROWS)
    assert np.allclose(predict(url, ROWS, "classes").json()["predictions"], expected, atol=1e-6)
    request = {"inputs": [{"name": "amount", "shape": [1], "datatype": "FP64", "data": [12.5]}]}
    (output,) = httpx.post(f"{url}/v2/models/classes/infer", json=request).json()["outputs"]
    assert output["shape"] == [1, 3]
    assert output["data"] == pytest.approx(classes.predict([{"amount": 12.5}])[0], abs=1e-6)


def test_rarer_forms_of_a_timestamp(server, low) -> None:
    """msgspec reads less than Python does; what it refuses is looked at again."""
    rare = [{"when": "2013-01-31"}, {"when": "2013-01-31 17:05"}]
    same = [{"when": "2013-01-31T00:00:00"}, {"when": "2013-01-31T17:05:00"}]
    assert predict(server.url, rare).json()["predictions"] == predict(server.url, same).json()["predictions"]


def test_what_is_put_differently_is_answered_the_same(server) -> None:
    """Order and spelling of the JSON do not matter, and neither does the company."""
    alone = predict(server.url, [INSTANCE]).json()["predictions"][0]
    turned = dict(reversed(INSTANCE.items()))
    spaced = json.dumps({"instances": [turned]}, indent=3, separators=(" ,  ", "\t:\n"))
    answer = httpx.post(f"{server.url}/v1/models/small:predict", content=spaced)
    assert answer.json()["predictions"] == [alone]
    many = predict(server.url, [*ROWS, INSTANCE]).json()["predictions"]
    assert many[0] == pytest.approx(alone, abs=1e-6) and many[-1] == many[0]
