"""The OpenAPI document: what the server takes and gives, for each of its models."""

from collections.abc import Sequence
from typing import Any

from components.features.columns import ColumnType
from components.serve.served_model import ServedModel
from components.serve.tensors import LEGAL

Json = dict[str, Any]
_DATE = r"((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
TIMESTAMP = rf"^(19|20)[0-9]{{2}}-{_DATE}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$"
"""Local times in the common form; the 29th of February and other forms of ISO 8601 are taken too."""
VALUES: dict[ColumnType, Json] = {
    "string": {"type": ["string", "null"]},
    "integer": {"type": ["integer", "null"], "minimum": 1 - 2**63, "maximum": 2**63 - 1},
    "float": {"type": ["number", "null"]},
    "boolean": {"type": ["boolean", "null"]},
    "timestamp": {"type": ["string", "null"], "pattern": TIMESTAMP},
    "image": {"type": ["string", "null"], "contentEncoding": "base64", "contentMediaType": "image/png"},
}
ERRORS = {
    "400": "the request is wrong; `error` names the field and the reason",
    "404": "there is no such model, version or path",
    "405": "the method is not for this path",
    "408": "the request did not come in time",
    "413": "the body is too large, or its images are",
    "415": "the body is compressed",
    "431": "the headers are too large",
    "500": "the server failed",
    "503": "the server has no room for the request now; try again later",
    "504": "there was no prediction in time",
}


def document(models: Sequence[ServedModel]) -> Json:
    """Describes a server.

    Args:
        models: that it serves.
    """
    paths: Json = {
        "/": _get("whether the server is alive", _object(status=_text())),
        "/healthz": _get("whether the server is alive", _object(status=_text())),
        "/metrics": _get("metrics for Prometheus", None),
        "/v1/models": _get("the models", _object(models=_list(_text()))),
        "/v2": _get("the server", _object(name=_text(), version=_text(), extensions=_list(_text()))),
        "/v2/models": _get("the models", _object(models=_list(_text()))),
        "/v2/health/live": _get("whether the server is alive", _object(live=_flag())),
        "/v2/health/ready": _get("whether to send requests to this server", _object(ready=_flag())),
    }
    for model in models:
        paths |= _paths(model)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Evergreen predictions", "version": "1"},
        "paths": paths,
        "components": {"schemas": {"Error": _object(error=_text())}},
    }


def _paths(model: ServedModel) -> Json:
    ready = _get("whether the model answers", _object(name=_text(), ready=_flag()))
    tensor = _object(name=_text(), datatype=_text(), shape=_list({"type": "integer"}))
    described = _object(
        name=_text(), versions=_list(_text()), platform=_text(), inputs=_list(tensor), outputs=_list(tensor)
    )
    v1, v2 = f"/v1/models/{model.name}", f"/v2/models/{model.name}"
    return {
        v1: ready,
        f"{v1}:predict": _post("predictions by the V1 protocol", _v1_request(model), _v1_response(model)),
        v2: _get("the declared inputs and the output", described),
        f"{v2}/ready": ready,
        f"{v2}/infer": _post("predictions by the V2 protocol", _v2_request(model), _v2_response(), binary=True),
    }


def _v1_request(model: ServedModel) -> Json:
    values = {name: _value(model, name) for name in model.data.columns}
    most = model.settings.max_instances
    instance = _object(**values) | {"required": []}
    rows = _object(instances={"type": "array", "items": instance, "minItems": 1, "maxItems": most})
    lists = {name: _some(value) | {"type": ["array", "null"], "maxItems": most} for name, value in values.items()}
    inputs = _object(inputs=_object(**lists) | {"required": [], "description": "lists of one length"})
    return {"oneOf": [rows, inputs], "examples": [{"instances": [model.example]}]}


def _v1_response(model: ServedModel) -> Json:
    number = {"type": ["number", "null"]}
    one = _list(number) if model.classes else number
    return _object(predictions=_list(one))


def _v2_request(model: ServedModel) -> Json:
    tensors = {"anyOf": [_tensor(model, name) for name in model.data.columns]}
    output = _object(name={"const": "output"}, parameters=_flags("binary_data")) | {"required": ["name"]}
    text = {"type": ["string", "null"]}
    request = _object(
        inputs=_some(tensors),
        id=text,
        model_name=text,
        model_version={"enum": [None, "" if model.version is None else str(model.version)]},
        parameters=_flags("binary_data_output"),
        outputs={"type": ["array", "null"], "items": output},
    )
    description = "tensors of one length; with the binary tensor extension, without data and as octet-stream"
    return request | {"required": ["inputs"], "description": description}


def _flags(name: str) -> Json:
    """Parameters, of which one matters."""
    return {"type": ["object", "null"], "properties": {name: _flag()}}


def _tensor(model: ServedModel, name: str) -> Json:
    datatype = {"enum": sorted(LEGAL[model.data.columns[name].type])}
    rows = {"type": "integer", "minimum": 1, "maximum": model.settings.max_instances}
    shape = {"type": "array", "prefixItems": [rows, {"const": 1}], "items": False, "minItems": 1, "maxItems": 2}
    return _object(name={"const": name}, shape=shape, datatype=datatype, data=_some(_value(model, name)))


def _v2_response() -> Json:
    output = _object(name=_text(), datatype=_text(), shape=_list({"type": "integer"}), data=_list({}))
    response = _object(id=_text(), model_name=_text(), model_version=_text(), outputs=_list(output))
    return response | {"required": ["id", "model_name", "outputs"]}


def _value(model: ServedModel, name: str) -> Json:
    """A value of a column; of one that no feature reads, any."""
    column = model.data.columns[name]
    value = dict(VALUES[column.type]) if name in model.names else {}
    return value | {"description": column.description} if column.description else value


def _some(items: Json) -> Json:
    return _list(items) | {"minItems": 1}


def _get(summary: str, schema: Json | None) -> Json:
    text: Json = {"text/plain": {"schema": _text()}}
    content = text if schema is None else {"application/json": {"schema": schema}}
    return {"get": {"summary": summary, "responses": _responses(content)}}


def _post(summary: str, request: Json, response: Json, binary: bool = False) -> Json:
    body = {"required": True, "content": {"application/json": {"schema": request}}}
    content: Json = {"application/json": {"schema": response}}
    if binary:
        content["application/octet-stream"] = {"schema": {}}
    return {"post": {"summary": summary, "requestBody": body, "responses": _responses(content)}}


def _responses(content: Json) -> Json:
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    refusals = {status: {"description": reason, "content": error} for status, reason in ERRORS.items()}
    return {"200": {"description": "the answer", "content": content}, **refusals}


def _object(**properties: Json) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _text() -> Json:
    return {"type": "string"}


def _flag() -> Json:
    return {"type": "boolean"}
