"""Merging what was learned from new data into what a trained model knows, so that its weights keep their meaning."""

from components.features.category import Category
from components.features.declaration import Feature, Learned, Vocabulary


def merge(feature: Feature, base: Learned, fresh: Learned) -> Learned:
    """The constants to train on from the weights of `base`.

    Known tokens keep their ids, whether or not they still occur, and their counts grow; new ones follow, the most
    frequent first. A token goes only when a cold start learns the vocabulary anew. Moments and bounds stay those of the
    base, because its weights are tuned to them.

    Args:
        feature: caps, by `max_size`, how many new tokens are added; known ones always stay.
        base: learned for the same feature by the version that training starts from.
        fresh: learned from the new data.
    """
    if isinstance(feature, Category) and isinstance(base, Vocabulary) and isinstance(fresh, Vocabulary):
        return _merge_vocabularies(base, fresh, feature.max_size)
    return base


def _merge_vocabularies(base: Vocabulary, fresh: Vocabulary, max_size: int) -> Vocabulary:
    counts = dict(zip(base.tokens, base.counts))
    new = []
    for token, count in zip(fresh.tokens, fresh.counts):
        if token in counts:
            counts[token] += count
        else:
            new.append((token, count))
    new.sort(key=lambda pair: (-pair[1], pair[0]))
    counts.update(new[: max(0, max_size - len(base.tokens))])
    return Vocabulary(tuple(counts), tuple(counts.values()))
