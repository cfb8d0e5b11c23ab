"""The container engines that build and push images: docker, podman or buildah, whichever is there.

Each is its own command line: nothing else does the same on all three.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import UserError

UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}


@dataclass(frozen=True)
class BuiltImage:
    """What an engine knows of an image that it has."""

    labels: Mapping[str, str]
    size_bytes: int
    """Of all its layers, unpacked; those that it shares with others count."""


@dataclass(frozen=True)
class Engine:
    """An engine, called by its name."""

    program: str

    def answers(self) -> str | None:
        """Why the engine cannot be used; None if it can."""
        if shutil.which(self.program) is None:
            return "not installed"
        asked = subprocess.run([self.program, "info"], capture_output=True, text=True, check=False)
        return None if asked.returncode == 0 else _last_line(asked.stderr)

    def build(self, context: Path, name: str, arguments: Mapping[str, str], options: Sequence[str]) -> None:
        """Builds the Dockerfile of a folder.

        Args:
            context: the folder.
            name: of the image, with its tag.
            arguments: the Dockerfile's build arguments.
            options: more words for the engine's `build`.

        Raises:
            UserError: the build failed; the engine has said why on standard output.
        """
        given = [word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")]
        command = [self.program, "build", *self._build_options(), *given, *options, "--tag", name, str(context)]
        if subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode != 0:
            raise UserError(f"{self.program} could not build {name}; the reason stands above")

    def find(self, name: str) -> BuiltImage | None:
        """The image of this name; None if the engine has none."""
        said = self._look("image", "inspect", name)
        return None if said is None else BuiltImage(said[0]["Config"].get("Labels") or {}, said[0]["Size"])

    def push(self, name: str, target: str, options: Sequence[str]) -> str:
        """Copies an image into a registry.

        Args:
            name: the image here.
            target: registry, path and tag there.
            options: more words for the engine's `push`.

        Returns:
            the digest of its manifest there, `sha256:…`.

        Raises:
            UserError: the registry refused it.
        """
        self._run(["tag", name, target], f"{name} could not be named {target}")
        self._run(["push", *options, target], f"{target} could not be pushed; log in to the registry")
        repository = target.rpartition(":")[0]
        found = json.loads(self._run(["image", "inspect", target], f"{target} is gone"))[0]["RepoDigests"]
        # Docker leaves its own registry out of a name.
        familiar = repository.removeprefix("docker.io/").removeprefix("library/")
        digests = [
            digest.partition("@")[2] for digest in found if digest.startswith((f"{repository}@", f"{familiar}@"))
        ]
        if not digests:
            raise UserError(f"{self.program} does not tell the digest of {target}; see `{self.program} image inspect`")
        return digests[0]

    def _build_options(self) -> list[str]:
        return []

    def _look(self, *words: str) -> Any:
        """What the engine says as JSON; None where it says no."""
        asked = subprocess.run([self.program, *words], capture_output=True, text=True, check=False)
        return None if asked.returncode != 0 else json.loads(asked.stdout)

    def _run(self, words: Sequence[str], trouble: str) -> str:
        done = subprocess.run([self.program, *words], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise UserError(f"{trouble} ({self.program}: {_last_line(done.stderr)})")
        return done.stdout


@dataclass(frozen=True)
class Podman(Engine):
    """Podman builds as docker does; the format that it prefers knows no health checks."""

    program: str = "podman"

    def push(self, name: str, target: str, options: Sequence[str]) -> str:
        """As of any engine; podman and buildah write the digest into a file."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "digest"
            words = ["push", "--digestfile", str(file), *options, name, f"docker://{target}"]
            self._run(words, f"{target} could not be pushed; log in to the registry")
            return file.read_text().strip()

    def _build_options(self) -> list[str]:
        return ["--format", "docker", "--layers"]


@dataclass(frozen=True)
class Buildah(Podman):
    """Buildah: podman's builder alone."""

    program: str = "buildah"

    def find(self, name: str) -> BuiltImage | None:
        """As of any engine; buildah lists sizes only for people."""
        said = self._look("inspect", "--type", "image", name)
        listed = self._look("images", "--json", name)
        if said is None or listed is None:
            return None
        number, _, unit = listed[0]["size"].partition(" ")
        return BuiltImage(said["Docker"]["config"].get("Labels") or {}, round(float(number) * UNITS[unit.upper()]))


ENGINES = {engine.program: engine for engine in (Engine("docker"), Podman(), Buildah())}


def find_engine(wanted: str | None) -> Engine:
    """The engine of a name, or the first that can be used.

    Raises:
        UserError: it cannot be used, or none can.
    """
    if wanted is not None and wanted not in ENGINES:
        raise UserError(f"{wanted} is no engine that we know; choose {', '.join(ENGINES)}")
    why = {}
    for engine in [ENGINES[wanted]] if wanted else ENGINES.values():
        trouble = engine.answers()
        if trouble is None:
            return engine
        why[engine.program] = trouble
    said = "; ".join(f"{program}: {trouble}" for program, trouble in why.items())
    raise UserError(f"no container engine can be used ({said}); install podman, buildah or docker, or start its daemon")


def _last_line(said: str) -> str:
    lines = said.strip().splitlines()
    return lines[-1].strip() if lines else "it said nothing"
