from collections import Counter

from components.storage.folder import FolderStorage

DAY_S = 86_400
NOW_S = 20_000 * DAY_S + 43_200.0


def lay_out(work):
    """Of 1,000 bytes each: runs from one to five days ago, and logged requests from three to four days ago."""
    for days in range(1, 6):
        work.run(f"run{days}", NOW_S - days * DAY_S)
        folder = work.path / "runs" / f"run{days}"
        used = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        work.file(f"runs/run{days}/log.txt", NOW_S - days * DAY_S, b"x" * (1000 - used))
    for days in (3, 4):
        work.file(f"requests/flights/2024100{9 - days}T000000-1-ab.jsonl", NOW_S - (days - 0.5) * DAY_S, b"x" * 1000)


def test_without_a_limit_and_within_it_nothing_goes_early(work):
    lay_out(work)
    assert work.plan() == work.plan(bytes=7000) == []


def test_the_oldest_goes_until_the_rest_fits(work):
    lay_out(work)
    assert work.plan(bytes=6999) == ["runs/run5"]
    assert set(work.plan(bytes=4000)) == {"runs/run5", "runs/run4", "requests/flights/20241005T000000-1-ab.jsonl"}
    assert "to fit into 4,000 bytes" in work.whole_plan(bytes=4000).deletions[0].why
    assert work.whole_plan(bytes=4000).notes == []


def test_a_version_that_goes_early_takes_its_run_and_data_with_it(work):
    for number in (1, 2):
        work.partition(f"p{number}")
        work.snapshot(f"s{number}", [f"p{number}"], NOW_S - 100 * DAY_S + number)
        work.run(f"run{number}", NOW_S - 100 * DAY_S + number)
        work.version(run=f"run{number}", snapshot=f"s{number}")
    total = sum(path.stat().st_size for path in work.path.rglob("*") if path.is_file())
    assert work.plan(bytes=total) == []
    assert set(work.plan(bytes=total - 1)) == {
        "models/flights/versions/1", "data/flights/snapshots/s1", "data/flights/partitions/p1",
    }  # fmt: skip
    assert "runs/run1" in work.plan(bytes=1)


def test_what_is_needed_stays_and_a_sentence_says_that_it_does_not_fit(work):
    lay_out(work)
    for _ in range(2):
        work.version(run="run5")
    work.store.point("serving", work.store.version(1))
    work.partition("p")
    work.snapshot("s", ["p"])
    planned = work.whole_plan(bytes=1)
    assert {item.path for item in planned.deletions} == {
        *(f"runs/run{days}" for days in range(1, 5)),
        "requests/flights/20241005T000000-1-ab.jsonl",
        "requests/flights/20241006T000000-1-ab.jsonl",
    }
    (note,) = planned.notes
    assert note.startswith("retention.bytes is 1, but what flights needs or may still use takes ")


def test_the_youngest_requests_may_be_at_work_and_stay(work):
    work.file("requests/flights/a.jsonl", NOW_S - 0.9 * DAY_S)
    assert work.plan(bytes=1) == []


def test_what_the_limit_is_not_about_does_not_count_as_freed(work):
    lay_out(work)
    work.file("checkpoints/c/x", NOW_S - 40 * DAY_S, b"x" * 100_000)
    assert set(work.plan(bytes=6999)) == {"checkpoints/c", "runs/run5"}


def test_each_file_is_read_once_however_much_goes(work, monkeypatch):
    lay_out(work)
    for number in range(40):
        work.snapshot(f"s{number}", [])
        work.file(f"requests/flights/{number}.jsonl", NOW_S - 10 * DAY_S)
        work.cached(f"k{number}", work.outputs(NOW_S - 100 * DAY_S - number), NOW_S - 100 * DAY_S)
    counts, read = Counter(), FolderStorage.read
    monkeypatch.setattr(FolderStorage, "read", lambda one, key: counts.update([key]) or read(one, key))
    assert len(work.plan(bytes=1)) > 100
    del counts["models/flights/pointers/serving.json"]  # for what is named, and for what was withdrawn
    assert max(counts.values()) == 1, counts.most_common(3)
