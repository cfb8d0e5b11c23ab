"""Reads `model.yaml` as plain data: the one dialect in which the pipeline and the command understand it."""

import re
from pathlib import Path
from typing import Any

import yaml

from components.errors import UserError


class _StrictLoader(yaml.SafeLoader):
    """YAML without its traps: no key twice (PyYAML keeps the last), and 1e-3 is a number (PyYAML reads a string)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None or key == "<<":
                raise yaml.constructor.ConstructorError(None, None, "a key must be a plain word", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key} stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def parse_yaml(text: str) -> Any:
    """Reads one value.

    Raises:
        UserError: the text is no YAML, in the parser's words.
    """
    try:
        return yaml.load(text, Loader=_StrictLoader)  # a SafeLoader
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise UserError(" ".join(str(error).split())) from None


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a model.yaml, whose sections are not checked yet.

    Raises:
        UserError: the file is missing, no UTF-8 text, no YAML, or holds no keys.
    """
    try:
        raw = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; give the folder of a model, with a {path.name} in it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}); it must be a UTF-8 text file") from None
    except UserError as error:
        raise UserError(f"{path} is not valid YAML: {error}; mend that line") from None
    if not isinstance(raw, dict):
        raise UserError(f"{path} holds no keys; see `python pipeline.py schema` for those it may have")
    return raw
