"""The compiled pipeline as a whole: its name, its size, its images, and that Kubeflow's own clients take it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import kfp
import pytest
import yaml
from kfp.compiler import Compiler
from kfp_server_api import ApiException

import pipeline
from components.cluster_config import BUILT_IN
from components.config import load
from components.errors import UserError
from components.orchestration import compile as compiling
from components.orchestration import lock as locking
from components.orchestration.images import image
from tests.kfp_server.server import KfpServer
from tests.orchestration.compiled import FAST, GOLDEN, compiled

ROOT = Path(__file__).parents[2]
CRDS = ROOT.parent / "shared" / "crds"
DIGEST = f"@sha256:{'0' * 64}"


def _lock(folder: Path, **changes: str | None) -> Path:
    """A lock of the code as it is; a step's name instead of an address takes it out."""
    addresses = {image(step): f"registry.example.com/{step}{DIGEST}" for step in BUILT_IN}
    for step, address in changes.items():
        del addresses[image(step)]
        if address is not None:
            addresses[address] = f"registry.example.com/{step}{DIGEST}"
    path = folder / "images.lock"
    path.write_text(json.dumps(addresses))
    return path


def _version(*arguments: str, seed: str) -> str:
    code = "from tests.orchestration.compiled import GOLDEN, compiled; print(compiled(GOLDEN).version)"
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_equal_content_has_an_equal_name_in_every_process() -> None:
    names = {_version(seed="1"), _version(seed="2"), compiled(GOLDEN).version}
    assert len(names) == 1 and names.pop().startswith("evergreen-small-")


@pytest.mark.parametrize("override", ["train.epochs=3", "description=another", "cluster.defaults.memory=9Gi"])
def test_other_content_has_another_name(override: str) -> None:
    assert compiled(GOLDEN).version != compiled(GOLDEN, override).version


def test_the_longest_name_of_a_model_is_a_name_for_kubernetes() -> None:
    found = compiled(GOLDEN, f"name={'x' * 50}")
    assert len(found.version) <= 100 and found.version.startswith(f"{found.name}-")


def test_the_manifests_are_the_same_pipeline() -> None:
    found = compiled(GOLDEN)
    parent, version = yaml.load_all(found.manifests("team"), Loader=FAST)
    specification, platform = yaml.load_all(found.yaml, Loader=FAST)
    assert parent["kind"] == "Pipeline" and parent["metadata"] == {"name": "evergreen-small", "namespace": "team"}
    assert version["kind"] == "PipelineVersion" and version["metadata"] == {"name": found.version, "namespace": "team"}
    assert version["spec"]["pipelineName"] == "evergreen-small"
    assert version["spec"]["pipelineSpec"] == specification and version["spec"]["platformSpec"] == platform


def test_the_manifests_fit_the_resource_definitions() -> None:
    if not CRDS.is_dir():
        pytest.skip("../shared/crds is not there; lay Kubeflow's CustomResourceDefinitions there")
    for found in yaml.load_all(compiled(GOLDEN).manifests(None), Loader=FAST):
        plural = f"{found['kind'].lower()}s"
        definition = yaml.safe_load((CRDS / f"pipelines.kubeflow.org_{plural}.yaml").read_text())
        (version,) = definition["spec"]["versions"]
        assert found["apiVersion"] == f"{definition['spec']['group']}/{version['name']}"
        jsonschema.validate(found, _strict(version["schema"]["openAPIV3Schema"]))


def _strict(schema: Any) -> Any:
    """Kubernetes drops fields that are not declared, and says nothing."""
    if not isinstance(schema, dict):
        return schema
    strict = {key: _strict(value) if key != "properties" else value for key, value in schema.items()}
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        strict["properties"] = {name: _strict(value) for name, value in schema["properties"].items()}
        strict["additionalProperties"] = False
    return strict


def test_images_come_from_the_lock_of_this_very_code(tmp_path: Path) -> None:
    assert f"registry.example.com/train{DIGEST}" in compiled(GOLDEN, lock=_lock(tmp_path)).yaml


@pytest.mark.parametrize("name", [None, "evergreen-python-train:000000000000"], ids=["absent", "of other code"])
def test_a_lock_of_other_code_is_refused(tmp_path: Path, name: str | None) -> None:
    with pytest.raises(UserError, match=rf"images.lock has no {image('train')}.*run `make images"):
        compiled(GOLDEN, lock=_lock(tmp_path, train=name))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "cannot be read"),
        ('["x"]', "must end in @sha256"),
        ('{"a": "registry/a:latest"}', "holds 'registry/a:latest'"),
    ],
)
def test_a_damaged_lock_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "images.lock").write_text(text)
    with pytest.raises(UserError, match=sentence):
        compiled(GOLDEN, lock=tmp_path / "images.lock")


def test_a_lock_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        compiled(GOLDEN, lock=tmp_path / "images.lock")


