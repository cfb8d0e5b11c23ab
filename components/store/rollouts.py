"""The candidate on its way into service on a cluster: one run at a time, which the next can take over if it dies.

`candidate.json` names the version from before a cluster is told of it until `serving` names it or it is withdrawn, so
that cleanup keeps what pods may load at any moment.
"""

import time
from dataclasses import replace
from datetime import datetime, timezone

from components.errors import UserError
from components.store.pointers import Rollout, Target
from components.store.store import ModelStore, check_replaceable
from components.store.version import Version


class Rollouts(ModelStore):
    """A model store whose versions also serve on a cluster."""

    def begin_rollout(self, expected: int | None, version: Version, run: str, until_s: float) -> Rollout:
        """Makes a version the candidate that a run puts into service; a run that is repeated goes on with it.

        Args:
            expected: the number of the version that it was compared with; None where there was none.
            version: the version.
            run: the run.
            until_s: seconds since 1970 from which on others may take the run for dead.

        Returns:
            the rollout. Where the one before it died half done, `before` is that one's.

        Raises:
            UserError: another run is at it, or `replace` would refuse the version.
        """
        serving = self._pointers.target("serving")
        check_replaceable(serving, expected, version)

        def begun(target: Target) -> Target:
            dead = target.rollout
            if dead is not None:
                _refuse_living(dead, run, target.version)
            # Where it died after `serving` had moved, it had come to its end.
            if dead is None or target.version == serving.version:
                return Target(version.number, rollout=Rollout(run, until_s))
            left = target.previous if target.version == version.number else target.version
            return Target(version.number, left, rollout=Rollout(run, until_s, dead.before))

        self._move("candidate", version, begun)
        return self._own(self._pointers.target("candidate"), version, run)

    def left_behind(self) -> Version | None:
        """The version of a dead rollout that the present one took over: a cluster may serve it still."""
        number = self._pointers.target("candidate").previous
        return None if number is None else self.find(number)

    def note_before(self, version: Version, run: str, before: str) -> Rollout:
        """Notes what is put back when the rollout fails, before anything is changed; what is noted already stays.

        Raises:
            UserError: another run or command named another candidate meanwhile.
        """

        def noted(target: Target) -> Target:
            rollout = self._own(target, version, run)
            return target if rollout.before is not None else replace(target, rollout=replace(rollout, before=before))

        self._pointers.move("candidate", noted)
        return self._own(self._pointers.target("candidate"), version, run)

    def end_rollout(self, version: Version, run: str, reason: str = "") -> None:
        """Takes the candidate away that a run put into service, or could not; another run's stays.

        Args:
            version: the version.
            run: the run that began the rollout.
            reason: why it is withdrawn; empty: it is in service.
        """

        def ended(target: Target) -> Target:
            rollout = target.rollout
            is_own = target.version == version.number and rollout is not None and rollout.run == run
            return Target(reason=reason) if is_own else target

        self._pointers.move("candidate", ended)

    def _own(self, target: Target, version: Version, run: str) -> Rollout:
        if target.version == version.number and target.rollout is not None and target.rollout.run == run:
            return target.rollout
        raise UserError(
            f"another run or command changed the candidate of {self.name} while version {version.number} was on its "
            "way into service; look at it and run again"
        )


def _refuse_living(other: Rollout, run: str, number: int | None) -> None:
    if other.run == run or other.until_s <= time.time():
        return
    until = datetime.fromtimestamp(other.until_s, timezone.utc).strftime("%H:%M UTC")
    raise UserError(
        f"run {other.run} is putting version {number} into service; run again when it has ended, or after {until}, "
        "when it is taken for dead"
    )
