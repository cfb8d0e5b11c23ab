"""`python -m manifests.render`, `make manifests`: renders overlays with kustomize, pins their images, checks them."""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from components.errors import UserError
from components.orchestration.lock import chosen_lock
from manifests.check import CRDS, check, empty_secrets
from manifests.images import pin
from manifests.local_secrets import LOCAL, make_secrets, write_private

HERE = Path(__file__).parent
BASE = HERE / "base"
OVERLAYS = sorted(path.parent for path in HERE.glob("overlays/*/kustomization.yaml"))
NEEDS_KUSTOMIZE = (
    "neither kubectl nor kustomize is installed; install one of them, as https://kubectl.docs.kubernetes.io tells"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        codes = [_render(overlay, options) for overlay in options.overlay or [BASE, *OVERLAYS]]
    except (UserError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return max(codes)


def render(overlay: Path) -> list[dict[str, Any]]:
    """The objects of an overlay, as kustomize makes them.

    Raises:
        UserError: neither kubectl nor kustomize is there, or the overlay cannot be built; why.
    """
    if not (overlay / "kustomization.yaml").is_file():
        raise UserError(f"{overlay} has no kustomization.yaml; give the folder of an overlay")
    built = subprocess.run([*_kustomize(), str(overlay)], capture_output=True, text=True, check=False)
    if built.returncode:
        raise UserError(f"{overlay} cannot be rendered: {' '.join(built.stderr.split())}")
    return [found for found in yaml.safe_load_all(built.stdout) if found]


def _kustomize() -> list[str]:
    if program := shutil.which("kustomize"):
        return [program, "build"]
    if program := shutil.which("kubectl"):
        return [program, "kustomize"]
    raise UserError(NEEDS_KUSTOMIZE)


def _render(overlay: Path, options: argparse.Namespace) -> int:
    if overlay.resolve() == LOCAL and (made := make_secrets(LOCAL)):
        print(f"made {os.path.relpath(made)} with random keys, which Git leaves alone")
    objects = render(overlay)
    pin(objects, chosen_lock(options.images_lock), options.registry)
    findings = check(objects, options.crds)
    problems = findings.problems + ([] if overlay.resolve() == BASE else empty_secrets(objects))
    for line in (*problems, *sorted(findings.skipped)):
        print(f"{overlay.name}: {line}", file=sys.stderr)
    if problems:
        return 1
    path = options.output / f"{overlay.name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, yaml.safe_dump_all(objects, sort_keys=False, width=1000))  # it holds the overlay's secrets
    print(f"{os.path.relpath(path)}: {len(objects)} objects, valid")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m manifests.render", description="Renders and checks manifests.")
    add = parser.add_argument
    add("overlay", nargs="*", type=Path, help="folders with a kustomization.yaml (default: base and all overlays)")
    add("--output", type=Path, default=Path(".evergreen/manifests"), help="where <overlay>.yaml goes (%(default)s)")
    add("--images-lock", type=Path, metavar="FILE", help="addresses of pushed images (default: images.lock, if any)")
    add("--registry", default="", help="registry and path of the images, where there is no lock")
    add("--crds", type=Path, default=CRDS, metavar="FOLDER", help="CRDs to check against (../shared/crds)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
