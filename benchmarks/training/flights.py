"""A work directory of the flights, and what the steps make of them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from components import artifacts
from components.config import load
from components.features.arrow import dense
from components.features.transform import Transform
from components.ingest.config import IngestConfig
from components.ingest.ingest import ingest
from components.learning import networks, weights
from components.learning.input import READ_ROWS
from components.learning.legacy_keras import tf, tf_keras
from components.learning.networks import NetworkSpec
from components.preprocess.config import PreprocessConfig
from components.preprocess.preprocess import preprocess
from components.schema import parse
from components.train.config import TrainConfig

MODEL = Path(__file__).parents[2] / "models" / "flights"
ALL_MONTHS = ""


class Flights:
    """A work directory; what is asked for is made there, or found again.

    Attributes:
        work: the work directory.
        empty: a base that is none.
    """

    def __init__(self, work: Path) -> None:
        """Lays out the source where it is missing."""
        self.work, self.empty = work, work / "empty"
        self.empty.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, str(MODEL / "data.py"), str(work / "source" / "flights")], check=True)

    def examples(self, name: str, until: str, *overrides: str, base: Path | None = None) -> Path:
        """The artifact of preprocess `<work>/examples-<name>`.

        Args:
            name: of the folder.
            until: last day of the rows; empty for all.
            overrides: of model.yaml, `key=value`.
            base: the version to start from; none for a cold start.
        """
        folder = self.work / f"examples-{name}"
        if not (folder / artifacts.EXAMPLES).exists():
            config = load(MODEL, overrides)
            snapshot = ingest(parse(IngestConfig, config.for_step("ingest")), self.work, "flights", until)
            wanted = parse(PreprocessConfig, config.for_step("preprocess"))
            preprocess(snapshot, base or self.empty, wanted, self.work, folder)
        return folder


def train_config(**settings: Any) -> TrainConfig:
    """The model's own, with other settings of the section `train`; checked as in model.yaml."""
    config = parse(TrainConfig, load(MODEL).for_step("train"))
    return TrainConfig.model_validate({"network": config.network, "train": {**config.train.model_dump(), **settings}})


class Heldout:
    """The AUC of networks on the held-out rows of some examples."""

    def __init__(self, examples: Path) -> None:
        """Reads and transforms the rows with a label, as the examples were."""
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        transform = Transform.read(examples)
        table = pq.read_table(examples / artifacts.HELDOUT)
        table = table.filter(pc.is_valid(table[transform.data.label]))
        self._labels = np.asarray(table[transform.data.label])
        floats, ids = transform(dense(table, transform.data, transform.source_columns))
        inputs = {networks.FLOATS: floats, networks.IDS: ids}
        self._inputs = tf.data.Dataset.from_tensor_slices(inputs).batch(READ_ROWS).cache()

    def auc(self, network: tf_keras.Model) -> float:
        """Exact, not by thresholds."""
        from sklearn.metrics import roc_auc_score

        predicted = network.predict(self._inputs, verbose=0)
        return float(roc_auc_score(self._labels, predicted[:, 0]))

    def auc_of(self, model: Path) -> float:
        """Of an artifact `model`, made of the same examples."""
        network = networks.build(NetworkSpec.read(model))
        weights.load(network, model)
        return self.auc(network)
