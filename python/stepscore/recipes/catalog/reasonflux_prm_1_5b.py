"""reasonflux-prm-1.5b: ReasonFlux-PRM-1.5B, which gives a solution one score."""

from __future__ import annotations

from stepscore.recipes.layouts import TextEnd, value_in_file
from stepscore.recipes.recipe import Published, Recipe


def reasonflux_prm_1_5b() -> Recipe:
    r"""Read ReasonFlux-PRM-1.5B: :math:`r = \sigma(w \cdot h + b)`.

    The problem and the solution stand directly behind each other, without a template, are encoded
    as one text with the tokenizer's special tokens, and are read at the last token. Steps of a list
    are joined by blank lines. The head is ``reward_head.pt``. The authors cut the text behind 2,048
    tokens, and then read a score of its beginning; here it is read whole, or refused where the
    model ends.

    Source: Gen-Verse/ReasonFlux, ReasonFlux_PRM/utils/rm_utils.py and its README.

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.reasonflux_prm_1_5b().head.files
        ('reward_head.pt',)
    """
    return Recipe.from_layout(
        TextEnd(between="", joiner="\n\n", special_tokens=True),
        value_in_file("reward_head.pt"),
        name="reasonflux-prm-1.5b",
        confidence="author",
        source="Gen-Verse/ReasonFlux",
    )


PUBLISHED = Published(
    "reasonflux-prm-1.5b", reasonflux_prm_1_5b, {"Gen-Verse/ReasonFlux-PRM-1.5B": {}}
)
