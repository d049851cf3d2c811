"""What to pass for a checkpoint whose head is another one of the same recipe."""

from __future__ import annotations

from collections.abc import Mapping

from stepscore.recipes.head import Shape, head_fault
from stepscore.recipes.recipe import Recipe
from stepscore.recipes.recipe_arguments import RecipeCall, arguments_of, call_of
from stepscore.recipes.registry import published


def fitting_call(
    recipe: Recipe, shapes: Mapping[str, Shape], hidden_size: int
) -> RecipeCall | None:
    """Find another value of one argument with which a recipe's head is that of a checkpoint.

    Args:
        recipe: one whose head does not fit.
        shapes: tensor of the checkpoint -> its shape.
        hidden_size: H.

    Returns:
        the call with that argument, or None where no single one does it.
    """
    entry = published().get(recipe.name)
    if entry is None:
        return None
    rows = [shapes[layer.weight][0] for layer in recipe.head.layers if shapes.get(layer.weight)]
    for argument in arguments_of(entry):
        # The number of the last layer's rows is the one number that a head leaves open.
        numbers = [str(rows[-1])] if argument.takes == "a number" and rows else []
        for value in argument.choices or numbers:
            values = {**dict(recipe.parameters), argument.name: value}
            try:
                other = entry.make(**values)
            except (ValueError, TypeError):
                continue
            if other.head != recipe.head and head_fault(other.head, shapes, hidden_size) is None:
                return call_of(entry, values)
    return None
