"""Texts in which clients send a problem and its solution together, and what stands around them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stepscore.errors import Argument, InputError
from stepscore.recipes.layouts.steps import shorten_around
from stepscore.server.errors import InvalidError

_PROBLEM, _SOLUTION = "{problem}", "{solution}"
# What chat templates put around a turn, in the vocabularies of published models.
_MARK = re.compile(
    r"<\|[^|<>\n]{1,40}\|>|<｜[^｜<>\n]{1,40}｜>|</?s>|</?(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>"
)
# What a prompt of plain text ends with where a solution is to begin.
_CALL = re.compile(r"(?:^|\n)\s*(?:Assistant|ASSISTANT|Answer|Solution|Response)\s*:\s*\Z")
_SAY_TEMPLATE = (
    "give the server its template, the text that stands around {problem} and {solution}; or send "
    "them apart, as /v1/rank and /v1/score take them"
)


@dataclass(frozen=True)
class Template:
    """What stands before a problem, between it and its solution, and behind that.

    Attributes:
        optional: what a tokenizer may put in front of it all, such as its BOS.
    """

    before: str
    between: str
    after: str
    optional: str = ""

    @classmethod
    def parsed(cls, text: str) -> Template:
        """Read a template: a text with ``{problem}`` and ``{solution}`` in it, once each.

        Raises:
            InputError: it is none, or nothing stands between the two.
        """
        before, _, rest = text.partition(_PROBLEM)
        between, solution, after = rest.partition(_SOLUTION)
        if not solution or not between.strip() or _PROBLEM in rest or _SOLUTION in before + after:
            raise InputError(
                f"a text with {_PROBLEM} and then {_SOLUTION} in it, once each, and a mark between",
                got=repr(text),
                argument="template",
                where="server settings",
            )
        return cls(before, between, after)

    @classmethod
    def of_tokenizer(cls, tokenizer: Any, system: str | None = None) -> Template | None:
        """Give the chat template of a tokenizer, or None where it has none that can be read.

        Args:
            tokenizer: of transformers.
            system: what its turn of the system says; None leaves that to the template.
        """
        if getattr(tokenizer, "chat_template", None) is None:
            return None
        turns = [{"role": "user", "content": _PROBLEM}, {"role": "assistant", "content": _SOLUTION}]
        if system is not None:
            turns.insert(0, {"role": "system", "content": system})
        try:
            template = cls.parsed(tokenizer.apply_chat_template(turns, tokenize=False))
        except Exception:  # whatever a template of somebody raises, or one that is none of these
            return None
        begin = tokenizer.bos_token or ""
        if begin and template.before.startswith(begin):
            return cls(template.before[len(begin) :], template.between, template.after, begin)
        return template

    def divided(self, text: str) -> tuple[str, str] | None:
        """Give the problem and the solution of a text, or None where it is not to be divided."""
        inner = self._inner(text)
        if inner is None or inner.count(self.between) != 1:
            return None
        problem, _, solution = inner.partition(self.between)
        return problem, solution.removesuffix(self.after) if self.after else solution

    def problem_of(self, prompt: str) -> str | None:
        """Give the problem of a text that ends where the solution begins, or None."""
        inner = self._inner(prompt)
        if inner is None or not inner.endswith(self.between) or inner.count(self.between) != 1:
            return None
        return inner.removesuffix(self.between)

    def _inner(self, text: str) -> str | None:
        text = text.removeprefix(self.optional)
        return text[len(self.before) :] if text.startswith(self.before) else None


@dataclass(frozen=True)
class Dividing:
    """How one server divides what its clients send whole; never by a guess.

    Attributes:
        template: that of its settings, else that of its tokenizer; None where there is neither.
        typed: whether it is that of the settings, which then every text must have.
        tokenizer: of the model.
    """

    template: Template | None
    typed: bool
    tokenizer: Any

    @classmethod
    def of(cls, template: str | None, tokenizer: Any) -> Dividing:
        """Make it of a setting and a tokenizer, either of which may be None."""
        if template is not None:
            return cls(Template.parsed(template), True, tokenizer)
        return cls(Template.of_tokenizer(tokenizer), False, tokenizer)

    def whole(self, text: str, argument: Argument) -> tuple[str, str]:
        """Give the problem and the solution of a whole text.

        Raises:
            InvalidError: it cannot be divided surely.
        """
        found = None if self.template is None else self.template.divided(text)
        if found is None:
            raise self._not_divided("a problem and its solution in the chat template", argument)
        problem, solution = found
        return self._unmarked(problem, argument), solution

    def prompt(self, text: str, argument: Argument) -> str:
        """Give the problem of a prompt: what the template has in it, or the text without marks.

        Raises:
            InvalidError: it has marks of another template.
        """
        found = None if self.template is None else self.template.problem_of(text)
        if found is None and self.typed:
            raise self._not_divided("a problem in the template of the server", argument)
        if found is not None:
            return self._unmarked(found, argument)
        if _CALL.search(text):
            raise self._not_divided("a problem, and nothing that calls for its solution", argument)
        return self._unmarked(text, argument)

    def messages(self, turns: Sequence[Mapping[str, str]]) -> tuple[str, str]:
        """Give the problem and the solution of a chat: one turn of a user, one of an assistant.

        Raises:
            InvalidError: other turns, or a system's that the model does not read.
        """
        roles = [turn["role"] for turn in turns]
        if roles[-2:] != ["user", "assistant"] or roles[:-2] not in ([], ["system"]):
            raise InvalidError(
                "one message of the user, the problem, and one of the assistant, the solution",
                got=" ".join(roles) or "none",
                argument="messages",
            )
        return self.asked(turns[:-1], "messages"), turns[-1]["content"]

    def asked(self, turns: Sequence[Mapping[str, str]], field: str) -> str:
        """Give the problem of a chat that ends where the solution begins.

        Raises:
            InvalidError: other turns than the user's one, or a system's that the model does not
                read.
        """
        roles = [turn["role"] for turn in turns]
        if roles not in (["user"], ["system", "user"]):
            raise InvalidError(
                "one message of the user, the problem",
                got=" ".join(roles) or "none",
                argument=field,
            )
        if len(turns) == 2:
            self._check_system(turns[0]["content"], field)
        return self._unmarked(turns[-1]["content"], Argument(field, index=(len(turns) - 1,)))

    def _check_system(self, text: str, field: str) -> None:
        """Refuse a system's message other than the one that the tokenizer writes by itself."""
        usual = Template.of_tokenizer(self.tokenizer)
        if usual is None or Template.of_tokenizer(self.tokenizer, text) != usual:
            raise InvalidError(
                "no message of the system, or the one of the model's chat template",
                got="another one",
                advice="leave it out: the recipe knows what the model was trained with",
                argument=Argument(field, index=(0,)),
            )

    def _unmarked(self, problem: str, argument: Argument) -> str:
        mark = _MARK.search(problem)
        if mark is not None:
            raise InvalidError(
                f"a problem without {mark[0].strip()!r}, a mark of a chat template",
                got=shorten_around(problem, mark.start()),
                advice=_SAY_TEMPLATE,
                argument=argument,
            )
        return problem

    def _not_divided(self, expected: str, argument: Argument) -> InvalidError:
        got = "a text without it" if self.template is not None else "a text, and no template"
        return InvalidError(expected, got=got, advice=_SAY_TEMPLATE, argument=argument)


def check_unmarked_solution(solution: str, argument: Argument) -> None:
    """Refuse the marks of a chat template inside of what a model wrote.

    Raises:
        InvalidError: with the mark.
    """
    mark = _MARK.search(solution)
    if mark is not None:
        raise InvalidError(
            f"a solution without {mark[0].strip()!r}, a mark of a chat template",
            got=shorten_around(solution, mark.start()),
            advice="send what the model wrote in one turn",
            argument=argument,
        )


def behind(prompt: str, query: str, argument: Argument, beginning: str) -> str:
    """Give what a query has behind its prompt: what a model wrote.

    Args:
        prompt: with which the query begins.
        query: as the model saw and continued it.
        argument: the field of the query.
        beginning: the field of the prompt, as a message spells it.

    Raises:
        InvalidError: the query does not begin with the prompt.
    """
    if not query.startswith(prompt):
        raise InvalidError(
            f"a text that begins with {beginning}, sign for sign",
            got="another beginning",
            advice="send the prompt as the model saw it: special tokens kept, nothing cut",
            argument=argument,
        )
    return query[len(prompt) :]
