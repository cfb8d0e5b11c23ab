"""`tf.train.Example` as a protobuf class of our own, because TensorFlow's would cost importing TensorFlow.

The definition is TensorFlow's `core/example/example.proto` and `feature.proto`.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "evergreen"
_Field = descriptor_pb2.FieldDescriptorProto


def _value_list(file: descriptor_pb2.FileDescriptorProto, name: str, kind: int) -> None:
    message = file.message_type.add(name=name)
    value = message.field.add(name="value", number=1, label=_Field.LABEL_REPEATED, type=kind)
    value.options.packed = kind != _Field.TYPE_BYTES


def _feature(file: descriptor_pb2.FileDescriptorProto) -> None:
    message = file.message_type.add(name="Feature")
    message.oneof_decl.add(name="kind")
    lists = (("bytes_list", "BytesList"), ("float_list", "FloatList"), ("int64_list", "Int64List"))
    for number, (name, kind) in enumerate(lists, 1):
        message.field.add(
            name=name,
            number=number,
            label=_Field.LABEL_OPTIONAL,
            type=_Field.TYPE_MESSAGE,
            type_name=f".{PACKAGE}.{kind}",
            oneof_index=0,
        )


def _features(file: descriptor_pb2.FileDescriptorProto) -> None:
    message = file.message_type.add(name="Features")
    entry = message.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_STRING)
    entry.field.add(
        name="value",
        number=2,
        label=_Field.LABEL_OPTIONAL,
        type=_Field.TYPE_MESSAGE,
        type_name=f".{PACKAGE}.Feature",
    )
    message.field.add(
        name="feature",
        number=1,
        label=_Field.LABEL_REPEATED,
        type=_Field.TYPE_MESSAGE,
        type_name=f".{PACKAGE}.Features.FeatureEntry",
    )


def _example_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="evergreen/example.proto", package=PACKAGE, syntax="proto3")
    _value_list(file, "BytesList", _Field.TYPE_BYTES)
    _value_list(file, "FloatList", _Field.TYPE_FLOAT)
    _value_list(file, "Int64List", _Field.TYPE_INT64)
    _feature(file)
    _features(file)
    file.message_type.add(name="Example").field.add(
        name="features",
        number=1,
        label=_Field.LABEL_OPTIONAL,
        type=_Field.TYPE_MESSAGE,
        type_name=f".{PACKAGE}.Features",
    )
    # A pool of our own: the default one may hold TensorFlow's definition, of the same file and message names or not.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.Example"))


Example = _example_class()
"""Reads and writes the bytes of tf.train.Example."""
