"""Training with several real processes, and with several devices in one."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from components.errors import PreemptedError, UserError
from components.learning import place
from components.learning.cluster import cluster
from components.train import local
from components.train.config import Train
from components.train.process import rate_factor
from components.train.train import train
from tests.learning.small import CITIES
from tests.train.processes import ROOT, Place, details, weights_of


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """One process."""
    made = Place(tmp_path_factory.mktemp("alone"))
    train(made.paths.examples, made.paths.base, made.config, made.work, made.model)
    return details(made.model)


def best(of: dict) -> float:
    return max(epoch["validation_metric"] for epoch in of["history"])


def test_two_workers_learn_what_one_does(alone, tmp_path):
    made = Place(tmp_path, workers=2, learning_rate_scaling="none", batch_size=15)
    train(made.paths.examples, made.paths.base, made.config, made.work, made.model)
    both = details(made.model)
    assert (both["strategy"], both["replicas"], both["batch_size"]) == ("multi_worker", 2, 30)
    assert [epoch["examples"] for epoch in both["history"]] == [epoch["examples"] for epoch in alone["history"]]
    assert best(both) == pytest.approx(best(alone), abs=0.01)
    assert not (made.work / "checkpoints").exists() or not any((made.work / "checkpoints").iterdir())


def test_a_coordinator_two_workers_and_parameter_servers_learn_too_though_a_worker_is_killed(alone, tmp_path, caplog):
    many = (*CITIES, *(f"city {number}" for number in range(40_000)))  # an embedding that is worth partitioning
    made = Place(tmp_path, cities=many, strategy="parameter_server", workers=2, parameter_servers=2, epochs=8)
    killer = threading.Thread(target=kill, args=(made.work, "chief-0", "worker", 0), daemon=True)
    killer.start()
    train(made.paths.examples, made.paths.base, made.config, made.work, made.model)
    spread = details(made.model)
    assert "worker-0 ended with code -9 and is started again" in caplog.text
    assert spread["strategy"] == "parameter_server"
    assert best(spread) > best(alone) - 0.03
    assert weights_of(made.model)["embedding_city/embedding_city/embeddings:0"].shape == (40_006, 4)


def kill(folder: Path, writes: str, kind: str, index: int) -> None:
    """Kills a process of the training in a folder once the one that writes has trained an epoch."""
    while not any("epoch 1" in path.read_text() for path in folder.glob(f"**/logs/{writes}.log")):
        time.sleep(0.05)
    command = ["pgrep", "-f", f"components.train .*{folder}"]
    for pid in subprocess.run(command, capture_output=True, text=True, check=False).stdout.split():
        environment = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
        if f'"task": {{"type": "{kind}", "index": {index}}}' in environment:
            os.kill(int(pid), signal.SIGKILL)


def goes_on_once(made: Place) -> None:
    """A second launch goes on from the checkpoint, and no epoch is lost or told twice."""
    local.launch(made.paths, made.config)
    done = details(made.paths.result)
    assert done["resumed"] == 1
    assert [epoch["epoch"] for epoch in done["history"]] == list(range(1, len(done["history"]) + 1))


@pytest.mark.nightly
def test_a_killed_worker_ends_all_and_the_next_launch_goes_on(tmp_path):
    made = Place(tmp_path, workers=2, epochs=20, patience=20, refit=False, checkpoint_minutes=0.001)
    threading.Thread(target=kill, args=(tmp_path, "worker-0", "worker", 1), daemon=True).start()
    with pytest.raises(UserError, match="training process worker-1 ended with code -9"):
        local.launch(made.paths, made.config)
    assert made.checkpoint.exists() and not made.paths.result.exists()
    goes_on_once(made)


def test_an_error_of_a_process_is_told_in_its_words_and_ends_all(tmp_path):
    made = Place(tmp_path, workers=2)
    for path in made.paths.examples.glob("train-*"):
        path.write_bytes(b"not a TFRecord")
    with pytest.raises(UserError, match=r"training process worker-\d ended with code 1"):
        local.launch(made.paths, made.config)
    left = subprocess.run(["pgrep", "-f", f"components.train .*{tmp_path}"], capture_output=True, text=True).stdout
    assert left == ""


@pytest.mark.nightly
def test_sigterm_saves_and_the_next_launch_goes_on(tmp_path):
    made = Place(tmp_path, workers=2, epochs=20, patience=20, refit=False)
    threading.Thread(target=terminate_when, args=(made.paths.scratch,), daemon=True).start()
    with pytest.raises(PreemptedError, match="run it again"):
        local.launch(made.paths, made.config)
    assert made.checkpoint.exists() and not made.paths.result.exists()
    goes_on_once(made)


def terminate_when(scratch) -> None:
    """SIGTERM to this process once the chief has ended its second epoch."""
    chief = scratch / "logs" / "worker-0.log"
    while not chief.exists() or "epoch 2" not in chief.read_text():
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGTERM)


MIRRORED = """
import sys
from pathlib import Path
from components.learning.legacy_keras import tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from tests.train.processes import Place, details
from components.train.train import train
made = Place(Path(sys.argv[1]), strategy="mirrored", learning_rate_scaling="none", batch_size=15)
train(made.paths.examples, made.paths.base, made.config, made.work, made.model)
print(details(made.model)["replicas"])
"""


@pytest.mark.nightly
def test_two_devices_of_one_process_learn_what_one_does(alone, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", MIRRORED, str(tmp_path)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "2", done.stderr[-2000:]
    assert best(details(tmp_path / "model")) == pytest.approx(best(alone), abs=0.01)


@pytest.mark.parametrize(
    ("wanted", "workers", "accelerators", "kind"),
    [
        ("auto", 1, 0, "single"), ("auto", 1, 1, "single"), ("auto", 1, 4, "mirrored"), ("auto", 3, 4, "multi_worker"),
        ("single", 1, 4, "single"), ("parameter_server", 2, 0, "parameter_server"),
    ],
)  # fmt: skip
def test_auto_goes_up_before_out(wanted, workers, accelerators, kind):
    assert place.choose(wanted, workers, accelerators)[0] == kind


def test_a_tpu_that_is_not_there_is_refused(tmp_path):
    made = Place(tmp_path, strategy="tpu")
    with pytest.raises(UserError, match="there is no TPU here; use auto"):
        train(made.paths.examples, made.paths.base, made.config, made.work, made.model)


@pytest.mark.parametrize(
    "text", ["{", '{"cluster": {}}', '{"cluster": {"worker": []}, "task": {"type": "worker", "index": 0}}']
)
def test_a_tf_config_that_is_none_is_refused(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match="TF_CONFIG is"):
        cluster()


@pytest.mark.parametrize(("rule", "factor"), [("none", 1), ("sqrt", 2), ("linear", 4)])
def test_the_learning_rate_follows_the_rule(rule, factor):
    assert rate_factor(Train(learning_rate_scaling=rule), 4) == pytest.approx(factor)
    assert np.isclose(rate_factor(Train(learning_rate_scaling=rule), 1), 1)


def test_the_tasks_of_a_cluster():
    assert [task.name for task in local.tasks(Train(workers=2))] == ["worker-0", "worker-1"]
    spread = Train(strategy="parameter_server", workers=2, parameter_servers=1)
    assert [task.name for task in local.tasks(spread)] == ["chief-0", "worker-0", "worker-1", "ps-0"]
