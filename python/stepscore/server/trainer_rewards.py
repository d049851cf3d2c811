"""Rewards for trainers: they wait for room, and what cannot be scored may have one, too.

The clients of trainers take an error for a reward, or for the end of the run.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace

from stepscore.errors import InputError
from stepscore.server.errors import OverloadedError, UnavailableError
from stepscore.server.rewards import Pair, Rewards, read_as_written, rewarded
from stepscore.server.service import Service

log = logging.getLogger("stepscore.server")
# What is read in place of a solution that cannot be: it has no steps, and so no scores.
_NOTHING = ""


async def trainer_rewards(
    service: Service, written: Sequence[Pair], how: str | None, *, route: str
) -> Rewards:
    """Give one number for each solution, after a wait for room where there is none.

    With `Settings.bad_reward` a solution that cannot be scored is worth that much, is counted, and
    costs the others nothing. What is wrong with anything else stays an error: a problem, the shape
    of a request, a text that the template does not divide, scores that are no numbers.

    Args:
        service: what serves.
        written: at least one, each with the solution as a model wrote it.
        how: the aggregation that the request asks for; None takes that of the server.
        route: the path, for metrics and log.

    Raises:
        InputError: as `rewarded`.
        UnavailableError: no room within `Settings.hold_timeout`. Its status is one after which all
            of these clients try again.
    """
    bad = service.settings.bad_reward
    read = read_as_written if bad is None else _read_or_nothing
    pairs = [read(service, pair) for pair in written]
    try:
        given = await rewarded(service, pairs, how, route=route, held=True, unscored=bad)
    except OverloadedError as error:
        raise UnavailableError(
            f"room within {math.ceil(service.settings.hold_timeout)} s",
            got=error.got,
            advice="let fewer clients ask at once, or start more servers",
        ) from error
    skipped = len(given.scores.skipped)
    if skipped:
        service.metrics.note_bad_rewards(route, skipped)
        log.info("%s gave %d of %d texts the bad reward", route, skipped, len(pairs))
    return given


def _read_or_nothing(service: Service, pair: Pair) -> Pair:
    """Read a solution, or give one of no steps in its place."""
    try:
        read = read_as_written(service, pair)
        steps, _ = service.prm.reader.steps_of(read.solution)
    except InputError:
        steps = []
    within = 0 < len(steps) <= service.settings.max_steps
    return read if within else replace(pair, solution=_NOTHING)
