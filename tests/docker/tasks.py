"""Pipelines of one task each, which the tests run in a container of the image of `engine.make_image`."""

from kfp import dsl

IMAGE = "evergreen-test-python:here"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def look(folder: str, source: str) -> str:
    import json
    import os
    import socket
    import tempfile
    from pathlib import Path

    def is_writable(place: Path) -> bool:
        try:
            (place / "written").write_text("")
        except OSError:
            return False
        return True

    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines())
    with (Path(folder) / "looked").open("a") as log:
        log.write("looked\n")
    seen = {
        "user": [os.getuid(), os.getgid()],
        "capabilities": int(status["CapEff"], 16),
        "no_new_privileges": status["NoNewPrivs"],
        "writable": [
            place for place in ("/", "/usr", source, folder, tempfile.gettempdir()) if is_writable(Path(place))
        ],
        "read": (Path(source) / "rows.csv").read_text(),
        "interfaces": [name for _, name in socket.if_nameindex()],
        "environment": dict(os.environ),
    }
    print(f"seen: {json.dumps(seen)}")
    return "looked"


@dsl.pipeline(name="looking")
def looking(folder: str, source: str):
    look(folder=folder, source=source)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def fail(how: str, folder: str) -> str:
    import os
    import signal
    import time
    from pathlib import Path

    with (Path(folder) / "tried").open("a") as log:
        log.write(f"{how}\n")
    if how == "raises":
        raise ValueError("on purpose")
    if how == "exits":
        raise SystemExit(3)
    if how == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "ends too early":
        os._exit(0)
    if how == "takes too much":
        b"x" * 2**30
    if how == "waits":
        time.sleep(120)
    return "all is well"


@dsl.pipeline(name="failing")
def failing(how: str, folder: str):
    fail(how=how, folder=folder)


@dsl.pipeline(name="failing-in-a-loop")
def failing_in_a_loop(how: str, folder: str):
    with dsl.ParallelFor(["a", "b"]):
        fail(how=how, folder=folder)
