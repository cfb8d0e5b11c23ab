import os
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.cleanup.generation import generation, living_from_s

DAY_S = 86_400
NOW_S = 20_000 * DAY_S + 43_200.0
OLD_S = NOW_S - 100 * DAY_S


@given(st.floats(0, 4e9), st.integers(1, 400))
def test_a_generation_lasts_its_days_and_never_goes_back(now_s, days):
    current = generation(now_s, days)
    assert generation(now_s + days * DAY_S, days) == current + 1
    assert current * days * DAY_S <= now_s < (current + 1) * days * DAY_S
    assert generation(living_from_s(now_s, days), days) == current - 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ages=st.lists(st.floats(0, 200), min_size=1, max_size=6, unique=True), days=st.integers(1, 60))
def test_outputs_of_the_current_and_the_previous_generation_always_stay(work, ages, days):
    shutil.rmtree(work.path)
    folders = {work.outputs(NOW_S - age * DAY_S): NOW_S - age * DAY_S for age in ages}
    planned = set(work.plan(days=days))
    for folder, time_s in folders.items():
        assert (folder in planned) == (generation(time_s, days) < generation(NOW_S, days) - 1)


def test_one_young_file_or_a_young_name_keeps_a_folder(work):
    touched, renamed, old = work.outputs(OLD_S), work.outputs(OLD_S - 1, named_s=NOW_S), work.outputs(OLD_S - 2)
    os.utime(work.path / touched / "train" / "model" / "weights.h5", (NOW_S, NOW_S))
    assert work.plan() == [old]
    assert (work.path / renamed).exists()


@pytest.mark.parametrize("pipeline", ["evergreen-flights-eu", "evergreen-wine", "other", "xevergreen-flights"])
def test_outputs_of_other_models_stay(work, pipeline):
    mine = work.outputs(OLD_S)
    work.outputs(OLD_S, pipeline)
    work.file("pipeline/evergreen-flights-notes/a", 0)
    work.file("pipeline/evergreen-flights-2013-99-99-00-00-00-000000/a", 0)
    work.file("pipeline/.kfp_cache/key.json", 0)
    assert work.plan() == [mine]


def test_what_the_cache_knows_of_dead_outputs_goes_before_them(work):
    dead, living, others = work.outputs(OLD_S), work.outputs(NOW_S), work.outputs(OLD_S, "evergreen-wine")
    entry = work.cached("a", dead, OLD_S)
    work.cached("b", living, NOW_S)
    work.cached("c", others, OLD_S)
    work.cached("d", dead, NOW_S)
    assert work.plan() == [entry, dead]
    work.clean_up()
    assert work.names("pipeline/.kfp_cache") == {"b.json", "c.json", "d.json"}


def test_a_damaged_entry_of_the_cache_stays(work):
    work.file("pipeline/.kfp_cache/a.json", OLD_S, b'{"uri": 3')
    work.file("pipeline/.kfp_cache/b.json", OLD_S, b'[{"uri": null}, 7]')
    assert work.plan() == []


def test_while_another_run_of_the_model_is_in_progress_no_outputs_go(work):
    folder = work.outputs(OLD_S)
    work.cached("a", folder, OLD_S)
    work.run("other", NOW_S - 60, heartbeat_s=NOW_S - 60)
    assert work.plan() == []
