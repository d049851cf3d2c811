"""Any model as a judge of steps, with a prompt of the caller's."""

from __future__ import annotations

import re
from collections.abc import Sequence

from stepscore.policies.texts import TextPolicy, Turn
from stepscore.recipes import Reading
from stepscore.scoring.verdicts.model import GenerativeRewardModel
from stepscore.scoring.verdicts.sampling import Sampling
from stepscore.scoring.verdicts.verdict_arguments import check_words, verdict_pattern
from stepscore.scoring.verdicts.verdict_recipe import verdict_recipe
from stepscore.scoring.verdicts.word_verdict import (
    By,
    Opening,
    Tool,
    WordVerdict,
    check_placeholders,
    check_tells,
    filled,
)

_BOXED = r"\\boxed\{\s*(?:\\text\{)?\s*(%s)\s*\}|\\boxed"


def prompted(
    policy: TextPolicy,
    *,
    prompt: str,
    words: tuple[str, ...] = ("Yes", "No"),
    values: Sequence[float] | None = None,
    pattern: str | None = None,
    prefill: str = "",
    sampling: Sampling | None = None,
    by: By = "probability",
    tool: Tool | None = None,
    name: str = "prompted-verdict",
    source: str = "the caller's prompt",
    unverified: Sequence[str] = (),
    seed: int = 0,
) -> GenerativeRewardModel:
    r"""Any model as a judge of steps: :math:`s_k = \sum_w v_w p_w` over the words of its verdict.

    Args:
        policy: the judge.
        prompt: what the judge is told, with ``{problem}`` and ``{step}``, and perhaps
            ``{previous}`` and ``{number}``.
        words: the verdicts; the first is the good one where there are no `values`.
        values: what each verdict is worth, one per word; None for 1 and then 0.
        pattern: finds the verdict, a regular expression whose group 1 is the word; None for
            ``\boxed{word}``. The last match counts, and is no verdict where the group is no word.
        prefill: how the judgement begins.
        sampling: how judgements are drawn; None draws one of 1024 tokens without chance.
        by: the probability of the verdict, or the verdict itself.
        tool: answers calls in the reasoning, as in TIM and TaTToo.
        name, source, unverified: as in `Recipe`.
        seed: of everything that is drawn.

    Raises:
        InputError: a prompt without a placeholder, or with one that is not filled in; no expression
            with a group; fewer than two words, or values that are not one of each.
    """
    call = name.replace("-", "_")
    check_tells(policy, call)
    check_placeholders(call, "prompt", prompt, ["problem", "step"], ["previous", "number"])
    sampling = sampling or Sampling(1024)
    worth = tuple(values) if values is not None else (1.0, *[0.0] * (len(words) - 1))
    check_words(call, words, worth)
    boxed = _BOXED % "|".join(map(re.escape, words))
    found = verdict_pattern(call, "pattern", boxed if pattern is None else pattern, re.IGNORECASE)
    recipe = verdict_recipe(
        name,
        confidence="unverified" if unverified else "author",
        source=source,
        verdicts=len(words),
        readings=(Reading("score", "softmax", worth, (min(worth), max(worth))),),
        parameters={
            **sampling.as_parameters(),
            "by": by,
            "words": words,
            "values": worth,
            "pattern": found.pattern,
        },
        unverified=unverified,
    )

    def opening(problem: str, steps: Sequence[str]) -> Opening:
        text = filled(
            prompt,
            problem=problem,
            previous="\n\n".join(steps[:-1]),
            step=steps[-1],
            number=str(len(steps)),
        )
        return Opening((Turn("user", text),), prefill)

    verifier = WordVerdict(
        recipe,
        opening,
        words,
        worth,
        sampling,
        pattern=found,
        by=by,
        tool=tool,
    )
    return GenerativeRewardModel(policy, verifier, seed)
