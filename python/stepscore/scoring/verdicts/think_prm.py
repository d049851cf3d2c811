"""ThinkPRM: a long verification of a solution so far, and then the probability of yes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from stepscore.policies.texts import TextPolicy, Turn
from stepscore.recipes.layouts.step_numbers import split_at_numbers
from stepscore.recipes.layouts.steps import split_at
from stepscore.scoring.verdicts.model import GenerativeRewardModel
from stepscore.scoring.verdicts.sampling import Sampling
from stepscore.scoring.verdicts.verdict_recipe import verdict_recipe
from stepscore.scoring.verdicts.word_verdict import Asked, Opening, WordVerdict, check_tells

_INSTRUCTION = (
    "Review and critique each step in the proposed solution to determine whether each step is "
    "correct. If the solution is incomplete, only verify the provided steps."
)
_NUMBER = re.compile(r"Step \d+:")


def think_prm(
    policy: TextPolicy,
    *,
    votes: int = 1,
    numbered: bool = True,
    instruction: str = _INSTRUCTION,
    temperature: float = 0.7,
    max_tokens: int = 8172,
    stop: Sequence[str] = ("Is the solution correct?", "</think>"),
    decision_temperature: float = 1.0,
    seed: int = 0,
) -> GenerativeRewardModel:
    r"""ThinkPRM: :math:`s_k = \frac{1}{n} \sum_v \mathrm{softmax}(l_{yes} / T, l_{no} / T)_{yes}`.

    Step k gets the score of the solution up to it. The verification begins with ``Let's verify step
    by step:``, ends at a text of `stop` or at the number of a step that is not there, and ``Is the
    solution correct?`` follows; `` yes`` and `` no`` are read as its next token.

    Args:
        policy: ThinkPRM's weights, such as ``launch/ThinkPRM-1.5B``.
        votes: verifications of each prefix; the authors' n.
        numbered: writes ``Step k:`` before the steps, as the authors do for a process verifier.
        instruction: below the solution; the default is what the models were trained with.
        temperature, max_tokens: of the verifications; the authors leave 20 of 8192 tokens.
        stop: what ends a verification.
        decision_temperature: T. SGLang's choice between texts, which the authors use, may average
            over the token before the answer as well, where a blank was healed: T = 2 gives that.
        seed: of everything that is drawn.

    Raises:
        InputError: what is no policy; votes, tokens or a temperature that no text can be drawn
            by.

    Source: mukhal/ThinkPRM, ``prm/thinkprm_api.py`` and ``utils/helper.py``. There a server error
    gives the score 0.269; here the step has none.
    """
    check_tells(policy, "think_prm")
    sampling = Sampling(max_tokens, temperature, votes=votes)
    recipe = verdict_recipe(
        "thinkprm",
        confidence="author",
        source="https://github.com/mukhal/ThinkPRM",
        default_aggregate="last",
        split=split_numbered,
        parameters={
            **sampling.as_parameters(),
            "numbered": numbered,
            "decision_temperature": decision_temperature,
        },
        unverified=(
            "over how many tokens SGLang averages the log-probabilities of its choices "
            "(decision_temperature)",
        ),
    )
    asked = Asked("\nIs the solution correct?", (" yes", " no"))
    verifier = WordVerdict(
        recipe,
        partial(_open, instruction, numbered),
        ("yes", "no"),
        (1.0, 0.0),
        sampling,
        asked=asked,
        stop=tuple(stop),
        cut_off="ask",
        decision_temperature=decision_temperature,
    )
    return GenerativeRewardModel(policy, verifier, seed)


def split_numbered(text: str) -> list[str]:
    """Split a solution in front of every ``Step n:``, else at blank lines."""
    return split_at_numbers(text) or split_at(text, "\n\n")


def _open(instruction: str, numbered: bool, problem: str, steps: Sequence[str]) -> Opening:
    bare = [_NUMBER.sub("", step).strip() for step in steps]
    shown = [f"Step {i}: {step}" if numbered else step for i, step in enumerate(bare, 1)]
    user = (
        "You are given a math problem and a proposed step-by-step solution:\n\n[Math Problem]\n\n"
        f"{problem}\n\n[Solution]\n\n{chr(10).join(shown)}\n\n{instruction}"
    )
    # A verifier of steps may go on with steps that are not there.
    stop = (f"Step {len(steps) + 1}:",) if numbered else ()
    return Opening((Turn("user", user),), "\nLet's verify step by step:", stop)
