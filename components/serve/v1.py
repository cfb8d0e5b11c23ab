"""The V1 protocol: `{"instances": [{field: value}…]}` or `{"inputs": {field: [value…]}}` → `{"predictions": […]}`."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from components.serve import requests
from components.serve.answers import JSON, Answer, Headers, bad_request, encode
from components.serve.cache import Row
from components.serve.request_log import Instance, RequestLog
from components.serve.served_model import ServedModel


class PredictV1:
    """Answers `POST /v1/models/<name>:predict` with one version."""

    def __init__(self, model: ServedModel, log: RequestLog) -> None:
        """Prepares what is the same for all requests.

        Args:
            model: the version.
            log: of the model.
        """
        self.model, self._log = model, log
        self._decode = msgspec.json.Decoder(_request_type(model)).decode
        self._headers = [JSON, *version_header(model)]
        self._most = model.settings.max_instances

    async def __call__(self, body: bytes, headers: Headers) -> Answer:  # noqa: ARG002
        """Answers one request.

        Raises:
            RefusalError: it is wrong, or there is no room for it.
        """
        rows, instance = self._read(body)
        predictions = await self.model.predict(rows)
        self.model.counters.instances += len(rows)
        self._log.sample(self.model.version, predictions, instance)
        return Answer(200, self._headers, b'{"predictions":' + encode(predictions) + b"}")

    def _read(self, body: bytes) -> tuple[list[Row], Instance]:
        requests.refuse_bombs(body, self._most)
        try:
            request: Any = self._decode(body)
        except msgspec.ValidationError:
            return self._exactly(body)
        except requests.NOT_JSON as error:
            raise requests.not_json(error) from None
        reader = self.model.reader
        if (request.instances is UNSET) == (request.inputs is UNSET):
            return self._exactly(body)
        if request.inputs is UNSET:
            requests.check_count(len(request.instances), self._most)
            try:
                rows: list[Row] = reader.rows(request.instances)
            except ValueError:
                return self._exactly(body)
            return rows, lambda index: reader.instance(request.instances[index])
        requests.refuse_long_columns(msgspec.structs.astuple(request.inputs), self._most)
        try:
            rows = reader.rows_of_columns(request.inputs)
        except ValueError:
            return self._exactly(body)
        requests.check_count(len(rows), self._most)
        return rows, lambda index: reader.instance_of_columns(request.inputs, index)

    def _exactly(self, body: bytes) -> tuple[list[Row], Instance]:
        """By the definition of what is legal: slower, accepts rarer forms, and tells what is wrong."""
        request = requests.loads(body)
        if not isinstance(request, dict) or len(request) != 1 or not request.keys() <= {"instances", "inputs"}:
            raise bad_request('the body must be {"instances": [{field: value}…]} or {"inputs": {field: [value…]}}')
        if "instances" in request:
            return requests.rows_of(self.model, request["instances"]), request["instances"].__getitem__
        columns = request["inputs"]
        if not isinstance(columns, dict):
            raise bad_request(f"inputs is {requests.kind(columns)}; it must be an object of fields")
        rows = requests.rows_of_columns(self.model, columns)
        return rows, lambda index: {name: column[index] for name, column in columns.items() if column is not None}


def version_header(model: ServedModel) -> Headers:
    """The response header that tells which version predicted."""
    return [] if model.version is None else [(b"model-version", str(model.version).encode())]


def _request_type(model: ServedModel) -> Any:
    rows, columns = list[model.reader.row_type], model.reader.columns_type  # type: ignore[name-defined]
    fields = [("instances", rows | UnsetType, UNSET), ("inputs", columns | UnsetType, UNSET)]
    return msgspec.defstruct("Request", fields, forbid_unknown_fields=True)
