"""beta-prm: BetaPRM, whose steps have a mean and a concentration."""

from __future__ import annotations

from dataclasses import replace

from stepscore.errors import InputError
from stepscore.recipes.catalog_arguments import check_texts
from stepscore.recipes.layouts import mean_and_concentration
from stepscore.recipes.recipe import Published, Recipe
from stepscore.recipes.registry import recipe_by_name


def beta_prm(like: str, head: str) -> Recipe:
    r"""Read BetaPRM: :math:`\mu_k = \sigma(z_0),\; \kappa_k = \ln(1 + e^{z_1}),\; z = W h + b`.

    The success of a step is believed to be :math:`\mathrm{Beta}(\mu\kappa, (1 - \mu)\kappa)`. The
    score is :math:`\mu`; ``StepScores.readings["concentration"]`` is :math:`\kappa`, by which the
    authors spend more samples on steps of which little is known.

    Everything but the two parameters is unverified: neither layout nor weights are published under
    a name that is known here.

    Args:
        like: the recipe whose layout the model was trained with.
        head: the module of the head in the checkpoint, of two outputs.

    Raises:
        ValueError: a recipe that there is not, or that reads a step at several tokens.

    Source: arXiv 2605.15529, "Process Rewards with Learned Reliability".

    Examples:
        >>> import stepscore
        >>> recipe = stepscore.recipes.beta_prm("skywork-o1-prm", "beta_head")
        >>> [reading.name for reading in recipe.readings]
        ['mean', 'concentration']
    """
    check_texts("beta-prm", [("like", like), ("head", head)])
    layout, readout = recipe_by_name(like), mean_and_concentration(head)
    if layout.positions_per_step != 1 or layout.head.kind == "next_tokens":
        raise InputError("a recipe that reads a step at one token", got=repr(like), argument="like")
    return replace(
        layout,
        name="beta-prm",
        confidence="unverified",
        source="arXiv 2605.15529",
        head=readout.head,
        readings=readout.readings,
        running=None,
        default_aggregate=None,
        parameters=(("like", like), ("head", head)),
        unverified=("the layout", "the head, and what is applied to its outputs"),
    )


PUBLISHED = Published("beta-prm", beta_prm)
