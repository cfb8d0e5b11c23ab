import json
import threading
import time
from types import SimpleNamespace

import pytest

from components.cleanup import sweep as module
from components.cleanup.sweep import MARK, sweeping, wait_for_sweep
from components.errors import UserError
from components.storage.open import open_storage
from components.storage.process import this_process


def mark(**changed):
    known = {**this_process(), "owner": "other", "heartbeat_s": time.time()}
    return json.dumps(known | changed).encode()


def put(storage, content):
    before = storage.cell(MARK)
    assert storage.swap(MARK, content, before and before.tag)


@pytest.fixture
def storage(work):
    return open_storage(work.path)


def test_one_cleanup_is_at_work_at_a_time(work, storage):
    work.outputs(86_400.0)
    with sweeping(storage), pytest.raises(UserError, match="another cleanup is at work"):
        work.clean_up()
    assert len(work.clean_up().freed) == 1


@pytest.mark.parametrize(
    "left",
    [
        mark(pid=2**22 + 1),
        mark(machine="elsewhere", heartbeat_s=time.time() - 86_400),
        mark(machine="elsewhere", heartbeat_s=time.time() + 86_400),
        b"{",
        b"{}",
        b"[]",
    ],
)
def test_a_mark_that_a_killed_cleanup_left_is_taken_over(storage, left):
    put(storage, left)
    wait_for_sweep(storage)
    with sweeping(storage):
        pass


def test_a_cleanup_elsewhere_is_respected_while_its_heart_beats(storage):
    put(storage, mark(machine="elsewhere", heartbeat_s=time.time() - 14 * 60))
    with pytest.raises(UserError, match="another cleanup"), sweeping(storage):
        pass


def test_a_run_waits_until_the_cleanup_has_ended(storage):
    ended = threading.Event()
    waiting = threading.Thread(target=lambda: (wait_for_sweep(storage), ended.set()), daemon=True)
    with sweeping(storage):
        waiting.start()
        assert not ended.wait(0.5)
    assert ended.wait(30)


def test_a_cleanup_that_stood_still_too_long_deletes_nothing_more(storage):
    with sweeping(storage) as sweep:
        sweep.check()
        put(storage, mark())
        with pytest.raises(UserError, match="another cleanup took over"):
            sweep.check()
    assert json.loads(storage.cell(MARK).content)["owner"] == "other", "the other's mark is not given back"


def test_the_heart_beats_while_a_cleanup_is_at_work(storage, monkeypatch):
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.01)
    with sweeping(storage):
        first = storage.cell(MARK).content
        end_s = time.monotonic() + 30
        while storage.cell(MARK).content == first and time.monotonic() < end_s:
            time.sleep(0.01)
        assert storage.cell(MARK).content != first


def test_a_run_that_waits_says_so(storage, capsys, monkeypatch):
    monkeypatch.setattr(module.time, "sleep", lambda _: put(storage, b"{}"))
    put(storage, mark())
    wait_for_sweep(storage)
    assert "waiting until the cleanup" in capsys.readouterr().err


def test_a_cleanup_whose_clock_is_wrong_deletes_nothing(storage, monkeypatch):
    now = time.time
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: now() + 3600, sleep=time.sleep))
    with pytest.raises(UserError, match=r"are 3[56]\d\d s apart; set it"), sweeping(storage):
        pass
    assert storage.cell(MARK).content == b"{}\n"
