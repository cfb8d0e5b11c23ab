"""The check that what is served computes the same features as what was trained on, on real rows."""

from pathlib import Path

import numpy as np

from components import artifacts
from components.errors import UserError
from components.evaluate.scoring import first_rows
from components.features.transform import Transform

TOLERANCE = 1e-6


def check_skew(transform: Transform, examples: Path) -> dict[str, float]:
    """Compares a variant's plain transform with the TensorFlow form's output on the first held-out rows.

    Args:
        transform: the plain form.
        examples: holds `heldout.parquet` and `heldout_expected.npz`: `floats` (rows, F) float32, `ids` (rows, I),
            with images `images` (rows, height, width, channels), of the first rows, as the TensorFlow form gave them.

    Returns:
        `{rows, largest_difference}`, the difference of floats as a share of max(1, |x|).

    Raises:
        UserError: names the first feature that differs, or the file where it is missing.
    """
    path = examples / artifacts.HELDOUT_EXPECTED
    if not path.exists():
        raise UserError(f"{path} is missing; run preprocess again")
    with np.load(path) as expected:
        floats, ids, *images = (expected[name] for name in ("floats", "ids", "images") if name in expected)
    rows = first_rows(examples / artifacts.HELDOUT, transform.data, transform.source_columns, len(floats))
    plain_floats, plain_ids, *plain_images = transform(rows)
    difference = _difference(plain_floats, floats)
    _refuse(transform.id_names, plain_ids != ids, plain_ids, ids)
    _refuse(transform.float_names, ~(difference <= TOLERANCE), plain_floats, floats)
    for plain, pixels in zip(plain_images, images):
        flat = plain.reshape(len(plain), -1), pixels.reshape(len(pixels), -1)
        _refuse((transform.image_name,) * flat[0].shape[1], flat[0] != flat[1], *flat)
    return {"rows": len(floats), "largest_difference": float(difference.max(initial=0))}


def _difference(plain: np.ndarray, expected: np.ndarray) -> np.ndarray:
    wide = expected.astype(np.float64)
    difference = np.abs(plain - wide) / np.maximum(1, np.abs(wide))
    return np.where(np.isnan(plain) & np.isnan(wide), 0, difference)


def _refuse(names: tuple[str, ...], differs: np.ndarray, plain: np.ndarray, expected: np.ndarray) -> None:
    if not differs.any():
        return
    row, column = (int(index) for index in np.argwhere(differs)[0])
    raise UserError(
        f"the feature {names[column]} is {plain[row, column]} as it will be served, but {expected[row, column]} as it "
        f"was trained on, in held-out row {row} ({int(differs[:, column].sum())} of {len(differs)} rows differ); "
        "training and serving must agree: run the pipeline again with --force, and report it if it stays"
    )
