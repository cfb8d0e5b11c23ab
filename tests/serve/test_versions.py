"""Versions come and go while requests are answered: none is lost, none is answered by two versions."""

import shutil
import time

import httpx
import pytest

from components.store import ModelStore
from tests.serve.small import ROWS, Asking, add_version, deploy, metrics, predict, until

POLL = ("--poll-s", 0.05)


def _version(url: str, model: str = "small") -> str | None:
    return predict(url, ROWS, model).headers.get("model-version")


def test_switch_and_rollback_under_load(start, dear_low, dear_high, tmp_path) -> None:
    first = deploy(tmp_path, "small", dear_low)
    second = add_version(tmp_path, "small", dear_high)
    expected = {"1": dear_low.predict(ROWS), "2": dear_high.predict(ROWS)}
    store = ModelStore(tmp_path, "small")
    url = start("--work", tmp_path, *POLL).url
    with Asking(url) as asking:
        for version in (second, first, second, first):
            until(lambda: len(asking.answers) > 50)
            store.point("serving", version)
            until(lambda wanted=str(version.number): _version(url) == wanted)
            del asking.answers[: len(asking.answers) // 2]
    assert not asking.failures
    assert {version for version, _ in asking.answers} == {"1", "2"}
    for version, predictions in asking.answers:
        assert predictions == pytest.approx(expected[version], abs=1e-6), "the cache is its version's own"
    values = metrics(url)
    assert values['evergreen_switches_total{model="small"}'] == 4
    assert values['evergreen_version{model="small"}'] == 1
    assert values['evergreen_cache_hits_total{model="small"}'] > 0


def test_what_an_old_version_has_begun_it_ends(start, slow, low, tmp_path) -> None:
    deploy(tmp_path, "small", slow)
    url = start("--work", tmp_path, *POLL).url
    second = add_version(tmp_path, "small", low)
    with Asking(url, threads=6) as asking:
        until(lambda: len(asking.answers) > 5)
        ModelStore(tmp_path, "small").point("serving", second)
        until(lambda: sum(version == "2" for version, _ in asking.answers) > 5)
    assert not asking.failures
    expected = {"1": slow.predict(ROWS), "2": low.predict(ROWS)}
    for version, predictions in asking.answers:
        assert predictions == pytest.approx(expected[version], abs=1e-6)


def test_a_damaged_version_is_refused_and_the_old_one_goes_on(start, low, high, tmp_path) -> None:
    deploy(tmp_path, "small", low)
    server = start("--work", tmp_path, *POLL)
    damaged = add_version(tmp_path, "small", high)
    model = damaged.path / "serving" / "model.tflite"
    whole = model.read_bytes()
    model.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    pointer = tmp_path / "models" / "small" / "pointers" / "serving.json"
    pointer.write_text('{"version": 2}')
    failures = 'evergreen_load_failures_total{model="small"}'
    until(lambda: metrics(server.url)[failures] == 1)
    assert _version(server.url) == "1"
    log = (tmp_path / "server-0.log").read_text()
    assert "small: version 1 goes on answering, because" in log and "model.tflite is changed" in log
    assert metrics(server.url)[failures] == 1, "it is not tried again at each look"
    deploy(tmp_path, "small", high)
    until(lambda: _version(server.url) == "3")


@pytest.mark.parametrize("content", ["{", '{"version": 99}', '{"version": "x"}', "[]", ""])
def test_a_damaged_pointer_changes_nothing(start, low, high, tmp_path, content) -> None:
    deploy(tmp_path, "small", low)
    url = start("--work", tmp_path, *POLL).url
    pointer = tmp_path / "models" / "small" / "pointers" / "serving.json"
    pointer.write_text(content)
    until(lambda: metrics(url)['evergreen_load_failures_total{model="small"}'] > 0)
    assert _version(url) == "1"
    deploy(tmp_path, "small", high)
    until(lambda: _version(url) == "2")


def test_a_store_that_vanishes_changes_nothing(start, low, tmp_path) -> None:
    deploy(tmp_path / "work", "small", low)
    url = start("--work", tmp_path / "work", *POLL).url
    shutil.rmtree(tmp_path / "work" / "models")
    time.sleep(0.3)
    assert _version(url) == "1"
    assert httpx.get(f"{url}/v2/health/ready").status_code == 200


def test_several_models_and_one_that_comes_later(start, low, high, slow, tmp_path) -> None:
    deploy(tmp_path, "one", low)
    deploy(tmp_path, "two", high)
    url = start("--work", tmp_path, *POLL).url
    assert predict(url, ROWS, "one").json()["predictions"] == pytest.approx(low.predict(ROWS), abs=1e-6)
    assert predict(url, ROWS, "two").json()["predictions"] == pytest.approx(high.predict(ROWS), abs=1e-6)
    deploy(tmp_path, "three", high)
    until(lambda: predict(url, ROWS, "three").status_code == 200)
    assert httpx.get(f"{url}/v1/models").json() == {"models": ["one", "three", "two"]}
    deploy(tmp_path, "two", low)
    until(lambda: _version(url, "two") == "2")
    assert _version(url, "one") == "1"


def test_only_the_named_model(start, low, high, tmp_path) -> None:
    deploy(tmp_path, "one", low)
    deploy(tmp_path, "two", high)
    url = start("--work", tmp_path, "--model", "two", *POLL).url
    assert httpx.get(f"{url}/v1/models").json() == {"models": ["two"]}


def test_folders_as_kserve_mounts_them(start, low, high, tmp_path) -> None:
    version = deploy(tmp_path / "work", "small", high)
    shutil.copytree(version.path, tmp_path / "mnt" / "models")
    url = start("--folder", f"mounted={tmp_path / 'mnt' / 'models'}", "--folder", f"alone={low.folder}").url
    mounted, alone = predict(url, ROWS, "mounted"), predict(url, ROWS, "alone")
    assert mounted.json()["predictions"] == pytest.approx(high.predict(ROWS), abs=1e-6)
    assert alone.json()["predictions"] == pytest.approx(low.predict(ROWS), abs=1e-6)
    assert mounted.headers["model-version"] == "1" and "model-version" not in alone.headers
    assert httpx.get(f"{url}/v2/models/alone").json()["versions"] == []
    assert not (tmp_path / "requests").exists()


def test_memory_stays_flat_over_switches(start, low, high, tmp_path) -> None:
    versions = [deploy(tmp_path, "small", low), add_version(tmp_path, "small", high)]
    server = start("--work", tmp_path, "--poll-s", 0.02)
    store = ModelStore(tmp_path, "small")

    def switch(times: int) -> int:
        for turn in range(times):
            version = versions[(turn + 1) % 2]
            store.point("serving", version)
            until(lambda wanted=str(version.number): _version(server.url) == wanted)
        return server.memory_bytes()

    after_some = switch(6)
    assert switch(12) < after_some + 4_000_000
