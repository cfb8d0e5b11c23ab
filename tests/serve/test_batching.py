"""How requests reach the model is decided by what a prediction costs."""

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from components.serve.cost import Cost
from tests.serve.small import INSTANCE, deploy, metrics, predict


def test_a_shared_call_must_save_more_than_it_costs() -> None:
    assert Cost(one_s=30e-6, row_s=3e-6, join_s=1e-6).joins
    assert not Cost(one_s=30e-6, row_s=30e-6, join_s=1e-6).joins, "rows cost the same together and alone"
    assert not Cost(one_s=5e-6, row_s=1e-6, join_s=5e-6).joins, "joining costs more than a row"
    assert Cost(one_s=5e-3, row_s=5e-3, join_s=0).blocks
    assert Cost(one_s=30e-6, row_s=3e-6, join_s=0).rows_in_a_pass == 657
    assert Cost(one_s=30e-6, row_s=3e-6, join_s=0).of(11) == pytest.approx(60e-6)


def test_a_slow_model_predicts_in_a_thread_what_gathers_meanwhile(start, slow, tmp_path) -> None:
    deploy(tmp_path, "small", slow, cache_entries=0)
    url = start("--work", tmp_path).url
    assert metrics(url)['evergreen_in_thread{model="small"}'] == 1
    instances = [{**INSTANCE, "amount": float(amount)} for amount in range(48)]
    expected = slow.predict(instances)
    barrier = threading.Barrier(16)

    def ask(start: int) -> list[float]:
        with httpx.Client(base_url=url, timeout=30) as client:
            client.get("/healthz")
            barrier.wait()
            own = range(start, 48, 16)
            return [
                client.post("/v1/models/small:predict", json={"instances": [instances[index]]}).json()["predictions"][0]
                for index in own
            ]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(16)))
    for start_index, found in enumerate(answers):
        assert found == pytest.approx(expected[start_index::16], abs=1e-6), "everybody gets the answer to his question"
    values = metrics(url)
    assert values['evergreen_batch_rows_sum{model="small"}'] == 48
    assert values['evergreen_batch_rows_count{model="small"}'] < 40


def test_many_instances_of_a_fast_model_are_predicted_in_a_thread(start, low, tmp_path) -> None:
    deploy(tmp_path, "small", low, max_instances=20_000)
    url = start("--work", tmp_path).url
    instances = [{**INSTANCE, "amount": float(amount)} for amount in range(10_000)]
    answer = predict(url, instances)
    assert answer.json()["predictions"] == pytest.approx(low.predict(instances), abs=1e-6)


def test_a_lone_request_is_not_held_back(server) -> None:
    """Joining waits for no timer: one after the other, requests take what they took alone."""
    with httpx.Client(base_url=server.url) as client:
        before = metrics(server.url)
        for amount in range(200):
            client.post("/v1/models/small:predict", json={"instances": [{"amount": 1000.0 + amount}]})
        after = metrics(server.url)
    name = 'evergreen_request_seconds_%s{model="small"}'
    requests = after[name % "count"] - before[name % "count"]
    assert requests == 200
    assert (after[name % "sum"] - before[name % "sum"]) / requests < 0.002
