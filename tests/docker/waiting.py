"""A program whose run has a loop of tasks that wait until they are told to end; the tests interrupt it.

`python waiting.py RUNNER WORK`: the runner is `subprocess` or `docker`. A task of the item i writes `started-<i>` into
the work directory, and `told-<i>` when it is told to end.
"""

import sys
from pathlib import Path

from kfp import dsl

from components.orchestration.retrain import retrain

IMAGE = "evergreen-test-python:here"
ITEMS = ["a", "b", "c", "d"]
INTERRUPTED = 130


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def wait(item: str, folder: str):
    import signal
    import sys
    import time
    from pathlib import Path

    def end(*_):
        (Path(folder) / f"told-{item}").touch()
        sys.exit(1)

    signal.signal(signal.SIGTERM, end)
    (Path(folder) / f"started-{item}").touch()
    time.sleep(120)


@dsl.pipeline(name="waiting")
def waiting(work_uri: str):
    with dsl.ParallelFor(ITEMS) as item:
        wait(item=item, folder=work_uri)


def main(runner_name: str, work: str) -> int:
    runner = None
    if runner_name == "docker":
        from components.orchestration.container_limits import Limits
        from components.orchestration.containers import Containers
        from components.orchestration.mounts import Folders
        from tests.docker.engine import READABLE

        runner = Containers(Folders(read=READABLE), Limits())
    try:
        return 0 if retrain(waiting, {"work_uri": work}, "waiting", Path(work), runner=runner) else 1
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
