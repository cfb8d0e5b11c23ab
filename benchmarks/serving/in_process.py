"""Measures one row, from its dict to its probability, inside this process.

python -m benchmarks.serving.in_process --engine litert --version DIR --rows FILE
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from benchmarks.serving.engines import ENGINES, Engine, Rows

WARM_UP = 200


def median_us(engine: Engine, rows: Rows) -> float:
    """The median of one call a row, in microseconds."""
    for row in rows[:WARM_UP]:
        engine([row])
    times_ns = []
    for row in rows:
        start_ns = time.perf_counter_ns()
        engine([row])
        times_ns.append(time.perf_counter_ns() - start_ns)
    return float(np.median(times_ns)) / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=sorted(ENGINES), required=True)
    parser.add_argument("--version", type=Path, required=True, help="a version of the model store")
    parser.add_argument("--rows", type=Path, required=True, help="JSON file: a list of rows")
    arguments = parser.parse_args()
    rows = json.loads(arguments.rows.read_text(encoding="utf-8"))
    print(json.dumps({"median_us": median_us(ENGINES[arguments.engine](arguments.version), rows)}))


if __name__ == "__main__":
    main()
