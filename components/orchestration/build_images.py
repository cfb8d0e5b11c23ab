"""`python -m components.orchestration.build_images [NAME…]`: builds the images, and pushes them.

An image that the engine has under its name, which holds the hash of its content, is not built again. Needs Python's own
library only.
"""

import argparse
import math
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from components.errors import UserError
from components.orchestration import images
from components.orchestration.engines import BuiltImage, Engine, find_engine
from components.orchestration.images import ROOT, carried_files, content_hash, image
from components.orchestration.lock import LOCK, read_lock, write_lock

BASE_IMAGE = "python:3.11-slim"
BUILD_IMAGE = "python:3.11"
BASE_LABEL = "org.opencontainers.image.base.name"
MB = 10**6
SERVE_BYTES = 400 * MB
LIGHT_BYTES = 500 * MB
INTERRUPTED = 130

Made: TypeAlias = tuple[BuiltImage, float]
"""An image, and the seconds that building it took: 0 if it was there."""


@dataclass(frozen=True)
class Build:
    """How images are built.

    Attributes:
        engine: what builds them.
        base: the base image.
        builder: the image that packages are installed in; it has the same Python at the same place, and strip.
        options: more words for the engine's `build`.
        again: whether an image is built that is there already, as for a base image that was renewed under its name.
    """

    engine: Engine
    base: str = BASE_IMAGE
    builder: str = BUILD_IMAGE
    options: Sequence[str] = field(default=())
    again: bool = False

    def make(self, name: str) -> Made:
        """Builds the image of a step or program, unless it is there.

        Raises:
            UserError: it cannot be built, or its code was changed meanwhile.
        """
        found = None if self.again else self.engine.find(image(name))
        if found is not None and found.labels.get(BASE_LABEL) == self.base:
            return found, 0.0
        start_s = time.perf_counter()
        bases = {"BASE_IMAGE": self.base, "BUILD_IMAGE": self.builder}
        arguments = {**bases, "VERSION": content_hash(name), "REVISION": _revision()}
        with context(name) as folder:
            _check_unchanged(name)
            self.engine.build(folder, image(name), arguments, self.options)
        built = self.engine.find(image(name))
        if built is None:
            raise UserError(f"{self.engine.program} built {image(name)}, but does not have it; look at its storage")
        return built, time.perf_counter() - start_s


@contextmanager
def context(name: str) -> Iterator[Path]:
    """A folder with what an image is built from: its Dockerfile, its requirements, and in `app/` the code it carries.

    Everybody may read what lies in it, whatever the umask: the image's user is nobody in particular.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        containers = images.ROOT / "containers" / name
        for path in carried_files(name):
            inside = path.relative_to(images.ROOT)
            target = folder / (path.name if path.is_relative_to(containers) else Path("app", inside))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        for path in folder.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        yield folder


def _check_unchanged(name: str) -> None:
    """Between the hash in the image's name and the copy that it is built from, somebody may have saved a file."""
    if content_hash.__wrapped__(name) != content_hash(name):
        raise UserError(f"the code of {name} was changed while its image was about to be built; run make images again")


def names() -> list[str]:
    """The steps and programs that have an image."""
    return sorted(path.parent.name for path in (images.ROOT / "containers").glob("*/Dockerfile"))


def limit_bytes(name: str) -> int | None:
    """What an image may weigh; None where TensorFlow is in it."""
    if name == "serve":
        return SERVE_BYTES
    pins = (images.ROOT / "containers" / name / "requirements.txt").read_text(encoding="utf-8")
    return None if "\ntensorflow==" in pins else LIGHT_BYTES


def renewed(before: Mapping[str, str], pushed: Mapping[str, str]) -> dict[str, str]:
    """A lock with what was pushed, and without what the code has left behind."""
    current = {image(name) for name in names()}
    return {name: address for name, address in {**before, **pushed}.items() if name in current}


def _revision() -> str:
    """The commit that the code lies at; `-dirty` where files differ from it."""
    if shutil.which("git") is None:
        return "unknown"
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--match="]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return said.stdout.strip() or "unknown"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        _check(options)
        engine = find_engine(options.engine or None)
        words = shlex.split(options.engine_options)
        build = Build(engine, options.base_image, options.build_image, words, options.again)
        made = {name: build.make(name) for name in options.names or names()}
        _show(made)
        _check_sizes(made)
        if options.push:
            _push(engine, options)
    except KeyboardInterrupt:
        print("interrupted; run again to go on: what is built stays", file=sys.stderr)
        return INTERRUPTED
    except (UserError, OSError) as error:
        if options.debug:
            raise
        print(error, file=sys.stderr)
        return 1
    return 0


def _check(options: argparse.Namespace) -> None:
    unknown = sorted(set(options.names) - set(names()))
    if unknown:
        raise UserError(f"{unknown[0]} has no image; choose among {', '.join(names())}")
    if options.push and not options.registry:
        raise UserError("no registry is given; name one, as in make images PUSH=1 REGISTRY=registry.example.com/ml")
    if options.push:
        _locked(options.lock)  # before anything is built and pushed that could not be noted


def _show(made: Mapping[str, Made]) -> None:
    """The table: behind all that the engine says while it builds."""
    print(f"{'image':<42} {'MB':>6} {'of':>6}  built in")
    for name, (built, took_s) in made.items():
        limit = limit_bytes(name)
        allowed = "" if limit is None else f"{limit // MB}"
        told = "unchanged" if took_s == 0.0 else f"{took_s:.0f} s"
        print(f"{image(name):<42} {built.size_bytes / MB:>6.0f} {allowed:>6}  {told}", flush=True)


def _check_sizes(made: Mapping[str, Made]) -> None:
    heavy = [name for name, (built, _) in made.items() if built.size_bytes >= (limit_bytes(name) or math.inf)]
    if heavy:
        raise UserError(f"too large: {', '.join(heavy)}; look at what their requirements bring")


def _locked(path: Path) -> dict[str, str]:
    return read_lock(path) if path.exists() else {}


def _push(engine: Engine, options: argparse.Namespace) -> None:
    """Pushes the images; the lock names none that has not arrived."""
    pushed = {}
    for name in options.names or names():
        target = f"{options.registry.rstrip('/')}/{image(name)}"
        digest = engine.push(image(name), target, shlex.split(options.push_options))
        pushed[image(name)] = f"{target.rpartition(':')[0]}@{digest}"
        print(pushed[image(name)], flush=True)
    write_lock(renewed(_locked(options.lock), pushed), options.lock)
    print(f"wrote {os.path.relpath(options.lock)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m components.orchestration.build_images", description="Builds images."
    )
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="steps and programs (default: all)")
    add("--engine", help="docker, podman or buildah (default: the first that can be used)")
    add("--base-image", default=BASE_IMAGE, help="what they are built on (%(default)s)")
    add(
        "--build-image",
        default=BUILD_IMAGE,
        help="what packages are installed in: the same Python and strip (%(default)s)",
    )
    add("--engine-options", default="", help="more words for the engine's build, as one string")
    add("--again", action="store_true", help="build what is there already, too: the base image was renewed")
    add("--push", action="store_true", help="push them and write the lock")
    add("--registry", default="", help="registry and path to push to")
    add("--push-options", default="", help="more words for the engine's push, as one string")
    add("--lock", type=Path, default=LOCK, help="file that takes the digests (%(default)s)")
    add("--debug", action="store_true", help="show tracebacks")
    return parser


if __name__ == "__main__":
    sys.exit(main())
