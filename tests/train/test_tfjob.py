"""TFJobs: the manifest against the CRD's schema, the client against a stand-in API server over HTTP."""

import logging
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from components.errors import UserError
from components.kubernetes import api, asking, patience
from components.schema import parse
from components.train import tfjob_log
from components.train.tfjob import launch
from components.train.tfjob_config import TFJobSettings, Toleration
from components.train.tfjob_manifest import check_shared, job_name, tfjob
from tests.kubernetes.api_server import (
    EVENTS,
    JOBS,
    NAMESPACE,
    PODS,
    STEP,
    ApiServer,
    kubeconfig,
    status,
    step_pod,
    strict_schema,
)

ROOT = Path(__file__).parents[2]
KEY = "0123456789abcdef"
NAME = job_name(KEY)
WORKERS = {"Worker": 2}
SERVERS = {"Chief": 1, "Worker": 2, "PS": 1}
ALL_SETTINGS = TFJobSettings(
    cpu="500m",
    memory="8Gi",
    gpus=2,
    node_selector={"pool": "gpu"},
    tolerations=(
        Toleration(key="nvidia.com/gpu", operator="Exists", effect="NoSchedule"),
        Toleration(operator="Exists"),
    ),
    most_restarts=3,
    max_hours=1.5,
    patience_minutes=1,
    clean_pods="all",
    keep_minutes=30,
)
IMPATIENT = TFJobSettings(patience_minutes=0.001)
FORBIDDEN = status(403, 'tfjobs.kubeflow.org is forbidden: User "x" cannot do that', "Forbidden")
Script = Callable[[ApiServer, str], None]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ApiServer]:
    monkeypatch.setattr(api, "POLL_S", 0.05)
    monkeypatch.setattr(patience, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(tfjob_log, "PAUSE_S", 0.02)
    with ApiServer() as server:
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, server.url)))
        monkeypatch.setenv("KFP_POD_NAME", STEP)
        monkeypatch.setenv("HOSTNAME", STEP[:63])
        yield server


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What the chief wrote, as our log has it."""
    caplog.set_level(logging.INFO)
    return lambda: [record.getMessage() for record in caplog.records if record.name == tfjob_log.log.name]


def run(settings: TFJobSettings | None = None, roles: dict[str, int] | None = None) -> None:
    arguments = ["-m", "components.train", "--scratch", "/mnt/shared/x"]
    launch(arguments, [Path("/mnt/shared/x")], roles or WORKERS, KEY, settings or TFJobSettings())


def succeeds(server: ApiServer, name: str) -> None:
    chief = server.make_pods(name)[0]
    server.write(chief, "epoch 1", "epoch 2")
    server.end(chief, 0)
    server.condition(name, "Succeeded")


# The manifest.


@pytest.mark.parametrize("roles", [WORKERS, {"Worker": 1}, SERVERS], ids=["workers", "one", "servers"])
@pytest.mark.parametrize("settings", [TFJobSettings(), ALL_SETTINGS], ids=["defaults", "all settings"])
def test_a_manifest_fits_the_schema_of_the_crd(roles: dict[str, int], settings: TFJobSettings) -> None:
    manifest = tfjob(step_pod(), ["-m", "x"], roles, KEY, "run 1", settings)
    metadata = manifest.pop("metadata")
    jsonschema.validate({**manifest, "metadata": {}}, strict_schema())
    assert {role: spec["replicas"] for role, spec in manifest["spec"]["tfReplicaSpecs"].items()} == roles
    assert all(
        re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", value) for value in metadata["labels"].values()
    )


def test_the_schema_refuses_what_the_operator_does_not_know() -> None:
    manifest = tfjob(step_pod(), ["-m", "x"], WORKERS, KEY, "r", TFJobSettings())
    manifest["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["containers"][0]["comand"] = []
    with pytest.raises(jsonschema.ValidationError, match="comand"):
        jsonschema.validate({**manifest, "metadata": {}}, strict_schema())


def test_the_pods_of_all_names_fit_into_a_label() -> None:
    # The operator wants a DNS-1035 label, and names pods and services <job>-<type>-<index>.
    assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", NAME)
    assert len(f"{NAME}-worker-999") <= 63
    assert job_name(KEY) == NAME != job_name("another")


def test_the_cost_of_the_processes_belongs_to_the_step() -> None:
    pod = step_pod()
    pod["metadata"]["labels"] = {
        "model": "flights",
        "step": "train",
        "owner": "us",
        "cost-center": "42",
        "pipeline/runid": "1-2",
        "workflows.argoproj.io/workflow": "w",
        "pipelines.kubeflow.org/v2_component": "true",
    }
    template = tfjob(pod, ["-m", "x"], WORKERS, KEY, "r", TFJobSettings())["spec"]["tfReplicaSpecs"]["Worker"][
        "template"
    ]
    labels = template["metadata"]["labels"]
    assert {key: labels[key] for key in ("model", "step", "owner", "cost-center", "pipeline/runid")} == {
        "model": "flights",
        "step": "train",
        "owner": "us",
        "cost-center": "42",
        "pipeline/runid": "1-2",
    }
    # Argo and KFP would take the processes for pods of theirs.
    assert not any("argoproj" in key or "pipelines.kubeflow.org" in key for key in labels)
    assert labels["evergreen/run"] == "r"


def test_the_processes_are_copies_of_the_steps_pod() -> None:
    replica = tfjob(step_pod(workingDir="/app"), ["-m", "x"], WORKERS, KEY, "r", TFJobSettings())
    template = replica["spec"]["tfReplicaSpecs"]["Worker"]["template"]
    (container,) = template["spec"]["containers"]
    assert container["name"] == "tensorflow"
    assert container["image"] == "registry.example/evergreen-train:1f2e"
    assert container["command"] == [sys.executable, "-m", "x"]
    assert container["workingDir"] == "/app"
    assert template["spec"]["serviceAccountName"] == "pipeline-runner"
    assert "nodeName" not in template["spec"]
    assert [mount["name"] for mount in container["volumeMounts"]] == ["work", "scratch"]
    assert [volume["name"] for volume in template["spec"]["volumes"]] == ["work", "scratch"]
    assert container["env"] == [
        {"name": "EVERGREEN_RUN", "value": "r1"},
        {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s3", "key": "secret"}}},
    ]
    assert container["resources"] == {
        "requests": {"cpu": "1"},
        "limits": {"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "1"},
    }


def test_settings_come_before_the_steps_pod_and_only_workers_have_gpus() -> None:
    spec = tfjob(step_pod(), ["-m", "x"], SERVERS, KEY, "r", ALL_SETTINGS)["spec"]
    pods = {role: replica["template"]["spec"] for role, replica in spec["tfReplicaSpecs"].items()}
    amounts = {"cpu": "500m", "memory": "8Gi"}
    assert pods["Worker"]["containers"][0]["resources"]["limits"] == {**amounts, "nvidia.com/gpu": "2"}
    assert pods["PS"]["containers"][0]["resources"] == {"requests": amounts, "limits": amounts}
    assert pods["Chief"]["nodeSelector"] == {"pool": "gpu"}
    assert pods["Chief"]["tolerations"][1] == {"operator": "Exists"}
    assert spec["runPolicy"] == {
        "activeDeadlineSeconds": 5400,
        "backoffLimit": 3,
        "cleanPodPolicy": "All",
        "ttlSecondsAfterFinished": 1800,
    }
    without = tfjob(step_pod(), ["-m", "x"], WORKERS, KEY, "r", TFJobSettings(gpus=0))
    (container,) = without["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["containers"]
    assert "nvidia.com/gpu" not in container["resources"]["limits"]


def test_restarts_follow_the_exit_code() -> None:
    replicas = tfjob(step_pod(), ["-m", "x"], SERVERS, KEY, "r", TFJobSettings())["spec"]["tfReplicaSpecs"]
    assert {replica["restartPolicy"] for replica in replicas.values()} == {"ExitCode"}


@pytest.mark.parametrize("folder", ["/minio/bucket/x", "/tmp/x", "/mnt/workshop"])
def test_a_folder_that_the_pods_would_not_see_is_refused(folder: str) -> None:
    check_shared(step_pod(), [Path("/mnt/shared/a"), Path("/mnt/shared")])
    with pytest.raises(UserError, match=f"{folder} lies on a disk that only the step's own pod sees"):
        check_shared(step_pod(), [Path("/mnt/shared/a"), Path(folder)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"memory": "8 GB"}', 'memory is "8 GB"; it must match'),
        ('{"keep_minutes": 1}', "keep_minutes is 1; it must be greater than or equal to 10"),
        ('{"gpu": 1}', "gpu is not a known key; did you mean gpus?"),
    ],
)
def test_wrong_settings_are_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        parse(TFJobSettings, text)


# The course of a job.


def test_a_training_that_succeeds(server: ApiServer, lines: Callable[[], list[str]]) -> None:
    server.script = succeeds
    run()
    assert [line for line in lines() if line.startswith("epoch")] == ["epoch 1", "epoch 2"]
    ((_, made),) = server.seen("POST", JOBS)
    assert made["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "Pod", "name": STEP, "uid": "uid-of-the-step"}
    ]
    assert [query["propagationPolicy"] for query, _ in server.seen("DELETE", f"{JOBS}/{NAME}")] == ["Foreground"]
    assert not server.jobs


def test_the_log_comes_while_the_chief_writes_it(server: ApiServer, lines: Callable[[], list[str]]) -> None:
    def script(server: ApiServer, name: str) -> None:
        chief = server.make_pods(name)[0]
        server.write(chief, "epoch 1")
        # The job goes on only when its first line has arrived.
        wait_until(lambda: "epoch 1" in lines())
        server.write(chief, "epoch 2")
        server.end(chief, 0)
        server.condition(name, "Succeeded")

    server.script = script
    run(roles=SERVERS)
    assert lines() == ["epoch 1", "epoch 2"]


def test_a_failed_process_is_told_in_its_last_words(server: ApiServer) -> None:
    def script(server: ApiServer, name: str) -> None:
        chief, worker = server.make_pods(name)
        server.write(worker, "epoch 1", "error: column tail is missing; add it", "  ")
        server.end(worker, 1)
        server.end(chief, 143)
        server.condition(name, "Failed", message='job "x" is failing because "Worker" replica(s) failed.')

    server.script = script
    expected = (
        rf'TFJob {NAME} failed \(TFJobFailed: job "x" is failing because "Worker" replica\(s\) failed.\); '
        rf"pod {NAME}-worker-1 ended with code 1 and last wrote: error: column tail is missing; add it"
    )
    with pytest.raises(UserError, match=expected):
        run()
    assert NAME in server.jobs, "a failed job is left for its keep_minutes"


def test_an_error_is_told_rather_than_what_followed_from_it(server: ApiServer) -> None:
    def script(server: ApiServer, name: str) -> None:
        chief, worker = server.make_pods(name)
        server.write(chief, "lost worker 1")
        server.end(chief, 143)
        server.write(worker, "error: out of range")
        server.end(worker, 1)
        server.condition(name, "Failed")

    server.script = script
    with pytest.raises(UserError, match="worker-1 ended with code 1 and last wrote: error: out of range"):
        run()


def test_a_job_over_its_deadline(server: ApiServer) -> None:
    def script(server: ApiServer, name: str) -> None:
        server.make_pods(name)
        for pod in [pod for pod in server.pods if pod != STEP]:
            del server.pods[pod]
        server.condition(
            name, "Failed", message="Job x has failed because it was active longer than specified deadline"
        )

    server.script = script
    with pytest.raises(UserError, match="was active longer than specified deadline"):
        run()


def test_a_preempted_chief_is_followed_into_its_new_pod(server: ApiServer, lines: Callable[[], list[str]]) -> None:
    def script(server: ApiServer, name: str) -> None:
        chief = server.make_pods(name)[0]
        server.write(chief, "epoch 1", "checkpoint saved")
        server.end(chief, 143)
        wait_until(lambda: "checkpoint saved" in lines())
        server.condition(name, "Restarting")
        server.make_pod(name, state={"waiting": {"reason": "ContainerCreating"}})
        server.state(chief, {"running": {}})
        server.write(chief, "going on at epoch 2", "epoch 2")
        wait_until(lambda: "epoch 2" in lines())
        server.end(chief, 0)
        server.condition(name, "Succeeded")

    server.script = script
    run()
    assert lines() == ["epoch 1", "checkpoint saved", "going on at epoch 2", "epoch 2"]


def test_a_dropped_log_neither_repeats_nor_loses_lines(server: ApiServer, lines: Callable[[], list[str]]) -> None:
    written = [f"line {number}" for number in range(12)]

    def script(server: ApiServer, name: str) -> None:
        chief = server.make_pods(name)[0]
        server.write(chief, *written[:3])
        server.write(chief, "line 3DROP")
        # Lines of one and the same time, and the connection breaks in their midst.
        server.write(chief, "line 4", "line 5", "line 6DROP", "line 7", at=10)
        server.write(chief, "line 8", at=11)
        wait_until(lambda: "line 8" in lines())
        server.write(chief, "line 9DROP", "line 10", "line 11", at=12)
        server.end(chief, 0)
        server.condition(name, "Succeeded")

    server.script = script
    run()
    assert lines() == written


def test_a_log_that_may_not_be_read_stops_nothing(server: ApiServer, lines: Callable[[], list[str]]) -> None:
    server.script = succeeds
    server.fault = lambda method, path, query: FORBIDDEN if path.endswith("/log") else None
    run()
    assert lines() == ["the step may not read pods/log; the chief's log is with its pod only"]


GONE = {"code": 200, "type": "ERROR", "object": status(410, "too old resource version", "Expired")}


@pytest.mark.parametrize("fault", ["drop", 500, 403, GONE], ids=["dropped", "500", "403", "410"])
def test_a_watch_that_fails_only_costs_time(server: ApiServer, fault: Any) -> None:
    watches = []

    def breaks(_method: str, _path: str, query: dict[str, str]) -> Any:
        if not query.get("watch"):
            return None
        watches.append(query)
        return fault

    def script(server: ApiServer, name: str) -> None:
        chief = server.make_pods(name)[0]
        wait_until(lambda: len(watches) > 3)
        server.end(chief, 0)
        server.condition(name, "Succeeded")

    server.script, server.fault = script, breaks
    run()


def test_a_watch_wakes_the_step(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    # Without the watch, the test would take this long.
    monkeypatch.setattr(api, "POLL_S", 600.0)

    def script(server: ApiServer, name: str) -> None:
        wait_until(lambda: any(query.get("watch") for query, _ in server.seen("GET", JOBS)))
        server.condition(name, "Succeeded")

    server.script = script
    run()


@pytest.mark.parametrize("fault", ["drop", 503, 429])
def test_a_short_outage_is_waited_for(server: ApiServer, fault: Any) -> None:
    counts: dict[tuple[str, str], int] = {}

    def breaks(method: str, path: str, query: dict[str, str]) -> Any:
        counts[method, path] = counts.get((method, path), 0) + 1
        return fault if counts[method, path] <= 3 else None

    server.script, server.fault = succeeds, breaks
    run()
    assert not server.jobs


def test_a_long_outage_ends_the_step(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "OUTAGE_S", 0.3)
    monkeypatch.setattr("components.train.tfjob.CANCEL_S", 0.1)
    server.script = lambda server, name: server.make_pods(name) and None
    server.fault = lambda method, path, query: 503 if server.jobs else None
    with pytest.raises(
        UserError, match=r"API server of Kubernetes was away for .* minutes \(503 Service Unavailable\)"
    ):
        run()


# One job, whoever asks for it.


def test_a_second_try_goes_on_with_the_job_that_runs(server: ApiServer, lines: Callable[[], list[str]]) -> None:
    server.create(tfjob(step_pod(), ["-m", "x"], WORKERS, KEY, "r", TFJobSettings()))
    server.pods[STEP]["metadata"]["uid"] = "uid-of-the-second-try"
    chief = server.make_pods(NAME)[0]
    server.write(chief, "epoch 1")

    def end() -> None:
        wait_until(lambda: "epoch 1" in lines())
        assert server.jobs[NAME]["metadata"]["ownerReferences"][0]["uid"] == "uid-of-the-second-try"
        server.end(chief, 0)
        server.condition(NAME, "Succeeded")

    threading.Thread(target=end).start()
    run()
    assert not server.seen("POST", JOBS)
    assert not server.jobs


@pytest.mark.parametrize("condition", ["Failed", "Succeeded"])
def test_a_job_that_ended_before_is_replaced(server: ApiServer, condition: str) -> None:
    server.create(tfjob(step_pod(), ["-m", "x"], WORKERS, KEY, "r", TFJobSettings()))
    server.condition(NAME, condition)
    server.script = succeeds
    run()
    assert len(server.seen("POST", JOBS)) == 1
    assert len(server.seen("DELETE", f"{JOBS}/{NAME}")) == 2


def test_a_job_that_is_being_deleted_is_waited_for(server: ApiServer) -> None:
    server.create(tfjob(step_pod(), ["-m", "x"], WORKERS, KEY, "r", TFJobSettings()))
    server.jobs[NAME]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"

    def go() -> None:
        wait_until(lambda: len(server.seen("GET", f"{JOBS}/{NAME}")) > 2)
        assert not server.seen("POST", JOBS)
        server.delete(NAME)

    server.script = succeeds
    threading.Thread(target=go).start()
    run()
    assert len(server.seen("POST", JOBS)) == 1


def test_a_creation_whose_answer_is_lost_makes_one_job(server: ApiServer) -> None:
    def breaks(method: str, path: str, query: dict[str, str]) -> Any:
        if method == "POST" and len(server.seen("POST", JOBS)) == 1:
            server.create(server.requests[-1][3])
            return "drop"
        return None

    def script(server: ApiServer, name: str) -> None:
        # The job runs until the step has found it.
        wait_until(lambda: server.seen("PATCH", f"{JOBS}/{NAME}"))
        succeeds(server, name)

    server.script, server.fault = script, breaks
    run()
    assert len(server.seen("DELETE", f"{JOBS}/{NAME}")) == 1
    assert not server.jobs


PROGRAM = """
import logging, signal, sys
from pathlib import Path
from components.errors import PreemptedError
from components.train import tfjob
from components.train.tfjob_config import TFJobSettings
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
signal.signal(signal.SIGINT, signal.default_int_handler)  # A shell's background job ignores it.
try:
    tfjob.launch(["-m", "x"], [Path("/mnt/shared")], {"Worker": 2}, "0123456789abcdef", TFJobSettings())
