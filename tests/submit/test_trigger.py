import pytest

from components.errors import UserError
from components.orchestration.trigger import Trigger


@pytest.mark.parametrize(
    ("given", "cron"),
    [
        ("0 3 * * 1", "0 0 3 * * 1"),  # as in a crontab: KFP would read it as January
        ("30 0 3 * * MON-FRI", "30 0 3 * * MON-FRI"),
        ("  15   */6 * * * ", "0 15 */6 * * *"),
        ("@daily", "@daily"),
    ],
)
def test_a_cron_has_six_fields(given: str, cron: str) -> None:
    assert Trigger.of_cron(given) == Trigger(cron=cron)


@pytest.mark.parametrize("given", ["", "daily", "@every 1h", "0 3 * *", "0 0 3 * * 1 2026", "@ 1 2 3 4"])
def test_what_is_no_cron_is_refused(given: str) -> None:
    with pytest.raises(UserError, match="give five fields"):
        Trigger.of_cron(given)


@pytest.mark.parametrize("given", ["0 3 30 2 *", "0 0 3 31 feb,4 ?"])
def test_a_day_that_never_comes_is_refused(given: str) -> None:
    with pytest.raises(UserError, match="a day that no such month has"):
        Trigger.of_cron(given)


@pytest.mark.parametrize("given", ["0 3 29 2 *", "0 3 31 2,3 *", "0 3 31 2 MON", "0 3 30,1 2 *", "0 3 31 */2 *"])
def test_a_day_that_comes_seldom_is_taken(given: str) -> None:
    assert Trigger.of_cron(given).cron == f"0 {given}"


@pytest.mark.parametrize(
    ("given", "every_s", "told"),
    [("30m", 1_800, "every 30 minutes"), ("12h", 43_200, "every 12 hours"), ("7d", 604_800, "every week")],
)
def test_an_interval_has_a_unit(given: str, every_s: int, told: str) -> None:
    trigger = Trigger.of_interval(given)
    assert (trigger, str(trigger)) == (Trigger(every_s=every_s), told)


@pytest.mark.parametrize("given", ["", "1", "0h", "-1h", "1.5h", "1s", "1 h", "h", "1e3m"])
def test_what_is_no_interval_is_refused(given: str) -> None:
    with pytest.raises(UserError, match="like 30m or 1d"):
        Trigger.of_interval(given)


@pytest.mark.parametrize("trigger", [Trigger(cron="0 0 3 * * 1"), Trigger(every_s=3_600)])
@pytest.mark.parametrize("start", [None, "2026-01-31T03:00:00Z"])
def test_the_server_tells_what_was_written(trigger: Trigger, start: str | None) -> None:
    written = trigger.written(start)
    assert Trigger.read(written) == trigger
    assert [one.get("start_time") for one in written.values()] == [start]
