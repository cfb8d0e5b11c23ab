"""The state machine: runs, deploys, pointers, pins, crashes, clock jumps and cleanups in any order."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from components.cleanup.config import Retention
from tests.keeping.deeds import MEANWHILE, Deeds, pick
from tests.keeping.interruptions import Interruptions
from tests.keeping.world import DAY_S, Model, World

MODELS = ("flights", "flights-eu")
HOUR_S = 3_600
TICK_S = 1
RETENTIONS = st.builds(
    Retention,
    days=st.sampled_from([1, 7, 30]),
    runs=st.integers(1, 3),
    versions=st.integers(1, 3),
    bytes=st.sampled_from([None, None, 100, 2_000]),
    requests_days=st.sampled_from([1, 10]),
    audit=st.booleans(),
)
ONE = st.integers(0, 9)
"""Which of several, counted around."""
NAMES = st.sampled_from(MODELS)
DEPLOYS = st.sampled_from([True, True, True, False])
KILLS = st.one_of(st.none(), st.integers(1, 30))
JUMPS_S = [HOUR_S, DAY_S, 2 * DAY_S, 8 * DAY_S, 31 * DAY_S, 100 * DAY_S, -HOUR_S, -DAY_S, -31 * DAY_S]


class Keeper(RuleBasedStateMachine):
    """After each rule all that is reachable is there, and after a cleanup nothing that expired."""

    def __init__(self, world: World, interruptions: Interruptions) -> None:
        super().__init__()
        self.world, self.deeds = world, Deeds(world, interruptions)

    @initialize(first=RETENTIONS, second=RETENTIONS, runs=st.integers(0, 6), gap_s=st.sampled_from([DAY_S, 31 * DAY_S]))
    def begin(self, first: Retention, second: Retention, runs: int, gap_s: int) -> None:
        """Some runs were there before; of one model more than of the other."""
        self.world.models = {
            name: Model(name, retention) for name, retention in zip(MODELS, (first, second), strict=True)
        }
        for number in range(runs):
            for name in MODELS[: 1 + number % 2]:
                self.deeds.end(self.deeds.begin(name, "here", "more"), True, number == 2, None)
            self.deeds.jump(gap_s)

    # ---- runs

    @rule(
        name=NAMES,
        change=st.sampled_from(["none", "more", "more", "other", "back"]),
        deploys=DEPLOYS,
        cold=st.booleans(),
    )
    def run(self, name: str, change: str, deploys: bool, cold: bool) -> None:
        run = self.deeds.begin(name, "here", change)
        self.deeds.end(run, deploys, cold, None)

    @rule(name=NAMES, where=st.sampled_from(["here", "elsewhere", "cluster"]), change=st.sampled_from(["none", "more"]))
    def run_begins(self, name: str, where: str, change: str) -> None:
        self.deeds.begin(name, where, change)

    @precondition(lambda self: self.deeds.alive())
    @rule(one=ONE, deploys=DEPLOYS, kill=KILLS)
    def run_ends(self, one: int, deploys: bool, kill: int | None) -> None:
        self.deeds.end(pick(self.deeds.alive(), one), deploys, False, kill)

    @precondition(lambda self: self.deeds.alive())
    @rule(one=ONE)
    def run_dies(self, one: int) -> None:
        self.world.die(pick(self.deeds.alive(), one))
        self.deeds.checks.check()

    @rule(name=NAMES, what=st.sets(st.sampled_from(["partition", "cache", "requests", "checkpoint"]), min_size=1))
    def something_is_left(self, name: str, what: set[str]) -> None:
        self.world.damage(self.world.models[name], sorted(what))
        self.deeds.checks.check()

    @rule(jump_s=st.sampled_from(JUMPS_S))
    def clock_jumps(self, jump_s: int) -> None:
        self.deeds.jump(jump_s)
        self.deeds.checks.check()

    # ---- pointers

    @rule(name=NAMES, one=ONE, pointer=st.sampled_from(["serving", "candidate"]), kill=KILLS)
    def point(self, name: str, one: int, pointer: str, kill: int | None) -> None:
        model = self.world.models[name]
        if numbers := self.deeds.checks.reach(model).complete:
            self.deeds.act("serve" if pointer == "serving" else "candidate", model, pick(numbers, one), kill)
            self.deeds.checks.check()

    @rule(name=NAMES, kill=KILLS)
    def roll_back(self, name: str, kill: int | None) -> None:
        model = self.world.models[name]
        if model.pointers.previous is not None:
            self.deeds.act("rollback", model, model.pointers.previous, kill)
            self.deeds.checks.check()

    @rule(name=NAMES, one=ONE, what=st.sampled_from(["pin", "unpin"]), kill=KILLS)
    def pin(self, name: str, one: int, what: str, kill: int | None) -> None:
        model = self.world.models[name]
        if numbers := self.deeds.checks.reach(model).complete:
            self.deeds.act(what, model, pick(numbers, one), kill)
            self.deeds.checks.check()

    # ---- cleanups

    @rule(names=st.sets(NAMES, min_size=1))
    def clean_up(self, names: set[str]) -> None:
        self.deeds.clean_up(sorted(names))

    @precondition(lambda self: any(run.where == "here" for run in self.deeds.alive()))
    @rule(one=ONE)
    def run_cleans_up(self, one: int) -> None:
        """As its last step does, while its own lease is there."""
        run = pick([run for run in self.deeds.alive() if run.where == "here"], one)
        self.deeds.clean_up([run.model], run.name)

    @rule(names=st.sets(NAMES, min_size=1), kill=st.integers(1, 60))
    def cleanup_is_killed(self, names: set[str], kill: int) -> None:
        self.deeds.process(lambda: self.deeds.delete(sorted(names)), kill)
        self.deeds.checks.check(sorted(names))

    @rule(name=NAMES, step=st.integers(1, 60), what=st.sampled_from(MEANWHILE), one=ONE)
    def something_happens_meanwhile(self, name: str, step: int, what: str, one: int) -> None:
        self.deeds.clean_up_while(name, step, what, one)

    @invariant()
    def time_passes(self) -> None:
        self.world.clock.now_s += TICK_S

    def teardown(self) -> None:
        """All runs end; whatever expired is gone then."""
        if not self.world.models:
            return
        for run in self.deeds.alive():
            self.world.die(run)
        for _ in range(2):
            self.deeds.jump(3 * DAY_S)
            self.deeds.clean_up(list(MODELS))
