"""What became of a run: outcomes, decision, figures and time."""

import pytest

from components.artifacts import Record
from components.report.decision import LONGEST_REASON, decide
from components.report.figures import key_figures
from components.report.quality import quality
from components.report.steps import outcome, steps
from components.report.timing import covered, timing
from tests.report import samples

KINDS = {
    "first_run": "deployed",
    "warm_run": "deployed",
    "many_variants": "deployed",
    "nothing_to_do": "nothing",
    "refused": "refused",
    "unfit": "refused",
    "failed": "failed",
    "killed": "failed",
    "all_cached": "kept",
}


@pytest.mark.parametrize("name", samples.ALL)
def test_decisions(name: str) -> None:
    assert decide(samples.ALL[name](), samples.RUN).kind == KINDS[name]


def test_a_finish_that_failed_hides_neither_itself_nor_the_new_version() -> None:
    records = samples.warm_run()
    records["finish"].status, records["finish"].error = "failed", "no space left"
    decision = decide(records, samples.RUN)
    assert (decision.headline, decision.after) == ("Failed in finish", "Version 4 is in service.")


def test_a_model_that_the_server_cannot_bear_is_not_deployed() -> None:
    decision = decide(samples.unfit(), samples.RUN)
    assert decision.headline == "New model not deployed"
    assert decision.reason.startswith("Unfit to serve: p99 latency is 12.3 ms; rehearse.latency_p99_ms allows 5")
    assert decision.after == "Version 3 stays in service."
    skipped = {step.name: step.words for step in steps(samples.unfit(), samples.RUN) if step.outcome == "skipped"}
    assert skipped == {"deploy": "model not fit to serve", "predict": "model not fit to serve"}


def test_a_refusal_of_many_variants_is_cut_in_the_header() -> None:
    records = samples.refused()
    records["evaluate"].details["reason"] = "no variant passes: " + "float32: auc is too low; " * 30
    reason = decide(records, samples.RUN).reason
    assert reason.startswith("no variant passes: float32") and reason.endswith("…") and len(reason) == LONGEST_REASON


def test_a_deploy_that_failed_promises_no_version() -> None:
    records = samples.warm_run()
    records["deploy"].status = "failed"
    assert decide(records, samples.RUN).after == "Version 3 stays in service."


def test_a_candidate_is_not_in_service() -> None:
    records = samples.warm_run()
    records["deploy"].details["pointer"] = "candidate"
    decision = decide(records, samples.RUN)
    assert (decision.headline, decision.after) == ("Version 4 is the candidate", "Version 3 stays in service.")


def test_a_version_made_before_is_not_called_new() -> None:
    records = samples.warm_run()
    records["deploy"].details["previous"] = 4
    assert decide(records, samples.RUN).headline == "Version 4 stays in service"


def test_the_first_failure_is_the_one_reported() -> None:
    records = samples.warm_run()
    for step in ("compress-int8", "compress-float16"):
        records[step].status, records[step].error = "failed", f"{step} broke"
    assert decide(records, samples.RUN).reason == "compress-float16 broke"


def test_outcomes() -> None:
    done = Record("train", "this", 0.0, status="done")
    assert outcome(done, "this") == "ran"
    assert outcome(done, "other") == "cached"
    assert outcome(Record("train", "this", 0.0), "this") == "stopped"
    assert outcome(Record("finish", "this", 0.0), "this") == "ran"
    assert outcome(Record("train", "this", 0.0, status="failed"), "this") == "failed"


def test_steps_stand_in_the_order_of_the_pipeline_with_those_that_never_started() -> None:
    names = [step.name for step in steps(samples.nothing_to_do(), samples.RUN)]
    before = ["ingest", "resolve", "validate", "preprocess", "train", "compress", "evaluate"]
    assert names == [*before, "rehearse", "deploy", "predict", "finish"]
    unknown = Record("notify", samples.RUN, 0.0, status="done")
    assert [step.name for step in steps({"notify": unknown}, samples.RUN)][-2:] == ["notify", "finish"]


def test_a_lower_metric_can_be_the_better_one() -> None:
    records = samples.warm_run()
    evaluate = records["evaluate"].details
    evaluate.update(metric="log_loss", higher_is_better=False, chosen=None)
    figure = key_figures(records, samples.RUN)[0]
    assert (figure.label, figure.value) == ("log loss", "0.5021")
    assert figure.note == "float32: -0.0047, better than version 3 (0.5068)"
    best = quality(records).best
    assert best is not None and best.recipe == "float32"


def test_time_is_split_without_counting_anything_twice() -> None:
    records = {
        "ingest": Record("ingest", "r", 101.0, 2.0, 1.0, "done"),
        "compress-a": Record("compress-a", "r", 106.0, 4.0, 2.0, "done"),
        "compress-b": Record("compress-b", "r", 107.0, 5.0, 3.0, "done"),
        "train": Record("train", "earlier", 50.0, 9.0, 3.0, "done"),
    }
    spent = timing(records, "r")
    assert (spent.total_s, spent.work_s, spent.startup_s, spent.between_s) == (12.0, 8.0, 3.0, 1.0)
    assert [bar.step for bar in spent.bars] == ["ingest", "compress-a", "compress-b"]


def test_covered() -> None:
    assert covered([]) == 0.0
    assert covered([(0.0, 10.0), (2.0, 3.0), (9.0, 12.0), (20.0, 21.0)]) == 13.0


def test_a_prediction_that_is_not_configured_is_not_called_unreached() -> None:
    words = {step.name: step.words for step in steps(samples.first_run(), samples.RUN)}
    assert words["predict"] == "no predict.source"
