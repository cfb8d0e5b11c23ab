import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from components.config import ModelConfig
from components.orchestration import cluster_commands, compile
from components.orchestration.draw import DEFAULT_WORK, Draw
from components.orchestration.schedule import KEPT
from tests.kfp_server.answers import Object, stamp
from tests.kfp_server.server import API, KfpServer
from tests.submit.conftest import NAME, WORK, Command, compiled

DAY_S = 86_400


BASE: list[compile.Compiled] = []


@pytest.fixture(autouse=True)
def quick_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiles once: another configuration is only another name, but other resources are none."""

    def compiled_as(draw: Draw, config: ModelConfig, work: str | None, lock: Path | None) -> compile.Compiled:
        plain = config.model_copy(update={"cluster": type(config.cluster)()})
        if not BASE:
            BASE.append(compiled(draw, plain, WORK, lock))
        digest = hashlib.sha256(plain.to_json().encode()).hexdigest()[:12]
        return replace(BASE[0], version=f"{NAME}-{digest}", work=work or DEFAULT_WORK)

    monkeypatch.setattr(compile, "compile_pipeline", compiled_as)


def on(kfp: KfpServer) -> list[Object]:
    return [one for one in kfp.recurring.values() if one["status"] == "ENABLED"]


def version_of(kfp: KfpServer, recurring: Object) -> str:
    name: str = kfp.versions[recurring["pipeline_version_reference"]["pipeline_version_id"]]["name"]
    return name


def test_a_schedule_is_pinned_runs_once_at_a_time_and_catches_nothing_up(command: Command, kfp: KfpServer) -> None:
    done = command("schedule", "--cron", "0 3 * * 1")
    assert done.code == 0, done.err
    (one,), (version,) = kfp.recurring.values(), kfp.versions.values()
    reference = {"pipeline_id": version["pipeline_id"], "pipeline_version_id": version["pipeline_version_id"]}
    assert one["pipeline_version_reference"] == reference
    assert (one["max_concurrency"], one["no_catchup"], one["status"]) == ("1", True, "ENABLED")
    assert one["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * 1"}}
    assert (one["display_name"], kfp.experiments[one["experiment_id"]]["display_name"]) == (NAME, NAME)
    assert version["name"] in done.out and "at 0 0 3 * * 1, on" in done.out


def test_the_same_again_changes_nothing(command: Command, kfp: KfpServer) -> None:
    command("schedule", "--every", "1d")
    before, posts = dict(kfp.recurring), len(kfp.seen("POST"))
    assert "as before" in command("schedule", "--every", "1d").out
    assert "as before" in command("schedule").out
    assert (kfp.recurring, len(kfp.seen("POST")), kfp.seen("DELETE")) == (before, posts, [])


def test_a_release_moves_the_schedule_and_keeps_its_history(command: Command, kfp: KfpServer) -> None:
    command("schedule", "--cron", "0 3 * * *")
    (old,) = kfp.recurring
    ended, working = kfp.fire(old, kfp.now_s), kfp.fire(old, kfp.now_s + 60, "RUNNING")
    before = dict(kfp.runs)
    done = command("schedule", "--set", "train.epochs=3")
    assert done.code == 0 and "(new)" in done.out
    (new,) = on(kfp)
    assert version_of(kfp, new) != version_of(kfp, kfp.recurring[old])
    assert new["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * *", "a release keeps the time"
    assert kfp.recurring[old]["status"] == "DISABLED" and len(kfp.recurring) == 2, "no mark is left"
    assert kfp.most_enabled == 1
    assert kfp.runs == before and kfp.runs[working]["state"] == "RUNNING", "its run at work goes on"
    assert {kfp.runs[run]["experiment_id"] for run in (ended, working)} == {new["experiment_id"]}
    shown = command("schedule", "--list").out
    assert shown.index("on") < shown.index("superseded")
    assert "running" in shown and "none yet" in shown


def test_another_time_takes_the_place_of_the_one_before(command: Command, kfp: KfpServer) -> None:
    command("schedule", "--every", "1d")
    command("schedule", "--cron", "@weekly")
    (new,) = on(kfp)
    assert (new["trigger"]["cron_schedule"]["cron"], kfp.most_enabled, len(kfp.versions)) == ("@weekly", 1, 1)
    command("schedule", "--every", "12h")
    (new,) = on(kfp)
    assert new["trigger"]["periodic_schedule"]["interval_second"] == "43200"


def test_an_interval_goes_on_where_it_was(command: Command, kfp: KfpServer) -> None:
    """Else a release a day would keep a weekly schedule from ever starting a run."""
    command("schedule", "--every", "1w")
    (first,) = on(kfp)
    command("schedule", "--set", "train.epochs=3")
    (second,) = on(kfp)
    assert second["trigger"]["periodic_schedule"]["start_time"] == first["created_at"]
    command("schedule", "--set", "train.epochs=4")
    (third,) = on(kfp)
    assert third["trigger"]["periodic_schedule"]["start_time"] == first["created_at"]
    kfp.fire(third["recurring_run_id"], kfp.now_s + 7 * DAY_S)
    command("schedule", "--set", "train.epochs=5")
    (fourth,) = on(kfp)
    last = max(run["scheduled_at"] for run in kfp.runs.values())
    assert fourth["trigger"]["periodic_schedule"]["start_time"] == last


def test_what_the_clock_strikes_during_a_change_is_not_lost(command: Command, kfp: KfpServer) -> None:
    """The new one counts from before the old one was off, but not from before its last run."""
    command("schedule", "--cron", "0 3 * * *")
    (old,) = kfp.recurring
    command("schedule", "--set", "train.epochs=3")
    (new,) = on(kfp)
    start = new["trigger"]["cron_schedule"]["start_time"]
    assert kfp.recurring[old]["created_at"] < start < kfp.recurring[old]["updated_at"] < new["created_at"]
    kfp.fire(new["recurring_run_id"], kfp.now_s + DAY_S)
    command("schedule", "--set", "train.epochs=4")
    (newer,) = on(kfp)
    assert newer["trigger"]["cron_schedule"]["start_time"] == max(run["scheduled_at"] for run in kfp.runs.values())


def test_a_paused_schedule_stays_paused_through_releases(command: Command, kfp: KfpServer) -> None:
    command("schedule", "--every", "1d")
    assert "is paused" in command("schedule", "--pause").out
    assert not on(kfp)
    assert "paused; --resume lets it go on" in command("schedule", "--set", "train.epochs=3").out
    assert "paused" in command("schedule", "--every", "2d", "--set", "train.epochs=3").out
    assert not on(kfp)
    assert "is on" in command("schedule", "--resume").out
    (one,) = on(kfp)
    assert one["trigger"]["periodic_schedule"]["interval_second"] == str(2 * DAY_S)
    assert kfp.most_enabled == 1


def test_what_somebody_paused_in_the_ui_stays_paused(command: Command, kfp: KfpServer) -> None:
    command("schedule", "--every", "1d")
    command("schedule", "--set", "train.epochs=3")
    (one,) = on(kfp)
    one |= {"status": "DISABLED", "mode": "DISABLE"}
    command("schedule", "--set", "train.epochs=4")
    command("schedule", "--set", "train.epochs=4")
    assert not on(kfp)


def test_a_schedule_can_be_made_paused_and_resumed_with_a_change(command: Command, kfp: KfpServer) -> None:
    command("schedule", "--every", "1d", "--pause")
    assert len(kfp.recurring) == 1 and not on(kfp)
    command("schedule", "--every", "2d", "--resume")
    (one,) = on(kfp)
    assert one["trigger"]["periodic_schedule"]["interval_second"] == str(2 * DAY_S)
    command("schedule", "--every", "3d", "--pause")
    assert not on(kfp) and kfp.most_enabled == 1


def test_only_a_few_superseded_ones_stay(command: Command, kfp: KfpServer) -> None:
    command("schedule", "--every", "1d")
    (first,) = kfp.recurring
    run = kfp.fire(first, kfp.now_s, "RUNNING")
    for epochs in range(2, KEPT + 5):
        command("schedule", "--set", f"train.epochs={epochs}")
    assert len(kfp.recurring) == KEPT + 2, "one is on, and the first has a run at work"
    assert first in kfp.recurring and kfp.runs[run]["state"] == "RUNNING"
    kfp.runs[run]["state"] = "SUCCEEDED"
    command("schedule")
    assert first not in kfp.recurring and run in kfp.runs
    assert len(on(kfp)) == 1 == kfp.most_enabled


def test_removing_leaves_runs_and_waits_for_those_at_work(command: Command, kfp: KfpServer) -> None:
    command("schedule", "--every", "1d")
    (old,) = kfp.recurring
    ended = kfp.fire(old, kfp.now_s)
    command("schedule", "--set", "train.epochs=3")
    (new,) = on(kfp)
    working = kfp.fire(new["recurring_run_id"], kfp.now_s, "RUNNING")
    assert f"{new['recurring_run_id']} is off, but stays until its run has ended" in command("schedule", "--remove").out
    assert list(kfp.recurring) == [new["recurring_run_id"]] and not on(kfp)
    assert kfp.runs[working]["state"] == "RUNNING"
    kfp.runs[working]["state"] = "SUCCEEDED"
    assert "is removed" in command("schedule", "--remove").out
    assert not kfp.recurring and set(kfp.runs) == {ended, working}
    assert command("schedule", "--remove").code == 0


def test_others_in_the_experiment_are_left_alone(command: Command, kfp: KfpServer) -> None:
    command("schedule", "--every", "1d")
    (own,) = kfp.recurring.values()
    by_hand = {**own, "recurring_run_id": "by-hand", "display_name": "my own try"}
    kfp.recurring["by-hand"] = dict(by_hand)
    command("schedule", "--set", "train.epochs=3")
    command("schedule", "--pause")
    command("schedule", "--remove")
    assert kfp.recurring == {"by-hand": by_hand}


def test_more_than_one_that_is_on_is_mended(command: Command, kfp: KfpServer) -> None:
    """Two who make the first schedule at the same time cannot see each other."""
    command("schedule", "--every", "1d")
    (one,) = kfp.recurring.values()
    twin = {**one, "recurring_run_id": "twin", "created_at": stamp(kfp.tick())}
    kfp.recurring["twin"] = twin
    command("schedule", "--every", "1d")
    assert [found["recurring_run_id"] for found in on(kfp)] == ["twin"]


def test_another_who_was_faster_wins(command: Command, kfp: KfpServer) -> None:
    command("schedule", "--every", "1d")
    (one,) = kfp.recurring.values()

    def another(method: str, path: str) -> bool:
        if (method, path) == ("POST", f"{API}/recurringruns") and "twin" not in kfp.recurring:
            kfp.recurring["twin"] = {**one, "recurring_run_id": "twin", "created_at": stamp(kfp.tick())}
        return False

    kfp.lost = another  # right after our own was made
    command("schedule", "--set", "train.epochs=3")
    assert len(on(kfp)) == 1


def test_without_a_schedule_there_is_nothing_to_look_after(command: Command, kfp: KfpServer) -> None:
    for option in ("--pause", "--resume"):
        command("schedule", option).refused(f"there is no schedule {NAME}; make one with --cron or --every")
    assert f"there is no schedule {NAME}" in command("schedule", "--list").out
    assert command("schedule", "--remove").code == 0
    command("schedule").refused(f"there is no schedule {NAME} to move; make one")
    assert not kfp.versions, "nothing was uploaded in vain"


def test_mistakes_are_one_sentence(command: Command, bare: Command, kfp: KfpServer) -> None:
    command("schedule", "--cron", "daily").refused("--cron is 'daily'; give five fields")
    command("schedule", "--every", "1y").refused("--every is '1y'")
    command("schedule", "--every", "1d", "--list").refused("--list and --remove do not")
    command("schedule", "--cron", "0 3 * * 7").refused("cannot make a schedule", "not a supported format")
    bare("schedule", "--every", "1d", "--host", kfp.url).refused("must be in a bucket")
    assert not kfp.recurring


def test_the_account_is_handed_on_and_its_change_is_a_change(bare: Command, kfp: KfpServer) -> None:
    given = ("schedule", "--host", kfp.url, "--work", WORK, "--every", "1d")
    bare(*given)
    bare(*given, "--set", "cluster.service_account=trainer")
    (one,) = on(kfp)
    assert one["service_account"] == "trainer"
    bare(*given)
    (one,) = on(kfp)
    assert one["service_account"] == "pipeline-runner"


@pytest.mark.parametrize("code", [500, 403])
def test_a_refusal_in_the_middle_says_so_and_the_next_command_goes_on(
    command: Command, kfp: KfpServer, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_commands, "OUTAGE_S", 0.05)
    command("schedule", "--every", "1d")
    (old,) = kfp.recurring.values()
    posted: list[str] = []

    def refuse(method: str, path: str) -> int | None:
        if method == "POST" and path == f"{API}/recurringruns":
            posted.append(path)
            return code if len(posted) > 1 else None
        return None

    kfp.fault = refuse
    command("schedule", "--set", "train.epochs=3").refused("make a schedule")
    assert not on(kfp), "the old one was off already"
    assert "a change of it was killed" in command("schedule", "--list").out
    kfp.fault = lambda method, path: None
    command("schedule", "--set", "train.epochs=3")
    (new,) = on(kfp)
    assert new["recurring_run_id"] != old["recurring_run_id"] and len(kfp.recurring) == 2
