"""Rubric rewards: every criterion of a list is a question of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from stepscore.errors import InputError
from stepscore.policies.texts import TextPolicy, Turn
from stepscore.recipes import Recipe
from stepscore.scoring.rubrics.answers import By, Draw, Words
from stepscore.scoring.rubrics.shares import check_weights, share
from stepscore.scoring.rubrics.templates import check_template, fill, fingerprint
from stepscore.scoring.verdicts.model import GenerativeRewardModel
from stepscore.scoring.verdicts.programs import Program, VerdictError, together
from stepscore.scoring.verdicts.verdict import Scope, Seeds, StepVerdict, Vote, decide
from stepscore.scoring.verdicts.verdict_arguments import verdict_pattern
from stepscore.scoring.verdicts.verdict_recipe import verdict_recipe
from stepscore.scoring.verdicts.word_verdict import check_tells

# A criterion and its points.
Criterion = tuple[str, float]


@dataclass(frozen=True)
class RubricVerdict:
    """A verifier that asks of every criterion by itself whether a solution meets it.

    A criterion without an answer leaves the solution without a score: the share of the others would
    be the score of another rubric.

    Attributes:
        recipe: name, source and range.
        criteria: problem -> its criteria with their points.
        prompt: the user's turn, with ``{problem}``, ``{solution}`` and ``{criterion}``.
        pattern: finds an answer; its group 1 is the word.
        words: the answers.
        draw: how texts are drawn, for every criterion.
    """

    recipe: Recipe
    criteria: Callable[[str], Sequence[Criterion]]
    prompt: str
    pattern: re.Pattern[str]
    words: Words
    draw: Draw

    @property
    def scope(self) -> Scope:
        """It judges the solution as one."""
        return "solution"

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
        """Judge the solution by all criteria."""
        criteria = self.criteria(problem)
        solution = "\n".join(steps)
        votes = [
            self._vote(
                fill(
                    self.prompt, {"problem": problem, "solution": solution, "criterion": criterion}
                ),
                seeds(place, number),
            )
            for place, (criterion, _) in enumerate(criteria)
            for number in range(self.draw.votes)
        ]
        given = yield from together(votes)
        answers = [
            decide(given[first : first + self.draw.votes], self.draw.quorum)
            for first in range(0, len(given), self.draw.votes)
        ]
        return [_joined(answers, [points for _, points in criteria])]

    def _vote(self, prompt: str, seed: int) -> Program[Vote]:
        text = yield from self.draw.text((Turn("user", prompt),), seed, self.logprobs)
        return Vote(self.words.value(text, self.pattern), text.text)


def rubric(
    policy: TextPolicy,
    *,
    criteria: Sequence[Criterion] | Callable[[str], Sequence[Criterion]],
    prompt: str,
    verdict: str = r'"criteria_met"\s*:\s*(true|false)|"criteria_met"',
    words: tuple[str, str] = ("true", "false"),
    by: By = "text",
    votes: int = 1,
    temperature: float = 0.0,
    max_tokens: int = 2048,
    seed: int = 0,
) -> GenerativeRewardModel:
    r"""Rubric rewards: :math:`s = \mathrm{clip}(\sum_i w_i a_i / \sum_{w_i > 0} w_i, 0, 1)`.

    :math:`a_i` is the answer to criterion i: 1 where it is met, or the probability of that. Points
    below 0 are for what a solution should not do.

    Args:
        policy: writes the answers.
        criteria: texts with their points: of all problems, or a function of the problem.
        prompt: the user's turn, with ``{problem}``, ``{solution}`` and ``{criterion}``.
        verdict: a regular expression of the answer, whose group 1 is the word; the last counts, and
            is no answer where the group is no word. The default is HealthBench's.
        words: met, and not met.
        by: ``text``, as published, or ``probability`` of the word, renormalised over both.
        votes, temperature, max_tokens: of the texts about one criterion.
        seed: of everything that is drawn.

    Raises:
        InputError: what is no policy; a prompt without a placeholder; points that are no numbers,
            or none above 0; no expression with a group; words that are not two different ones.

    Source: Arora et al., "HealthBench" (arXiv 2505.08775), openai/simple-evals
    ``healthbench_eval.py``; Gunjal et al., "Rubrics as Rewards" (arXiv 2507.17746).
    """
    check_tells(policy, "rubric")
    check_template("rubric", prompt, ("problem", "solution", "criterion"))
    pattern = verdict_pattern("rubric", "verdict", verdict)
    fixed = None if callable(criteria) else list(criteria)
    if fixed is not None:
        _checked(lambda _: fixed, "")
    recipe = verdict_recipe(
        "rubric",
        confidence="author",
        source="arXiv 2505.08775",
        unit="solution",
        parameters={
            "by": by,
            "votes": votes,
            "temperature": temperature,
            "max_tokens": max_tokens,
            "prompt": fingerprint(prompt, verdict, *words),
            "criteria": "of the problem" if fixed is None else fingerprint(repr(fixed)),
            "seed": seed,
        },
        unverified=("The prompt of a grader that was trained on one.",),
    )
    of_problem = criteria if callable(criteria) else lambda _: fixed or []
    verifier = RubricVerdict(
        recipe,
        partial(_checked, of_problem),
        prompt,
        pattern,
        Words(words, (1.0, 0.0), by),
        Draw(max_tokens, temperature, votes),
    )
    return GenerativeRewardModel(policy, verifier, seed)


def _checked(criteria: Callable[[str], Sequence[Criterion]], problem: str) -> Sequence[Criterion]:
    found = criteria(problem)
    pairs = all(isinstance(each, (tuple, list)) and len(each) == 2 for each in found)
    if not found or not pairs or not all(isinstance(each[0], str) for each in found):
        raise InputError(
            "criteria, each a text and its points",
            got=repr(found)[:60],
            argument="criteria",
            where="rubric",
        )
    check_weights("rubric", [points for _, points in found])
    return found


def _joined(answers: Sequence[StepVerdict], points: Sequence[float]) -> StepVerdict:
    texts = tuple(text for answer in answers for text in answer.texts)
    for place, answer in enumerate(answers):
        if answer.fault is not None:
            fault = VerdictError(f"criterion {place + 1} has no answer: {answer.fault}")
            return StepVerdict(float("nan"), texts, 0, str(fault))
    votes = min(answer.votes for answer in answers)
    return StepVerdict(share([answer.score for answer in answers], points), texts, votes)
