"""How candidates vote: rules, objectives, and what decides on equal answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from stepscore.errors import Argument, InputError
from stepscore.voting.columns import usable
from stepscore.voting.rules import DEFAULT_RULES, TypedRule

TieCredit: TypeAlias = Literal["share", "first", "lose"]
TIE_CREDITS: tuple[TieCredit, ...] = get_args(TieCredit)


@dataclass(frozen=True)
class VoteSettings:
    """How the candidates vote.

    Attributes:
        rules: in the order of the table's columns.
        objectives: the aggregations that ``pareto`` and ``multi_objective`` read; None takes all
            that the scores have.
        verify: what decides on answers whose keys differ; None or ``"none"`` lets the keys alone
            decide, so that a table does not depend on what else is installed.
        tie_credit: what a rule is credited with where the order of the candidates decides:
            ``"share"``, how often it is right over all their orders, so that no file is favoured
            for its order; ``"first"``, whether it is right in the order of the file; ``"lose"``,
            whether it is right in every order. Winners are those of the file's order in any case.
    """

    rules: tuple[TypedRule, ...] = DEFAULT_RULES
    objectives: tuple[str, ...] | None = None
    verify: Literal["math-verify", "none"] | None = None
    tie_credit: TieCredit = "share"

    def __post_init__(self) -> None:
        if self.verify == "none":
            object.__setattr__(self, "verify", None)


DEFAULT_SETTINGS = VoteSettings()
"""The settings of a vote for which none were named."""


def objectives_of(
    settings: VoteSettings, columns: Sequence[str], *, bounded: bool
) -> tuple[str, ...]:
    """Give the aggregations that ``pareto`` and ``multi_objective`` read; none without such a rule.

    Args:
        settings: how the candidates vote.
        columns: what there is.
        bounded: whether step scores lie in [0, 1].

    Raises:
        InputError: an aggregation that these scores do not have.
    """
    if not any(rule.reads_columns for rule in settings.rules):
        return ()
    there = usable(columns, bounded=bounded)
    for name in settings.objectives or ():
        if name not in there:
            raise InputError(
                f"some of {', '.join(there)} for a file with such scores",
                got=name,
                advice="leave it out",
                argument=Argument("objectives"),
            )
    return settings.objectives or tuple(there)
