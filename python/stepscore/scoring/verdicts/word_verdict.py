"""Verifiers that reason about a step and then say a word: the layout most families share."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from stepscore.errors import Argument, InputError, nearest
from stepscore.policies.texts import GeneratedText, TextPolicy, Turn
from stepscore.recipes import Recipe
from stepscore.scoring.score_options import check_choice
from stepscore.scoring.verdicts.programs import Program, VerdictError, ask, together
from stepscore.scoring.verdicts.sampling import Sampling
from stepscore.scoring.verdicts.verdict import Scope, Seeds, StepVerdict, Vote, decide
from stepscore.scoring.verdicts.verdict_arguments import check_words
from stepscore.scoring.verdicts.words import (
    THINKING_ENDS,
    Missing,
    find_verdict,
    no_verdict,
    read_next,
    read_words,
    reasoning_end,
    say_next,
)

# Braces around these are meant as a placeholder, whichever of them a family fills in.
_PLACEHOLDERS = frozenset(
    {"problem", "question", "step", "steps", "previous", "number", "solution", "response"}
)
# Braces around anything else are text, as in \boxed{} and \frac{a}{b}.
_IN_BRACES = re.compile(r"\{([A-Za-z_]+)\}")

# probability: of the verdict's words, renormalised;  text: the word alone, 0 or 1.
By = Literal["probability", "text"]
# error: no verdict;  ask: the verdict is asked for all the same, which is called budget forcing.
CutOff = Literal["error", "ask"]
Which = Literal["first", "last"]
# What one of its texts judges.
_Judged = Literal["step", "solution"]


@dataclass(frozen=True)
class Opening:
    """What a verifier is shown, how its answer begins, and what ends it beside the verifier's."""

    prompt: str | tuple[Turn, ...]
    prefill: str = ""
    stop: tuple[str, ...] = ()


# (problem, steps up to the one that is judged) -> Opening
Open = Callable[[str, Sequence[str]], Opening]


@dataclass(frozen=True)
class Asked:
    """A question behind the reasoning, whose next token is the verdict.

    Attributes:
        question: is put behind the reasoning.
        marker: where the reasoning has it, the question is not put, but all behind it is left out.
        forms: the words as they follow, blank and all, in the order of `WordVerdict.words`.
    """

    question: str
    forms: tuple[str, ...]
    marker: str | None = None


@dataclass(frozen=True)
class Tool:
    """Something that answers a verifier while it writes, such as a calculator or a table.

    Attributes:
        stop: texts that end a call; the verifier waits there.
        answer: what was written so far, the end of the call included -> what is put behind it.
        rounds: the most calls in one text.
    """

    stop: tuple[str, ...]
    answer: Callable[[str], str]
    rounds: int = 8


