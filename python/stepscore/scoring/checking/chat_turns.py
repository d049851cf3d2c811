"""The turns of a chat, found in its text."""

from __future__ import annotations

import re

# How the turns of a chat are written: (role, what it says).
_TURNS = (
    re.compile(r"<\|im_start\|>(\w+)\n(.*?)<\|im_end\|>\n?", re.DOTALL),
    re.compile(r"<\|start_header_id\|>(\w+)<\|end_header_id\|>\n\n(.*?)<\|eot_id\|>", re.DOTALL),
)


def turns_of(text: str) -> list[re.Match[str]]:
    """Find the turns: group 1 is the role, and group 2 what it says."""
    found = [list(turns.finditer(text)) for turns in _TURNS]
    return next(filter(None, found), [])
