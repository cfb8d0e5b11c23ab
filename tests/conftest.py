"""For the tests of all folders: the settings of property tests, and a real S3 server.

Property tests are repeatable, and without a deadline, because the machine may be busy.
"""

from hypothesis import settings

from tests.s3 import s3_environment, s3_root

__all__ = ["s3_environment", "s3_root"]

settings.register_profile("evergreen", deadline=None, derandomize=True, database=None, max_examples=100)
settings.load_profile("evergreen")
