"""The report's section on the variants: the Pareto pictures, the limits, and the table."""

from components.report import format as fmt
from components.report.blocks import EMPTY, capped, figure, grid, legend, section, table
from components.report.limits import broken, limits
from components.report.markup import Html, element
from components.report.quality import Quality
from components.report.variants_plots import pictures
from components.report.variants_table import MOST_VARIANTS, variants_table


def variants_section(found: Quality) -> Html:
    """Every variant's quality against its size, latency and cost, the limits, and all that was measured."""
    if not found.variants:
        return EMPTY
    return section(
        "variants",
        "Variants",
        _picked(found),
        legend(*_keys(found)),
        grid(*pictures(found), _limits(found)),
        variants_table(found),
        capped(len(found.variants), MOST_VARIANTS, "variant", "the first ones"),
    )


def _picked(found: Quality) -> Html:
    if not found.objective or not found.chosen:
        return EMPTY
    return element("p", f"Chosen for the smallest {found.objective} among those that pass.")


def _keys(found: Quality) -> list[tuple[str, str]]:
    """What the marks mean."""
    bars = any(variant.loss and variant.loss.low is not None for variant in found.variants)
    return [
        *([("ring-key", "chosen")] if found.chosen else []),
        *([("dot", "passes, none is better in both")] if any(variant.passed for variant in found.variants) else []),
        *([("hollow-key", "passes, dominated")] if sum(variant.passed for variant in found.variants) > 1 else []),
        *([] if all(variant.passed for variant in found.variants) else [("cross-key", "refused")]),
        *([("bar-key", "95 % interval, from the loss against float32")] if bars else []),
        *([("shade-key", "beyond a limit")] if found.limits else []),
    ]


def _limits(found: Quality) -> Html:
    """Every limit with what the chosen variant has of it, or the best where none was chosen, and how many were refused
    that break it."""
    shown = found.chosen or found.best
    known = limits(found)
    if not known or shown is None:
        return EMPTY
    breaking = [broken(variant, found) for variant in found.variants if not variant.passed]
    rows = [
        [
            limit.name,
            f"{'at least' if limit.least else 'at most'} {limit.written(found.limits[key])}",
            limit.written(limit.measured(shown)),
            fmt.count(sum(key in keys for keys in breaking)),
        ]
        for key, limit in known.items()
    ]
    headers = ["Limit", "Allowed", "Chosen" if found.chosen else "Best", "Refused"]
    return figure("Limits", table(headers, rows, headers[1:]))
