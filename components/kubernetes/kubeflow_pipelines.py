"""Requests to the API server of Kubeflow Pipelines (v2beta1), patient with one that is away; answers are plain JSON."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import kfp_server_api
from kfp_server_api.exceptions import ApiException
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from components.errors import UserError
from components.kubernetes import patience

Object = dict[str, Any]
PAGE = 200
"""The server gives no more at once."""
TIMEOUT_S = (10, 60)
"""To connect, and between two pieces of an answer."""
NOT_FOUND = 5
"""gRPC's code, in the JSON of a 404 that is the API's own; a proxy's says nothing of the object."""
ENDED = frozenset(("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED"))
"""The states of a run that is over."""
UNFINISHED = json.dumps(
    {"predicates": [{"operation": "NOT_EQUALS", "key": "state", "string_value": state} for state in sorted(ENDED)]}
)
"""A filter: the runs that have not ended."""
Told = TypeVar("Told")


@dataclass(frozen=True)
class Access:
    """How to come to a server."""

    host: str
    """URL of the API server or of the UI in front of it."""
    token: Callable[[], str | None]
    """Reads the token; asked for each request, because the kubelet renews it."""
    remedies: Mapping[int, str]
    """What to do where the server answers 401 or 403."""
    ca_file: str | None = None
    """Certificates by which the server's is checked; None for those of the machine."""


