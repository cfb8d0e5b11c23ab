"""A command that is killed at any moment can simply be run again: at most one schedule is ever on, and none is lost."""

import os
import random
import signal
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from kfp_server_api.rest import RESTClientObject

from components.orchestration.connection import connect
from components.orchestration.recurring_runs import Plan
from components.orchestration.schedule import Schedule
from components.orchestration.trigger import Trigger
from tests.kfp_server import pipelines
from tests.kfp_server.server import KfpServer

SPEC = yaml.safe_load(
    "{pipelineInfo: {name: x}, root: {dag: {tasks: {}}}, schemaVersion: 2.1.0, sdkVersion: kfp-2.17.0}"
)
NAME = "evergreen-small"


class Place:
    """A server with some versions, and one who schedules them."""

    def __init__(self, kfp: KfpServer) -> None:
        self.kfp = kfp
        self.pipeline = connect(kfp.url, None, None, None, 5).pipeline(NAME, "")
        self.versions = [
            pipelines.add_version(kfp, self.pipeline, f"v{number}", SPEC, "")["pipeline_version_id"]
            for number in range(3)
        ]

    def plan(self, version: int, trigger: Trigger) -> Plan:
        return Plan(self.pipeline, self.versions[version], trigger, f"v{version}", None)

    def schedule(self) -> Schedule:
        kubeflow = connect(self.kfp.url, None, None, None, 5)
        return Schedule(kubeflow, kubeflow.experiment(NAME, ""), NAME)

    def on(self) -> list[dict[str, Any]]:
        return [one for one in self.kfp.recurring.values() if one["status"] == "ENABLED"]

    def check(self, plan: Plan, is_on: bool) -> None:
        """After a command that came to its end."""
        own = [one for one in self.kfp.recurring.values() if one["display_name"] == NAME]
        assert len(own) == len(self.kfp.recurring), "no mark is left"
        assert [one["pipeline_version_reference"]["pipeline_version_id"] for one in self.on()] == (
            [plan.version] if is_on else []
        )
        if is_on:
            assert Trigger.read(self.on()[0]["trigger"]) == plan.trigger
        assert self.kfp.most_enabled <= 1


@pytest.fixture
def place(kfp: KfpServer) -> Place:
    return Place(kfp)


def killed(act: Callable[[], Any], at: int, after: bool) -> bool:
    """Whether a child process was killed by SIGKILL at its n-th request that changes something, before it or after."""
    child = os.fork()
    if child == 0:
        try:
            left, request = [at], RESTClientObject.request

            def step(self: Any, method: str, *given: Any, **more: Any) -> Any:
                if method == "GET":
                    return request(self, method, *given, **more)
                left[0] -= 1
                if left[0] == 0 and not after:
                    os.kill(os.getpid(), signal.SIGKILL)
                answer = request(self, method, *given, **more)
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return answer

            RESTClientObject.request = step
            act()
            os._exit(0)
        finally:
            os._exit(99)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


DAILY, WEEKLY = Trigger(cron="0 0 3 * * *"), Trigger(every_s=604_800)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("paused", [False, True], ids=["on", "paused"])
def test_a_release_that_is_killed_is_run_again(place: Place, after: bool, paused: bool) -> None:
    at, was_killed = 0, True
    while was_killed:
        at += 1
        place.kfp.recurring.clear()
        old, new = place.plan(0, DAILY), place.plan(1, WEEKLY)
        place.schedule().set(old, paused)
        was_killed = killed(lambda new=new: place.schedule().set(new, False), at, after)
        assert len(place.on()) <= 1
        place.schedule().set(new, False)
        place.check(new, is_on=not paused)
    assert at > (1 if paused else 4)


def test_a_release_that_is_killed_can_be_taken_back(place: Place) -> None:
    for at in range(1, 6):
        place.kfp.recurring.clear()
        old, new = place.plan(0, DAILY), place.plan(1, DAILY)
        place.schedule().set(old, False)
        killed(lambda new=new: place.schedule().set(new, False), at, after=True)
        place.schedule().set(old, False)
        place.check(old, is_on=True)


def test_pausing_ends_what_a_killed_release_wanted(place: Place) -> None:
    old, new = place.plan(0, DAILY), place.plan(1, DAILY)
    place.schedule().set(old, False)
    assert killed(lambda: place.schedule().set(new, False), 2, after=True)
    place.schedule().switch(on=False)
    place.schedule().set(new, False)
    place.check(new, is_on=False)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_done_and_killed_the_next_command_does_what_it_says(place: Place, seed: int) -> None:
    """Against a model of what the schedule should be: a version, a time, on or off."""
    chance = random.Random(seed)
    plan, is_on = place.plan(0, DAILY), True
    place.schedule().set(plan, False)
    for _ in range(12):
        wanted = place.plan(chance.randrange(3), chance.choice((DAILY, WEEKLY)))
        deed = chance.choice(("set", "set", "set", "pause", "resume"))
        deeds = {
            "set": lambda wanted=wanted: place.schedule().set(wanted, False),
            "pause": lambda: place.schedule().switch(on=False),
            "resume": lambda: place.schedule().switch(on=True),
        }
        if chance.random() < 0.7:
            killed(deeds[deed], chance.randint(1, 5), chance.random() < 0.5)
            assert place.kfp.most_enabled <= 1
        if deed != "set":  # what was killed may be half done: another command decides
            deeds[deed]()
            is_on = deed == "resume"
        place.schedule().set(wanted, False)
        plan = wanted
        place.check(plan, is_on)
