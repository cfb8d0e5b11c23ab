"""The table of the variants: everything that was measured of each, its verdict, and why it was refused."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from components.report import format as fmt
from components.report.blocks import EMPTY, badge
from components.report.limits import broken
from components.report.markup import Html, element, join
from components.report.quality import Loss, Quality, Variant

MOST_VARIANTS = 40
MOST_REASONS = 10
_BREAK = Html("<wbr>")


@dataclass(frozen=True)
class _Column:
    """A column: what stands above, what below in small print, and its limit."""

    title: str
    above: Callable[[Variant], str]
    below_title: str = ""
    below: Callable[[Variant], str] | None = None
    """None where only the title has something below."""
    limit: str = ""
    """The key of the limit on it."""
    limit_below: bool = False
    """Whether the limit is on what stands below."""


def variants_table(found: Quality) -> Html:
    """A row for each variant; columns of which nothing was measured are left out."""
    shown = found.variants[:MOST_VARIANTS]
    columns = [one for one in _columns(found) if _told(one.above, shown)]
    titles = [_title(one, shown) for one in columns]
    head = [element("th", "Variant", scope="col"), *(element("th", title, class_="n", scope="col") for title in titles)]
    rows = [row for variant in shown for row in _rows(variant, columns, found)]
    whole = element("table", element("thead", element("tr", *head)), element("tbody", *rows), class_="variants")
    return element("div", whole, class_="scroll", tabindex=0)


def named(variant: Variant, found: Quality) -> Html:
    """A variant's name, which may break after each recipe, with its verdict where it is chosen or refused."""
    name = join([piece for part in _parts(variant.recipe) for piece in (part, _BREAK)][:-1])
    if variant is found.chosen:
        return join([element("b", name), " ", badge("chosen", "good")])
    return join([name, *([] if variant.passed else [" ", badge("refused", "bad")])])


def _parts(recipe: str) -> list[str]:
    first, *others = recipe.split("+")
    return [first, *(f"+{part}" for part in others)]


def _columns(found: Quality) -> list[_Column]:
    def lost(variant: Variant) -> str:
        return fmt.lost(variant.loss.value, found.higher_is_better) if variant.loss else fmt.NONE

    def interval(variant: Variant) -> str:
        return _interval(variant.loss, found.higher_is_better)

    def worst(variant: Variant) -> str:
        return _up_to(variant.worst.loss, found.higher_is_better) if variant.worst else fmt.NONE

    quality = fmt.metric(found.metric) or "Quality"
    return [
        _Column(quality, lambda one: fmt.quality(one.quality)),
        _Column("Lost to float32", lost, "95 % interval", interval, "loss", limit_below=True),
        _Column("Worst slice", _where, "loss", worst, "slice_loss", limit_below=True),
        _Column("Size", lambda one: fmt.size(one.size), "gzip", lambda one: fmt.size(one.compressed), "size_bytes"),
        _Column(
            "p50",
            lambda one: fmt.latency(one.p50_us),
            "p99",
            lambda one: fmt.latency(one.p99_us),
            "latency_p99_ms",
            limit_below=True,
        ),
        _Column("Rows/s", lambda one: fmt.count(one.rows_per_s), "of 256", limit="rows_per_s"),
        _Column("Memory", lambda one: fmt.size(one.memory), limit="memory_bytes"),
        _Column("Cost", lambda one: fmt.price(one.cost), "a million", limit="cost_per_million"),
        _Column("Zeros", lambda one: fmt.share(one.sparsity), "weights", lambda one: fmt.count(one.parameters)),
        _Column("Made in", _made_in, "examples · price", _made_of),
    ]


def _title(column: _Column, variants: Sequence[Variant]) -> Html:
    below = column.below is None or _told(column.below, variants)
    return _two(column.title, column.below_title if below else "")


def _told(figure: Callable[[Variant], str], variants: Sequence[Variant]) -> bool:
    return any(_known(figure(variant)) for variant in variants)


def _known(words: str) -> bool:
    return words not in ("", fmt.NONE)


def _rows(variant: Variant, columns: list[_Column], found: Quality) -> list[Html]:
    """The row of a variant; one more with the reasons where it was refused, and one with what there is to note."""
    over = set() if variant.passed else broken(variant, found)
    cells = [_cell(one, variant, one.limit in over) for one in columns]
    verdict = badge("passes", "quiet") if variant.passed and variant is not found.chosen else EMPTY
    name = element("td", named(variant, found), " ", verdict)
    below = [_sentence(note, "note", len(columns)) for note in variant.notes[:MOST_REASONS]]
    if not variant.passed:
        reasons = "; ".join(variant.failures[:MOST_REASONS]) or "no reason recorded"
        below.insert(0, _sentence(reasons, "why", len(columns)))
    kinds = [*(["chosen"] if variant is found.chosen else []), *(["told"] if below else [])]
    return [element("tr", name, *cells, class_=" ".join(kinds) or None), *below]


def _sentence(words: str, kind: str, columns: int) -> Html:
    """A row of its own below a variant's."""
    return element("tr", element("td", element("p", words), colspan=columns + 1), class_=kind)


def _two(above: str, below: str, over: bool = False) -> Html:
    small = element("small", below, class_="over" if over else None)
    return join([above, small if _known(below) else EMPTY])


def _cell(column: _Column, variant: Variant, over: bool) -> Html:
    below = column.below(variant) if column.below else ""
    words = _two(column.above(variant), below, over and column.limit_below)
    return element("td", words, class_="n over" if over and not column.limit_below else "n")


def _interval(loss: Loss | None, absolute: bool) -> str:
    if loss is None or loss.low is None or loss.high is None:
        return ""
    return f"{fmt.lost(loss.low, absolute)} to {fmt.lost(loss.high, absolute)}"


def _up_to(loss: Loss, absolute: bool) -> str:
    end = f", up to {fmt.lost(loss.high, absolute)}" if loss.high is not None else ""
    return fmt.lost(loss.value, absolute) + end


def _where(variant: Variant) -> str:
    if variant.worst is None:
        return fmt.NONE
    return fmt.clipped(f"{variant.worst.column} = {variant.worst.value or '(empty)'}", 24)


def _made_in(variant: Variant) -> str:
    return fmt.duration(variant.made.seconds) if variant.made else fmt.NONE


def _made_of(variant: Variant) -> str:
    if variant.made is None or not variant.made.examples:
        return ""
    price = f" · {fmt.price(variant.made.cost)}" if variant.made.cost is not None else ""
    return fmt.short_count(variant.made.examples) + price
