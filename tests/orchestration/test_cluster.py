"""What the pods of a compiled pipeline ask for, and that it is no reason to run a step again."""

import copy
import json
import re
import warnings
from pathlib import Path
from typing import get_args

import pytest
import yaml
from kfp.compiler import Compiler

import pipeline
from components.cluster_config import BUILT_IN, Cluster, StepName, StepSettings
from components.config import STEP_CONFIGS, load
from components.orchestration.cluster import label_value
from components.orchestration.images import carried_files, image
from tests.orchestration.compiled import GOLDEN, Object, compiled, containers, documents, summary, tasks
from tests.orchestration.quick import Plant

ROOT = Path(__file__).parents[2]
MODELS = [*sorted(path.parent for path in (ROOT / "models").glob("*/model.yaml")), GOLDEN]
PLAIN = {
    "name": "small",
    "data": {"columns": {"x": "float", "late": "integer"}, "label": "late", "task": "binary"},
    "features": [{"name": "x", "kind": "numeric", "column": "x"}],
    "ingest": {"source": "s3://bucket/*.csv"},
}
# Each key of the section with another value than the built-in one; not registry and claims, which KFP's key holds.
CHANGES = {
    "work_uri": "s3://bucket/elsewhere",
    "namespace": "team",
    "service_account": "trainer",
    "image_pull_secrets": "[registry]",
    "labels": "{cost-center: '7'}",
    "run_hours": "3",
    "spot": "{node_selector: {kind: spot}}",
    "on_demand": "{node_selector: {kind: on-demand}}",
    "steps": "{train: {cpu: 8}}",
    "defaults.cpu": "8",
    "defaults.cpu_limit": "16",
    "defaults.memory": "64Gi",
    "defaults.memory_limit": "64Gi",
    "defaults.gpus": "1",
    "defaults.accelerator": "amd.com/gpu",
    "defaults.node_selector": "{pool: large}",
    "defaults.tolerations": "[{operator: Exists}]",
    "defaults.spot": "false",
    "defaults.retries": "9",
    "defaults.backoff_s": "7",
    "defaults.backoff_factor": "3",
    "defaults.timeout_minutes": "7",
    "defaults.tmp": "1Gi",
    "defaults.secrets": "{mine: {AWS_PROFILE: profile}}",
    "defaults.config_maps": "{mine: {TF_CPP_MIN_LOG_LEVEL: level}}",
    "defaults.volumes": "[{secret: keys, path: /keys}, {config_map: ca, path: /ca}, {empty_dir: 1Gi, path: /more}]",
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    (folder / "model.yaml").write_text(yaml.safe_dump(PLAIN))
    return folder


@pytest.fixture(scope="module")
def lock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lock") / "images.lock"
    addresses = {image(step): f"registry.example.com/evergreen-python-{step}@sha256:{'0' * 64}" for step in BUILT_IN}
    path.write_text(json.dumps(addresses))
    return path


def test_the_compiled_pipeline_is_as_it_was() -> None:
    """`python -m tests.orchestration.compiled` writes the file anew, when the change is meant."""
    assert summary(compiled(GOLDEN)) == (GOLDEN / "pipeline.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)
@pytest.mark.parametrize("locked", [False, True], ids=["by hash", "by digest"])
def test_every_executor_has_limits_labels_retries_a_timeout_and_a_pinned_image(
    folder: Path, locked: bool, lock: Path
) -> None:
    found = containers(compiled(folder, lock=lock if locked else None))
    pinned = r".+@sha256:[0-9a-f]{64}" if locked else r".*evergreen-python-[a-z]+:[0-9a-f]{12}"
    assert set(found) >= set(BUILT_IN) - {"predict"}
    for step, one in found.items():
        assert re.fullmatch(pinned, one["container"]["image"]), step
        resources = one["container"]["resources"]
        assert all(resources[f"resource{what}"] for what in ("CpuRequest", "CpuLimit", "MemoryRequest", "MemoryLimit"))
        labels = one["kubernetes"]["podMetadata"]["labels"]
        assert labels["step"] == step and labels["model"] and labels["owner"]
        assert labels["run"] == "{{workflow.uid}}", "KFP writes the run's id there"
        assert one["kubernetes"]["fieldPathAsEnv"][0]["fieldPath"] == "metadata.labels['pipeline/runid']"
        assert one["retry"]["maxRetryCount"] > 0 and one["retry"]["backoffDuration"] != "0s"
        assert int(one["kubernetes"]["activeDeadlineSeconds"]) > 0
        assert {"volumeName": "tmp", "mountPath": "/tmp"}.items() <= one["kubernetes"]["emptyDirMounts"][0].items()
        assert one["kubernetes"]["securityContext"] == {"runAsNonRoot": True}


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)
def test_what_runs_long_is_retried_all_the_same(folder: Path) -> None:
    """Argo counts `maxDuration` from the first attempt's start, and takes whole numbers as factors only."""
    found = compiled(folder)
    limit_s = documents(found)[1]["pipelineConfig"]["activeDeadlineSeconds"]
    for one in containers(found).values():
        assert one["retry"]["backoffMaxDuration"] == f"{limit_s}s"
        assert one["retry"]["backoffFactor"] == int(one["retry"]["backoffFactor"])


def test_steps_that_survive_preemption_run_on_spot_nodes_and_deploy_does_not() -> None:
    found = containers(compiled(GOLDEN))
    spot = {
        step
        for step, one in found.items()
        if "cloud.google.com/gke-spot" in one["kubernetes"]["nodeSelector"]["labels"]
    }
    assert spot == set(found) - {"resolve", "deploy", "finish"}
    for step, one in found.items():
        taints = [toleration["key"] for toleration in one["kubernetes"].get("tolerations", [])]
        assert ("cloud.google.com/gke-spot" in taints) == (step in spot)


def test_without_spot_nodes_no_node_is_chosen(plain: Path) -> None:
    for one in containers(compiled(plain)).values():
        assert not {"nodeSelector", "tolerations"} & set(one["kubernetes"])


def test_the_list_of_changes_is_complete() -> None:
    keys = set(Cluster.model_fields) | {f"defaults.{key}" for key in StepSettings.model_fields}
    assert set(CHANGES) == keys - {"registry", "defaults"}
    assert set(get_args(StepName)) == set(BUILT_IN) == {*STEP_CONFIGS, "compress"}


def _keyed(specification: Object) -> Object:
    """What KFP's backend makes the key of a task of, and more: all but resources and retries."""
    left = copy.deepcopy(specification)
    for executor in left["deploymentSpec"]["executors"].values():
        executor.get("container", {}).pop("resources", None)
    for _, _, task in tasks(left):
        task.pop("retryPolicy", None)
    left["root"]["inputDefinitions"]["parameters"]["work_uri"].pop("defaultValue")
    return left


def test_another_cluster_is_no_reason_to_run_a_step_again(plain: Path) -> None:
    before, after = compiled(plain), compiled(plain, *(f"cluster.{key}={value}" for key, value in CHANGES.items()))
    assert containers(before)["train"]["kubernetes"] != containers(after)["train"]["kubernetes"]
    assert _keyed(documents(before)[0]) == _keyed(documents(after)[0])
    assert not any("pvcMount" in one["kubernetes"] for one in containers(after).values())


def test_what_belongs_to_a_run_makes_no_other_pipeline(plain: Path) -> None:
    settings = ("cluster.namespace=team", "cluster.service_account=trainer")
    assert compiled(plain, *settings).version == compiled(plain).version


def test_no_step_and_no_image_knows_of_the_cluster(plain: Path) -> None:
    config = load(plain)
    for step in STEP_CONFIGS:
        assert "run_hours" not in config.for_step(step)
    for name in (*BUILT_IN, "serve", "cleanup"):
        carried = {path.relative_to(ROOT).as_posix() for path in carried_files(name)}
        assert not {one for one in carried if "cluster_config" in one or "orchestration" in one}


def test_a_run_on_this_machine_knows_of_no_cluster(plain: Path, tmp_path: Path) -> None:
    drawn = []
    for override in ("cluster.defaults.retries=9", "cluster.defaults.retries=1"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pipeline_of = pipeline.draw(load(plain, (override,)), str(tmp_path))
        Compiler().compile(pipeline_of, str(tmp_path / "local.yaml"))
        drawn.append((tmp_path / "local.yaml").read_text())
    assert drawn[0] == drawn[1]
    assert "retryPolicy" not in drawn[0] and "resources" not in drawn[0] and "podMetadata" not in drawn[0]


def test_a_run_on_this_machine_finds_its_cache_whatever_the_cluster(plant: Plant) -> None:
    baseline = plant.run()
    again = plant.run("cluster.defaults.memory=64Gi", "cluster.registry=registry.example.com", "cluster.run_hours=3")
    assert again.cached == baseline.cached == {"preprocess", "train", "compress-float32", "compress-float16"}
    assert "ignored" not in (again.run.folder / "log.txt").read_text()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Data team <data@example.com>", "Data-team-data-example.com"),
        ("änne", "nne"),
        ("--", ""),
        ("x" * 62 + "-y", "x" * 62),
    ],
)
def test_owners_become_values_of_labels(text: str, value: str) -> None:
    assert label_value(text) == value


def test_a_model_without_owner_is_told_from_others(plain: Path) -> None:
    labels = containers(compiled(plain))["train"]["kubernetes"]["podMetadata"]["labels"]
    assert labels["owner"] == "unknown"
