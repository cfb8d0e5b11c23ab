"""Whatever is sent: no 500, no hang, and an answer as the OpenAPI document says."""

import contextlib
import json
import random
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from tests.serve.small import DATA, INSTANCE, ROWS

TENSOR = {"name": "amount", "shape": [1], "datatype": "FP64", "data": [1.5]}
SEEDS = [
    json.dumps({"instances": ROWS}).encode(),
    json.dumps({"inputs": {name: [value] for name, value in INSTANCE.items()}}).encode(),
    json.dumps({"inputs": [TENSOR], "outputs": [{"name": "output", "parameters": {"binary_data": True}}]}).encode(),
]
PATHS = ("/v1/models/small:predict", "/v2/models/small/infer")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inside: (
        st.lists(inside, max_size=5)
        | st.dictionaries(st.sampled_from([*DATA.columns, "instances", "inputs", "data", "shape"]), inside, max_size=5)
    ),
    max_leaves=20,
)
INSTANCES = st.lists(st.dictionaries(st.sampled_from([*DATA.columns, "other"]), JSON, max_size=5), max_size=3)
BODIES = st.one_of(
    st.binary(max_size=200),
    JSON.map(json.dumps).map(str.encode),
    INSTANCES.map(lambda instances: json.dumps({"instances": instances}).encode()),
    st.dictionaries(st.sampled_from([*DATA.columns]), st.lists(JSON, max_size=3)).map(
        lambda columns: json.dumps({"inputs": columns}).encode()
    ),
    st.fixed_dictionaries({"name": st.just("amount"), "shape": JSON, "datatype": JSON, "data": JSON}).map(
        lambda tensor: json.dumps({"inputs": [tensor]}).encode()
    ),
)
HEADERS = st.dictionaries(
    st.sampled_from(["inference-header-content-length", "content-encoding", "content-type", "accept"]),
    st.text("0123456789-gzipjson/*", max_size=12),
    max_size=2,
)


def _check(client: httpx.Client, path: str, body: bytes, headers: dict[str, str]) -> None:
    answer = client.post(path, content=body, headers=headers, timeout=10)
    assert answer.status_code in (200, 400, 413, 415), answer.text
    if answer.status_code == 200 and "octet" not in answer.headers["content-type"]:
        assert answer.json().keys() & {"predictions", "outputs"}
    elif answer.status_code != 200:
        assert answer.json()["error"] and "Traceback" not in answer.text


def _mutated(seed: int) -> bytes:
    """A legal body with some bytes changed, left out, doubled."""
    chance = random.Random(seed)
    body = bytearray(chance.choice(SEEDS))
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(body))
        what = chance.random()
        if what < 0.4:
            body[at] = chance.choice(b'{}[]":,0123456789eE+-.tfn\\ \x00\xff')
        elif what < 0.7:
            del body[at : at + chance.randint(1, 8)]
        else:
            body[at:at] = body[at : at + chance.randint(1, 30)]
    return bytes(body)


SETTINGS = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@settings(SETTINGS, max_examples=300)
@given(path=st.sampled_from(PATHS), body=BODIES, headers=HEADERS)
def test_any_body(client, path, body, headers) -> None:
    _check(client, path, body, headers)


def test_mutated_bodies(client) -> None:
    for seed in range(1500):
        _check(client, PATHS[seed % 2], _mutated(seed), {})
    _nothing_went_wrong(client)


@pytest.mark.nightly
@settings(SETTINGS, max_examples=20_000)
@given(path=st.sampled_from(PATHS), body=BODIES, headers=HEADERS)
def test_any_body_longer(client, path, body, headers) -> None:
    _check(client, path, body, headers)


@pytest.mark.nightly
def test_mutated_bodies_longer(client) -> None:
    for seed in range(100_000):
        _check(client, PATHS[seed % 2], _mutated(seed), {})
    _nothing_went_wrong(client)


def _nothing_went_wrong(client: httpx.Client) -> None:
    assert 'kind="internal"' not in client.get("/metrics").text


def _check_document(url: str, max_examples: int) -> None:
    """Cases that the document allows are answered as it says; cases that it forbids are refused."""
    document = schemathesis.openapi.from_url(f"{url}/openapi.json")
    for found in document.get_all_operations():
        for mode in schemathesis.GenerationMode:
            _check_operation(found.ok(), mode, max_examples)


def _check_operation(operation: Any, mode: schemathesis.GenerationMode, max_examples: int) -> None:
    @settings(SETTINGS, max_examples=max_examples)
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Any) -> None:
        if mode.is_positive:
            case.body = _agreeing(case.body)
        case.call_and_validate(timeout=10)

    nothing_wrong = operation.method == "get" and mode.is_negative  # a GET without parameters cannot be wrong
    with contextlib.suppress(Unsatisfiable) if nothing_wrong else contextlib.nullcontext():
        check()


def _agreeing(body: Any) -> Any:
    """The body with columns or tensors of one length, each once: JSON Schema cannot demand that."""
    inputs = body.get("inputs") if isinstance(body, dict) else None
    if isinstance(inputs, dict):
        given = [values for values in inputs.values() if values is not None]
        rows = min(map(len, given), default=0)
        if not rows:
            return {"instances": [{}]}
        return {"inputs": {name: values and values[:rows] for name, values in inputs.items()}}
    if isinstance(inputs, list):
        rows = min(len(tensor["data"]) for tensor in inputs)
        once = {tensor["name"]: tensor for tensor in inputs}.values()
        return {**body, "inputs": [{**tensor, "data": tensor["data"][:rows], "shape": [rows]} for tensor in once]}
    return body


def test_the_openapi_document(server) -> None:
    _check_document(server.url, 30)


@pytest.mark.nightly
def test_the_openapi_document_longer(server) -> None:
    _check_document(server.url, 1000)


def test_the_document_names_every_path(client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path, methods in paths.items():
        (method,) = methods
        assert client.request(method, path).status_code != 404
    assert {"/v1/models/small:predict", "/v2/models/small/infer", "/metrics", "/healthz"} <= set(paths)
