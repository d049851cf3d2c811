"""beta-prm: BetaPRM, whose steps have a mean and a concentration."""

from __future__ import annotations

from dataclasses import replace

from stepscore.recipes.catalog_checks import a_layout
from stepscore.recipes.layouts import mean_and_concentration
from stepscore.recipes.recipe import Published, Recipe


def beta_prm(like: str, head: str) -> Recipe:
    r"""Read BetaPRM: :math:`\mu_k = \sigma(z_0),\; \kappa_k = \ln(1 + e^{z_1}),\; z = W h + b`.

    The success of a step is believed to be :math:`\mathrm{Beta}(\mu\kappa, (1 - \mu)\kappa)`. The
    score is :math:`\mu`; ``StepScores.readings["concentration"]`` is :math:`\kappa`, by which the
    authors spend more samples on steps of which little is known.

    Everything but the two parameters is unverified: neither layout nor weights are published under
    a name that is known here.

    Args:
        like: the recipe whose layout the model was trained with, by its name: one that needs no
            argument and reads one place of every step.
        head: the module of the head in the checkpoint, of two outputs.

    Raises:
        ValueError: a recipe that there is not, or another kind of recipe.

    Source: arXiv 2605.15529, "Process Rewards with Learned Reliability".

    Examples:
        >>> import stepscore
        >>> recipe = stepscore.recipes.beta_prm("skywork-o1-prm", "beta_head")
        >>> [reading.name for reading in recipe.readings]
        ['mean', 'concentration']
    """
    readout = mean_and_concentration(head)
    return replace(
        a_layout("beta-prm", "like", like),
        name="beta-prm",
        confidence="unverified",
        source="arXiv 2605.15529",
        head=readout.head,
        readings=readout.readings,
        default_aggregate=None,
        parameters=(("like", like), ("head", head)),
        unverified=("the layout", "the head, and what is applied to its outputs"),
    )


PUBLISHED = Published("beta-prm", beta_prm)
