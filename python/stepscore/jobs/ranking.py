"""The aggregation that ranks."""

from __future__ import annotations

from dataclasses import replace

from stepscore.errors import Argument, InputError, did_you_mean
from stepscore.jobs.file_scores import Layout, LayoutCheck
from stepscore.voting import DEFAULT_RULES, VoteSettings
from stepscore.voting.columns import (
    GIVEN,
    NEED_PROBABILITIES,
    UNSCORED,
    UNSTATED_AGGREGATION,
    usable,
)


def choose_how(
    how: str | None, columns: tuple[str, ...], *, bounded: bool, stated: str | None
) -> str:
    """Give the aggregation that ranks.

    Args:
        how: what was asked for; None takes the file's own score, else the one that the model's
            author states, else ``last``.
        columns: what there is.
        bounded: whether step scores lie in [0, 1].
        stated: by the model's author.

    Raises:
        InputError: an aggregation that these scores do not have.
    """
    if columns == (UNSCORED,):
        if how not in (None, UNSCORED):
            raise InputError(
                "scores in the file, which it aggregates",
                got="candidates without any",
                advice="score the file with a model first, or leave this out",
                argument=Argument("how", how),
            )
        return UNSCORED
    if how is None:
        return GIVEN if GIVEN in columns else stated or UNSTATED_AGGREGATION
    if how not in columns:
        raise InputError(
            f"one of {', '.join(columns)} for a file with such scores",
            got=how,
            advice=did_you_mean(how, columns, "pass one of these"),
            argument="how",
        )
    if how in NEED_PROBABILITIES and not bounded:
        raise InputError(
            f"step scores in [0, 1], which {how} needs",
            got="others",
            advice="pass last or min",
            argument="how",
        )
    return how


def choose_how_again(how: str | None, check: LayoutCheck, layout: Layout) -> str:
    """Give the aggregation that ranks a file with scores.

    Args:
        how: what was asked for; None takes what an earlier run ranked by, else as in `choose_how`.
        check: has learned what that was.
        layout: the scores of the file.
    """
    known = usable(layout.columns, bounded=layout.bounded)
    earlier = check.how if check.how in known else None
    return choose_how(how or earlier, layout.columns, bounded=layout.bounded, stated=None)


def settings_for(settings: VoteSettings, layout: Layout) -> VoteSettings:
    """Give the rules that a file has a use for: without scores those that count answers.

    Raises:
        InputError: a rule that was asked for, and reads scores that the file does not have.
    """
    if layout.columns != (UNSCORED,):
        return settings
    counting = tuple(rule for rule in settings.rules if not rule.reads_scores)
    for rule in settings.rules:
        if settings.rules != DEFAULT_RULES and rule.reads_scores:
            raise InputError(
                "scores in the file, which it reads",
                got="candidates without any",
                advice=(
                    "score the file with a model first, or pass ",
                    Argument("rule", "majority"),
                ),
                argument=Argument("rule", rule.label),
            )
    return replace(settings, rules=counting)
