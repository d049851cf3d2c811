"""GM-PRM: a verdict about each step, and the first wrong one as it should be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from stepscore.policies.texts import GeneratedText, TextPolicy
from stepscore.scoring.verdicts.model import GenerativeRewardModel
from stepscore.scoring.verdicts.programs import VerdictError
from stepscore.scoring.verdicts.sampling import Sampling
from stepscore.scoring.verdicts.trace_votes import TraceVotes, words_of_steps
from stepscore.scoring.verdicts.verdict import Vote
from stepscore.scoring.verdicts.verdict_arguments import check_score, verdict_pattern
from stepscore.scoring.verdicts.verdict_recipe import verdict_recipe
from stepscore.scoring.verdicts.word_verdict import check_placeholders, check_tells

_CORRECTED = r"(?:Corrected|Correct|Refined) step(?: \d+)?\W*:\s*(.+?)\s*(?=\n\s*\n|\Z)"


def gm_prm(
    policy: TextPolicy,
    *,
    prompt: str,
    corrected: str = _CORRECTED,
    after_wrong: float | None = 0.0,
    votes: int = 1,
    temperature: float = 0.0,
    max_tokens: int = 4096,
    seed: int = 0,
) -> GenerativeRewardModel:
    r"""GM-PRM: :math:`s_k` is the share of texts that find step k correct.

    A text judges steps up to the first wrong one and writes that anew: the first verdict below 0.5
    of `VerdictScores` has it as `StepVerdict.correction`, from which a search can go on.

    Args:
        policy: the verifier; an image stands in its own prompt, and is not passed on here.
        prompt: with ``{problem}`` and ``{solution}``, whose steps begin ``Step k:``.
        corrected: finds the step as it should be, a regular expression whose group 1 it is.
        after_wrong: what steps behind the first wrong one get where the text says nothing about
            them; None makes that a missing verdict.
        votes, temperature, max_tokens: of the texts.
        seed: of everything that is drawn.

    Raises:
        InputError: what is no policy; a prompt without a placeholder, or with one that is not
            filled in; votes, tokens or a temperature that no text can be drawn by.

    Source: arXiv 2508.04088; its prompt, its format and the steps behind a wrong one could not be
    verified.
    """
    check_tells(policy, "gm_prm")
    check_placeholders("gm_prm", "prompt", prompt, ["problem", "solution"])
    check_score("gm_prm", "after_wrong", after_wrong)
    sampling = Sampling(max_tokens, temperature, votes=votes)
    recipe = verdict_recipe(
        "gm-prm",
        confidence="unverified",
        source="https://arxiv.org/abs/2508.04088",
        parameters={**sampling.as_parameters(), "after_wrong": after_wrong},
        unverified=(
            "the prompt",
            "the format of verdicts and corrections",
            "the score of steps behind the first wrong one (after_wrong)",
        ),
    )
    pattern = verdict_pattern("gm_prm", "corrected", corrected, re.IGNORECASE | re.DOTALL)
    said = words_of_steps()

    def read(text: GeneratedText, behind: str, count: int) -> Sequence[Vote | VerdictError]:
        votes_cast = list(said(text, behind, count))
        found = {
            number: vote.score
            for number, vote in enumerate(votes_cast, 1)
            if isinstance(vote, Vote)
        }
        wrong = min((number for number, score in found.items() if score == 0.0), default=None)
        if wrong is None:
            return votes_cast
        match = pattern.search(behind)
        if match and text.truncated and match.end() == len(behind):
            match = None  # its end may be missing
        for place, vote in enumerate(votes_cast):
            if isinstance(vote, Vote) and place + 1 == wrong and match:
                votes_cast[place] = replace(vote, correction=match[1])
            elif isinstance(vote, VerdictError) and place >= wrong and after_wrong is not None:
                votes_cast[place] = Vote(after_wrong, text.text)
        return votes_cast

    verifier = TraceVotes(recipe, {"judgement": prompt}, read, sampling)
    return GenerativeRewardModel(policy, verifier, seed)
