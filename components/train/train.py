"""Trains the network on the examples, from the base's weights where there is a base that fits."""

import shutil
from dataclasses import replace
from pathlib import Path

from components import artifacts
from components.errors import UserError
from components.learning import training_folder
from components.schema import canonical_json
from components.storage.address import Address, joined
from components.storage.fetched import kept_at
from components.train.config import TrainConfig
from components.train.paths import Paths

TENSORBOARD = "tensorboard"
OF_NO_CONSEQUENCE = (*training_folder.OF_NO_CONSEQUENCE, "launch", "tfjob")
"""Keys of `train` that change no weight."""


def train(examples: Path, base: Path, config: TrainConfig, work: Address, model: Path) -> None:
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
    curves = joined(artifacts.run_folder(work, artifacts.run_name()), TENSORBOARD)
    with (
        artifacts.recorded("train", work, [examples], model) as details,
        training_folder.kept_while_made(work, digest(examples, base, config)) as scratch,
        kept_at(curves, scratch / TENSORBOARD) as log,
        artifacts.atomic_folder(model) as folder,
    ):
        _check(artifacts.Examples.read(examples))
        paths = Paths(examples, base, scratch, log)
        _train(paths, config)
        shutil.copytree(paths.result, folder, dirs_exist_ok=True)
        details.update(artifacts.read_json(folder / artifacts.TRAINING))


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
    return training_folder.digest("train", canonical_json(described), examples, base)
