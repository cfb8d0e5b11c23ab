"""A small trained model and the examples that it was trained on, as train and preprocess leave them."""

from pathlib import Path

import numpy as np

from components import artifacts
from components.compress.compress import compress
from components.compress.config import Compress, Recipe
from components.features.transform import Transform
from components.learning import networks, weights
from components.learning.config import Network, WideDeep
from components.learning.fitting import Fitting
from components.learning.legacy_keras import tf_keras
from components.predictor.predictor import Predictor
from components.schema import parse
from tests.learning.small import labels, make_transform, raw_rows, write_examples

FITTING = Fitting(epochs=4, learning_rate=0.01, batch_size=30)
FINE_TUNE = {"epochs": 4, "learning_rate": 0.003}
LOSSES = {"binary": "binary_crossentropy", "multiclass": "sparse_categorical_crossentropy", "regression": "mse"}
ROWS = 900


class Trained:
    """A folder with `model`, `examples` and variants."""

    def __init__(
        self, root: Path, task: str = "binary", use: str = "both", network: Network | None = None, epochs: int = 6
    ) -> None:
        self.root, self.task, self.work = root, task, root / "work"
        self.model, self.examples = root / "model", root / "examples"
        self.transform = make_transform(task, use)
        described = write_examples(self.examples, self.transform, rows=(ROWS, 300), shards=1)
        self.spec = networks.NetworkSpec.of(network or WideDeep(hidden=(64, 32), dropout=0.1), described)
        self.network = self._train(epochs)
        self.model.mkdir()
        weights.save(self.network, self.model)
        self.spec.write(self.model)
        self.transform.write(self.model)

    def _train(self, epochs: int) -> tf_keras.Model:
        tf_keras.utils.set_random_seed(0)
        network = networks.build(self.spec)
        network.compile(tf_keras.optimizers.Adam(0.01), LOSSES[self.task])
        raw = raw_rows(ROWS)
        label = labels(raw, self.task)
        network.fit(self.inputs(raw), label, batch_size=30, epochs=epochs, verbose=0)
        weights.add_optimizer(network)
        return network

    def inputs(self, raw) -> dict[str, np.ndarray]:
        """What the network takes of raw rows."""
        floats, ids = self.transform(raw)
        return {name: values for name, values in (("floats", floats), ("ids", ids)) if values.shape[1]}

    def variant(self, *names: str, fitting: Fitting = FITTING, **sections) -> Path:
        """The variant of a recipe, made once."""
        folder = self.root / "+".join(names)
        if not folder.exists():
            made = recipe(*names, fitting=fitting, **sections)
            compress(self.model, self.examples, made, self.work, folder)
        return folder

    def expected(self, raw) -> np.ndarray:
        """What the trained network gives for raw rows."""
        output = self.network(self.inputs(raw)).numpy()
        return output[:, 0] if output.shape[1] == 1 else output


def recipe(*names: str, fitting: Fitting = FITTING, **sections) -> Recipe:
    """The recipe as it travels to the task."""
    given = {"recipes": (names,), "fine_tune": FINE_TUNE, **sections}
    (text,) = Compress.model_validate(given, strict=False).recipe_jsons(fitting)
    return parse(Recipe, text)


def right(predicted: np.ndarray, raw, task: str) -> float:
    """The share of rows that are predicted right; for numbers, the share of their variance that is explained."""
    label = labels(raw, task)
    if task == "regression":
        return 1 - float(np.mean((predicted - label) ** 2) / label.var())
    return float(np.mean((predicted.argmax(1) if task == "multiclass" else predicted > 0.5) == label))


def predicted(folder: Path, raw) -> np.ndarray:
    """What a variant gives for raw rows."""
    return Predictor.load(folder / artifacts.SERVING).predict(raw)


def described(folder: Path) -> dict:
    """What a variant says of itself."""
    return artifacts.read_json(folder / artifacts.VARIANT)


def read_transform(folder: Path) -> Transform:
    """Of a variant."""
    return Transform.read(folder / artifacts.SERVING)
