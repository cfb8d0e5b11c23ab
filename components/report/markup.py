"""HTML and SVG elements. Text is escaped unless it is `Html` already, so nothing from the data can become markup."""

import html
from collections.abc import Iterable

from components.report import format as fmt


class Html(str):
    """Markup that is safe as it stands."""


def element(tag: str, *children: str, **attributes: object) -> Html:
    """One element.

    Args:
        tag: the element's name.
        children: `Html` goes in as it is, any other text escaped.
        attributes: `class_` gives `class`, `stroke_width` gives `stroke-width`; None leaves the attribute out.
    """
    written = "".join(
        f' {_attribute(name)}="{html.escape(_value(value))}"' for name, value in attributes.items() if value is not None
    )
    return Html(f"<{tag}{written}>{join(children)}</{tag}>")


def _attribute(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


def _value(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else fmt.plain(str(value))


def join(parts: Iterable[str]) -> Html:
    """Parts one after the other; those that are not `Html` are escaped."""
    return Html("".join(part if isinstance(part, Html) else html.escape(fmt.plain(part)) for part in parts))
