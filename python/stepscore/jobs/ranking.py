"""The aggregation that ranks."""

from __future__ import annotations

from stepscore.errors import InputError
from stepscore.jobs.file_scores import Layout, LayoutCheck
from stepscore.voting.columns import GIVEN, NEED_PROBABILITIES, UNSTATED_AGGREGATION, usable


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
    if how is None:
        return GIVEN if GIVEN in columns else stated or UNSTATED_AGGREGATION
    if how not in columns:
        raise InputError(
            f"one of {', '.join(columns)} for a file with such scores",
            got=how,
            advice="pass one of these",
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
