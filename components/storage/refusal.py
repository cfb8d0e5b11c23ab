"""What an S3 server refuses, as OSErrors that a user can read."""

import contextlib
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import BotoCoreError


@contextlib.contextmanager
def told(address: str) -> Iterator[None]:
    """Makes of errors such that say what was asked for; botocore's are no OSErrors, and s3fs's name no object.

    Raises:
        OSError: instead of the error that it got.
    """
    try:
        yield
    except FileNotFoundError as error:
        if _code(error) == "NoSuchBucket":
            raise OSError(f"{address} cannot be read or written: there is no such bucket; make it") from error
        raise FileNotFoundError(f"{address} is not there") from error
    except PermissionError as error:
        raise PermissionError(f"{address} is refused by the server: {error}; check the credentials of S3") from error
    except BotoCoreError as error:
        raise ConnectionError(
            f"{address} cannot be reached: {error}; check AWS_ENDPOINT_URL and credentials"
        ) from error
    except OSError as error:
        if error.errno is None:  # a timeout, which often says nothing itself
            what = f"{error}" or type(error).__name__
            raise OSError(f"{address} cannot be read or written: {what}; run again") from error
        raise OSError(error.errno, f"{error.strerror or error}", address) from error


def _response(error: BaseException | None) -> dict[str, Any]:
    """What the server answered, from the error that botocore raised first."""
    while error is not None:
        if isinstance(response := getattr(error, "response", None), dict):
            return response
        error = error.__cause__
    return {}


def status(error: OSError) -> int | None:
    """The HTTP status of the server's answer; None where it gave none."""
    return _response(error).get("ResponseMetadata", {}).get("HTTPStatusCode")


def _code(error: OSError) -> str | None:
    return _response(error).get("Error", {}).get("Code")