except PreemptedError as error:
    sys.exit(f"interrupted: {error}")
"""


@pytest.mark.parametrize(("number", "word"), [(signal.SIGTERM, "interrupted: "), (signal.SIGINT, "KeyboardInterrupt")])
def test_a_step_that_is_told_to_end_deletes_its_job(server: ApiServer, number: int, word: str) -> None:
    def script(server: ApiServer, name: str) -> None:
        chief = server.make_pods(name)[0]
        server.write(chief, "epoch 1")

    server.script = script
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", PROGRAM], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line == "epoch 1\n":
            break
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert word in errors
    assert not server.jobs
    assert server.seen("DELETE", f"{JOBS}/{NAME}")[0][0] == {"propagationPolicy": "Foreground"}


# What cannot work.


def answers(code: int, answer: Any, at: str, method: str = "GET") -> Callable[..., Any]:
    return lambda had, path, query: answer if (had, path) == (method, at) else None


QUOTA = 'pods "x" is forbidden: exceeded quota: team, requested: cpu=8, used: cpu=4, limited: cpu=8'


@pytest.mark.parametrize(
    ("method", "path", "answer", "message"),
    [
        ("POST", JOBS, FORBIDDEN, r"this pod may not create a TFJob \(tfjobs.kubeflow.org is forbidden: .*bind a role"),
        ("GET", f"{PODS}/{STEP}", FORBIDDEN, "this pod may not read its own pod"),
        ("GET", f"{JOBS}/{NAME}", FORBIDDEN, "this pod may not read TFJobs"),
        ("GET", PODS, FORBIDDEN, "this pod may not list pods"),
        ("POST", JOBS, 404, r"the cluster knows no TFJob \(kubeflow.org/v1\); install the training operator"),
        ("POST", JOBS, status(403, QUOTA, "Forbidden"), "a quota is used up .*raise it or ask for less"),
        ("POST", JOBS, status(422, "replicas: Invalid value", "Invalid"), r"refuses it \(replicas: Invalid value\)"),
        ("GET", f"{PODS}/{STEP}", 404, f"there is no pod {STEP} in namespace {NAMESPACE}"),
    ],
)
def test_what_the_cluster_refuses_is_one_sentence(
    server: ApiServer, method: str, path: str, answer: Any, message: str
) -> None:
    server.script = lambda server, name: server.make_pods(name) and None
    server.fault = lambda had, at, query: answer if (had, at) == (method, path) else None
    with pytest.raises(UserError, match=message) as caught:
        run()
    assert "\n" not in str(caught.value)
    assert not server.jobs


def test_an_image_that_cannot_be_pulled(server: ApiServer) -> None:
    def script(server: ApiServer, name: str) -> None:
        waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "registry.example/x"'}
        for index in range(2):
            server.make_pod(name, index=index, state={"waiting": waiting})

    server.script = script
    with pytest.raises(
        UserError, match=r"worker-0 of TFJob .* cannot start \(ImagePullBackOff: Back-off pulling image"
    ):
        run(IMPATIENT)
    assert not server.jobs


def test_a_pod_that_starts_after_all_is_no_error(server: ApiServer) -> None:
    def script(server: ApiServer, name: str) -> None:
        first, second = server.make_pods(name)
        for _ in range(3):
            server.state(second, {"waiting": {"reason": "ErrImagePull", "message": "timeout"}})
            rounds(server)
            server.state(second, {"running": {}})
            rounds(server)
        server.end(first, 0)
        server.condition(name, "Succeeded")

    server.script = script
    run(TFJobSettings(patience_minutes=1))


def test_pods_that_a_quota_forbids(server: ApiServer) -> None:
    server.events = [
        {"message": "an older one", "lastTimestamp": "2026-01-01T00:00:00Z"},
        {"message": f"Error creating: {QUOTA}", "lastTimestamp": "2026-01-01T00:00:05Z"},
    ]
    server.script = lambda server, name: server.make_pod(name) and None
    with pytest.raises(UserError, match=r"1 of 2 pods of TFJob .* were made \(Error creating: pods .* exceeded quota"):
        run(IMPATIENT)
    (query, _), *_ = server.seen("GET", EVENTS)
    assert query["fieldSelector"] == f"involvedObject.name={NAME},type=Warning"
    assert not server.jobs


def test_an_operator_that_is_not_there(server: ApiServer) -> None:
    with pytest.raises(UserError, match=r"0 of 2 pods .* were made, for no training operator took it up"):
        run(IMPATIENT)
    assert not server.jobs


def test_a_job_that_waits_in_a_queue_is_waited_for(server: ApiServer) -> None:
    def script(server: ApiServer, name: str) -> None:
        server.condition(name, "Suspended")
        rounds(server)
        rounds(server)
        server.jobs[name]["status"]["conditions"].clear()
        succeeds(server, name)

    server.script = script
    run(TFJobSettings(patience_minutes=0.0001))


def test_a_process_that_is_killed_ever_again(server: ApiServer) -> None:
    def script(server: ApiServer, name: str) -> None:
        server.make_pods(name)
        for _ in range(3):
            server.end(f"{name}-worker-1", 137, "OOMKilled")
            rounds(server)
            server.make_pod(name, index=1)
            rounds(server)

    server.script = script
    with pytest.raises(UserError, match=r"worker-1 .* was started again 3 times and ended with code 137 \(OOMKilled\)"):
        run(TFJobSettings(most_restarts=2))
    assert not server.jobs


def test_a_job_that_somebody_deletes(server: ApiServer) -> None:
    def script(server: ApiServer, name: str) -> None:
        server.make_pods(name)
        server.delete(name)

    server.script = script
    with pytest.raises(UserError, match="was deleted while its training ran; run again to go on from the checkpoint"):
        run()


def test_outside_of_a_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"train.launch is tfjob, but this is no pod of a cluster"):
        run()


def wait_until(is_so: Callable[[], object]) -> None:
    ends = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.01)


def rounds(server: ApiServer) -> None:
    """Waits until the step has looked at the pods twice more, so that it has seen them as they are now."""
    before = looks(server)
    for look in (1, 2):
        server.touch(NAME)
        wait_until(lambda: looks(server) >= before + look or NAME not in server.jobs)  # noqa: B023


def looks(server: ApiServer) -> int:
    return sum("master" not in query["labelSelector"] for query, _ in server.seen("GET", PODS))
