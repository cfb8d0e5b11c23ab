"""The server on a work directory in a bucket of a real S3 server."""

import asyncio
import json
import time

import pytest

from components import artifacts
from components.serve import fleet as module
from components.serve.bucket_log import BucketWriter
from components.serve.limits import Limits
from components.storage.open import open_storage
from components.store import ModelStore
from tests.serve.small import deploy, predict


def _lines(address: str) -> list[bytes]:
    storage = open_storage(address)
    return [line for name in storage.names() for line in storage.read(name).splitlines()]


def test_versions_in_a_bucket_are_served_and_followed(start, low, high, s3_root: str) -> None:
    deploy(s3_root, "small", low)
    server = start("--work", s3_root, "--poll-s", 0.2)
    before = predict(server.url, [{"id": "a", "amount": 1.0, "count": 2}]).json()
    deploy(s3_root, "small", high)
    end_s = time.monotonic() + 60
    while predict(server.url, [{"id": "a", "amount": 1.0, "count": 2}]).json() == before and time.monotonic() < end_s:
        time.sleep(0.2)
    assert predict(server.url, [{"id": "a", "amount": 1.0, "count": 2}]).json() != before
    assert ModelStore(s3_root, "small").number("serving") == 2


def test_a_look_that_finds_nothing_new_reads_no_version(low, s3_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    deploy(s3_root, "small", low)
    fleet = module.Fleet(s3_root, [], [], None, Limits())

    async def scenario() -> None:
        await fleet.load(0.0)
        monkeypatch.setattr(module, "download", None)
        assert not await fleet._follow("small")

    asyncio.run(scenario())
    counters = fleet.slots["small"].counters
    fleet.close()
    assert counters.load_failures == 0


def test_a_log_in_a_bucket_is_read_as_one_in_a_folder(s3_root: str) -> None:
    writer = BucketWriter(f"{s3_root}/requests/m", 80_000)
    line = json.dumps({"time_s": 1.0, "version": 1, "instance": {"a": 1}, "prediction": 0.5}).encode() + b"\n"
    assert writer.write([line, line]) == 2 and _lines(f"{s3_root}/requests/m") == []
    writer.close()
    read = artifacts.read_requests(artifacts.request_log(s3_root, "m"), 10)
    assert [one["prediction"] for one in read] == [0.5, 0.5]


def test_a_log_in_a_bucket_stays_within_its_bound(s3_root: str) -> None:
    writer = BucketWriter(s3_root, 8_000)
    for number in range(40):
        assert writer.write([b"%d " % number + b"x" * 490 + b"\n"]) == 1
    writer.close()
    lines = _lines(s3_root)
    assert sum(map(len, lines)) < 8_000 and lines[-1].startswith(b"39 ")
    assert writer.write([b"x" * 1_001]) == 0, "larger than a file"


def test_lines_wait_while_the_bucket_is_away_and_are_dropped_when_there_is_no_room(
    s3_root: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = BucketWriter(s3_root, 8_000)
    asked = []
    with monkeypatch.context() as patch:
        patch.setattr(type(writer._storage), "write", lambda *_: asked.append(_) or _away())
        assert [writer.write([b"x" * 600]) for _ in range(3)] == [1, 0, 0]
        assert len(asked) == 1, "a bucket that is away is not asked for each line"
        writer.close()
    assert capsys.readouterr().err.count("cannot be logged") == 1
    writer.close()
    assert len(_lines(s3_root)) == 1


def _away(*_: object) -> None:
    raise ConnectionError("away")
