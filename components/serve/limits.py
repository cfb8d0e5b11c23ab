"""What one server process bears before it refuses: flags of the command line, the same for all models."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of one process."""

    max_body_bytes: int = 8 * 1024 * 1024
    """Size of one request's body; a larger one is answered 413."""
    max_buffered_bytes: int = 64 * 1024 * 1024
    """Size of all bodies that came in pieces and are not answered yet; beyond it requests are answered 503."""
    max_queue: int = 1000
    """Requests waiting for a prediction, for each model; beyond it they are answered 503."""
    max_connections: int = 1000
    """Connections; predictions asked for over further ones are answered 503, and the connection is closed."""
    timeout_s: float = 10.0
    """How long a request may wait for its prediction; then it is answered 504."""
    receive_timeout_s: float = 20.0
    """How long a client may take to send a request; then it is answered 408 and the connection is closed."""
    drain_s: float = 3.0
    """How long the server goes on answering after SIGTERM, readiness 503, so that nobody is sent to it any more."""
