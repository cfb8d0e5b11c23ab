"""What a training saved, in a bucket too: of a pod that is preempted nothing is left but that.

    <address>/manifest.json   {"files": {name in the training's folder: digest of its content}}
    <address>/files/<digest>  the contents

A file is named by its content and never changes, and the manifest is replaced last, by one request. So what it names is
whole, whenever whoever sends is killed; digests are compared all the same before anything is taken.
"""

import contextlib
import json
import logging
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from components.digests.content import file_digest
from components.storage.folder import FolderStorage
from components.storage.open import open_storage

log = logging.getLogger(__name__)
MANIFEST, FILES = "manifest.json", "files"
PROGRESS = "progress.json"
"""Of a checkpoint: names its other files, and is replaced last."""
LOOK_S = 1.0
State = tuple[tuple[str, int, int], ...]
"""Name, time of writing in ns and size of the files that say what else there is."""


class Mirror:
    """The copy of a training's folder in a bucket."""

    def __init__(self, folder: Path, address: str) -> None:
        """Takes the folder, which must be there, and the address of its copy, which need not."""
        self._folder, self._storage = folder, open_storage(address)
        self._address = address
        self._sent: State = ()
        self._digests: dict[str, str] = {}
        """Of what the bucket holds, by name."""

    def fetch(self) -> None:
        """Brings the copy here unless there is something already; of a damaged copy nothing is taken.

        Raises:
            OSError: the bucket cannot be read.
        """
        if list(self._folder.glob(f"*/{PROGRESS}")):
            return
        try:
            files = json.loads(self._storage.read(MANIFEST))["files"]
            with tempfile.TemporaryDirectory(dir=self._folder, prefix=".") as stage:
                self._take(files, Path(stage))
            self._sent, self._digests = self._state(), files
        except FileNotFoundError as error:
            log.info("nothing is gone on with: %s", error)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("the checkpoint in %s is damaged (%s); training starts over", self._address, error)

    def _take(self, files: dict[str, str], stage: Path) -> None:
        for digest in set(files.values()):
            self._storage.fetch(f"{FILES}/{digest}", stage / digest)
            if file_digest(stage / digest) != digest:
                raise ValueError(f"{FILES}/{digest} does not hold what it is named by")
        # What names the others comes last: until then there is nothing to go on with.
        for name in sorted(files, key=lambda name: name.endswith(PROGRESS)):
            target = FolderStorage(self._folder).path(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            target.hardlink_to(stage / files[name])

    def send(self) -> None:
        """Copies what was saved since the last time.

        Raises:
            OSError: the bucket cannot be written.
        """
        state = self._state()
        if state == self._sent:
            return
        try:
            with tempfile.TemporaryDirectory(dir=self._folder, prefix=".") as stage:
                named = self._stage(Path(stage))
                self._storage.upload(Path(stage), FILES)
        except FileNotFoundError:  # the training has just saved anew
            return
        self._storage.write(MANIFEST, json.dumps({"files": named}).encode())
        kept = {f"{FILES}/{digest}" for digest in named.values()}
        self._storage.delete([entry.key for entry in self._storage.entries(FILES) if entry.key not in kept])
        self._sent, self._digests = state, named

    def _stage(self, stage: Path) -> dict[str, str]:
        """Links what is new into a folder, under its digest, so that it stays while it is sent."""
        link = stage.with_name(f"{stage.name}.link")
        named = {}
        for name in self._names():
            digest = self._digests.get(name) if name.endswith(".npz") else None  # these never change
            if digest is None:
                link.unlink(missing_ok=True)
                link.hardlink_to(self._folder / name)
                digest = file_digest(link)
                if digest not in self._digests.values():
                    link.replace(stage / digest)
            named[name] = digest
        link.unlink(missing_ok=True)
        return named

    def _names(self) -> list[str]:
        """The files that a training goes on from."""
        names = [path.name for path in self._folder.glob("*.json")]
        for path in self._folder.glob(f"*/{PROGRESS}"):
            names.append(f"{path.parent.name}/{PROGRESS}")
            named = json.loads(path.read_bytes())["files"].values()
            names += [f"{path.parent.name}/{name}" for name in named]
        return names

    def _state(self) -> State:
        paths = sorted([*self._folder.glob("*.json"), *self._folder.glob(f"*/{PROGRESS}")])
        states = [(path, path.stat()) for path in paths]
        return tuple((str(path), state.st_mtime_ns, state.st_size) for path, state in states)

    def remove(self) -> None:
        """Deletes the copy; until the manifest is gone it is whole."""
        self._storage.delete([MANIFEST])
        self._storage.remove(FILES)


@contextlib.contextmanager
def mirrored(folder: Path, address: str, from_nothing: bool) -> Iterator[None]:
    """Brings here what was saved, and copies what is saved while the block runs; removes the copy when it succeeds.

    Args:
        folder: of the training, on this machine.
        address: of its copy.
        from_nothing: whether the copy is not used.

    Raises:
        OSError: the bucket cannot be read.
    """
    mirror = Mirror(folder, address)
    if not from_nothing:
        mirror.fetch()
    stop = threading.Event()
    thread = threading.Thread(target=_go_on, args=(mirror, stop), daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        _end(thread, stop)
        _try_to_send(mirror)  # what was saved when the process was told to end
        raise
    _end(thread, stop)
    with contextlib.suppress(OSError):  # cleanup frees it later
        mirror.remove()


def _go_on(mirror: Mirror, stop: threading.Event) -> None:
    while not stop.wait(LOOK_S):
        _try_to_send(mirror)


def _end(thread: threading.Thread, stop: threading.Event) -> None:
    stop.set()
    thread.join()


def _try_to_send(mirror: Mirror) -> None:
    """A training is worth more than the copy of its checkpoint."""
    try:
        mirror.send()
    except OSError as error:
        log.warning("the checkpoint cannot be copied: %s", error)
