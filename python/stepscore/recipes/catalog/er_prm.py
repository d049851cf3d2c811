"""er-prm: the entropy-regularised PRMs of ER-PRM, language models read at their step tag."""

from __future__ import annotations

from stepscore.recipes.layouts import TaggedText, rows_of_words, written_with
from stepscore.recipes.recipe import Published, Recipe


def er_prm() -> Recipe:
    r"""Read ER-PRM: :math:`r_k = \mathrm{softmax}(w_+ h,\; w_- h)_0`.

    The text ``{problem} Step 1: ... киStep 2: ... ки`` is encoded as one text, with the tokenizer's
    BOS, and read at every tag: the last token of ``" ки"``, which Llama 3 writes as one, with its
    space. ``w_+`` and ``w_-`` are the rows of the last tokens of ``" +"`` and ``" -"``. Steps are
    numbered, split and stripped as those of ``math-shepherd``. The author takes the minimum.

    Source: hanningzhang/ER-PRM, evaluation/evaluate_math_reward_model.py and
        prm/kl_math_reward_ce.py.

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.er_prm().split("Step 1: 3 + 4 = 7 ки\nStep 2: 7 + 5 = 12 ки")
        ['Step 1: 3 + 4 = 7', 'Step 2: 7 + 5 = 12']
    """
    layout = TaggedText(
        tag=" ки",
        between=" ",
        number=written_with("missing"),
        special_tokens=True,
        tag_ids={"Mistral v0.1": 12902, "Llama 3": 116624},
    )
    published = {"Mistral v0.1": (648, 387), "Llama 3": (489, 482)}
    return Recipe.from_layout(
        layout,
        rows_of_words((" +", " -"), good=0, take="last", published=published),
        name="er-prm",
        confidence="author",
        source="hanningzhang/ER-PRM",
        default_aggregate="min",
    )


PUBLISHED = Published("er-prm", er_prm, {"HanningZhang/Llama3.1-Math-PRM": {}})
