"""What a run takes from KFP's cache and what it makes again, over every step (DESIGN.md §4).

The runs are those of quick.py. tests/pipeline shows the same on real steps, in fewer runs.
"""

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.artifacts import FRESH_VARIABLE
from components.config import ModelConfig
from tests.orchestration.quick import STEPS, Plant

COMPRESSED = {"compress-float32", "compress-float16"}
CACHED = {"preprocess", "train", *COMPRESSED}
FROM = {"preprocess": CACHED, "train": {"train", *COMPRESSED}, "compress": COMPRESSED}
"""A cached step with the cached ones after it."""
ALWAYS = {"ingest", "resolve", "validate", "evaluate", "rehearse", "deploy", "predict", "finish"}


@contextlib.contextmanager
def _changed(path: Path) -> Iterator[None]:
    """A line more at the end of a file, while the block runs."""
    before = path.read_bytes()
    path.write_bytes(before + b"\n# changed\n")
    try:
        yield
    finally:
        path.write_bytes(before)


def test_a_repeated_run_takes_all_that_can_be_cached_and_names_the_run_that_made_it(plant: Plant) -> None:
    before = plant.run()
    again = plant.run()
    assert (again.ran, again.cached) == (ALWAYS, CACHED)
    assert {again.records[step].run for step in CACHED} == {before.records["train"].run}
    assert {again.records[step].started_s for step in CACHED} == {before.records[step].started_s for step in CACHED}


class TestData:
    def test_the_same_bytes_renamed_and_redated_hit(self, plant: Plant) -> None:
        path = plant.feed()
        renamed = path.rename(plant.feed("renamed.csv"))
        os.utime(renamed, (1, 1))
        assert plant.run().cached == CACHED
        renamed.rename(path)

    def test_one_byte_changed_with_time_and_size_kept_misses_everywhere(self, plant: Plant) -> None:
        path, content = plant.feed(), plant.feed().read_bytes()
        was = path.stat()
        with path.open("r+b") as file:
            file.write(content.replace(b"1.5", b"1.6", 1))
        os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
        assert path.stat().st_size == was.st_size and path.stat().st_mtime_ns == was.st_mtime_ns
        assert plant.run().ran == CACHED | ALWAYS
        path.write_bytes(content)
        assert plant.run().cached == CACHED, "the bytes that were there before are known still"

    def test_a_file_more_misses_everywhere(self, plant: Plant) -> None:
        more = plant.feed("more.csv")
        more.write_text("x,late\n3.5,0\n")
        assert plant.run().ran == CACHED | ALWAYS
        more.unlink()
        assert plant.run().cached == CACHED


class TestCode:
    @pytest.mark.parametrize("step", STEPS)
    def test_a_step_s_code_reruns_the_step_and_those_after_it(self, plant: Plant, step: str) -> None:
        with _changed(plant.code / "components" / step / f"{step}.py"):
            assert plant.run().ran == ALWAYS | FROM.get(step, set())
        assert plant.run().cached == CACHED, "the code that was there before finds its results"

    @pytest.mark.parametrize(
        ("file", "reruns"),
        [
            ("components/errors.py", CACHED),
            ("components/features/numeric_tf.py", CACHED),
            ("components/ingest/check.py", CACHED),
            ("components/ingest/read_csv.py", CACHED),
            ("components/learning/fit.py", FROM["train"]),
            ("components/compress/pruned.py", COMPRESSED),
            ("components/predictor/predictor.py", set()),
            ("components/report/style.css", set()),
            ("containers/preprocess/requirements.txt", CACHED),
            ("containers/train/requirements.txt", FROM["train"]),
            ("containers/compress/requirements.txt", COMPRESSED),
            ("containers/evaluate/requirements.txt", set()),
        ],
    )
    def test_shared_code_and_packages_rerun_the_steps_that_carry_them(
        self, plant: Plant, file: str, reruns: set[str]
    ) -> None:
        with _changed(plant.code / file):
            assert plant.run().ran == ALWAYS | reruns


class TestOutputs:
    @pytest.mark.parametrize(
        ("step", "reruns"),
        [
            ("preprocess", CACHED),
            ("train", FROM["train"]),
            ("compress-float32", {"compress-float32"}),
            ("compress-float16", {"compress-float16"}),
            ("validate", set()),
            ("evaluate", set()),
        ],
    )
    def test_a_deleted_output_is_made_again_with_what_is_made_of_it(
        self, plant: Plant, step: str, reruns: set[str]
    ) -> None:
        shutil.rmtree(plant.run().output(step))
        assert plant.run().ran == ALWAYS | reruns
        assert plant.run().cached == CACHED

    @pytest.mark.parametrize("folder", ["data/small/snapshots", "data/small/partitions", "data", "empty", "runs"])
    def test_what_is_named_by_its_content_is_made_again_under_its_name(self, plant: Plant, folder: str) -> None:
        shutil.rmtree(plant.work / folder)
        assert plant.run().cached == CACHED

    def test_a_deleted_cache_makes_all_again(self, plant: Plant) -> None:
        shutil.rmtree(plant.work / "pipeline" / ".kfp_cache")
        assert plant.run().ran == CACHED | ALWAYS


