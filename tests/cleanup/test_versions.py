import shutil

from components.cleanup import cleanup as module
from components.cleanup.cleanup import clean_up
from components.cleanup.config import Retention
from components.store import verify

DAY_S = 86_400
NOW_S = 20_000 * DAY_S + 43_200.0


def numbers(work):
    return [version.number for version in work.store.versions()]


def path(number):
    return f"models/flights/versions/{number}"


def test_the_newest_versions_stay(work):
    for _ in range(7):
        work.version()
    assert work.plan() == [path(1), path(2)]
    assert work.plan(versions=1) == [path(number) for number in range(1, 7)]
    work.clean_up(versions=3)
    assert numbers(work) == [5, 6, 7]


def test_versions_that_are_named_stay_with_their_bases_and_parents(work):
    for base, parent in [(None, None), (None, 1), (None, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 7), (8, 8)]:
        work.version(base=base, parent=parent)
    store = work.store
    for number in (2, 5):
        store.point("serving", store.version(number))
    store.point("candidate", store.version(7))
    work.clean_up(versions=1)
    assert numbers(work) == [1, 2, 4, 5, 6, 7, 9], "1, 4 and 6 as bases or parents of previous, serving and candidate"
    for version in store.versions():
        verify(version)
    assert store.pointed("serving").number == 5
    assert store.pointed("previous").number == 2


def test_a_pinned_version_stays_until_it_is_unpinned(work):
    for _ in range(3):
        work.version()
    store = work.store
    store.pin(1, "the last before the change")
    assert work.plan(versions=1) == [path(2)]
    store.unpin(1)
    assert work.plan(versions=1) == [path(1), path(2)]


def test_a_version_that_is_named_just_before_it_goes_stays_with_all_that_it_needs(work, monkeypatch):
    for number in (1, 2, 3):
        work.partition(f"p{number}")
        work.snapshot(f"s{number}", [f"p{number}"], NOW_S - 100 * DAY_S + number)
        work.run(f"run{number}", NOW_S - 100 * DAY_S + number)
        work.version(run=f"run{number}", snapshot=f"s{number}")
    remove = module.remove_version

    def pinned_meanwhile(situation, one):
        if one == path(1):
            work.store.pin(1, "in the last moment")
        return remove(situation, one)

    monkeypatch.setattr(module, "remove_version", pinned_meanwhile)
    outcome = work.clean_up(versions=1, runs=1)
    assert numbers(work) == [1, 3]
    assert work.names("data/flights/snapshots") == {"s1", "s3"}
    assert work.names("data/flights/partitions") == {"p1", "p3"}
    assert work.names("runs") == {"run1", "run3"}
    assert outcome.failed == []
    work.store.point("serving", work.store.version(1))


def test_the_base_of_a_version_that_is_added_and_named_just_before_it_goes_stays(work, monkeypatch):
    for _ in range(3):
        work.version()
    remove = module.remove_version

    def deployed_meanwhile(situation, one):
        if one == path(1):
            work.store.point("serving", work.version(base=1))
        return remove(situation, one)

    monkeypatch.setattr(module, "remove_version", deployed_meanwhile)
    work.clean_up(versions=1)
    assert numbers(work) == [1, 3, 4]


def test_nothing_goes_while_another_run_may_use_a_version(work):
    work.version()
    work.version()
    work.run("other", NOW_S, heartbeat_s=NOW_S)
    assert work.plan(versions=1) == []


def test_no_version_run_or_data_goes_while_a_pointer_is_damaged(work):
    for _ in range(3):
        work.version()
    work.store.point("serving", work.store.version(1))
    (work.path / "models/flights/pointers/serving.json").write_text("{")
    work.partition("p")
    work.run("old", 0)
    planned = work.whole_plan(versions=1, runs=1)
    assert planned.deletions == []
    assert len(planned.notes) == 1 and "serving.json" in planned.notes[0]


def test_a_withdrawn_version_is_remembered_while_the_same_data_could_make_it_again(work):
    work.snapshot("s1", [])
    for snapshot in ("s1", "s1", "s1", "s1"):
        work.version(snapshot=snapshot)
    store = work.store
    for number in (1, 3, 1, 2):
        store.point("serving", store.version(number))
    store.point("serving", store.version(1))
    assert set(store.withdrawn()) == {2, 3}
    assert work.plan(versions=1) == []
    work.snapshot("s2", [], NOW_S)
    assert path(3) in work.plan(versions=1)


def test_what_is_no_whole_version_goes_after_a_day(work):
    work.version()
    work.file(f"{path(2)}/weights.h5", NOW_S - 2 * DAY_S)
    work.file(f"{path(3)}/weights.h5", NOW_S - 0.5 * DAY_S)
    assert work.plan() == [path(2)]
    work.clean_up()
    assert work.names("models/flights/versions") == {"1", "3"}


def test_versions_of_other_models_stay(work):
    for _ in range(3):
        work.version(model="wine")
    work.clean_up(versions=1)
    assert work.names("models/wine/versions") >= {"1", "2", "3"}


def test_of_several_models_each_has_its_own_retention(work):
    for model in ("flights", "wine"):
        for _ in range(3):
            work.version(model=model)
    clean_up(work.path, {"flights": Retention(versions=1), "wine": Retention(versions=2)}, NOW_S)
    assert work.names("models/flights/versions") == {"3"}
    assert work.names("models/wine/versions") == {"2", "3"}


def test_a_lineage_that_makes_no_sense_stops_what_depends_on_it(work):
    for base in ([1], "1", True):
        work.store.point("serving", work.version(base=base))
        planned = work.whole_plan(versions=1)
        assert planned.deletions == []
        assert "lineage.json cannot be read" in planned.notes[0]


def test_a_copy_of_a_version_is_none(work):
    shutil.copytree(work.version().path, work.path / path("01"))
    work.clean_up(versions=1)
    assert numbers(work) == [1] and (work.path / path("01")).exists()


def test_a_number_under_an_old_mark_that_is_being_uploaded_stays(work, monkeypatch):
    work.version()
    work.file(f"{path(2)}/weights.h5", NOW_S - 60)
    work.json("models/flights/pointers/doomed/2.json", NOW_S - 9 * DAY_S, {})
    assert work.plan() == []
    work.file(f"{path(2)}/weights.h5", NOW_S - 2 * DAY_S)
    assert work.plan() == [path(2)]
    work.run("other", NOW_S, heartbeat_s=NOW_S)
    assert work.plan() == []


def test_a_number_that_is_uploaded_to_just_before_it_goes_stays(work, monkeypatch):
    work.version()
    work.file(f"{path(2)}/weights.h5", NOW_S - 2 * DAY_S)
    remove = module.remove_version

    def uploaded_meanwhile(situation, one):
        work.file(f"{path(2)}/checksums.json", NOW_S)
        return remove(situation, one)

    monkeypatch.setattr(module, "remove_version", uploaded_meanwhile)
    assert work.clean_up().freed == []
    assert numbers(work) == [1, 2]
