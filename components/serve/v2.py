"""The Open Inference (V2) protocol: one tensor for each column, as KServe's and Triton's clients send them.

Tensors come as JSON or, with the binary tensor extension, as bytes behind the JSON, whose length the header
`Inference-Header-Content-Length` tells. A column that is left out is missing in all rows; null in JSON, NaN, the
smallest INT64 and empty BYTES are missing values. Images are BYTES: base64 in JSON, the file itself in binary.
"""

import difflib
import uuid
from itertools import chain
from typing import Any

import msgspec
import numpy as np

from components.serve import requests
from components.serve.answers import JSON, Answer, Headers, RefusalError, bad_request, encode
from components.serve.request_log import RequestLog
from components.serve.served_model import ServedModel
from components.serve.tensors import LEGAL, METADATA, Tensor, values
from components.serve.v1 import version_header

JSON_BYTES = b"inference-header-content-length"
OUTPUT = "output"
"""The name of the output, as in the SavedModel's signatures."""


class Output(msgspec.Struct, forbid_unknown_fields=True):
    """An output that a request asks for."""

    name: str
    parameters: dict[str, Any] | None = None


class InferRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON part of a request."""

    inputs: list[Tensor]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[Output] | None = None
    model_name: str | None = None
    """KServe's client sends it; the path decides."""
    model_version: str | None = None
    """Where it is given, the one that must be in service."""


class InferV2:
    """Answers `POST /v2/models/<name>/infer` with one version."""

    def __init__(self, model: ServedModel, log: RequestLog) -> None:
        """Prepares what is the same for all requests.

        Args:
            model: the version.
            log: of the model.
        """
        self.model, self._log = model, log
        self._decode = msgspec.json.Decoder(InferRequest).decode
        self._version = {} if model.version is None else {"model_version": str(model.version)}
        self._headers = version_header(model)

    async def __call__(self, body: bytes, headers: Headers) -> Answer:
        """Answers one request.

        Raises:
            RefusalError: it is wrong, or there is no room for it.
        """
        json_bytes = _json_bytes(body, headers)
        request = self._request(body[:json_bytes])
        binary = _binary_output(request)
        columns = self._columns(request.inputs, memoryview(body)[json_bytes:])
        rows = requests.rows_of_columns(self.model, columns)
        predictions = await self.model.predict(rows)
        self.model.counters.instances += len(rows)
        self._log.sample(self.model.version, predictions, lambda row: {name: columns[name][row] for name in columns})
        return self._answer(request, predictions, binary)

    def _request(self, text: bytes) -> InferRequest:
        requests.refuse_bombs(text, self.model.settings.max_instances)
        try:
            request = self._decode(text)
        except msgspec.ValidationError as error:
            raise _no_request(error) from None
        except requests.NOT_JSON as error:
            raise requests.not_json(error) from None
        if request.model_version and request.model_version != str(self.model.version):
            raise not_in_service(self.model, request.model_version)
        return request

    def _columns(self, inputs: list[Tensor], binary: memoryview) -> dict[str, Any]:
        columns: dict[str, Any] = {}
        for tensor in inputs:
            column = self.model.data.columns.get(tensor.name)
            if column is None:
                raise _unknown(tensor.name, self.model)
            if tensor.name in columns:
                raise bad_request(f"the input {tensor.name} stands twice; send each once")
            legal = LEGAL[column.type]
            if tensor.datatype not in legal:
                raise bad_request(
                    f"the datatype of {tensor.name} is {tensor.datatype[:80]}; it must be {' or '.join(sorted(legal))}"
                )
            columns[tensor.name], binary = values(tensor, binary, self.model.settings.max_instances, column.type)
        if binary:
            raise bad_request(f"{len(binary)} bytes are left behind the tensors; binary_data_size must add up")
        return columns

    def _answer(self, request: InferRequest, predictions: list[Any], binary: bool) -> Answer:
        classes = self.model.classes
        shape = [len(predictions), len(classes)] if classes else [len(predictions)]
        output: dict[str, Any] = {"name": OUTPUT, "datatype": "FP32", "shape": shape}
        raw = np.asarray(predictions, "<f4").tobytes() if binary else b""
        if binary:
            output["parameters"] = {"binary_data_size": len(raw)}
        else:
            output["data"] = list(chain.from_iterable(predictions)) if classes else predictions
        name = {"id": request.id or str(uuid.uuid4()), "model_name": self.model.name}
        text = encode({**name, **self._version, "outputs": [output]})
        if not binary:
            return Answer(200, [JSON, *self._headers], text)
        headers = [(b"content-type", b"application/octet-stream"), (JSON_BYTES, str(len(text)).encode())]
        return Answer(200, [*headers, *self._headers], text + raw)


def metadata(model: ServedModel) -> dict[str, Any]:
    """What `GET /v2/models/<name>` tells: the declared raw inputs and the output."""
    columns = {name: model.data.columns[name] for name in model.names}
    return {
        "name": model.name,
        "versions": [] if model.version is None else [str(model.version)],
        "platform": "evergreen_litert",
        "inputs": [
            {"name": name, "datatype": METADATA[column.type], "shape": [-1]} for name, column in columns.items()
        ],
        "outputs": [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, len(model.classes)] if model.classes else [-1]}],
    }


def not_in_service(model: ServedModel, asked: str) -> RefusalError:
    """The refusal of a request for another version than the one that answers."""
    served = "what is served has no number" if model.version is None else f"{model.version} is"
    message = f"version {asked[:80]!a} of {model.name} is not in service; {served}; ask without a version"
    return RefusalError(404, "not_found", message)


def _no_request(error: msgspec.ValidationError) -> RefusalError:
    """The refusal of JSON of another form."""
    # msgspec's words, "Expected `str`, got `int` - at `$.inputs[...].name`"; an unknown key may be of any length.
    reason, _, path = str(error)[:200].partition(" - at `$")
    where = f" in {path.strip('.`')}" if path else ""
    message = f"the body is no inference request of the V2 protocol: {reason[:120]}{where}; /openapi.json describes it"
    return bad_request(message)


def _unknown(name: str, model: ServedModel) -> RefusalError:
    close = difflib.get_close_matches(name[:80], model.data.columns, n=1)
    remedy = f"did you mean {close[0]}?" if close else f"GET /v2/models/{model.name} tells the inputs"
    return bad_request(f"{name[:80]} is not an input; {remedy}")


def _json_bytes(body: bytes, headers: Headers) -> int:
    for name, value in headers:
        if name == JSON_BYTES:
            if value.isdigit() and len(value) < 19 and int(value) <= len(body):
                return int(value)
            raise bad_request(
                f"Inference-Header-Content-Length is {ascii(value.decode('latin-1'))[:40]}; it must be the length of "
                f"the body's JSON, at most {len(body)}"
            )
    return len(body)


def _binary_output(request: InferRequest) -> bool:
    """Whether the output is wanted as bytes: asked for with the output, or for all outputs."""
    wanted = _flag(request.parameters, "binary_data_output", False)
    for output in request.outputs or ():
        if output.name != OUTPUT:
            raise bad_request(f"there is no output {output.name[:80]}; the only one is {OUTPUT}")
        wanted = _flag(output.parameters, "binary_data", wanted)
    return wanted


def _flag(parameters: dict[str, Any] | None, name: str, otherwise: bool) -> bool:
    value = (parameters or {}).get(name, otherwise)
    if not isinstance(value, bool):
        raise bad_request(f"the parameter {name} is {requests.kind(value)}; it must be true or false")
    return value
