"""Custom resources against the definitions (CRDs) in a folder, strictly: an unknown field is an error.

The API server drops unknown fields in silence; a misspelt one would look applied and do nothing.
"""

import functools
from pathlib import Path
from typing import Any

import jsonschema
import yaml

Object = dict[str, Any]


@functools.cache
def schemas(folder: Path) -> dict[tuple[str, str], Object]:
    """The strict schemas of all definitions in a folder's YAML files, by apiVersion and kind; none without the folder.

    Rules in CEL (`x-kubernetes-validations`) and what admission webhooks check are left out.
    """
    found = {}
    for path in sorted(folder.glob("*.yaml")):
        # libyaml's loader where it is built in: KServe's definition has two million characters.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        for definition in yaml.load_all(path.read_bytes(), loader):
            spec = definition["spec"]
            for version in spec["versions"]:
                key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
                found[key] = _closed(version["schema"]["openAPIV3Schema"])
    return found


def problems(found: Object, schema: Object) -> list[str]:
    """What is wrong with an object, each with the place in it."""
    errors = jsonschema.Draft202012Validator(schema).iter_errors(found)
    return [f"{'.'.join(map(str, error.absolute_path)) or 'the object'}: {error.message}" for error in errors]


def _closed(node: Any) -> Any:
    """The schema without room for fields that it does not name."""
    if isinstance(node, list):
        return [_closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    closed = {key: _closed(value) for key, value in node.items()}
    is_object = isinstance(node.get("properties"), dict) and node.get("type") == "object"
    if is_object and not node.get("x-kubernetes-preserve-unknown-fields"):
        closed.setdefault("additionalProperties", False)
    return closed
