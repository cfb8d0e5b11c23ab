"""What the server says when it is ready: what it serves, and a line to try it with."""

import shlex
from typing import Any

from components.serve.answers import encode
from components.serve.fleet import Fleet


def welcome(address: Any, fleet: Fleet) -> str:
    """The models with their versions, and for each a curl line with an instance that it understands.

    Args:
        address: that the server listens on, as `socket.getsockname` gives it.
        fleet: loaded.
    """
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    url = f"http://{host}:{address[1]}"
    lines = [f"Serving on {url} (Ctrl+C stops it)"]
    for name, slot in fleet.slots.items():
        version = "" if slot.model.version is None else f", version {slot.model.version}"
        body = encode({"instances": [slot.model.example]}).decode()
        lines += ["", f"{name}{version}:", f"curl {url}/v1/models/{name}:predict -d {shlex.quote(body)}"]
    return "\n".join(lines)
