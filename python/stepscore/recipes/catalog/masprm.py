"""masprm: the PRMs of MASPRM, for systems of several agents."""

from __future__ import annotations

from stepscore.recipes.layouts import TaggedText, value_of
from stepscore.recipes.recipe import Published, Recipe


def masprm() -> Recipe:
    r"""Read MASPRM: :math:`r_k = \tanh(w \cdot h + b)`.

    The text is the problem and behind it, without anything between, every step with ``</step>``
    behind it; it is encoded as one text, with the tokenizer's BOS where it has one, and read at
    every ``</step>``, a token that the authors add. The author reads the last one of each beginning
    of a trace, which is the same. A step is what one agent says. A solution given as one text is
    split as one of ``math-shepherd``, but not stripped of its tags' spaces.

    Source: milad1378yz/MASPRM, src/experiments/core.py and src/train/trainer.py. The author votes
        by :math:`\prod_k (r_k + 1) / 2`.

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.masprm().score_range
        (-1.0, 1.0)
    """
    return Recipe.from_layout(
        TaggedText(tag="</step>", between="", added=("</step>",), special_tokens=True),
        value_of("score", activation="tanh"),
        name="masprm",
        confidence="author",
        source="milad1378yz/MASPRM",
    )


PUBLISHED = Published("masprm", masprm)
