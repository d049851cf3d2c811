"""rlhflow-prm: Llama3.1-8B-PRM-Mistral-Data and Llama3.1-8B-PRM-Deepseek-Data of RLHFlow."""

from __future__ import annotations

from stepscore.recipes.layouts import LLAMA_3_1, LabelTurns, chosen, rows_of_words
from stepscore.recipes.recipe import Published, Recipe

_SEPARATORS = {"deepseek": "\n\n", "mistral": "ки\n"}
_MEAN, _LAST = (" ", "mean"), (" ", "last")
_TABLE = {"author": _MEAN, "search-and-learn": _LAST, "processbench": ("\n\n", None)}


def rlhflow_prm(data: str = "deepseek", variant: str = "author", system: str = "dated") -> Recipe:
    r"""Read RLHFlow's PRMs: :math:`r_k = \mathrm{softmax}(w_+ h,\; w_- h)_0`.

    A chat of Llama 3.1: the user says the problem, a space and the first step, the assistant
    ``+``, the user the next step, and so on. Step :math:`k` is read at the last token of the header
    before its ``+``, the ``"\n\n"`` (id 271); ``w_+`` and ``w_-`` are rows 10 and 12 of the output
    matrix. The author forwards a conversation per step; the last of them alone gives the same.
    Texts are trimmed, as the template does it. The author's aggregate is the mean.

    Not offered: PRMBench's reading, which divides by the whole vocabulary, and reward_hub's, which
    puts problem and first step into two turns.

    Args:
        data: where a solution given as one text is split: ``deepseek`` at blank lines, ``mistral``
            at ``ки`` before a newline or the end.
        variant: ``author``; ``search-and-learn`` has the same scores and takes the last step's;
            ``processbench`` writes a blank line between problem and first step. Its code says
            greedily ``+`` or ``-`` and stops at the first ``-``: the first score below 0.5.
        system: ``dated`` writes Llama 3.1's own system turn, ``none`` none, another text is what
            it says. A checkpoint whose own template writes another one is refused.

    Raises:
        ValueError: a choice that there is not.

    Source: RLHFlow/RLHF-Reward-Modeling, math-rm/prm_evaluate.py; huggingface/search-and-learn and
        QwenLM/ProcessBench for the variants.

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.rlhflow_prm("mistral").split("Step 1: 3 + 4 = 7 ки\nStep 2: 12 ки")
        ['Step 1: 3 + 4 = 7', 'Step 2: 12']
    """
    between, aggregate = chosen("variant", variant, _TABLE)
    split_at = chosen("data", data, _SEPARATORS)
    layout = LabelTurns(LLAMA_3_1, system, "+", between=between, split_at=split_at, strips=True)
    return Recipe.from_layout(
        layout,
        rows_of_words("+-", take="last", good=0, published={"Llama 3": (10, 12)}),
        name="rlhflow-prm",
        confidence="author",
        source="RLHFlow/RLHF-Reward-Modeling, math-rm",
        default_aggregate=aggregate,
        parameters=(("data", data), ("variant", variant), ("system", system)),
        unverified=("whether the released templates write Llama 3.1's dated system turn",),
    )


_NAME = "RLHFlow/Llama3.1-8B-PRM-{}-Data"
PUBLISHED = Published(
    "rlhflow-prm", rlhflow_prm, {_NAME.format(x.title()): {"data": x} for x in _SEPARATORS}
)
