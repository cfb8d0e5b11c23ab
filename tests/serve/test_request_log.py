"""A sample of the requests is kept: whole, bounded, and never at the cost of an answer."""

import errno
import json
import random
import time
from pathlib import Path

import httpx
import pytest

from components import artifacts
from components.serve.counters import Counters
from components.serve.request_log import RequestLog
from tests.serve.small import INSTANCE, ROWS, deploy, metrics, predict, until


def _lines(folder: Path) -> list[dict]:
    return artifacts.read_requests(folder, 10**9)


def _log(folder: Path, share: float, max_bytes: int = 10**7) -> tuple[RequestLog, Counters]:
    counters = Counters()
    return RequestLog(folder, share, max_bytes, counters), counters


def test_what_came_is_logged_without_what_is_missing(start, low, tmp_path) -> None:
    deploy(tmp_path, "small", low, log_share=1.0)
    server = start("--work", tmp_path)
    before_s = time.time()
    predictions = predict(server.url, ROWS).json()["predictions"]
    columns = {"inputs": {"amount": [1.5], "when": ["2013-01-31T17:05:00"]}}
    httpx.post(f"{server.url}/v1/models/small:predict", json=columns)
    tensor = {"name": "carrier", "shape": [1], "datatype": "BYTES", "data": ["UA"]}
    httpx.post(f"{server.url}/v2/models/small/infer", json={"inputs": [tensor]})
    predict(server.url, [{"amount": "wrong"}])
    server.stop()
    lines = _lines(artifacts.request_log(tmp_path, "small"))
    present = [{name: value for name, value in row.items() if value is not None} for row in ROWS]
    more = [{"amount": 1.5, "when": "2013-01-31T17:05:00"}, {"carrier": "UA"}]
    assert [line["instance"] for line in lines] == present + more
    assert [line["prediction"] for line in lines[: len(ROWS)]] == predictions
    assert {line["version"] for line in lines} == {1}
    assert all(before_s - 1 < line["time_s"] < time.time() + 1 for line in lines)


@pytest.mark.parametrize("share", [0.01, 0.3, 1.0])
def test_the_share_is_kept_whatever_the_size_of_requests(tmp_path, share) -> None:
    log, counters = _log(tmp_path, share)
    random.seed(3)
    instances = 0
    while instances < 20_000:
        size = random.choice([1, 1, 1, 7, 64])
        log.sample(1, [0.5] * size, lambda index, first=instances: {"number": first + index})
        instances += size
    log.close()
    numbers = [line["instance"]["number"] for line in _lines(tmp_path)]
    assert len(numbers) == counters.logged == pytest.approx(share * instances, rel=0.2)
    assert numbers == sorted(set(numbers)), "each once, in their order"
    third = sum(number < instances / 3 for number in numbers)
    assert third == pytest.approx(len(numbers) / 3, rel=0.3)


def test_nothing_is_logged_without_a_share(tmp_path) -> None:
    log, _ = _log(tmp_path, 0.0)
    log.sample(1, [0.5] * 1000, lambda index: pytest.fail("asked for an instance"))
    log.close()
    assert not list(tmp_path.iterdir())


def test_the_oldest_lines_go(tmp_path) -> None:
    log, counters = _log(tmp_path, 1.0, max_bytes=80_000)
    for number in range(4000):
        log.sample(1, [0.5], lambda _, number=number: {"number": number})
        if number % 500 == 0:
            time.sleep(0.3)
            assert sum(path.stat().st_size for path in tmp_path.glob("*.jsonl")) <= 80_000
    log.close()
    numbers = [line["instance"]["number"] for line in _lines(tmp_path)]
    assert numbers[-1] == 3999 and numbers == list(range(numbers[0], 4000))
    assert 500 < len(numbers) < 1500
    assert counters.logged == 4000


def test_a_line_larger_than_a_file_is_dropped_and_counted(tmp_path) -> None:
    log, counters = _log(tmp_path, 1.0, max_bytes=80_000)
    log.sample(1, [0.5], lambda _: {"text": "x" * 20_000})
    log.sample(1, [0.5], lambda _: {"text": "short"})
    log.close()
    assert [line["instance"]["text"] for line in _lines(tmp_path)] == ["short"]
    assert (counters.logged, counters.log_dropped) == (1, 1)


