"""For the tests of all folders: the settings of property tests, a real S3 server, and a log that nobody set up.

Property tests are repeatable, and without a deadline, because the machine may be busy.
"""

import logging
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.s3 import s3_environment, s3_root

__all__ = ["s3_environment", "s3_root"]

settings.register_profile("evergreen", deadline=None, derandomize=True, database=None, max_examples=100)
settings.load_profile("evergreen")

# A shell ignores it for what it starts in the background, and so would every process that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def log_as_found() -> Iterator[None]:
    """A command that a test calls sets up the log of its process; the next test must not write where that one wrote."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.setLevel(level)
    for handler in [one for one in root.handlers if one not in handlers]:
        root.removeHandler(handler)
