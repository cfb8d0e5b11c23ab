"""The ASGI application: finds who answers a path, reads the body within limits, turns refusals into answers."""

import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from components.serve.answers import CLOSE, Answer, Headers, RefusalError, json_answer, overloaded
from components.serve.counters import Counters
from components.serve.limits import Limits

logger = logging.getLogger("evergreen.serve")
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Get = Callable[[], Answer]
Predict = Callable[[bytes, Headers], Awaitable[Answer]]
EXPECTS = "evergreen.expects"
"""The extension of a scope whose client sends the body when it is asked for it (`Expect: 100-continue`)."""


class DisconnectedError(Exception):
    """The client went away before it had sent its request."""


class App:
    """Answers HTTP requests.

    Attributes:
        gets: path → who answers GET.
        posts: path → who predicts, and where it is counted.
        missing: tells why a path is not there.
        draining: whether the server is about to stop, so that connections are closed with the next answer.
        refused: requests that no model was asked about, by kind.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buffered = 0
        self.gets: dict[str, Get] = {}
        self.posts: dict[str, tuple[Predict, Counters]] = {}
        self.missing: Callable[[str], RefusalError] = lambda path: RefusalError(404, "not_found", path)
        self.draining = False
        self.refused = Counters().refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        post = self.posts.get(scope["path"])
        if post is None or scope["method"] != "POST":
            # A client that was not asked for its body may leave it out: what follows then cannot be told from a body.
            await _send(send, self._get(scope["method"], scope["path"]), self.draining or "extensions" in scope)
            return
        started_s = time.perf_counter()
        predict, counters = post
        try:
            if "extensions" in scope:
                self._check_length(scope, (CLOSE,))
            message = await receive()
            if message.get("more_body", True):
                answer = await self._in_pieces(message, scope, receive, predict)
            else:
                body = message["body"]
                if len(body) > self._limits.max_body_bytes:
                    raise self._too_large()
                answer = await predict(body, scope["headers"])
        except RefusalError as refusal:
            refusal = _coded(refusal, scope)
            counters.refused[refusal.kind] += 1
            answer = refusal.answer()
        except DisconnectedError:
            counters.refused["disconnected"] += 1
            return
        except Exception:
            answer = _failed(counters.refused)
        else:
            counters.latency.add(time.perf_counter() - started_s)
        await _send(send, answer, self.draining)

    async def refuse(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Answers a request over a connection beyond the limit: health and metrics are told, predictions are not."""
        if scope["method"] == "POST":
            self.refused["connections"] += 1
            await _send(send, overloaded("there are too many connections; try again later").answer(), close=True)
        else:
            await _send(send, self._get(scope["method"], scope["path"]), close=True)

    def _get(self, method: str, path: str) -> Answer:
        get = self.gets.get(path)
        try:
            if get is not None and method in ("GET", "HEAD"):
                return get()
            if get is None and path not in self.posts:
                raise self.missing(path)
            allowed = "GET, HEAD" if get is not None else "POST"
            message = f"{method} is not for {path}; use {allowed}"
            raise RefusalError(405, "method", message, ((b"allow", allowed.encode()),))
        except RefusalError as refusal:
            self.refused[refusal.kind] += 1
            return refusal.answer()
        except Exception:
            return _failed(self.refused)

    async def _in_pieces(self, message: dict[str, Any], scope: Scope, receive: Receive, predict: Predict) -> Answer:
        """Reads a body that did not come at once; all such bodies together are bounded until they are answered."""
        pieces: list[bytes] = []
        held = 0
        self._check_length(scope)
        try:
            while True:
                if message["type"] == "http.disconnect":
                    raise DisconnectedError
                pieces.append(message["body"])
                held += len(message["body"])
                self._buffered += len(message["body"])
                if held > self._limits.max_body_bytes:
                    raise self._too_large()
                if self._buffered > self._limits.max_buffered_bytes:
                    raise overloaded("the server holds too many large requests; try again later")
                if not message["more_body"]:
                    return await predict(b"".join(pieces), scope["headers"])
                message = await receive()
        finally:
            self._buffered -= held

    def _check_length(self, scope: Scope, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """Refuses a body for the length that is announced."""
        for name, value in scope["headers"]:
            if name == b"content-length" and int(value) > self._limits.max_body_bytes:
                raise self._too_large(headers)

    def _too_large(self, headers: Sequence[tuple[bytes, bytes]] = ()) -> RefusalError:
        message = f"the body is larger than {self._limits.max_body_bytes} bytes; send fewer instances at once"
        return RefusalError(413, "too_large", message, headers)


async def _send(send: Send, answer: Answer, close: bool) -> None:
    headers = [*answer.headers, (b"content-length", b"%d" % len(answer.body))]
    if close:
        headers.append(CLOSE)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _failed(refused: Counter[str]) -> Answer:
    """The answer where the server is at fault: its log has the traceback, the client none of it."""
    refused["internal"] += 1
    logger.exception("a request could not be answered")
    return json_answer({"error": "the server failed; its log tells why"}, 500)


def _coded(refusal: RefusalError, scope: Scope) -> RefusalError:
    """A body that cannot be read because it is compressed is refused for that."""
    if refusal.status == 400:
        for name, value in scope["headers"]:
            if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
                message = f"the body's Content-Encoding is {ascii(value.decode('latin-1'))[:40]}; send it uncompressed"
                return RefusalError(415, "coding", message, ((b"accept-encoding", b"identity"),))
    return refusal
