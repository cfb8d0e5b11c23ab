"""The `compress` section of model.yaml."""

import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import Discriminator, Field, Tag, field_validator

from components.learning.config import Convolutional, Linear, Network
from components.learning.fitting import Fitting
from components.schema import Section

Change = Literal["distilled", "low_rank", "pruned", "quantization_aware"]
Format = Literal["float32", "float16", "dynamic", "int8", "int8_float_io"]
Name = Literal[
    "float32", "float16", "dynamic", "int8", "int8_float_io",
    "distilled", "low_rank", "pruned", "quantization_aware", "pruned_int8",
]  # fmt: skip
Item = TypeVar("Item")
CHANGES: tuple[Change, ...] = get_args(Change)
"""What changes a network, in the only order in which they can follow each other: an earlier one would undo a later."""
FORMATS: tuple[Format, ...] = get_args(Format)
INTEGER: tuple[Format, ...] = ("int8", "int8_float_io")
SHORT: dict[str, tuple[Change | Format, ...]] = {"pruned_int8": ("pruned", "int8")}
DEFAULT: tuple[Format, ...] = ("float32", "float16", "dynamic", "int8_float_io")
Width = Annotated[int, Field(ge=1, le=16384)]
Entry = Annotated[
    Annotated[Name, Tag("name")] | Annotated[tuple[Name, ...], Field(min_length=1), Tag("list")],
    Discriminator(lambda entry: "list" if isinstance(entry, (list, tuple)) else "name"),
]
"""A name, or names that are applied one after the other."""


class FineTune(Section):
    """How a network goes on learning after it was changed."""

    epochs: int = Field(5, ge=1, le=1000, description="most epochs; fine-tuning may end before, as train does")
    learning_rate: float = Field(5e-4, gt=0, le=1, description="Adam's step size at the beginning")


class LowRank(Section):
    """low_rank: dense layers and embeddings become products of two smaller matrices."""

    energy: float = Field(
        0.9, gt=0, le=1, description="share of a matrix's sum of squared singular values that its rank must keep"
    )


class Distilled(Section):
    """distilled: a smaller network learns from the trained one (Hinton et al. 2015, arXiv:1503.02531).

    It is trained as a cold start is, by `train.epochs` and `train.learning_rate`.
    """

    hidden: tuple[Width, ...] | None = Field(
        None, min_length=1, description="units of its hidden layers; null: half of the network's"
    )
    filters: tuple[Width, ...] | None = Field(
        None, min_length=1, description="filters of its convolutions; null: half of the network's"
    )
    max_embedding_width: int | None = Field(
        None, ge=1, le=1024, description="widest embedding of an id; null: each has half the width of the network's"
    )
    alpha: float = Field(0.5, ge=0, le=1, description="weight of the teacher's answers; the labels have the rest")
    temperature: float = Field(
        2.0, gt=0, le=100, description="what logits are divided by, so that small probabilities tell more"
    )


class Pruned(Section):
    """pruned: the smallest weights are zero (Zhu & Gupta 2017, arXiv:1710.01878)."""

    sparsity: float = Field(
        0.8, gt=0, lt=1, description="share of the weights of each layer that are zero in the end; small layers stay"
    )


class Recipe(Section):
    """One way to make a variant: everything that compress reads, so that adding a recipe reruns no other."""

    names: tuple[Change | Format, ...] = Field(min_length=1, description="what is applied, one after the other")
    fitting: Fitting | None = Field(None, description="how networks are fitted; null where nothing is trained")
    fine_tune: FineTune | None = None
    low_rank: LowRank | None = None
    distilled: Distilled | None = None
    pruned: Pruned | None = None

    @property
    def name(self) -> str:
        """The recipe in records, in the cache and in the report."""
        return "+".join(self.names)

    @property
    def changes(self) -> tuple[Change, ...]:
        """What changes the network, in order."""
        return _among(self.names, CHANGES)

    @property
    def format(self) -> Format:
        """What writes it: the one named, int8_float_io after quantization_aware, else float32."""
        return format_of(self.names)


