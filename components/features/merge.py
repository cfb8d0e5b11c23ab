"""Merging what was learned from new data into what a trained model knows, so that its weights keep their meaning."""

from collections import Counter

from components.features.category import Category
from components.features.declaration import Feature, Learned, Vocabulary

NO_VOCABULARY = Vocabulary((), ())


def merge(feature: Feature, base: Learned, fresh: Learned) -> Learned:
    """The constants to train on from the weights of `base`.

    Known tokens keep their ids, whether or not they still occur, and their counts grow; new ones follow, the most
    frequent first. A token goes only when a cold start learns the vocabulary anew. Tokens below `min_count` are counted
    on from training to training, so that one that is rare in each window is known at last. Moments and bounds stay
    those of the base, because its weights are tuned to them.

    Args:
        feature: its `max_size` caps how many new tokens are added, and how many rare ones are counted on; known ones
            always stay.
        base: learned for the same feature by the version that training starts from.
        fresh: learned from the new data; of a vocabulary, all tokens.
    """
    if isinstance(feature, Category) and isinstance(base, Vocabulary) and isinstance(fresh, Vocabulary):
        return _merge_vocabularies(feature, base, fresh)
    return base


def _merge_vocabularies(feature: Category, base: Vocabulary, fresh: Vocabulary) -> Vocabulary:
    seen = Counter(dict(zip(fresh.tokens, fresh.counts)))
    known = {token: count + seen.pop(token, 0) for token, count in zip(base.tokens, base.counts)}
    seen.update(dict(base.rare))
    ranked = sorted(seen.items(), key=lambda pair: (-pair[1], pair[0]))
    frequent = [pair for pair in ranked if pair[1] >= feature.min_count]
    rare = [pair for pair in ranked if 0 < pair[1] < feature.min_count]
    known.update(frequent[: max(0, feature.max_size - len(base.tokens))])
    return Vocabulary(tuple(known), tuple(known.values()), tuple(rare[: feature.max_size]))
