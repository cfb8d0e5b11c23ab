"""Requests that are wrong get 400 with the field and the reason; never a traceback, never 500."""

import gzip
import json
import socket
import struct
from typing import Any

import httpx
import pytest

from tests.serve.small import INSTANCE, ROWS

V1 = "/v1/models/small:predict"
V2 = "/v2/models/small/infer"


def _row(**fields: Any) -> bytes:
    return json.dumps({"instances": [ROWS[0], {**INSTANCE, **fields}]}).encode()


V1_BODIES = {
    "empty": (b"", "not valid JSON"),
    "no JSON": (b"{'instances': []}", "not valid JSON"),
    "cut off": (b'{"instances": [{"amount": 1', "not valid JSON"),
    "something behind": (b'{"instances": [{}]} x', "not valid JSON"),
    "NaN": (b'{"instances": [{"amount": NaN}]}', "not valid JSON"),
    "infinity": (b'{"instances": [{"amount": -Infinity}]}', "not valid JSON"),
    "not UTF-8": (b'{"instances": [{"carrier": "\xff"}]}', "not UTF-8"),
    "a key that is not UTF-8": (b'{"instances": [{"\xff": 1}]}', "not UTF-8"),
    "a byte order mark": (b'\xef\xbb\xbf{"instances": [{}]}', "not valid JSON"),
    "UTF-16": ('{"instances": [{}]}'.encode("utf-16"), "not"),
    "a lone surrogate": (b'{"instances": [{"carrier": "\\ud800"}]}', "not valid JSON"),
    "nested deeply": (b'{"instances": ' + b"[" * 5000 + b"]" * 5000 + b"}", "nested too deeply"),
    "a nested field": (b'{"instances": [{"amount": ' + b"[" * 5000 + b"]" * 5000 + b"}]}", "nested too deeply"),
    "a list": (b"[]", "the body must be"),
    "a number": (b"17", "the body must be"),
    "null": (b"null", "the body must be"),
    "nothing in it": (b"{}", "the body must be"),
    "another key": (b'{"examples": [{}]}', "the body must be"),
    "both forms": (b'{"instances": [{}], "inputs": {"amount": [1]}}', "the body must be"),
    "instances null": (b'{"instances": null}', "instances is null; it must be a list"),
    "instances an object": (b'{"instances": {}}', "instances is an object; it must be a list"),
    "no instances": (b'{"instances": []}', "no instances"),
    "an instance that is a list": (b'{"instances": [{}, [1, 2]]}', "row 1 is a list; it must be an object"),
    "an instance that is null": (b'{"instances": [null]}', "row 0 is null"),
    "too many": (json.dumps({"instances": [{}] * 51}).encode(), "51 instances; send at most 50"),
    "far too many": (b'{"instances": [' + b",".join([b"{}"] * 60_000) + b"]}", "at most 50"),
    "an unknown field": (_row(amuont=1.5), "row 1: amuont is not a field; did you mean amount?"),
    "text for a number": (_row(amount="1.5"), "row 1: amount is '1.5' (str); it must be a number"),
    "a boolean for a number": (_row(amount=True), "row 1: amount is True (bool); it must be a number"),
    "a fraction for an integer": (_row(count=1.5), "row 1: count is 1.5 (float); it must be a whole number"),
    "a number for text": (_row(carrier=5), "row 1: carrier is 5 (int); it must be a string"),
    "a number for a boolean": (_row(open=1), "row 1: open is 1 (int); it must be true or false"),
    "a list for a number": (_row(amount=[1.0]), "row 1: amount is [1.0] (list)"),
    "an object for a text": (_row(carrier={"a": 1}), "row 1: carrier is {'a': 1} (dict)"),
    "no time": (_row(when="yesterday"), "row 1: when is 'yesterday' (str); it must be an ISO 8601"),
    "a time with a zone": (_row(when="2013-01-31T17:05:00Z"), "row 1: when is '2013-01-31T17:05:00Z' (str)"),
    "a time as a number": (_row(when=1234567890), "row 1: when is 1234567890 (int)"),
    "a date that is none": (_row(when="2013-02-30T00:00:00"), "row 1: when is"),
    "an integer of more than 64 bits": (_row(count=2**63), "row 1: count is 9223372036854775808 (int)"),
    "the integer that means missing": (_row(count=-(2**63)), "row 1: count is -9223372036854775808 (int)"),
    "a huge integer": (b'{"instances": [{"count": ' + b"9" * 5000 + b"}]}", ""),
    "a huge number": (b'{"instances": [{"amount": 1e400}]}', ""),
    "inputs a list": (b'{"inputs": [1]}', "inputs is a list; it must be an object"),
    "inputs empty": (b'{"inputs": {}}', "no instances"),
    "a column that is no list": (b'{"inputs": {"amount": 1}}', "the values of amount are a number; they must"),
    "ragged columns": (b'{"inputs": {"amount": [1, 2], "count": [1]}}', "amount has 2, count has 1"),
    "empty columns": (b'{"inputs": {"amount": []}}', "no instances"),
    "an unknown column": (b'{"inputs": {"amuont": [1]}}', "row 0: amuont is not a field"),
    "an unknown column that is null": (b'{"inputs": {"amount": [1], "amuont": null}}', "row 0: amuont is not a field"),
    "a wrong value in a column": (b'{"inputs": {"amount": [1, "x"]}}', "row 1: amount is 'x' (str)"),
}  # fmt: skip


