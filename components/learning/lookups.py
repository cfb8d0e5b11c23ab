"""Lookups of packed ids in tables of weights: each in a table of its own, as they learn, or many in one, as they serve.

An operation costs more than the few bytes that it looks up: a network that serves does with one for all ids whose
embeddings are of one width. One that learns keeps a table for each id, because a vocabulary grows by itself.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from components.learning.dropout import Dropout
from components.learning.factored import embedding
from components.learning.legacy_keras import tf, tf_keras

if TYPE_CHECKING:
    from components.learning.networks import NetworkSpec

layers = tf_keras.layers
EMBEDDING = "embedding_"
WIDE = "wide_"
"""What the names of the layers of a linear model of ids begin with; they are never factored."""


class Joined(tf_keras.layers.Layer):
    """The tables of several ids in one, below each other.

    Args:
        names: the layers whose tables they are.
        places: where each id is among all ids.
        sizes: rows of each table.
        width: columns of all of them.
        penalty: regularizer of the weights.
    """

    def __init__(
        self, names: Sequence[str], places: Sequence[int], sizes: Sequence[int], width: int, penalty: Any = None,
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        self.names, self.places, self.sizes, self.width = tuple(names), tuple(places), tuple(sizes), width
        self.penalty = tf_keras.regularizers.get(penalty)

    def build(self, _: Any) -> None:
        """Makes the table, (sum of the sizes, width)."""
        self.table = self.add_weight("embeddings", (sum(self.sizes), self.width), regularizer=self.penalty)
        super().build(_)

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        """All ids (batch, ids) int32 → what belongs to these, (batch, places, width)."""
        starts = [sum(self.sizes[:index]) for index in range(len(self.sizes))]
        own = ids if self.places == tuple(range(ids.shape[1])) else tf.gather(ids, self.places, axis=1)
        return tf.gather(self.table, own + tf.constant(starts, ids.dtype))

    def get_config(self) -> dict[str, Any]:
        """What the layer is made of."""
        penalty = tf_keras.regularizers.serialize(self.penalty) if self.penalty else None
        own = {"names": self.names, "places": self.places, "sizes": self.sizes, "width": self.width, "penalty": penalty}
        return {**super().get_config(), **own}


class Lookups:
    """What a network looks up for its packed ids.

    Args:
        spec: of the network.
        ids: (batch, ids) int32.
        joined: whether ids share a table where they can.
    """

    def __init__(self, spec: "NetworkSpec", ids: tf.Tensor, joined: bool) -> None:
        self._spec, self._ids, self._joined = spec, ids, joined
        self._columns = tf.unstack(ids, axis=1)

    def embedded(self, dropout: float) -> list[tf.Tensor]:
        """The embeddings, (batch, …) each, by their width; of each, all is left out at once where dropout does so."""
        spec, parts = self._spec, []
        for width in sorted(set(spec.embedding_widths)):
            places = [place for place, own in enumerate(spec.embedding_widths) if own == width]
            names = [f"{EMBEDDING}{spec.id_keys[place]}" for place in places]
            if self._joined and len(places) > 1 and not spec.ranks.keys() & set(names):
                found = self._together(f"{EMBEDDING}of_{width}", names, places, width)
                found = _dropped(found, dropout, (None, None, 1), f"width_{width}")
                parts.append(tf.reshape(found, (-1, len(places) * width)))
            else:
                for name, place in zip(names, places):
                    found = embedding(spec.ranks, name, spec.id_sizes[place], width)(self._columns[place])
                    parts.append(_dropped(found, dropout, (None, 1), spec.id_keys[place]))
        return parts

    def wide(self, penalty: Any) -> list[tf.Tensor]:
        """A weight for each id and output, zero at first, (batch, outputs) each; the sum is what matters."""
        spec = self._spec
        names = [f"{WIDE}{key}" for key in spec.id_keys]
        if self._joined and len(names) > 1:
            found = self._together(f"{WIDE}of_all", names, range(len(names)), spec.outputs, penalty)
            return [tf.reduce_sum(found, axis=1)]
        return [
            layers.Embedding(size, spec.outputs, "zeros", embeddings_regularizer=penalty, name=name)(column)
            for name, size, column in zip(names, spec.id_sizes, self._columns)
        ]

    def _together(
        self, name: str, names: list[str], places: Sequence[int], width: int, penalty: Any = None
    ) -> tf.Tensor:
        sizes = [self._spec.id_sizes[place] for place in places]
        return Joined(names, places, sizes, width, penalty, name=name)(self._ids)


def _dropped(values: tf.Tensor, rate: float, noise_shape: tuple[int | None, ...], name: str) -> tf.Tensor:
    return Dropout(rate, noise_shape=noise_shape, name=f"embedding_dropout_{name}")(values) if rate else values
