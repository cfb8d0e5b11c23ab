"""The pieces that charts are drawn from."""

from components.report.markup import Html, element

LETTER = 7.2
"""About how wide a letter is."""


def drawing(title: str, width: float, height: float, *children: str) -> Html:
    """An SVG image with a title, as wide as its place allows."""
    return element(
        "svg",
        element("title", title),
        *children,
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_label=title,
        style=f"max-width:{width * 1.25:g}px",
    )


def text(x: float, y: float, words: str, anchor: str = "start", class_: str | None = None) -> Html:
    """Words at a place; `anchor` is start, middle or end."""
    return element("text", words, x=float(x), y=float(y), text_anchor=anchor, class_=class_)


def line(x1: float, y1: float, x2: float, y2: float, class_: str, tip: str | None = None) -> Html:
    """A straight line."""
    title = [element("title", tip)] if tip else []
    return element("line", *title, x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), class_=class_)


def box(x: float, y: float, width: float, height: float, class_: str, tip: str | None = None) -> Html:
    """A filled rectangle."""
    title = [element("title", tip)] if tip else []
    return element(
        "rect", *title, x=float(x), y=float(y), width=float(max(width, 0)), height=float(max(height, 0)), class_=class_
    )
