"""Puts a version into service on a cluster: through an InferenceService, and back when it does not prove itself.

The order, which may be broken off anywhere and begun again:

1. `candidate` names the version, and notes the run, so that there is one rollout at a time and cleanup keeps it;
2. what the InferenceService was is noted there too;
3. the InferenceService is told to serve the version;
4. all its pods serve it, and it answers the requests that the version carries as recorded;
5. `serving` names the version;
6. `candidate` names nothing any more.

Whatever fails in 3 to 5 puts the InferenceService back, to the version that `serving` names, and then withdraws the
candidate with the reason. A run that dies leaves both as they are: it goes on when it is run again, or the next run
takes over, from what was noted in 2.
"""

import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterator

from components import artifacts
from components.artifacts import Question
from components.deploy.answers import trouble
from components.deploy.config import InferenceService
from components.deploy.manifest import created, new_spec, pointed, serves, serving, storage_uri
from components.deploy.readiness import address, unready
from components.errors import PreemptedError, UserError
from components.kubernetes.connection import NoClusterError, connect
from components.kubernetes.inference_service import ConflictError, InferenceServiceApi
from components.kubernetes.interruption import interruptible
from components.kubernetes.patience import AwayError
from components.kubernetes.tfjob import Object
from components.store.rollouts import Rollouts
from components.store.version import Version

log = logging.getLogger(__name__)
POLL_S = 5.0
AGAIN_S = 0.2
"""Before what somebody else has changed meanwhile is read again."""
SLACK_S = 60 * 60.0
"""How much longer than its waits a run may be at it, the API server's outages included, before it is taken for dead."""
REASON_CHARACTERS = 500


class TakenOverError(UserError):
    """Somebody else changed the InferenceService: what it is now is theirs."""


