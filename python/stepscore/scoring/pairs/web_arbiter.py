"""WebArbiter: which of two actions of a web agent helps its task more."""

from __future__ import annotations

from collections.abc import Mapping

from stepscore.scoring.pairs.verifier import PairVerifier, pair_verifier


def web_arbiter(
    *,
    prompt: str,
    verdict: str,
    points: Mapping[str, float],
    max_tokens: int = 8192,
    temperature: float = 0.0,
) -> PairVerifier:
    """Compare as WebArbiter does. Its prompt and the words of its verdict are unverified.

    The judge derives principles from the task and the state of the page, holds two actions against
    them, and ends with the better one; the authors choose among candidates by a knockout
    (``how="knockout"``). The problem holds the task, the page and the actions before.

    Args:
        prompt: the user's turn, with ``{problem}``, ``{first}`` and ``{second}``.
        verdict: a regular expression whose group 1 is the word of the verdict; the last counts.
        points: each word -> the points of the first solution: 1, 0 or 0.5.
        max_tokens, temperature: of an answer.

    Raises:
        InputError: a prompt without a placeholder, or with one that is not filled in; a verdict
            that is no regular expression, or has no group.

    Source: Zhang et al., "WebArbiter: A Principle-Guided Reasoning Process Reward Model for Web
    Agents" (arXiv 2601.21872).
    """
    return pair_verifier(
        "web-arbiter",
        prompt=prompt,
        verdict=verdict,
        points=points,
        source="arXiv 2601.21872",
        confidence="unverified",
        unverified=("The prompt.", "The words of the verdict."),
        max_tokens=max_tokens,
        temperature=temperature,
    )
