"""The model store of one model.

    <work>/models/<name>/versions/<n>/     complete, never changed once it is there
    <work>/models/<name>/pointers/         see `pointers.py`

`<work>` is a folder or `s3://bucket/prefix`. A version is there once its `checksums.json` is. A pointer names a version
only after that version is there, so that a reader who follows a pointer always finds a complete version. Rollback is
moving a pointer.

*Deleting against pointing.* Who deletes a version marks it first (`pointers/doomed/`), and looks then whether it is
named. Who names a version holds it first (`pointers/holds/`), and looks then whether it is marked, or its base or
parent, which cleanup keeps with it. So one of the two sees the other, and no pointer ever names what is gone, whichever
process is killed when.
"""

import contextlib
import time
from collections.abc import Callable, Collection, Iterator

from components.errors import UserError
from components.storage.address import Address
from components.store.marks import MARK_S
from components.store.pointers import Pointer, Pointers, Target
from components.store.version import CHECKSUMS, Version, verify
from components.store.versions import Versions


class ModelStore(Versions):
    """The versions and pointers of one model below a work directory."""

    def __init__(self, work: Address, name: str) -> None:
        super().__init__(work, name)
        self._pointers = Pointers(self.storage, f"{self.prefix}/pointers")

    def pointed(self, pointer: Pointer) -> Version | None:
        """The version that a pointer names; None where the pointer was never set.

        Raises:
            UserError: the pointer's file cannot be read, or names a version that is not there.
        """
        number = self.number(pointer)
        return None if number is None else self.version(number)

    def number(self, pointer: Pointer) -> int | None:
        """The number that a pointer names, whether there is such a version or not; None where it was never set.

        Raises:
            UserError: the pointer's file is damaged.
        """
        if pointer == "previous":
            return self._pointers.target("serving").previous
        return self._pointers.target(pointer).version

    def point(self, pointer: Pointer, version: Version) -> Version | None:
        """Moves a pointer to a version, whatever it names now.

        Moving `serving` leaves the version that it named in `previous`. Moving it back withdraws that version: it is
        not put into service again unless somebody points to it.

        Returns:
            the version that the pointer named before; None where it named none, or one that is gone.

        Raises:
            UserError: the version is damaged, or is being deleted.
        """
        if pointer == "serving":
            return self._serve(version, mend=True)
        return self._move(pointer, version, lambda _: Target(version.number), mend=True)

    def replace(self, expected: int | None, version: Version) -> Version | None:
        """Moves `serving` to a version if it still names the version that the new one was compared with.

        Args:
            expected: the number of that version; None where there was none.
            version: the version to put into service.

        Returns:
            the version that was in service before.

        Raises:
            UserError: another version went into service meanwhile, or this one is damaged or was withdrawn.
        """

        return self._serve(version, lambda target: check_replaceable(target, expected, version))

    def rollback(self) -> Version:
        """Puts the version that was in service before into service again.

        Returns:
            that version.

        Raises:
            UserError: there is none, or it is gone or damaged, or another went into service meanwhile.
        """
        seen = self._pointers.target("serving")
        if seen.previous is None:
            raise UserError(f"{self.name} has nothing to roll back to: no other version was in service before")
        version = self.version(seen.previous)

        def check(target: Target) -> None:
            if target.version != seen.version:
                raise UserError(f"version {target.version} went into service meanwhile; look at it and run again")

        self._serve(version, check)
        return version

    def withdrawn(self) -> tuple[int, ...]:
        """The numbers of the versions that were taken out of service by moving the pointer back."""
        return self._pointers.target("serving").withdrawn

    def withdrawal(self) -> str:
        """Why the last candidate was withdrawn on a cluster; empty where it was not."""
        return self._pointers.target("candidate").reason

    @contextlib.contextmanager
    def holding(self, version: Version) -> Iterator[None]:
        """Keeps a version while the block runs, as one does that reads it for long.

        Raises:
            UserError: it is being deleted.
        """
        with self._pointers.held(version.number):
            self._refuse_doomed(version)
            yield

    def pin(self, number: int, reason: str) -> None:
        """Keeps a version until it is unpinned.

        Raises:
            UserError: there is no such version, or it is being deleted, or the reason is empty.
        """
        if not reason.strip():
            raise UserError(f"version {number} is not pinned without a reason; say why it is kept")
        version = self.version(number)
        with self._pointers.held(number):
            self._refuse_doomed(version)
            self._pointers.change_pins(lambda pins: {**pins, number: reason})
            try:
                self._refuse_doomed(version)
            except UserError:
                self.unpin(number)
                raise

    def unpin(self, number: int) -> None:
        """Lets cleanup decide about a version again; one that is not pinned is no error."""
        self._pointers.change_pins(lambda pins: {one: reason for one, reason in pins.items() if one != number})

    def pins(self) -> dict[int, str]:
        """The numbers of the pinned versions, with the reasons."""
        return self._pointers.pins()

    def named(self) -> dict[int, str]:
        """The numbers that pointers, pins and holds name, and by what.

        Raises:
            UserError: a file of these is damaged, so that it is not known what it named.
        """
        # Holds first: who lets go of a version has written the pointer before.
        named = dict.fromkeys(self._pointers.holds(), "about to be pointed to")
        named |= {number: f"pinned: {reason}" for number, reason in self._pointers.pins().items()}
        pointers: tuple[Pointer, ...] = ("candidate", "serving")
        for pointer in pointers:
            target = self._pointers.target(pointer)
            found = {"previous": target.previous, pointer: target.version}
            named |= {number: name for name, number in found.items() if number is not None}
        return named

    def doomed(self) -> list[int]:
        """The numbers whose deletion is under way, or was and died; `remove` them again."""
        return self._marks.numbers()

    def remove(self, number: int, wanted: Callable[[], Collection[int]]) -> bool:
        """Deletes a version, or what was claimed and never finished, unless it is wanted. May be repeated.

        Args:
            number: the version.
            wanted: what must stay; called once the version is marked, it must read `named` anew.

        Returns:
            whether it is gone; False: it is wanted, or another process is deleting it.
        """
        started_s = time.monotonic()
        if not self._marks.take(number):
            return False
        try:
            # Others take the mark over after MARK_S, or earlier where clocks differ.
            if number in wanted() or time.monotonic() - started_s > MARK_S / 2 or not self._marks.is_held(number):
                return False
            folder = f"{self.prefix}/versions/{number}"
            self.storage.remove(folder, first=[f"{folder}/{CHECKSUMS}"])
            return True
        finally:
            self._marks.release(number)

    def _serve(
        self, version: Version, check: Callable[[Target], None] | None = None, mend: bool = False
    ) -> Version | None:
        def change(target: Target) -> Target:
            if check is not None:
                check(target)
            is_gone = target.version is not None and self.find(target.version) is None
            return (Target(None, target.previous, target.withdrawn) if is_gone else target).moved(version.number)

        return self._move("serving", version, change, mend)

    def _move(
        self, pointer: Pointer, version: Version, change: Callable[[Target], Target], mend: bool = False
    ) -> Version | None:
        """Changes a pointer so that it names a version afterwards; gives the version that it named before."""
        verify(version)
        with self._pointers.held(version.number):
            self._refuse_doomed(version)
            before = self._pointers.move(pointer, change, mend)
            try:
                self._refuse_doomed(version)  # a clock that is wrong lets cleanup take a living process for dead
            except UserError:
                self._pointers.move(pointer, lambda now: before if now.version == version.number else now)
                raise
        return None if before.version is None else self.find(before.version)

    def _refuse_doomed(self, version: Version) -> None:
        number = version.number
        if not self._marks.is_free(number) or not self._versions.is_complete(number):
            raise UserError(f"version {number} of {self.name} is being deleted by cleanup; take another one")
        for origin in version.origins():
            # Who deletes it may have looked before this version was held.
            if not self._marks.is_free(origin):
                what = f"version {origin} of {self.name}, from which version {number} was made,"
                raise UserError(f"{what} is being deleted by cleanup; try again")


def check_replaceable(serving: Target, expected: int | None, version: Version) -> None:
    """Whether a version may go into service.

    Args:
        serving: what the pointer says.
        expected: the number of the version that the new one was compared with; None where there was none.
        version: the new one.

    Raises:
        UserError: another version is in service, or this one was withdrawn.
    """
    if serving.version not in (expected, version.number):
        raise UserError(
            f"version {serving.version} went into service while this run compared its model with "
            f"{'none' if expected is None else f'version {expected}'}; run again"
        )
    if version.number in serving.withdrawn:
        raise UserError(
            f"version {version.number} was withdrawn from service, and this run made the same model again; "
            "change the data or the configuration, or point to that version by hand"
        )
