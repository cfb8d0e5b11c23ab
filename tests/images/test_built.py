"""The images themselves, where `make images` has built them of this code and an engine can run them."""

import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from kfp import dsl

from components.orchestration.build_images import limit_bytes, names
from components.orchestration.engines import ENGINES, Engine
from components.orchestration.images import content_hash, image
from tests.images.carried import IMPORT_ALL
from tests.serve.conftest import make
from tests.serve.small import INSTANCE, ROWS

__all__ = ["make"]

pytestmark = pytest.mark.nightly
CONFINED = ("--rm", "--pull=never", "--read-only", "--tmpfs", "/tmp", "--cap-drop=ALL")
SOMEBODY = "12345:12345"
PATIENCE_S = 120


@pytest.fixture(scope="module")
def engine() -> Engine:
    """One that can run what it has."""
    for program in ("docker", "podman"):
        if ENGINES[program].answers() is None:
            return ENGINES[program]
    pytest.skip("neither docker nor podman answers; install podman, or start docker's daemon")


@pytest.fixture(params=names())
def name(request: pytest.FixtureRequest, engine: Engine) -> str:
    """Of an image that is there."""
    if engine.find(image(request.param)) is None:
        pytest.skip(f"{engine.program} has no {image(request.param)}; run `make images`")
    return str(request.param)


def _python(engine: Engine, name: str, code: str, *words: str, user: str = "") -> subprocess.CompletedProcess[str]:
    as_user = ["--user", user] if user else []
    entry = ["--entrypoint", "python", image(name), "-c", code, *words]
    command = [engine.program, "run", *CONFINED, "--network=none", *as_user, *entry]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("user", ["", SOMEBODY])
def test_all_code_loads_for_the_images_user_and_any_other(engine: Engine, name: str, user: str) -> None:
    done = _python(engine, name, IMPORT_ALL, "/app", user=user)
    assert done.returncode == 0, done.stderr[-2000:]


def test_nobody_in_particular_runs_it_and_can_change_nothing_in_it(engine: Engine, name: str) -> None:
    code = (
        "import json, os, sys; print(json.dumps({'uid': os.getuid(), 'writable': [folder for folder in"
        " ('/', '/app', '/venv', '/etc', '/tmp') if os.access(folder, os.W_OK)], 'home': os.environ['HOME']}))"
    )
    told = json.loads(_python(engine, name, code).stdout)
    assert told == {"uid": 65532, "writable": ["/tmp"], "home": "/tmp"}


def test_it_has_what_it_needs_and_no_more(engine: Engine, name: str) -> None:
    code = (
        "import sys, importlib.metadata as m; inside = [path for path in sys.path if path.startswith('/venv')];"
        "print(*{one.metadata['name'].lower() for one in m.distributions(path=inside)})"
    )
    installed = set(_python(engine, name, code).stdout.split())
    assert installed and not {"pip", "kfp-pipeline-spec", "google-cloud-storage", "libclang"} & installed
    assert ("kfp" in installed) == (name not in ("serve", "cleanup"))


def test_its_labels_and_its_size(engine: Engine, name: str) -> None:
    found = engine.find(image(name))
    assert found is not None
    label = "org.opencontainers.image"
    assert found.labels[f"{label}.title"] == f"evergreen-python-{name}"
    assert found.labels[f"{label}.version"] == content_hash(name)
    assert found.labels[f"{label}.revision"] and found.labels[f"{label}.base.name"]
    limit = limit_bytes(name)
    assert limit is None or found.size_bytes < limit


def called(text: str) -> str:
    from components.errors import UserError

    print(f"{text} {UserError.__module__}")
    return text


def test_kfp_starts_a_step_in_it(engine: Engine, name: str) -> None:
    """By the command that KFP compiles into a task."""
    if name in ("serve", "cleanup"):
        pytest.skip(f"{name} is no step")
    task = dsl.component(called, base_image=image(name), install_kfp_package=False)
    container = task.component_spec.implementation.container
    given = {"inputs": {"parameterValues": {"text": "hello"}}, "outputs": {"outputFile": "/tmp/outputs.json"}}
    words = [json.dumps(given) if word == "{{$}}" else word for word in [*container.command, *container.args]]
    command = [engine.program, "run", *CONFINED, "--network=none", image(name), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "hello components.errors" in done.stdout


@contextlib.contextmanager
def _serving(engine: Engine, folder: Path) -> Iterator[str]:
    """The server's container, with a model of the folder; its name."""
    container = f"evergreen-test-{time.time_ns()}"
    mounted = ["--volume", f"{folder}:/mnt/models:ro"]
    words = [image("serve"), "--folder", "small=/mnt/models", "--host", "127.0.0.1", "--port", "0"]
    command = [engine.program, "run", *CONFINED, "--network=host", "--name", container, *mounted, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = next(line for line in process.stdout if line.startswith("Serving on "))
            yield said.split()[2]
        finally:
            subprocess.run([engine.program, "stop", "--time", "20", container], capture_output=True, check=False)
            assert process.wait(PATIENCE_S) == 0, "it does not end by itself when it is stopped"


def test_the_server_answers_as_the_model_does_here(engine: Engine, make, tmp_path: Path) -> None:
    if engine.find(image("serve")) is None:
        pytest.skip(f"{engine.program} has no {image('serve')}; run `make images`")
    made = make(bias=0.25)
    folder = tmp_path / "serving"
    shutil.copytree(made.folder, folder)
    for path in [tmp_path, *tmp_path.parents][:3]:
        path.chmod(0o755)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    with _serving(engine, folder) as url:
        body = json.dumps({"instances": [INSTANCE, *ROWS]}).encode()
        asked = Request(f"{url}/v1/models/small:predict", body, {"content-type": "application/json"})
        answer = json.load(urlopen(asked, timeout=30))
        assert answer["predictions"] == pytest.approx(made.predict([INSTANCE, *ROWS]), abs=1e-6)
        assert urlopen(f"{url}/healthz", timeout=30).status == 200
