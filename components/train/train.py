"""Trains the network on the examples, from the base's weights where there is a base that fits."""

import contextlib
import fcntl
import hashlib
import logging
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from components import artifacts
from components.errors import UserError
from components.schema import canonical_json
from components.train.config import TrainConfig
from components.train.paths import Paths

log = logging.getLogger(__name__)
CHECKPOINTS = "checkpoints"
TENSORBOARD = "tensorboard"
OF_NO_CONSEQUENCE = ("budget", "cache", "cache_memory_share", "checkpoint_minutes", "launch", "tfjob")
"""Keys of `train` that change no weight: with more memory or money a training goes on from where it had too little."""


def train(examples: Path, base: Path, config: TrainConfig, work: Path, model: Path) -> None:
    """Makes the artifact `model` (artifacts.py).

    What a training saves while it runs lies in `<work>/checkpoints/<digest of all it depends on>/`: the same training,
    run again after it was killed, goes on from there.

    Args:
        examples: artifact of preprocess.
        base: the version to start from; an empty folder where there is none.
        config: the network and how it is fitted.
        work: the work directory.
        model: folder to write.

    Raises:
        UserError: there are no examples to train on or to validate with, or it cannot be trained as configured.
        PreemptedError: the process was told to end; the checkpoint is saved.
    """
    with artifacts.recorded("train", work, [examples], model) as details, artifacts.atomic_folder(model) as folder:
        _check(artifacts.Examples.read(examples))
        scratch = work / CHECKPOINTS / digest(examples, base, config)
        logs = artifacts.run_folder(work, artifacts.run_name()) / TENSORBOARD
        paths = Paths(examples, base, scratch, logs)
        with _alone(scratch):
            _train(paths, config)
            shutil.copytree(paths.result, folder, dirs_exist_ok=True)
        details.update(artifacts.read_json(folder / artifacts.TRAINING))
    shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def _alone(scratch: Path) -> Iterator[None]:
    """Holds the folder of a training while the block runs; the lock ends with the process, however that ends.

    Raises:
        UserError: another process holds it.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    with (scratch / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another run is at this very training, in {scratch}; wait for it or stop it") from None
        except OSError as error:
            log.warning("%s cannot be locked (%s): see to it that no other run is at this training", scratch, error)
        yield


def _check(examples: artifacts.Examples) -> None:
    for part in ("train", "validation"):
        if not examples.rows[part]:
            raise UserError(f"there are no {part} examples; bring more data or change preprocess.{part}_days or _share")


def _train(paths: Paths, config: TrainConfig) -> None:
    # Each import where it is needed: TensorFlow takes seconds and memory, which a step that only waits for others does
    # without, and the client of Kubernetes half a second.
    if config.train.launch == "tfjob":
        _train_in_pods(paths, config)
    elif config.train.is_spread:
        from components.train import local

        local.launch(paths, config)
    else:
        from components.train.process import train_process

        train_process(paths, config)


def _train_in_pods(paths: Paths, config: TrainConfig) -> None:
    """Copies what the pods read to where they all see it, unless an earlier try has."""
    from components.train import tfjob

    shared = replace(paths, examples=paths.scratch / "examples", base=paths.scratch / "base")
    for source, target in ((paths.examples, shared.examples), (paths.base, shared.base)):
        if not target.exists():
            with artifacts.atomic_folder(target) as folder:
                shutil.copytree(source, folder, dirs_exist_ok=True)
    artifacts.write_bytes(paths.config, config.to_json().encode())
    roles = {"Worker": config.train.workers}
    if config.train.strategy == "parameter_server":
        roles = {"Chief": 1, **roles, "PS": config.train.parameter_servers}
    folders = [paths.scratch, paths.log]
    tfjob.launch(shared.command, folders, roles, paths.scratch.name, config.train.tfjob)


def digest(examples: Path, base: Path, config: TrainConfig) -> str:
    """The digest of all that a training depends on."""
    described = config.model_dump(mode="json", exclude={"train": set(OF_NO_CONSEQUENCE)})
    found = hashlib.sha256(canonical_json(described).encode())
    for folder in (examples, base):
        for path in _identifying(folder):
            found.update(f"{path.relative_to(folder)} {path.stat().st_size}\n".encode())
            if path.suffix == ".json":
                found.update(path.read_bytes())
    return found.hexdigest()[:32]


def _identifying(folder: Path) -> Iterator[Path]:
    """The files of an artifact that are the same whenever it is made of the same; not the records, which tell times."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return (path for path in files if artifacts.RECORDS not in path.relative_to(folder).parts)
