"""Resolves requirements.in and containers/*/requirements.in into pinned requirements.txt files.

The root comes first; the steps' files take its pins, so that an image carries what the tests ran with. Theirs have the
hashes of what may be installed. No index URL is written.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONTAINERS = ROOT / "containers"
ROOT_PINS = ROOT / "requirements.txt"
IMAGE_OPTIONS = ("--generate-hashes", "--config-file", "containers/uv.toml")


def resolve(source: Path, *extra: str) -> None:
    """Writes the requirements.txt beside a requirements.in, for Python 3.10 to 3.13."""
    target = source.with_suffix(".txt").relative_to(ROOT)
    command = [
        str(Path(sys.executable).with_name("uv")),
        "pip",
        "compile",
        str(source.relative_to(ROOT)),
        "-o",
        str(target),
        "--universal",
        "--python-version",
        "3.10",
        "--quiet",
        "--no-header",
        "--no-annotate",
        "--override",
        str((CONTAINERS / "overrides.txt").relative_to(ROOT)),
        *extra,
    ]
    subprocess.run(command, cwd=ROOT, check=True)
    print(f"wrote {target}")


if __name__ == "__main__":
    resolve(ROOT / "requirements.in", *sys.argv[1:])
    for step in sorted(CONTAINERS.glob("*/requirements.in")):
        resolve(step, "--constraint", str(ROOT_PINS.relative_to(ROOT)), *IMAGE_OPTIONS)
