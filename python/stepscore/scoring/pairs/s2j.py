"""S2J, solve to judge: the judge solves the problem, then names the better solution."""

from __future__ import annotations

from collections.abc import Mapping

from stepscore.scoring.pairs.verifier import PairVerifier, pair_verifier


def s2j(
    *,
    prompt: str,
    verdict: str,
    points: Mapping[str, float],
    max_tokens: int = 8192,
    temperature: float = 0.0,
) -> PairVerifier:
    """Compare as S2J does. Its prompt and the words of its verdict are unverified.

    Args:
        prompt: the user's turn, with ``{problem}``, ``{first}`` and ``{second}``.
        verdict: a regular expression whose group 1 is the word of the verdict; the last counts.
        points: each word -> the points of the first solution: 1, 0 or 0.5.
        max_tokens, temperature: of an answer.

    Raises:
        InputError: a prompt without a placeholder, or with one that is not filled in; a verdict
            that is no regular expression, or has no group.

    Source: Sun et al., "S2J: Bridging the Gap Between Solving and Judging Ability in Generative
    Reward Models" (arXiv 2509.22099).
    """
    return pair_verifier(
        "s2j",
        prompt=prompt,
        verdict=verdict,
        points=points,
        source="arXiv 2509.22099",
        confidence="unverified",
        unverified=("The prompt.", "The words of the verdict."),
        max_tokens=max_tokens,
        temperature=temperature,
    )
