"""The families of models that write their verdicts, a line for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import Any, Literal

from stepscore.errors import InputError
from stepscore.policies.texts import GeneratedText, TextRequest
from stepscore.recipes.named_function import NamedFunction
from stepscore.recipes.recipe import Confidence, Unit
from stepscore.recipes.recipe_arguments import RecipeArgument, arguments_by_annotation
from stepscore.recipes.recipe_files import in_file
from stepscore.recipes.registry import COMPARISONS, WRITTEN_VERDICTS
from stepscore.recipes.user_defined_fields import Place
from stepscore.scoring import pairs, rubrics, verdicts


def _functions(
    paths: Mapping[str, str], argument: str, first: tuple[str, ...]
) -> dict[str, NamedFunction]:
    functions = {}
    for name, path in paths.items():
        package, _, function = path.partition(".")
        make = pairs.FAMILIES.get(name) or getattr(_PACKAGES[package], function)
        functions[name] = NamedFunction(name, make, f"scoring.{path}", argument, first)
    return functions


_PACKAGES = {"pairs": pairs, "rubrics": rubrics, "verdicts": verdicts}
VERDICTS = _functions(WRITTEN_VERDICTS, "recipe", ("policy",))
JUDGES = _functions(COMPARISONS, "judge", ())
# In place of what only their user knows.
_GIVEN: dict[str, Any] = {
    "checklist": lambda problem: [problem],
    "criteria": [("It is right.", 1.0)],
    "points": {"A": 1, "B": 0},
    "state": lambda problem, steps: problem,
    "unsure": (0.0, 1.0),
    "verdict": "(A|B)",
}
# What a prompt of theirs shows.
_WHOLE, _STEP, _PAIR = "{problem}{solution}", "{problem}{step}", "{problem}{first}{second}"
_SHOWN = {
    "capo": _WHOLE,
    "gm-prm": _WHOLE,
    "likert": _STEP,
    "prompted-verdict": _STEP,
    "rubric": _WHOLE + "{criterion}",
    "spark": _WHOLE,
    "stepwiser": _STEP + "{previous}",
}


@dataclass(frozen=True)
class GenerativeFamily:
    """A family in short.

    Attributes:
        name: what the command line calls it, as a recipe or as a judge.
        kind: ``verdicts`` about steps or solutions, or ``comparisons`` of two solutions.
        arguments: what its user gives beside a policy.
        confidence, source, unit, unverified: as in `Recipe`.
        score_range: of a score; None for comparisons, which give none.
    """

    name: str
    kind: Literal["verdicts", "comparisons"]
    arguments: tuple[RecipeArgument, ...]
    confidence: Confidence
    source: str
    unit: Unit
    unverified: tuple[str, ...]
    score_range: tuple[float, float] | None = None

    @property
    def required(self) -> tuple[str, ...]:
        """The arguments that its user must give."""
        return tuple(each.name for each in self.arguments if each.required)

    @property
    def optional(self) -> tuple[str, ...]:
        """Those that have a default."""
        return tuple(each.name for each in self.arguments if not each.required)

    def as_json(self) -> dict[str, Any]:
        """Give it as values of JSON."""
        arguments = [asdict(each) for each in self.arguments]
        return {
            **self.__dict__,
            "required": self.required,
            "optional": self.optional,
            "arguments": arguments,
        }


class SilentPolicy:
    """A policy that is asked for nothing."""

    name = ""
    tokenizer = SimpleNamespace(chat_template="", all_special_tokens=(), added_tokens_decoder={})

    def generate(self, requests: Sequence[TextRequest]) -> list[GeneratedText | Exception]:
        """Write nothing."""
        raise NotImplementedError

    def check_logprobs(self, count: int, prompt: object) -> None:
        """Tell nothing."""
        raise NotImplementedError


def generative_families() -> list[GenerativeFamily]:
    """Give every family: those that judge steps or solutions, and then those that compare two.

    Examples:
        >>> [family.name for family in generative_families() if "unsure" in family.required]
        ['dyve']
    """
    return [
        *(_verdict(function) for function in VERDICTS.values()),
        *(_comparison(function) for function in JUDGES.values()),
    ]


def make_named(
    function: NamedFunction, given: Mapping[str, Any], *first: Any, source: str = ""
) -> Any:
    """Make a family by its name, with its arguments as they were typed or stand in a file.

    Args:
        function: of `VERDICTS` or `JUDGES`.
        given: argument -> value; a number may be a text, of a list every item.
        first: what it takes before them, such as the policy.
        source: the file that they stand in; empty where they were typed.

    Raises:
        ValueError: an argument that is missing, a value that the family refuses.
        TypeError: an argument that there is not, or that nobody can write, such as a function; a
            value of another type.
    """
    try:
        function.check(given, function.name, Place(source) if source else None)
        return function.make(*first, **function.values(given, function.name))
    except InputError as fault:
        raise in_file(fault, given, source) if source else fault from fault


def _verdict(function: NamedFunction) -> GenerativeFamily:
    model: verdicts.GenerativeRewardModel = function.make(SilentPolicy(), **_given(function))
    recipe = model.verifier.recipe
    return GenerativeFamily(
        recipe.name,
        "verdicts",
        arguments_by_annotation(function.make, function.parameters),
        recipe.confidence,
        recipe.source,
        recipe.unit,
        recipe.unverified,
        recipe.score_range,
    )


def _comparison(function: NamedFunction) -> GenerativeFamily:
    family: pairs.PairVerifier = function.make(**_given(function))
    return GenerativeFamily(
        family.name,
        "comparisons",
        arguments_by_annotation(function.make, function.parameters),
        family.confidence,
        family.source,
        "solution",
        family.unverified,
    )


def _given(function: NamedFunction) -> dict[str, Any]:
    """Give something in place of what only its user knows."""
    shown = _SHOWN.get(function.name, _PAIR)
    return {name: _GIVEN.get(name, shown) for name in function.required}
