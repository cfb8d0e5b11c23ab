import os

from components.cleanup.cleanup import plan
from components.cleanup.config import Retention

DAY_S = 86_400
NOW_S = 20_000 * DAY_S + 43_200.0
OLD_S, YOUNG_S = NOW_S - 1.1 * DAY_S, NOW_S - 0.9 * DAY_S


def test_temporaries_go_after_a_day(work):
    work.run("run", NOW_S)
    old = {
        "data/flights/partitions/.ab.123.tmp/rows.parquet": "data/flights/partitions/.ab.123.tmp",
        "models/flights/versions/.4.123.tmp/weights.h5": "models/flights/versions/.4.123.tmp",
        "models/flights/pointers/.serving.json.1.tmp": "models/flights/pointers/.serving.json.1.tmp",
        "runs/run/records/.train.json.1.tmp": "runs/run/records/.train.json.1.tmp",
        "predictions/flights/x/.part.parquet.1.tmp": "predictions/flights/x/.part.parquet.1.tmp",
        "pipeline/.kfp_cache/.kfp_cache_ab.tmp": "pipeline/.kfp_cache/.kfp_cache_ab.tmp",
        "cleanup/flights/.log.jsonl.1.tmp": "cleanup/flights/.log.jsonl.1.tmp",
        "checkpoints/.ab.1.tmp/x": "checkpoints/.ab.1.tmp",
        "runs/.x.1.tmp/y": "runs/.x.1.tmp",
        "pipeline/.z.1.tmp": "pipeline/.z.1.tmp",
        "models/.q.1.tmp": "models/.q.1.tmp",
        ".probe.ab.tmp": ".probe.ab.tmp",
    }
    for name in old:
        work.file(name, OLD_S)
    work.file("data/flights/partitions/.cd.123.tmp/rows.parquet", YOUNG_S)
    work.file("data/flights/partitions/visible.tmp/rows.parquet", OLD_S)
    work.file("data/wine/partitions/.ab.123.tmp", OLD_S)
    half = work.file("data/flights/partitions/.ef.123.tmp/rows.parquet", OLD_S).parent
    work.file("data/flights/partitions/.ef.123.tmp/deep/rejected.parquet", YOUNG_S)
    os.utime(half, (OLD_S, OLD_S))
    assert set(work.plan()) == set(old.values())
    work.clean_up()
    assert not any((work.path / path).exists() for path in old.values())
    assert half.exists()


def test_holds_of_killed_processes_go_after_a_day(work):
    version = work.version()
    for number, time_s in enumerate((OLD_S, YOUNG_S)):
        work.json(f"models/flights/pointers/holds/{number}.json", time_s, {"version": version.number})
    assert work.plan() == ["models/flights/pointers/holds/0.json"]


def test_of_several_models_the_temporaries_of_one_that_a_run_is_at_work_on_stay(work):
    work.run("run", NOW_S, heartbeat_s=NOW_S)
    for model in ("flights", "wine"):
        work.file(f"data/{model}/partitions/.ab.123.tmp/rows.parquet", OLD_S)
    plans = plan(work.path, {model: Retention() for model in ("wine", "flights")}, NOW_S)
    paths = {model: [item.path for item in planned.deletions] for model, planned in plans.items()}
    assert paths == {"wine": ["data/wine/partitions/.ab.123.tmp"], "flights": []}


def test_temporaries_of_other_models_runs_stay(work):
    work.run("wine-run", NOW_S, model="wine")
    work.file("runs/wine-run/.report.html.1.tmp", OLD_S)
    work.file("runs/unknown/.report.html.1.tmp", OLD_S)
    assert work.plan() == []


def test_what_lies_in_a_folder_that_goes_is_not_counted_twice(work):
    work.run("new", NOW_S)
    old = work.run("old", NOW_S - 1e6)
    work.file("runs/old/.report.html.1.tmp", NOW_S - 5 * DAY_S)
    assert work.plan(runs=1) == [old]


def test_what_a_killed_cleanup_had_renamed_goes_at_once_whoever_is_at_work(work):
    work.run("other", NOW_S, heartbeat_s=NOW_S)
    work.file("pipeline/.deleted-evergreen-flights-x.1.tmp/train/weights.h5", NOW_S)
    work.file("models/flights/versions/.deleted-1.1.tmp/weights.h5", NOW_S)
    (work.path / "runs" / ".deleted-old.1.tmp" / "records").mkdir(parents=True)
    work.clean_up()
    assert work.names("runs") == {"other"}
    assert work.names("pipeline") == work.names("models/flights/versions") == set()


def test_a_checkpoint_goes_when_nobody_went_on_with_it_for_a_week(work):
    work.file("checkpoints/aa/checkpoint/progress.json", NOW_S - 6 * DAY_S)
    work.file("checkpoints/aa/checkpoint/weights-1.npz", NOW_S - 100 * DAY_S)
    work.file("checkpoints/bb/checkpoint/progress.json", NOW_S - 8 * DAY_S)
    assert work.plan() == ["checkpoints/bb"]


def test_a_checkpoint_stays_while_a_run_of_any_model_is_in_progress(work):
    work.file("checkpoints/bb/checkpoint/progress.json", NOW_S - 8 * DAY_S)
    work.run("wine-run", NOW_S, heartbeat_s=NOW_S, model="wine")
    assert work.plan() == []


def test_logged_requests_go_after_their_days(work):
    old = work.file("requests/flights/20241001T000000-1-ab.jsonl", NOW_S - 31 * DAY_S)
    work.file("requests/flights/20241002T000000-1-ab.jsonl", NOW_S - 29 * DAY_S)
    work.file("requests/flights/notes.txt", 0)
    work.file("requests/wine/20241001T000000-1-ab.jsonl", 0)
    assert work.plan() == [str(old.relative_to(work.path))]
    assert len(work.plan(requests_days=28)) == 2
    work.clean_up()
    assert not old.exists()
