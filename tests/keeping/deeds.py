"""What is done to a work directory, each by a process of its own that may be killed or met by another."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from components.artifacts import RUN_VARIABLE
from components.cleanup.cleanup import Outcome, clean_up
from components.cleanup.sweep import wait_for_sweep
from components.errors import UserError
from tests.keeping.checks import Checks
from tests.keeping.interruptions import Interruptions
from tests.keeping.pretence import WaitingError
from tests.keeping.world import DAY_S, Model, Pointers, Run, World

MEANWHILE = ("pin", "unpin", "serve", "candidate", "rollback", "deploy", "begin", "clean_up", "stall")
REFUSALS = ("is being deleted", "is missing", "is not in", "went into service meanwhile", "nothing to roll back")


class Deeds:
    """After each of them all is checked."""

    def __init__(self, world: World, interruptions: Interruptions) -> None:
        self.world, self.interruptions, self.checks = world, interruptions, Checks(world)

    def begin(self, name: str, where: str, change: str) -> Run:
        run = self.world.begin(self.world.models[name], where, change)
        self.world.work_on(run)
        self.checks.check()
        return run

    def end(self, run: Run, deploys: bool, cold: bool, kill: int | None) -> None:
        model = self.world.models[run.model]
        self.world.processes.current = run.process
        if deploys and self.act("deploy", model, 0, kill, (run.name, run.snapshot, None if cold else run.base)):
            self.world.die(run)
        else:
            self.world.end(run)
        self.checks.check()

    def act(
        self,
        what: str,
        model: Model,
        number: int,
        kill: int | None = None,
        made: tuple[str, str, int | None] = ("", "", None),
    ) -> bool:
        """Moves a pointer or a pin, or deploys; returns whether it was killed. It is done or it is not."""
        store, before = self.world.store(model), model.pointers

        def deploy() -> None:
            version = store.version(self.world.add(model, *made))
            allowed.append(before.serve(version.number))
            store.replace(before.serving, version)

        operations: dict[str, tuple[Callable[[], Any], Callable[[], Pointers]]] = {
            "serve": (lambda: store.point("serving", store.version(number)), lambda: before.serve(number)),
            "candidate": (
                lambda: store.point("candidate", store.version(number)),
                lambda: replace(before, candidate=number),
            ),
            "rollback": (store.rollback, lambda: before.serve(number)),
            "pin": (lambda: store.pin(number, "a test"), lambda: replace(before, pins=before.pins | {number})),
            "unpin": (lambda: store.unpin(number), lambda: replace(before, pins=before.pins - {number})),
            "deploy": (deploy, lambda: allowed[-1]),
        }
        operation, after = operations[what]
        allowed = [before]
        killed = self.process(operation, kill)
        allowed = [before, after()] if killed else [after()]
        model.pointers = Pointers.read(store)
        assert model.pointers in allowed, f"{what} {number} made {model.pointers} of {before}"
        return killed

    def process(self, operation: Callable[[], Any], kill: int | None = None) -> bool:
        """As a process of its own; returns whether it was killed."""
        process = self.world.processes.start()
        try:
            if kill is not None:
                return self.interruptions.killed(operation, kill)
            operation()
        finally:
            self.world.processes.living.discard(process)
        return False

    def clean_up(self, names: Sequence[str], own_run: str | None = None) -> None:
        """A cleanup that nothing disturbs; what only a run needed that went by it is the next one's."""
        self._clean_up_once(names, own_run)
        if self.checks.expired(names, own_run):
            self._clean_up_once(names, own_run)
        left = self.checks.expired(names, own_run)
        assert not left, f"cleanup left {left}"

    def _clean_up_once(self, names: Sequence[str], own_run: str | None) -> None:
        outcomes: dict[str, Outcome] = {}
        self.process(lambda: outcomes.update(self.delete(names, own_run)))
        for outcome in outcomes.values():
            assert outcome.failed == []
            assert all("retention.bytes" in note for note in outcome.notes), outcome.notes
        self.checks.check(names, own_run)

    def delete(self, names: Sequence[str], own_run: str | None = None) -> dict[str, Outcome]:
        retentions = {name: self.world.models[name].retention for name in names}
        before = os.environ.pop(RUN_VARIABLE, None)
        assert before is None
        if own_run is not None:
            os.environ[RUN_VARIABLE] = own_run
        try:
            outcomes = clean_up(self.world.work, retentions, self.world.clock.now_s)
        finally:
            os.environ.pop(RUN_VARIABLE, None)
        return outcomes

    def clean_up_while(self, name: str, step: int, what: str, one: int) -> bool:
        """Something happens before the n-th step of a cleanup; returns whether it came to that."""
        happened = []
        model, process = self.world.models[name], self.world.processes.start()

        def act() -> None:
            happened.append(what)
            self.checks.check([name])
            self._meanwhile(model, what, one)
            self.world.processes.current = process

        with self.interruptions.before_step(step, act):
            try:
                self.delete([name])
            except UserError as error:
                assert "another cleanup" in str(error), error
        self.world.processes.living.discard(process)
        self.checks.check([name])
        for run in self.world.runs.values():
            if run.state == "waiting":
                run.state = "alive"
        return bool(happened)

    def _meanwhile(self, model: Model, what: str, one: int) -> None:
        numbers = self.checks.reach(model).complete
        if what == "begin":
            self._begins_beside(model)
        elif what in ("clean_up", "stall"):
            if what == "stall":
                self.jump(DAY_S)
            try:
                self.process(lambda: self.delete([model.name]))
            except UserError as error:
                assert "another cleanup is at work" in str(error), error
            self.checks.check([model.name])
        elif numbers and (what != "rollback" or model.pointers.previous is not None):
            number = model.pointers.previous if what == "rollback" else pick(numbers, one)
            must_succeed = number in model.pointers.named
            try:
                self.act(what, model, number, None, ("elsewhere", "unseen", model.pointers.serving))
            except UserError as error:
                assert any(words in str(error) for words in REFUSALS) and not must_succeed, error
            self.checks.check()

    def _begins_beside(self, model: Model) -> None:
        """A run that begins while a cleanup is at work waits; or the cleanup has yet to look for it."""
        run = self.world.begin(model, "here", "none")
        run.state = "waiting"
        try:
            wait_for_sweep(self.world.storage)
        except WaitingError:
            return
        run.state = "alive"
        self.checks.check()

    def jump(self, jump_s: int) -> None:
        self.world.clock.now_s += jump_s
        for run in self.alive():
            self.world.beat(run)

    def alive(self) -> list[Run]:
        return [run for run in self.world.runs.values() if run.state == "alive"]


def pick(items: Sequence[Any], one: int) -> Any:
    return items[one % len(items)]