@dataclass(frozen=True)
class WordVerdict:
    r"""A verifier whose score is :math:`s = \sum_w v_w\, p_w`.

    :math:`p_w` is the probability of a verdict's word at its token, renormalised over the words, or
    1 for the word that the text says; the score is the mean over the votes.

    Attributes:
        recipe: name, source and range.
        open: what the verifier is shown.
        words: the verdicts.
        values: :math:`v`, one per word.
        sampling: how texts are drawn.
        pattern: finds the verdict in the text; its group 1 is the word.
        by: what the verdict is read from.
        asked: asks for the verdict behind the reasoning; None where the text says it.
        stop: texts that end the reasoning.
        cut_off: what becomes of a reasoning that was cut off before its verdict.
        missing: what a word gets that is not among the likeliest tokens.
        which: of several verdicts in a text.
        scope: the last step, or the solution as one.
        decision_temperature: divides the log-probabilities of a verdict that is asked for.
        tool: answers calls in the reasoning.
    """

    recipe: Recipe
    open: Open
    words: tuple[str, ...]
    values: tuple[float, ...]
    sampling: Sampling
    pattern: re.Pattern[str] | None = None
    by: By = "probability"
    asked: Asked | None = None
    stop: tuple[str, ...] = ()
    cut_off: CutOff = "error"
    missing: Missing = "floor"
    which: Which = "last"
    scope: Scope = "step"
    decision_temperature: float = 1.0
    tool: Tool | None = None

    def __post_init__(self) -> None:
        call = self.recipe.name.replace("-", "_")
        for name, value, kind in (
            ("by", self.by, By),
            ("cut_off", self.cut_off, CutOff),
            ("missing", self.missing, Missing),
            ("which", self.which, Which),
            ("scope", self.scope, _Judged),
        ):
            check_choice(call, name, value, kind)
        check_words(call, self.words, self.values)
        if not self.decision_temperature > 0:
            raise InputError(
                "a number above 0",
                got=repr(self.decision_temperature),
                argument="decision_temperature",
                where=call,
            )

    @property
    def logprobs(self) -> int:
        """How many of the likeliest tokens its verdict needs."""
        return self.sampling.logprobs if self.by == "probability" else 0

    @property
    def sample(self) -> str | tuple[Turn, ...]:
        """A prompt of the kind that it asks."""
        return self.open("1", ["1"]).prompt

    def judge(
        self, problem: str, steps: Sequence[str], seeds: Seeds, before: Sequence[StepVerdict] = ()
    ) -> Program[list[StepVerdict]]:
        """Judge the last step by all votes."""
        opening = self.open(problem, steps)
        votes = [self.vote(opening, seeds, number) for number in range(self.sampling.votes)]
        return [decide((yield from together(votes)), self.sampling.needed)]

    def vote(self, opening: Opening, seeds: Seeds, number: int) -> Program[Vote]:
        """Let one text judge."""
        text, written = yield from self._written(opening, seeds, number)
        if self.asked is None:
            return self._said(text, written + text.text)
        ended = text.stopped_by == THINKING_ENDS or reasoning_end(written + text.text) is not None
        if self.cut_off == "error" and (text.truncated or not ended):
            raise no_verdict(text, "a reasoning that ends before its verdict is asked for")
        return (
            yield from self._asked(
                self.asked, replace(opening, prefill=written), text, seeds, number
            )
        )

    def _written(
        self, opening: Opening, seeds: Seeds, number: int
    ) -> Program[tuple[GeneratedText, str]]:
        """Give the last piece of a text, in which no tool is called, and what stands before it."""
        written, calls = opening.prefill, self.tool.stop if self.tool else ()
        for round_ in range(1 + (self.tool.rounds if self.tool else 0)):
            request = self.sampling.request(
                opening.prompt,
                seeds(2 * round_, number),
                prefill=written,
                stop=(*self.stop, *opening.stop, *calls),
                logprobs=self.asked is None and self.by == "probability",
            )
            text = yield from ask(request)
            if self.tool is None or text.stopped_by not in calls:
                return text, written
            written += text.text + str(text.stopped_by)
            try:
                written += self.tool.answer(written)
            except Exception as error:
                reason = f"the tool failed: {type(error).__name__}: {error}"
                raise VerdictError(reason, written) from error
        raise VerdictError(f"no verdict within {round_} calls of the tool", written)

    def _said(self, text: GeneratedText, whole: str) -> Vote:
        assert self.pattern is not None
        before = whole.removesuffix(text.text)
        if self.by == "text":
            said = find_verdict(text, self.pattern, self.which, before)[1]
            place = next(
                (i for i, word in enumerate(self.words) if word.casefold() == said.casefold()), None
            )
            if place is None:
                raise VerdictError(f"expected one of {', '.join(self.words)}; got {said!r}", whole)
            return Vote(self.values[place], whole)
        reading = read_words(
            text,
            self.pattern,
            self.words,
            which=self.which,
            missing=self.missing,
            before=before,
        )
        return Vote(self._mean(reading.probabilities), whole)

    def _asked(
        self, asked: Asked, opening: Opening, text: GeneratedText, seeds: Seeds, number: int
    ) -> Program[Vote]:
        reasoning, marker, _ = text.text.partition(asked.marker or "\0")
        if text.stopped_by and text.stopped_by == asked.marker:
            marker = text.stopped_by
        before = opening.prefill + reasoning + (marker or asked.question)
        request = self.sampling.request(
            opening.prompt,
            seeds(1, number),
            prefill=before,
            logprobs=self.by == "probability",
            max_tokens=1,
        )
        answer = yield from ask(replace(request, temperature=0.0, top_p=1.0, top_k=0))
        if self.by == "text":
            probabilities = say_next(answer, asked.forms)
        else:
            temperature = self.decision_temperature
            probabilities = read_next(answer, asked.forms, self.missing, temperature)
        said = asked.forms[max(range(len(self.words)), key=probabilities.__getitem__)]
        score = self._mean(probabilities)
        return Vote(score, before + said, truncated=text.truncated)

    def _mean(self, probabilities: Sequence[float]) -> float:
        return math.fsum(v * p for v, p in zip(self.values, probabilities, strict=True))


def check_placeholders(
    call: str,
    argument: str,
    template: str,
    names: Sequence[str],
    others: Sequence[str] = (),
) -> None:
    """Refuse a prompt that does not show what is judged, or shows what nobody fills in.

    Args:
        call: of the family, for messages.
        argument: that holds the prompt.
        template: the prompt.
        names: placeholders that it must have.
        others: those that it may have.

    Raises:
        InputError: the first placeholder that is not there, or that stays as it is.
    """
    if not isinstance(template, str):
        raise InputError(
            "a text with placeholders, such as {problem}",
            got=type(template).__name__,
            argument=argument,
            where=call,
        )
    for name in names:
        if "{" + name + "}" not in template:
            raise InputError(
                f"a prompt with the placeholder {{{name}}}",
                got=repr(template[:60]),
                advice=f"write {{{name}}} where it belongs",
                argument=argument,
                where=call,
            )
    refuse_strays(call, argument, template, (*names, *others))


def refuse_strays(call: str, argument: str, template: str, names: Sequence[str]) -> None:
    """Refuse a placeholder that nobody fills in: the model would be told it as it stands.

    Args:
        call: of the family, for messages.
        argument: that holds the prompt.
        template: the prompt.
        names: the placeholders that are filled in.
    """
    for name in _IN_BRACES.findall(template):
        near = nearest(name, names, 0.7)
        if name not in names and (near or name in _PLACEHOLDERS):
            meant = f"did you mean {{{near}}}? " if near else ""
            raise InputError(
                f"no placeholder but {' and '.join(f'{{{each}}}' for each in names)}",
                got=f"{{{name}}}, which would be told as it stands",
                advice=f"{meant}other braces are text",
                argument=argument,
                where=call,
            )


def filled(template: str, **values: str) -> str:
    """Fill a prompt's placeholders in; other braces, such as those of LaTeX, stay."""
    pattern = re.compile("|".join(re.escape("{" + name + "}") for name in values))
    return pattern.sub(lambda match: values[match[0][1:-1]], template)


def check_tells(policy: TextPolicy, call: str) -> None:
    """Refuse what is no policy that writes texts."""
    if not callable(getattr(policy, "generate", None)):
        raise InputError(
            "a policy that writes texts, such as HuggingFacePolicy or EndpointPolicy",
            got=type(policy).__name__,
            argument=Argument("policy"),
            where=call,
        )
