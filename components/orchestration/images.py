"""The image of each step, tagged by the content hash of what it carries.

The hash covers the step's modules, every module of `components` that these import, directly or not, and the image's
Dockerfile and requirements. It stands in the image's name on a cluster and in local runs alike. KFP's cache key holds
that name, and the text of component.py as part of the command, in both places: a step whose code changed misses the
cache. What it makes anew has another artifact id (locally: another path), so that the steps after it miss as well; a
step that comes from the cache hands on the very artifacts of the run that made them, so that the others hit.
"""

import ast
import functools
import hashlib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "components"
BUILD_FILES = ("Dockerfile", "requirements.txt")
STARTED = {"rehearse": "serve"}
"""Rooms whose programs a step starts in processes of their own: its image carries them, though it imports them not."""
LOADED = ("storage/bucket.py",)
"""Modules that code loads by name, where a work directory is a bucket: every image carries them."""


def image(step: str) -> str:
    """The name of a step's image: `evergreen-python-<step>:<hash>`.

    KFP's local runner warns about an image whose name does not hold the word python.
    """
    return f"evergreen-python-{step}:{content_hash(step)}"


@functools.cache
def content_hash(step: str) -> str:
    """Twelve hexadecimal digits of the SHA-256 of what the step's image carries."""
    digest = hashlib.sha256()
    for path in carried_files(step):
        digest.update(f"{path.relative_to(ROOT).as_posix()}\0".encode())
        digest.update(path.read_bytes())
        digest.update(b"\0")
    return digest.hexdigest()[:12]


def carried_files(step: str) -> list[Path]:
    """The files that a step's image is made of: its code, the code that it imports, data beside it, its Dockerfile.

    `component.py` is left out: KFP compiles its text into the task.
    """
    rooms = [step, STARTED[step]] if step in STARTED else [step]
    carried: set[Path] = set()
    waiting = {path for room in rooms for path in (ROOT / PACKAGE / room).rglob("*.py") if path.name != "component.py"}
    waiting |= {ROOT / PACKAGE / name for name in LOADED}
    while waiting:
        carried |= waiting
        waiting = {imported for path in waiting for imported in imported_files(path)} - carried
    beside = {path for folder in {path.parent for path in carried} for path in folder.iterdir() if _is_data(path)}
    made_of = {ROOT / "containers" / step / name for name in BUILD_FILES}
    return sorted(carried | beside | {path for path in made_of if path.exists()})


def _is_data(path: Path) -> bool:
    """Not what editors and systems leave beside the files: hidden files and backups."""
    return path.is_file() and path.suffix != ".py" and not path.name.startswith(".") and not path.name.endswith("~")


@functools.cache
def imported_files(path: Path) -> frozenset[Path]:
    """The files of `components` that a module imports, in its body or in its functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    inside = {package for name in names if name.split(".")[0] == PACKAGE for package in _with_packages(name)}
    return frozenset(file for name in inside if (file := _file(name)) is not None)


def _with_packages(module: str) -> list[str]:
    """The module and the packages that it lies in, whose `__init__.py` Python runs first."""
    parts = module.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]


def _file(module: str) -> Path | None:
    base = ROOT.joinpath(*module.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.exists():
            return candidate
    return None
