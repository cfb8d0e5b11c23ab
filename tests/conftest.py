"""Property tests of all folders: repeatable, and without a deadline, because the machine may be busy."""

from hypothesis import settings

settings.register_profile("evergreen", deadline=None, derandomize=True, database=None, max_examples=100)
settings.load_profile("evergreen")
