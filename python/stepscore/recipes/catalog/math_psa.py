"""math-psa: openr's PRM on Qwen2.5-Math-7B-Instruct, a language model read at its step tag."""

from __future__ import annotations

from stepscore.recipes.layouts import TaggedText, rows_of_words, written_with
from stepscore.recipes.recipe import Published, Recipe

_TAG = " \n\n\n\n\n"


def math_psa() -> Recipe:
    r"""Read Math-PSA: :math:`r_k = \mathrm{softmax}(w_+ h,\; w_- h)_0`.

    ``"{problem} Step 1: ... \n\n\n\n\n Step 2: ... \n\n\n\n\n "`` is encoded as one text and read
    at every tag, a space and five newlines, one token of Qwen2.5. ``w_+`` and ``w_-`` are the
    rows of ``" +"`` and ``" -"``. A step without a number of its own gets ``"Step k: "``; steps are
    stripped. A solution given as one text is split at blank lines. Frameworks take the minimum or
    the last step.

    Source: openreasoner/openr, prm/infer_fns.py (tokens, reading), reason/inference/rm_call.py and
        reason/evaluation (text).

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.math_psa().split("Step 1: 3 + 4 = 7\n\nStep 2: 7 + 5 = 12\n\n")
        ['Step 1: 3 + 4 = 7', 'Step 2: 7 + 5 = 12']
    """
    layout = TaggedText(
        tag=_TAG,
        between=" ",
        joiner=" ",
        after=" ",
        number=written_with("missing"),
        split_at="\n\n",
        special_tokens=True,
        tag_ids={"Qwen2.5": 76325},
    )
    published = {"Qwen2.5": (488, 481)}
    return Recipe.from_layout(
        layout,
        rows_of_words((" +", " -"), good=0, take="last", published=published),
        name="math-psa",
        confidence="author",
        source="openreasoner/openr",
    )


PUBLISHED = Published("math-psa", math_psa, {"openreasoner/Math-psa": {}})
