"""The root of `model.yaml` and its loader: one strict, frozen description of a model.

Every section lives with its owner; this module only puts them together, checks what spans sections, and cuts out for
each step the fields that its `<Step>Config` class names.
"""

import json
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, model_validator

from components.cleanup.config import Retention
from components.compress.config import Compress
from components.deploy.config import Deploy, DeployConfig
from components.errors import UserError
from components.evaluate.config import Evaluate, EvaluateConfig, check_evaluate
from components.features.columns import Data
from components.features.declared import Features, check_features
from components.finish.config import Finish, FinishConfig
from components.ingest.config import Ingest, IngestConfig
from components.learning.config import Network, WideDeep
from components.preprocess.config import Preprocess, PreprocessConfig, check_preprocess
from components.resolve.config import Resolve, ResolveConfig
from components.schema import Section, canonical_json, parse, sentences
from components.train.config import Train, TrainConfig
from components.validate.config import Validate, ValidateConfig

MODEL_FILE = "model.yaml"
# What each step reads. Not compress: each of its tasks reads one recipe (`Compress.recipe_jsons`).
STEP_CONFIGS: dict[str, type[Section]] = {
    "ingest": IngestConfig,
    "resolve": ResolveConfig,
    "validate": ValidateConfig,
    "preprocess": PreprocessConfig,
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "deploy": DeployConfig,
    "finish": FinishConfig,
}

DESCRIPTIONS = {"data": {"columns": {"__all__": {"description"}}}}


class ModelConfig(Section):
    """A model: what a row is, what is made of it, and how each step of the pipeline treats it."""

    name: str = Field(max_length=50, pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", description="name of the model: a-z, 0-9, single -")
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
    deploy: Deploy = Field(default_factory=Deploy)
    finish: Finish = Field(default_factory=Finish)
    retention: Retention = Field(default_factory=Retention)

    @model_validator(mode="after")
    def _check(self) -> "ModelConfig":
        check_features(self.features, self.data)
        check_preprocess(self.preprocess, self.data)
        check_evaluate(self.evaluate, self.data)
        return self

    def to_dict(self) -> dict[str, Any]:
        """The whole configuration, defaults included, as plain data."""
        return self.model_dump(mode="json", by_alias=True)

    def for_step(self, step: str) -> str:
        """What a step reads of the configuration, as JSON with sorted keys.

        A step gets no more than that, so that changing a section reruns only the steps that read it; and no columns'
        descriptions, so that wording reruns nothing.
        """
        whole = self.model_dump(mode="json", by_alias=True, exclude=DESCRIPTIONS)
        whole["model_yaml"] = self.to_dict()
        return canonical_json({key: whole[key] for key in _keys(STEP_CONFIGS[step])})


def _keys(section: type[Section]) -> list[str]:
    return [field.alias or name for name, field in section.model_fields.items()]


def load(folder: Path, overrides: tuple[str, ...] = ()) -> ModelConfig:
    """Reads `model.yaml` in a model's folder.

    Args:
        folder: the model's folder.
        overrides: `section.key=value` each; the value is read as YAML.

    Raises:
        UserError: names everything that is wrong, before any work starts.
    """
    path = folder / MODEL_FILE
    raw = _read_yaml(path)
    for override in overrides:
        _override(raw, override)
    text = json.dumps(raw, default=str)
    try:
        config = ModelConfig.model_validate_json(text)
    except ValidationError as error:
        raise UserError(f"{path}: " + "; ".join(sentences(error, ModelConfig, json.loads(text)))) from None
    config = _with_absolute_source(config, folder)
    for step, section in STEP_CONFIGS.items():
        parse(section, config.for_step(step))  # some rules span the sections that a step reads
    return config


def _with_absolute_source(config: ModelConfig, folder: Path) -> ModelConfig:
    source = config.ingest.source
    if "://" in source or source.startswith(("/", "{work}")):
        return config
    ingest = config.ingest.model_copy(update={"source": str((folder / source).absolute())})
    return config.model_copy(update={"ingest": ingest})


class _StrictLoader(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys; a model's file must not have two."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key} stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; give the folder of a model, with a {MODEL_FILE} in it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}); it must be a UTF-8 text file") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}; mend that line") from None
    if not isinstance(raw, dict):
        raise UserError(f"{path} holds no keys; see `python pipeline.py schema` for those it may have")
    return raw


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
        target[last] = yaml.safe_load(value)
    except yaml.YAMLError:
        raise UserError(f"--set {override}: {value} is not valid YAML; quote it") from None


def json_schema() -> dict[str, Any]:
    """The JSON Schema of model.yaml: every key with its meaning, unit, default and range."""
    return ModelConfig.model_json_schema(by_alias=True)
