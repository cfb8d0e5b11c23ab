"""Which row goes where; without TensorFlow."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from components.artifacts import Snapshot
from components.errors import UserError
from components.features.declaration import Moments
from components.preprocess.pieces import Piece, deal, rows_of_shard
from components.preprocess.plan import Plan, plan
from components.preprocess.start import Base, Start
from tests.preprocess.parcels import parcels, section, snapshot

DAY_S = 86_400
FIRST_S = 1_708_387_200
"""FIRST_DAY in seconds since 1970."""
COLD = Start(None, "a test")


def base(until_day: int | None = None, partitions: tuple[str, ...] = ()) -> Start:
    until = None if until_day is None else FIRST_S + until_day * DAY_S
    return Start(Base(3, {}, until, frozenset(partitions), Moments(1.5, 2.5, 0, 0)), "a test")


def planned(
    folder: Path, tables: dict[str, pa.Table], start: Start, time: bool = True, name: str = "one", **keys
) -> Plan:
    made_from = snapshot(folder / "data", name, tables)
    return plan(Snapshot.read(made_from), section(time, **keys), start)


def serials(chosen: Plan, part: str) -> set[float]:
    found = [value for piece in chosen.pieces[part] for value in piece.read(["serial"])["serial"].to_pylist()]
    assert len(found) == len(set(found))
    return set(found)


def days(chosen: Plan, part: str) -> set[int]:
    found = [
        value for piece in chosen.pieces[part] for value in piece.read(["time"])["time"].cast(pa.int64()).to_pylist()
    ]
    return {(value // 1_000_000 - FIRST_S) // DAY_S for value in found}


def test_days_are_cut_at_midnight_and_none_is_in_two_parts(tmp_path):
    chosen = planned(tmp_path, {"aa": parcels(900, 0, 20)}, COLD, validation_days=3, heldout_days=5)
    assert days(chosen, "train") == set(range(12))
    assert days(chosen, "validation") == {12, 13, 14}
    assert days(chosen, "heldout") == set(range(15, 20))
    assert chosen.trained_until == FIRST_S + 12 * DAY_S
    assert chosen.window == {"from": "2024-02-20T00:00:00", "to": "2024-03-03T00:00:00"}


def test_no_labelled_row_is_lost_or_doubled(tmp_path):
    tables = {"aa": parcels(900, 0, 20), "bb": parcels(600, 10, 15, serial=900)}
    chosen = planned(tmp_path, tables, COLD, validation_days=3, heldout_days=5)
    table = pa.concat_tables(tables.values())
    labelled = set(table.filter(pc.is_valid(table["late"]))["serial"].to_pylist())
    parts = [serials(chosen, part) for part in ("train", "validation", "heldout")]
    assert set.union(*parts) == labelled
    assert sum(map(len, parts)) == len(labelled)
    assert [chosen.rows[part] for part in ("train", "validation", "heldout")] == list(map(len, parts))
    assert chosen.rows["unlabelled"] == table["late"].null_count > 0


def test_rows_without_a_time_are_left_out_and_counted(tmp_path):
    table = parcels(900, 0, 20)
    times = pa.concat_arrays([pa.nulls(30, pa.timestamp("us")), table["time"].combine_chunks()[30:]])
    untimed = table.set_column(0, "time", times)
    chosen = planned(tmp_path, {"aa": untimed}, COLD, validation_days=3, heldout_days=5)
    assert chosen.rows["untimed"] == 30 - table["late"][:30].null_count
    assert min(serials(chosen, "train")) >= 15.0


def test_last_days_without_labels_do_not_empty_the_heldout_part(tmp_path):
    table = parcels(900, 0, 20)
    late = pa.concat_arrays([table["late"].combine_chunks()[:450], pa.nulls(450, pa.int64())])
    unlabelled = table.set_column(table.schema.get_field_index("late"), "late", late)
    chosen = planned(tmp_path, {"aa": unlabelled}, COLD, validation_days=1, heldout_days=2)
    assert days(chosen, "heldout") == {8, 9}


def test_zero_days_give_no_part(tmp_path):
    chosen = planned(tmp_path, {"aa": parcels(300, 0, 20)}, COLD, validation_days=0, heldout_days=0)
    assert days(chosen, "train") == set(range(20))
    assert chosen.pieces["heldout"] == chosen.pieces["validation"] == ()


def test_window_limits_a_cold_start(tmp_path):
    chosen = planned(tmp_path, {"aa": parcels(900, 0, 20)}, COLD, validation_days=3, heldout_days=5, window_days=4)
    assert days(chosen, "train") == {8, 9, 10, 11}
    assert chosen.rows["older"] == 900 - chosen.rows["unlabelled"] - sum(
        chosen.rows[part] for part in ("train", "validation", "heldout")
    )


def test_warm_start_takes_what_is_new_and_a_sample_of_what_is_old(tmp_path):
    tables = {"aa": parcels(4000, 0, 20)}
    chosen = planned(tmp_path, tables, base(8), validation_days=3, heldout_days=5, replay_share=0.25)
    old = {serial for serial in serials(chosen, "train") if serial < 800.0}
    labelled_old = 1600 - tables["aa"]["late"][:1600].null_count
    assert days(chosen, "train") >= {8, 9, 10, 11}
    assert chosen.rows["replay"] == len(old)
    assert len(old) == pytest.approx(0.25 * labelled_old, rel=0.15)
    assert chosen.window["from"] == "2024-02-28T00:00:00"
    assert len(serials(chosen, "train")) - len(old) == 800 - tables["aa"]["late"][1600:2400].null_count


def test_window_limits_the_replay(tmp_path):
    keys = {"validation_days": 3, "heldout_days": 5, "replay_share": 1.0, "window_days": 6}
    chosen = planned(tmp_path, {"aa": parcels(900, 0, 20)}, base(8), **keys)
    assert days(chosen, "train") == {6, 7, 8, 9, 10, 11}


def test_replay_is_the_same_for_the_same_snapshot_and_another_for_another(tmp_path):
    tables, keys = {"aa": parcels(900, 0, 20)}, {"validation_days": 3, "heldout_days": 5, "replay_share": 0.5}
    first, again, other, reseeded = (
        serials(planned(tmp_path / folder, tables, base(8), name=name, **keys, seed=seed), "train")
        for folder, name, seed in (("a", "one", 0), ("b", "one", 0), ("c", "two", 0), ("d", "one", 1))
    )
    assert first == again
    assert first != other
    assert first != reseeded


@pytest.mark.parametrize("until_day", [12, 14, 30])
def test_warm_start_without_new_rows_becomes_cold(tmp_path, until_day):
    chosen = planned(tmp_path, {"aa": parcels(900, 0, 20)}, base(until_day), validation_days=3, heldout_days=5)
    assert chosen.start.kind == "cold"
    assert "version 3" in chosen.start.reason
    assert days(chosen, "train") == set(range(12))


def test_split_by_key_keeps_a_row_in_its_part_when_others_come(tmp_path):
    one, two = parcels(3000, 0, 10), parcels(500, 10, 10, serial=3000)
    keys = {"validation_share": 0.15, "heldout_share": 0.2}
    before = planned(tmp_path / "a", {"aa": one}, COLD, time=False, **keys)
    after = planned(tmp_path / "b", {"bb": two, "aa": one}, COLD, time=False, **keys)
    for part, share in (("train", 0.65), ("validation", 0.15), ("heldout", 0.2)):
        assert serials(before, part) == {serial for serial in serials(after, part) if serial < 1500}
        assert len(serials(before, part)) == pytest.approx(share * 3000, rel=0.1)
    assert after.trained_until is None
    assert after.window is None


def test_split_by_row_keeps_equal_rows_together(tmp_path):
    table = parcels(1000, 0, 10)
    config = section(time=False)
    keyless = config.model_copy(update={"data": config.data.model_copy(update={"key": ()})})
    made_from = snapshot(tmp_path / "data", "one", {"aa": table, "bb": table})
    chosen = plan(Snapshot.read(made_from), keyless, COLD)
    for part in ("train", "validation", "heldout"):
        rows = Counter(value for piece in chosen.pieces[part] for value in piece.read(["serial"])["serial"].to_pylist())
        assert set(rows.values()) == {2}


def test_warm_start_without_time_takes_new_partitions(tmp_path):
    one, two = parcels(3000, 0, 10), parcels(500, 10, 10, serial=3000)
    chosen = planned(tmp_path, {"aa": one, "bb": two}, base(partitions=("aa",)), time=False, replay_share=0.2)
    train = serials(chosen, "train")
    assert sum(serial >= 1500 for serial in train) == chosen.rows["train"] - chosen.rows["replay"]
    assert chosen.rows["replay"] == pytest.approx(0.2 * 0.8 * 3000, rel=0.15)
    assert any(serial < 1500 for serial in serials(chosen, "heldout"))


def test_too_few_days_says_how_many(tmp_path):
    with pytest.raises(UserError, match="span 8 days, too few for 3 to validate on, 5 held out"):
        planned(tmp_path, {"aa": parcels(300, 0, 8)}, COLD, validation_days=3, heldout_days=5)


def test_a_part_without_rows_is_refused(tmp_path):
    tables = {"aa": parcels(300, 0, 8), "bb": parcels(300, 15, 5, serial=300)}
    with pytest.raises(UserError, match=r"preprocess\.validation_days is 3, but no labelled row"):
        planned(tmp_path, tables, COLD, validation_days=3, heldout_days=5)


def test_nothing_to_train_on_is_refused(tmp_path):
    table = parcels(100, 0, 8)
    unlabelled = table.set_column(table.schema.get_field_index("late"), "late", pa.nulls(100, pa.int64()))
    with pytest.raises(UserError, match="nothing to train on"):
        planned(tmp_path / "a", {"aa": unlabelled}, COLD)
    with pytest.raises(UserError, match="100 rows have no label"):
        planned(tmp_path / "b", {"aa": unlabelled}, COLD, time=False)
    with pytest.raises(UserError, match="0 rows have no label"):
        planned(tmp_path / "c", {}, COLD, time=False)


def test_one_class_is_refused(tmp_path):
    table = parcels(900, 0, 20)
    late = pa.array([0] * 540 + [1] * 360)
    sorted_out = table.set_column(table.schema.get_field_index("late"), "late", late)
    with pytest.raises(UserError, match="all 540 training rows have the label 0"):
        planned(tmp_path, {"aa": sorted_out}, COLD, validation_days=3, heldout_days=5)


def test_unknown_class_is_refused(tmp_path):
    table = parcels(100, 0, 20)
    wrong = table.set_column(table.schema.get_field_index("late"), "late", pa.array([0, 1] * 49 + [7, 1]))
    with pytest.raises(UserError, match="the label late is 7; it must be one of 0, 1"):
        planned(tmp_path, {"aa": wrong}, COLD, validation_days=3, heldout_days=5)


def regression(folder: Path, start: Start, shift: float) -> Plan:
    table = parcels(900, 0, 20)
    late = pa.array(np.random.default_rng(0).normal(size=900) + np.where(np.arange(900) < 360, 0, shift))
    made_from = snapshot(
        folder / "data", "one", {"aa": table.set_column(table.schema.get_field_index("late"), "late", late)}
    )
    config = section(validation_days=3, heldout_days=5, replay_share=1.0)
    columns = {**config.data.columns, "late": config.data.columns["weight"]}
    data = config.data.model_copy(update={"task": "regression", "columns": columns})
    return plan(Snapshot.read(made_from), config.model_copy(update={"data": data}), start)


def test_the_labels_of_new_rows_are_measured_against_those_of_the_base(tmp_path):
    chosen = regression(tmp_path, base(8), shift=11.5)
    assert chosen.label == Moments(1.5, 2.5, 0, 0)
    (drift,) = chosen.label_drift
    assert drift.deviations == pytest.approx((11.5 - 1.5) / 2.5, abs=0.1)
    assert drift.words.startswith("the mean of late moved from 1.5 to 11.")


def test_a_cold_start_takes_the_labels_as_they_are(tmp_path):
    chosen = regression(tmp_path, COLD, shift=0.0)
    assert chosen.label_drift == ()
    assert (chosen.label.mean, chosen.label.std) == pytest.approx((0, 1), abs=0.1)


def test_classes_have_no_label_drift(tmp_path):
    chosen = planned(tmp_path, {"aa": parcels(900, 0, 20)}, base(8), validation_days=3, heldout_days=5)
    assert (chosen.label, chosen.label_drift) == (Moments(0, 1, 0, 0), ())


def piece(rows: int, group: int = 0) -> Piece:
    return Piece("a.parquet", group, np.arange(rows, dtype=np.int32))


@pytest.mark.parametrize(
    ("sizes", "rows_per_shard", "shards"),
    [
        ([178], 32_768, 1),
        ([16_384] * 20, 32_768, 10),
        ([1000], 300, 4),
        ([5, 0, 5], 9, 2),
        ([], 10, 0),
        ([3] * 9, 1, 27),
    ],
)
def test_deal_uses_every_row_once(sizes, rows_per_shard, shards):
    dealt = deal([piece(size, group) for group, size in enumerate(sizes)], "train", rows_per_shard, seed=0)
    assert [shard.name for shard in dealt] == [f"train-{i:05d}-of-{shards:05d}.tfrecord.gz" for i in range(shards)]
    rows = Counter((part.group, row) for shard in dealt for part in shard.pieces for row in part.rows.tolist())
    assert rows == Counter((group, row) for group, size in enumerate(sizes) for row in range(size))


def test_shards_of_large_images_have_fewer_rows():
    assert rows_of_shard(32_768, ()) == rows_of_shard(32_768, (28, 28, 1)) == 32_768
    assert rows_of_shard(32_768, (224, 224, 3)) == 2**27 // (224 * 224 * 3)
    assert rows_of_shard(10, (1024, 1024, 3)) == 10


def test_every_shard_holds_all_times():
    dealt = deal([piece(1000, group) for group in range(40)], "train", 10_000, seed=0)
    assert [shard.rows for shard in dealt] == [10_000] * 4
    for shard in dealt:
        groups = [part.group for part in shard.pieces]
        assert min(groups) < 4
        assert max(groups) >= 36
        assert max(np.diff(groups)) <= 7
