"""pure-prm: PURE-PRM-7B, also called Qwen2.5-Math-7B-PRM800K by its authors."""

from __future__ import annotations

from stepscore.recipes.layouts import SeparateParts, difference_of_classes
from stepscore.recipes.recipe import Published, Recipe


def pure_prm(separator: str = "\n") -> Recipe:
    r"""Read PURE's PRM: :math:`r_k = p_1 - p_0,\; p = \mathrm{softmax}(\mathrm{head}(h))`.

    ids = enc(problem), then for every step enc(step) + enc(separator), every part encoded alone, as
    TRL's trainer does it; a step is read at the last token of its separator, and is right above 0.
    A solution given as one text is split at the separator. Without another aggregation the score
    of a solution is :math:`\sum_k w_k r_k,\; w_k = e^{-r_k/T} / \sum_j e^{-r_j/T}` with
    :math:`T = 0.1`, ``softmin`` with its own default.

    Args:
        separator: what ends a step in the model's input. The authors' code drops the blank line
            behind a step and writes a newline; PRMBench's adapter writes ``"\n\n"``.

    Raises:
        ValueError: a separator that is no text or an empty one.

    Source: CJReinforce/PURE, openrlhf/trainer/ppo_utils/experience_maker.py (separator) and
        openrlhf/utils/utils.py (reading, softmin). Unverified: what stood before the first step in
        training; in the authors' reinforcement learning it is the policy's whole prompt.

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.pure_prm().score_range
        (-1.0, 1.0)
    """
    published = {"\n": {"Qwen2.5": 198}, "\n\n": {"Qwen2.5": 271}}
    return Recipe.from_layout(
        SeparateParts(separator=separator, bos="id", published=published.get(str(separator), {})),
        difference_of_classes("score.0", "score.2"),
        name="pure-prm",
        confidence="author",
        source="CJReinforce/PURE",
        default_aggregate="softmin",
        parameters=(("separator", separator),),
        unverified=("the problem is laid out without a chat template, as TRL's trainer does it",),
    )


_MODELS = ("PURE-PRM-7B", "Qwen2.5-Math-7B-PRM800K")
PUBLISHED = Published("pure-prm", pure_prm, {f"jinachris/{name}": {} for name in _MODELS})
