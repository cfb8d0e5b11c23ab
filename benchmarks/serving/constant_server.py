"""The limit: uvicorn with uvloop and httptools, reading each request and answering a constant.

python -m benchmarks.serving.constant_server --port N --answer TEXT
"""

import argparse
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def application(answer: bytes) -> Callable[[dict[str, Any], Receive, Send], Awaitable[None]]:
    """An ASGI application that answers every request the same."""
    headers = [
        (b"content-type", b"application/json"),
        (b"model-version", b"1"),
        (b"content-length", str(len(answer)).encode()),
    ]
    start = {"type": "http.response.start", "status": 200, "headers": headers}
    body = {"type": "http.response.body", "body": answer}

    async def respond(_scope: dict[str, Any], receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await send(start)
        await send(body)

    return respond


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--answer", required=True)
    arguments = parser.parse_args()
    uvicorn.run(
        application(arguments.answer.encode()),
        host="127.0.0.1",
        port=arguments.port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
    )


if __name__ == "__main__":
    main()
