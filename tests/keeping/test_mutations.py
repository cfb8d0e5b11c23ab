"""The property test finds a cleanup that is wrong: each of these mistakes is caught."""

import pytest

from components.cleanup import generation, plan, runs, situation
from components.errors import UserError
from components.store import ModelStore
from tests.keeping.test_keeping import keep

EXAMPLES, STEPS = 150, 50


def ignores_pins(patch):
    named = ModelStore.named
    patch.setattr(
        ModelStore, "named", lambda self: {key: why for key, why in named(self).items() if "pinned" not in why}
    )


def deletes_bases(patch):
    patch.setattr(situation.Situation, "wanted", lambda self, named: set(named))


def ignores_leases(patch):
    patch.setattr(runs, "is_alive", lambda lease, written_s, now_s: False)


def forgets_the_previous_generation(patch):
    patch.setattr(situation, "living_from_s", lambda now_s, days: generation.living_from_s(now_s + days * 86_400, days))


def deletes_outputs_before_what_the_cache_knows(patch):
    others = plan._others
    patch.setattr(plan, "_others", lambda situation: others(situation)[::-1])


def takes_another_models_temporaries(patch):
    patch.setattr("components.cleanup.leftovers._is_ours", lambda situation, path: not situation.other_in_progress)


MISTAKES = (
    ignores_pins,
    deletes_bases,
    ignores_leases,
    forgets_the_previous_generation,
    deletes_outputs_before_what_the_cache_knows,
    takes_another_models_temporaries,
)


@pytest.mark.nightly
@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_a_mistake_is_found(mistake, tmp_path, monkeypatch):
    mistake(monkeypatch)
    with pytest.raises((AssertionError, UserError)):
        keep(tmp_path / "work", EXAMPLES, STEPS, shrink=False)
