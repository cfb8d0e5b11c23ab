from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from components import artifacts
from components.deploy.config import Deploy, DeployConfig
from components.deploy.deploy import Sources, deploy
from components.errors import UserError
from components.features.transform import Transform
from components.store import ModelStore, verify
from tests.deploy.made import ORIGIN, make_sources


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    return make_sources(tmp_path)


def _config(pointer: str = "serving") -> DeployConfig:
    return DeployConfig(name="m", deploy=Deploy(pointer=pointer), model_yaml={"name": "m"})


def test_a_version_is_complete_and_in_service(sources: Sources, tmp_path: Path) -> None:
    deploy(sources, _config(), ORIGIN, tmp_path)
    version = ModelStore(tmp_path, "m").pointed("serving")
    assert version is not None and version.number == 1
    verify(version)
    assert (version.path / "serving" / "model.tflite").read_bytes() == b"model one"
    assert Transform.read(version.path).constants == Transform.read(version.path / "serving").constants
    assert yaml.safe_load((version.path / "model.yaml").read_text()) == {"name": "m"}
    lineage = version.lineage
    assert lineage["version"] == 1 and lineage["parent"] is None and lineage["snapshot"] == "snapshot-s1"
    assert lineage["partitions"] == ["p1", "p2"] and lineage["trained_until"] == 1000
    assert lineage["training_digest"] == "digest" and lineage["images"] == ORIGIN["images"]
    assert lineage["recipe"] == "dynamic"


def test_repeating_a_deployment_makes_no_second_version(sources: Sources, tmp_path: Path) -> None:
    deploy(sources, _config(), ORIGIN, tmp_path)
    deploy(sources, _config(), ORIGIN, tmp_path)
    assert [version.number for version in ModelStore(tmp_path, "m").versions()] == [1]


def _second(sources: Sources, serving: Path) -> Sources:
    """Another model, compared with the version in `serving`."""
    (sources.chosen / "serving" / "model.tflite").write_bytes(b"model two")
    return replace(sources, serving=serving, base=serving)


def test_another_model_is_another_version(sources: Sources, tmp_path: Path) -> None:
    store = ModelStore(tmp_path, "m")
    deploy(sources, _config(), ORIGIN, tmp_path)
    deploy(_second(sources, store.version(1).path), _config(), ORIGIN, tmp_path)
    assert store.pointed("serving") == store.version(2)
    assert store.pointed("previous") == store.version(1)
    assert store.version(2).lineage["base"] == store.version(2).lineage["replaces"] == 1


def test_a_model_is_not_put_in_place_of_one_it_was_not_compared_with(sources: Sources, tmp_path: Path) -> None:
    deploy(sources, _config(), ORIGIN, tmp_path)
    with pytest.raises(UserError, match="version 1 went into service while this run compared its model with none"):
        deploy(_second(sources, sources.serving), _config(), ORIGIN, tmp_path)
    store = ModelStore(tmp_path, "m")
    assert store.pointed("serving") == store.version(1)


def test_a_withdrawn_version_does_not_come_back_by_itself(sources: Sources, tmp_path: Path) -> None:
    store = ModelStore(tmp_path, "m")
    deploy(sources, _config(), ORIGIN, tmp_path)
    second = _second(sources, store.version(1).path)
    deploy(second, _config(), ORIGIN, tmp_path)
    store.point("serving", store.version(1))
    with pytest.raises(UserError, match="version 2 was withdrawn"):
        deploy(second, _config(), ORIGIN, tmp_path)
    assert store.pointed("serving") == store.version(1)
    store.point("serving", store.version(2))
    deploy(second, _config(), ORIGIN, tmp_path)
    assert store.pointed("serving") == store.version(2), "pointing to it by hand puts it back"


def test_a_damaged_lineage_of_another_version_does_not_stop_a_deployment(sources: Sources, tmp_path: Path) -> None:
    store = ModelStore(tmp_path, "m")
    for damage in ("{", "[]"):
        version = store.add(lambda folder, number: artifacts.write_json(folder / artifacts.LINEAGE, {}))
        (version.path / artifacts.LINEAGE).write_text(damage)
    deploy(sources, _config(), ORIGIN, tmp_path)
    assert store.number("serving") == 3


def test_a_candidate_leaves_the_model_in_service(sources: Sources, tmp_path: Path) -> None:
    store = ModelStore(tmp_path, "m")
    deploy(sources, _config(), ORIGIN, tmp_path)
    deploy(_second(sources, store.version(1).path), _config("candidate"), ORIGIN, tmp_path)
    assert store.pointed("serving") == store.version(1)
    assert store.pointed("candidate") == store.version(2)


def test_an_incomplete_artifact_deploys_nothing(sources: Sources, tmp_path: Path) -> None:
    (sources.model / artifacts.WEIGHTS).unlink()
    with pytest.raises(FileNotFoundError):
        deploy(sources, _config(), ORIGIN, tmp_path)
    store = ModelStore(tmp_path, "m")
    assert store.versions() == [] and store.pointed("serving") is None