SETTINGS = {
    "description": ("description=what it predicts", set()),
    "owner": ("owner=somebody", set()),
    "data": ("data.columns.x={type: float, max: 9}", CACHED),
    "features": ("features=[{name: x, kind: numeric, column: x, scale: min_max}]", CACHED),
    "network": ("network={kind: mlp, hidden: [8]}", CACHED),
    "ingest": ("ingest.max_bad_rows=0.5", set()),
    "resolve": ("resolve.start=cold", set()),
    "validate": ("validate.max_unseen=0.5", set()),
    "preprocess": ("preprocess.seed=1", CACHED),
    "train": ("train.epochs=3", FROM["train"]),
    "compress": ("compress.pruned.sparsity=0.5", set()),  # no recipe prunes
    "evaluate": ("evaluate.min_quality=0.1", set()),
    "rehearse": ("rehearse.memory_mb=999", set()),
    "deploy": ("deploy.pointer=candidate", set()),
    "predict": ("predict.columns=[x, late]", set()),
    "serve": ("serve.log_share=0.5", set()),
    "finish": ("finish={}", set()),
    "retention": ("retention.runs=7", set()),
    "cluster": ("cluster.defaults={cpu: 9, memory: 64Gi, retries: 9}", set()),
}


class TestConfiguration:
    def test_every_section_is_tried(self) -> None:
        assert {*SETTINGS, "name"} == {field.alias or name for name, field in ModelConfig.model_fields.items()}

    @pytest.mark.parametrize("section", SETTINGS)
    def test_a_section_reruns_the_steps_that_read_it_and_those_after_them(self, plant: Plant, section: str) -> None:
        override, reruns = SETTINGS[section]
        if section == "deploy":  # a candidate predicts nothing
            assert plant.run(override, "predict.source=null").ran == ALWAYS - {"predict"}
        else:
            assert plant.run(override).ran == ALWAYS | reruns

    def test_the_wording_of_a_column_reruns_nothing(self, plant: Plant) -> None:
        assert plant.run("data.columns.x={type: float, description: a number}").cached == CACHED

    def test_a_recipe_more_runs_only_that_recipe_and_one_less_or_another_order_none(self, plant: Plant) -> None:
        plant.run()
        assert plant.run("compress.recipes=[dynamic, float32, float16]").ran == ALWAYS | {"compress-dynamic"}
        fewer = plant.run("compress.recipes=[float32]")
        assert (fewer.ran, fewer.cached) == (ALWAYS, CACHED - {"compress-float16"})
        assert plant.run("compress.recipes=[float16, float32]").cached == CACHED

    def test_how_a_recipe_is_made_reruns_only_the_recipes_that_read_it(self, plant: Plant) -> None:
        recipes = "compress.recipes=[float32, pruned]"
        plant.run(recipes)
        assert plant.run(recipes, "compress.pruned.sparsity=0.5").ran == ALWAYS | {"compress-pruned"}


class TestGeneration:
    def test_nothing_of_another_generation_is_found(self, plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
        plant.run()
        monkeypatch.setattr("components.resolve.resolve.generation", lambda now_s, days: 1)
        assert plant.run().ran == CACHED | ALWAYS
        assert plant.run().cached == CACHED
        monkeypatch.undo()


def test_without_cache_all_is_made_and_nothing_of_it_is_kept_for_later(plant: Plant) -> None:
    before = plant.run()
    fresh = plant.run(cache=False)
    assert fresh.ran == CACHED | ALWAYS
    later = plant.run()
    assert later.cached == CACHED
    assert {later.records[step].run for step in CACHED} == {before.records[step].run for step in CACHED}


def test_a_run_without_cache_goes_on_from_no_checkpoint(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str | None] = []
    module = sys.modules["components.train.train"]
    train = module.train

    def look(*arguments: object) -> None:
        told.append(os.environ.get(FRESH_VARIABLE))
        train(*arguments)

    monkeypatch.setattr(module, "train", look)
    plant.run("train.epochs=5")
    plant.run(cache=False)
    assert told == [None, "1"]


def test_a_run_that_failed_leaves_what_it_finished_in_the_cache(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_):
        raise RuntimeError("no memory")

    def run() -> object:
        return plant.run("train.epochs=4", "preprocess.seed=2")

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["components.train.train"], "train", fail)
        with pytest.raises(AssertionError, match="no memory"):
            run()
    assert run().cached == {"preprocess"}
