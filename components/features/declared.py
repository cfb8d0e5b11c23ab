"""The features that a model can declare: all kinds, and what holds for all of them together."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from components.features.boolean import Boolean
from components.features.category import Category
from components.features.columns import Data
from components.features.cross import Cross
from components.features.datetime import Datetime
from components.features.image import Image
from components.features.numeric import Numeric

AnyFeature = Annotated[Numeric | Category | Cross | Datetime | Boolean | Image, Field(discriminator="kind")]
Features = tuple[AnyFeature, ...]


def check_features(features: Sequence[AnyFeature], data: Data) -> None:
    """Refuses features that the data cannot feed, and those that would tell the model its answer.

    A key of one column only names rows, so nothing that is learned from it holds for new rows; the columns of a
    compound key may be features.

    Raises:
        ValueError: names the feature and the column, and what to do.
    """
    names = [feature.name for feature in features]
    images = [feature.name for feature in features if isinstance(feature, Image)]
    if len(images) > 1:
        raise ValueError(f"features has the images {', '.join(images)}; a network takes one, so keep one of them")
    for feature in features:
        if names.count(feature.name) > 1:
            raise ValueError(f"features has more than one named {feature.name}; give each its own name")
        try:
            feature.check(data)
        except ValueError as error:
            raise ValueError(f"feature {feature.name}: {error}") from None
        if data.label in feature.source_columns:
            raise ValueError(f"feature {feature.name} reads {data.label}, the label; remove it")
        if len(data.key) == 1 and data.key[0] in feature.source_columns:
            raise ValueError(f"feature {feature.name} reads {data.key[0]}, the key that only names rows; remove it")
