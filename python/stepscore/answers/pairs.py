"""Whether two texts give the same answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stepscore.answers.stated import stated_answers
from stepscore.errors import Argument, InputError
from stepscore.lists import as_list
from stepscore.ops import group_answers
from stepscore.ops.answer_key_verify import Verify


def same_answer(
    gold: str | Iterable[str | None],
    answers: Iterable[str | None],
    *,
    verify: Literal["auto", "math-verify", "none"] | Verify | None = "auto",
    timeout: float = 5.0,
    budget: float = 60.0,
) -> NDArray[np.bool_]:
    r"""Tell of every pair whether both are the same answer.

    ``same[i] = gold[i] and answers[i] are in one class``, as `stepscore.group_answers` has it for
    the two alone: other answers, and their units, have no say. A text with a mark of an answer
    (a box, ``The answer is``, ``The result is``, ``####``, tags), several lines or four words is
    read as a solution is; anything else is the answer itself.

    Args:
        gold: the right answers ``[n]``, or one for all; None is nobody's answer.
        answers: what is compared with them ``[n]``; None, or a text without an answer, is never
            right.
        verify: what decides on answers whose keys differ; as in `stepscore.group_answers`, like
            `timeout` and `budget`, which is that of one pair here.

    Returns:
        bool ``[n]``.

    Raises:
        InputError: as many right answers as answers, or one, are needed.
        ValueError, TypeError, ImportError: as `stepscore.group_answers` does.

    Examples:
        >>> same_answer(["1/2", "12 hours", "3"], ["0.5", r"So it is \boxed{12}.", None]).tolist()
        [True, True, False]
        >>> same_answer("50%", ["0.5", "50", "5"], verify=None).tolist()
        [True, True, False]
    """
    given = as_list("same_answer", "answers", answers, "each item a text or None")
    known = (
        [gold] * len(given)
        if isinstance(gold, str)
        else as_list("same_answer", "gold", gold, "each item a text or None")
    )
    if len(known) != len(given):
        raise InputError(
            f"as many right answers as there are answers, {len(given)}, or one for all",
            got=str(len(known)),
            argument=Argument("gold"),
        )
    pairs = list(zip(stated_answers(known), stated_answers(given), strict=True))
    places = {pair: place for place, pair in enumerate(dict.fromkeys(pairs))}
    texts = [text for pair in places for text in pair]
    ids = group_answers(
        texts,
        np.arange(0, len(texts) + 1, 2),
        extract=False,
        verify=verify,
        timeout=timeout,
        budget=budget,
    )
    same = (ids[::2] == ids[1::2]) & (ids[1::2] >= 0)
    return same[[places[pair] for pair in pairs]] if pairs else np.zeros(0, np.bool_)
