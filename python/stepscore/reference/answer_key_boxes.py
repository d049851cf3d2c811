r"""The values in ``\boxed{...}``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from stepscore.reference.answer_key_markup import WHITE, Fence, finish, is_letter, says_nothing

# Between two boxes of a sentence they say that the later one replaces the earlier.
_REPLACE = {
    "actually", "approximately", "because", "becomes", "but", "check", "corrected", "equal",
    "equals", "equivalent", "finally", "hence", "ie", "implies", "instead", "means", "namely",
    "no", "not", "rather", "rounded", "simplified", "simplifies", "simplify", "since", "so",
    "that", "then", "therefore", "thus", "verify", "wait", "which", "yields",
}  # fmt: skip
_REPLACE_COMMANDS = {
    "Leftrightarrow", "Longrightarrow", "Rightarrow", "approx", "boxed", "equiv", "fbox", "iff",
    "implies", "longrightarrow", "neq", "rightarrow", "therefore", "to",
}  # fmt: skip
_REPLACE_SIGNS = ("⇒", "→", "≈", "≡", "∴", "。", "所以", "因此", "即", "故", "则")
_AND = {"and", "or", "und", "oder", "ou", "et"}
_AND_SIGNS = ("或", "和", "且", "与", "及", "、", "，", "；")
_LAYOUT_COMMANDS = {"text", "mathrm", "textbf", "quad", "qquad", "left", "right", "begin", "end"}
_BULLET = re.compile(r"[ \t]*(?:[-*+•][ \t]|[0-9]+[.)][ \t]|\([0-9a-z]\))")
_PERCENT = re.compile(
    r"(?:[ \t$*]|\\[),; ])*(?:\\text\{[ \t]*)?(?:\\?%|(?:percent|pct)(?![A-Za-z]))"
)
_DEGREE = re.compile(r"\^\\circ(?![A-Za-z])|\^\{\\circ\}|°")


class _Box(NamedTuple):
    command: int
    begin: int
    end: int
    after: int


def boxed(text: str, skipped: Sequence[Fence]) -> str | None:
    """Give the values of the last statement in boxes, joined by commas; None without a box."""
    boxes = [box for box in _boxes(text, skipped) if not says_nothing(text[box.begin : box.end])]
    if not boxes:
        return None
    last = [boxes.pop()]
    while boxes:
        before = boxes.pop()
        gap = text[before.after : last[-1].command]
        if before.after > last[-1].command or not _are_together(gap):
            break
        last.append(before)
    values = dict.fromkeys(_value(text, box) for box in reversed(last))
    return ", ".join(filter(None, values)) or None


def _boxes(text: str, skipped: Sequence[Fence]) -> list[_Box]:
    found: list[_Box] = []
    opened: list[tuple[int, int]] = []  # the command, -1 for other braces, and where it begins
    fences = list(reversed(skipped))
    first = re.search(r"\\(?:boxed|fbox)", text)
    at = first.start() if first else len(text)
    while at < len(text):
        while fences and at >= fences[-1].begin:
            at = max(at, fences.pop().end)
        box = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])").match(text, at)
        if box:
            begin = box.end()
            while begin < len(text) and text[begin] in WHITE:
                begin += 1
            if text.startswith("{", begin):
                opened.append((at, begin + 1))
                at = begin + 1
                continue
            end = _end_without_braces(text, begin, begin > box.end())
            if end > begin:
                found.append(_Box(at, begin, end, end))
            at = box.end()
        elif text.startswith("\\", at):
            at += 2
        else:
            if text.startswith("{", at):
                opened.append((-1, at + 1))
            elif text.startswith("}", at) and opened:
                command, begin = opened.pop()
                if command >= 0:
                    found.append(_Box(command, begin, at, at + 1))
            at += 1
    return sorted(found, key=lambda box: box.begin)


def _end_without_braces(text: str, begin: int, spaced: bool) -> int:
    r"""Find the end of ``\boxed 5``, where it begins if that is none."""
    first, second = text[begin : begin + 1], text[begin + 1 : begin + 2]
    if is_letter(first):
        return begin + 1 if spaced and (second == "" or second in "$\\.,\n") else begin
    digit = first != "" and first in "0123456789"
    signed = first != "" and first in "-+." and second != "" and second in "0123456789"
    if not (digit or signed or (first == "\\" and is_letter(second))):
        return begin
    at, depth = begin, 0
    while at < len(text):
        c = text[at]
        if c == "\\":
            if re.compile(r"\\(?:boxed|fbox|\)|\])").match(text, at):
                break
            at += 2
            continue
        if c == "\n" or (depth == 0 and (c == "$" or c in WHITE or c == "}")):
            break
        depth += (c == "{") - (c == "}")
        at += 1
    if depth > 0:
        return begin
    at = min(at, len(text))
    while at > begin and text[at - 1] in ".,;:":
        at -= 1
    return at


def _value(text: str, box: _Box) -> str:
    value = finish(text[box.begin : box.end])
    if value and _DEGREE.match(text, box.after):
        return value + r"^\circ"
    if value and not re.search(r"%|percent|pct", value) and _PERCENT.match(text, box.after):
        return value + r"\%"
    return value


def _are_together(gap: str) -> bool:
    """Tell whether what stands between two boxes leaves both of them values of one statement."""
    named = joined = words = blank_line = False
    lines = 0
    at = 0
    while at < len(gap):
        c = gap[at]
        if is_letter(c) or (c == "\\" and is_letter(gap[at + 1 : at + 2])):
            command = c == "\\"
            end = at + command
            while is_letter(gap[end : end + 1]):
                end += 1
            word = gap[at + command : end]
            if word in _REPLACE_COMMANDS if command else word.lower() in _REPLACE:
                return False
            if command and word in ("begin", "end"):
                closed = re.compile(r"\{[a-z]*\*?\}").match(gap, end)
                end = closed.end() if closed else end
            elif not command and word.lower() in _AND:
                joined = True
            elif not (command and word in _LAYOUT_COMMANDS):
                named = True
                words = words or (not command and len(word) > 1)
            at = end
            continue
        if c == "\\":
            named = named and not gap.startswith("\\\\", at)
            at += 2
            continue
        if gap.startswith(("=>", "->"), at) or (c == "=" and not named):
            return False
        if c in ".!?" and (at + 1 == len(gap) or gap[at + 1] in WHITE):
            if not re.search(r"\n[ \t]*[0-9]+\Z", gap[:at]):
                return False
        elif c == "\n":
            lines, named = lines + 1, False
            blank_line = blank_line or re.match(r"[ \t]*\n", gap[at + 1 :]) is not None
        elif c > "\x7f":
            if gap.startswith(_REPLACE_SIGNS, at):
                return False
            if gap.startswith(_AND_SIGNS, at):
                joined = True
            elif c != "•":
                words = named = True
        at += 1
    if not lines:
        return True
    listed = lines == 1 and _BULLET.match(gap, gap.index("\n") + 1) is not None
    return not (words and not listed) and not (blank_line and not joined)
