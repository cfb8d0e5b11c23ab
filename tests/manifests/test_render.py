"""The command behind `make manifests`."""

import json
import stat
from pathlib import Path

import pytest
import yaml

from components.errors import UserError
from components.orchestration import lock as locking
from components.orchestration.images import image
from manifests import local_secrets, render
from manifests.check import Findings
from manifests.images import pin
from manifests.local_secrets import NAMES, make_secrets
from tests.manifests.found import pods

SECRET = "kind: Kustomization\nsecretGenerator:\n- name: s\n  literals: [key=]\n"


def test_base_and_overlays_are_rendered(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(render, "BASE", copied / "base")
    monkeypatch.setattr(render, "OVERLAYS", [copied / "overlays" / "local"])
    monkeypatch.setattr(locking, "LOCK", tmp_path / "images.lock")
    assert render.main(["--output", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.count("objects, valid") == 2
    for name in ("base", "local"):
        path = tmp_path / "out" / f"{name}.yaml"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        objects = list(yaml.safe_load_all(path.read_text()))
        images = {container["image"] for pod in pods(objects).values() for container in pod["containers"]}
        assert {image("serve"), image("cleanup")} <= images
        assert all(":" in each for each in images), "every image has a tag"


def test_keys_are_made_for_the_local_overlay_and_stay(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    local = copied / "overlays" / "local"
    monkeypatch.setattr(render, "LOCAL", local)
    monkeypatch.setattr(render, "make_secrets", lambda folder: make_secrets(tmp_path))
    monkeypatch.setattr(render, "check", lambda *_: Findings())  # of which other tests are
    arguments = [str(local), "--output", str(tmp_path / "out")]
    assert render.main(arguments) == 0
    assert "secrets with random keys" in capsys.readouterr().out
    before = [(tmp_path / "secrets" / name).read_text() for name in NAMES]
    assert render.main(arguments) == 0
    assert "random keys" not in capsys.readouterr().out
    assert [(tmp_path / "secrets" / name).read_text() for name in NAMES] == before


def test_keys_are_random_and_for_their_owner_only(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    folders = [make_secrets(tmp_path / name) for name in ("one", "two")]
    for name in NAMES:
        texts = {(folder / name).read_text() for folder in folders if folder is not None}
        assert len(texts) == 2
        assert stat.S_IMODE((tmp_path / "one" / "secrets" / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "one" / "secrets").stat().st_mode) == 0o700
    assert not list((tmp_path / "one").glob(".*")), "nothing is left beside"


def test_keys_that_are_there_in_part_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "s3.env").write_text("AWS_ACCESS_KEY_ID=mine\n")
    with pytest.raises(UserError, match=r"serving-s3.env is missing; add it, or remove .*secrets to have all"):
        make_secrets(tmp_path)
    assert (tmp_path / "secrets" / "s3.env").read_text() == "AWS_ACCESS_KEY_ID=mine\n"


def test_git_leaves_the_keys_alone() -> None:
    import subprocess

    path = local_secrets.LOCAL / "secrets" / "s3.env"
    asked = subprocess.run(["git", "check-ignore", "-q", str(path)], cwd=render.HERE, check=False)
    if asked.returncode == 128:
        pytest.skip("this is no clone of a Git repository")
    assert asked.returncode == 0


def test_images_come_from_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "images.lock"
    address = "registry.example/team/evergreen-python-serve@sha256:" + "0" * 64
    lock.write_text(json.dumps({image("serve"): address}))
    objects = [{"spec": {"containers": [{"image": "evergreen-python-serve"}, {"image": "other"}]}}]
    pin(objects, lock, "")
    assert [each["image"] for each in objects[0]["spec"]["containers"]] == [address, "other"]


def test_a_lock_of_other_code_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "images.lock"
    objects = [{"image": "evergreen-python-serve"}]
    lock.write_text(json.dumps({"evergreen-python-serve:000000000000": "r/x@sha256:0"}))
    with pytest.raises(UserError, match=rf"has no {image('serve')}, .*run `make images PUSH=1"):
        pin(objects, lock, "")
    lock.write_text("[]")
    with pytest.raises(UserError, match="cannot be read"):
        pin(objects, lock, "")


def test_without_a_lock_images_have_the_registry_and_an_overlays_own_stay() -> None:
    objects = [{"image": "evergreen-python-serve"}, {"image": "mirror/evergreen-python-serve:1"}]
    pin(objects, None, "registry.example/team")
    assert objects[0]["image"] == f"registry.example/team/{image('serve')}"
    assert objects[1]["image"] == "mirror/evergreen-python-serve:1"


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "has no kustomization.yaml; give the folder of an overlay"),
        ({"kustomization.yaml": "kind: Kustomization\nresources: [missing.yaml]\n"}, "cannot be rendered"),
        ({"kustomization.yaml": SECRET}, "own: Secret s-"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(
    copied: Path, tmp_path: Path, files: dict[str, str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own").mkdir()
    for name, text in files.items():
        (tmp_path / "own" / name).write_text(text)
    assert render.main([str(tmp_path / "own"), "--output", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert sentence in said and len(said.splitlines()) == 1
    assert not (tmp_path / "own.yaml").exists()


@pytest.mark.usefixtures("copied")  # skips where nothing is rendered
def test_a_place_that_cannot_be_written_is_told_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert render.main([str(render.BASE), "--output", str(tmp_path / "file")]) == 1
    assert str(tmp_path / "file") in capsys.readouterr().err.splitlines()[-1]


def test_without_kustomize_a_sentence_tells_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert render.main([str(render.BASE)]) == 1
    assert capsys.readouterr().err.splitlines() == [render.NEEDS_KUSTOMIZE]