def test_a_lock_beside_the_pipeline_is_taken_without_being_named(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(locking, "LOCK", _lock(tmp_path))
    found = compiling.compile_pipeline(pipeline.draw, load(GOLDEN), None, None)
    assert f"registry.example.com/train{DIGEST}" in found.yaml


def test_what_a_cluster_would_not_take_is_refused(monkeypatch) -> None:
    with pytest.raises(UserError, match="work_uri is 10,012 bytes; it must be at most 2,000"):
        compiled(GOLDEN, work="s3://bucket/" + "x" * 10_000)
    monkeypatch.setattr(compiling, "MAX_BYTES", 1000)
    with pytest.raises(UserError, match="bytes as YAML; a cluster takes 1,000"):
        compiled(GOLDEN, work="s3://small")


@pytest.mark.parametrize("folder", [*(ROOT / "models").glob("*/model.yaml")], ids=lambda path: path.parent.name)
def test_the_models_of_the_repository_are_far_from_the_limit(folder: Path) -> None:
    assert 2 * len(compiled(folder.parent).yaml) < compiling.MAX_BYTES


def test_work_uri_comes_from_the_command_line_or_the_cluster_section() -> None:
    def default(found: compiling.Compiled) -> str:
        specification = next(yaml.load_all(found.yaml, Loader=FAST))
        return specification["root"]["inputDefinitions"]["parameters"]["work_uri"]["defaultValue"]

    assert default(compiled(GOLDEN)) == "s3://bucket/evergreen"
    assert default(compiled(GOLDEN, work="s3://other")) == "s3://other"
    assert default(compiled(GOLDEN, "cluster.work_uri=null")) == ".evergreen"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    path = tmp_path / "pipeline.yaml"
    path.write_text(compiled(GOLDEN).yaml)
    return path


@pytest.fixture(autouse=True)
def _no_client_settings(monkeypatch, tmp_path: Path) -> None:
    """KFP's client keeps settings in the home directory."""
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize("arguments", [None, {"until": "2013-09-30", "force": True, "work_uri": "s3://bucket/other"}])
def test_plain_sdk_starts_a_run_from_the_file(package: Path, arguments: dict[str, Any] | None) -> None:
    """As the page of Kubeflow Pipelines says, without our command line."""
    with KfpServer() as server:
        client = kfp.Client(host=server.url)
        started = client.create_run_from_pipeline_package(str(package), arguments=arguments)
        run = server.runs[started.run_id]
    specification, platform = yaml.load_all(package.read_text(), Loader=FAST)
    assert run["pipeline_spec"]["pipeline_spec"]["pipelineInfo"]["name"] == "evergreen-small"
    sent = run["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert set(sent) == set(platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"])
    assert (run["runtime_config"].get("parameters") or None) == arguments
    parameters = specification["root"]["inputDefinitions"]["parameters"]
    assert set(parameters) >= set(arguments or {})
    assert all(one["description"] and "defaultValue" in one for one in parameters.values())


def test_plain_sdk_refuses_a_parameter_that_is_not_documented(package: Path) -> None:
    with KfpServer() as server, pytest.raises(ApiException, match="not required by pipeline"):
        kfp.Client(host=server.url).create_run_from_pipeline_package(str(package), arguments={"epochs": 3})


def test_the_file_uploads_as_the_ui_does_it(package: Path) -> None:
    with KfpServer() as server:
        client = kfp.Client(host=server.url)
        uploaded = client.upload_pipeline(str(package), pipeline_name="evergreen-small")
        assert uploaded.pipeline_id in server.pipelines


def test_the_file_can_be_used_as_a_component(package: Path, tmp_path: Path) -> None:
    """KFP reads it back whole."""
    loaded = kfp.components.load_component_from_file(str(package))
    assert set(loaded.component_spec.inputs) == {"until", "force", "work_uri"}
    Compiler().compile(loaded, str(tmp_path / "again.yaml"))


def _pipeline(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "pipeline.py"), *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_command_writes_either_form_and_names_the_version(tmp_path: Path) -> None:
    target, lock = tmp_path / "new" / "pipeline.yaml", _lock(tmp_path)
    done = _pipeline("compile", GOLDEN, "-o", target, "--images-lock", lock)
    found = compiled(GOLDEN, lock=lock)
    assert (done.stdout, done.stderr) == (f"wrote {target}: {found.version}\n", "")
    assert target.read_text() == found.yaml
    assert _pipeline("compile", GOLDEN, "-o", target, "--images-lock", lock, "--manifests").returncode == 0
    assert target.read_text() == found.manifests("team")


def test_the_command_tells_what_a_cluster_will_not_find(tmp_path: Path) -> None:
    done = _pipeline("compile", GOLDEN, "-o", tmp_path / "p.yaml", "--work", "here", "--set", "ingest.source=rows.csv")
    assert done.returncode == 0
    assert done.stdout.count("note: ") == 2 and "work_uri (--work, cluster.work_uri) is here, a path" in done.stdout


def test_the_command_refuses_in_one_sentence(tmp_path: Path) -> None:
    for arguments in (["--images-lock", tmp_path / "none"], ["--set", "cluster.steps={train: {cpu: none}}"]):
        done = _pipeline("compile", GOLDEN, "-o", tmp_path / "p.yaml", *arguments)
        assert done.returncode == 1 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert not (tmp_path / "p.yaml").exists()
