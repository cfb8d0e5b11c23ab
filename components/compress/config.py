"""The `compress` section of model.yaml."""

from typing import Literal, get_args

from pydantic import Field, field_validator

from components.schema import Section

RecipeName = Literal["float32", "float16", "dynamic", "int8"]
RECIPES: tuple[RecipeName, ...] = get_args(RecipeName)


class Recipe(Section):
    """One way to make a variant: everything that compress reads, so that adding a recipe reruns no other."""

    name: RecipeName = Field(description="file of components/compress/ that makes it")


class Compress(Section):
    """Which variants of the model are made."""

    recipes: tuple[RecipeName, ...] = Field(
        RECIPES,
        min_length=1,
        description="variants to make; int8 quantizes weights and activations, dynamic only weights",
    )

    @field_validator("recipes")
    @classmethod
    def _unique(cls, recipes: tuple[RecipeName, ...]) -> tuple[RecipeName, ...]:
        if len(set(recipes)) < len(recipes):
            raise ValueError(f"{', '.join(recipes)} names a recipe twice; name each once")
        return recipes

    @property
    def recipe_jsons(self) -> tuple[str, ...]:
        """The recipes as the JSON strings that travel to compress."""
        return tuple(Recipe(name=name).to_json() for name in self.recipes)
