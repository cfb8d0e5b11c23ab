"""The base of every section of `model.yaml`, and the sentences in which a wrong one is refused.

A section is a frozen, strict pydantic model that lives with its owner (`components/<step>/config.py`,
`components/features/`, …); `components/config.py` puts them together.
"""

import difflib
import json
import re
from collections.abc import Sequence
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from components.errors import UserError


class Section(BaseModel):
    """A frozen part of a configuration: unknown keys and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def to_json(self) -> str:
        """The section as one line of JSON with sorted keys, the form in which it travels to a task."""
        return canonical_json(self.model_dump(mode="json"))


SectionType = TypeVar("SectionType", bound=Section)
_YAML_TYPES = {"tuple_type": "a list", "list_type": "a list", "dict_type": "a mapping", "model_type": "a mapping"}
"""pydantic's type of mistake → the type that it wants, as a writer of YAML calls it."""


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no optional white space: equal values give equal text.

    KFP's local runner replaces the text python3 in whatever it hands to a task, so that text is written in another way.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.replace("python3", "\\u0070ython3")


def parse(section: type[SectionType], text: str) -> SectionType:
    """Reads a section from JSON.

    Args:
        section: the class to read.
        text: JSON text, as `Section.to_json` writes it.

    Raises:
        UserError: the text is not JSON, or names every wrong key with the value received, the values allowed and the
            remedy.
    """
    try:
        received = json.loads(text)
        return section.model_validate_json(text)
    except json.JSONDecodeError as error:
        raise UserError(f"a description of {section.__name__} is damaged ({error}); write it again") from None
    except ValidationError as error:
        raise UserError("; ".join(sentences(error, section, received))) from None


def sentences(error: ValidationError, section: type[Section], received: Any) -> list[str]:
    """One sentence for each key that pydantic found wrong in `received`."""
    mistakes = error.errors(include_url=False)
    by_key: dict[str, list[ErrorDetails]] = {}
    for mistake in mistakes:
        if not _follows_from_another(mistake, mistakes):
            by_key.setdefault(_key(mistake, received), []).append(mistake)
    return [_sentence(key, found, section) for key, found in by_key.items()]


def _follows_from_another(mistake: ErrorDetails, mistakes: Sequence[ErrorDetails]) -> bool:
    """Whether a list is called too short only because an item of it is wrong."""
    location = mistake["loc"]
    items = [other for other in mistakes if other["loc"][: len(location)] == location and other is not mistake]
    return mistake["type"] == "too_short" and bool(items)


def _key(mistake: ErrorDetails, received: Any) -> str:
    """The key as the user wrote it: pydantic's location also names the members of unions."""
    value = received
    keys: list[int | str] = []
    for step in mistake["loc"]:
        known = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        if step in known:
            value = value[step]
            keys.append(step)
    if mistake["type"] == "missing":
        keys.append(mistake["loc"][-1])
    return ".".join(str(key) for key in keys)


def _sentence(key: str, mistakes: Sequence[ErrorDetails], section: type[Section]) -> str:
    """What is wrong with one key; several mistakes mean that no member of a union takes the value."""
    mistake = mistakes[0]
    kind, location = mistake["type"], mistake["loc"]
    if kind == "extra_forbidden":
        return f"{key} is not a known key; {_remedy(str(location[-1]), known_keys(section, location[:-1]))}"
    if kind == "missing":
        return f"{key} is missing; add it"
    if kind == "value_error":
        return ": ".join(part for part in (key, mistake["msg"].removeprefix("Value error, ")) if part)
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _wrong_tag(key, mistake, section)
    demands = " or ".join(_demand(one) for one in mistakes).replace(" or be ", " or ")
    return f"{key or 'the configuration'} is {_shown(mistake['input'])}; it must {demands}"


def _wrong_tag(key: str, mistake: ErrorDetails, section: type[Section]) -> str:
    discriminator = mistake["ctx"]["discriminator"].strip("'")
    tags = [tag for model in _models(_annotation(section, mistake["loc"])) for tag in _tags(model, discriminator)]
    expected = f"it must be one of {', '.join(tags)}"
    if mistake["type"] == "union_tag_not_found":
        return f"{key}.{discriminator} is missing; {expected}"
    return f"{key}.{discriminator} is {_shown(mistake['input'][discriminator])}; {expected}"


def _demand(mistake: ErrorDetails) -> str:
    """What pydantic wants, from its message `<Something> should <demand>`, in the words of YAML."""
    if mistake["type"] in _YAML_TYPES:
        return f"be {_YAML_TYPES[mistake['type']]}"
    _, _, demand = mistake["msg"].partition(" should ")
    demand = re.sub(r" after validation, not \d+$", "", demand)
    return re.sub(r"\ba valid (?=[aeiou])", "an ", demand).replace("a valid ", "a ") or mistake["msg"]


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "..."


def _remedy(unknown: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(unknown, known, n=1)
    return f"did you mean {close[0]}?" if close else f"the keys allowed here are {', '.join(known)}"


def known_keys(section: type[Section], location: Sequence[int | str]) -> list[str]:
    """The keys allowed at a location below a section, as pydantic gives it: list indices and union tags included."""
    models = _models(_annotation(section, location))
    return sorted({field.alias or name for model in models for name, field in model.model_fields.items()})


def _annotation(section: type[Section], location: Sequence[int | str]) -> Any:
    """The type declared at a location."""
    current: Any = section
    for step in location:
        current = _below(current, step)
    return current


def _below(annotation: Any, step: int | str) -> Any:
    models = _models(annotation)
    if len(models) > 1:
        return next((model for model in models if _is_tag_of(step, model)), None)
    if models:
        fields = {field.alias or name: field.annotation for name, field in models[0].model_fields.items()}
        return fields.get(str(step))
    for member in _members(annotation):
        if get_origin(member) in (tuple, list, dict):
            return get_args(member)[-1 if get_origin(member) is dict else 0]
    return None


def _members(annotation: Any) -> list[Any]:
    """The members of a union, looking through Annotated; otherwise the annotation alone."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [member for argument in get_args(annotation) for member in _members(argument)]
    return [annotation]


def _models(annotation: Any) -> list[type[BaseModel]]:
    return [member for member in _members(annotation) if isinstance(member, type) and issubclass(member, BaseModel)]


def _is_tag_of(step: int | str, model: type[BaseModel]) -> bool:
    return any(step in _tags(model, name) for name in model.model_fields)


def _tags(model: type[BaseModel], discriminator: str) -> tuple[Any, ...]:
    """The values of a field that is a Literal."""
    annotation = model.model_fields[discriminator].annotation
    return get_args(annotation) if get_origin(annotation) is Literal else ()
