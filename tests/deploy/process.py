"""Deploys in a process of its own: `python -m tests.deploy.process ROOT WORK NUMBER COMPARED_WITH WAIT [METHOD:WHEN]`.

WAIT is in minutes; with the last argument it is killed `before` or `after` a method of the store.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from components.deploy import manifest, rollout
from components.errors import UserError
from components.kubernetes import asking, patience
from components.store.rollouts import Rollouts
from tests.deploy.made import roll_out


def main() -> int:
    root, work, number, compared_with, wait, *death = sys.argv[1:]
    rollout.POLL_S, rollout.AGAIN_S, patience.FIRST_PAUSE_S, asking.OUTAGE_S = 0.05, 0.01, 0.01, 5.0
    if "://" not in work:  # a folder that is taken for a bucket
        manifest.is_local = lambda address: False
    for one in death:
        _die(*one.split(":"))
    try:
        roll_out(Path(root), work, int(number), int(compared_with) if compared_with else None, wait_minutes=float(wait))
    except UserError as error:
        print(error)
        return 1
    return 0


def _die(name: str, when: str) -> None:
    real = getattr(Rollouts, name)

    def dying(*arguments: Any, **named: Any) -> Any:
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        real(*arguments, **named)
        return os.kill(os.getpid(), signal.SIGKILL)

    setattr(Rollouts, name, dying)


if __name__ == "__main__":
    sys.exit(main())
