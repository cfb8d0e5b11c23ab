"""A stand-in for docker, podman and buildah: keeps what it built in a file, and speaks as each of them does.

    python engine.py PROGRAM FOLDER [engine's own words]

Files in FOLDER change what it does: `dead-docker` (its daemon does not answer), `broken` (builds fail), `interrupts`
(the command is told to end while it builds), `refuses` (the registry does), `size` (bytes of what is built).
FOLDER/calls has a line for each build and push.
"""

import hashlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

LABELS = {"BASE_IMAGE": "base.name", "VERSION": "version", "REVISION": "revision"}
SIZE = 200_000_000


def main(program: str, folder: Path, words: list[str]) -> int:
    """Runs one command of the engine."""
    if (folder / f"dead-{program}").exists():
        return _fail("cannot connect to the daemon")
    file = folder / "images.json"
    images: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    done = _run(program, folder, words, images)
    file.write_text(json.dumps(images))
    return done


def _run(program: str, folder: Path, words: list[str], images: dict[str, Any]) -> int:
    match words:
        case ["info"]:
            return 0
        case ["build", *_]:
            return _build(folder, words, images)
        case ["image", "inspect", name] if program != "buildah":
            return _show(images, name, lambda one: [one])
        case ["inspect", "--type", "image", name] if program == "buildah":
            return _show(images, name, lambda one: {"Docker": {"config": one["Config"]}})
        case ["images", "--json", name] if program == "buildah":
            return _show(images, name, lambda one: [{"size": f"{one['Size'] / 1e6:.4g} MB"}])
        case ["tag", name, target] if program == "docker":
            images[target] = images[name]
            return 0
        case ["push", *_]:
            return _push(program, folder, words, images)
    return _fail(f"{program}: unknown command {words}")


def _build(folder: Path, words: list[str], images: dict[str, Any]) -> int:
    name, context = words[-2], Path(words[-1])
    _note(folder, f"build {name} {[word for word in words if word.startswith('--extra')]}")
    if (folder / "interrupts").exists():
        os.kill(os.getppid(), signal.SIGINT)
        return 1
    if (folder / "broken").exists() or not (context / "Dockerfile").exists():
        return _fail("no such mirror")
    given = dict(words[at + 1].split("=", 1) for at, word in enumerate(words) if word == "--build-arg")
    labels = {f"org.opencontainers.image.{LABELS[key]}": value for key, value in given.items() if key in LABELS}
    size = int((folder / "size").read_text()) if (folder / "size").exists() else SIZE
    images[name] = {"Config": {"Labels": labels}, "Size": size}
    return 0


def _push(program: str, folder: Path, words: list[str], images: dict[str, Any]) -> int:
    target = words[-1].removeprefix("docker://")
    _note(folder, f"push {target}")
    if (folder / "refuses").exists():
        return _fail("unauthorized: authentication required")
    digest = "sha256:" + hashlib.sha256(target.encode()).hexdigest()
    if program == "docker":
        elsewhere = "elsewhere.example.com/other@sha256:" + "0" * 64
        familiar = target.rpartition(":")[0].removeprefix("docker.io/")
        images[target]["RepoDigests"] = [elsewhere, f"{familiar}@{digest}"]
    else:
        Path(words[words.index("--digestfile") + 1]).write_text(digest)
    return 0


def _show(images: dict[str, Any], name: str, form: Any) -> int:
    if name not in images:
        return _fail(f"{name}: no such image")
    print(json.dumps(form(images[name])))
    return 0


def _note(folder: Path, line: str) -> None:
    with (folder / "calls").open("a") as calls:
        calls.write(f"{line}\n")


def _fail(reason: str) -> int:
    print(reason, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:]))
