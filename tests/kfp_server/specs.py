"""What the API server checks of a pipeline's specification and of the parameters that a run is given."""

import json
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from tests.kfp_server.answers import Object, RefusedError

MOST_PARAMETER_BYTES = 10_000
TYPES: dict[str, tuple[type, ...]] = {
    "STRING": (str,),
    "BOOLEAN": (bool,),
    "NUMBER_DOUBLE": (int, float),
    "NUMBER_INTEGER": (int, float),
    "LIST": (list,),
    "STRUCT": (dict,),
}


def parse(text: str) -> Object:
    """The specification as the server stores it: with settings for Kubernetes, both wrapped once more."""
    try:
        documents = [one for one in yaml.safe_load_all(text) if one]
    except yaml.YAMLError as error:
        raise RefusedError(400, f"Failed to create a pipeline version: {error}") from None
    if not documents or not all(isinstance(one, dict) for one in documents):
        raise RefusedError(400, "unknown template format: pipeline spec is invalid")
    spec, platform = documents[0], documents[1] if len(documents) > 1 else None
    whole = spec if platform is None else {"pipeline_spec": spec, "platform_spec": platform}
    check(whole)
    return whole


def check(whole: Object) -> None:
    """Refuses what is no specification."""
    try:
        json_format.ParseDict(inner(whole), pipeline_spec_pb2.PipelineSpec())
        json_format.ParseDict(whole.get("platform_spec") or {}, pipeline_spec_pb2.PlatformSpec())
    except json_format.ParseError as error:
        raise RefusedError(400, f"unknown template format: pipeline spec is invalid: {error}") from None
    if not name(whole):
        raise RefusedError(400, "pipeline's name cannot be empty")


def inner(whole: Object) -> Object:
    found: Object = whole.get("pipeline_spec", whole)
    return found


def name(whole: Object) -> str:
    found: str = (inner(whole).get("pipelineInfo") or {}).get("name", "")
    return found


def check_parameters(whole: Object, given: dict[str, Any]) -> None:
    """As `validatePipelineJobInputs` of the backend does."""
    if len(json.dumps(given)) > MOST_PARAMETER_BYTES:
        raise RefusedError(400, f"The input parameter length exceed maximum size of {MOST_PARAMETER_BYTES}")
    wanted = (inner(whole)["root"].get("inputDefinitions") or {}).get("parameters") or {}
    for key, parameter in wanted.items():
        if key not in given:
            if not parameter.get("isOptional") and "defaultValue" not in parameter:
                raise RefusedError(400, f"parameter {key} is not optional, yet has no value")
            continue
        kind = parameter["parameterType"]
        if not isinstance(given[key], TYPES[kind]) or (isinstance(given[key], bool) and kind != "BOOLEAN"):
            raise RefusedError(400, f"input parameter {key} requires type {kind.lower()}")
    extra = set(given) - set(wanted)
    if extra:
        raise RefusedError(400, f"parameter(s) provided are not required by pipeline: {', '.join(sorted(extra))}")
