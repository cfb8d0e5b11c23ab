"""Training of models/flights: its input, its speed, its warm starts, two workers, and kills.

    python benchmarks/train.py [--only input,speed,warm,workers,kills] [--work DIR] [--rounds N]

Claims, each measured beside its peer or limit in the same run:

- input: of an epoch's time less than 35 % is lost to input in the first epoch, which reads the TFRecords, and less than
  5 % later, at batches of 512 and 2048: real input against one batch again and again, through the same steps.
- speed: at least 5 times the examples per second of a pipeline as tutorials write it, in one process, from the first
  file to the last step, validation and tracing included.
- warm: month by month from March to December, a warm start reaches the AUC of a cold training on all data so far after
  at most a tenth of its examples (median), and ends not more than 0.003 below it (mean), on the month that comes next.
- workers: two workers end with the AUC of one process within 0.003. Their speed is shown, and nothing is claimed of it.
- kills: after 20 kills at random moments every training ends with the weights of an undisturbed one, bit for bit, and
  no kill costs more work than was done in one checkpoint interval.

Where time is measured, ways take turns. A speed is the best of its rounds: what else happens on a machine only ever
slows it down. The share that is lost to input is the median over pairs of epochs: the machine's speed drifts by more.
"""

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.claims import Claim, conclude, some_of  # noqa: E402
from benchmarks.training.flights import Flights  # noqa: E402

Part = Callable[[Flights, int], tuple[list[Table], list[Claim]]]
PARTS = {"input": "input_share", "speed": "speed", "warm": "warm", "workers": "workers", "kills": "kills"}
"""Part → module of benchmarks/training."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", type=some_of(PARTS), default=list(PARTS), help=f"some of {','.join(PARTS)} (default: all)"
    )
    parser.add_argument("--work", type=Path, help="folder to work in, kept for a next time; a temporary one by default")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of which a time is the best")
    arguments = parser.parse_args()
    console = Console(width=160)
    claims: list[Claim] = []
    with contextlib.ExitStack() as stack:
        work = arguments.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        flights = Flights(work.absolute())
        for name in arguments.only:
            measure: Part = import_module(f"benchmarks.training.{PARTS[name]}").measure
            tables, found = measure(flights, arguments.rounds)
            for table in tables:
                console.print(table)
            claims += found
    sys.exit(conclude(console, claims))


if __name__ == "__main__":
    main()
