"""Where the rows of an id's weights come from when a network starts from one that knew fewer tokens."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from components.features.declaration import Vocabulary

NEIGHBOURS = 4
"""Known tokens on each side of a new one, in the order of their frequency, that its row starts from."""


@dataclass(frozen=True)
class RowMap:
    """Where each row of an id's tables comes from: missing, buckets of unknown tokens, then the vocabulary.

    The row of a new token starts half way between the mean of the unknown tokens' rows, by which the token was served
    until now, and the mean of the known tokens that are about as frequent as it: frequent and rare tokens lie in
    different regions of the space (Gong et al. 2018, FRAGE, arXiv:1809.06858), and where no training row was unknown,
    the unknown tokens' rows are still those of a fresh network. The mean of trained rows is the common start of cold
    items in Zhu et al. 2021 (MWUF, arXiv:2105.04790).
    """

    feature: str
    sources: np.ndarray
    """(new size,) int64: the base's row for each row; -1 where the base has none."""
    unknown: np.ndarray
    """(buckets,) int64: the base's rows for tokens outside its vocabulary."""
    neighbours: np.ndarray
    """(new rows, n) int64: for each row without a source the base's rows of tokens about as frequent; n may be 0."""

    @cached_property
    def is_new(self) -> np.ndarray:
        """(new size,) bool."""
        return self.sources < 0

    def rows(self, base: np.ndarray) -> np.ndarray:
        """Weights (base size, width) float32 → (new size, width) float32."""
        start = base[self.unknown].mean(axis=0)
        if self.neighbours.size:
            start = (start + base[self.neighbours].mean(axis=1)) / 2
        return self._mapped(base, start)

    def slots(self, base: np.ndarray) -> np.ndarray:
        """The same for an optimizer's slot variable, which starts at zero in new rows."""
        return self._mapped(base, np.zeros((), base.dtype))

    def _mapped(self, base: np.ndarray, start: np.ndarray) -> np.ndarray:
        mapped = base[np.maximum(self.sources, 0)]
        mapped[self.is_new] = start
        return mapped


def row_map(feature: str, learned: Vocabulary, size: int, known: Vocabulary, base_size: int) -> RowMap:
    """Finds the base's row of each token.

    Args:
        feature: the feature's name.
        learned: what the network is started with.
        size: rows of its tables.
        known: what the base was trained with.
        base_size: rows of the base's tables.
    """
    first = base_size - len(known.tokens)
    base_rows = {token: first + index for index, token in enumerate(known.tokens)}
    fixed = list(range(size - len(learned.tokens)))
    sources = np.array(fixed + [base_rows.get(token, -1) for token in learned.tokens], np.int64)
    return RowMap(feature, sources, np.arange(1, first), first + _neighbours(learned, known))


def _neighbours(learned: Vocabulary, known: Vocabulary) -> np.ndarray:
    """For each new token the places of the known ones that are about as frequent, (new, n) int64.

    Counts grow from training to training; compared are those of the rows that this training brings.
    """
    before, rare = dict(zip(known.tokens, known.counts)), dict(known.rare)
    now = dict(zip(learned.tokens, learned.counts))
    counts = np.array([now.get(token, count) - count for token, count in before.items()], np.int64)
    wanted = np.array([now[token] - rare.get(token, 0) for token in now if token not in before], np.int64)
    order = np.argsort(counts, kind="stable")
    taken = min(2 * NEIGHBOURS, len(order))
    begin = np.clip(np.searchsorted(counts[order], wanted) - NEIGHBOURS, 0, len(order) - taken)
    return order[begin[:, None] + np.arange(taken)]
