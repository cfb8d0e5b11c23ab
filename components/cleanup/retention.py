"""Where the retention of a model is written."""

from pathlib import Path
from typing import Any

from components.artifacts import MODEL_YAML
from components.cleanup.config import Retention
from components.cleanup.survey import versions_of
from components.errors import UserError
from components.model_yaml import parse_yaml, read_yaml
from components.schema import canonical_json, parse
from components.storage.open import open_storage
from components.store import ModelStore


def of_file(path: Path) -> Retention:
    """The retention of a model.yaml, or of the one in a folder.

    Raises:
        UserError: it cannot be read, or its section `retention` is wrong.
    """
    file = path / MODEL_YAML if path.is_dir() else path
    return _retention(read_yaml(file), str(file))


def of_version(work: Path | str, model: str) -> Retention:
    """The retention that the version in service was made with; the default where there is none.

    Args:
        work: the work directory, a folder or `s3://…`.
        model: the model's name.

    Raises:
        UserError: the pointer or the version's model.yaml is damaged.
    """
    version = ModelStore(work, model).pointed("serving")
    if version is None:
        return Retention()
    storage = open_storage(work)
    key = f"{versions_of(model)}/{version.number}/{MODEL_YAML}"
    try:
        raw = parse_yaml(storage.read(key).decode())
    except FileNotFoundError:
        return Retention()
    except (UserError, UnicodeDecodeError) as error:
        raise UserError(f"{storage.address(key)} is damaged ({error}); give --config with a model.yaml") from None
    return _retention(raw if isinstance(raw, dict) else {}, storage.address(key))


def _retention(raw: dict[str, Any], where: str) -> Retention:
    try:
        return parse(Retention, canonical_json(raw.get("retention") or {}))
    except UserError as error:
        raise UserError(f"{where}: retention: {error}") from None
