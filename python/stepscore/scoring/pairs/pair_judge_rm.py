"""PairJudge RM: both solutions of a pair are called correct or incorrect."""

from __future__ import annotations

import re

from stepscore.scoring.pairs.verifier import PairVerifier
from stepscore.scoring.verdicts.programs import VerdictError


def pair_judge_rm(*, prompt: str, max_tokens: int = 2048, temperature: float = 0.0) -> PairVerifier:
    """Compare as PairJudge RM does, which calls each of the two correct or incorrect.

    One that is correct where the other is not is better; two alike are level. The authors let the
    first advance where both are correct, and nobody where none is.

    Args:
        prompt: the user's turn, with ``{problem}``, ``{first}`` and ``{second}``: the text of
            ``prompts/compare_0_ex.md`` of THU-KEG/PairJudgeRM, which is long, and was seen in
            third parties' copies alone.
        max_tokens, temperature: of an answer; 2048 and 0 are the authors'.

    Raises:
        InputError: a prompt without a placeholder, or with one that is not filled in.

    Source: Liu et al., "PairJudge RM: Perform Best-of-N Sampling with Knockout Tournament" (arXiv
    2501.13007).
    """
    return PairVerifier(
        "pair-judge-rm",
        prompt,
        _compare_judgments,
        "THU-KEG/PairJudgeRM pairwise/compare_resp.py",
        "third-party",
        ("The prompt's text.",),
        "You are a helpful assistant.",
        max_tokens,
        temperature,
    )


def _compare_judgments(text: str) -> float:
    first, second = (_judgment(text, name) for name in "ab")
    return 0.5 + 0.5 * (first - second)


def _judgment(text: str, name: str) -> bool:
    tag = f"resp_{name}_judge"
    every = re.findall(rf"<{tag}>\s*(\w+)\s*</{tag}>|<{tag}>", text, re.IGNORECASE)
    word = every[-1].lower() if every else ""
    if word not in ("correct", "incorrect"):
        raise VerdictError(
            f"expected <{tag}> with Correct or Incorrect; got {word or text[-80:]!r}", text
        )
    return word == "correct"