class Rollout:
    """One version's way into service."""

    def __init__(self, store: Rollouts, version: Version, settings: InferenceService, run: str) -> None:
        """Changes nothing yet.

        Args:
            store: of the model.
            version: to put into service; it lies in a bucket.
            settings: the InferenceService.
            run: who puts it into service; a second try of the same goes on with what the first began.

        Raises:
            UserError: the version lies on this machine, or there is no cluster to talk to.
        """
        storage_uri(version)
        self._store, self._version, self._settings = store, version, settings
        self._service = _service(settings, store.name)
        self._run = run
        self._before: str | None = None

    def run(self, expected: int | None) -> Version | None:
        """Goes the whole way.

        Args:
            expected: the number of the version that the new one was compared with; None where there was none.

        Returns:
            the version that was in service before.

        Raises:
            UserError: why the version is not in service.
            PreemptedError: SIGTERM came.
        """
        until_s = time.time() + 3 * self._wait_s + SLACK_S
        self._before = self._store.begin_rollout(expected, self._version, self._run, until_s).before
        with interruptible("told to end; the InferenceService is put back, run it again"), self._taken_back():
            self._shift()
            # All requests go over at once. A canary would be given its share here, and prove itself before the rest.
            self._prove()
            replaced = self._store.replace(expected, self._version)
        self._store.end_rollout(self._version, self._run)
        return replaced

    def describe(self) -> str:
        """How people call the InferenceService."""
        return str(self._service)

    @property
    def _wait_s(self) -> float:
        return self._settings.wait_minutes * 60

    def _shift(self) -> None:
        """Tells the InferenceService to serve the version."""
        until_s = time.monotonic() + self._wait_s
        while True:
            found = self._service.find()
            if found is None or "deletionTimestamp" not in found["metadata"]:
                before = "" if found is None else json.dumps(found["spec"])
                self._before = self._store.note_before(self._version, self._run, before).before
                with contextlib.suppress(ConflictError):
                    return self._tell(found)
            if time.monotonic() > until_s:
                raise UserError(f"{self._service} is being deleted or changed by others all the time; see by whom")
            time.sleep(AGAIN_S)

    def _tell(self, found: Object | None) -> None:
        spec = serving(found["spec"] if found else new_spec(self._settings), self._version, self._settings)
        if found is None:
            self._service.create(created(self._service.name, self._service.namespace, spec))
        elif spec != found["spec"]:
            self._service.replace({**found, "spec": spec})
        log.info("%s is told to serve version %d", self._service, self._version.number)

    def _prove(self) -> None:
        """Waits until the version answers rightly everywhere."""
        questions = recorded(self._version)
        why = self._wait(lambda: self._trouble(questions))
        if why is not None:
            minutes = self._settings.wait_minutes
            raise UserError(
                f"{self._service} did not serve version {self._version.number} within {minutes:g} minutes ({why})"
            )

    def _trouble(self, questions: list[Question]) -> str | None:
        found = self._service.find()
        if found is None or not serves(found, self._version):
            raise TakenOverError(
                f"somebody else {'deleted' if found is None else 'changed'} {self._service} while version "
                f"{self._version.number} was on its way into service; see who, and run again"
            )
        why = unready(found, self._service.pods(), self._version)
        if why is not None:
            return why
        url = f"{address(found)}/v1/models/{self._service.name}:predict"
        return trouble(url, questions, self._version.number, self._settings.tolerance)

    def _wait(self, look: Callable[[], str | None]) -> str | None:
        """Looks again and again until there is no trouble any more, or the time is over; the trouble that is left."""
        until_s = time.monotonic() + self._wait_s
        told = None
        while (why := look()) is not None and time.monotonic() < until_s:
            if why != told:
                log.info("%s is not there yet: %s", self._service, why)
            told = why
            time.sleep(min(POLL_S, self._wait_s))
        return why

    @contextlib.contextmanager
    def _taken_back(self) -> Iterator[None]:
        """Puts the InferenceService back where the block fails, whatever it fails with."""
        try:
            yield
        except AwayError:
            raise  # nothing can be put back, and the version may be in use: it stays the candidate
        except TakenOverError as error:
            self._withdraw(error)
            raise
        except UserError as error:
            raise UserError(f"{error}; {self._undo(error)}") from None
        except BaseException as error:
            log.error("%s", self._undo(error))
            raise

    def _undo(self, error: BaseException) -> str:
        """Puts the InferenceService back, and withdraws the candidate; what came of it, for the end of a sentence."""
        try:
            state = self._put_back()
            # A pod that is told to end has no time to see whether it comes up.
            if state is not None and not isinstance(error, PreemptedError):
                state = self._look_back(state)
        except UserError as second:
            return f"and {self._service} could not be put back: {second}"
        self._withdraw(error)
        return "nothing was changed; mend that and run again" if state is None else f"{state}; mend that and run again"

    def _put_back(self) -> str | None:
        """Puts the InferenceService back where it serves the version; what it is now, None where it is as it was."""
        if self._before is None:
            return None
        while True:
            found = self._service.find()
            if found is None or not self._is_ours(found):
                return None
            old = self._store.pointed("serving")
            if old is not None and serves(found, old):
                return f"{self._service} stays at version {old.number}, which is in service"
            with contextlib.suppress(ConflictError):
                if old is not None:
                    spec = pointed(json.loads(self._before) if self._before else found["spec"], old)
                    self._service.replace({**found, "spec": spec})
                    return f"{self._service} is back at version {old.number}"
                if not self._before:
                    self._service.delete(found)
                    return f"{self._service} is removed, for no version was in service"
                self._service.replace({**found, "spec": json.loads(self._before)})
                return f"{self._service} is as it was before"
            time.sleep(AGAIN_S)

    def _is_ours(self, found: Object) -> bool:
        """Whether it serves the version, or still that of a dead run."""
        left = self._store.left_behind()
        return serves(found, self._version) or (left is not None and serves(found, left))

    def _look_back(self, state: str) -> str:
        """Whether the version that was put back serves."""
        old = self._store.pointed("serving")
        if old is None or old.number == self._version.number:  # which was waited for already
            return state

        def look() -> str | None:
            found = self._service.find()
            return "it is gone" if found is None else unready(found, self._service.pods(), old)

        why = self._wait(look)
        return state if why is None else f"{state}, which does not serve either ({why})"

    def _withdraw(self, error: BaseException) -> None:
        is_in_service = self._store.number("serving") == self._version.number
        reason = "" if is_in_service else f"version {self._version.number} was withdrawn: {error}"
        self._store.end_rollout(self._version, self._run, reason[:REASON_CHARACTERS])


def _service(settings: InferenceService, model: str) -> InferenceServiceApi:
    try:
        cluster = connect(settings.namespace)
    except NoClusterError as error:
        raise UserError(
            f"deploy.inference_service is set, but {error}; run on a cluster, or set deploy.inference_service to null"
        ) from None
    return InferenceServiceApi(cluster.api, cluster.namespace, settings.name or model)


def recorded(version: Version) -> list[Question]:
    """What a version carries to be asked; nothing where it was made before versions did."""
    try:
        return artifacts.parse_questions(version.read(artifacts.RECORDED_REQUESTS))
    except FileNotFoundError:
        log.warning("version %d carries no recorded requests: only its readiness is looked at", version.number)
        return []
