"""versa-prm: VersaPRM and its PRM800K models, on Llama and Qwen, read at their step tag."""

from __future__ import annotations

from stepscore.recipes.layouts import TaggedText, rows_of_words
from stepscore.recipes.recipe import Published, Recipe


def versa_prm() -> Recipe:
    r"""Read VersaPRM: :math:`r_k = \mathrm{softmax}(w_- h,\; w_+ h)_1`.

    The text is ``{problem} \n\n``, and then ``{step} \n\n\n\n`` for every step; it is encoded as
    one text, with the tokenizer's BOS where it has one, and read at every tag, a space and four
    newlines: one token of Llama 3, and one of Qwen2.5. ``w_-`` and ``w_+`` are the rows of ``-``
    and ``+``, the bad one first. Problem and steps are stripped. A solution given as one text is
    split at blank lines. The author takes the minimum in beam search, and the last in a tree.

    The author's code takes tags out of problems and steps; here they are refused. Training encodes
    the parts of the text alone, and evaluation all of it at once, as here. The author cuts long
    traces from the left, by which the problem is lost; here they are refused.

    Source: UW-Madison-Lee-Lab/VersaPRM.

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.versa_prm().split("3 + 4 = 7\n\n7 + 5 = 12\n\n")
        ['3 + 4 = 7', '7 + 5 = 12']
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
        name="versa-prm",
        confidence="author",
        source="UW-Madison-Lee-Lab/VersaPRM",
        default_aggregate="min",
    )


_MODELS = ("VersaPRM", "VersaPRM-Base-8B", "VersaPRM-Aug", "Qwen-PRM800K", "Llama-PRM800K")
PUBLISHED = Published(
    "versa-prm", versa_prm, {f"UW-Madison-Lee-Lab/{name}": {} for name in _MODELS}
)
