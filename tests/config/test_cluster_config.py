import json

import pytest
from pydantic import ValidationError

from components.cluster_config import BUILT_IN, Cluster
from components.schema import sentences


def _read(**section: object) -> Cluster:
    return Cluster.model_validate_json(json.dumps(section))


def _refused(**section: object) -> str:
    with pytest.raises(ValidationError) as refused:
        _read(**section)
    (sentence,) = sentences(refused.value, Cluster, json.loads(json.dumps(section)))
    assert "\n" not in sentence
    return sentence


def test_nothing_needs_to_be_said() -> None:
    settings = Cluster().settings("train")
    assert settings.cpu_ceiling == 2 * settings.cpu and settings.memory_ceiling == settings.memory
    assert settings.spot and not Cluster().settings("deploy").spot


def test_a_step_goes_before_the_defaults_and_those_before_what_is_built_in() -> None:
    cluster = _read(defaults={"memory": "3Gi", "retries": 1}, steps={"train": {"memory": "9Gi"}})
    assert cluster.settings("train").memory == "9Gi" and cluster.settings("train").retries == 1
    assert cluster.settings("evaluate").memory == "3Gi"
    assert cluster.settings("train").timeout_minutes == BUILT_IN["train"]["timeout_minutes"]


def test_what_a_step_says_of_nodes_adds_to_their_kind() -> None:
    kinds = {"spot": {"node_selector": {"kind": "spot"}}, "on_demand": {"node_selector": {"kind": "plain"}}}
    cluster = _read(**kinds, defaults={"node_selector": {"zone": "a"}}, steps={"train": {"spot": False}})
    assert cluster.nodes("compress").node_selector == {"kind": "spot", "zone": "a"}
    assert (
        cluster.nodes("train").node_selector == cluster.nodes("deploy").node_selector == {"kind": "plain", "zone": "a"}
    )


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ({"steps": {"trian": {}}}, "steps.trian is"),
        ({"steps": {"train": {"gpu": 1}}}, "did you mean gpus?"),
        ({"defaults": {"memory": "8GB"}}, 'defaults.memory is "8GB"'),
        ({"defaults": {"memory": "1.5Gi"}}, "it must match pattern"),
        ({"defaults": {"backoff_factor": 1.5}}, "it must be an integer"),
        ({"defaults": {"cpu": 0}}, "greater than or equal to 0.01"),
        ({"defaults": {"cpu_limit": 1}}, "preprocess would get a cpu_limit of 1.0 and cpu of 2.0"),
        ({"steps": {"train": {"memory_limit": "8000M"}}}, "train would get a memory_limit of 8000M and memory of 8Gi"),
        ({"steps": {"train": {"timeout_minutes": 1441}}}, "a run is ended after run_hours, 24; raise that"),
        ({"defaults": {"timeout_minutes": 61}, "run_hours": 1}, "defaults.timeout_minutes is 61, but a run"),
        ({"labels": {"step": "mine"}}, "labels has step, which is set already"),
        ({"labels": {"run": "mine"}}, "labels has run, which is set already"),
        ({"labels": {"pipeline/runid": "mine"}}, "which is set already"),
        ({"labels": {"a": "no spaces"}}, "must match pattern"),
        ({"spot": {"tolerations": [{"effect": "NoSchedule"}]}}, "write operator Exists"),
        ({"spot": {"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}}, "remove it"),
        ({"defaults": {"volumes": [{"path": "/data"}]}}, "/data has no source"),
        ({"defaults": {"volumes": [{"path": "/data", "claim": "a", "secret": "b"}]}}, "has claim and secret"),
        ({"defaults": {"volumes": [{"path": "/tmp/x", "claim": "a"}]}}, "/tmp is taken"),
        ({"defaults": {"volumes": [{"path": "/.cache", "claim": "a"}]}}, "/.cache is taken"),
        ({"defaults": {"volumes": [{"path": "/var", "claim": "a"}]}}, "path is /var, and /var/run/argo is taken"),
        ({"defaults": {"volumes": [{"path": "data", "claim": "a"}]}}, "must match pattern"),
        ({"defaults": {"volumes": [{"path": "/data", "claim": "tmp"}]}}, "tmp is what a volume of the pod is called"),
        ({"defaults": {"volumes": [{"path": "/data", "secret": "empty-1"}]}}, "empty-1 is what a volume of the pod"),
        ({"defaults": {"volumes": [{"path": f"/{n}", "claim": "a"} for n in "xy"]}}, "volumes names a twice"),
        ({"defaults": {"secrets": {"s": {"NOT GOOD": "key"}}}}, "must match pattern"),
        ({"registry": "https://registry.example.com/"}, "must match pattern"),
        ({"namespace": "Team"}, "must match pattern"),
    ],
)
def test_mistakes_are_told_in_one_sentence(section: dict[str, object], sentence: str) -> None:
    assert sentence in _refused(**section)
