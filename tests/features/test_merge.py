"""What is known keeps its place."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from components.features.declaration import Bounds, Moments, Nothing, Vocabulary
from components.features.merge import NO_VOCABULARY, merge
from tests.features.strategies import feature

CATEGORY = feature(kind="category", column="word", max_size=6, min_count=1)
RARE = feature(kind="category", column="word", max_size=6, min_count=5)


@st.composite
def vocabularies(draw):
    counts = draw(st.dictionaries(st.sampled_from("abcdefghij"), st.integers(1, 9), max_size=8))
    return Vocabulary(tuple(counts), tuple(counts.values()))


@given(base=vocabularies(), fresh=vocabularies())
def test_known_tokens_keep_their_ids_and_new_ones_follow(base, fresh):
    merged = merge(CATEGORY, base, fresh)
    assert merged.tokens[: len(base.tokens)] == base.tokens
    assert len(set(merged.tokens)) == len(merged.tokens) == len(merged.counts)
    assert len(merged.tokens) <= max(len(base.tokens), 6)
    counts, seen = dict(zip(base.tokens, base.counts)), dict(zip(fresh.tokens, fresh.counts))
    for token, count in zip(merged.tokens, merged.counts):
        assert count == counts.get(token, 0) + seen.get(token, 0)
    added = [(-seen[token], token) for token in merged.tokens[len(base.tokens) :]]
    assert added == sorted(added)
    left_out = [(-count, token) for token, count in seen.items() if token not in merged.tokens]
    assert not left_out or len(merged.tokens) >= 6
    assert not (left_out and added) or max(added) < min(left_out)


def test_new_tokens_come_by_frequency_then_by_name():
    merged = merge(CATEGORY, Vocabulary(("z",), (1,)), Vocabulary(("c", "b", "z", "a"), (1, 1, 4, 3)))
    assert merged == Vocabulary(("z", "a", "b", "c"), (5, 3, 1, 1))


@given(windows=st.lists(vocabularies(), min_size=1, max_size=5))
def test_a_token_is_known_once_all_windows_together_have_enough_rows_of_it(windows):
    merged, total = NO_VOCABULARY, Counter()
    for window in windows:
        merged = merge(feature(kind="category", column="word", min_count=5), merged, window)
        total.update(dict(zip(window.tokens, window.counts)))
        assert dict(zip(merged.tokens, merged.counts)) == {token: count for token, count in total.items() if count >= 5}
        assert dict(merged.rare) == {token: count for token, count in total.items() if count < 5}


def test_no_more_rare_tokens_are_counted_than_a_vocabulary_may_hold():
    merged = merge(RARE, NO_VOCABULARY, Vocabulary(tuple("abcdefgh"), (1, 2, 3, 4, 4, 4, 4, 0)))
    assert merged == Vocabulary((), (), (("d", 4), ("e", 4), ("f", 4), ("g", 4), ("c", 3), ("b", 2)))


def test_moments_and_bounds_stay():
    numeric = feature(kind="numeric", column="number")
    old, new = Moments(1, 2, 0, 3), Moments(5, 6, 4, 7)
    assert merge(numeric, old, new) == old
    buckets = feature(kind="numeric", column="number", scale="buckets", buckets=2)
    assert merge(buckets, Bounds((1.0,)), Bounds((2.0,))) == Bounds((1.0,))
    assert merge(feature(kind="boolean", column="flag"), Nothing(), Nothing()) == Nothing()