@pytest.mark.parametrize("name", V1_BODIES)
def test_v1(client, name) -> None:
    body, reason = V1_BODIES[name]
    answer = client.post(V1, content=body)
    assert answer.status_code == 400, answer.text
    assert set(answer.json()) == {"error"}
    assert reason in answer.json()["error"]
    assert "Traceback" not in answer.text and len(answer.text) < 1000


def _tensor(**fields: Any) -> dict[str, Any]:
    return {"name": "amount", "shape": [2], "datatype": "FP64", "data": [1.5, 2.5], **fields}


V2_BODIES = {
    "empty": (b"", "not valid JSON"),
    "no inputs": ({}, "inputs"),
    "inputs empty": ({"inputs": []}, "no instances"),
    "inputs an object": ({"inputs": {}}, "inputs"),
    "no name": ({"inputs": [{"shape": [1], "datatype": "FP64", "data": [1]}]}, "name"),
    "an unknown input": ({"inputs": [_tensor(name="amuont")]}, "amuont is not an input; did you mean amount?"),
    "an input like none": ({"inputs": [_tensor(name="z" * 100)]}, f"{'z' * 80} is not an input; GET /v2/models/small"),
    "a long name": ({"inputs": [_tensor(name="x" * 190_000)]}, f"{'x' * 80} is not an input; GET /v2/models/small"),
    "a long datatype": ({"inputs": [_tensor(datatype="x" * 190_000)]}, "it must be FP16 or FP32"),
    "a long key": ({"inputs": [], "x" * 190_000: 1}, "/openapi.json describes it"),
    "many dimensions": ({"inputs": [_tensor(shape=[1] * 60_000)]}, "the shape of amount is a list of 60000; it must"),
    "a size that is an object": (
        {"inputs": [_tensor(data=None, parameters={"binary_data_size": {"x" * 190_000: 1}})]},
        "binary_data_size of amount is an object",
    ),
    "a version that is a number": (
        {"inputs": [_tensor()], "model_version": 1},
        "Expected `str | null`, got `int` in model_version; /openapi.json describes it",
    ),
    "an input twice": ({"inputs": [_tensor(), _tensor()]}, "the input amount stands twice"),
    "an unknown datatype": ({"inputs": [_tensor(datatype="FP128")]}, "the datatype of amount is FP128; it must be"),
    "a datatype that does not fit": ({"inputs": [_tensor(datatype="BYTES")]}, "the datatype of amount is BYTES"),
    "a shape that is no list": ({"inputs": [_tensor(shape=2)]}, "shape"),
    "a scalar": ({"inputs": [_tensor(shape=[])]}, "the shape of amount is []"),
    "three dimensions": ({"inputs": [_tensor(shape=[2, 1, 1])]}, "the shape of amount is [2, 1, 1]"),
    "two columns": ({"inputs": [_tensor(shape=[1, 2])]}, "the shape of amount is [1, 2]"),
    "a negative shape": ({"inputs": [_tensor(shape=[-2])]}, "the shape of amount is [-2]"),
    "a shape that contradicts": ({"inputs": [_tensor(shape=[3])]}, "amount has 2 values, but its shape is [3]"),
    "a huge shape": ({"inputs": [_tensor(shape=[10**30])]}, "the shape of amount is"),
    "too many rows": ({"inputs": [_tensor(shape=[51])]}, "send at most 50 rows"),
    "no rows": ({"inputs": [_tensor(shape=[0], data=[])]}, "no instances"),
    "ragged": ({"inputs": [_tensor(), _tensor(name="count", datatype="INT64", shape=[1], data=[1])]}, "amount has 2"),
    "no data": ({"inputs": [{"name": "amount", "shape": [1], "datatype": "FP64"}]}, "amount has no data"),
    "data null": ({"inputs": [_tensor(data=None)]}, "amount has no data"),
    "a wrong value": ({"inputs": [_tensor(data=[1.5, "x"])]}, "row 1: amount is 'x' (str); it must be a number"),
    "nested values": ({"inputs": [_tensor(data=[[1.5], [2.5]])]}, "row 0: amount is [1.5] (list)"),
    "data and binary": ({"inputs": [_tensor(parameters={"binary_data_size": 0})]}, "both data and binary_data_size"),
    "another output": ({"inputs": [_tensor()], "outputs": [{"name": "logits"}]}, "there is no output logits"),
    "a flag that is none": ({"inputs": [_tensor()], "parameters": {"binary_data_output": 1}}, "must be true or false"),
    "an unknown key": ({"inputs": [_tensor()], "input": []}, "input"),
    "an id that is a number": ({"inputs": [_tensor()], "id": 5}, "id"),
}  # fmt: skip


