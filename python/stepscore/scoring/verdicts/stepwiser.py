"""StepWiser: a judge that reasons about a chunk of thought and then says a word."""

from __future__ import annotations

from stepscore.policies.texts import TextPolicy
from stepscore.scoring.verdicts.model import GenerativeRewardModel
from stepscore.scoring.verdicts.prompted import prompted
from stepscore.scoring.verdicts.sampling import Sampling
from stepscore.scoring.verdicts.word_verdict import By, check_placeholders


def stepwiser(
    policy: TextPolicy,
    *,
    prompt: str,
    votes: int = 1,
    temperature: float = 0.0,
    max_tokens: int = 4096,
    by: By = "probability",
    seed: int = 0,
) -> GenerativeRewardModel:
    r"""StepWiser: :math:`s_k = p_{Positive} / (p_{Positive} + p_{Negative})`, chunk by chunk.

    A step is a chunk of thought: the judge reads the problem and the chunks before it, reasons
    about the newest, and ends in ``\boxed{Positive}`` or ``\boxed{Negative}``.

    Args:
        policy: the judge.
        prompt: what the judge is told, with ``{problem}``, ``{previous}`` and ``{step}``; the
            authors' text is unverified.
        votes, temperature, max_tokens: of the judgements of each chunk.
        by: the probability of the verdict, or the verdict itself.
        seed: of everything that is drawn.

    Raises:
        InputError: what is no policy; a prompt without a placeholder, or with one that is not
            filled in; votes, tokens or a temperature that no text can be drawn by.

    Source: arXiv 2508.19229, which has the verdicts; its prompt could not be verified.
    """
    check_placeholders("stepwiser", "prompt", prompt, ["problem", "previous", "step"])
    sampling = Sampling(max_tokens, temperature, votes=votes)
    return prompted(
        policy,
        name="stepwiser",
        prompt=prompt,
        words=("Positive", "Negative"),
        sampling=sampling,
        by=by,
        source="https://arxiv.org/abs/2508.19229",
        unverified=("the prompt", "how a judgement is drawn"),
        seed=seed,
    )
