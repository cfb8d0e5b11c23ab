"""The alerts speak of metrics that the server has, and fire when they should."""

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from components.serve.counters import Counters
from components.serve.fleet import Slot
from components.serve.metrics import Metrics
from tests.manifests.found import Object, one

SERVE = Path(__file__).parents[2] / "components" / "serve"
FOREIGN = {"up", "kube_cronjob_status_last_successful_time"}
"""Metrics of Prometheus itself and of kube-state-metrics."""
BY_PROMETHEUS = {"namespace", "service", "pod", "app_kubernetes_io_name", "le"}
CASES = [Path(__file__).with_name(name) for name in ("alerts_test.yaml", "alerts_days_test.yaml")]


def groups(base: list[Object]) -> list[Object]:
    return one(base, "PrometheusRule", "evergreen-serving")["spec"]["groups"]


def rules(base: list[Object]) -> list[Object]:
    return [rule for group in groups(base) for rule in group["rules"]]


def exported() -> dict[str, set[str]]:
    """The labels of every series that a server tells of, by its name."""
    model: Any = SimpleNamespace(
        version=1,
        trained_until=0,
        batcher=SimpleNamespace(waiting=0),
        cache={},
        cost=SimpleNamespace(one_s=0.0, joins=False, blocks=False),
        unseen=lambda: {"carrier": 1},
    )
    counters = Counters()
    counters.refused["bad_request"] += 1
    slot = Slot(model, SimpleNamespace(), counters, 0.0, {"carrier": 0})  # type: ignore[arg-type]
    told = Metrics(SimpleNamespace(slots={"flights": slot}), Counter()).text()  # type: ignore[arg-type]
    samples = [sample for family in text_string_to_metric_families(told.decode()) for sample in family.samples]
    return {sample.name: {*sample.labels} for sample in samples}


def test_every_metric_is_one_that_the_server_has(base: list[Object]) -> None:
    series = exported()
    assert {"evergreen_request_seconds_bucket", "evergreen_data_age_seconds"} <= set(series)
    recorded = {rule["record"] for rule in rules(base) if "record" in rule}
    used = set()
    for rule in rules(base):
        plain = re.sub(r'"[^"]*"', '""', rule["expr"])
        names = set(re.findall(r"\b(?:evergreen[a-z0-9_:]*|up|kube_[a-z_]+)\b", plain))
        assert names and names <= set(series) | recorded | FOREIGN, rule
        used |= names
    assert used >= recorded, "a figure that no alert looks at"


def test_every_label_is_one_that_the_series_have(base: list[Object]) -> None:
    labels = BY_PROMETHEUS | {label for names in exported().values() for label in names}
    for rule in rules(base):
        grouped = re.findall(r"(?:by|on|ignoring) \(([^)]*)\)", rule["expr"])
        matched = re.findall(r"[{,] *([a-z_]+) *=", rule["expr"])
        named = {name.strip() for group in grouped for name in group.split(",")} | set(matched)
        assert named <= labels | {"cronjob"}, rule
        for text in rule.get("annotations", {}).values():
            assert set(re.findall(r"\$labels\.([a-z_]+)", text)) <= labels, rule


def test_every_kind_of_refusal_is_one_that_the_server_has(base: list[Object]) -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in SERVE.glob("*.py"))
    kinds = {
        kind
        for rule in rules(base)
        for pattern in re.findall(r'kind=~?"([^"]*)"', rule["expr"])
        for kind in pattern.split("|")
    }
    assert kinds == {"internal", "overloaded", "timeout", "connections", "bad_request"}
    assert all(f'"{kind}"' in code for kind in kinds)


def test_latency_errors_drift_and_staleness_have_an_alert_each(base: list[Object]) -> None:
    alerting = {group["name"] for group in groups(base) if any("alert" in rule for rule in group["rules"])}
    assert alerting == {f"evergreen-{what}" for what in ("latency", "errors", "drift", "staleness")}
    for rule in (rule for rule in rules(base) if "alert" in rule):
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}


def test_thresholds_of_latency_are_bounds_of_the_histogram(base: list[Object]) -> None:
    from components.serve.counters import SECONDS

    (alert,) = [rule for rule in rules(base) if rule.get("alert") == "EvergreenLatencyHigh"]
    assert float(alert["expr"].rpartition(">")[2]) in SECONDS, "between two bounds a quantile is a guess"


def test_alerts_fire_when_they_should_and_only_then(base: list[Object], tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: no alert was made to fire; apt-get install prometheus")
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups(base)}))
    for case in CASES:
        shutil.copy(case, tmp_path)
    command = [promtool, "test", "rules", *(case.name for case in CASES)]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_alert_is_made_to_fire(base: list[Object]) -> None:
    tests = [test for case in CASES for test in yaml.safe_load(case.read_text(encoding="utf-8"))["tests"]]
    fired = {each["alertname"] for test in tests for each in test["alert_rule_test"] if each.get("exp_alerts")}
    assert fired == {rule["alert"] for rule in rules(base) if "alert" in rule}
