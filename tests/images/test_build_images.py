"""`make images`, with stand-ins for the engines: what is built, what not, and what is said."""

import json
import re

import pytest

from components.orchestration import images
from components.orchestration.build_images import names
from components.orchestration.images import image

ENGINES = ("docker", "podman", "buildah")


@pytest.mark.parametrize("engine", ENGINES)
def test_everything_is_built_once_and_told(machine, engine, capsys) -> None:
    here = machine(engine)
    assert here.make() == 0
    assert [line.split(" ")[0] for line in here.calls("build")] == [image(name) for name in names()]
    told = capsys.readouterr().out
    assert "unchanged" not in told
    assert len(re.findall(r"evergreen-python-\S+ +200 .* \d+ s$", told, re.MULTILINE)) == len(names())
    assert here.make() == 0
    assert len(here.calls("build")) == len(names())
    table = capsys.readouterr().out
    assert table.count("unchanged") == len(names())
    assert image("serve") in table and " 200 " in table and " 400 " in table


def test_changed_code_builds_the_images_that_carry_it(machine, change) -> None:
    here = machine("podman")
    here.make()
    change("components/train/train.py")
    before = len(here.calls("build"))
    here.make()
    assert [line.split(":")[0] for line in here.calls("build")[before:]] == ["evergreen-python-train"]


def test_code_that_is_saved_meanwhile_gets_no_tag_of_other_code(machine, change, capsys) -> None:
    here = machine("podman")
    image("resolve")
    edited = images.ROOT / "components" / "resolve" / "resolve.py"
    edited.write_text(edited.read_text() + "\n# saved meanwhile\n")
    assert here.make("resolve") == 1
    assert not here.calls("build")
    assert "changed while" in capsys.readouterr().err


def test_a_changed_dockerfile_is_another_image(machine, change) -> None:
    here = machine("podman")
    here.make("serve")
    change("containers/serve/Dockerfile")
    here.make("serve")
    first, second = here.calls("build")
    assert first != second


def test_another_base_image_builds_again_and_so_does_the_wish_for_it(machine) -> None:
    here = machine("docker")
    here.make("resolve")
    here.make("resolve", "--base-image", "site/python:3.11")
    here.make("resolve", "--base-image", "site/python:3.11")
    assert len(here.calls("build")) == 2
    here.make("resolve", "--base-image", "site/python:3.11", "--again")
    assert len(here.calls("build")) == 3


def test_the_engine_gets_a_sites_own_options(machine) -> None:
    here = machine("buildah")
    here.make("resolve", "--engine-options=--extra-a '--extra-b=two words'")
    assert here.calls("build")[0].endswith("['--extra-a', '--extra-b=two words']")


@pytest.mark.parametrize("engine", ENGINES)
def test_pushing_writes_where_each_image_lies(machine, engine) -> None:
    here = machine(engine)
    assert here.make("resolve", "serve", "--push", "--registry", "registry.example.com:5000/ml/") == 0
    lock = json.loads((here.folder / "images.lock").read_text())
    assert set(lock) == {image("resolve"), image("serve")}
    address, _, digest = lock[image("serve")].partition("@")
    assert address == "registry.example.com:5000/ml/evergreen-python-serve"
    assert digest.startswith("sha256:") and len(digest) == 71
    assert here.calls("push")[0] == f"registry.example.com:5000/ml/{image('resolve')}"


@pytest.mark.parametrize("engine", ENGINES)
def test_docker_hub_is_a_registry_too(machine, engine) -> None:
    here = machine(engine)
    assert here.make("resolve", "--push", "--registry", "docker.io/site") == 0
    lock = json.loads((here.folder / "images.lock").read_text())
    assert lock[image("resolve")].startswith("docker.io/site/evergreen-python-resolve@sha256:")


@pytest.mark.parametrize("content", ["{", "[]", '{"a": "b"}'])
def test_a_damaged_lock_is_told_before_anything_is_built(machine, content, capsys) -> None:
    here = machine("docker")
    (here.folder / "images.lock").write_text(content)
    assert here.make("resolve", "--push", "--registry", "r") == 1
    assert "images.lock" in capsys.readouterr().err and here.calls("build") == here.calls("push") == []


def test_the_lock_keeps_other_images_and_drops_those_of_older_code(machine, change) -> None:
    here = machine("podman")
    registry = ("--push", "--registry", "r")
    here.make("resolve", "train", *registry)
    change("components/train/train.py")
    here.make("serve", *registry)
    lock = json.loads((here.folder / "images.lock").read_text())
    assert set(lock) == {image("resolve"), image("serve")}


@pytest.mark.parametrize("engine", ENGINES)
def test_what_the_registry_refuses_changes_no_lock(machine, engine, capsys) -> None:
    here = machine(engine)
    here.make("resolve", "--push", "--registry", "r")
    before = (here.folder / "images.lock").read_text()
    (here.folder / "refuses").touch()
    assert here.make("resolve", "--push", "--registry", "other") == 1
    assert (here.folder / "images.lock").read_text() == before
    said = capsys.readouterr().err
    assert "other/evergreen-python-resolve" in said and "unauthorized" in said and "log in" in said


def test_a_client_without_a_daemon_is_passed_over(machine, capsys) -> None:
    here = machine("docker", "podman")
    (here.folder / "dead-docker").touch()
    assert here.make("resolve") == 0
    assert len(here.calls("build")) == 1


def test_without_an_engine_one_sentence_says_so(machine, capsys) -> None:
    assert machine().make() == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "docker: not installed" in said and "install podman" in said


def test_a_daemon_that_is_away_is_named(machine, capsys) -> None:
    here = machine("docker")
    (here.folder / "dead-docker").touch()
    assert here.make() == 1
    assert "docker: cannot connect to the daemon; podman: not installed" in capsys.readouterr().err


def test_a_build_that_fails_fails_the_command_and_leaves_no_image(machine, capsys) -> None:
    here = machine("podman")
    (here.folder / "broken").touch()
    assert here.make("resolve", "--push", "--registry", "r") == 1
    assert "could not build evergreen-python-resolve" in capsys.readouterr().err
    assert not here.calls("push")


def test_a_command_that_is_interrupted_says_so_and_leaves_no_image(machine, capsys) -> None:
    here = machine("podman")
    (here.folder / "interrupts").touch()
    assert here.make("resolve", "serve") == 130
    assert len(here.calls("build")) == 1
    assert capsys.readouterr().err.startswith("interrupted; run again")


@pytest.mark.parametrize(("name", "size"), [("serve", 400_000_000), ("evaluate", 500_000_000)])
def test_an_image_that_is_too_large_is_refused(machine, capsys, name, size) -> None:
    here = machine("podman")
    (here.folder / "size").write_text(str(size))
    assert here.make(name, "--push", "--registry", "r") == 1
    assert f"too large: {name}" in capsys.readouterr().err
    assert not here.calls("push")


def test_images_with_tensorflow_have_no_limit(machine) -> None:
    here = machine("podman")
    (here.folder / "size").write_text("3000000000")
    assert here.make("train", "preprocess", "compress") == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "trian has no image; choose among cleanup, compress"),
        (["--push"], "no registry is given"),
        (["--engine", "kaniko"], "kaniko is no engine that we know; choose docker, podman, buildah"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(machine, capsys, words, said) -> None:
    assert machine("podman").make(*words) == 1
    assert capsys.readouterr().err.startswith(said)
