"""What every recipe of compression gains and costs, on models/flights, a four times as wide one, and models/fashion.

    python benchmarks/compress.py [--only flights,wide,fashion] [--work DIR] [--rounds N]

All goes through the steps themselves: preprocess, train, compress, evaluate. Claims:

- flights and wide: the variant that evaluate takes is at least 3.5 times smaller than float32; the upper end of its
  loss of AUC (95 % bootstrap interval, October to December) is below 0.002; the model alone answers at least 1.5 times
  the rows a second of float32 in LiteRT in batches of 256, and is not slower at one row; from one row of JSON values to
  its prediction it takes at most a fiftieth of the SavedModel's time. int8 of the whole network is faster than
  onnxruntime's at both sizes.
- fashion: the variant that evaluate takes where half a point of accuracy may be lost is at least 3.5 times smaller than
  float32, faster at one image, and keeps that limit; one that combines recipes is at least 10 times smaller and loses
  less than a point.

A variant that was trained is held against a float32 model that was trained on for as long as recipes fine-tune: what
more epochs give is not counted as compression.

Times are those of one thread; all ways take turns, and each figure is the median of the best round, because what else
happens on a machine only ever slows it down.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.claims import Claim, at_least, at_most, conclude, some_of  # noqa: E402
from benchmarks.compression.cases import FLOAT32, Case, row_of  # noqa: E402
from benchmarks.compression.speed import LARGE, SMALL, best_int8, model_us, ratio, raw_us  # noqa: E402
from components.config import load  # noqa: E402

FORMATS = "float32, float16, dynamic, int8, int8_float_io"
TABULAR = (
    f"[{FORMATS}, pruned, [pruned, int8_float_io], quantization_aware, low_rank, [low_rank, int8_float_io], distilled, "
    "[distilled, int8_float_io]]"
)
IMAGE = f"[{FORMATS}, [low_rank, dynamic], quantization_aware]"
IMAGE_LOSS, COMBINED_LOSS = 0.005, 0.01
CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    "flights": ("flights", (f"compress.recipes={TABULAR}", "preprocess.heldout_days=92")),
    "wide": ("flights", (f"compress.recipes={TABULAR}", "preprocess.heldout_days=92", "network.hidden=[1024, 512]")),
    "fashion": ("fashion", (f"compress.recipes={IMAGE}", f"evaluate.limits.loss={IMAGE_LOSS}")),
}
MOST_LOSS = 0.002
INT8 = "int8_float_io"
SMALLER, COMBINED_SMALLER = 3.5, 10.0
FASTER, NOT_SLOWER, RAW_FASTER = 1.5, 1.0, 50.0


def case_of(name: str, work: Path) -> Case:
    """The case, with the model's built-in data laid out."""
    model, overrides = CASES[name]
    folder = ROOT / "models" / model
    subprocess.run([sys.executable, str(folder / "data.py"), str(work / "source" / model)], check=True)
    return Case(name, load(folder, overrides), work)


def tabular(case: Case, rounds: int) -> tuple[list[Table], list[Claim]]:
    """A model on rows of numbers and names."""
    recipe = taken(case.evaluation)
    times, raw = model_us(case, rounds), raw_us(case)
    claims = [
        at_least(f"{case.name}: {recipe}, times smaller than float32", smaller(case, recipe), SMALLER, ".2f"),
        at_most(f"{case.name}: {recipe}, AUC lost, upper end", lost(case, recipe)["high"], MOST_LOSS, ".5f"),
        at_least(f"{case.name}: rows/s at 256, times float32", ratio(times[LARGE], recipe), FASTER, ".2f"),
        at_least(f"{case.name}: speed at 1 row, times float32", ratio(times[SMALL], recipe), NOT_SLOWER, ".2f"),
        *(
            at_least(
                f"{case.name}: {INT8} at {size}, times onnxruntime's", best_int8(found) / found[INT8], NOT_SLOWER, ".2f"
            )
            for size, found in times.items()
        ),
        at_least(
            f"{case.name}: from JSON values, times the SavedModel", raw["tensorflow"] / raw["litert"], RAW_FASTER, ".0f"
        ),
    ]
    return [quality_table(case, times), peer_table(case, times)], claims


