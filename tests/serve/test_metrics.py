"""What Prometheus is told agrees with what happened."""

import shutil
import time

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from components.serve.histogram import Histogram
from tests.serve.small import INSTANCE, ROWS, TRAINED_UNTIL, deploy, metrics, predict, until


def test_values(start, low, tmp_path) -> None:
    deploy(tmp_path, "small", low, cache_entries=0)
    url = start("--work", tmp_path).url
    for _ in range(3):
        predict(url, ROWS)
    predict(url, [{"carrier": "new"}, {"carrier": "UA"}, {}])
    predict(url, [{"amount": "x"}])
    httpx.post(f"{url}/v1/models/small:predict", content=b"{")
    httpx.get(f"{url}/nowhere")
    httpx.get(f"{url}/v1/models/small:predict")
    values = metrics(url)
    assert values['evergreen_instances_total{model="small"}'] == 3 * len(ROWS) + 3
    assert values['evergreen_request_seconds_count{model="small"}'] == 4
    assert 0 < values['evergreen_request_seconds_sum{model="small"}'] < 2
    assert values['evergreen_batch_rows_sum{model="small"}'] == 3 * len(ROWS) + 3
    assert values['evergreen_batch_rows_bucket{le="4",model="small"}'] == 1
    assert values['evergreen_requests_refused_total{kind="bad_request",model="small"}'] == 2
    assert values['evergreen_requests_refused_total{kind="not_found",model=""}'] == 1
    assert values['evergreen_requests_refused_total{kind="method",model=""}'] == 1
    assert values['evergreen_unseen_values_total{feature="carrier",model="small",version="1"}'] == 4
    assert values['evergreen_version{model="small"}'] == 1
    assert values['evergreen_data_age_seconds{model="small"}'] == pytest.approx(time.time() - TRAINED_UNTIL, abs=60)
    assert values['evergreen_queue_requests{model="small"}'] == 0
    assert 0 < values['evergreen_row_cost_seconds{model="small"}'] < 0.01
    assert values["process_resident_memory_bytes"] < 150_000_000


def test_unseen_values_are_a_share_of_the_predicted_rows(start, dear_low) -> None:
    url = start("--folder", f"small={dear_low.folder}").url
    for _ in range(20):
        predict(url, [{**INSTANCE, "carrier": "nobody knows"}])
    predict(url, ROWS)
    values = metrics(url)
    assert values['evergreen_predicted_rows_total{model="small",version=""}'] == 6
    assert values['evergreen_unseen_values_total{feature="carrier",model="small",version=""}'] == 2


def test_each_version_has_its_own_share(start, low, high, tmp_path) -> None:
    deploy(tmp_path, "small", low, cache_entries=0)
    url = start("--work", tmp_path, "--poll-s", 0.05).url
    predict(url, [{"carrier": "new"}] * 3)
    deploy(tmp_path, "small", high, cache_entries=0)
    until(lambda: metrics(url)['evergreen_version{model="small"}'] == 2)
    predict(url, [{"carrier": "new"}, {"carrier": "UA"}])
    values = metrics(url)
    assert values['evergreen_predicted_rows_total{model="small",version="2"}'] == 2
    assert values['evergreen_unseen_values_total{feature="carrier",model="small",version="2"}'] == 1


def test_what_warming_up_met_is_not_unseen(start, low, tmp_path) -> None:
    folder = shutil.copytree(low.folder, tmp_path / "small")
    (folder / "vocabulary" / "carrier.json").write_text('{"tokens": [], "counts": []}')
    url = start("--folder", f"small={folder}").url
    assert metrics(url)['evergreen_unseen_values_total{feature="carrier",model="small",version=""}'] == 0
    predict(url, [INSTANCE])
    assert metrics(url)['evergreen_unseen_values_total{feature="carrier",model="small",version=""}'] == 1


def test_prometheus_can_read_it(server) -> None:
    predict(server.url, [INSTANCE])
    answer = httpx.get(f"{server.url}/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert families["evergreen_request_seconds"].type == "histogram"
    assert all(family.documentation for family in families.values())


def test_a_histogram_counts_up_to_its_bounds() -> None:
    histogram = Histogram((1, 2, 4))
    for value in (0.5, 1, 1.5, 4, 100):
        histogram.add(value)
    assert histogram.cumulative() == [("1", 2.0), ("2", 3.0), ("4", 4.0), ("+Inf", 5.0)]
    assert histogram.total == 107
