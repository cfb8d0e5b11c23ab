"""The one error that a user is meant to read."""


class UserError(Exception):
    """What is wrong and what to do, in one sentence.

    Commands print its text and exit with code 1, without a traceback unless `--debug` is given.
    """
