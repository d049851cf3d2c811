"""A response that was drawn in one piece, as steps."""

from __future__ import annotations

import re
from collections.abc import Sequence


def split_steps(text: str, stop: Sequence[str]) -> list[str]:
    """The steps of a response, each with the text that ended it; joined they are the response.

    Args:
        text: the response.
        stop: what ends a step; empty: blank lines, where there are none the ends of lines.
    """
    ends = [re.escape(end) for end in stop] or [r"\n\n+" if "\n\n" in text.strip() else r"\n+"]
    pieces = re.split(f"((?:{'|'.join(ends)})+)", text)
    steps = [body + end for body, end in zip(pieces[::2], [*pieces[1::2], ""], strict=True)]
    if len(steps) > 1 and not steps[-1].strip():
        steps[-2:] = [steps[-2] + steps[-1]]
    return [step for step in steps if step]
