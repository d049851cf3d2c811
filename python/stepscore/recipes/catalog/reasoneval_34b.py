"""reasoneval-34b: ReasonEval-34B, whose step separators are taken out of its input."""

from __future__ import annotations

from stepscore.recipes.layouts import RemovedTags, validity_and_redundancy
from stepscore.recipes.recipe import Published, Recipe


def reasoneval_34b(bias: str = "yes") -> Recipe:
    r"""Read ReasonEval-34B: validity :math:`p_1 + p_2`, and redundancy :math:`p_1`.

    :math:`p = \mathrm{softmax}(W h + b)` are the probabilities that a step is negative, neutral or
    positive. The score is the validity; ``StepScores.readings["redundancy"]`` is lower the better.

    The text is ``Question:\n{problem}\nAnswer:\nLet's think step by step.\n``, the separator, which
    is the tokenizer's padding token, and then every step with a separator behind it. It is encoded
    as one text, the places before the separators are noted, and the separators are deleted: a step
    is read at its last token. (The 7B model's are shifted; see `reasoneval_7b`.)

    A solution given as one text is split at newlines. The authors take the minimum of the validity
    and the maximum of the redundancy.

    Args:
        bias: whether the head has one, ``yes`` or ``no``, as ``bias`` of config.json says. Which
            of them is unverified; the other one is refused by `stepscore.load`.

    Raises:
        ValueError: another answer.

    Source: GAIR-NLP/ReasonEval, codes/examples.py.

    Examples:
        >>> import stepscore
        >>> [reading.name for reading in stepscore.recipes.reasoneval_34b().readings]
        ['validity', 'redundancy']
    """
    layout = RemovedTags(
        before="Question:\n",
        between="\nAnswer:\nLet's think step by step.\n",
        read="last",
    )
    return Recipe.from_layout(
        layout,
        validity_and_redundancy("score_head", bias),
        name="reasoneval-34b",
        confidence="author",
        source="GAIR-NLP/ReasonEval",
        default_aggregate="min",
        parameters=(("bias", bias),),
        unverified=("whether the head has a bias, which config.json says",),
    )


PUBLISHED = Published("reasoneval-34b", reasoneval_34b, {"GAIR/ReasonEval-34B": {}})