class Compress(Section):
    """Which variants of the model are made, and how."""

    recipes: tuple[Entry, ...] = Field(
        DEFAULT,
        min_length=1,
        description="variants to make: a name, or a list of names that are applied one after the other, such as "
        "[low_rank, int8]. int8 and int8_float_io quantize weights and activations, dynamic only weights",
    )
    fine_tune: FineTune = Field(default_factory=FineTune)
    low_rank: LowRank = Field(default_factory=LowRank)
    distilled: Distilled = Field(default_factory=Distilled)
    pruned: Pruned = Field(default_factory=Pruned)

    @field_validator("recipes")
    @classmethod
    def _check(cls, recipes: tuple[Any, ...]) -> tuple[Any, ...]:
        all_names = [spelled_out(entry) for entry in recipes]
        for names in all_names:
            _check_names(names)
        made = [(_among(names, CHANGES), format_of(names)) for names in all_names]
        for index, one in enumerate(made):
            if one in made[:index]:
                raise ValueError(f"{_words(all_names[index])} names a recipe twice; name each once")
        return recipes

    def recipe_jsons(self, fitting: Fitting) -> tuple[str, ...]:
        """The recipes as the JSON strings that travel to compress.

        Args:
            fitting: the `train` section, of which recipes read what they share with it.
        """
        shared = Fitting(**{name: getattr(fitting, name) for name in Fitting.model_fields})
        return tuple(self._recipe(spelled_out(entry), shared).to_json() for entry in self.recipes)

    def _recipe(self, names: tuple[Change | Format, ...], fitting: Fitting) -> Recipe:
        """The recipe with the sections that its names read."""
        changes = _among(names, CHANGES)
        own: dict[str, Section] = {
            name: getattr(self, name) for name in ("low_rank", "distilled", "pruned") if name in changes
        }
        if changes:
            own["fitting"] = fitting
        if set(changes) - {"distilled"}:
            own["fine_tune"] = self.fine_tune
        return Recipe.model_validate({"names": names, **own})


def check_compress(compress: Compress, network: Network) -> None:
    """Checks what `compress` wants of the network.

    Raises:
        ValueError: there is nothing in the network that could be made smaller for a student, or it is not smaller.
    """
    if not any("distilled" in spelled_out(entry) for entry in compress.recipes):
        return
    if isinstance(network, Linear):
        raise ValueError("compress.recipes names distilled, but network.kind is linear, the smallest; remove distilled")
    settings = compress.distilled
    if settings.filters is not None and not isinstance(network, Convolutional):
        raise ValueError(
            f"compress.distilled.filters is set, but a network of kind {network.kind} has no convolutions; remove it"
        )
    if isinstance(network, Convolutional):
        _check_widths("filters", settings.filters, network.filters)
        if settings.filters is not None and len(settings.filters) != len(network.filters):
            # Fewer blocks leave more pixels, of which the next layer has more weights.
            blocks = len(network.filters)
            raise ValueError(f"compress.distilled.filters must have {blocks} numbers, as many as network.filters")
    _check_widths("hidden", settings.hidden, network.hidden)
    student = student_network(network, settings)
    most = settings.max_embedding_width
    if student == network and most is not None and most >= network.max_embedding_width:
        raise ValueError("compress.distilled makes a student as large as the network; give it fewer units in hidden")


def student_network(network: Network, settings: Distilled) -> Network:
    """The network of a student; widths that the settings leave null are half of its teacher's, rounded up."""
    widths = {name: getattr(settings, name) for name in ("hidden", "filters") if hasattr(network, name)}
    update = {
        name: wanted or tuple(math.ceil(width / 2) for width in getattr(network, name))
        for name, wanted in widths.items()
    }
    return network.model_copy(update=update)


def _check_widths(key: str, wanted: tuple[int, ...] | None, own: tuple[int, ...]) -> None:
    if wanted is not None and (len(wanted) > len(own) or any(width > most for width, most in zip(wanted, own))):
        raise ValueError(
            f"compress.distilled.{key} is {list(wanted)}, but network.{key} is {list(own)}; "
            "give a student no more layers, and none wider"
        )


def spelled_out(entry: str | Sequence[str]) -> tuple[Any, ...]:
    """The names of an entry of `recipes`, short ones replaced by what they stand for."""
    names = (entry,) if isinstance(entry, str) else entry
    return tuple(full for name in names for full in SHORT.get(name, (name,)))


def format_of(names: Iterable[str]) -> Format:
    """The format in which names end."""
    named = _among(names, FORMATS)
    return named[0] if named else "int8_float_io" if "quantization_aware" in names else "float32"


def _check_names(names: tuple[str, ...]) -> None:
    changes, formats = _among(names, CHANGES), _among(names, FORMATS)
    if len(formats) > 1 or (formats and names[-1] != formats[0]):
        raise ValueError(f"{_words(names)} must name one format at most, and last; {', '.join(FORMATS)} are formats")
    repeated = [name for name in CHANGES if changes.count(name) > 1]
    if repeated:
        raise ValueError(f"{_words(names)} names {repeated[0]} twice; name it once")
    ordered = tuple(name for name in CHANGES if name in changes)
    if changes != ordered:
        raise ValueError(f"{_words(names)} is in an order that undoes itself; write {_words((*ordered, *formats))}")
    if "quantization_aware" in changes and format_of(names) not in INTEGER:
        raise ValueError(f"{_words(names)} trains for integers; end it with int8 or int8_float_io, not {formats[0]}")


def _among(names: Iterable[str], known: tuple[Item, ...]) -> tuple[Item, ...]:
    return tuple(name for name in names if name in known)


def _words(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"[{', '.join(names)}]"