class PipelinesApi:
    """One Kubeflow Pipelines."""

    def __init__(self, access: Access, outage_s: float) -> None:
        """Connects nowhere yet.

        Args:
            access: where it is.
            outage_s: what the server may be away in all.

        Raises:
            UserError: the host is no URL.
        """
        if "@" in access.host:  # not shown: it may be a password
            raise UserError("the host holds an @, as before it a user's name does; leave that out and give a token")
        if not access.host.startswith(("http://", "https://")):
            raise UserError(f"the host {access.host!r} is no URL; give one like http://ml-pipeline.kubeflow:8888")
        self.server = f"Kubeflow Pipelines at {access.host}"
        self._access = access
        self._patience_s = outage_s
        settings = kfp_server_api.Configuration(host=access.host.rstrip("/"))
        # We ask again ourselves; a redirection leads to a login.
        settings.retries = False
        settings.ssl_ca_cert = access.ca_file
        settings.api_key_prefix["authorization"] = "Bearer"
        settings.refresh_api_key_hook = self._bring_token
        self.client = kfp_server_api.ApiClient(settings)
        self._bring_token(settings)

    def _bring_token(self, settings: Any) -> None:
        token = self._access.token()
        if token:
            settings.api_key["authorization"] = token

    def ask(self, doing: str, call: Callable[..., Any], **arguments: Any) -> Object:
        """The answer to a request that may be made twice.

        Args:
            doing: what errors say cannot be done.
            call: a method of `kfp_server_api`.
            arguments: that method's.

        Raises:
            UserError: it is refused, or the server was away for too long.
            MissingError: what it is about is not there.
        """
        began = time.monotonic()
        try:
            return self._parsed(self._asked(call, arguments, _passes))
        except patience.AwayError:
            self._patience_s = max(0.0, self._patience_s - (time.monotonic() - began))
            raise
        except ApiException as error:
            raise self._refused(doing, error) from None

    def ask_once(self, doing: str, call: Callable[..., Any], **arguments: Any) -> Object:
        """The answer to a request that must not be done twice; it is made again only where it cannot have come through.

        Raises:
            UnsureError: it may have been done, or not.
            UserError: it is refused, or the server was away for too long.
            MissingError: what it is about is not there.
        """
        try:
            return self._parsed(self._asked(call, arguments, _never_came))
        except ApiException as error:
            if error.status in (502, 503, 504):
                raise self._unsure(doing, error) from None
            raise self._refused(doing, error) from None
        except HTTPError as error:
            raise self._unsure(doing, error) from None

    def ask_bare(self, call: Callable[..., Any], **arguments: Any) -> bytes:
        """The answer to one request, with the client's own errors.

        Raises:
            ApiException, HTTPError: it is refused, or the server is away.
        """
        try:
            # JSON as it is: the client's own classes refuse values that they do not know.
            content: bytes = call(**arguments, _preload_content=False, _request_timeout=TIMEOUT_S).data
        except AttributeError as error:
            # The client stumbles over its own error where a certificate is not trusted: that one has no body.
            if isinstance(error.__context__, ApiException):
                raise error.__context__ from None
            raise
        return content

    def find(self, doing: str, call: Callable[..., Any], **arguments: Any) -> Object | None:
        """The same as `ask`, but None where what it is about is not there."""
        try:
            return self.ask(doing, call, **arguments)
        except MissingError:
            return None

    def pages(self, doing: str, call: Callable[..., Any], key: str, page: Object, **arguments: Any) -> Iterator[Object]:
        """What a listing holds, all pages of it.

        Args:
            doing: what errors say cannot be done.
            call: a method of `kfp_server_api`.
            key: of the list in the answer.
            page: order and filter, for which the page token stands from the second page on.
            arguments: what goes with every page.
        """
        while True:
            found = self.ask(doing, call, page_size=PAGE, **page, **arguments)
            yield from found.get(key) or []
            token = found.get("next_page_token")
            if not token:
                return
            page = {"page_token": token}

    def told(self, read: Callable[[Object], Told], raw: Object) -> Told:
        """What an answer tells.

        Raises:
            UserError: it is of another shape.
        """
        try:
            return read(raw)
        except (KeyError, TypeError, AttributeError, ValueError):
            raise self.no_api() from None

    def no_api(self) -> UserError:
        """The sentence for an answer that is not the API's."""
        return UserError(f"{self.server} does not answer as the API does; give its URL, not a page's or a login's")

    def _asked(self, call: Callable[..., Any], arguments: Object, passes: Callable[[Exception], bool]) -> bytes:
        return patience.ask(
            lambda: self.ask_bare(call, **arguments), self.server, (ApiException, HTTPError), passes, message,
            self._patience_s,
        )  # fmt: skip

    def _refused(self, doing: str, error: ApiException) -> Exception:
        said = message(error)
        if error.status == 404:
            if _body(error).get("code") != NOT_FOUND:
                return self.no_api()
            return MissingError(f"{self.server} cannot {doing}, for something is not there ({said}); run this again")
        if 300 <= error.status < 400:
            return UserError(f"{self.server} sends us elsewhere, as a login does; {self._access.remedies[401]}")
        if error.status in self._access.remedies:
            remedy = self._access.remedies[error.status]
            return UserError(f"{self.server} does not let this account {doing} ({said}); {remedy}")
        if error.status == 409:
            return ExistsError(f"{self.server} cannot {doing}, for it is there already ({said}); run this again")
        return UserError(f"{self.server} cannot {doing} ({said}); mend what it names, or see its log")

    def _unsure(self, doing: str, error: Exception) -> "UnsureError":
        return UnsureError(
            f"the connection to {self.server} broke before it said whether it could {doing} ({message(error)}); run "
            "this again: it goes on from what is there"
        )

    def _parsed(self, content: bytes) -> Object:
        try:
            found = json.loads(content or b"{}")
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise self.no_api()
        return found


class MissingError(UserError):
    """There is no such object."""


class ExistsError(UserError):
    """There is one of that name."""


class UnsureError(UserError):
    """A request may have been done, or not: the connection broke before the answer."""


def message(error: Exception) -> str:
    """What an error says, in one line; never its headers."""
    if not isinstance(error, ApiException):
        return " ".join(str(error).split())
    body = _body(error)
    # Uploads answer with errors of another shape.
    said = body.get("message") or body.get("error") or body.get("error_message")
    return " ".join(str(said or f"{error.status or ''} {error.reason}").split())


def _passes(error: Exception) -> bool:
    return not isinstance(error, ApiException) or error.status == 429 or error.status >= 500


def _never_came(error: Exception) -> bool:
    if isinstance(error, ApiException):
        return bool(error.status == 429)
    return isinstance(error, NewConnectionError | ConnectTimeoutError)


def _body(error: ApiException) -> Object:
    """What an error's answer tells; empty where that is no JSON object."""
    try:
        body = json.loads(error.body)
    except (TypeError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}