def test_a_disk_that_fails_costs_lines_and_no_answers(start, low, tmp_path) -> None:
    deploy(tmp_path, "small", low, log_share=1.0)
    (tmp_path / "requests").write_text("a file where the folder should be")
    server = start("--work", tmp_path)
    for _ in range(3):
        assert predict(server.url, ROWS).status_code == 200
    until(lambda: metrics(server.url)['evergreen_log_dropped_total{model="small"}'] == 3 * len(ROWS))
    (tmp_path / "requests").unlink()
    predict(server.url, ROWS)
    until(lambda: metrics(server.url)['evergreen_logged_total{model="small"}'] == len(ROWS))
    assert (tmp_path / "server-0.log").read_text().count("requests cannot be logged") == 1


def test_a_slow_disk_drops_lines_instead_of_memory(tmp_path, monkeypatch) -> None:
    log, counters = _log(tmp_path, 1.0, max_bytes=10**9)
    monkeypatch.setattr(log._writer, "write", lambda lines: time.sleep(30))
    started_s = time.perf_counter()
    for _ in range(200):
        log.sample(1, [0.5] * 10, lambda _: {"text": "x" * 10_000})
    assert time.perf_counter() - started_s < 5
    assert counters.log_dropped > 1000


def test_a_full_disk_leaves_no_empty_files(tmp_path, monkeypatch, capsys) -> None:
    def full(line: bytes) -> None:
        log._writer._next_file()
        raise OSError(errno.ENOSPC, "No space left on device")

    log, counters = _log(tmp_path, 1.0)
    monkeypatch.setattr(log._writer, "_append", full)
    for _ in range(3):
        log.sample(1, [0.5], lambda _: INSTANCE)
        time.sleep(0.3)
    log.close()
    assert counters.log_dropped == 3 and not list(tmp_path.iterdir())
    assert capsys.readouterr().err.count("No space left on device") == 1


def test_a_quiet_server_goes_on_where_a_busy_one_deleted_its_file(tmp_path) -> None:
    (quiet, counters), (busy, _) = _log(tmp_path, 1.0, 80_000), _log(tmp_path, 1.0, 80_000)
    quiet.sample(1, [0.5], lambda _: {"quiet": 0})
    until(lambda: counters.logged == 1)
    for number in range(3000):
        busy.sample(1, [0.5], lambda _, number=number: {"busy": number})
    busy.close()
    assert not any("quiet" in line["instance"] for line in _lines(tmp_path))
    for number in range(1, 51):
        quiet.sample(1, [0.5], lambda _, number=number: {"quiet": number})
    quiet.close()
    found = [line["instance"]["quiet"] for line in _lines(tmp_path) if "quiet" in line["instance"]]
    assert found == list(range(1, 51)) and counters.logged == 51


def test_a_file_that_another_server_deletes_is_no_error(tmp_path, monkeypatch) -> None:
    (tmp_path / "1.jsonl").symlink_to(tmp_path / "gone")  # found by glob, and not there when asked for its size
    log, counters = _log(tmp_path, 1.0)
    log.sample(1, [0.5], lambda _: INSTANCE)
    log.close()
    assert (counters.logged, counters.log_dropped) == (1, 0)


@pytest.mark.parametrize("share", [1e-17, 1e-300, 5e-324])
def test_the_smallest_shares_log_nothing(tmp_path, share) -> None:
    log, counters = _log(tmp_path, share)
    log.sample(1, [0.5] * 1000, lambda _: INSTANCE)
    log.close()
    assert counters.logged == 0


def test_two_servers_share_a_folder(tmp_path) -> None:
    first, second = _log(tmp_path, 1.0)[0], _log(tmp_path, 1.0)[0]
    for log in (first, second):
        log.sample(1, [0.5], lambda _: INSTANCE)
        log.close()
    assert len(_lines(tmp_path)) == 2
    assert all(json.loads(path.read_text())["instance"] == INSTANCE for path in tmp_path.glob("*.jsonl"))
