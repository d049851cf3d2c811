"""Scores in words: the expectation over score tokens, as J1 and self-rationalisation read them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from stepscore.errors import Argument, InputError
from stepscore.policies.texts import TextPolicy, Turn
from stepscore.recipes import Reading
from stepscore.scoring.score_options import check_choice
from stepscore.scoring.verdicts.model import GenerativeRewardModel
from stepscore.scoring.verdicts.sampling import Sampling
from stepscore.scoring.verdicts.verdict_arguments import verdict_pattern
from stepscore.scoring.verdicts.verdict_recipe import verdict_recipe
from stepscore.scoring.verdicts.word_verdict import (
    Asked,
    By,
    CutOff,
    Opening,
    WordVerdict,
    check_placeholders,
    check_tells,
    filled,
)

# solution: as one step;  step: each after those before it.
GradedScope = Literal["solution", "step"]

_SCORE = r"<score>\s*(%s)\s*</score>|<score>"


def likert(
    policy: TextPolicy,
    *,
    prompt: str,
    scale: Sequence[int] = (1, 2, 3, 4, 5),
    scope: GradedScope = "solution",
    pattern: str | None = None,
    asked: str | None = None,
    cut_off: CutOff = "error",
    by: By = "probability",
    sampling: Sampling | None = None,
    name: str = "likert",
    seed: int = 0,
) -> GenerativeRewardModel:
    r"""A judge's grade: :math:`s = \sum_j j\, p_j`, over the tokens of the grades, renormalised.

    Self-rationalising evaluators (arXiv 2410.05495) read the expectation over Likert grades; J1
    (arXiv 2505.10320) has the judge think and then write ``<score>`` and the grade. With `asked`
    the grade is asked for behind the reasoning, also behind one that was cut off
    (``cut_off="ask"``), which is budget forcing.

    Args:
        policy: the judge.
        prompt: what it is told, with ``{problem}`` and ``{step}``, which is the whole solution
            under the scope ``solution``, and perhaps ``{previous}``; unverified for both papers.
        scale: the grades; of one character each where the tokens are read, because 10 is two in
            most vocabularies.
        scope: ``solution`` grades a solution as one step, ``step`` every step after those before.
        pattern: finds the grade, a regular expression whose group 1 it is; None for ``<score>``.
        asked: is put behind the reasoning, and the next token is the grade.
        cut_off: whether a reasoning that was cut off is an error, or asked for its grade.
        by: the expectation, or the grade itself.
        sampling: how judgements are drawn; None draws one of 2048 tokens without chance.
        name: of the recipe.
        seed: of everything that is drawn.

    Raises:
        InputError: fewer than two grades, or grades of several characters where the tokens are
            read; an option that is none of these.
    """
    check_tells(policy, name)
    check_placeholders(name, "prompt", prompt, ["problem", "step"], ["previous"])
    check_choice(name, "scope", scope, GradedScope)
    if len(set(scale)) < max(len(scale), 2):
        raise InputError(
            "at least two grades, each once", got=repr(scale), argument="scale", where=name
        )
    if cut_off == "ask" and asked is None:
        raise InputError(
            "asked, the text that asks for the grade behind a reasoning that was cut off",
            got="None",
            argument="asked",
            where=name,
        )
    if (by == "probability" or asked is not None) and any(len(str(grade)) > 1 for grade in scale):
        raise InputError(
            "grades of one character each: a token of several may begin another grade, as 1 is of "
            "10",
            got=repr(list(scale)),
            advice=(
                "pass ",
                Argument("by", "text"),
                " without ",
                Argument("asked"),
                ", which reads the grade that is said",
            ),
            argument="scale",
            where=name,
        )
    sampling = sampling or Sampling(2048)
    words = tuple(map(str, scale))
    values = tuple(map(float, scale))
    reading = Reading("score", "softmax", values, (min(values), max(values)))
    recipe = verdict_recipe(
        name,
        confidence="unverified",
        source="arXiv 2410.05495, arXiv 2505.10320",
        verdicts=len(words),
        readings=(reading,),
        unit="solution" if scope == "solution" else "step",
        parameters={**sampling.as_parameters(), "scale": scale, "by": by},
        unverified=("the prompt", "where the grade stands"),
    )

    def opening(problem: str, steps: Sequence[str]) -> Opening:
        whole = recipe.separator.join(steps) if scope == "solution" else steps[-1]
        previous = "" if scope == "solution" else "\n\n".join(steps[:-1])
        return Opening(
            (Turn("user", filled(prompt, problem=problem, previous=previous, step=whole)),)
        )

    grade = _SCORE % "|".join(sorted(map(re.escape, words), key=len, reverse=True))
    verifier = WordVerdict(
        recipe,
        opening,
        words,
        values,
        sampling,
        pattern=verdict_pattern(name, "pattern", grade if pattern is None else pattern),
        by=by,
        asked=None if asked is None else Asked(asked, words),
        cut_off=cut_off,
        scope=scope,
    )
    return GenerativeRewardModel(policy, verifier, seed)
