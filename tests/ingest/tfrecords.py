"""Writes TFRecords of tf.Example as TensorFlow would."""

import struct
from datetime import datetime
from typing import Any

import google_crc32c

from components.ingest.tf_example import Example


def example(**cells: Any) -> bytes:
    made = Example()
    for name, value in cells.items():
        feature = made.features.feature[name]
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, datetime):
                one = one.isoformat()
            if isinstance(one, str | bytes):
                feature.bytes_list.value.append(one.encode() if isinstance(one, str) else one)
            elif isinstance(one, float):
                feature.float_list.value.append(one)
            elif one is not None:
                feature.int64_list.value.append(int(one))
    return made.SerializeToString()


def tfrecord(*records: bytes) -> bytes:
    return b"".join(_framed(record) for record in records)


def _framed(record: bytes) -> bytes:
    length = struct.pack("<Q", len(record))
    return length + _crc(length) + record + _crc(record)


def _crc(content: bytes) -> bytes:
    crc = google_crc32c.value(content)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
