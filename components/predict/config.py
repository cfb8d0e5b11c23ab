"""The section `predict` of model.yaml."""

from collections.abc import Sequence

from pydantic import Field

from components.features.columns import Data
from components.schema import Section

PREDICTION, PREDICTED, PROBABILITY = "prediction", "predicted", "probability_"


class Predict(Section):
    """What the version in service predicts in bulk, and where that goes."""

    source: str | None = Field(
        None,
        min_length=1,
        description="rows to predict: files of type .csv or .parquet, a path or a URL that fsspec can open, with * and "
        "** as wildcards; {work} stands for the work directory. Null: nothing is predicted. Files and folders below a "
        "wildcard whose name starts with . or _ are left out",
    )
    output: str = Field(
        "{work}/predictions/{name}",
        min_length=1,
        description="folder for predictions, of this file system; each version and each state of the rows has a folder "
        "of its own below it, and latest.json names the last one. {work} stands for the work directory, {name} for the "
        "model",
    )
    columns: tuple[str, ...] = Field(
        (), description="columns of the rows that the output repeats, to know them by; none: data.key"
    )
    max_bad_rows: float = Field(
        0.01,
        ge=0,
        le=1,
        description="share of the rows of any one file that may be unreadable; more is an error. The "
        "folder _bad of the output holds these rows; their line is, in Parquet, the row counted from 1, and in CSV the "
        "row counted from 2, after the header: blank lines do not count, and a cell's line breaks do not either",
    )
    rows_per_shard: int = Field(
        262_144,
        ge=1,
        description="rows of a file of the output, roughly: a row group of Parquet is not divided, and CSV is divided "
        "every 16 MiB",
    )
    workers: int | None = Field(None, ge=1, description="rows worked on at once, in threads; null: one for each core")
    beam: tuple[str, ...] = Field(
        (), description="options of Apache Beam, such as --runner=FlinkRunner; none: this machine"
    )


class PredictConfig(Section):
    """What predict reads; the columns are those that the version was trained on."""

    predict: Predict


def check_predict(predict: Predict, data: Data) -> None:
    """Refuses predictions that could not be told apart, or not be written.

    Raises:
        ValueError: neither `predict.columns` nor `data.key` names a column, one is called as the predictions are, or
            `predict.output` is a URL.
    """
    check_output(predict.output)
    if predict.source is not None and not (predict.columns or data.key):
        raise ValueError("predict.columns is empty, as is data.key; name the columns that predictions are known by")
    if predict.source is not None or predict.columns:
        check_columns(predict.columns or data.key, data)


def check_output(output: str) -> None:
    """Refuses what is no folder.

    Raises:
        ValueError: the output is a URL.
    """
    if "://" in output:
        raise ValueError(
            f"the output {output} is a URL, which is not supported yet; name a folder of a file system that all "
            "workers see"
        )


def check_columns(columns: Sequence[str], data: Data) -> None:
    """Refuses columns beside which predictions would have no names of their own.

    Raises:
        ValueError: a column is called as the predictions are.
    """
    taken = [name for name in columns if name in prediction_names(data)]
    if taken:
        raise ValueError(
            f"predict.columns, or data.key in its place, names {', '.join(taken)}, which the predictions are called; "
            "rename that column or leave it out"
        )


def prediction_names(data: Data) -> list[str]:
    """The names of the columns of predictions: one, or for multiclass one for each class and one for the likeliest."""
    if data.task != "multiclass":
        return [PREDICTION]
    return [*(f"{PROBABILITY}{value}" for value in data.label_classes), PREDICTED]
