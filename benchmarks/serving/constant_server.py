"""The limits: this project's HTTP stack, and uvicorn alone, reading each request and answering a constant.

python -m benchmarks.serving.constant_server --port N --answer TEXT [--bare]

The stack is uvicorn with uvloop and httptools, and what the server puts on top of it for every request: limits of size,
time and connections, routing, counting. With --bare there is only uvicorn.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
import uvloop

from benchmarks.serving import bodies
from components.serve.answers import JSON, Answer, Headers
from components.serve.app import App
from components.serve.counters import Counters
from components.serve.limits import Limits
from components.serve.server import handle_signals, listen, serve_until_stopped

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
HEADERS = [JSON, (b"model-version", b"1")]


def bare_application(answer: bytes) -> Callable[[dict[str, Any], Receive, Send], Awaitable[None]]:
    """An ASGI application that answers every request the same."""
    headers = [*HEADERS, (b"content-length", str(len(answer)).encode())]
    start = {"type": "http.response.start", "status": 200, "headers": headers}
    body = {"type": "http.response.body", "body": answer}

    async def respond(_scope: dict[str, Any], receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await send(start)
        await send(body)

    return respond


async def serve_constant(answer: bytes, port: int) -> None:
    """Serves until it is told to stop."""
    constant = Answer(200, HEADERS, answer)

    async def predict(_body: bytes, _headers: Headers) -> Answer:
        return constant

    limits, stopping = Limits(), asyncio.Event()
    app = App(limits)
    app.posts[bodies.PATH] = predict, Counters()
    app.gets["/v2/health/ready"] = lambda: constant
    handle_signals(lambda _number: stopping.set())
    await serve_until_stopped(app, listen("127.0.0.1", port), limits, stopping, lambda: None)


def serve_bare(answer: bytes, port: int) -> None:
    """Serves with nothing but uvicorn."""
    uvicorn.run(
        bare_application(answer),
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--answer", required=True)
    parser.add_argument("--bare", action="store_true")
    arguments = parser.parse_args()
    if arguments.bare:
        serve_bare(arguments.answer.encode(), arguments.port)
    else:
        uvloop.new_event_loop().run_until_complete(serve_constant(arguments.answer.encode(), arguments.port))


if __name__ == "__main__":
    main()