@pytest.mark.parametrize("name", V2_BODIES)
def test_v2(client, name) -> None:
    body, reason = V2_BODIES[name]
    answer = client.post(V2, content=body if isinstance(body, bytes) else json.dumps(body))
    assert answer.status_code == 400, answer.text
    assert reason in answer.json()["error"]
    assert len(answer.text) < 1000


def _binary(raw: bytes, header: str | None = None, **fields: Any) -> tuple[bytes, dict[str, str]]:
    tensor = {"name": "amount", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 8}, **fields}
    text = json.dumps({"inputs": [tensor]}).encode()
    return text + raw, {"inference-header-content-length": header or str(len(text))}


V2_BINARY = {
    "too few bytes": (_binary(b"1234"), "binary_data_size of amount is 8, and 4 bytes are left"),
    "too many bytes": (_binary(b"123456789"), "1 bytes are left behind the tensors"),
    "a size that is negative": (_binary(b"", parameters={"binary_data_size": -1}), "binary_data_size of amount is -1"),
    "a size that is true": (_binary(b"1", parameters={"binary_data_size": True}), "binary_data_size of amount is True"),
    "a size that is text": (_binary(b"1", parameters={"binary_data_size": "8"}), "binary_data_size of amount is '8'"),
    "no whole values": (_binary(b"1" * 7, parameters={"binary_data_size": 7}), "no multiple of the 4"),
    "too few values": (_binary(b"1" * 8, shape=[3]), "amount has 2 values, but its shape is [3]"),
    "a length beyond the body": (_binary(b"1" * 8, header="100000"), "Inference-Header-Content-Length is '100000'"),
    "a length that is no number": (_binary(b"1" * 8, header="x"), "Inference-Header-Content-Length is 'x'"),
    "a length that is negative": (_binary(b"1" * 8, header="-5"), "Inference-Header-Content-Length is '-5'"),
    "a length that is too short": (_binary(b"1" * 8, header="20"), "not valid JSON"),
    "a boolean of 2": (
        _binary(b"\1\2", name="open", datatype="BOOL", parameters={"binary_data_size": 2}),
        "bytes other than 0 and 1",
    ),
    "a text that is cut off": (
        _binary(struct.pack("<I", 9) + b"abc", name="carrier", datatype="BYTES", parameters={"binary_data_size": 7}),
        "carrier ends within a value",
    ),
    "a text that is not UTF-8": (
        _binary(struct.pack("<I", 1) + b"\xff", name="carrier", datatype="BYTES", parameters={"binary_data_size": 5}),
        "row 0: carrier is not UTF-8",
    ),
}


