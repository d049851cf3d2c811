"""pathfinder-prm: PathFinder-PRM-7B, which looks for errors before it judges a step."""

from __future__ import annotations

from stepscore.recipes.layouts import CHATML, PrefixProbe, chosen, rows_at_places
from stepscore.recipes.prompt_texts import PATHFINDER, PATHFINDER_PROBES
from stepscore.recipes.recipe import Published, Recipe

_ASKED, _ADDED = ("math", "consistency", "correctness"), ("<extra>", "<+>", "<->")
# Where the step stands, how one word of the instruction is spelled, and how much is asked.
_CARD, _SEARCH = ("assistant", "mathemetical", 2), ("user", "mathemetical", 2)
_VARIANTS = {"card": _CARD, "search": _SEARCH, "processbench": ("assistant", "mathematical", 1)}


def pathfinder_prm(variant: str = "card", system: str = "qwen2.5-math") -> Recipe:
    r"""Read PathFinder: -1 where it sees an error, else :math:`\mathrm{softmax}(w_+ h, w_- h)_0`.

    A chat of Qwen2.5: the user says the instruction and the problem, the assistant the steps before
    this one, ``Current Step: ``, this one, and `` Math reasoning: <extra>, Consistency: <extra>``.
    At the token before each ``<extra>`` the answer is ``<+>`` or ``<->``, whichever is greater; one
    ``<->`` and the score is -1. Else both ``<extra>`` become ``<+>``, ``, Correctness: <extra>`` is
    added, and the score is read before it.

    The authors forward twice. What the second pass reads depends on the first in nothing but
    whether it is read at all, so that both are branches of one pass here. The probabilities of all
    three answers arrive in `StepScores.readings`. The authors state no aggregate.

    Not offered: their script for PRMBench, which divides by the whole vocabulary.

    Args:
        variant: ``card`` as above; ``search``, reward-guided search, where steps are a second turn
            of the user; ``processbench``, where nothing but errors are looked for, a step without
            one scores 1, and the instruction is spelled correctly. Its code takes the greatest of
            the whole vocabulary and fails where that is no label.
        system: the system turn, which the template writes by itself: ``qwen2.5-math`` that of
            Qwen2.5-Math-Instruct, ``qwen2.5`` that of Qwen2.5-Instruct, ``none`` none, another text
            is what it says. A checkpoint whose own template writes another one is refused.

    Raises:
        ValueError: another variant.

    Source: declare-lab/PathFinder-PRM and the card of declare-lab/PathFinder-PRM-7B.

    Examples:
        >>> import stepscore
        >>> [reading.name for reading in stepscore.recipes.pathfinder_prm().readings]
        ['score', 'math', 'consistency', 'correctness']
    """
    turn, word, passes = chosen("variant", variant, _VARIANTS)
    probes, before = PATHFINDER_PROBES[:passes], PATHFINDER.format(word)
    layout = PrefixProbe(
        CHATML, system, probes, before, turn, marker="Current Step: ", mark=_ADDED[0], added=_ADDED
    )
    return Recipe.from_layout(
        layout,
        rows_at_places(_ADDED[1:], questions=_ASKED[: passes + 1], gates=2),
        name="pathfinder-prm",
        confidence="author",
        source="declare-lab/PathFinder-PRM",
        parameters=(("variant", variant), ("system", system)),
        unverified=("which of Qwen2.5's models it was trained from: their system turns differ",),
    )


PUBLISHED = Published("pathfinder-prm", pathfinder_prm, {"declare-lab/PathFinder-PRM-7B": {}})
