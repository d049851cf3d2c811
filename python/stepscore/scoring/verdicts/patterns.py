"""Regular expressions that find a verdict: those that are passed, checked before anything is asked.

Of several verdicts in a text the last one counts, also where it cannot be read: an expression of a
format therefore ends in ``|opening``, which takes no part in group 1. The last opening is then the
last match, and a verdict before it that has been taken back is not read.
"""

from __future__ import annotations

import re

from stepscore.errors import InputError


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
