"""The version in service, as something to compare with."""

from dataclasses import dataclass
from pathlib import Path

from components import artifacts
from components.errors import UserError
from components.features.columns import Data
from components.predictor.predictor import Predictor


@dataclass(frozen=True)
class InService:
    """The version in service; it can be compared with where `predictor` is there, otherwise `reason` says why not."""

    version: int
    predictor: Predictor | None
    reason: str | None


def in_service(folder: Path, data: Data) -> InService | None:
    """Reads the version in service; None where there is none.

    A version that cannot be read or scored is no obstacle to replacing it, so that is told, not raised.

    Args:
        folder: the version's folder, or the permanent empty folder.
        data: the columns of the rows on which it would be scored.
    """
    if not (folder / artifacts.LINEAGE).exists():
        return None
    version = artifacts.read_json(folder / artifacts.LINEAGE)["version"]
    try:
        predictor = Predictor.load(folder / artifacts.SERVING)
    except UserError as error:
        return InService(version, None, str(error))
    reason = _difference(predictor, data)
    return InService(version, predictor if reason is None else None, reason)


def _difference(predictor: Predictor, data: Data) -> str | None:
    its_data = predictor.transform.data
    if (its_data.label, its_data.task, its_data.label_classes) != (data.label, data.task, data.label_classes):
        return f"it predicts {its_data.label} ({its_data.task}) with other classes or of another kind than {data.label}"
    for name in predictor.source_columns:
        if name not in data.columns:
            return f"it reads the column {name}, which is no longer declared"
        before, now = its_data.columns[name].type, data.columns[name].type
        if before != now:
            return f"it reads the column {name} as {before}, which is now declared {now}"
    return None
