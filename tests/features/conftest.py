import pytest

from components.features.boolean import Boolean
from components.features.category import Category
from components.features.cross import Cross
from components.features.datetime import SIZES, Datetime
from components.features.declaration import Bounds, Moments, Nothing, Vocabulary
from components.features.numeric import Numeric
from components.features.transform import Transform
from tests.features.strategies import DATA


@pytest.fixture(scope="session")
def every_kind() -> Transform:
    """A transform with every kind of feature, in every form, on every column type."""
    moments, words = Moments(3.0, 2.5, -4.0, 50.0), Vocabulary(("a", "東京", "0", "\x00"), (9, 7, 7, 5))
    parts = tuple(SIZES)
    features = {
        Numeric(name="standardized", column="number", log=True, indicator=True): moments,
        Numeric(name="bounded", column="count", clip=(-10, 1e6), scale="min_max"): moments,
        Numeric(name="as_it_is", column="flag", scale="none", missing=-1): Nothing(),
        Numeric(name="bucketed", column="number", scale="buckets", buckets=4): Bounds((-1.5, 0.0, 0.1)),
        Category(name="known", column="word", oov_buckets=3): words,
        Category(name="known_count", column="count"): Vocabulary(("7", "-7"), (2, 1)),
        Category(name="known_nothing", column="word"): Vocabulary((), ()),
        Category(name="hashed", column="town", hash_buckets=1000): Nothing(),
        Cross(name="crossed", columns=("word", "count", "flag", "town"), hash_buckets=5000): Nothing(),
        Datetime(name="circles", column="moment", parts=parts): Nothing(),
        Datetime(name="parts", column="moment", parts=parts, encode="category"): Nothing(),
        Boolean(name="truth", column="flag"): Nothing(),
    }
    return Transform(DATA, tuple(features), {feature.name: learned for feature, learned in features.items()})
