import glob
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from components.config import MAX_STEP_BYTES, STEP_CONFIGS, json_schema, load
from components.errors import UserError
from components.schema import parse

ROOT = Path(__file__).parents[2]
SMALL = {
    "name": "small",
    "data": {
        "columns": {"x": "float", "when": "timestamp", "late": "integer"},
        "label": "late",
        "task": "binary",
        "time": "when",
    },
    "features": [{"name": "x", "kind": "numeric", "column": "x"}],
    "ingest": {"source": "rows.csv"},
}


def _write(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "model.yaml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return _write(tmp_path / "m", yaml.safe_dump(SMALL))


def _refused(folder: Path, *overrides: str) -> str:
    with pytest.raises(UserError) as refused:
        load(folder, overrides)
    sentence = str(refused.value)
    assert "\n" not in sentence
    return sentence


def test_a_small_description_is_enough(model: Path) -> None:
    config = load(model)
    assert config.name == "small" and config.train.epochs > 0


def test_the_file_may_be_named_itself(model: Path) -> None:
    assert load(model / "model.yaml") == load(model)


def test_every_model_of_the_repository_loads_and_fits_the_schema() -> None:
    for path in (ROOT / "models").glob("*/model.yaml"):
        load(path.parent)
        jsonschema.validate(yaml.safe_load(path.read_text()), json_schema())


def test_the_schema_describes_every_key() -> None:
    schema = json_schema()
    undescribed = [
        f"{name}.{key}"
        for name, section in schema["$defs"].items()
        for key, value in section.get("properties", {}).items()
        if key != "kind" and "description" not in value and "$ref" not in value
    ]
    assert undescribed == []


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("train.batchsize=5", "train.batchsize is not a known key; did you mean batch_size?"),
        ("trian.epochs=5", "trian is not a known key; did you mean train?"),
        ("train.epochs=0", "train.epochs is 0; it must be greater than or equal to 1"),
        ("train.epochs=many", 'train.epochs is "many"; it must be an integer'),
        ("network.kind=transformer", 'network.kind is "transformer"; it must be one of'),
        ("data.label=missing", "label names missing, which is not in columns"),
        ("data.task=ranking", 'data.task is "ranking"; it must be'),
        ("preprocess.heldout_share=0.1", "preprocess.heldout_share"),
        ("evaluate.metric=rmse", "rmse"),
        ("evaluate.slices=[carrier]", "carrier"),
        ("validate.drift_limits={y: 0.2}", "validate.drift_limits names y"),
        ("compress.recipes=[float8]", "compress.recipes"),
        ("compress.recipes=[int8]", "compress.recipes is int8, without float32"),
        ("name=Späti", "name is"),
        ("name=python3-model", "KFP's local runner replaces the text python3"),
        ("train=5", "train is 5; it must be"),
        ("train", "--set train is not understood; write --set section.key=value"),
        ("train..epochs=5", "--set train..epochs=5 is not understood"),
        ("name.x=5", "--set name.x=5: name is not a section"),
        ("train.epochs=[", "is not valid YAML; quote it"),
    ],
)
def test_a_mistake_is_refused_by_name(model: Path, override: str, sentence: str) -> None:
    assert sentence in _refused(model, override)


def test_a_feature_must_not_read_the_label(model: Path) -> None:
    text = yaml.safe_dump({**SMALL, "features": [{"name": "x", "kind": "category", "column": "late"}]})
    assert "reads late, the label" in _refused(_write(model, text))


def test_all_mistakes_are_named_at_once(model: Path) -> None:
    sentence = _refused(model, "train.epochs=0", "train.patience=0")
    assert "train.epochs" in sentence and "train.patience" in sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "holds no keys"),
        ("- a\n- b\n", "holds no keys"),
        ("name: a\nname: b\n", "the key name stands twice"),
        ("name: a\n\tb: c\n", "is not valid YAML"),
        ("? [a, b]\n: c\n", "a key must be a plain word"),
        ("a: &a {b: 1}\nc:\n  <<: *a\n", "a key must be a plain word"),
        ("a: &a [*a]\n", "holds what no configuration can"),
        ("description: 2013-13-45\n", "is not valid YAML"),
        (f"name: {'[' * 3000}\n", "is not valid YAML"),
    ],
)
def test_a_file_that_is_no_description_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    assert sentence in _refused(_write(tmp_path / "m", text))


def test_a_missing_folder_and_a_file_that_is_not_utf_8_are_refused(tmp_path: Path) -> None:
    assert "does not exist; give the folder of a model" in _refused(tmp_path / "nowhere")
    (tmp_path / "model.yaml").write_bytes(b"name: \xff")
    assert "must be a UTF-8 text file" in _refused(tmp_path)


def test_numbers_may_be_written_as_people_write_them(model: Path) -> None:
    assert load(model, ("train.learning_rate=1e-3",)).train.learning_rate == 0.001
    assert load(model, ("train.learning_rate=5E-4",)).train.learning_rate == 0.0005


def test_a_relative_source_lies_beside_the_model_whatever_its_folder_is_called(tmp_path: Path) -> None:
    folder = _write(tmp_path / "a[1]b", yaml.safe_dump(SMALL))
    source = load(folder).ingest.source
    (folder / "rows.csv").touch()
    assert glob.glob(source) == [str(folder / "rows.csv")]  # noqa: PTH207 - as ingest does


@pytest.mark.parametrize("source", ["s3://bucket/x.csv", "/data/x.csv", "{work}/x.csv"])
def test_other_sources_stay_as_they_are(model: Path, source: str) -> None:
    assert load(model, (f"ingest.source='{source}'",)).ingest.source == source


def test_a_step_reads_its_own_sections_and_no_descriptions(model: Path) -> None:
    text = yaml.safe_load(yaml.safe_dump(SMALL))
    text["data"]["columns"]["x"] = {"type": "float", "description": "a long text"}
    described = load(_write(model.with_name("described"), yaml.safe_dump(text)))
    plain = load(model)
    for step in ("ingest", "preprocess", "evaluate"):
        assert described.for_step(step).replace("described/", "m/") == plain.for_step(step)
    changed = load(model, ("train.epochs=3",))
    differing = {step for step in STEP_CONFIGS if changed.for_step(step) != plain.for_step(step)}
    assert differing == {"train", "deploy"}, "deploy keeps the whole configuration with the version"


def test_what_a_step_reads_survives_the_text_that_kfp_replaces(model: Path) -> None:
    config = load(model, ("owner=python3 people",))
    text = config.for_step("deploy")
    assert "python3" not in text
    parsed: Any = parse(STEP_CONFIGS["deploy"], text)
    assert parsed.model_yaml["owner"] == "python3 people"


def test_a_description_that_does_not_fit_a_command_line_is_refused(model: Path) -> None:
    columns = {f"column_{number}": "float" for number in range(3000)}
    text = {**SMALL, "data": {**SMALL["data"], "columns": {**SMALL["data"]["columns"], **columns}}}
    assert f"at most {MAX_STEP_BYTES:,}" in _refused(_write(model, yaml.safe_dump(text)))


def test_predictions_of_a_candidate_are_refused(model: Path) -> None:
    overrides = ("predict.source=rows/*.csv", "deploy.pointer=candidate", "predict.columns=[when]")
    with pytest.raises(UserError, match=r"predict\.source needs deploy\.pointer serving"):
        load(model, overrides)


def test_a_relative_source_of_rows_to_predict_is_in_the_models_folder(model: Path) -> None:
    config = load(model, ("predict.source=rows/*.csv", "predict.columns=[when]"))
    assert config.predict.source == f"{model.absolute()}/rows/*.csv"
