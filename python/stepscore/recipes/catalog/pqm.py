"""pqm: the PRMs of "Process Reward Model with Q-Value Rankings"."""

from __future__ import annotations

from stepscore.recipes import prompt_texts as texts
from stepscore.recipes.layouts import TaggedText, renumbered, value_of
from stepscore.recipes.recipe import Published, Recipe


def pqm() -> Recipe:
    r"""Read PQM: :math:`r_k = w \cdot h + b`, a Q value, which is no probability.

    The instruction with the problem, then ``Step 1: ... [PRM]\nStep 2: ... [PRM]``, encoded as one
    text without BOS and read at every ``[PRM]``, a token that the authors add to the tokenizer of
    the backbone, with a row of the embeddings each. Every step is stripped and gets ``Step k: `` in
    place of a number of its own. A solution given as one text is split as one of
    ``math-shepherd``. The author takes the minimum, and votes by :math:`\sigma` of it.

    Q values have no bounds, so that products of them are refused.

    Source: WindyLee0822/Process_Q_Model, bon_eval_hf.py and value_model.py.

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.pqm().score_range
        (-inf, inf)
    """
    layout = TaggedText(
        tag="[PRM]",
        before=texts.PQM_BEFORE,
        between=texts.PQM_BETWEEN,
        joiner="\n",
        tag_start=" ",
        number=renumbered,
        added=("[PRM]",),
    )
    return Recipe.from_layout(
        layout,
        value_of("v_head.summary"),
        name="pqm",
        confidence="author",
        source="WindyLee0822/Process_Q_Model",
        default_aggregate="min",
    )


PUBLISHED = Published("pqm", pqm, repositories={"Windy0822/PQM": {}})
