"""The server as manifests/base starts it, on what KServe mounts."""

import shutil
import time
from pathlib import Path

import httpx
import pytest
import yaml

from components import artifacts
from tests.serve.small import INSTANCE, TRAINED_UNTIL, deploy, metrics, predict

RUNTIME = Path(__file__).parents[2] / "manifests" / "base" / "serving" / "servingruntime.yaml"


@pytest.fixture
def container():
    (found,) = yaml.safe_load(RUNTIME.read_text(encoding="utf-8"))["spec"]["containers"]
    return found


def arguments(container, folder: Path) -> list[str]:
    words = {"{{.Name}}": "flights", "/mnt/models": str(folder), "$(REQUESTS)": str(folder.parent / "log")}
    told = container["args"]
    for word, here in words.items():
        told = [argument.replace(word, here) for argument in told]
    # Behind the runtime's own, so that tests need no fixed port and do not wait.
    return [*told, "--host", "127.0.0.1", "--port", "0", "--drain-s", "0"]


def test_probes_and_predictions_of_a_serving_artifact_alone(container, start, low) -> None:
    url = start(*arguments(container, low.folder)).url
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert httpx.get(url + container[probe]["httpGet"]["path"]).status_code == 200
    assert predict(url, [INSTANCE], "flights").json()["predictions"] == pytest.approx(low.predict([INSTANCE]))


def test_lineage_and_settings_beside_the_serving_artifact_are_known(container, start, low, tmp_path) -> None:
    version = deploy(tmp_path / "work", "flights", low, max_instances=2).path
    mounted = tmp_path / "mounted"
    shutil.copytree(version / artifacts.SERVING, mounted)
    for name in (artifacts.LINEAGE, artifacts.MODEL_YAML):
        shutil.copy(version / name, mounted)
    url = start(*arguments(container, mounted)).url
    refused = predict(url, [INSTANCE] * 3, "flights")
    assert refused.status_code == 400 and "send at most 2" in refused.text
    assert predict(url, [INSTANCE], "flights").headers["model-version"] == "1"
    age_s = metrics(url)['evergreen_data_age_seconds{model="flights"}']
    assert age_s == pytest.approx(time.time() - TRAINED_UNTIL, abs=60)


def test_a_whole_version_is_served_too(container, start, low, tmp_path) -> None:
    version = deploy(tmp_path, "flights", low).path
    url = start(*arguments(container, version)).url
    assert predict(url, [INSTANCE], "flights").headers["model-version"] == "1"
