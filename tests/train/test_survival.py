"""A training whose process is killed goes on where it was."""

import random
import signal
import time

import numpy as np
import pytest

from components import artifacts
from components.train.train import digest, train
from tests.train.processes import Place, details, weights_of

LONG = {"epochs": 30, "patience": 30, "checkpoint_minutes": 0.001, "deterministic": True}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    made = Place(tmp_path_factory.mktemp("undisturbed"), **LONG)
    assert made.start().wait() == 0
    return made.paths.result


def same_weights(one, other) -> bool:
    first, second = weights_of(one), weights_of(other)
    return set(first) == set(second) and all(np.array_equal(first[name], second[name]) for name in first)


def test_killed_at_any_moment_it_ends_bit_for_bit_as_if_it_had_not_been(undisturbed, tmp_path):
    made = Place(tmp_path, **LONG)
    moments = random.Random(0)
    for kill in range(2):
        process = made.start()
        made.wait_for(made.checkpoint, process)
        time.sleep(moments.uniform(0, 0.3 if kill == 0 else 3))
        process.kill()
        process.wait()
    assert made.start().wait() == 0
    done, expected = details(made.paths.result), details(undisturbed)
    assert same_weights(made.paths.result, undisturbed)
    metrics = [[epoch["validation_metric"] for epoch in one["history"]] for one in (done, expected)]
    assert metrics[0] == metrics[1] and done["best_epoch"] == expected["best_epoch"]


def test_told_to_end_it_saves_and_ends_with_a_code_that_is_tried_again(undisturbed, tmp_path):
    made = Place(tmp_path, **{**LONG, "checkpoint_minutes": 60})
    process = made.start()
    time.sleep(0.1)
    until = time.monotonic() + 120
    while "epoch 2" not in (tmp_path / "said.txt").read_text() and time.monotonic() < until:
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 143
    assert "the checkpoint is saved, run it again to go on" in (tmp_path / "said.txt").read_text()
    assert not made.paths.result.exists()
    assert made.start().wait() == 0
    assert details(made.paths.result)["resumed"] == 1
    assert same_weights(made.paths.result, undisturbed)


def test_an_error_ends_with_a_code_that_is_not_tried_again(tmp_path):
    made = Place(tmp_path, strategy="tpu")
    assert made.start().wait() == 1
    assert (tmp_path / "said.txt").read_text().splitlines()[-1].startswith("error: train.strategy is tpu")


def test_the_step_leaves_no_checkpoint_and_takes_a_result_that_was_left(tmp_path):
    made = Place(tmp_path, epochs=2)
    scratch = made.work / "checkpoints" / digest(made.paths.examples, made.paths.base, made.config)
    train(made.paths.examples, made.paths.base, made.config, made.work, made.model)
    assert not scratch.exists()
    left = tmp_path / "again"
    # Killed after the training and before its result was taken over.
    (scratch / "result").parent.mkdir(parents=True)
    (made.model / "saved_model").rename(tmp_path / "saved_model")
    made.model.rename(scratch / "result")
    train(made.paths.examples, made.paths.base, made.config, made.work, left)
    assert (left / artifacts.WEIGHTS).exists() and not (left / "saved_model").exists()


def test_another_configuration_or_other_examples_are_another_training(tmp_path):
    made, other = Place(tmp_path / "one"), Place(tmp_path / "other", rows=(901, 300))
    known = digest(made.paths.examples, made.paths.base, made.config)
    assert digest(made.paths.examples, made.paths.base, made.config) == known
    assert digest(other.paths.examples, made.paths.base, made.config) != known
    changed = made.config.model_copy(update={"train": made.config.train.model_copy(update={"seed": 1})})
    assert digest(made.paths.examples, made.paths.base, changed) != known
