"""How much resident memory a variant adds to a process.

Measured in a process of its own for each variant, because memory that one variant frees another takes. Started as
`python -m components.evaluate.memory FOLDER` with instances as JSON on the standard input.
"""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.features.rows import values_of
from components.predictor.predictor import Predictor

log = logging.getLogger(__name__)

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120
STATM = Path("/proc/self/statm")


def memory_bytes(serving: Path, instances: Sequence[dict[str, Any]]) -> int | None:
    """The memory that loading a serving artifact and predicting some rows add to a fresh process.

    Takes about half a second, most of it imports.

    Args:
        serving: the artifact.
        instances: rows, as requests bring them.

    Returns:
        bytes; None where the system does not tell (`/proc` is Linux's), or the process could not be started, failed or
        took over 120 s: the log says why.
    """
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "components.evaluate.memory", str(serving)],
            input=json.dumps(instances).encode(),
            capture_output=True,
            env={**os.environ, "PYTHONPATH": path},
            timeout=PATIENCE_S,
            check=True,
        )
        return int(done.stdout)
    except (subprocess.SubprocessError, OSError, ValueError) as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip().splitlines()
        log.warning("the memory that %s takes cannot be told: %s", serving, said[-1] if said else error)
        return None


def _added_bytes(serving: Path, instances: Sequence[dict[str, Any]]) -> int:
    before = _resident_bytes()
    predictor = Predictor.load(serving)
    columns = values_of(instances, predictor.transform.data, predictor.source_columns)
    predictor.predict_rows(list(zip(*columns)))
    return _resident_bytes() - before


def _resident_bytes() -> int:
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    print(_added_bytes(Path(sys.argv[1]), json.load(sys.stdin)))
