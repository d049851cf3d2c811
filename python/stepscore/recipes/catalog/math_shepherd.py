"""math-shepherd: the Mistral-7B PRM of Math-Shepherd, a language model read at its step tag."""

from __future__ import annotations

from stepscore.recipes.layouts import Numbering, TaggedText, softmax_of_words, written_with
from stepscore.recipes.recipe import Published, Recipe


def math_shepherd(numbering: Numbering = "missing") -> Recipe:
    r"""Read Math-Shepherd: :math:`r_k = \mathrm{softmax}(w_+ h,\; w_- h)_0`.

    The text ``{problem} Step 1: ... ки\nStep 2: ... ки`` is encoded as one text, with the
    tokenizer's BOS, and read at every ``ки``. ``w_+`` and ``w_-`` are the two rows of the output
    matrix that belong to the words of ``"+ -"``; no other row is loaded. A step without a number of
    its own gets ``Step k: `` in front; ``Step 1:``, ``## step 2.`` and ``**Step 3**`` are numbers.
    A solution given as one text is split at its tags, else in front of every such number, else at
    newlines. Steps are stripped, also those of a list.

    ``ки`` alone is the tag, wherever it stands; a word that contains it is none, unless the
    tokenizer makes the tag's token of a part of it (as of ``кино``), which is refused.

    Frameworks aggregate by the last step or by the minimum; neither is confirmed by the authors.

    Args:
        numbering: ``missing`` numbers the steps that have no number; ``never`` leaves them as they
            are, as search-and-learn does.

    Raises:
        ValueError: another numbering.

    Source: openreasoner/openr, huggingface/search-and-learn and ssmisya/PRMBench, which agree.

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.math_shepherd().split("Step 1: 3 + 4 = 7 ки\nStep 2: 7 + 5 = 12 ки")
        ['Step 1: 3 + 4 = 7', 'Step 2: 7 + 5 = 12']
    """
    layout = TaggedText(
        tag="ки",
        between=" ",
        joiner="\n",
        tag_start=" ",
        number=written_with(numbering),
        special_tokens=True,
        tag_ids={"Mistral v0.1": 12902},
    )
    return Recipe.from_layout(
        layout,
        softmax_of_words("+ -", good=0, published={"Mistral v0.1": (648, 387)}),
        name="math-shepherd",
        confidence="third-party",
        source="openreasoner/openr, huggingface/search-and-learn, ssmisya/PRMBench",
        parameters=(("numbering", numbering),),
    )


PUBLISHED = Published(
    "math-shepherd", math_shepherd, repositories={"peiyi9979/math-shepherd-mistral-7b-prm": {}}
)
