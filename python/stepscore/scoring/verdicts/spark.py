"""SPARK: several verifications of a whole solution, a vote per step, and a meta-critique."""

from __future__ import annotations

from stepscore.policies.texts import TextPolicy
from stepscore.scoring.verdicts.model import GenerativeRewardModel
from stepscore.scoring.verdicts.sampling import Sampling
from stepscore.scoring.verdicts.trace_votes import ReadSteps, TraceVotes, words_of_steps
from stepscore.scoring.verdicts.verdict_recipe import verdict_recipe
from stepscore.scoring.verdicts.word_verdict import check_placeholders, check_tells


def spark(
    policy: TextPolicy,
    *,
    prompt: str,
    critique: str | None = None,
    merge: str | None = None,
    votes: int = 8,
    temperature: float = 0.7,
    max_tokens: int = 8192,
    read: ReadSteps | None = None,
    seed: int = 0,
) -> GenerativeRewardModel:
    r"""SPARK: :math:`s_k` is the share of verifications that find step k correct.

    Each verification judges all steps in one text. With `critique` a second text criticises the
    first, and its step verdicts count; with `merge` a third one merges both, and its own count.

    Args:
        policy: the verifier.
        prompt: with ``{problem}`` and ``{solution}``, whose steps begin ``Step k:``.
        critique: with ``{verification}``, and perhaps the others.
        merge: with ``{verification}`` and ``{critique}``.
        votes, temperature, max_tokens: of the verifications.
        read: reads the verdicts; None for ``Step k: ... \boxed{correct}`` or ``incorrect``.
        seed: of everything that is drawn.

    Raises:
        InputError: what is no policy; a prompt without a placeholder, or with one that is not
            filled in; a merge without a critique; votes, tokens or a temperature that no text
            can be drawn by.

    Source: arXiv 2512.03244 (step-level self-consistency, and meta-critique); its prompts and the
    numbers of its verifications could not be verified.
    """
    check_tells(policy, "spark")
    check_placeholders("spark", "prompt", prompt, ["problem", "solution"])
    prompts, shown = {"verification": prompt}, ["problem", "solution"]
    if critique is not None:
        check_placeholders("spark", "critique", critique, ["verification"], shown)
        prompts["critique"] = critique
    if merge is not None:
        check_placeholders("spark", "merge", merge, ["verification", "critique"], shown)
        if critique is None:
            check_placeholders("spark", "critique", "", ["verification"])
        prompts["merged"] = merge
    sampling = Sampling(max_tokens, temperature if votes > 1 else 0.0, votes=votes)
    recipe = verdict_recipe(
        "spark",
        confidence="unverified",
        source="https://arxiv.org/abs/2512.03244",
        parameters={**sampling.as_parameters(), "passes": len(prompts)},
        unverified=("the prompts", "the format of the verdicts", "how verifications are drawn"),
    )
    verifier = TraceVotes(recipe, prompts, read or words_of_steps(), sampling)
    return GenerativeRewardModel(policy, verifier, seed)
