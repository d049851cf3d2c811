"""birm: BiRM, which rewards a step and values what it leads to, in two heads."""

from __future__ import annotations

from dataclasses import replace

from stepscore.recipes.catalog_checks import a_number
from stepscore.recipes.layouts import EndedText, scaled_values
from stepscore.recipes.recipe import Published, Recipe
from stepscore.recipes.running import Running, RunningAggregate

_TAG = {"Qwen2.5": (16748,), "Llama 3": (17165,)}


def birm(aggregate: RunningAggregate = "mean", beta: float | str = 1.0) -> Recipe:
    r"""Read BiRM: :math:`s_k = o_k + \beta\,\mathrm{agg}(p_1, \ldots, p_k)`.

    :math:`p = w_p \cdot (g_p h + b_p)` is the process head's reward of a step and :math:`o`, with
    numbers of its own, the outcome head's value of what stands there. Both are in
    `StepScores.readings`. The authors' score of a solution is that of its last step, which takes
    the value at the last tag and the rewards of all steps; earlier steps have that of the beginning
    that ends with them, as the authors' beam search reads it. Scores are all real numbers.

    The problem with its newline is encoded alone, behind the tokenizer's own special tokens. The
    solution is one text in which every step ends in ``ки``, with no space before it and a newline
    behind it. The model is read at every ``ки``, which is one token of the published vocabularies.
    A solution without any, where the authors' code reads token 0, is refused.

    Args:
        aggregate: ``mean`` as the authors' class has it, ``last`` as their command line has it,
            ``min`` or ``max``.
        beta: 1 as both have it; the authors tried 0.5 to 3.5.

    Raises:
        ValueError: a beta that is no number, another aggregate.

    Source: chenwxOggai/BiRM: verifier_models_bi.py (heads, score), datasets.py and its examples
        (text), constants_qwen.py and constants_llama.py (the tag).

    Examples:
        >>> import stepscore
        >>> recipe = stepscore.recipes.birm(beta=2)
        >>> recipe.running.weight, recipe.split("3 + 4 = 7ки\n7 + 5 = 12ки")
        (2.0, ['3 + 4 = 7', '7 + 5 = 12'])
    """
    running = Running("process", aggregate, a_number("birm", "beta", beta))
    readout = scaled_values("verifier.pth", "outcome", "process", "outcome")
    return Recipe.from_layout(
        EndedText(between="\n", end="ки", joiner="\n", alone=True, end_ids=_TAG),
        replace(readout, running=running),
        name="birm",
        confidence="author",
        source="chenwxOggai/BiRM",
        default_aggregate="last",
        parameters=(("aggregate", aggregate), ("beta", str(running.weight))),
        unverified=("In some published examples no newline stands behind the tag.",),
    )


PUBLISHED = Published("birm", birm)
