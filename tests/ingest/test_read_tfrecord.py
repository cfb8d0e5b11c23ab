import base64
import gzip
from datetime import datetime

import pytest

from components.errors import UserError
from tests.ingest.place import Place
from tests.ingest.tfrecords import example, tfrecord

WRITTEN_BY_TENSORFLOW = base64.b64decode(
    "mAAAAAAAAACg54P1CpUBChEKBmNvbG91chIHCgUKA3JlZAoOCgVleHRyYRIFGgMKAQMKEQoCaWQSCwoJCgdncsO2w59lCg0KBGxhdGUSBRoDCgEB"
    "CgsKAm9uEgUaAwoBAQoRCgVwcmljZRIIEgYKBAAAwD8KDQoEc2l6ZRIFGgMKAQUKHwoEd2hlbhIXChUKEzIwMjAtMDEtMDFUMDg6MzA6MDA+nTXM"
    "YwAAAAAAAACxaxPZCmEKCgoGY29sb3VyEgAKCwoCaWQSBQoDCgFiCgsKAm9uEgUaAwoBAAoOCgVwcmljZRIFGgMKAQIKFgoEc2l6ZRIOGgwKCvn/"
    "/////////wEKEQoEd2hlbhIJGgcKBYDltPAFJqC+mQ=="
)
"""Two records, of tf.io.TFRecordWriter."""
GOOD = {"id": "a", "when": "2020-01-01", "size": 5, "price": 1.5, "on": True, "colour": "red", "late": 1}


@pytest.mark.parametrize("name", ["a.tfrecord", "a.tfrecord.gz"])
def test_what_tensorflow_wrote(place: Place, name: str) -> None:
    place.put(name, gzip.compress(WRITTEN_BY_TENSORFLOW) if name.endswith(".gz") else WRITTEN_BY_TENSORFLOW)
    assert place.rows(place.ingest()).to_pylist() == [
        {
            "id": "größe",
            "when": datetime(2020, 1, 1, 8, 30),
            "size": 5,
            "price": 1.5,
            "on": True,
            "colour": "red",
            "late": 1,
        },
        {
            "id": "b",
            "when": datetime(2020, 1, 2),
            "size": -7,
            "price": 2.0,
            "on": False,
            "colour": None,
            "late": None,
        },
    ]
    assert place.details()["ignored_columns"] == ["extra"]


@pytest.mark.parametrize("cut", [3, 14, 100, -1])
def test_cut_off(place: Place, cut: int) -> None:
    record = tfrecord(example(**GOOD))
    place.put("a.tfrecord", record + record[:cut])
    with pytest.raises(UserError, match=r"a\.tfrecord is corrupt at record 2 \(it is cut off\); deliver it again"):
        place.ingest()


@pytest.mark.parametrize(("place_of_byte", "what"), [(0, "the checksum of its length"), (20, "its checksum")])
def test_a_changed_byte(place: Place, place_of_byte: int, what: str) -> None:
    content = bytearray(tfrecord(example(**GOOD)))
    content[place_of_byte] ^= 1
    place.put("a.tfrecord", bytes(content))
    with pytest.raises(UserError, match=rf"a\.tfrecord is corrupt at record 1 \({what} is wrong\)"):
        place.ingest()


@pytest.mark.parametrize("change", [lambda packed: packed[:-12], lambda packed: packed[:30] + b"\0\0" + packed[32:]])
def test_corrupt_gzip(place: Place, change) -> None:
    place.put("a.tfrecord.gz", change(gzip.compress(tfrecord(*[example(**GOOD)] * 100))))
    with pytest.raises(UserError, match=r"a\.tfrecord\.gz is corrupt at record"):
        place.ingest()


@pytest.mark.parametrize(("name", "pack"), [("a.tfrecord", gzip.compress), ("a.tfrecord.gz", bytes)])
def test_compressed_and_not_named_so(place: Place, name: str, pack) -> None:
    place.put(name, pack(tfrecord(example(**GOOD))))
    with pytest.raises(UserError, match=r"corrupt at record 1 .* let its name end in \.gz if, and only if"):
        place.ingest()


def test_no_example(place: Place) -> None:
    place.put("a.tfrecord", tfrecord(b"\xff\xff\xff"))
    with pytest.raises(UserError, match=r"a\.tfrecord: record 1 is no tf\.Example"):
        place.ingest()


def test_no_records(place: Place) -> None:
    place.put("a.tfrecord.gz", gzip.compress(b""))
    with pytest.raises(UserError, match=r"has no rows"):
        place.ingest()


def test_a_missing_column(place: Place) -> None:
    without = {name: value for name, value in GOOD.items() if name != "price"}
    place.put("a.tfrecord", tfrecord(example(**without, prices=1.5)))
    with pytest.raises(UserError, match=r"a\.tfrecord lacks the declared columns price \(there is 'prices'\)"):
        place.ingest()


def test_a_file_without_any_label_is_unlabelled(place: Place) -> None:
    place.put("a.tfrecord", tfrecord(example(**{name: value for name, value in GOOD.items() if name != "late"})))
    assert place.ingest().partitions[0].unlabelled == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"size": [1, 2]}, "size holds more than one value"),
        ({"size": 1.5}, "size is not an integer of 64 bits"),
        ({"size": b"5"}, "size is not an integer of 64 bits"),
        ({"price": b"1.5"}, "price is not a number"),
        ({"id": 5}, "id is not UTF-8 text"),
        ({"id": b"\xff"}, "id is not UTF-8 text"),
        ({"on": 2}, "on is not true, false, 1 or 0"),
        ({"when": 1.5}, "when is not an ISO 8601 time"),
        ({"when": 2**62}, "when is not an ISO 8601 time"),
        ({"when": b"\xff"}, "when is not an ISO 8601 time"),
        ({"id": None}, "id is missing"),
        ({"late": 2}, "late is none of the classes"),
    ],
)
def test_bad_cells(place: Place, change: dict, reason: str) -> None:
    place.put("a.tfrecord", tfrecord(example(**GOOD), example(**{**GOOD, **change}), example(**GOOD)))
    snapshot = place.ingest()
    (rejected,) = place.rejected(snapshot)
    assert (rejected["line"], rejected["reason"]) == (2, reason)
    assert snapshot.rows == 2
