"""The section `serve` of model.yaml, and how the server reads it and the lineage from what it serves."""

import json
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from components import artifacts
from components.errors import UserError
from components.schema import Section, parse

FIRST_S, LAST_S = -62_135_596_800, 253_402_300_799
"""The years 1 to 9999, which can be written as dates."""


class Serve(Section):
    """How the prediction server treats a model."""

    cache_entries: int = Field(
        10_000, ge=0, le=10_000_000, description="rows whose prediction the server remembers; 0: none"
    )
    max_instances: int = Field(4096, ge=1, le=1_000_000, description="largest number of instances in one request")
    log_share: float = Field(
        0.01, ge=0, le=1, description="share of the instances that the server logs, for drift and for rehearsals"
    )
    log_bytes: int = Field(
        67_108_864, ge=65_536, description="size of a model's request log, above which the oldest lines go"
    )


def read_serve(version: Path) -> Serve:
    """Reads the section of the `model.yaml` in a version's folder; the defaults where there is none.

    Args:
        version: the folder of a version; a serving artifact alone has no model.yaml.

    Raises:
        UserError: the file is damaged, or the section is wrong.
    """
    path = version / artifacts.MODEL_YAML
    if not path.is_file():
        return Serve()
    try:
        # libyaml's loader where it is built in: ten times as fast, and the server waits for it.
        loaded = yaml.load(path.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        section = None if loaded is None else loaded.get("serve")
        text = json.dumps({} if section is None else section, default=str)
    except (yaml.YAMLError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({' '.join(str(error).split())}); deploy another version") from None
    try:
        return parse(Serve, text)
    except UserError as error:
        raise UserError(f"{path}, section serve: {error}") from None


def read_lineage(version: Path) -> dict[str, Any]:
    """Reads the `lineage.json` in a version's folder; nothing where there is none.

    Args:
        version: the folder of a version; a serving artifact alone has no lineage.

    Raises:
        UserError: the file is damaged, or `version` or `trained_until` is neither a whole number nor missing.
    """
    path = version / artifacts.LINEAGE
    if not path.is_file():
        return {}
    try:
        lineage: dict[str, Any] = dict(artifacts.read_json(path))
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged ({' '.join(str(error).split())}); deploy another version") from None
    for key in ("version", "trained_until"):
        if lineage.get(key) is not None and type(lineage[key]) is not int:
            raise UserError(f"{path}: {key} is {lineage[key]!r}; it must be a whole number; deploy another version")
    if not FIRST_S <= (lineage.get("trained_until") or 0) <= LAST_S:
        raise UserError(
            f"{path}: trained_until is {lineage['trained_until']}, which is no date; deploy another version"
        )
    return lineage
