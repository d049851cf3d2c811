"""Verifiers that answer a checklist in one text: the score is the share of it that is done."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stepscore.policies.texts import GeneratedText, Turn
from stepscore.recipes import Recipe
from stepscore.scoring.rubrics.answers import Draw, Words
from stepscore.scoring.rubrics.shares import share
from stepscore.scoring.verdicts.programs import Program, VerdictError, together
from stepscore.scoring.verdicts.verdict import Scope, Seeds, StepVerdict, Vote, decide

# (problem, steps up to the one that is judged, the checklist) -> the conversation
Show = Callable[[str, Sequence[str], Sequence[str]], tuple[Turn, ...]]


@dataclass(frozen=True)
class ChecklistVerdict:
    """A verifier whose text answers every item of a checklist.

    A text that leaves an item out, or answers one that is not there, gives no verdict: the share of
    another checklist would be a score like any other.

    Attributes:
        recipe: name, source and range.
        items: problem -> its checklist.
        show: what the verifier is shown.
        section: finds where the answers begin.
        answer: finds an answer there: group 1 is the item's number, from 1, group 2 the word.
        words: the answers.
        draw: how texts are drawn.
        sample: a prompt of the kind that it asks.
    """

    recipe: Recipe
    items: Callable[[str], Sequence[str]]
    show: Show
    section: re.Pattern[str]
    answer: str
    words: Words
    draw: Draw
    sample: tuple[Turn, ...]

    @property
    def scope(self) -> Scope:
        """It judges the last step."""
        return "step"

    @property
    def logprobs(self) -> int:
        """How many of the likeliest tokens its verdict needs."""
        return self.words.logprobs if self.words.by == "probability" else 0

    def judge(
        self, problem: str, steps: Sequence[str], seeds: Seeds, before: Sequence[StepVerdict] = ()
    ) -> Program[list[StepVerdict]]:
        """Judge the last step by all votes."""
        items = self.items(problem)
        prompt = self.show(problem, steps, items)
        votes = [
            self._vote(prompt, len(items), seeds(0, number)) for number in range(self.draw.votes)
        ]
        return [decide((yield from together(votes)), self.draw.quorum)]

    def _vote(self, prompt: tuple[Turn, ...], items: int, seed: int) -> Program[Vote]:
        text = yield from self.draw.text(prompt, seed, self.logprobs)
        return Vote(self._share(text, items), text.text)

    def _share(self, text: GeneratedText, items: int) -> float:
        sections = list(self.section.finditer(text.text))
        if not sections:
            raise VerdictError(f"expected a text with {self.section.pattern!r}", text.text)
        any_item = re.compile(self.answer.format(r"(\d+)"))
        numbers = sorted(
            int(match[1]) for match in any_item.finditer(text.text, sections[-1].end())
        )
        if numbers != list(range(1, items + 1)):
            raise VerdictError(
                f"expected an answer to each of {items} items; got answers to {numbers}", text.text
            )
        values = [
            self.words.value(text, re.compile(self.answer.format(f"{number}(?!\\d)")))
            for number in range(1, items + 1)
        ]
        return share(values, [1.0] * items)
