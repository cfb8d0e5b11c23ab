"""A pipeline of empty components through the runner that runs Evergreen's: what KFP's tasks cost by themselves.

python benchmarks/keeping/bare.py WORK COUNT
"""

import sys
from pathlib import Path

from kfp import dsl

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from components.orchestration.local_run import init_kfp  # noqa: E402


@dsl.component(base_image="python", install_kfp_package=False)
def empty() -> None:
    """Does nothing."""


@dsl.pipeline(name="bare")
def one_after_the_other() -> None:
    """As many empty tasks as the command line says."""
    before = None
    for _ in range(int(sys.argv[2])):
        task = empty()
        if before is not None:
            task.after(before)
        before = task


if __name__ == "__main__":
    init_kfp(Path(sys.argv[1]), cache=False)
    one_after_the_other()
