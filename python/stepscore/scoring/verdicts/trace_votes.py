"""Verifiers that judge every step of a solution in one text: read by its format, put to a vote."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass

from stepscore.policies.texts import GeneratedText, Turn
from stepscore.recipes import Recipe
from stepscore.scoring.verdicts.programs import Program, VerdictError, ask, together
from stepscore.scoring.verdicts.sampling import Sampling
from stepscore.scoring.verdicts.verdict import Scope, Seeds, StepVerdict, Vote, decide
from stepscore.scoring.verdicts.word_verdict import filled
from stepscore.scoring.verdicts.words import behind_reasoning, no_verdict

# (text, its part behind the reasoning, number of steps) -> a vote about each step, or why not
ReadSteps = Callable[[GeneratedText, str, int], Sequence[Vote | VerdictError]]

# At the beginning of a line, or behind the verdict about another step.
_HEADING = re.compile(
    r"(?:^[^\w\n]*|(?<=\})[^\w\n]*(?=\w+\s+\d+\W*:))(?:step|paragraph)\s+(\d+)\b",
    re.IGNORECASE | re.MULTILINE,
)
BOXED = re.compile(r"\\boxed\{\s*(?:\\(?:text|textbf|mathrm|mathbf)\{)?([^{}]*)\}")
# What stands in a box, and the braces and names of macros in it.
_BOXES = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_MACROS = re.compile(r"\\[a-z]+|[{}]")
# Begins what is said of the solution as a whole, which is no verdict about its last step.
_OVERALL = re.compile(
    r"^\W*(?:(?:so|thus|hence|therefore|in|finally|the|this|my)\W+)*"
    r"(?:overall|conclusion|summary|final|(?:whole|entire|full|complete)\s+solution"
    r"|solution\s+(?:as\s+a\s+whole|is\b)|all\s+(?:of\s+)?(?:the\s+)?steps|steps\s+\d+)\b",
    re.IGNORECASE | re.MULTILINE,
)


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
        votes = self.read(text, behind, count)
        if len(votes) != count:
            raise VerdictError(f"expected votes about {count} steps; got {len(votes)}", text.text)
        return votes

    def _behind(self, text: GeneratedText) -> str:
        """What stands behind the reasoning; all of a text that does not show any."""
        return behind_reasoning(text, ends=self.thinking_end)


def words_of_steps(
    good: Sequence[str] = ("correct",), bad: Sequence[str] = ("incorrect", "wrong")
) -> ReadSteps:
    r"""Read ``Step k: ... \boxed{correct}``: the boxed word below each step's heading.

    What is said of the solution as a whole, or of several steps, counts for no step. A step has no
    vote that the text says nothing about, of which it says two things or half a thing
    (``\boxed{not correct}``), or in whose part it was cut off.
    """
    values = dict.fromkeys(good, 1.0) | dict.fromkeys(bad, 0.0)
    among_others = re.compile(rf"\b(?:{'|'.join(map(re.escape, values))})\b")

    def read(text: GeneratedText, behind: str, count: int) -> list[Vote | VerdictError]:
        said: dict[int, set[float]] = {}
        parts = parts_of_steps(behind)
        for number, part in parts:
            given = said.setdefault(number, set())
            for box in _BOXES.findall(part):
                word = _MACROS.sub("", box).strip().lower()
                if word in values:
                    given.add(values[word])
                elif among_others.search(word):  # as of "not correct": it says neither
                    given.update((0.0, 1.0))
        if text.truncated and parts:
            del said[parts[-1][0]]
        strange = [number for number in said if said[number] and not 1 <= number <= count]
        if strange:
            raise no_verdict(text, f"verdicts about steps 1 to {count}, none about {strange[0]}")
        found = {number: value for number, [value, *more] in _given(said) if not more}
        twice = {number for number, given in _given(said) if len(given) > 1}
        return votes_of(text, found, count, twice=twice)

    return read


def _given(said: Mapping[int, set[float]]) -> list[tuple[int, list[float]]]:
    """The numbers of the steps that something is said of, and what."""
    return [(number, sorted(values)) for number, values in said.items() if values]


def parts_of_steps(text: str) -> list[tuple[int, str]]:
    """Give the number of every step's heading, and the text below it, without a conclusion."""
    headings = list(_HEADING.finditer(text))
    starts = [heading.start() for heading in headings]
    parts = zip(starts, [*starts[1:], len(text)], strict=False)
    return [
        (int(heading[1]), _OVERALL.split(text[begin:end], maxsplit=1)[0])
        for heading, (begin, end) in zip(headings, parts, strict=False)
    ]


def votes_of(
    text: GeneratedText,
    found: Mapping[int, float],
    count: int,
    twice: Container[int] = (),
) -> list[Vote | VerdictError]:
    """Give a vote for each step, by its number from 1; why there is none for the others.

    Args:
        text: what was written.
        found: the scores.
        count: the number of steps.
        twice: steps with verdicts that contradict each other.
    """
    return [
        Vote(found[number], text.text)
        if number in found
        else no_verdict(text, f"{'one' if number in twice else 'a'} verdict about step {number}")
        for number in range(1, count + 1)
    ]
