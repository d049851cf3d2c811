"""multi-rm-dorm: the dORM of "Rethinking Reward Models for Multi-Domain Test-Time Scaling"."""

from __future__ import annotations

from stepscore.recipes.layouts import TaggedText, rows_of_words
from stepscore.recipes.recipe import Published, Recipe


def multi_rm_dorm() -> Recipe:
    r"""Read dORM: :math:`r_k = \mathrm{softmax}(w_- h,\; w_+ h)_1`.

    Laid out and read as ``versa-prm``, on a distilled Qwen2.5 whose tokenizer writes a BOS. It was
    trained at the last tag alone, by the answer, and the authors take that one: the score of an
    earlier step is what the solution would get if it ended there.

    Source: db-Lee/Multi-RM, discriminative/ and evaluation/evaluate.py (arXiv 2510.00492).

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.multi_rm_dorm().default_aggregate
        'last'
    """
    layout = TaggedText(
        tag=" \n\n\n\n",
        between=" \n\n",
        problem_stripped=True,
        split_at="\n\n",
        special_tokens=True,
        tag_ids={"Llama 3": 23535, "Qwen2.5": 22701},
    )
    published = {"Llama 3": (12, 10), "Qwen2.5": (12, 10)}
    return Recipe.from_layout(
        layout,
        rows_of_words(("-", "+"), good=1, take="last", published=published),
        name="multi-rm-dorm",
        confidence="author",
        source="db-Lee/Multi-RM",
        default_aggregate="last",
    )


PUBLISHED = Published("multi-rm-dorm", multi_rm_dorm, {"dongboklee/dORM-14B": {}})
