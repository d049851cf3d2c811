"""Expressions, words and scores that are passed, checked before anything is asked.

Of several verdicts in a text the last one counts, also where it cannot be read: an expression of a
format therefore ends in ``|opening``, which takes no part in group 1. The last opening is then the
last match, and a verdict before it that has been taken back is not read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from stepscore.errors import InputError
from stepscore.scoring.score_options import is_finite


def verdict_pattern(call: str, argument: str, pattern: object, flags: int = 0) -> re.Pattern[str]:
    """Compile an expression whose group 1 is what is read.

    Args:
        call: the function that was called, for messages.
        argument: its argument.
        pattern: the expression.
        flags: of `re`.

    Raises:
        InputError: no expression, or one without a group.
    """
    if not isinstance(pattern, str):
        raise InputError(
            "a regular expression", got=type(pattern).__name__, argument=argument, where=call
        )
    try:
        compiled = re.compile(pattern, flags)
    except re.error as error:
        raise InputError(
            "a regular expression", got=f"{pattern!r}: {error}", argument=argument, where=call
        ) from None
    if compiled.groups < 1:
        raise InputError(
            "a regular expression with a group for what is read",
            got=repr(pattern),
            advice="put it in parentheses",
            argument=argument,
            where=call,
        )
    return compiled


def check_words(call: str, words: Sequence[str], values: Sequence[float]) -> None:
    """Refuse words of which a verdict could not be told, and values that are not one of each.

    Raises:
        InputError: fewer than two words, or two that differ in their case alone; another number of
            values, or some that are not finite.
    """
    texts = [word for word in words if isinstance(word, str) and word.strip()]
    if isinstance(words, str) or len(words) < 2 or len(texts) < len(words):
        raise InputError(
            "at least two words in a tuple, such as ('Yes', 'No')",
            got=repr(words),
            advice="the probability of one alone would always be 1",
            argument="words",
            where=call,
        )
    if len({word.casefold() for word in texts}) < len(texts):
        raise InputError(
            "words that differ in more than upper and lower case",
            got=repr(words),
            argument="words",
            where=call,
        )
    if len(values) != len(words) or not all(map(is_finite, values)) or len(set(values)) < 2:
        raise InputError(
            f"{len(words)} finite numbers, one for each of {', '.join(words)}, not all the same",
            got=repr(values),
            argument="values",
            where=call,
        )


def check_score(call: str, argument: str, score: float | None) -> None:
    """Refuse a score in place of a verdict that is no score; None is none."""
    if score is not None and not (is_finite(score) and 0 <= score <= 1):
        raise InputError(
            "a number in [0, 1], or None", got=repr(score), argument=argument, where=call
        )
