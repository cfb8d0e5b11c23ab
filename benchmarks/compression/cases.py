"""A trained model, its variants and what evaluate says of them: made by the steps themselves, and found again."""

import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from components import artifacts
from components.artifacts import Examples
from components.compress.candidate import Candidate
from components.compress.compress import compress
from components.compress.config import Recipe
from components.compress.tune import Tuner
from components.config import ModelConfig
from components.evaluate.config import EvaluateConfig
from components.evaluate.evaluate import evaluate
from components.ingest.config import IngestConfig
from components.ingest.ingest import ingest
from components.learning import weights
from components.learning.input import Reader, split
from components.learning.legacy_keras import tf_keras
from components.preprocess.config import PreprocessConfig
from components.preprocess.preprocess import preprocess
from components.schema import parse
from components.train.config import TrainConfig
from components.train.train import train

FLOAT32: Literal["float32"] = "float32"
ROWS = 1024


@dataclass(frozen=True)
class Case:
    """One model in one folder of a work directory."""

    name: str
    config: ModelConfig
    work: Path

    @property
    def folder(self) -> Path:
        """What is made for it."""
        return self.work / self.name

    @property
    def empty(self) -> Path:
        """A version that is none."""
        (self.work / "empty").mkdir(parents=True, exist_ok=True)
        return self.work / "empty"

    @cached_property
    def examples(self) -> Path:
        """The artifact of preprocess."""
        folder = self.folder / "examples"
        if not (folder / artifacts.EXAMPLES).exists():
            snapshot = ingest(parse(IngestConfig, self.config.for_step("ingest")), self.work, self.config.name, "")
            wanted = parse(PreprocessConfig, self.config.for_step("preprocess"))
            preprocess(snapshot, self.empty, wanted, self.work, folder)
        return folder

    @cached_property
    def model(self) -> Path:
        """The artifact of train."""
        folder = self.folder / "model"
        if not (folder / artifacts.TRAINING).exists():
            train(self.examples, self.empty, parse(TrainConfig, self.config.for_step("train")), self.work, folder)
        return folder

    @property
    def recipes(self) -> list[Recipe]:
        """All that the configuration names."""
        return [parse(Recipe, text) for text in self.config.compress.recipe_jsons(self.config.train)]

    @cached_property
    def variants(self) -> dict[str, Path]:
        """Recipe → artifact of compress."""
        return {recipe.name: self._variant(recipe) for recipe in self.recipes}

    def _variant(self, recipe: Recipe) -> Path:
        folder = self.folder / f"variant-{recipe.name}"
        if not (folder / artifacts.VARIANT).exists():
            compress(self.model, self.examples, recipe, self.work, folder)
            tf_keras.backend.clear_session()
        return folder

    @cached_property
    def tuned(self) -> Path:
        """float32 of a network that went on learning as recipes let theirs: more epochs are no compression."""
        folder, model = self.folder / "variant-tuned", self.folder / "tuned"
        if not (folder / artifacts.VARIANT).exists():
            shutil.copytree(self.model, model, dirs_exist_ok=True)
            fine_tune = self.config.compress.fine_tune
            tuner = Tuner(self.examples, self.config.train, self.folder / "tuning", lambda: False)
            # The name of a change only names the checkpoint.
            network = tuner.fine_tune("low_rank", Candidate.read(self.model), fine_tune)
            weights.add_optimizer(network)
            weights.save(network, model)
            compress(model, self.examples, Recipe(names=(FLOAT32,)), self.work, folder)
        return folder

    @cached_property
    def evaluation(self) -> dict[str, Any]:
        """What evaluate says of all variants; `chosen` is its artifact."""
        return self.judged(list(self.variants.values()), self.chosen)

    @property
    def chosen(self) -> Path:
        """The artifact of evaluate."""
        return self.folder / "chosen"

    def against_tuned(self, recipe: str) -> dict[str, Any]:
        """What evaluate says of a variant where float32 was trained on as recipes are."""
        found = self.judged([self.tuned, self.variants[recipe]], self.folder / f"chosen-{recipe}-against-tuned")
        return row_of(found, recipe)

    def judged(self, variants: list[Path], chosen: Path) -> dict[str, Any]:
        """What evaluate says of some variants."""
        wanted = parse(EvaluateConfig, self.config.for_step("evaluate"))
        shutil.rmtree(chosen, ignore_errors=True)
        evaluate(variants, self.examples, self.empty, wanted, self.work, chosen)
        found: dict[str, Any] = artifacts.read_json(chosen / artifacts.EVALUATION)
        return found

    @property
    def version(self) -> Path:
        """The chosen variant and the SavedModel side by side, as a version of the model store has them."""
        folder = self.folder / "version"
        folder.mkdir(exist_ok=True)
        parts = {path.name: path for path in self.model.iterdir()} | {"serving": self.chosen / artifacts.SERVING}
        for name, path in parts.items():
            if not (folder / name).exists():
                (folder / name).symlink_to(path)
        return folder

    def inputs(self, rows: int = ROWS) -> dict[str, np.ndarray]:
        """The network's inputs in some rows that are not trained on."""
        inputs, _ = split(Reader(self.examples, Examples.read(self.examples), ("validation",)).columns(rows))
        return {name: np.asarray(values) for name, values in inputs.items()}


def row_of(evaluation: dict[str, Any], recipe: str) -> dict[str, Any]:
    """What evaluate says of one variant."""
    found: dict[str, Any] = next(row for row in evaluation["variants"] if row["recipe"] == recipe)
    return found


def litert_path(variant: Path) -> Path:
    """Its LiteRT model."""
    return variant / artifacts.SERVING / artifacts.LITERT_MODEL
