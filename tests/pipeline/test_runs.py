"""End-to-end runs of the command line through KFP's local runner, one after the other in one work directory.

They are few because each takes a while: every run shows several promises. Their order matters.
"""

import os
import shutil
from datetime import datetime, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.artifacts import read_json
from components.compress.config import DEFAULT
from components.store import ModelStore, verify

CACHED_STEPS = {"preprocess", "train"} | {f"compress-{recipe}" for recipe in DEFAULT}
ALWAYS = {"ingest", "resolve", "validate", "evaluate", "rehearse", "deploy", "finish"}


def test_the_first_run_ends_with_a_model_in_service_and_a_report(workshop, first) -> None:
    assert first.ran() == CACHED_STEPS | ALWAYS
    assert {record.status for record in first.records.values()} == {"done"}
    assert workshop.serving() == 1
    version = ModelStore(workshop.work, "flights").version(1)
    verify(version)
    names = {path.name for path in version.path.iterdir()}
    assert names == {
        "serving", "saved_model", "weights.h5", "optimizer.npz", "network.json", "training.json", "features.json",
        "constants.json", "vocabulary", "examples.json", "statistics.json", "metrics.json", "model.yaml",
        "lineage.json", "checksums.json", "recorded_requests.json",
    }  # fmt: skip
    report = (first.folder / "report.html").read_text()
    assert "http://" not in report.replace("http://www.w3.org", "") and "https://" not in report
    assert "flights" in first.screen and "report.html" in first.screen


def test_everything_lies_below_the_work_directory(workshop, first) -> None:
    known = {"checkpoints", "cleanup", "data", "empty", "models", "pipeline", "runs", "source"}
    assert {path.name for path in workshop.work.iterdir()} <= known | {"workspace"}


def test_a_run_with_nothing_new_says_why_it_does_nothing(workshop, first) -> None:
    outcome = workshop.run()
    assert outcome.code == 0
    assert set(outcome.records) == {"ingest", "resolve", "validate", "finish"}
    details = outcome.records["validate"].details
    assert details["decision"] == "nothing" and "version 1" in details["reason"]
    assert workshop.serving() == 1
    skipped = [line for line in outcome.screen.splitlines() if " skipped " in line]
    assert len(skipped) == 7 and all("nothing to do" in line for line in skipped)


def test_without_cache_a_run_with_nothing_new_does_nothing_either(workshop, first) -> None:
    outcome = workshop.run("--no-cache")
    assert outcome.code == 0
    assert set(outcome.records) == {"ingest", "resolve", "validate", "finish"}


def test_the_same_bytes_under_new_names_hit_the_cache_and_a_deleted_output_is_made_again(workshop, first) -> None:
    for path in sorted(workshop.feed.glob("*.parquet")):
        os.utime(path.rename(path.with_name(f"renamed-{path.name}")), (1, 1))
    shutil.rmtree(_variant(workshop.work, "float16"))
    outcome = workshop.run("--force", "--set", "predict.source='{work}/source/flights/*.parquet'")
    assert outcome.code == 0, outcome.screen
    assert outcome.ran() - ALWAYS == {"compress-float16", "predict"}
    assert outcome.cached() == CACHED_STEPS - {"compress-float16"}
    assert workshop.serving() == 1, "the same model is not deployed twice"
    since = datetime.fromtimestamp(first.records["preprocess"].started_s, timezone.utc)
    shown = " ".join(outcome.screen.split())
    assert f"since {since:%Y-%m-%d %H:%M} UTC" in shown and f"from run {first.name}" in shown
    predictions = workshop.work / "predictions" / "flights"
    predicted = pq.read_table(predictions / read_json(predictions / "latest.json")["folder"])
    assert predicted.num_rows == outcome.records["ingest"].details["rows"] == outcome.records["predict"].details["rows"]
    assert {"flight_id", "prediction"} <= set(predicted.column_names)


def test_a_recipe_more_runs_only_that_recipe(workshop, first) -> None:
    recipes = ", ".join((*DEFAULT, "int8"))
    outcome = workshop.run("--force", "--set", f"compress.recipes=[{recipes}]", "--set", "evaluate.min_quality=0.999")
    assert outcome.code == 0, outcome.screen
    assert outcome.ran() == {"compress-int8", *ALWAYS - {"rehearse", "deploy"}}
    assert outcome.cached() == CACHED_STEPS


