"""Learns the features' constants from the training rows, on Apache Beam."""

import uuid
from collections.abc import Callable, Iterator, Sequence

import components.learning.legacy_keras  # noqa: F401 - before TensorFlow

# isort: split
import apache_beam as beam
import numpy as np
import pyarrow as pa
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tfx_bsl.tfxio.tensor_adapter import TensorAdapter

from components.features.columns import Data
from components.features.columns_tf import RawTensors
from components.features.declaration import Constants, Learned, Nothing, Vocabulary
from components.features.declared import AnyFeature, Features
from components.features.merge import NO_VOCABULARY, merge
from components.features.transform import source_columns
from components.preprocess.analysis import VOCABULARY, Analysis, Numbers
from components.preprocess.beam_pipeline import Workers
from components.preprocess.drift import Drift
from components.preprocess.drift_analysis import DriftAnalysis
from components.preprocess.pieces import Piece
from components.preprocess.record_batches import IS_NEW, RecordBatches
from components.preprocess.same_code import check_code, code_digests

FOUND = "found"
Marked = tuple[Piece, bool]
"""Rows, and whether the base has not seen them."""
Analyze = Callable[[RawTensors, tf.Tensor], dict[str, tf.Tensor]]
"""Raw columns and (batch,) bool, whether a row is new → what the analyzers of numbers find, (numbers,) float64."""


def learn(pieces: Sequence[Piece], features: Features, data: Data, workers: Workers) -> Constants:
    """Learns what each feature needs from the rows in `pieces`, for a cold start.

    Args:
        pieces: the training rows.
        features: what to learn for.
        data: declares the columns.
        workers: do the work.
    """
    learning = [feature for feature in features if feature.learns != "nothing"]
    analysis = Analysis(learning, data)
    batches = RecordBatches(source_columns(learning), data)
    marked = [(piece, True) for piece in pieces]
    numbers, records = _run(analysis.analyze, analysis, batches, marked, workers)
    return _settled_all(features, analysis.constants(numbers, records), None)


def learn_more(
    new: Sequence[Piece], replayed: Sequence[Piece], features: Features, data: Data, known: Constants, workers: Workers
) -> tuple[Constants, list[Drift]]:
    """Learns new tokens, for a warm start; the other constants stay those of the base, and their drift is measured.

    Args:
        new: the training rows that the base has not seen.
        replayed: those that it has.
        features: what to learn for.
        data: declares the columns.
        known: the base's constants.
        workers: do the work.
    """
    learning = [feature for feature in features if feature.learns != "nothing"]
    analysis = Analysis([feature for feature in learning if feature.learns == "vocabulary"], data)
    drift = DriftAnalysis(learning, data, known)
    batches = RecordBatches(source_columns(learning), data)
    marked = [*((piece, True) for piece in new), *((piece, False) for piece in replayed)]

    def analyze(raw: RawTensors, is_new: tf.Tensor) -> dict[str, tf.Tensor]:
        return {**analysis.analyze(raw, is_new), **drift.analyze(raw, is_new)}

    numbers, records = _run(analyze, analysis, batches, marked, workers)
    rows = sum(len(piece.rows) for piece in new)
    return _settled_all(features, analysis.constants(numbers, records), known), drift.drifts(numbers, rows)


def _settled_all(features: Features, fresh: Constants, known: Constants | None) -> Constants:
    nothing = Nothing()
    return {feature.name: _settled(feature, fresh.get(feature.name, nothing), known) for feature in features}


def _settled(feature: AnyFeature, fresh: Learned, known: Constants | None) -> Learned:
    """What was learned, merged with what the base knows; rare tokens are set apart."""
    if known is not None:
        return merge(feature, known[feature.name], fresh)
    return merge(feature, NO_VOCABULARY, fresh) if isinstance(fresh, Vocabulary) else fresh


def _run(
    analyze: Analyze, analysis: Analysis, batches: RecordBatches, pieces: Sequence[Marked], workers: Workers
) -> tuple[Numbers, list[bytes]]:
    """What the analyzers find: numbers, and the records of the vocabulary."""
    if not batches.aliases:
        return {}, []
    shown = workers.files.show_pieces([piece for piece, _ in pieces])
    marked = [(piece, is_new) for piece, (_, is_new) in zip(shown, pieces)]
    # A warm start that turns cold learns twice.
    folder = f"{workers.files.folder}/{uuid.uuid4().hex}"
    found = f"{folder}/{FOUND}"
    with tft_beam.Context(temp_dir=folder), workers.pipeline("learn") as pipeline:
        analyze_pieces(pipeline, marked, batches, analyze, found)
    output = tft.TFTransformOutput(found)
    records = list(output.vocabulary_by_name(VOCABULARY)) if analysis.tokens else []
    return _numbers(output, batches), records


def analyze_pieces(
    pipeline: beam.Pipeline, pieces: Sequence[Marked], batches: RecordBatches, analyze: Analyze, found: str
) -> None:
    """Draws the pipeline that reads rows and writes what the analyzers find, as a transform, into the folder `found`.

    It stands in a `tft_beam.Context` with a folder for temporary files.
    """
    rows = pipeline | beam.Create(pieces) | beam.ParDo(ReadPiece(batches))
    transform_fn = (rows, batches.adapter()) | tft_beam.AnalyzeDataset(_preprocessing_fn(analyze, batches))
    _ = transform_fn | tft_beam.WriteTransformFn(found)  # type: ignore[attr-defined]


class ReadPiece(beam.DoFn):
    """Reads the rows of a piece as a record batch."""

    def __init__(self, batches: RecordBatches) -> None:
        super().__init__()
        self._batches = batches
        self._code = code_digests()

    def setup(self) -> None:
        """Refuses to run in a worker with other code."""
        check_code(self._code)

    def process(self, marked: Marked) -> Iterator[pa.RecordBatch]:
        """Yields the rows of a piece, which the base has all seen or has not."""
        yield self._batches.read(*marked)


def _preprocessing_fn(analyze: Analyze, batches: RecordBatches) -> Callable[[RawTensors], dict[str, tf.Tensor]]:
    """The function that TensorFlow Transform traces: gives, in every row, all that the analyzers find."""

    # AutoGraph reads the source of all that is called, in vain: there is no Python control flow on tensors in it.
    @tf.autograph.experimental.do_not_convert
    def preprocessing_fn(inputs: RawTensors) -> dict[str, tf.Tensor]:
        raw = {name: inputs[alias] for name, alias in batches.aliases.items()}
        found = analyze(raw, tf.equal(inputs[IS_NEW], 1))
        rows = tf.shape(inputs[IS_NEW])[0]
        # There must be an output, and none may be float64: the bits travel as int64.
        outputs = {name: tf.bitcast(numbers, tf.int64) for name, numbers in found.items()}
        outputs[FOUND] = tf.zeros([1], tf.int64)
        return {name: tf.broadcast_to(bits, tf.stack([rows, bits.shape[0]])) for name, bits in outputs.items()}

    return preprocessing_fn


def _numbers(output: tft.TFTransformOutput, batches: RecordBatches) -> Numbers:
    """What the analyzers found, out of the transform of one row without values."""
    specs = TensorAdapter(batches.adapter()).TypeSpecs()
    row = {alias: tf.zeros([1], spec.dtype) for alias, spec in specs.items()}
    return {name: bits.numpy()[0].view(np.float64) for name, bits in output.transform_raw_features(row).items()}