@pytest.mark.parametrize("name", V2_BINARY)
def test_v2_binary(client, name) -> None:
    (body, headers), reason = V2_BINARY[name]
    answer = client.post(V2, content=body, headers=headers)
    assert answer.status_code == 400, answer.text
    assert reason in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", V1, 405, "GET is not for"),
        ("PUT", V2, 405, "use POST"),
        ("DELETE", "/v1/models", 405, "use GET, HEAD"),
        ("POST", "/metrics", 405, "use GET, HEAD"),
        ("GET", "/nowhere", 404, "no path of this server"),
        ("POST", "/v1/models/other:predict", 404, "'other' is not served; the models are small"),
        ("POST", "/v2/models/other/infer", 404, "'other' is not served; the models are small"),
        ("GET", "/v1/models/other", 404, "'other' is not served"),
        ("POST", "/v1/models/small:explain", 404, "no path"),
        ("GET", "/v2/models/small/versions/99/ready", 404, "version '99' of small is not in service; 1 is"),
        ("GET", "/v2/models/small/versions/1/nowhere", 404, "no path"),
        ("GET", "/v1/models/small/versions/1", 404, "no path"),
        ("POST", "/v1/models/small/versions/2:predict", 404, "no path"),
        ("GET", "/%ff/%00", 404, "no path"),
        ("GET", "/v1/models/" + "x" * 5000, 404, "is not served"),
    ],
)
def test_wrong_paths_and_methods(client, method, path, status, reason) -> None:
    answer = client.request(method, path, content=b"{}" if method in ("POST", "PUT") else None)
    assert answer.status_code == status
    assert reason in answer.json()["error"]
    assert (status == 405) == ("allow" in answer.headers)


def test_a_compressed_body_is_refused_for_that(client) -> None:
    body = gzip.compress(json.dumps({"instances": ROWS}).encode())
    answer = client.post(V1, content=body, headers={"content-encoding": "gzip"})
    assert answer.status_code == 415
    assert "send it uncompressed" in answer.json()["error"]


def test_a_refusal_does_not_end_the_connection(client) -> None:
    for _ in range(3):
        assert client.post(V1, content=b"{").status_code == 400
        assert client.post(V1, json={"instances": ROWS}).status_code == 200


def test_head(client) -> None:
    answer = client.head("/v2/health/ready")
    assert (answer.status_code, answer.content) == (200, b"")


def test_an_error_in_the_middle_of_many_requests_is_only_theirs(server) -> None:
    good = json.dumps({"instances": ROWS}).encode()
    raw = b"".join(
        b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (V1.encode(), len(body), body)
        for body in (good, b"{", good)
    )
    url = httpx.URL(server.url)
    with socket.create_connection((url.host, url.port)) as connection:
        connection.sendall(raw)
        connection.settimeout(5)
        received = b""
        while received.count(b"HTTP/1.1 ") < 3 or not received.endswith(b"}"):
            received += connection.recv(65536)
    assert [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]] == [b"200", b"400", b"200"]
