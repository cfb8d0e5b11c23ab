DAY_S = 86_400
NOW_S = 20_000 * DAY_S + 43_200.0
OLD_S = NOW_S - 100 * DAY_S
SNAPSHOTS, PARTITIONS = "data/flights/snapshots", "data/flights/partitions"


def lay_out(work):
    """Three snapshots, each of one month more, in which the second month was delivered twice."""
    for digest in ("jan", "feb", "feb2", "mar"):
        work.partition(digest)
    work.snapshot("s1", ["jan"], OLD_S)
    work.snapshot("s2", ["jan", "feb"], OLD_S + 1)
    work.snapshot("s3", ["jan", "feb2", "mar"], OLD_S + 2)


def test_superseded_snapshots_go_with_the_partitions_that_only_they_have(work):
    lay_out(work)
    assert work.plan() == [f"{SNAPSHOTS}/s1", f"{SNAPSHOTS}/s2", f"{PARTITIONS}/feb"]
    work.clean_up()
    assert (work.names(SNAPSHOTS), work.names(PARTITIONS)) == ({"s3"}, {"jan", "feb2", "mar"})


def test_the_data_of_versions_that_stay_is_kept_for_audit_only(work):
    lay_out(work)
    work.version(snapshot="s2")
    assert work.plan() == [f"{SNAPSHOTS}/s1"]
    assert work.plan(audit=False) == [f"{SNAPSHOTS}/s1", f"{SNAPSHOTS}/s2", f"{PARTITIONS}/feb"]


def test_the_data_of_a_version_goes_with_it(work):
    lay_out(work)
    work.version(snapshot="s2")
    work.version(snapshot="s3")
    assert work.plan() == [f"{SNAPSHOTS}/s1"]
    assert work.plan(versions=1) == [
        "models/flights/versions/1", f"{SNAPSHOTS}/s1", f"{SNAPSHOTS}/s2", f"{PARTITIONS}/feb",
    ]  # fmt: skip


def test_what_was_made_or_used_in_a_living_generation_stays(work):
    lay_out(work)
    work.snapshot("s3", ["jan", "feb2", "mar"], NOW_S)
    work.run("recent", NOW_S - 20 * DAY_S, snapshot="s1")
    work.snapshot("s2", ["jan", "feb"], NOW_S - 49 * DAY_S)
    assert work.plan() == []
    work.snapshot("s2", ["jan", "feb"], NOW_S - 51 * DAY_S)
    assert work.plan() == [f"{SNAPSHOTS}/s2", f"{PARTITIONS}/feb"]
    work.run("recent", NOW_S - 51 * DAY_S, snapshot="s1")
    assert work.plan() == [f"{SNAPSHOTS}/s2", f"{PARTITIONS}/feb"], "what the newest run worked on stays"
    work.run("newer", NOW_S, snapshot="s3")
    assert work.plan() == [f"{SNAPSHOTS}/s1", f"{SNAPSHOTS}/s2", f"{PARTITIONS}/feb"]


def test_a_partition_that_a_failed_run_has_just_made_stays(work):
    lay_out(work)
    work.partition("new", NOW_S - DAY_S)
    assert f"{PARTITIONS}/new" not in work.plan()
    work.partition("new", OLD_S)
    assert f"{PARTITIONS}/new" in work.plan()


def test_no_data_goes_while_another_run_is_in_progress(work):
    lay_out(work)
    work.run("other", NOW_S, heartbeat_s=NOW_S)
    assert work.plan() == []


def test_no_data_goes_while_a_snapshot_that_stays_cannot_be_read(work):
    lay_out(work)
    for damaged in (b'{"partitions": ', b'{"partitions": ["jan"]}', b'{"partitions": [{"digest": [1]}]}'):
        work.file(f"{SNAPSHOTS}/s3/snapshot.json", OLD_S + 2, damaged)
        planned = work.whole_plan()
        assert planned.deletions == []
        assert "s3/snapshot.json cannot be read" in planned.notes[0]


def test_data_and_source_of_other_models_stay(work):
    lay_out(work)
    work.partition("p", model="wine")
    work.file("source/flights/2013-01.parquet", 0)
    work.file("predictions/flights/x/part.parquet", 0)
    work.clean_up(audit=False, versions=1, runs=1)
    assert work.names("data/wine/partitions") == {"p"}
    assert (work.path / "source/flights/2013-01.parquet").exists()
    assert (work.path / "predictions/flights/x/part.parquet").exists()
