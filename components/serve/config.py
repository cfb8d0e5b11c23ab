"""The section `serve` of model.yaml, and how the server reads it from what it serves."""

from pathlib import Path

import yaml
from pydantic import Field

from components import artifacts
from components.errors import UserError
from components.schema import Section, canonical_json, parse


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
        UserError: the file is damaged.
    """
    path = version / artifacts.MODEL_YAML
    if not path.is_file():
        return Serve()
    try:
        # libyaml's loader where it is built in: ten times as fast, and the server waits for it.
        loaded = yaml.load(path.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}
        section = loaded.get("serve") or {}
    except (yaml.YAMLError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is damaged ({' '.join(str(error).split())}); deploy another version") from None
    return parse(Serve, canonical_json(section))
