"""Likert scales: the expectation of a score over the probabilities of its tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from stepscore.errors import InputError
from stepscore.policies.texts import TextPolicy, Turn
from stepscore.recipes import Reading, Recipe
from stepscore.scoring.rubrics.answers import By, Draw, Words
from stepscore.scoring.rubrics.templates import check_template, fill
from stepscore.scoring.verdicts.model import GenerativeRewardModel
from stepscore.scoring.verdicts.programs import Program, together
from stepscore.scoring.verdicts.recipes import verdict_recipe
from stepscore.scoring.verdicts.verdict import Scope, Seeds, StepVerdict, Vote, decide


@dataclass(frozen=True)
class LikertVerdict:
    """A verifier that gives a step a whole number.

    Attributes:
        recipe: name, source and range.
        prompt: the user's turn, with ``{problem}``, ``{before}`` (the steps before) and ``{step}``.
        system: the system turn; empty for none.
        pattern: finds the number; it is group 1.
        words: the numbers, and what each is worth.
        draw: how texts are drawn.
    """

    recipe: Recipe
    prompt: str
    system: str
    pattern: re.Pattern[str]
    words: Words
    draw: Draw

    @property
    def scope(self) -> Scope:
        """It judges the last step."""
        return "step"

    @property
    def logprobs(self) -> int:
        """How many of the likeliest tokens its verdict needs."""
        return self.words.logprobs if self.words.by == "probability" else 0

    @property
    def sample(self) -> tuple[Turn, ...]:
        """A prompt of the kind that it asks."""
        return (Turn("user", "1"),)

    def judge(
        self, problem: str, steps: Sequence[str], seeds: Seeds, before: Sequence[StepVerdict] = ()
    ) -> Program[list[StepVerdict]]:
        """Judge the last step by all votes."""
        shown = {"problem": problem, "before": "\n".join(steps[:-1]), "step": steps[-1]}
        system = (Turn("system", self.system),) if self.system else ()
        prompt = (*system, Turn("user", fill(self.prompt, shown)))
        votes = [self._vote(prompt, seeds(0, number)) for number in range(self.draw.votes)]
        return [decide((yield from together(votes)), self.draw.quorum)]

    def _vote(self, prompt: tuple[Turn, ...], seed: int) -> Program[Vote]:
        text = yield from self.draw.text(prompt, seed, self.logprobs)
        return Vote(self.words.value(text, self.pattern), text.text)


def likert(
    policy: TextPolicy,
    *,
    prompt: str,
    levels: int = 5,
    verdict: str = r"SCORE:\s*\[?(\d+)",
    system: str = "",
    by: By = "probability",
    votes: int = 1,
    temperature: float = 0.0,
    max_tokens: int = 2048,
    seed: int = 0,
) -> GenerativeRewardModel:
    r"""Likert: :math:`s = (\sum_{k=1}^{K} k\, p_k - 1) / (K - 1)`, in [0, 1].

    :math:`p_k` is the probability of the number k where the text says its score, renormalised over
    1 to K; so two steps with the same number still differ. Read from the text it is 1 for the
    number that is said.

    Args:
        policy: writes the scores.
        prompt: the user's turn, with ``{problem}``, ``{before}`` (the steps before, one below the
            other) and ``{step}``.
        levels: K, 2 to 9: numbers of one token.
        verdict: a regular expression of the score, whose group 1 is the number; the last counts.
            The default is that of Web-Shepherd's Likert prompt.
        system: the system turn; empty for none.
        by: ``probability`` or ``text``.
        votes, temperature, max_tokens: of the texts about one step.
        seed: of everything that is drawn.

    Raises:
        InputError: a prompt without a placeholder; other levels.

    Source: Liu et al., "G-Eval" (arXiv 2303.16634), section 2; Trivedi et al.,
    "Self-rationalization improves LLM as a fine-grained judge" (arXiv 2410.05495), whose prompt is
    unverified.
    """
    check_template("likert", prompt, ("problem", "before", "step"))
    if type(levels) is not int or not 2 <= levels <= 9:
        raise InputError(
            "a whole number of 2 to 9", got=repr(levels), argument="levels", where="likert"
        )
    values = tuple(place / (levels - 1) for place in range(levels))
    recipe = verdict_recipe(
        "likert",
        confidence="author",
        source="arXiv 2303.16634",
        readings=(Reading("score", "softmax", values),),
        verdicts=levels,
        parameters={
            "by": by,
            "levels": levels,
            "votes": votes,
            "temperature": temperature,
            "max_tokens": max_tokens,
        },
        unverified=("The prompt of a judge that was trained on one.",),
    )
    numbers = tuple(str(level) for level in range(1, levels + 1))
    verifier = LikertVerdict(
        recipe,
        prompt,
        system,
        re.compile(verdict),
        Words(numbers, values, by),
        Draw(max_tokens, temperature, votes),
    )
    return GenerativeRewardModel(policy, verifier, seed)
