"""The families of models that write their verdicts, a line for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from inspect import Parameter, signature
from types import SimpleNamespace
from typing import Any

from stepscore.policies.texts import GeneratedText, TextRequest
from stepscore.recipes.summaries import RecipeSummary, facts_of
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


class _Silent:
    """A policy that is asked for nothing."""

    name = ""
    tokenizer = SimpleNamespace(chat_template="", all_special_tokens=(), added_tokens_decoder={})

    def generate(self, requests: Sequence[TextRequest]) -> list[GeneratedText | Exception]:
        raise NotImplementedError

    def check_logprobs(self, count: int, prompt: object) -> None:
        raise NotImplementedError


def generative_summaries() -> list[RecipeSummary]:
    """Give every family in short: those that judge steps or solutions, then those that compare two.

    All of them need a policy, which is not among `RecipeSummary.required`.
    """
    return [
        *sorted((_verdict(make) for make in _VERDICTS), key=lambda each: each.name),
        *sorted((_comparison(make) for make in _COMPARISONS), key=lambda each: each.name),
    ]


def _verdict(make: Callable[..., verdicts.GenerativeRewardModel]) -> RecipeSummary:
    required, optional = _arguments(make)
    recipe = make(_Silent(), **_given(required)).verifier.recipe
    return RecipeSummary(recipe.name, required, optional, (), **facts_of(recipe), kind="verdicts")


def _comparison(make: Callable[..., pairs.PairVerifier]) -> RecipeSummary:
    required, optional = _arguments(make)
    family = make(**_given(required))
    return RecipeSummary(
        family.name,
        required,
        optional,
        (),
        family.confidence,
        family.source,
        "solution",
        higher_is_better=True,
        unverified=family.unverified,
        kind="comparisons",
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
