"""The families of models that write their verdicts, a line for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import Parameter, signature
from types import SimpleNamespace
from typing import Any, Literal

from stepscore.policies.texts import GeneratedText, TextRequest
from stepscore.recipes.recipe import Confidence, Unit
from stepscore.scoring import pairs, rubrics, verdicts

_VERDICTS: tuple[Callable[..., verdicts.GenerativeRewardModel], ...] = (
    verdicts.capo,
    verdicts.dyve,
    verdicts.genprm,
    verdicts.gm_prm,
    verdicts.likert,
    verdicts.natural_program,
    verdicts.pro_step,
    verdicts.prompted,
    verdicts.r_prm,
    rubrics.rubric,
    verdicts.spark,
    verdicts.stepwiser,
    verdicts.think_prm,
    rubrics.web_shepherd,
)
_COMPARISONS: tuple[Callable[..., pairs.PairVerifier], ...] = (
    *pairs.FAMILIES.values(),
    pairs.pair_judge_rm,
    pairs.s2j,
    pairs.web_arbiter,
)
# In place of what only their user knows.
_GIVEN: dict[str, Any] = {
    "checklist": lambda problem: [problem],
    "criteria": [("It is right.", 1.0)],
    "points": {"A": 1, "B": 0},
    "state": lambda problem, steps: problem,
    "unsure": (0.0, 1.0),
    "verdict": "(A|B)",
}


@dataclass(frozen=True)
class GenerativeFamily:
    """A family in short.

    Attributes:
        name: what the command line calls it, as a recipe or as a judge.
        kind: ``verdicts`` about steps or solutions, or ``comparisons`` of two solutions.
        required: what its user must give beside a policy.
        optional: the arguments with a default.
        confidence, source, unit, unverified: as in `Recipe`.
        score_range: of a score; None for comparisons, which give none.
    """

    name: str
    kind: Literal["verdicts", "comparisons"]
    required: tuple[str, ...]
    optional: tuple[str, ...]
    confidence: Confidence
    source: str
    unit: Unit
    unverified: tuple[str, ...]
    score_range: tuple[float, float] | None = None

    def as_json(self) -> dict[str, Any]:
        """Give it as values of JSON."""
        return dict(self.__dict__)


class _Silent:
    """A policy that is asked for nothing."""

    name = ""
    tokenizer = SimpleNamespace(chat_template="", all_special_tokens=(), added_tokens_decoder={})

    def generate(self, requests: Sequence[TextRequest]) -> list[GeneratedText | Exception]:
        raise NotImplementedError

    def check_logprobs(self, count: int, prompt: object) -> None:
        raise NotImplementedError


def generative_families() -> list[GenerativeFamily]:
    """Give every family: those that judge steps or solutions, and then those that compare two."""
    return [
        *sorted((_verdict(make) for make in _VERDICTS), key=lambda each: each.name),
        *sorted((_comparison(make) for make in _COMPARISONS), key=lambda each: each.name),
    ]


def _verdict(make: Callable[..., verdicts.GenerativeRewardModel]) -> GenerativeFamily:
    required, optional = _arguments(make)
    recipe = make(_Silent(), **_given(required)).verifier.recipe
    return GenerativeFamily(
        recipe.name,
        "verdicts",
        required,
        optional,
        recipe.confidence,
        recipe.source,
        recipe.unit,
        recipe.unverified,
        recipe.score_range,
    )


def _comparison(make: Callable[..., pairs.PairVerifier]) -> GenerativeFamily:
    required, optional = _arguments(make)
    family = make(**_given(required))
    return GenerativeFamily(
        family.name,
        "comparisons",
        required,
        optional,
        family.confidence,
        family.source,
        "solution",
        family.unverified,
    )


def _arguments(make: Callable[..., Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The arguments that its user must give beside a policy, and those with a default."""
    bound = make.keywords if isinstance(make, partial) else {}
    names = {
        each.name: each.default is Parameter.empty
        for each in signature(make).parameters.values()
        if each.name != "policy" and each.name not in bound
    }
    required = tuple(name for name, needed in names.items() if needed)
    return required, tuple(name for name, needed in names.items() if not needed)


def _given(required: Sequence[str]) -> dict[str, Any]:
    shown = " ".join(
        "{" + name + "}"
        for name in ("problem", "previous", "step", "solution", "criterion", "first", "second")
    )
    return {name: _GIVEN.get(name, shown) for name in required}
