"""One process of a training with several; TF_CONFIG tells it its task.

    python -m components.train --examples DIR --base DIR --scratch DIR --log DIR --config FILE

Ends with 0 when the training is done and with 1 on an error, which would come again. Other codes are for trying again:
143 when the process was told to end and has saved its checkpoint, 144 when it lost the others.
"""

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from components.errors import PreemptedError, UserError
from components.learning.cluster import serves_a_coordinator
from components.schema import parse
from components.train.config import TrainConfig
from components.train.exit_codes import LOST, PREEMPTED
from components.train.paths import Paths


def main() -> int:
    """Runs the process; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m components.train", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    for name, what in (
        ("examples", "artifact of preprocess"),
        ("base", "version to start from, or an empty folder"),
        ("scratch", "folder for the checkpoint and the result"),
        ("log", "folder for TensorBoard"),
    ):
        parser.add_argument(f"--{name}", type=Path, required=True, help=what)
    parser.add_argument("--config", type=Path, required=True, help="JSON file: the sections network and train")
    parser.add_argument("--until-stdin-ends", action="store_true", help="end with the process that started this one")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    if arguments.until_stdin_ends:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        _train(arguments)
    except PreemptedError as stopped:
        print(stopped, flush=True)
        return PREEMPTED
    except UserError as error:
        print(f"error: {error}", flush=True)
        return 1
    except _lost_errors() as error:
        print(f"error: another process of the training is gone ({str(error).partition(chr(10))[0]})", flush=True)
        return LOST
    return 0


def _train(arguments: argparse.Namespace) -> None:
    if arguments.until_stdin_ends and serves_a_coordinator():
        # Who ends the run tells all its processes: the coordinator needs this one to save its checkpoint.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    config = parse(TrainConfig, arguments.config.read_text(encoding="utf-8"))
    # TensorFlow takes seconds to import, and only then can SIGTERM be answered.
    from components.train.process import train_process

    train_process(Paths(arguments.examples, arguments.base, arguments.scratch, arguments.log), config)


def _lost_errors() -> tuple[type[Exception], ...]:
    """What TensorFlow raises in a process whose peers are gone."""
    from components.learning.legacy_keras import tf

    errors = tf.errors
    return errors.UnavailableError, errors.AbortedError, errors.CancelledError, errors.DeadlineExceededError


def _end_with_stdin() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