def image(case: Case, rounds: int) -> tuple[list[Table], list[Claim]]:
    """A small convolutional network."""
    recipe = taken(case.evaluation)
    times = model_us(case, rounds)
    losses = {name: lost(case, name)["value"] for name in case.variants if "+" in name}
    best = min(
        [name for name in losses if smaller(case, name) >= COMBINED_SMALLER] or losses, key=lambda name: losses[name]
    )
    claims = [
        at_least(f"{case.name}: {recipe}, times smaller than float32", smaller(case, recipe), SMALLER, ".2f"),
        at_most(f"{case.name}: {recipe}, accuracy lost", lost(case, recipe)["value"], IMAGE_LOSS, ".4f"),
        at_least(f"{case.name}: speed at 1 image, times float32", ratio(times[SMALL], recipe), NOT_SLOWER, ".2f"),
        at_least(f"{case.name}: {best}, times smaller than float32", smaller(case, best), COMBINED_SMALLER, ".1f"),
        at_most(f"{case.name}: {best}, accuracy lost", losses[best], COMBINED_LOSS, ".4f"),
    ]
    return [quality_table(case, times), peer_table(case, times)], claims


def taken(evaluation: Mapping[str, Any]) -> str:
    """The recipe that evaluate takes.

    Raises:
        SystemExit: it takes none.
    """
    if evaluation["chosen"] is None:
        raise SystemExit(evaluation["reason"])
    recipe: str = evaluation["chosen"]
    return recipe


def smaller(case: Case, recipe: str) -> float:
    """How many times smaller than float32."""
    times: float = row_of(case.evaluation, FLOAT32)["bytes"] / row_of(case.evaluation, recipe)["bytes"]
    return times


def lost(case: Case, recipe: str) -> dict[str, float]:
    """What a variant loses, with its interval; against float32 that was trained on where it was itself."""
    row = row_of(case.evaluation, recipe)
    found: dict[str, float] = (case.against_tuned(recipe) if row["made"]["examples"] else row)["loss"]
    return found


def quality_table(case: Case, times: Mapping[int, Mapping[str, float]]) -> Table:
    """Every variant as evaluate sees it, and the time of the model alone."""
    evaluation = case.evaluation
    metric = evaluation["metric"]
    columns = ("recipe", "KiB", "gzip", metric, "lost", "95 %", "sparsity", "made, s", "1 row, us", "256, Mrows/s")
    table = Table(*columns, title=case.name)
    for row in evaluation["variants"]:
        loss = row["loss"]
        table.add_row(
            row["recipe"] + (" (taken)" if row["recipe"] == evaluation["chosen"] else ""),
            f"{row['bytes'] / 1024:.0f}",
            f"{row['compressed_bytes'] / 1024:.0f}",
            f"{row['metrics'][metric]:.4f}",
            f"{loss['value']:+.5f}" if loss else "",
            f"{loss['low']:+.5f} {loss['high']:+.5f}" if loss else "",
            f"{row['sparsity']:.0%}",
            f"{row['made']['seconds']:.0f}",
            f"{times[SMALL][row['recipe']]:.1f}",
            f"{LARGE / times[LARGE][row['recipe']]:.2f}",
        )
    return table


def peer_table(case: Case, times: Mapping[int, Mapping[str, float]]) -> Table:
    """The same network in other engines."""
    table = Table("engine", "1 row, us", "256, Mrows/s", title=f"{case.name}: peers")
    for name in times[SMALL]:
        if name not in case.variants or name == FLOAT32:
            shown = "LiteRT float32" if name == FLOAT32 else name
            table.add_row(shown, f"{times[SMALL][name]:.1f}", f"{LARGE / times[LARGE][name]:.2f}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", type=some_of(CASES), default=list(CASES), help=f"some of {','.join(CASES)} (default: all)"
    )
    parser.add_argument("--work", type=Path, help="folder to work in, kept for a next time; a temporary one by default")
    parser.add_argument("--rounds", type=int, default=7, help="measurements of which a time is the best")
    arguments = parser.parse_args()
    console = Console(width=170)
    claims: list[Claim] = []
    with contextlib.ExitStack() as stack:
        work = arguments.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in arguments.only:
            case = case_of(name, work.absolute())
            measure = image if name == "fashion" else tabular
            tables, found = measure(case, arguments.rounds)
            for table in tables:
                console.print(table)
            claims += found
    sys.exit(conclude(console, claims))


if __name__ == "__main__":
    main()
