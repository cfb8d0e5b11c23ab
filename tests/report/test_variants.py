"""The section on the variants: pictures, limits and the table."""

import re
from typing import Any

import pytest

from components.report.limits import broken
from components.report.quality import Quality, quality
from components.report.variants_section import variants_section
from tests.report import samples, variant_samples

CHOSEN = "low_rank+int8"


def found(**changes: Any) -> Quality:
    """The twelve variants, with some of the evaluation's entries changed."""
    records = samples.many_variants()
    records["evaluate"].details.update(changes)
    return quality(records)


def words(markup: str) -> str:
    return " ".join(re.sub(r"<wbr>", "", re.sub(r"<(?!wbr)[^>]*>", " ", markup)).split())


def figure_of(section: str, title: str) -> str:
    _, _, rest = section.partition(f"<h3>{title}</h3>")
    assert rest, title
    return rest[: rest.index("</figure>")]


def row_of(section: str, recipe: str) -> tuple[list[str], str]:
    """The cells of a variant's row, and the row of reasons after it."""
    rows = re.findall(r"<tr(?: class=\"[\w ]+\")?><td.*?</tr>", section[section.index('class="variants"') :])
    index = next(
        index
        for index, row in enumerate(rows)
        if re.search(rf"{re.escape(recipe)} (chosen|passes|refused)", words(row))
    )
    why = words(rows[index + 1]) if index + 1 < len(rows) and 'class="why"' in rows[index + 1] else ""
    return [words(cell) for cell in re.findall(r"<td.*?</td>", rows[index])], why


def marks(picture: str) -> dict[str, tuple[str, str]]:
    """The state and the drawing of each mark by its recipe."""
    groups = re.findall(r'<g class="mark-(\w+)"><title>([^:<]+):(.*?)</g>', picture)
    return {name: (state, drawing) for state, name, drawing in groups}


def states(picture: str) -> dict[str, str]:
    return {name: state for name, (state, _) in marks(picture).items()}


def bar_of(drawing: str) -> tuple[float, float]:
    """Top and bottom of a mark's interval in the drawing."""
    ends = re.search(r'd="M[\d.]+ ([\d.]+)V([\d.]+)[^"]*" class="bar"', drawing)
    assert ends
    return min(map(float, ends.groups())), max(map(float, ends.groups()))


def quality_limit(picture: str) -> float:
    """Where the line of the limit of loss lies; y grows downwards."""
    line = re.search(r'<line x1="52" y1="([\d.]+)" x2="442" y2="\1" class="bound"', picture)
    assert line
    return float(line[1])


def test_three_pictures_and_a_table_of_all_that_was_measured() -> None:
    section = variants_section(found())
    for title in ("Quality and size", "Quality and latency", "Quality and cost"):
        assert figure_of(section, title).count('class="ring"') == 1
    cells, why = row_of(section, CHOSEN)
    assert cells == [
        f"{CHOSEN} chosen",
        "0.7199",
        "0.0007 0.0001 to 0.0013",
        "carrier = HA 0.0008, up to 0.0069",
        "66.6 KiB 57.3 KiB",
        "31.2 µs 59.3 µs",
        "401,000",
        "9.36 MiB",
        "0.0000277",
        "0.1 % 106,960",
        "38.2 s 1.45 M · 0.00042",
    ]
    assert why == ""
    assert row_of(section, "int8_float_io")[0][0] == "int8_float_io passes"


def test_what_a_variant_is_not_is_told_below_it() -> None:
    rows = samples.many_variants()["evaluate"].details["variants"]
    for row in rows:
        if row["recipe"] in (CHOSEN, "pruned"):
            row["notes"] = ["pruned: a layer has a sparsity of 0.61, not <0.8>"]
    section = variants_section(found(variants=rows))
    noted = re.findall(r'<tr class="note"><td[^>]*><p>(.*?)</p>', section)
    assert noted == ["pruned: a layer has a sparsity of 0.61, not &lt;0.8&gt;"] * 2
    assert row_of(section, CHOSEN)[0][0] == f"{CHOSEN} chosen"


def test_dominated_variants_are_told_from_the_front_in_each_picture() -> None:
    section = variants_section(found())
    by_size = states(figure_of(section, "Quality and size"))
    assert by_size.pop(CHOSEN) == "chosen"
    assert {name for name, state in by_size.items() if state == "refused"} == set(variant_samples.FAILURES)
    assert {name for name, state in by_size.items() if state == "front"} == {"quantization_aware"}
    assert {name for name, state in by_size.items() if state == "dominated"} == {"dynamic", "int8_float_io", "low_rank"}
    by_latency = states(figure_of(section, "Quality and latency"))
    assert {name for name, state in by_latency.items() if state == "front"} == {
        "low_rank",
        "dynamic",
        "quantization_aware",
    }


def test_a_refused_variant_dominates_none() -> None:
    evaluation = samples.many_variants()["evaluate"].details
    for row in evaluation["variants"]:
        row["passed"] = row["recipe"] in (CHOSEN, "float16")
    section = variants_section(found(variants=evaluation["variants"]))
    assert states(figure_of(section, "Quality and size"))["float16"] == "front"


