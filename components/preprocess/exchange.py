"""How the step and the workers of Beam's engine hand each other files."""

import contextlib
import logging
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import components.learning.legacy_keras  # noqa: F401 - before TensorFlow

# isort: split
import tensorflow as tf

from components.errors import UserError
from components.preprocess.pieces import Piece, Shard

log = logging.getLogger(__name__)
STEP_FOLDER = "preprocess-"


class Exchange:
    """For an engine of this machine, whose workers see the step's own files."""

    def __init__(self, folder: str, examples: Path) -> None:
        self.folder = folder
        """For what is needed while the engine works."""
        self._examples = examples

    @property
    def shards(self) -> str:
        """The folder into which workers write."""
        return str(self._examples)

    def show_pieces(self, pieces: Sequence[Piece]) -> list[Piece]:
        """The pieces, with paths that workers can open."""
        return list(pieces)

    def show_graph(self, graph: Path) -> str:
        """The folder in which workers find a SavedModel."""
        return str(graph)

    def take(self, shards: Sequence[Shard]) -> None:
        """Puts what workers wrote into the artifact."""


class SharedExchange(Exchange):
    """For an engine elsewhere: through a folder of its own on a volume that all mount, or in a bucket."""

    def __init__(self, folder: str, examples: Path, seen: str) -> None:
        super().__init__(folder, examples)
        self._seen = seen
        self._shown: dict[str, str] = {}

    @property
    def shards(self) -> str:
        """The folder into which workers write."""
        return f"{self.folder}/shards"

    def show_pieces(self, pieces: Sequence[Piece]) -> list[Piece]:
        """The pieces, with paths that workers can open; a file that they do not see already is copied once."""
        return [replace(piece, path=self._show(piece.path)) for piece in pieces]

    def show_graph(self, graph: Path) -> str:
        """The folder in which workers find a SavedModel."""
        shown = f"{self.folder}/graph"
        for path in sorted(graph.rglob("*")):
            if path.is_file():
                _copy(str(path), f"{shown}/{path.relative_to(graph).as_posix()}")
        return shown

    def take(self, shards: Sequence[Shard]) -> None:
        """Puts what workers wrote into the artifact."""
        for shard in shards:
            beside = self._examples / f".{shard.name}.tmp"
            _copy(f"{self.shards}/{shard.name}", str(beside))
            beside.replace(self._examples / shard.name)

    def _show(self, path: str) -> str:
        if path.startswith(self._seen):
            return path
        if path not in self._shown:
            self._shown[path] = f"{self.folder}/rows/{len(self._shown)}.parquet"
            _copy(path, self._shown[path])
        return self._shown[path]


@contextlib.contextmanager
def exchange(shared: str | None, examples: Path) -> Iterator[Exchange]:
    """An exchange for one step, whose folder is deleted in the end.

    A step that is killed leaves its folder in `shared`, by the name `preprocess-*`; nothing reads it again.

    Args:
        shared: the folder that the step and all workers see; None: they see all folders of the step.
        examples: the artifact, a folder.

    Raises:
        UserError: the shared folder cannot be written.
    """
    if shared is None:
        with tempfile.TemporaryDirectory(dir=examples) as folder:
            yield Exchange(folder, examples)
        return
    root = f"{shared.rstrip('/')}/"
    folder = f"{root}{STEP_FOLDER}{uuid.uuid4().hex}"
    made = SharedExchange(folder, examples, root)
    try:
        tf.io.gfile.makedirs(made.shards)
    except tf.errors.OpError as error:
        raise UserError(
            f"preprocess.shared is {shared}, which cannot be written ({error.message}); mount it here and on every "
            "worker, with the rights to write"
        ) from None
    try:
        yield made
    finally:
        _delete(folder)


def _copy(source: str, target: str) -> None:
    try:
        tf.io.gfile.makedirs(target.rpartition("/")[0])
        tf.io.gfile.copy(source, target, overwrite=True)
    except tf.errors.OpError as error:
        raise UserError(
            f"{source} cannot be copied to {target} ({error.message}); make sure that preprocess.shared has room and "
            "that the step and all workers mount the same volume there"
        ) from None


def _delete(folder: str) -> None:
    try:
        tf.io.gfile.rmtree(folder)
    except tf.errors.OpError as error:
        log.warning("%s stays behind (%s); delete it", folder, error.message)
