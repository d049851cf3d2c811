"""visual-prm: VisualPRM-8B and -v1.1, over text alone."""

from __future__ import annotations

from stepscore.recipes.layouts import INTERNVL_2_5, LabelTurns, chosen, rows_of_words
from stepscore.recipes.prompt_texts import VISUAL_PRM_SYSTEM
from stepscore.recipes.recipe import Published, Reading, Recipe

_LABELS = {"soft": (None, "mean"), "hard": (0.85, "sum")}
_SOLUTION = "\n\n### Solution Process:\n"


def visual_prm(labels: str = "soft", system: str = VISUAL_PRM_SYSTEM) -> Recipe:
    r"""Read VisualPRM: :math:`r_k = 1 \cdot p_+ + 0 \cdot p_-`, :math:`p = \mathrm{softmax}(w h)`.

    A chat in the template internvl2_5: the user says ``### Question:``, the problem, ``### Solution
    Process:`` and the first step, the assistant ``+``, the user the next step, and so on. A step is
    read at the last token of the header before its ``+``, in one pass as the author's ``soft_v2``.

    Over text alone: a text with a mark of an image is refused, and the released checkpoints, whose
    language model is no stock class, are not loaded. Not offered either: the ``hard`` of the
    model's own code, which says ``+`` or ``-`` greedily and lets later turns hold what was said.

    Args:
        labels: ``soft`` is :math:`r_k`, whose mean is the author's score of a solution; ``hard`` is
            1 where :math:`r_k \ge 0.85`, else 0, whose sum is.
        system: what the system turn says.

    Raises:
        ValueError: other labels.

    Source: OpenGVLab/InternVL (data tools); the model's own code in copies of VLMEvalKit.

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.visual_prm("hard").default_aggregate
        'sum'
    """
    threshold, aggregate = chosen("labels", labels, _LABELS)
    layout = LabelTurns(INTERNVL_2_5, system, "+", "### Question:\n", _SOLUTION)
    score = Reading("score", "softmax", (1.0, 0.0), threshold=threshold)
    return Recipe.from_layout(
        layout,
        rows_of_words("+-", take="entry", readings=(score,)),
        name="visual-prm",
        confidence="third-party",
        source="OpenGVLab/InternVL",
        default_aggregate=aggregate,
        parameters=(("labels", labels), ("system", system)),
        unverified=("its system turn", "the threshold of hard labels", "the ids of + and -"),
    )


PUBLISHED = Published("visual-prm", visual_prm)