@pytest.mark.parametrize("error", [False, True])
def test_the_interval_reaches_beyond_the_limit_of_loss_exactly_where_it_is_broken(error: bool) -> None:
    details = samples.many_variants()["evaluate"].details
    details["limits"] = {"loss": 0.006 if error else 0.003}
    evaluated = found(**(variant_samples.as_error(details) if error else details))
    picture = figure_of(variants_section(evaluated), "Quality and size")
    drawn, limit = marks(picture), quality_limit(picture)
    assert len(drawn) == len(variant_samples.FIGURES)
    for variant in evaluated.variants[1:]:
        top, bottom = bar_of(drawn[variant.recipe][1])
        beyond = top < limit - 0.1 if error else bottom > limit + 0.1
        assert beyond == ("loss" in broken(variant, evaluated)), variant.recipe
    assert {variant.recipe for variant in evaluated.variants if broken(variant, evaluated)} == {
        "distilled+int8",
        variant_samples.LONGEST,
    }


def test_what_is_far_worse_stands_at_the_border_with_its_value() -> None:
    picture = figure_of(variants_section(found()), "Quality and size")
    assert re.search(r'class="name">low_rank\S+ ↓ 0\.7021<', picture)
    assert min(float(tick) for tick in re.findall(r">(0\.7\d\d)</text>", picture)) == 0.714


def test_limits_are_lines_and_those_far_off_are_only_named() -> None:
    section = variants_section(found())
    size, latency, cost = (figure_of(section, f"Quality and {title}") for title in ("size", "latency", "cost"))
    assert "limit 430 KiB" in size and "limit of p99 67.0 µs" in latency
    assert size.count('class="bound"') == latency.count('class="bound"') == 2
    assert 'class="reach"' in latency and 'class="reach"' not in size
    assert cost.count('class="bound"') == 1 and "Outside the picture: limit 0.001" in cost
    limits = variant_samples.LIMITS | {"loss": 0.5, "size_bytes": 1}
    size = figure_of(variants_section(found(limits=limits)), "Quality and size")
    assert 'class="bound"' not in size
    assert "Outside the picture: limit 1 B, limit: 0.5000 lost to float32" in size


def test_the_limits_stand_beside_what_the_chosen_variant_has() -> None:
    card = figure_of(variants_section(found()), "Limits")
    rows = [words(row) for row in re.findall(r"<tr><td.*?</tr>", card)]
    assert rows == [
        "Loss, upper end at most 0.0030 0.0013 2",
        "Loss on a slice, upper end at most 0.0200 0.0069 2",
        "Size at most 430 KiB 66.6 KiB 2",
        "Latency p99 at most 67.0 µs 59.3 µs 1",
        "Rows a second at least 200,000 401,000 1",
        "Cost of a million at most 0.001 0.0000277 0",
    ]


def test_a_refused_variant_shows_the_figure_that_breaks_a_limit_and_by_how_much() -> None:
    section = variants_section(found())
    for recipe, reasons in variant_samples.FAILURES.items():
        assert row_of(section, recipe)[1] == "; ".join(reasons)
    over = [words(cell) for cell in re.findall(r'<td class="n over">.*?</td>|<small class="over">.*?</small>', section)]
    assert over[:3] == ["431 KiB 371 KiB", "193,136", "68.2 µs"]
    assert "0.0210, up to 0.0412" in over and "0.0022 to 0.0034" in over


def test_when_all_are_refused_the_best_one_is_held_against_the_limits() -> None:
    rows = [{**row, "passed": False} for row in samples.many_variants()["evaluate"].details["variants"]]
    section = variants_section(found(variants=rows, chosen=None))
    assert set(states(figure_of(section, "Quality and size")).values()) == {"refused"}
    assert 'class="ring"' not in section and 'class="stairs"' not in section
    assert "Limit Allowed Best Refused" in words(figure_of(section, "Limits"))
    assert section.count("no reason recorded") == len(rows) - len(variant_samples.FAILURES)


def test_a_record_from_before_these_figures_has_a_smaller_table_and_no_picture_of_cost() -> None:
    section = variants_section(quality(samples.warm_run()))
    assert "Quality and cost" not in section and "<h3>Limits</h3>" not in section
    header = words(section[section.index("<thead>", section.index('class="variants"')) : section.index("</thead>")])
    assert header == "Variant AUC Size p50 p99 Rows/s of 256"
    assert row_of(section, "dynamic")[0] == ["dynamic chosen", "0.7050", "107 KiB", "23.4 µs 42.8 µs", "3,100,000"]


@pytest.mark.parametrize("count", [12, 14])
def test_every_variant_is_named_in_every_picture(count: int) -> None:
    rows = samples.many_variants()["evaluate"].details["variants"]
    more = [{**rows[3], "recipe": f"low_rank+pruned_int8{index}", "passed": True} for index in range(count - len(rows))]
    section = variants_section(found(variants=rows + more))
    for title in ("size", "latency", "cost"):
        names = re.findall(r'class="name[^"]*">', figure_of(section, f"Quality and {title}"))
        assert len(names) == count


def test_a_recipe_that_could_not_be_made_is_a_row_with_its_sentence() -> None:
    evaluation = samples.many_variants()["evaluate"].details
    row = next(row for row in evaluation["variants"] if row["recipe"] == "float16")
    row.update(dict.fromkeys(set(row) - {"recipe"}), metrics={}, passed=False, failures=["float16 cannot be converted"])
    section = variants_section(found(variants=evaluation["variants"]))
    cells, why = row_of(section, "float16")
    assert (set(cells[1:]), why) == ({"–"}, "float16 cannot be converted")
    assert "float16" not in marks(figure_of(section, "Quality and size"))


def test_where_no_recipe_could_be_made_there_are_only_sentences() -> None:
    row = {"recipe": "int8", "metrics": {}, "passed": False, "failures": ["int8 cannot be converted"]}
    section = variants_section(found(variants=[row], chosen=None, described=None))
    assert "int8 cannot be converted" in words(section) and "<svg" not in section
