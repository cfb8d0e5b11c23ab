"""The whole step, cold and warm: constants against the truth in numpy, records against the plain transform."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from components import artifacts
from components.features.arrow import arrow_schema, dense
from components.features.declaration import Bounds, Moments, Nothing, Vocabulary
from components.preprocess.drift import of_bounds, of_moments
from tests.preprocess.parcels import COLUMNS, FEATURES, Made, parcels, records, section, snapshot, version


def truth(rows: pa.Table, column: str) -> np.ndarray:
    """A column's values as training sees them: float32 made wide, without missing ones."""
    values = rows[column].drop_null().cast(pa.float64()).to_numpy()
    return values.astype(np.float32).astype(np.float64) if COLUMNS[column] == "float" else values


MOMENTS = {"weight": "weight", "log_price": "price", "pieces": "pieces"}


def moments_of(rows: pa.Table, feature: str) -> tuple[float, float]:
    values = truth(rows, MOMENTS[feature])
    values = np.log1p(np.clip(values, 0, 1000)) if feature == "log_price" else values
    return values.mean(), values.std()


def training_rows(made: Made) -> pa.Table:
    return made.labelled(0, 30)


def assert_records_are(made: Made, part: str, rows: pa.Table) -> None:
    found = records(made, part)
    floats, ids = made.transform(dense(rows, made.config.data, made.transform.source_columns))
    serials = rows["serial"].to_pylist()
    assert sorted(found) == sorted(serials)
    assert len(found) == made.examples.rows[part]
    for place, serial in enumerate(serials):
        np.testing.assert_allclose(found[serial][0], floats[place], rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(found[serial][1], ids[place])
        assert found[serial][2] == rows["late"][place].as_py()


@pytest.mark.parametrize(
    ("feature", "column", "prepare"),
    [
        ("weight", "weight", lambda values: values),
        ("log_price", "price", lambda values: np.log1p(np.clip(values, 0, 1000))),
        ("pieces", "pieces", lambda values: values),
    ],
)
def test_moments_are_those_of_the_training_rows(cold, feature, column, prepare):
    values = prepare(truth(training_rows(cold), column))
    expected = Moments(values.mean(), values.std(), values.min(), values.max())
    learned = cold.transform.constants[feature]
    for name in ("mean", "std", "min", "max"):
        assert getattr(learned, name) == pytest.approx(getattr(expected, name), rel=1e-12), name


@pytest.mark.parametrize(
    ("feature", "column", "buckets"), [("weight_class", "weight", 4), ("price_class", "price", 10)]
)
def test_bounds_are_quantiles_of_the_training_rows(cold, feature, column, buckets):
    values = np.sort(truth(training_rows(cold), column))
    learned = cold.transform.constants[feature]
    assert isinstance(learned, Bounds)
    assert len(learned.bounds) == buckets - 1
    ranks = np.searchsorted(values, learned.bounds) / len(values)
    np.testing.assert_allclose(ranks, np.arange(1, buckets) / buckets, atol=0.003)


def test_vocabularies_count_the_training_rows(cold):
    counts = Counter(training_rows(cold)["town"].drop_null().to_pylist())
    frequent = [(token, count) for token, count in counts.items() if count >= 3]
    expected = sorted(frequent, key=lambda pair: (-pair[1], pair[0]))
    learned = cold.transform.constants["town"]
    assert list(zip(learned.tokens, learned.counts)) == expected
    assert dict(learned.rare) == {token: count for token, count in counts.items() if count < 3}
    assert learned.rare
    assert {"two\nlines", "cr\rtown", "a\x1eb", "12 Oaks", " blank ", "東京"} <= set(learned.tokens)
    few = cold.transform.constants["few_towns"]
    assert list(zip(few.tokens, few.counts)) == expected[:5]


def test_integers_are_tokens(cold):
    counts = Counter(map(str, training_rows(cold)["zone"].drop_null().to_pylist()))
    learned = cold.transform.constants["zone"]
    assert dict(zip(learned.tokens, learned.counts)) == counts


def test_what_is_always_missing_teaches_nothing(cold):
    constants = cold.transform.constants
    assert constants["never"] == Moments(0, 0, 0, 0)
    assert constants["never_class"] == Bounds(())
    assert constants["nowhere"] == Vocabulary((), ())
    assert constants["route"] == Nothing()


def test_records_are_the_plain_transform_of_their_rows(cold):
    assert_records_are(cold, "train", training_rows(cold))
    assert_records_are(cold, "validation", cold.labelled(30, 34))


def test_heldout_rows_are_raw(cold):
    heldout = pq.read_table(cold.folder / artifacts.HELDOUT)
    assert heldout.schema.equals(arrow_schema(cold.config.data))
    assert heldout.equals(cold.labelled(34, 40))
    assert heldout.num_rows == cold.examples.rows["heldout"] > 200


def test_shards_are_even_and_shuffled(cold):
    sizes = []
    for path in cold.examples.paths(cold.folder, "train"):
        import tensorflow as tf

        raw = [record.numpy() for record in tf.data.TFRecordDataset(str(path), compression_type="GZIP")]
        serials = [tf.train.Example.FromString(one).features.feature["floats"].float_list.value[0] for one in raw]
        assert serials != sorted(serials)
        sizes.append(len(serials))
    assert len(sizes) == -(-cold.examples.rows["train"] // 400) == 4
    assert max(sizes) < 1.4 * min(sizes)


def test_folder_holds_what_is_promised_and_nothing_else(cold):
    shards = [name for names in cold.examples.shards.values() for name in names]
    promised = {
        *shards,
        "heldout.parquet",
        "heldout_expected.npz",
        "examples.json",
        "features.json",
        "constants.json",
        "vocabulary",
    }
    assert {path.name for path in cold.folder.iterdir()} == promised | {"transform_graph", "records"}


def test_expected_features_are_those_of_the_first_heldout_rows(cold):
    with np.load(cold.folder / artifacts.HELDOUT_EXPECTED) as expected:
        written = expected["floats"], expected["ids"]
    heldout = pq.read_table(cold.folder / artifacts.HELDOUT).slice(0, 2048)
    floats, ids = cold.transform(dense(heldout, cold.config.data, cold.transform.source_columns))
    np.testing.assert_allclose(written[0], floats, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(written[1], ids)


def test_transform_graph_needs_no_other_code(cold):
    import tensorflow as tf

    graph = tf.saved_model.load(str(cold.folder / artifacts.TRANSFORM_GRAPH))
    raw = dense(cold.rows.slice(0, 50), cold.config.data, cold.transform.source_columns)
    packed = graph.transform({name: tf.constant(values) for name, values in raw.items()})
    floats, ids = cold.transform(raw)
    np.testing.assert_allclose(packed["floats"], floats, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(packed["ids"], ids)


def test_cold_record(cold):
    details = cold.details
    assert details["start"] == "cold"
    assert details["start_reason"] == "resolve gave no version to start from"
    assert details["rows"]["train"] == training_rows(cold).num_rows
    assert details["rows"]["unlabelled"] == cold.rows["late"].null_count
    assert details["rows"]["untimed"] == 20 - cold.rows["late"][-20:].null_count
    assert details["window"] == {"from": "2024-02-20T00:00:00", "to": "2024-03-21T00:00:00"}
    assert details["trained_until"] == cold.examples.trained_until
    assert (details["floats"], details["ids"]) == (len(cold.examples.float_names), len(cold.examples.id_sizes))
    town = len(cold.transform.constants["town"].tokens)
    assert details["vocabularies"]["town"] == {"size": town, "new": town}
    assert details["bytes"] == sum(path.stat().st_size for path in cold.folder.glob("*.tfrecord.gz"))
    assert set(details["stages"]) == {"plan_s", "learn_s", "write_s"}


def test_warm_start_keeps_ids_and_appends_new_tokens(cold, warm):
    assert (warm.examples.base_version, warm.details["start"]) == (7, "warm")
    for name in ("town", "zone"):
        known, grown = cold.transform.constants[name].tokens, warm.transform.constants[name].tokens
        assert grown[: len(known)] == known
    added = set(warm.transform.constants["town"].tokens) - set(cold.transform.constants["town"].tokens)
    assert {"Newtown", "naïve"} <= added
    assert warm.details["vocabularies"]["town"]["new"] == len(added)
    assert warm.transform.constants["few_towns"].tokens == cold.transform.constants["few_towns"].tokens


def test_warm_start_keeps_moments_and_bounds(cold, warm):
    for name in ("weight", "log_price", "pieces", "never", "weight_class", "price_class"):
        assert warm.transform.constants[name] == cold.transform.constants[name]


def test_warm_start_says_which_constant_drifted_most(cold, warm):
    new = warm.labelled(30, 40)
    known = cold.transform.constants
    found = {name: of_moments(name, known[name], *moments_of(new, name)) for name in MOMENTS}
    for name in ("weight_class", "price_class"):
        values, bounds = truth(new, name.removesuffix("_class")), known[name].bounds
        ends = [[(values < bound).mean() for bound in bounds], [(values <= bound).mean() for bound in bounds]]
        found[name] = of_bounds(name, known[name], *ends)
    drift = max(found.values(), key=lambda one: one.deviations)
    assert 0 < drift.deviations < 0.5
    said = f"its constants are kept: {drift.words}, a drift of {drift.deviations:.2f}, limit 3"
    assert said in warm.details["start_reason"] == warm.examples.start_reason


def test_constants_that_drifted_too_far_are_learned_anew_from_all_rows(make, cold, january, february, tmp_path, caplog):
    base = version(tmp_path / "base", 7, cold.folder, cold.examples.trained_until, ("aa",))
    heavy = pc.add(february["weight"], 1000.0)
    february = february.set_column(february.schema.get_field_index("weight"), "weight", heavy)
    made_from = snapshot(tmp_path / "data", "second", {"aa": january, "bb": february})
    made = make(made_from, base, cold.config, tmp_path)
    assert (made.examples.base_version, made.details["start"]) == (None, "cold")
    reason = made.details["start_reason"]
    assert (
        "since version 7 the mean of weight moved from" in reason and "above preprocess.max_constant_drift 3" in reason
    )
    assert [record.levelname for record in caplog.records if reason in record.message] == ["WARNING"]
    assert made.examples.rows["replay"] == 0
    assert made.examples.rows["train"] == made.labelled(0, 40).num_rows
    mean, std = moments_of(made.labelled(0, 40), "weight")
    assert (made.transform.constants["weight"].mean, made.transform.constants["weight"].std) == pytest.approx(
        (mean, std)
    )
    assert made.transform.constants["town"].tokens != cold.transform.constants["town"].tokens


def test_tokens_that_are_gone_are_kept_until_a_cold_start(make, cold, january, february, tmp_path):
    """And without a replay, a warm run trains on the new rows alone."""
    base = version(tmp_path / "base", 7, cold.folder, cold.examples.trained_until, ("aa",))
    tables = {
        digest: table.set_column(table.schema.get_field_index("town"), "town", pa.array(["Newtown"] * len(table)))
        for digest, table in {"aa": january, "bb": february}.items()
    }
    made_from = snapshot(tmp_path / "data", "second", tables)
    made = make(made_from, base, section(validation_days=4, heldout_days=6, replay_share=0.0), tmp_path)
    assert made.transform.constants["town"].tokens == (*cold.transform.constants["town"].tokens, "Newtown")
    assert made.examples.rows["replay"] == 0
    assert made.examples.rows["train"] == made.labelled(30, 40).num_rows


def test_warm_start_counts_each_row_once_however_often_it_is_replayed(cold, warm):
    new = Counter(warm.labelled(30, 40)["town"].drop_null().to_pylist())
    before, after = cold.transform.constants["town"], warm.transform.constants["town"]
    known = Counter(dict(zip(before.tokens, before.counts))) + Counter(dict(before.rare))
    found = Counter(dict(zip(after.tokens, after.counts))) + Counter(dict(after.rare))
    assert found == known + new
    assert all(count >= 3 for count in after.counts)
    assert set(after.tokens) & set(dict(before.rare)), "no token became known that had been rare"


def test_warm_start_trains_on_new_rows_and_a_replay(cold, warm):
    new = warm.labelled(30, 40)
    found = records(warm, "train")
    replayed = set(found) - set(new["serial"].to_pylist())
    assert set(new["serial"].to_pylist()) <= set(found)
    assert replayed <= set(training_rows(cold)["serial"].to_pylist())
    assert len(replayed) == warm.examples.rows["replay"]
    assert len(replayed) == pytest.approx(0.3 * training_rows(cold).num_rows, rel=0.15)
    everything = warm.rows.filter(pc.is_in(warm.rows["serial"], pa.array(sorted(found))))
    assert_records_are(warm, "train", everything)
    assert_records_are(warm, "validation", warm.labelled(40, 44))
    assert pq.read_table(warm.folder / artifacts.HELDOUT).equals(warm.labelled(44, 50))


def test_refusal_comes_before_the_work_and_is_recorded(make, tmp_path):
    (tmp_path / "empty").mkdir()
    made_from = snapshot(tmp_path / "data", "one", {"aa": parcels(100, 0, 5)})
    with pytest.raises(Exception, match="span 5 days"):
        make(made_from, tmp_path / "empty", section(), tmp_path)
    record = artifacts.read_records(artifacts.run_folder(tmp_path, artifacts.run_name()))["preprocess"]
    assert record.status == "failed"
    assert "span 5 days" in record.error


@pytest.mark.nightly
def test_the_same_input_gives_the_same_examples(make, january, cold, tmp_path):
    (tmp_path / "empty").mkdir()
    made_from = snapshot(tmp_path / "data", "first", {"aa": january})
    again = make(made_from, tmp_path / "empty", cold.config, tmp_path)
    for name in ("constants.json", "examples.json", "vocabulary/town.json"):
        assert (again.folder / name).read_bytes() == (cold.folder / name).read_bytes(), name
    first, second = records(cold, "train"), records(again, "train")
    assert list(first) == list(second)
    for serial, (floats, ids, label) in first.items():
        np.testing.assert_array_equal(floats, second[serial][0])
        np.testing.assert_array_equal(ids, second[serial][1])
        assert label == second[serial][2]


@pytest.mark.nightly
def test_few_rows_without_time_and_without_learned_features(make, tmp_path):
    (tmp_path / "empty").mkdir()
    config = section(time=False)
    hashed = tuple(feature for feature in config.features if feature.name == "carrier")
    made_from = snapshot(tmp_path / "data", "one", {"aa": parcels(178, 0, 5)})
    made = make(made_from, tmp_path / "empty", config.model_copy(update={"features": hashed}), tmp_path)
    assert made.examples.float_names == ()
    assert made.examples.trained_until is None
    assert len(made.examples.shards["train"]) == len(made.examples.shards["validation"]) == 1
    rows = made.examples.rows
    assert rows["train"] + rows["validation"] + rows["heldout"] == 178 - made.rows["late"].null_count


def test_features_are_of_every_kind():
    assert {feature["kind"] for feature in FEATURES} == {"numeric", "category", "cross", "datetime", "boolean"}
