"""Which answer a solution states: the rows of the first table in `stepscore.ops.answer_key`."""

from __future__ import annotations

import re

_STATED = re.compile(
    r"(?s)(?:.*(?<![A-Za-z])[Aa]nswer is\**(?![a-z]):?|"
    r"#*[ \t]*\**(?:A|(?:[Ff][Ii][Nn][Aa][Ll] )?[Aa][Nn][Ss][Ww][Ee][Rr])\**:|"
    r"#+[ \t]*\**(?:[Ff][Ii][Nn][Aa][Ll] )?[Aa][Nn][Ss][Ww][Ee][Rr]\**(?=\s*$))(.*)"
)
WHITE = " \t\n\v\f\r"


def stated_answer(text: str) -> str | None:
    """Give what the rows before the last one find in a text without white space at its ends."""
    box = _last_box(text)
    if box is not None:
        return trim(box) or None
    marked = text.rpartition("####")[2]
    if "####" in text and not _STATED.fullmatch("#" + marked.partition("\n")[0]):
        return trim(_first_line(marked)) or None
    lines = text.split("\n")
    for number in reversed(range(len(lines))):
        statement = _STATED.fullmatch(lines[number])
        if statement:
            rest = statement[1]
            if not _plain(rest):
                rest = _first_line("\n".join(lines[number + 1 :]))
            sentence = re.split(r"(?<!\.)\.(?=\**(?:[ \t\n\v\f\r]|$))", _plain(rest))[0]
            return trim(_plain(sentence)) or None
    before, equals, after = lines[-1].rpartition("=")
    if not equals or before.endswith(("<", ">", "!")):
        return None
    return trim(after) or None


def _last_box(text: str) -> str | None:
    last: tuple[int, int] | None = None
    opened: list[tuple[bool, int]] = []
    for brace in re.finditer(r"(\\(?:boxed|fbox)[ \t\n\v\f\r]*)\{|\\.|\{|\}", text, re.DOTALL):
        if brace[0].endswith("{") and (brace[1] or brace[0] == "{"):
            opened.append((bool(brace[1]), brace.end()))
        elif brace[0] == "}" and opened:
            is_box, begin = opened.pop()
            if is_box and (last is None or begin > last[0]):
                last = begin, brace.start()
    return None if last is None else text[slice(*last)]


def _first_line(text: str) -> str:
    return text.strip(WHITE).partition("\n")[0]


def _plain(text: str) -> str:
    plain = text.strip(WHITE).removeprefix("**").removesuffix("**").strip(WHITE)
    return plain[1:-1] if len(plain) > 2 and plain[0] == plain[-1] == "*" else plain


def trim(text: str) -> str:
    """Take white space, a final period and the signs of mathematics from the ends."""
    text = text.strip(WHITE)
    if not text.endswith(".."):
        text = text.removesuffix(".").strip(WHITE)
    for begin, end in (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")):
        inner = text[len(begin) : -len(end)]
        fits = text.startswith(begin) and text.endswith(end) and len(text) >= 2 * len(begin)
        if fits and begin not in inner and not inner.endswith("\\"):
            return inner.strip(WHITE)
    return text
