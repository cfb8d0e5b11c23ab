"""A container engine for tests, and an image whose content is this machine's own: it takes no registry to make it."""

import contextlib
import ctypes
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import docker
from docker.errors import DockerException

ROOT = Path(__file__).parents[2]
READY_S = 60
PR_SET_PDEATHSIG = 1
ALONE = ("bridge=none", "iptables=false", "ip6tables=false", "ip-forward=false", "ip-masq=false")
"""So that the daemon leaves the machine's network alone, and needs no right to change it."""
SYSTEM = ("bin", "lib", "lib64", "usr")
READABLE = tuple(dict.fromkeys([*(Path("/") / name for name in SYSTEM), Path(sys.prefix), Path(sys.base_prefix), ROOT]))
"""What the image lacks, and containers mount instead: the system, this Python with its packages, the code."""


@contextlib.contextmanager
def any_engine() -> Iterator[str | None]:
    """The address of the engine that runs here, or of one that is started; None, or the reason why there is none."""
    if _answers(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")):
        yield os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    elif shutil.which("dockerd") and os.geteuid() == 0:
        with _started() as address:
            yield address
    else:
        yield None


@contextlib.contextmanager
def _started() -> Iterator[str | None]:
    folder = Path(tempfile.mkdtemp(prefix="evergreen-docker-"))  # short: a socket's path must be
    address = f"unix://{folder}/docker.sock"
    command = ["dockerd", "--host", address, "--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")]
    command += ["--pidfile", str(folder / "pid"), *(f"--{option}" for option in ALONE)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=_end_with_parent)
    try:
        yield address if _wait(address, process) else None
    finally:
        process.terminate()
        process.wait()
        _unmount(folder)
        shutil.rmtree(folder)


def _unmount(folder: Path) -> None:
    """The daemon leaves the name of the machine's network mounted."""
    places = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for place in reversed([place for place in places if Path(place).is_relative_to(folder)]):
        subprocess.run(["umount", place], check=True)


def _end_with_parent() -> None:
    """Linux ends the daemon when the tests are killed, which then cannot end it themselves."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait(address: str, process: subprocess.Popen[bytes]) -> bool:
    end_s = time.monotonic() + READY_S
    while time.monotonic() < end_s and process.poll() is None:
        if _answers(address):
            return True
        time.sleep(0.2)
    return False


def _answers(address: str) -> bool:
    try:
        with contextlib.closing(docker.DockerClient(base_url=address)) as client:
            return bool(client.ping())
    except DockerException:
        return False


def make_image(client: docker.DockerClient, name: str) -> None:
    """Makes an image of empty folders, to be filled by mounts; only its variables are its own."""
    repository, _, tag = name.partition(":")
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    changes = [f"ENV PATH={path}", f"ENV PYTHONPATH={ROOT}", "ENV PYTHONDONTWRITEBYTECODE=1"]
    client.api.import_image_from_data(_tar(), repository=repository, tag=tag, changes=changes)
    if not any(name in known for image in client.images.list() for known in image.tags):  # podman drops the tag
        client.images.get(f"{repository}:latest").tag(repository, tag)


def _tar() -> bytes:
    """The folders that mounts need, and the links that a system has in their place."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in (*SYSTEM, "tmp"):
            entry = tarfile.TarInfo(name)
            place = Path("/") / name
            if place.is_symlink():
                entry.type, entry.linkname = tarfile.SYMTYPE, str(place.readlink())
            else:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
    return buffer.getvalue()
