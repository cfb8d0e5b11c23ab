"""Starts the real server on the blessed artifact, asks it what the model will be asked, and judges how it answers."""

import itertools
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from components import artifacts
from components.artifacts import Question
from components.errors import UserError
from components.predictor.predictor import Predictor
from components.rehearse.config import Rehearse, RehearseConfig
from components.rehearse.judge import Figures, broken_limits
from components.rehearse.perform import Performance, perform
from components.rehearse.questions import handed_on, held_out, recorded
from components.serve.launch import START_S, ServerProcess
from components.storage.address import Address, joined
from components.storage.fetched import kept_at

Decision = Literal["fit", "unfit"]
SERVER_LOG = "rehearse-server.log"
NO_LIMIT_S = 600.0


def rehearse(chosen: Path, examples: Path, config: RehearseConfig, work: Address, output: Path) -> Decision:
    """Decides whether the server can bear the chosen variant.

    The server runs in its own process and is asked over HTTP. A variant that cannot be loaded, a server that dies or
    refuses, a wrong answer and a broken limit make the variant unfit; the step itself goes on.

    The record's details hold `decision`, `reason`, `failures` (sentences), `rows` (held-out) and `recorded` (requests)
    that were replayed, `unfit_recorded` (requests that no longer fit the columns) with the reason of the first in
    `unfit_example`, the fields of `Figures`, `largest_difference`, `limits` by their keys, and `server_log`, the file
    that took what the server said.

    Args:
        chosen: the artifact of evaluate, with `serving/` and `heldout_predictions.npy`.
        examples: the artifact of preprocess, with `heldout.parquet`.
        config: the model's name and the limits.
        work: the work directory, with the log of requests where there is one.
        output: folder for `recorded_requests.json`, which deploy puts into the version.

    Raises:
        UserError: evaluate's predictions are missing or damaged, so that nothing can be compared.
    """
    limits = config.rehearse
    with artifacts.recorded("rehearse", work, [chosen, examples]) as details:
        details.update(rows=0, recorded=0, unfit_recorded=0, unfit_example=None, limits=_limits(limits))
        artifacts.write_questions(output, ())  # KFP wants an output of a variant that cannot be loaded too
        performance = _performance(chosen, examples, config, work, output, details)
        failures = performance.failures + broken_limits(performance.figures, limits)
        decision: Decision = "unfit" if failures else "fit"
        details.update(asdict(performance.figures), largest_difference=performance.largest_difference)
        details.update(decision=decision, reason=_reason(failures, details), failures=failures)
        return decision


def _performance(
    chosen: Path, examples: Path, config: RehearseConfig, work: Address, output: Path, details: dict[str, Any]
) -> Performance:
    serving = chosen / artifacts.SERVING
    try:
        predictor = Predictor.load(serving)
    except UserError as error:
        return Performance(Figures(), [str(error)])
    logged, rows = _questions(chosen, examples, config, work, predictor, details)
    artifacts.write_questions(output, handed_on(logged, rows))
    most = config.rehearse.requests
    # Held-out rows are repeated where there are fewer than `requests`.
    questions = [*logged, *itertools.islice(itertools.cycle(rows), max(len(rows), most - len(logged)))]
    told = artifacts.run_folder(work, artifacts.run_name())
    details.update(server_log=str(joined(told, SERVER_LOG)))
    with tempfile.TemporaryDirectory() as folder, kept_at(told, Path(folder) / "told") as logs:
        log = logs / SERVER_LOG
        _stage(serving, Path(folder))
        try:
            with ServerProcess(["--folder", f"{config.name}={folder}"], log, _patience_s(config.rehearse)) as server:
                address = f"{server.url}/v1/models/{config.name}:predict"
                return perform(server, address, questions, rows, config.rehearse)
        except UserError as error:
            return Performance(Figures(), [str(error)])


def _patience_s(limits: Rehearse) -> float:
    """How long to wait for the server: beyond the limit, so that it is known by how much it was missed."""
    return NO_LIMIT_S if limits.start_s is None else max(START_S, 2 * limits.start_s)


def _stage(serving: Path, folder: Path) -> None:
    """A version's folder as the server reads it, without the cache, which would answer in the model's place."""
    (folder / artifacts.SERVING).symlink_to(serving.absolute())
    artifacts.write_json(folder / artifacts.MODEL_YAML, {"serve": {"cache_entries": 0, "log_share": 0}})


def _questions(
    chosen: Path, examples: Path, config: RehearseConfig, work: Address, predictor: Predictor, details: dict[str, Any]
) -> tuple[list[Question], list[Question]]:
    """The recorded requests, and the held-out rows."""
    most = config.rehearse.requests
    rows = held_out(chosen, examples, predictor, most)
    logged, misfits = recorded(work, config.name, predictor, most)
    details.update(rows=len(rows), recorded=len(logged), unfit_recorded=len(misfits))
    details.update(unfit_example=misfits[0] if misfits else None)
    return logged, rows


def _limits(limits: Rehearse) -> dict[str, float | None]:
    return limits.model_dump(exclude={"requests", "concurrency"})


def _reason(failures: Sequence[str], details: dict[str, Any]) -> str:
    if failures:
        return "; and ".join(failures)
    asked = f"{details['rows']:,} held-out rows"
    if details["recorded"]:
        asked += f" and {details['recorded']:,} recorded requests"
    return f"the server answered {asked} as it must, within every limit"
