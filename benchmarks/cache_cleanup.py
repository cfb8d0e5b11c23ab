"""Caching and cleanup: reruns with nothing new, digests, plans of cleanups, and the disk over a year.

    python benchmarks/cache_cleanup.py [--only rerun,digests,store,months] [--work DIR]

Claims:

- rerun: models/flights on all 336,776 rows, right after a run that deployed: a run with nothing new takes less than
  10 s on two cores. It is shown as a multiple of as many empty KFP tasks through the same runner. One recipe more runs
  that recipe, and no other task that may be cached.
- digests: at least 1 GB/s from page cache on two cores.
- store: cleanup plans for 100,000 files in less than 30 s and less than 500 MB, in a folder and on an S3 server.
- months: over twelve monthly retrainings of models/flights the disk stays bounded, and nothing reachable is lost.
"""

import argparse
import contextlib
import os
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

Part = Callable[[Path], tuple[list[Table], list[Claim]]]
PARTS = ("rerun", "digests", "store", "months")
"""Modules of benchmarks/keeping."""


CPUS = 2
"""What the claims are for."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", type=some_of(PARTS), default=list(PARTS), help=f"some of {','.join(PARTS)} (default: all)"
    )
    parser.add_argument("--work", type=Path, help="folder to work in, kept for a next time; a temporary one by default")
    arguments = parser.parse_args()
    _take_cpus()
    console = Console(width=160)
    claims: list[Claim] = []
    with contextlib.ExitStack() as stack:
        work = arguments.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in arguments.only:
            measure: Part = import_module(f"benchmarks.keeping.{name}").measure
            tables, found = measure(work.absolute() / name)
            for table in tables:
                console.print(table)
            claims += found
    sys.exit(conclude(console, claims))


def _take_cpus() -> None:
    """Leaves the others alone where the machine has more; processes that are started inherit it."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CPUS])


if __name__ == "__main__":
    main()
