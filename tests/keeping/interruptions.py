"""Kills an operation before its n-th change, or does something else before its n-th step."""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.storage.bucket import BucketStorage
from components.storage.folder import FolderStorage

CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link")
"""Audit events of Python; os.replace is os.rename, os.unlink is os.remove."""
REQUESTS = ("put_object", "delete_objects", "abort_multipart_upload")
STEPS = ("exists", "read", "cell", "write", "create", "swap", "forget", "delete", "remove", "upload")


class Killed(BaseException):
    """What a killed process would have done next is not done; no `finally` can change a file any more."""


class Interruptions:
    """One at a time."""

    def __init__(self, patch: pytest.MonkeyPatch, is_folder: bool) -> None:
        self._left: int | None = None
        self._steps_left = 0
        self._action: Callable[[], None] | None = None
        self._depth = 0
        self._main = threading.get_ident()
        if is_folder:
            _listeners[:] = [self._change]
        else:
            _listeners.clear()
            _count_requests(patch, self._change)
        for storage in (FolderStorage, BucketStorage):
            for name in STEPS:
                patch.setattr(storage, name, self._stepping(getattr(storage, name)))

    def killed(self, operation: Callable[[], Any], nth: int) -> bool:
        """Does an operation as a process that dies before its n-th change; returns whether it came to that."""
        self._left = nth
        try:
            operation()
        except Killed:
            return True
        finally:
            self._left = None
        return False

    @contextlib.contextmanager
    def before_step(self, nth: int, action: Callable[[], None]) -> Iterator[None]:
        """Does something before the n-th step of the block."""
        self._steps_left, self._action = nth, action
        try:
            yield
        finally:
            self._action = None

    def _change(self) -> None:
        if self._left is None or threading.get_ident() != self._main:
            return
        self._left -= 1
        if self._left <= 0:
            raise Killed

    def _stepping(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **named: Any) -> Any:
            if self._action is None or threading.get_ident() != self._main:
                return method(*arguments, **named)
            if self._depth == 0:  # inside of a step a lock may be held
                self._steps_left -= 1
                if self._steps_left == 0:
                    action, self._action = self._action, None
                    action()
            self._depth += 1
            try:
                return method(*arguments, **named)
            finally:
                self._depth -= 1

        return step


_listeners: list[Callable[[], None]] = []


def _on_audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _listeners and (event in CHANGES or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR))):
        _listeners[0]()


sys.addaudithook(_on_audit)  # it can never be removed


def _count_requests(patch: pytest.MonkeyPatch, change: Callable[[], None]) -> None:
    call = BucketStorage._call

    def counted(self: BucketStorage, method: str, key: str, **arguments: Any) -> Any:
        if method in REQUESTS:
            change()
        return call(self, method, key, **arguments)

    def upload(self: BucketStorage, folder: Path, prefix: str) -> None:
        """File by file, so that each can be the last."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.write(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())

    patch.setattr(BucketStorage, "_call", counted)
    patch.setattr(BucketStorage, "upload", upload)
