"""The installed size of a set of requirements."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


def installed_bytes(requirements: Path) -> int:
    """Installs requirements, and nothing that they do not name, into a folder of their own, and adds up its files.

    Args:
        requirements: a requirements.txt that names everything.

    Raises:
        subprocess.CalledProcessError: the installation failed.
    """
    with tempfile.TemporaryDirectory() as target:
        command = [*_installer(), "--quiet", "--no-deps", "--target", target, "--requirement", str(requirements)]
        subprocess.run(command, check=True)
        return sum(path.lstat().st_size for path in Path(target).rglob("*") if path.is_file())


def _installer() -> list[str]:
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv:
        return [uv, "pip", "install", "--python", sys.executable]
    return [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
