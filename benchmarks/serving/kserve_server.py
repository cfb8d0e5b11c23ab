"""A peer: the `kserve` SDK's server, with LiteRT or TensorFlow behind it.

    python -m benchmarks.serving.kserve_server --engine tensorflow --version DIR --port N

Set as fast as the SDK allows: one worker, no gRPC, no log line per request, uvloop and httptools, the model's call in
the event loop itself (a thread costs more than these models), the garbage collector spared what was loaded.
"""

import argparse
import asyncio
import gc
import sys
from pathlib import Path
from typing import Any

QUIET = ("--configure_logging=false", "--enable_latency_logging=false", "--enable_grpc=false")
# The SDK reads its options from the command line when it is imported.
sys.argv += QUIET

import uvloop  # noqa: E402
from kserve import Model, ModelServer  # noqa: E402

from benchmarks.serving.bodies import MODEL  # noqa: E402
from benchmarks.serving.engines import ENGINES, Engine  # noqa: E402


class Peer(Model):
    """An engine as the SDK wants it."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(MODEL)
        self._engine = engine
        self.ready = True

    def predict(self, payload: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:  # noqa: ARG002
        """Answers one request of the V1 protocol."""
        return {"predictions": self._engine(payload["instances"])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=sorted(ENGINES), required=True)
    parser.add_argument("--version", type=Path, required=True, help="a version of the model store")
    parser.add_argument("--port", type=int, required=True)
    arguments, _ = parser.parse_known_args()
    peer = Peer(ENGINES[arguments.engine](arguments.version))
    gc.collect()
    gc.freeze()
    # The SDK asks for the current loop, then runs another one of the same kind.
    uvloop.install()
    asyncio.set_event_loop(asyncio.new_event_loop())
    ModelServer(http_port=arguments.port, workers=1, enable_grpc=False, enable_latency_logging=False).start([peer])


if __name__ == "__main__":
    main()
