"""Whether a worker runs the step's own code.

Beam sends its workers the names of functions and not their text, so that a pool started from an older image would make
other examples, and nobody would know.
"""

import functools
import hashlib
from pathlib import Path

COMPONENTS = Path(__file__).parents[1]
ROOMS = ("preprocess", "features", "learning")
"""Those whose code makes examples."""


@functools.cache
def code_digests() -> dict[str, str]:
    """File below `components` → digest of its content."""
    return {
        path.relative_to(COMPONENTS).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        for room in ROOMS
        for path in sorted((COMPONENTS / room).glob("*.py"))
        if path.name != "component.py"
    }


def check_code(expected: dict[str, str]) -> None:
    """Refuses to work where a file is not the one that the step has.

    Files that only one of the two has do not count: an image carries no more than its step needs.

    Raises:
        RuntimeError: names the file.
    """
    here = code_digests()
    other = [name for name, digest in expected.items() if here.get(name, digest) != digest]
    if other:
        raise RuntimeError(
            f"the worker's components/{other[0]} is not the step's; start its pool from this very image of preprocess"
        )
