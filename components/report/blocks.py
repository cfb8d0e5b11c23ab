"""The blocks that the report's sections are built from."""

from collections.abc import Iterable, Sequence

from components.report import format as fmt
from components.report.markup import Html, element, join

EMPTY = Html("")


def section(identity: str, title: str, *children: str) -> Html:
    """A titled section; nothing at all when it has no content."""
    content = [child for child in children if child]
    return element("section", element("h2", title), *content, id=identity) if content else EMPTY


def grid(*children: str, kind: str = "charts") -> Html:
    """Blocks side by side where there is room; `kind` is charts or plots (small ones)."""
    content = [child for child in children if child]
    return element("div", *content, class_=f"grid {kind}") if content else EMPTY


def figure(title: str, chart: str, *notes: str) -> Html:
    """A chart with its title above and notes between."""
    return element("figure", element("figcaption", element("h3", title), *notes), chart)


def note(*words: str) -> Html:
    """A quiet paragraph."""
    return element("p", *words, class_="note") if any(words) else EMPTY


def legend(*entries: tuple[str, str]) -> Html:
    """What the marks mean: (class of the swatch, words)."""
    keys = [element("span", element("i", class_=f"key {class_}"), words) for class_, words in entries]
    return element("p", *keys, class_="legend")


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], numeric: Iterable[str] = ()) -> Html:
    """A table; the columns named in `numeric` are aligned to the right."""
    if not rows:
        return EMPTY
    right = set(numeric)
    classes = ["n" if header in right else None for header in headers]
    head = element(
        "tr", *(element("th", header, class_=class_, scope="col") for header, class_ in zip(headers, classes))
    )
    body = [element("tr", *(element("td", cell, class_=class_) for cell, class_ in zip(row, classes))) for row in rows]
    whole = element("table", element("thead", head), element("tbody", *body))
    return element("div", whole, class_="scroll", tabindex=0)


def facts(pairs: Sequence[tuple[str, str]]) -> Html:
    """Names and values; those without a value are left out."""
    shown = [(name, value) for name, value in pairs if value and value != fmt.NONE]
    entries = [element("div", element("dt", name), element("dd", value)) for name, value in shown]
    return element("dl", *entries, class_="facts") if entries else EMPTY


def badge(words: str, kind: str) -> Html:
    """A short word with a colour; `kind` is good, bad, warn or quiet."""
    return element("span", words, class_=f"badge {kind}")


def code(words: str) -> Html:
    """A digest or a path."""
    return element("code", words)


def chips(title: str, names: Sequence[str], most: int = 40) -> Html:
    """A list of names in one line, capped."""
    if not names:
        return EMPTY
    shown = [element("code", fmt.clipped(name, 60)) for name in names[:most]]
    rest = [f" and {fmt.count(len(names) - most)} more"] if len(names) > most else []
    return element("p", element("b", f"{title} "), join(_spaced(shown)), *rest, class_="chips")


def _spaced(parts: Sequence[Html]) -> list[str]:
    return [piece for part in parts for piece in (part, " ")]


def capped(total: int, most: int, noun: str, order: str) -> Html:
    """Says that a list was cut, which of it is shown, and how long it is."""
    return note(f"{fmt.count(most)} of {fmt.counted(total, noun)} shown: {order}.") if total > most else EMPTY