@pytest.mark.nightly
def test_without_cache_and_forced_everything_is_made_again(workshop, first) -> None:
    fewer = ("--set", "compress.recipes=[float32]", "--set", "evaluate.min_quality=0.999")
    outcome = workshop.run("--no-cache", "--force", *fewer)
    assert outcome.code == 0, outcome.screen
    assert outcome.ran() == {"preprocess", "train", "compress-float32", *ALWAYS - {"rehearse", "deploy"}}
    assert "from run" not in outcome.screen
    assert workshop.run("--force", *fewer).cached() == {"preprocess", "train", "compress-float32"}


def test_a_model_that_breaks_a_limit_of_the_rehearsal_is_not_deployed(workshop, first) -> None:
    outcome = workshop.run("--force", "--set", "rehearse.memory_mb=1")
    assert outcome.code == 0, outcome.screen
    assert outcome.records["rehearse"].details["decision"] == "unfit"
    assert "rehearse.memory_mb" in outcome.screen
    assert "deploy" not in outcome.records
    assert outcome.cached() == CACHED_STEPS


@pytest.mark.nightly
def test_changed_code_runs_its_step_and_those_after_it_again(
    workshop, first, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workshop, "root", _copy_of_the_code(tmp_path))
    changed = workshop.root / "components" / "train" / "train.py"
    changed.write_text(changed.read_text() + "\n# a change\n")
    outcome = workshop.run()
    assert outcome.code == 0, outcome.screen
    assert "training" in outcome.records["validate"].details["reason"]
    assert outcome.cached() == {"preprocess"}
    assert workshop.serving() == 2


def test_a_changed_value_and_a_new_month_are_new_data_and_a_model_that_is_not_good_enough_is_refused(
    workshop, first
) -> None:
    path = sorted(workshop.feed.glob("*.parquet"))[-1]
    before = path.stat()
    _change_one_value(path)
    os.utime(path, (before.st_atime, before.st_mtime))
    workshop.deliver(2)
    served = workshop.serving()
    outcome = workshop.run("--set", "evaluate.min_quality=0.999")
    assert outcome.code == 0, outcome.screen
    assert outcome.records["ingest"].details["new_partitions"] == 2
    assert {"preprocess", "train"} <= outcome.ran()
    assert outcome.records["preprocess"].details["start"] == "warm"
    assert outcome.records["evaluate"].details["decision"] == "refused"
    assert "deploy" not in outcome.records
    assert workshop.serving() == served


def test_a_failed_run_leaves_the_model_in_service_and_the_next_run_works(workshop, first) -> None:
    served = workshop.serving()
    broken = workshop.feed / "broken.parquet"
    broken.write_bytes(sorted(workshop.feed.glob("*.parquet"))[0].read_bytes()[:-100])
    outcome = workshop.run()
    broken.unlink()
    assert outcome.code == 1
    assert "broken.parquet" in outcome.screen and "Traceback" not in outcome.screen
    assert set(outcome.records) == {"ingest", "finish"}
    assert outcome.records["ingest"].status == "failed"
    assert (outcome.folder / "report.html").exists()
    assert workshop.serving() == served


def _variant(work: Path, recipe: str) -> Path:
    """The output of compress for a recipe."""
    variants = [path.parent for path in work.glob("pipeline/*/*/compress/variant/variant.json")]
    (found,) = [path for path in variants if read_json(path / "variant.json")["recipe"] == recipe]
    return found


def _copy_of_the_code(folder: Path) -> Path:
    root = Path(__file__).parents[2]
    for name in ("components", "containers", "models"):
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "pipeline.py", folder)
    return folder


def _change_one_value(path: Path) -> None:
    table = pq.read_table(path)
    index = table.schema.get_field_index("distance")
    column = table.column(index)
    changed = pa.array([column[0].as_py() + 1, *column[1:].to_pylist()], column.type)
    pq.write_table(table.set_column(index, table.schema.field(index), changed), path)
