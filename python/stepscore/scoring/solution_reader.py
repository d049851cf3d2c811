"""Solutions of users as the steps that a model reads, or why they cannot be read."""

from __future__ import annotations

from dataclasses import dataclass, replace

from stepscore.errors import Argument, InputError, InputTypeError, Words
from stepscore.recipes import Recipe
from stepscore.scoring.reserved_tokens import ReservedTokens
from stepscore.scoring.score_options import SpecialTokens

_PASS_STRIP_END: Words = ("remove it, or pass ", Argument("special_tokens", "strip_end"))


@dataclass(frozen=True)
class SolutionReader:
    """What turns the texts of users into problems and steps.

    Attributes:
        recipe: splits texts, and knows what it cannot lay out.
        reserved: the special tokens of the model's tokenizer.
        special_tokens: ``strip_end`` removes those that end a candidate; ``error`` refuses them.
    """

    recipe: Recipe
    reserved: ReservedTokens
    special_tokens: SpecialTokens = "strip_end"

    def fault_in_problem(self, problem: object) -> InputError | None:
        """Say why a problem cannot be laid out, or give None."""
        if not isinstance(problem, str):
            return InputTypeError("a text", got=type(problem).__name__, advice="pass a str")
        fault = self.recipe.fault_in_problem(problem) or self.reserved.fault_in(problem, "problem")
        return fault or fault_in_characters(problem)

    def fault_in_step(self, step: object) -> InputError | None:
        """Say why a step cannot be laid out, or give None."""
        if not isinstance(step, str):
            return InputTypeError("a text", got=type(step).__name__, advice="pass a str")
        fault = self.recipe.fault_in_step(step)
        if fault is not None:
            return fault
        advice: Words = "remove it"
        if self.special_tokens == "error" and self.reserved.without_end(step)[1]:
            advice = _PASS_STRIP_END
        return self.reserved.fault_in(step, "step", advice) or fault_in_characters(step)

    def split(self, text: str) -> list[str]:
        """Split a solution given as one text into its steps, without the tokens that end it."""
        return self.recipe.split(self.without_end(text)[0])

    def without_end(self, text: str) -> tuple[str, int]:
        """Give a candidate's text without the tokens that end it, and their number."""
        return (text, 0) if self.special_tokens == "error" else self.reserved.without_end(text)

    def steps_of(self, solution: object) -> tuple[list[str], int]:
        """Give the steps of a solution, and the number of tokens that were removed at its end.

        Raises:
            TypeError: neither a text nor a list.
            ValueError: no step, or a last one that is such a token and nothing else: each score
                belongs to a step that was given. The error knows no place.
        """
        if isinstance(solution, str):
            text, removed = self.without_end(solution)
            steps = self.recipe.split(text)
        elif isinstance(solution, (list, tuple)):
            steps, removed = self._without_end(list(solution))
        else:
            raise InputTypeError(
                "a text or a list of steps",
                got=type(solution).__name__,
                advice="pass a str or a list of str",
            )
        if not steps:
            raise InputError(
                "at least one step", got=repr(solution), advice="leave empty solutions out"
            )
        return steps, removed

    @property
    def reads_steps(self) -> bool:
        """Whether every step has a score, and not the solution as one."""
        return self.recipe.whole is None

    def as_read(self, steps: list[str]) -> list[str]:
        """Give what has a score each: the steps, or the whole solution as one text."""
        return steps if self.recipe.whole is None else [self.recipe.whole.join(steps)]

    def of_prefixes(self) -> SolutionReader:
        """Give what reads every step of a solution that grows, where only the whole has a score.

        A step then has the score of the solution that ends with it.
        """
        whole = self.recipe.whole
        if whole is None:
            return self
        recipe = replace(self.recipe, unit="step", encode=whole.encode_prefixes, whole=None)
        return replace(self, recipe=recipe)

    def _without_end(self, steps: list[str]) -> tuple[list[str], int]:
        if not steps or not isinstance(steps[-1], str):
            return steps, 0
        last, removed = self.without_end(steps[-1])
        if removed and not last.strip():
            raise InputError(
                "a step with text",
                got=f"{steps[-1]!r} as the last step, which is removed at the end of a candidate",
                advice="leave that step out",
            )
        return [*steps[:-1], last], removed


def fault_in_characters(text: str) -> InputError | None:
    """Say that a text holds half of a surrogate pair, which no tokenizer takes; or give None."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return InputError(
            "text that can be written as UTF-8",
            got=f"half of a surrogate pair ({text[error.start]!a}) at character {error.start}",
            advice="repair the text",
        )
    return None
