"""What is installed into the images: pinned, with the hashes of the files that the packages may consist of."""

import re

import pytest

from components.orchestration.build_images import names
from components.orchestration.images import ROOT

GIVEN = re.compile(
    r"(?P<package>[a-z0-9-]+)==(?P<version>[^ ]+)(?: ; .+?)?(?P<hashes>(?: --hash=sha256:[0-9a-f]{64})+)"
)


def _pins(name: str) -> dict[str, set[str]]:
    """The versions of each package: one for each range of Python versions."""
    text = (ROOT / "containers" / name / "requirements.txt").read_text().replace(" \\\n   ", "")
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        given = GIVEN.fullmatch(line)
        assert given, f"neither pinned nor hashed: {line[:80]}"
        found.setdefault(given["package"], set()).add(given["version"])
    return found


def _asked(name: str) -> set[str]:
    lines = (ROOT / "containers" / name / "requirements.in").read_text().splitlines()
    return {re.split("[=<>]", line)[0] for line in lines if line}


@pytest.mark.parametrize("name", names())
def test_everything_asked_for_is_pinned_and_hashed(name: str) -> None:
    assert _asked(name) <= set(_pins(name))


@pytest.mark.parametrize("name", names())
def test_the_images_have_the_versions_that_the_tests_run_with(name: str) -> None:
    root = (ROOT / "requirements.txt").read_text()
    for package, versions in _pins(name).items():
        assert versions <= set(re.findall(rf"^{package}==([^ \n]+)", root, re.MULTILINE)), "run `make requirements`"


@pytest.mark.parametrize("name", names())
def test_kfp_comes_without_what_it_asks_for(name: str) -> None:
    if "kfp" in _asked(name):
        pins = _pins(name)
        assert not {"kfp-pipeline-spec", "google-cloud-storage", "tabulate"} & set(pins)
        assert f'version = "{next(iter(pins["kfp"]))}"' in (ROOT / "containers" / "uv.toml").read_text()
