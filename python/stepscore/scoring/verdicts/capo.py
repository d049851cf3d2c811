"""CAPO: one text that names the wrong steps, several of them put to a vote."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from stepscore.policies.texts import GeneratedText, TextPolicy, Turn
from stepscore.recipes import Recipe
from stepscore.scoring.score_options import check_choice
from stepscore.scoring.verdicts.model import GenerativeRewardModel
from stepscore.scoring.verdicts.programs import Program, VerdictError
from stepscore.scoring.verdicts.sampling import Sampling
from stepscore.scoring.verdicts.trace_votes import BOXED, TraceVotes
from stepscore.scoring.verdicts.verdict import Scope, Seeds, StepVerdict, Vote
from stepscore.scoring.verdicts.verdict_recipe import verdict_recipe
from stepscore.scoring.verdicts.word_verdict import check_placeholders, check_tells
from stepscore.scoring.verdicts.words import no_verdict

# average: the share of critiques that do not name a step;  majority: 0 where more than half of them
# name it;  intersection: 0 only where all of them do.
Voting = Literal["average", "majority", "intersection"]
# the part behind the reasoning -> the numbers of the wrong steps, from 1; None where it says none
ReadWrong = Callable[[str], "Sequence[int] | None"]

_NONE = re.compile(r"none|no wrong steps?|-1|\[\s*\]", re.IGNORECASE)


def capo(
    policy: TextPolicy,
    *,
    prompt: str,
    votes: int = 4,
    voting: Voting = "majority",
    temperature: float = 0.7,
    max_tokens: int = 4096,
    read: ReadWrong | None = None,
    seed: int = 0,
) -> GenerativeRewardModel:
    r"""CAPO: a step that a critique does not name is right; :math:`s_k = 1 - \frac{w_k}{n}`.

    :math:`w_k` of the n critiques that came name step k; under ``majority`` and ``intersection``
    the score is 1 or 0.

    Args:
        policy: any capable model.
        prompt: with ``{problem}`` and ``{solution}``, whose steps begin ``Step k:``.
        votes, temperature, max_tokens: of the critiques.
        voting: how the critiques decide.
        read: reads the numbers of the wrong steps; None for the last ``\boxed{2, 3}``, or
            ``\boxed{none}``.
        seed: of everything that is drawn.

    Raises:
        InputError: what is no policy; a prompt without a placeholder, or with one that is not
            filled in; another way to vote; votes, tokens or a temperature that no text can be
            drawn by.

    Source: arXiv 2508.02298, which has one pass, and the three ways to vote; its prompt and format
    could not be verified.
    """
    check_tells(policy, "capo")
    check_placeholders("capo", "prompt", prompt, ["problem", "solution"])
    check_choice("capo", "voting", voting, Voting)
    sampling = Sampling(max_tokens, temperature if votes > 1 else 0.0, votes=votes)
    recipe = verdict_recipe(
        "capo",
        confidence="unverified",
        source="https://arxiv.org/abs/2508.02298",
        parameters={**sampling.as_parameters(), "voting": voting},
        unverified=("the prompt", "the format of the wrong steps", "how critiques are drawn"),
    )
    critiques = TraceVotes(recipe, {"critique": prompt}, _reader(read or boxed_numbers), sampling)
    return GenerativeRewardModel(policy, CapoVerifier(recipe, critiques, voting), seed)


@dataclass(frozen=True)
class CapoVerifier:
    """See `capo`; its arguments."""

    recipe: Recipe
    critiques: TraceVotes
    voting: Voting

    @property
    def scope(self) -> Scope:
        """All steps in one text."""
        return "trace"

    @property
    def logprobs(self) -> int:
        """It reads the text."""
        return 0

    @property
    def sample(self) -> tuple[Turn, ...]:
        """Turns."""
        return self.critiques.sample

    def judge(
        self, problem: str, steps: Sequence[str], seeds: Seeds, before: Sequence[StepVerdict] = ()
    ) -> Program[list[StepVerdict]]:
        """Judge every step by all critiques."""
        verdicts = yield from self.critiques.judge(problem, steps, seeds)
        if self.voting == "average":
            return verdicts
        return [_decided(verdict, self.voting) for verdict in verdicts]


def boxed_numbers(text: str) -> list[int] | None:
    r"""Read the last ``\boxed{2, 3}`` or ``\boxed{none}``; an empty one says nothing."""
    box = BOXED.match(text, max(text.rfind("\\boxed"), 0))
    if box is None:
        return None
    said = box[1].strip()
    if _NONE.fullmatch(said):
        return []
    said = said.strip(" []")
    parts = [part.strip().lower().removeprefix("step").strip() for part in said.split(",")]
    return [int(part) for part in parts] if all(part.isdecimal() for part in parts) else None


def _reader(read: ReadWrong) -> Callable[[GeneratedText, str, int], Sequence[Vote]]:
    def votes(text: GeneratedText, behind: str, count: int) -> list[Vote]:
        wrong = None if text.truncated else read(behind)
        if wrong is None:
            raise no_verdict(text, "the numbers of the wrong steps")
        strange = [number for number in wrong if not 1 <= number <= count]
        if strange:
            raise VerdictError(
                f"expected numbers of the {count} steps; got step {strange[0]}", text.text
            )
        return [Vote(float(number not in wrong), text.text) for number in range(1, count + 1)]

    return votes


def _decided(verdict: StepVerdict, voting: Voting) -> StepVerdict:
    if verdict.fault is not None:
        return verdict
    # The share is a quotient of the counts, so that a half is a half.
    right = verdict.score > 0 if voting == "intersection" else verdict.score >= 0.5
    return StepVerdict(float(right), verdict.texts, verdict.votes)
