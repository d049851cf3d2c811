"""Verifiers that judge every step of a solution in one text: read by its format, put to a vote."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from stepscore.policies.texts import GeneratedText, Turn
from stepscore.recipes import Recipe
from stepscore.scoring.verdicts.programs import Program, VerdictError, ask, together
from stepscore.scoring.verdicts.sampling import Sampling
from stepscore.scoring.verdicts.verdict import Scope, Seeds, StepVerdict, Vote, decide
from stepscore.scoring.verdicts.word_verdict import filled
from stepscore.scoring.verdicts.words import no_verdict

# (text, its part behind the reasoning, number of steps) -> a vote about each step, or why not
ReadSteps = Callable[[GeneratedText, str, int], Sequence[Vote | VerdictError]]

_HEADING = re.compile(r"^[^\w\n]*(?:step|paragraph)\s+(\d+)\b", re.IGNORECASE | re.MULTILINE)
_BOXED = re.compile(r"\\boxed\{\s*(?:\\text\{)?([^{}]*)\}")


@dataclass(frozen=True)
class TraceVotes:
    r"""A verifier of whole solutions: :math:`s_k` is the mean of the votes about step k.

    Attributes:
        recipe: name, source and range.
        prompts: one after the other, each seeing what the ones before it gave; the last one's text
            is read. Placeholders are ``{problem}``, ``{solution}`` and the names of the prompts.
        read: reads the votes.
        sampling: how texts are drawn.
        thinking_end: ends the reasoning; what stands before it is not read.
    """

    recipe: Recipe
    prompts: Mapping[str, str]
    read: ReadSteps
    sampling: Sampling
    thinking_end: str = "</think>"

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
        return (Turn("user", "1"),)

    def judge(
        self, problem: str, steps: Sequence[str], seeds: Seeds, before: Sequence[StepVerdict] = ()
    ) -> Program[list[StepVerdict]]:
        """Judge every step by all votes."""
        solution = "\n\n".join(f"Step {number}: {step}" for number, step in enumerate(steps, 1))
        votes = [
            self._vote(problem, solution, len(steps), seeds, number)
            for number in range(self.sampling.votes)
        ]
        cast = yield from together(votes)
        by_step = [
            [each if isinstance(each, VerdictError) else each[step] for each in cast]
            for step in range(len(steps))
        ]
        return [decide(ballots, self.sampling.needed) for ballots in by_step]

    def _vote(
        self, problem: str, solution: str, count: int, seeds: Seeds, number: int
    ) -> Program[Sequence[Vote | VerdictError]]:
        values = {"problem": problem, "solution": solution}
        for round_, (name, prompt) in enumerate(self.prompts.items()):
            turns = (Turn("user", filled(prompt, **values)),)
            text = yield from ask(self.sampling.request(turns, seeds(round_, number)))
            behind = self._behind(text)
            values[name] = behind
        return self.read(text, behind, count)

    def _behind(self, text: GeneratedText) -> str:
        """What stands behind the reasoning; all of a text that does not show any."""
        begin, end, behind = text.text.rpartition(self.thinking_end)
        if not end and text.truncated and "<think>" in text.text:
            raise no_verdict(text, f"a text behind {self.thinking_end}")
        return behind if end else begin + behind


def words_of_steps(
    good: Sequence[str] = ("correct",), bad: Sequence[str] = ("incorrect", "wrong")
) -> ReadSteps:
    r"""Read ``Step k: ... \boxed{correct}``: the last boxed word below each step's heading.

    A step that the text says nothing about has no vote.
    """
    values = dict.fromkeys(good, 1.0) | dict.fromkeys(bad, 0.0)

    def read(text: GeneratedText, behind: str, count: int) -> list[Vote | VerdictError]:
        found: dict[int, float] = {}
        for number, part in parts_of_steps(behind):
            words = [word.strip().lower() for word in _BOXED.findall(part)]
            said = [word for word in words if word in values]
            if said:
                found[number] = values[said[-1]]
        return votes_of(text, found, count)

    return read


def parts_of_steps(text: str) -> list[tuple[int, str]]:
    """Give the number of every step's heading, and the text below it."""
    headings = list(_HEADING.finditer(text))
    starts = [heading.start() for heading in headings]
    parts = zip(starts, [*starts[1:], len(text)], strict=False)
    return [
        (int(heading[1]), text[begin:end])
        for heading, (begin, end) in zip(headings, parts, strict=False)
    ]


def votes_of(
    text: GeneratedText,
    found: Mapping[int, float],
    count: int,
    corrections: Mapping[int, str] | None = None,
) -> list[Vote | VerdictError]:
    """Give a vote for each step, by its number from 1; why there is none for the others."""
    corrections = corrections or {}
    return [
        Vote(found[number], text.text, correction=corrections.get(number))
        if number in found
        else no_verdict(text, f"a verdict about step {number}")
        for number in range(1, count + 1)
    ]
