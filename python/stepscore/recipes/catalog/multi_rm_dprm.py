"""multi-rm-dprm: the dPRM of "Rethinking Reward Models for Multi-Domain Test-Time Scaling"."""

from __future__ import annotations

from stepscore.recipes.layouts import TaggedText, rows_of_words
from stepscore.recipes.recipe import Published, Recipe


def multi_rm_dprm() -> Recipe:
    r"""Read dPRM: :math:`r_k = \mathrm{softmax}(w_- h,\; w_+ h)_1`.

    Laid out and read as ``versa-prm``, on a distilled Qwen2.5 whose tokenizer writes a BOS. The
    authors take the minimum over the steps.

    Source: db-Lee/Multi-RM, discriminative/ and evaluation/evaluate.py (arXiv 2510.00492).

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.multi_rm_dprm().default_aggregate
        'min'
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
        name="multi-rm-dprm",
        confidence="author",
        source="db-Lee/Multi-RM",
        default_aggregate="min",
    )


PUBLISHED = Published("multi-rm-dprm", multi_rm_dprm, {"dongboklee/dPRM-14B": {}})
