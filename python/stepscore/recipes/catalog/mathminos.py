"""mathminos: the Mistral-7B PRM of MATH-Minos."""

from __future__ import annotations

from stepscore.recipes.layouts import TaggedText, value_of, written_with
from stepscore.recipes.recipe import Published, Recipe


def mathminos() -> Recipe:
    r"""Read MATH-Minos: :math:`r_k = w \cdot h + b`, a logit, which is right above 0.

    The text ``Human: {problem}\n\nAssistant:Step 1: ... и\nStep 2: ... и`` is encoded as one text,
    with the tokenizer's BOS, and read at every ``и``. Steps are numbered, split and stripped as
    those of ``math-shepherd``. The author's metric takes the minimum. Training cut traces at 512
    tokens.

    Source: KbsdJames/MATH-Minos, RM/process_reward_modeling_pointwise.py (head, tag, threshold);
        ssmisya/PRMBench (text).

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.mathminos().split("3 + 4 = 7 и\n7 + 5 = 12 и")
        ['3 + 4 = 7', '7 + 5 = 12']
    """
    layout = TaggedText(
        tag="и",
        before="Human: ",
        between="\n\nAssistant:",
        joiner="\n",
        tag_start=" ",
        number=written_with("missing"),
        special_tokens=True,
        tag_ids={"Mistral v0.1": 839},
    )
    return Recipe.from_layout(
        layout,
        value_of("score"),
        name="mathminos",
        confidence="third-party",
        source="KbsdJames/MATH-Minos (head, tag), ssmisya/PRMBench (text)",
        default_aggregate="min",
        unverified=("the text around problem and steps is that of PRMBench",),
    )


PUBLISHED = Published("mathminos", mathminos)
