"""The root of `model.yaml` and its loader: one strict, frozen description of a model.

Every section lives with its owner; this module only puts them together, checks what spans sections, and cuts out for
each step the fields that its `<Step>Config` class names.
"""

import glob
import json
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from components.cleanup.config import Retention
from components.cluster_config import Cluster
from components.compress.config import Compress, check_compress, spelled_out
from components.deploy.config import Deploy, DeployConfig
from components.errors import UserError
from components.evaluate.config import Evaluate, EvaluateConfig, check_evaluate, check_loss_limits
from components.features.columns import Data
from components.features.declared import Features, check_features
from components.finish.config import Finish, FinishConfig
from components.ingest.config import Ingest, IngestConfig
from components.learning.config import Network, WideDeep, check_network
from components.model_yaml import parse_yaml, read_yaml
from components.predict.config import Predict, PredictConfig, check_predict
from components.preprocess.config import Preprocess, PreprocessConfig, check_preprocess
from components.rehearse.config import Rehearse, RehearseConfig
from components.resolve.config import Resolve, ResolveConfig
from components.schema import Section, canonical_json, parse, sentences
from components.serve.config import Serve
from components.train.config import Train, TrainConfig
from components.validate.config import Validate, ValidateConfig

MODEL_FILE = "model.yaml"
MAX_STEP_BYTES = 100_000
"""Linux allows 128 KiB for one argument of a command, and that is how KFP's local runner hands it to a task."""
# What each step reads. Not compress: each of its tasks reads one recipe (`Compress.recipe_jsons`).
STEP_CONFIGS: dict[str, type[Section]] = {
    "ingest": IngestConfig,
    "resolve": ResolveConfig,
    "validate": ValidateConfig,
    "preprocess": PreprocessConfig,
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "rehearse": RehearseConfig,
    "deploy": DeployConfig,
    "predict": PredictConfig,
    "finish": FinishConfig,
}

DESCRIPTIONS = {"data": {"columns": {"__all__": {"description"}}}}


class ModelConfig(Section):
    """A model: what a row is, what is made of it, and how each step of the pipeline treats it."""

    name: str = Field(
        max_length=50, pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", description="name of the model: a-z, 0-9, single -"
    )
    description: str = Field("", description="what the model predicts")
    owner: str = Field("", description="whom to ask, and to whom its cost belongs")
    data: Data
    features: Features = Field(min_length=1, description="what the network sees of a row, each of one kind")
    network: Network = Field(default_factory=WideDeep, description="the network that is trained")
    ingest: Ingest
    resolve: Resolve = Field(default_factory=Resolve)
    validate_: Validate = Field(default_factory=Validate, alias="validate")
    preprocess: Preprocess = Field(default_factory=Preprocess)
    train: Train = Field(default_factory=Train)
    compress: Compress = Field(default_factory=Compress)
    evaluate: Evaluate = Field(default_factory=Evaluate)
    rehearse: Rehearse = Field(default_factory=Rehearse)
    deploy: Deploy = Field(default_factory=Deploy)
    predict: Predict = Field(default_factory=Predict)
    serve: Serve = Field(default_factory=Serve)
    finish: Finish = Field(default_factory=Finish)
    retention: Retention = Field(default_factory=Retention)
    cluster: Cluster = Field(default_factory=Cluster)

    @model_validator(mode="after")
    def _check(self) -> "ModelConfig":
        if "python3" in self.name:
            raise ValueError(f"name is {self.name}; KFP's local runner replaces the text python3: choose another name")
        check_features(self.features, self.data)
        check_network(self.network, self.features)
        check_preprocess(self.preprocess, self.data)
        check_compress(self.compress, self.network)
        check_evaluate(self.evaluate, self.data)
        check_loss_limits(self.evaluate.limits, ["+".join(spelled_out(entry)) for entry in self.compress.recipes])
        check_predict(self.predict, self.data)
        if self.predict.source is not None and self.deploy.pointer == "candidate":
            raise ValueError(
                "predict.source needs deploy.pointer serving, because a candidate answers for nothing yet; remove one"
            )
        return self

    def to_dict(self) -> dict[str, Any]:
        """The whole configuration, defaults included, as plain data."""
        return self.model_dump(mode="json", by_alias=True)

    def for_step(self, step: str) -> str:
        """What a step reads of the configuration, as JSON with sorted keys.

        A step gets no more than that, so that changing a section reruns only the steps that read it; and no columns'
        descriptions, so that wording reruns nothing. No step gets `cluster`: other resources are no other work.
        """
        whole = self.model_dump(mode="json", by_alias=True, exclude=DESCRIPTIONS)
        whole["model_yaml"] = {key: value for key, value in self.to_dict().items() if key != "cluster"}
        return canonical_json({key: whole[key] for key in _keys(STEP_CONFIGS[step])})


def _keys(section: type[Section]) -> list[str]:
    return [field.alias or name for name, field in section.model_fields.items()]


def load(folder: Path, overrides: tuple[str, ...] = ()) -> ModelConfig:
    """Reads `model.yaml` in a model's folder.

    Args:
        folder: the model's folder, or the file itself.
        overrides: `section.key=value` each; the value is read as YAML.

    Raises:
        UserError: names everything that is wrong, before any work starts.
    """
    path = folder if folder.name == MODEL_FILE and folder.is_file() else folder / MODEL_FILE
    raw = read_yaml(path)
    for override in overrides:
        _override(raw, override)
    try:
        text = json.dumps(raw, default=str)
        config = _with_absolute_sources(ModelConfig.model_validate_json(text), path.parent)
        for step, section in STEP_CONFIGS.items():
            _check_step(config, step, section)
    except ValidationError as error:
        raise UserError(f"{path}: " + "; ".join(sentences(error, ModelConfig, json.loads(text)))) from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path} holds what no configuration can ({error}); write plain keys and values") from None
    return config


def _check_step(config: ModelConfig, step: str, section: type[Section]) -> None:
    """Some rules span the sections that a step reads; and what it reads must fit into a command line."""
    text = config.for_step(step)
    parse(section, text)
    if len(text.encode()) > MAX_STEP_BYTES:
        raise UserError(
            f"what {step} reads of it is {len(text.encode()):,} bytes as JSON; it must be at most {MAX_STEP_BYTES:,}: "
            "declare fewer columns or features"
        )


def _with_absolute_sources(config: ModelConfig, folder: Path) -> ModelConfig:
    ingest = config.ingest.model_copy(update={"source": _absolute(config.ingest.source, folder)})
    source = config.predict.source
    predict = config.predict.model_copy(update={"source": source and _absolute(source, folder)})
    return config.model_copy(update={"ingest": ingest, "predict": predict})


def _absolute(source: str, folder: Path) -> str:
    is_absolute = "://" in source or source.startswith(("/", "{work}"))
    return source if is_absolute else f"{glob.escape(str(folder.absolute()))}/{source}"


def _override(raw: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    *parents, last = key.split(".")
    if not equals or not all([*parents, last]):
        raise UserError(f"--set {override} is not understood; write --set section.key=value")
    target = raw
    for parent in parents:
        target = target.setdefault(parent, {})
        if not isinstance(target, dict):
            raise UserError(f"--set {override}: {parent} is not a section; write --set section.key=value")
    try:
        target[last] = parse_yaml(value)
    except UserError:
        raise UserError(f"--set {override}: {value} is not valid YAML; quote it") from None


def json_schema() -> dict[str, Any]:
    """The JSON Schema of model.yaml: every key with its meaning, unit, default and range."""
    return ModelConfig.model_json_schema(by_alias=True)
