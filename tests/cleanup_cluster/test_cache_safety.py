"""Whatever happens in whatever order: what the cache returns, and what a run in progress found in it, is there."""

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.cleanup.generation import generation
from tests.cleanup_cluster.conftest import Place

TASKS = ("preprocess", "train", "compress")
NEWEST = 2

hours = st.floats(0.1, 2000)
days = st.integers(1, 40)
moves = st.one_of(
    st.tuples(st.just("wait"), hours),
    st.tuples(st.just("start"), st.floats(-1800, 1800)),
    st.tuples(st.just("end"), st.integers(0, 5)),
    st.tuples(st.just("set days"), days),
    # With other days than the runs were made with, and a run that begins at its n-th request.
    st.tuples(st.just("clean"), st.tuples(days, st.integers(0, 40))),
)


class World:
    """Runs that find each other's outputs, as KFP's cache lets them."""

    def __init__(self, place: Place) -> None:
        self.place, self.now_s, self.days = place, place.now_s, 30
        self.found: dict[str, set[str]] = {}
        """The outputs that each run in progress works with."""
        self.count = 0

    def wait(self, hours: float) -> None:
        self.now_s += hours * 3600

    def start(self, apart_s: float) -> None:
        """A run begins, by a clock that is some seconds apart from ours."""
        run, kfp = f"run-{self.count}", self.place.kfp
        self.count += 1
        kfp.run(run, self.now_s + apart_s, state="RUNNING")
        self.found[run] = {self.place.write(f"{self.place.outputs_of(run)}/validate")}  # which always runs
        for task in TASKS:
            fingerprint = f"{task} {generation(self.now_s, self.days)}/{self.days}"
            maker = kfp.cache.setdefault(fingerprint, run)
            address = f"{self.place.outputs_of(maker)}/{task}"
            if maker == run:
                self.place.write(address)
            self.found[run].add(address)

    def end(self, which: int) -> None:
        if which < len(self.found):
            run = list(self.found)[which]
            del self.found[run]
            self.place.kfp.run(run, self.now_s - 60, minutes=1)

    def clean(self, how: tuple[int, int], apart_s: float = 0) -> None:
        length, at = how
        left = [at]

        def begin(method: str, path: str) -> None:
            left[0] -= 1
            if left[0] == 0:
                self.start(apart_s)

        self.place.kfp.fault = begin
        self.place.clean_up(self.now_s, days=length, runs=NEWEST)
        self.place.kfp.fault = lambda method, path: None

    def check(self) -> None:
        for fingerprint, maker in self.place.kfp.cache.items():
            address = f"{self.place.outputs_of(maker)}/{fingerprint.split()[0]}"
            assert Path(address).exists(), f"the cache returns {address}, which is gone"
        for run, addresses in self.found.items():
            for address in addresses:
                assert Path(address).exists(), f"{run} works with {address}, which is gone"


def fresh(place: Place) -> World:
    shutil.rmtree(Path(place.work).parent, ignore_errors=True)
    Path(place.outputs).mkdir(parents=True)
    for known in (place.kfp.runs, place.kfp.namespaces, place.kfp.cache):
        known.clear()
    return World(place)


def live(place: Place, history: list[tuple[str, object]]) -> None:
    world = fresh(place)
    acts = {"wait": world.wait, "start": world.start, "end": world.end, "clean": world.clean}
    for name, value in history:
        if name == "set days":
            world.days = value
        else:
            acts[name](value)
        world.check()
    while world.found:
        world.end(0)
    world.wait(200 * 24)
    world.clean((1, 0))
    assert len(place.kfp.runs) <= NEWEST
    left = {path.parent.name for path in Path(place.outputs).rglob("*") if path.is_file()}
    assert left <= set(place.kfp.runs), "outputs of deleted runs are left"


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(moves, min_size=4, max_size=25))
def test_nothing_that_can_be_found_is_deleted(place: Place, history: list[tuple[str, object]]) -> None:
    live(place, history)


@pytest.mark.nightly
@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(history=st.lists(moves, min_size=4, max_size=50))
def test_nothing_that_can_be_found_is_deleted_in_long_histories(
    place: Place, history: list[tuple[str, object]]
) -> None:
    live(place, history)


@pytest.mark.parametrize("apart_s", [-1800, 1800], ids=["slow clock", "fast clock"])
def test_a_run_may_begin_at_any_moment_of_a_cleanup(place: Place, apart_s: float) -> None:
    found = 0
    for at in range(1, 20):
        world = fresh(place)
        # A generation of 40 days begins, and the cleanup takes it for many of one day.
        world.days, world.now_s = 40, (generation(place.now_s, 40) + 1) * 40 * 86_400.0
        for _ in range(NEWEST + 1):
            world.start(0)
            world.end(0)
            world.wait(1)
        world.wait(3 * 24)
        world.clean((1, at), apart_s)
        found += any("run-0" in address for addresses in world.found.values() for address in addresses)
        world.check()
        world.wait(24)
        world.clean((1, 0))
        world.check()
    assert 0 < found < 19, "runs begin before run-0 is deleted, and after that"


def test_this_test_sees_outputs_that_go_too_early(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.cleanup.kubeflow.cleanup.is_free", lambda mark, working: True)
    world = World(place)
    world.start(0)
    world.end(0)
    world.start(0)
    world.wait(200 * 24)
    for number in range(NEWEST):
        place.kfp.run(f"young-{number}", world.now_s)
    world.clean((1, 0))
    with pytest.raises(AssertionError, match=r"run-1 works with .*which is gone"):
        world.check()
