"""The Linux control group of this process: what a container may use of its machine."""

from collections.abc import Iterator
from pathlib import Path

OF_PROCESS = Path("/proc/self/cgroup")
ROOT = Path("/sys/fs/cgroup")


def limits(controller: str, file: str, legacy_file: str) -> Iterator[str]:
    """What a file says in the process's control group and in those that it lies in, where it is there.

    Args:
        controller: such as `memory`.
        file: its name in version 2.
        legacy_file: its name in version 1.
    """
    for folder, name in _folders(controller, file, legacy_file):
        for each in (folder, *folder.parents):
            if each.is_relative_to(ROOT) and (text := _read(each / name)):
                yield text


def _folders(controller: str, file: str, legacy_file: str) -> Iterator[tuple[Path, str]]:
    """The process's folder in each version that has the controller, and the name of the file there."""
    for line in _read(OF_PROCESS).splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield ROOT / path.lstrip("/"), file
        elif controller in controllers.split(","):
            yield ROOT / controller / path.lstrip("/"), legacy_file


def _read(path: Path) -> str:
    """The text of a file without blanks around it; "" where it cannot be read, as outside Linux."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
