"""The errors that a user is meant to read."""


class UserError(Exception):
    """What is wrong and what to do, in one sentence.

    Commands print its text and exit with code 1, without a traceback unless `--debug` is given.
    """


class PreemptedError(Exception):
    """A process was told to end, and has saved how far it was: run again, it goes on from there."""
