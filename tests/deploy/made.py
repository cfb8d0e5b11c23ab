"""Artifacts of the steps before, as small as can be, and the deployment of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from components import artifacts
from components.artifacts import Question
from components.deploy.config import Deploy, DeployConfig, InferenceService
from components.deploy.deploy import Sources, deploy
from components.features.columns import Column, Data
from components.features.declaration import Vocabulary
from components.features.declared import Category
from components.features.transform import Transform
from components.storage.address import Address
from components.store.rollouts import Rollouts

DATA = Data(
    columns={"carrier": Column(type="string"), "late": Column(type="integer")}, label="late", task="binary", key=()
)
EXAMPLES = artifacts.Examples(
    float_names=(), id_names=("carrier",), id_sizes=(4,), task="binary", classes=(0, 1), label_mean=0.0, label_std=1.0,
    rows={"train": 10, "validation": 2, "heldout": 2, "replay": 0}, shards={"train": (), "validation": ()},
    trained_until=1000, partitions=("p1", "p2"), base_version=None, start_reason="no model yet",
)  # fmt: skip
ORIGIN = {"training_digest": "digest", "images": {"train": "evergreen-python-train:0123"}}
QUESTIONS = (
    Question("recorded request 0", {"carrier": "AA"}, 0.25, "the artifact itself predicts"),
    Question("held-out row 0", {"carrier": None}, 0.75, "evaluate predicted"),
)
MODEL = "m"


def make_sources(root: Path, model: bytes = b"model one", questions: tuple[Question, ...] = QUESTIONS) -> Sources:
    """Artifacts below a folder, of a first model."""
    made = Sources(
        chosen=root / "chosen", model=root / "model", statistics=root / "statistics", snapshot=root / "snapshot-s1",
        recorded=root / "recorded", base=root / "empty", serving=root / "empty",
    )  # fmt: skip
    for folder in (made.chosen / "serving", made.model / "saved_model", made.statistics, made.snapshot):
        folder.mkdir(parents=True, exist_ok=True)
    transform = Transform(
        DATA, (Category(name="carrier", column="carrier"),), {"carrier": Vocabulary(("AA", "UA"), (5, 4))}
    )
    transform.write(made.model)
    transform.write(made.chosen / "serving")
    EXAMPLES.write(made.model)
    (made.chosen / "serving" / "model.tflite").write_bytes(model)
    artifacts.write_json(made.chosen / artifacts.VARIANT, {"recipe": "dynamic"})
    artifacts.write_json(made.chosen / artifacts.EVALUATION, {"metric": "auc"})
    artifacts.write_json(made.statistics / artifacts.STATISTICS, {"columns": {}})
    artifacts.write_questions(made.recorded, questions)
    for name in (artifacts.WEIGHTS, artifacts.OPTIMIZER, artifacts.NETWORK, artifacts.TRAINING):
        (made.model / name).write_text("{}")
    return made


def roll_out(root: Path, work: Address, number: int, compared_with: int | None, **settings: Any) -> None:
    """Deploys model `number` on a cluster, in place of a version."""
    sources = make_sources(root / f"model-{number}", f"model {number}".encode())
    if compared_with is not None:
        version = Rollouts(work, MODEL).version(compared_with)
        sources = replace(sources, base=version.location, serving=version.location)
    section = Deploy(inference_service=InferenceService(**settings))
    model_yaml = {"name": MODEL, "deploy": section.model_dump(mode="json")}
    deploy(sources, DeployConfig(name=MODEL, deploy=section, model_yaml=model_yaml), ORIGIN, work)
