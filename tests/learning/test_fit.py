import dataclasses
import errno
import json
import logging

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.errors import PreemptedError, UserError
from components.learning.config import Mlp
from components.learning.course import Budget, Schedule
from components.learning.legacy_keras import tf
from components.learning.loop import Arithmetic
from components.learning.objective import Judge
from components.learning.place import Place, cpus
from tests.learning.courses import Course, same


@pytest.mark.parametrize(("task", "enough"), [("binary", 0.95), ("multiclass", 0.75), ("regression", 12.0)])
def test_training_learns_what_can_be_learned(tmp_path, task, enough):
    fitted = Course(tmp_path, task).run()
    metric = fitted.history[fitted.best_epoch - 1].validation_metric
    assert metric < enough if task == "regression" else metric > enough


def test_the_best_epoch_is_kept_and_training_stops(tmp_path):
    course = Course(tmp_path, is_flipped=True)
    fitted = course.run(Schedule(epochs=40, learning_rate=0.003, patience=2))
    metrics = [epoch.validation_metric for epoch in fitted.history]
    assert fitted.best_epoch == int(np.argmax(metrics)) + 1 < len(metrics) < 40
    assert "auc did not improve for 2 epochs" in fitted.stopped
    assert kept_metric(course) == pytest.approx(max(metrics), abs=1e-6)
    assert metrics[-1] < max(metrics)


def kept_metric(course: Course) -> float:
    """What the weights that training left give on the validation examples."""
    for variable in course.trained.variables:
        variable.assign(course.state[0][variable.name])
    return Judge(course.trained, course.spec).measure(course.examples(course.validation))[1]


def test_epochs_are_limited(tmp_path):
    fitted = Course(tmp_path).run(Schedule(epochs=2, learning_rate=0.001, patience=5))
    assert [epoch.epoch for epoch in fitted.history] == [1, 2]
    assert [epoch.examples for epoch in fitted.history] == [600, 600]
    assert fitted.stopped == "all 2 epochs are done" and not fitted.budget_stopped
    assert fitted.examples == 1200 and fitted.refit is None and fitted.resumed == 0


@pytest.mark.parametrize(("task", "target"), [("binary", 0.9), ("regression", 25.0)])
def test_a_target_ends_training(tmp_path, task, target):
    fitted = Course(tmp_path, task).run(Schedule(epochs=40, learning_rate=0.01, patience=40, target=target))
    reached = [epoch.validation_metric for epoch in fitted.history]
    assert len(reached) < 40 and "reached the target" in fitted.stopped
    assert all(metric < target for metric in reached[:-1]) if task == "binary" else reached[-1] <= target


def test_a_budget_of_examples_keeps_the_best_weights(tmp_path):
    course = Course(tmp_path)
    fitted = course.run(Schedule(epochs=40, learning_rate=0.01, patience=40, refit=True), Budget(examples=1500))
    assert fitted.budget_stopped and fitted.stopped == "the budget of 1,500 examples is used up"
    assert fitted.refit is None
    assert fitted.examples == 1500 and len(fitted.history) == 3 and fitted.history[-1].examples == 300
    best = fitted.history[fitted.best_epoch - 1].validation_metric
    assert kept_metric(course) == pytest.approx(best, abs=1e-6)


def test_a_budget_that_ends_in_the_refit_keeps_the_best_weights(tmp_path):
    course = Course(tmp_path)
    fitted = course.run(Schedule(epochs=3, learning_rate=0.01, patience=3, refit=True), Budget(examples=2000))
    assert fitted.budget_stopped and "before all examples were trained on" in fitted.stopped
    assert fitted.refit is None
    assert kept_metric(course) == pytest.approx(fitted.history[fitted.best_epoch - 1].validation_metric, abs=1e-6)


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        (Budget(seconds=60.0), "the budget of 1 minutes is used up"),
        (Budget(cost=0.5, cost_per_hour=30.0), "the budget of 0.5 is used up, at 30 an hour"),
    ],
)
def test_a_budget_of_time_or_money_says_so(budget, said):
    assert budget.spent(59, 10**9) is None
    assert budget.spent(60, 0) == said
    assert Budget().spent(1e9, 10**12) is None


def test_the_same_seed_gives_the_same_weights(tmp_path):
    courses = [Course(tmp_path / name) for name in ("one", "other")]
    for course in courses:
        course.run(Schedule(epochs=2, learning_rate=0.01, patience=2, refit=True))
    assert same(courses[0].state, courses[1].state)


def test_a_refit_begins_anew_and_its_rate_falls_to_zero(tmp_path):
    course = Course(tmp_path)
    fitted = course.run(Schedule(epochs=3, learning_rate=0.01, patience=3, refit=True))
    assert fitted.refit.epochs == fitted.best_epoch == 3
    assert fitted.refit.loss < 0.5
    steps = 3 * 16  # 800 examples an epoch; none of the steps before
    assert course.state[1]["iteration:0"] == steps
    assert course.last_rate == pytest.approx(0.01 * (1 + np.cos(np.pi * (steps - 1) / steps)) / 2, rel=1e-3)


def test_a_loss_that_is_no_number_is_refused(tmp_path):
    course = Course(tmp_path, "regression")
    course.training["label"][5] = np.inf
    with pytest.raises(UserError, match=r"the training loss became (nan|inf)"):
        course.run()


