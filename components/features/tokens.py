"""Tokens: the strings that category-like features know their values by, and the ids of tokens."""

from collections.abc import Sequence

import farmhash
import numpy as np

from components.features.columns import MISSING_INTEGER, ColumnType
from components.features.declaration import MISSING_ID

TOKEN_TYPES: tuple[ColumnType, ...] = ("string", "integer", "boolean")
SEPARATOR = "\x1f"
"""Between the parts of a cross: the ASCII unit separator, which text hardly ever holds."""


def tokens(values: np.ndarray) -> list[str]:
    """A dense column of one of TOKEN_TYPES as tokens; a missing value is "", a boolean is "0" or "1"."""
    if values.dtype == object:
        return values.tolist()
    return ["" if value == MISSING_INTEGER else str(value) for value in values.tolist()]


def fingerprint(token: str) -> int:
    """FarmHash's Fingerprint64, as `tf.strings.to_hash_bucket_fast` uses it; unsigned.

    Half a surrogate pair, which UTF-8 cannot hold, is encoded as if it could (`surrogatepass`).
    """
    return farmhash.Fingerprint64(token.encode("utf-8", "surrogatepass"))


class TokenIds(dict[str, int]):
    """Token → id: 0 for "", then the hash buckets for unknown tokens, then the known tokens in their order."""

    def __init__(self, known: Sequence[str], buckets: int) -> None:
        super().__init__((token, 1 + buckets + index) for index, token in enumerate(known))
        self[""] = MISSING_ID
        self.buckets = buckets

    def __missing__(self, token: str) -> int:
        return 1 + fingerprint(token) % self.buckets

    def column(self, values: Sequence[str]) -> np.ndarray:
        """The ids of tokens as an array of shape (len(values), 1) int32; equal tokens are hashed once."""
        ids = {token: self[token] for token in set(values)}
        return np.fromiter(map(ids.__getitem__, values), np.int32, len(values))[:, None]
