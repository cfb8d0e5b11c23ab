"""Tokens: the strings that category-like features know their values by, and the ids of tokens."""

from collections.abc import Sequence
from typing import Any

import farmhash
import numpy as np

from components.features.columns import MISSING_INTEGER, ColumnType
from components.features.declaration import MISSING_ID, REMEMBERED, ValueId

TOKEN_TYPES: tuple[ColumnType, ...] = ("string", "integer", "boolean")
LONGEST_REMEMBERED = 64
"""Characters of a combination whose hash is remembered, so that no client's texts fill the memory."""
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


def token_id(token: str, buckets: int) -> int:
    """The id of a token that no vocabulary knows: its hash bucket, after the id of missing."""
    return 1 + fingerprint(token) % buckets


class TokenIds(dict[str, int]):
    """Token → id: 0 for "", then the hash buckets for unknown tokens, then the known tokens in their order."""

    def __init__(self, known: Sequence[str], buckets: int) -> None:
        super().__init__((token, 1 + buckets + index) for index, token in enumerate(known))
        self[""] = MISSING_ID
        self.buckets = buckets

    def __missing__(self, token: str) -> int:
        return token_id(token, self.buckets)

    def column(self, values: Sequence[str]) -> np.ndarray:
        """The ids of tokens as an array of shape (len(values), 1) int32; equal tokens are hashed once."""
        ids = {token: self[token] for token in set(values)}
        return np.fromiter(map(ids.__getitem__, values), np.int32, len(values))[:, None]


class ValueTable(dict[Any, int]):
    """Python value → id, as `TokenIds` gives for the value's token; None is missing.

    Attributes:
        unseen: how many values were looked up that the vocabulary does not know.
    """

    def __init__(self, known: Sequence[str], buckets: int, kind: ColumnType) -> None:
        super().__init__((None if token == "" else token, id_) for token, id_ in TokenIds(known, buckets).items())
        self.buckets = buckets
        self.unseen = 0
        if kind == "string":
            self[""] = MISSING_ID
        else:
            for token in known:
                if token == _int_token(token):
                    self[int(token)] = self[token]

    def __missing__(self, value: Any) -> int:
        self.unseen += 1
        return token_id(value_token(value), self.buckets)


def hashed_id(buckets: int) -> ValueId:
    """A function of a value, or of a tuple of values: the hash bucket of their combination; 0 where one is missing.

    Combinations are remembered: hashing one costs ten times as much as a lookup.
    """
    return _HashTable(buckets).__getitem__


class _HashTable(dict[Any, int]):
    """Value, or combination of values → hash bucket. Forgets all when it is full; long texts it does not keep."""

    def __init__(self, buckets: int) -> None:
        super().__init__()
        self._buckets = buckets

    def __missing__(self, key: Any) -> int:
        parts = [value_token(value) for value in (key if isinstance(key, tuple) else (key,))]
        joined = SEPARATOR.join(parts)
        found = MISSING_ID if "" in parts else token_id(joined, self._buckets)
        if len(joined) <= LONGEST_REMEMBERED:
            if len(self) >= REMEMBERED:
                self.clear()
            self[key] = found
        return found


def value_token(value: Any) -> str:
    """The token of a Python value; "" where it is missing."""
    if value is None:
        return ""
    return value if isinstance(value, str) else str(int(value))


def _int_token(token: str) -> str | None:
    """The token of the integer that a token reads as: not every text of a number is one."""
    try:
        return str(int(token))
    except ValueError:
        return None