class Told:
    """Tells to stop once, after so many calls of steps."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def __call__(self) -> bool:
        self.left -= 1
        return self.left == 0


NETWORK = Mlp(hidden=(8,), dropout=0.3, embedding_dropout=0.2, l2=1e-4)
LONG = Schedule(epochs=3, learning_rate=0.01, patience=3, refit=True)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    course = Course(tmp_path_factory.mktemp("undisturbed"), network=NETWORK)
    return course.run(LONG), course.state


@pytest.mark.parametrize("calls", [2, 5])
def test_a_training_told_to_stop_goes_on_as_if_it_had_not_been(undisturbed, tmp_path, monkeypatch, calls):
    monkeypatch.setattr("components.learning.fit.STEPS_PER_CALL", 7)  # in the middle of epochs too
    course = Course(tmp_path, network=NETWORK)
    with pytest.raises(PreemptedError, match="run it again"):
        course.run(LONG, told=Told(2 * calls - 1))
    fitted = course.run(LONG)
    expected, state = undisturbed
    assert same(course.state, state)
    assert fitted.resumed == 1 and fitted.examples == expected.examples
    assert [(epoch.epoch, epoch.validation_metric) for epoch in fitted.history] == [
        (epoch.epoch, epoch.validation_metric) for epoch in expected.history
    ]


@pytest.mark.nightly
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 4), min_size=2, max_size=4))
def test_many_interruptions_change_nothing(undisturbed, tmp_path_factory, stops):
    course = Course(tmp_path_factory.mktemp("many"), network=NETWORK)
    for calls in stops:
        try:
            course.run(LONG, told=Told(calls))
        except PreemptedError:
            continue
    course.run(LONG)
    assert same(course.state, undisturbed[1])


def test_a_finished_training_is_not_done_again(undisturbed, tmp_path):
    course = Course(tmp_path, network=NETWORK)
    first = course.run(LONG)
    again = course.run(LONG, told=lambda: pytest.fail("it took steps"))
    assert again.history == first.history and again.refit == first.refit
    assert same(course.state, undisturbed[1])


DAMAGES = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:100]),
    "empty": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_starts_over_and_says_so(undisturbed, tmp_path, caplog, damage):
    course = Course(tmp_path, network=NETWORK)
    with pytest.raises(PreemptedError):
        course.run(LONG, told=Told(3))
    for path in (tmp_path / "checkpoint").glob("weights-*.npz"):
        DAMAGES[damage](path)
    with caplog.at_level(logging.WARNING):
        fitted = course.run(LONG)
    assert "is damaged" in caplog.text and fitted.resumed == 0
    assert same(course.state, undisturbed[1])


def test_a_full_disk_costs_checkpoints_but_not_the_training(undisturbed, tmp_path, monkeypatch, caplog):
    def full(*_args, **_named):
        raise OSError(errno.ENOSPC, "No space left on device")

    course = Course(tmp_path, network=NETWORK)
    monkeypatch.setattr("components.learning.checkpoint.np.savez", full)
    course.run(LONG, save_every_s=0)
    assert same(course.state, undisturbed[1])
    assert "the checkpoint cannot be saved ([Errno 28] No space left on device)" in caplog.text
    assert list((tmp_path / "checkpoint").iterdir()) == []
    with pytest.raises(PreemptedError, match="cannot be saved"):
        course.run(LONG, told=Told(3))


def test_a_validation_that_is_no_number_is_refused(tmp_path):
    course = Course(tmp_path, "regression")
    course.validation["label"][5] = np.inf
    with pytest.raises(UserError, match="validation gave loss and rmse"):
        course.run()


def test_checkpoints_leave_no_other_files(tmp_path):
    course = Course(tmp_path)
    course.run(Schedule(epochs=3, learning_rate=0.01, patience=3, refit=True), save_every_s=0)
    folder = tmp_path / "checkpoint"
    named = json.loads((folder / "progress.json").read_text())["files"].values()
    assert {path.name for path in folder.iterdir()} == {"progress.json", *named}


def test_mirrored_replicas_learn_what_one_learns(tmp_path):
    place = Place("mirrored", tf.distribute.MirroredStrategy(cpus()))
    assert Course(tmp_path, place=place).run().history[-1].validation_metric > 0.95


@pytest.mark.parametrize("arithmetic", [Arithmetic("float16"), Arithmetic("bfloat16"), Arithmetic("float32", xla=True)])
def test_interruptions_change_nothing_in_other_arithmetic(tmp_path, arithmetic):
    schedule = Schedule(epochs=2, learning_rate=0.01, patience=2)
    whole, halves = (Course(tmp_path / name, network=NETWORK, arithmetic=arithmetic) for name in ("whole", "halves"))
    whole.run(schedule)
    with pytest.raises(PreemptedError):
        halves.run(schedule, told=Told(1))
    halves.run(schedule)
    assert same(halves.state, whole.state)
    assert all(values.dtype == np.float32 for values in whole.state[0].values())


def test_xla_compiles_the_steps_of_mirrored_replicas(tmp_path):
    place = Place("mirrored", tf.distribute.MirroredStrategy(cpus()))
    course = Course(tmp_path, place=place, arithmetic=Arithmetic("float32", xla=True))
    assert course.run(Schedule(epochs=5, learning_rate=0.01, patience=5)).history[-1].validation_metric > 0.9


def test_epochs_that_are_not_judged_never_win(tmp_path):
    schedule = Schedule(epochs=9, learning_rate=0.01, patience=2)
    assert Course(tmp_path / "judged", is_flipped=True).run(schedule).best_epoch == 1  # what is learned is wrong
    fitted = Course(tmp_path / "unjudged", is_flipped=True).run(dataclasses.replace(schedule, unjudged=3))
    judged = [epoch.validation_metric for epoch in fitted.history[3:]]
    assert fitted.history[0].validation_metric > max(judged) == judged[fitted.best_epoch - 4]
    assert len(fitted.history) == fitted.best_epoch + 2
