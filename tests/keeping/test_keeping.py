"""Whatever happens in whatever order: what is reachable is there and whole, and what expired is gone."""

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.keeping.interruptions import Interruptions
from tests.keeping.keeper import Keeper
from tests.keeping.pretence import Pretence
from tests.keeping.world import World


def keep(root: Path | str, examples: int, steps: int, derandomize: bool = True, shrink: bool = True) -> None:
    """Plays so many examples of so many steps."""
    count = iter(range(10**9))
    phases = set(Phase) - (set() if shrink else {Phase.shrink}) - {Phase.explain}
    known = settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=derandomize,
        database=None,
        deadline=None,
        print_blob=True,
        report_multiple_bugs=False,
        phases=phases,
        suppress_health_check=list(HealthCheck),
    )
    with pytest.MonkeyPatch.context() as patch:
        pretence, interruptions = Pretence(patch), Interruptions(patch, isinstance(root, Path))

        def machine() -> Keeper:
            if isinstance(root, Path):
                shutil.rmtree(root, ignore_errors=True)
                root.mkdir(parents=True)
            work = root if isinstance(root, Path) else f"{root}/{next(count)}"
            return Keeper(World(work, pretence), interruptions)

        run_state_machine_as_test(machine, settings=known)


def test_in_a_folder(tmp_path):
    keep(tmp_path / "work", 25, 30)


@pytest.mark.nightly
def test_in_a_folder_for_long(tmp_path):
    keep(tmp_path / "work", 500, 50, derandomize=False, shrink=False)


def test_in_a_bucket(s3_root):
    keep(s3_root, 2, 12)


@pytest.mark.nightly
def test_in_a_bucket_for_long(s3_root):
    keep(s3_root, 30, 40, derandomize=False, shrink=False)
