"""`python -m components.serve --work .evergreen`: answers predictions over HTTP with what is in service."""

import argparse
import asyncio
import contextlib
import logging
import math
import os
import signal
import socket
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import uvloop

from components.errors import UserError
from components.serve.app import App
from components.serve.cost import measure_join
from components.serve.fleet import Fleet, log_folder
from components.serve.limits import Limits
from components.serve.routes import Routes
from components.serve.served_model import Source
from components.serve.server import handle_signals, listen, serve_until_stopped
from components.serve.welcome import welcome
from components.storage.address import Address, is_local

DEFAULT = Limits()
POLL_S, BUCKET_POLL_S = 1.0, 15.0
SWITCH_INTERVAL_S = 0.0005
"""While a thread loads or predicts, the event loop waits so long for its turn; Python's own 5 ms would be seen."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL if not options.debug else logging.INFO)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        return _run(_serve(options))
    except (UserError, OSError) as error:
        if options.debug:
            raise
        print(error, file=sys.stderr)
        return 1


def _run(work: Coroutine[Any, Any, int]) -> int:
    loop = uvloop.new_event_loop()
    try:
        return int(loop.run_until_complete(work))
    finally:
        loop.close()


async def _serve(options: argparse.Namespace) -> int:
    limits = Limits(**{field.name: getattr(options, field.name) for field in fields(Limits)})
    stopping = asyncio.Event()
    app = App(limits)
    fleet = _fleet(options, limits)
    routes = Routes(app, fleet)
    listener = _listen(options.host, options.port)
    try:
        await fleet.load(await measure_join())
        handle_signals(lambda number: _stop(number, routes, app, limits, stopping))
        if options.until_stdin_ends:
            _stop_when_stdin_ends(stopping)
        following = asyncio.ensure_future(fleet.follow(options.poll_s or _poll_s(options.work)))
        await serve_until_stopped(app, listener, limits, stopping, lambda: _say_ready(routes, listener, fleet))
        following.cancel()
    finally:
        listener.close()
        fleet.close()
    return 0


def _stop_when_stdin_ends(stopping: asyncio.Event) -> None:
    """For a server that must not outlive the process that holds the other end."""
    loop, stdin = asyncio.get_running_loop(), sys.stdin.fileno()

    def look() -> None:
        if not os.read(stdin, 4096):
            loop.remove_reader(stdin)
            stopping.set()

    loop.add_reader(stdin, look)


def _say_ready(routes: Routes, listener: socket.socket, fleet: Fleet) -> None:
    routes.ready = True
    print(welcome(listener.getsockname(), fleet), flush=True)


def _stop(number: int, routes: Routes, app: App, limits: Limits, stopping: asyncio.Event) -> None:
    """Stops at once on Ctrl+C or the second signal, and on SIGTERM when those who ask had time to learn of it."""
    wait_s = 0.0 if number == signal.SIGINT or not routes.ready else limits.drain_s
    routes.ready, app.draining = False, True
    asyncio.get_running_loop().call_later(wait_s, stopping.set)


def _fleet(options: argparse.Namespace, limits: Limits) -> Fleet:
    if options.work is None and not options.folder:
        raise UserError("nothing is to be served; give --work or --folder")
    if options.model and options.work is None:
        raise UserError("--model names models of a store; give its --work too")
    work = options.work
    if isinstance(work, Path) and not work.is_dir():
        raise UserError(f"{work} is not a folder; give the work directory of the runs")
    logs = options.requests or (log_folder(work) if work else None)
    return Fleet(work, options.model, [_source(text) for text in options.folder], logs, limits)


def _address(text: str) -> Address:
    """The value of a flag: a path, or an URL."""
    return Path(text) if is_local(text) else text.rstrip("/")


def _poll_s(work: Address | None) -> float:
    """A look at a bucket costs some requests."""
    return BUCKET_POLL_S if work is not None and not is_local(work) else POLL_S


def _source(text: str) -> Source:
    name, equals, path = text.partition("=")
    if not equals or not name or "/" in name:
        raise UserError(f"--folder {text} is not understood; write --folder NAME=PATH")
    return Source(name, Path(path))


def _listen(host: str, port: int) -> socket.socket:
    try:
        return listen(host, port)
    except (OSError, OverflowError) as error:
        raise UserError(f"{host}:{port} cannot be listened on ({error}); give another --host or --port") from None


def _seconds(text: str) -> float:
    """The value of a flag."""
    with contextlib.suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text} is no wait; give a number of seconds above 0")


def _wait(text: str) -> float:
    """The value of a flag for a wait that may be left out with 0."""
    with contextlib.suppress(ValueError):
        if 0 <= float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text} is no wait; give a number of seconds, 0 or more")


def _count(text: str) -> int:
    """The value of a flag."""
    with contextlib.suppress(ValueError):
        if int(text) > 0:
            return int(text)
    raise argparse.ArgumentTypeError(f"{text} is no limit; give a whole number above 0")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m components.serve", description="Answers predictions over HTTP.")
    add = parser.add_argument
    add("--work", type=_address, help="work directory, or s3://bucket/prefix, whose models in service are followed")
    add("--model", action="append", default=[], metavar="NAME", help="only this model of it; may be repeated")
    add("--folder", action="append", default=[], metavar="NAME=PATH", help="a version's folder to serve under a name")
    add("--requests", type=_address, help="where sampled requests are logged (default: requests/ in --work)")
    add("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    add("--port", type=int, default=8080, help="port to listen on; 0: any free one (%(default)s)")
    add("--poll-s", type=_seconds, help="seconds between looks for new versions (1; in a bucket 15)")
    add("--max-body-bytes", type=_count, default=DEFAULT.max_body_bytes, help="size of a request's body (%(default)s)")
    add("--max-buffered-bytes", type=_count, default=DEFAULT.max_buffered_bytes, help="of all of them (%(default)s)")
    add("--max-queue", type=_count, default=DEFAULT.max_queue, help="requests that wait for a model (%(default)s)")
    add("--max-connections", type=_count, default=DEFAULT.max_connections, help="connections (%(default)s)")
    add("--timeout-s", type=_seconds, default=DEFAULT.timeout_s, help="wait for a prediction (%(default)s)")
    add("--receive-timeout-s", type=_seconds, default=DEFAULT.receive_timeout_s, help="for a request (%(default)s)")
    add("--drain-s", type=_wait, default=DEFAULT.drain_s, help="go on so long after SIGTERM, not ready (%(default)s)")
    add("--until-stdin-ends", action="store_true", help="stop when standard input ends")
    add("--debug", action="store_true", help="show tracebacks")
    return parser


if __name__ == "__main__":
    sys.exit(main())
