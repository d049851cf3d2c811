"""What surrounds an answer without being one: markup, ends of turns, fences, displays."""

from __future__ import annotations

import re
from typing import NamedTuple

WHITE = " \t\n\v\f\r"
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TOKEN_END = re.compile(r"<\|[A-Za-z0-9_./-]{1,40}\|>\Z")
_ENDS_OF_TURNS = (
    "</s>", "<s>", "<eos>", "<bos>", "<pad>", "<unk>", "<end_of_turn>", "<extra_0>", "[/INST]",
    "<｜end▁of▁sentence｜>", "</answer>",
)  # fmt: skip
_NEXT_TURNS = ("|>user", "|>assistant", "|>system", "|>human")
# Emoji, ticks, ends of proofs, and white space beyond ASCII.
_PICTOGRAMS = re.compile(
    "[\u00a0\u200b-\u200d\u220e\u25a0\u25a1\u2600-\u27bf\u2b1b\u2b1c\u2b50\u2b55\u3000\ufe0f\ufeff"
    "\U0001f000-\U0001faff]"
)
_LAYOUTS = {
    "align", "aligned", "displaymath", "equation", "flalign", "gather", "gathered", "math",
    "multline", "split",
}  # fmt: skip
_BLANK = re.compile(
    r"(?:[ \t\n\v\f\r*_`#$:~.?|\-–—…：。]|\\[\[\](),;! ]|"
    r"\\(?:ldots|dots|cdots|quad|qquad|square|Box|displaystyle)(?![A-Za-z]))*"
)
_PLACEHOLDERS = {
    "answer", "your answer", "final answer", "your final answer", "the answer", "the final answer",
    "answer here", "your answer here", "final answer here", "and",
}  # fmt: skip


class Fence(NamedTuple):
    """A block of code: its lines with the fences, what is between them, and whether it is text."""

    begin: int
    end: int
    content: str
    is_text: bool


def is_letter(character: str) -> bool:
    """Tell whether it is a letter of ASCII."""
    return character != "" and character in _LETTERS


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


def clean_end(text: str) -> str:
    """Take white space, ends of turns, the tag of Math-Shepherd, emoji and ticks from the end."""
    while True:
        rest = text.rstrip(WHITE)
        token = _TOKEN_END.search(rest, max(0, len(rest) - 44))
        if _PICTOGRAMS.fullmatch(rest[-1:]):
            rest = rest[:-1]
        elif token:
            rest = rest[: token.start()]
        elif rest.endswith(_NEXT_TURNS):
            rest = rest[: rest.rindex("|>") + 2]
        elif rest == "ки" or (rest.endswith("ки") and rest[-3] in WHITE):
            rest = rest[:-2]
        else:
            end = next((e for e in _ENDS_OF_TURNS if rest.endswith(e)), "")
            rest = rest.removesuffix(end)
        if rest == text:
            return text
        text = rest


def finish(text: str) -> str:
    """Take everything from both ends of an answer that is not part of it."""
    while True:
        before = text
        text = _uncovered(_unquoted(trim(clean_end(text))))
        if text == before:
            return text


def _unquoted(text: str) -> str:
    text = text.removesuffix("。").removesuffix(",").removesuffix(";").rstrip("\\")
    if re.search(r"[A-Za-z]{3}!\Z", text):  # of a word: 42! and n! are numbers
        text = text[:-1]
    text = text.removeprefix("**").removesuffix("**").strip(WHITE)
    for begin, end in (("*", "*"), ("`", "`"), ("__", "__")):
        if len(text) > 2 * len(begin) and text.startswith(begin) and text.endswith(end):
            return text[len(begin) : -len(end)]
    for begin, end in (('"', '"'), ("“", "”")):
        inner = text[1:-1]
        if len(text) > 2 and text[0] == begin and text[-1] == end and begin not in inner:
            return inner
    return text


def _uncovered(text: str) -> str:
    r"""Take an environment that only lays out; the rows of \begin{align} become a list."""
    begin = re.match(r"\\begin\{([a-z]+)(\*?)\}", text)
    if begin is None or begin[1] not in _LAYOUTS:
        return text
    end = f"\\end{{{begin[1]}{begin[2]}}}"
    if not text.endswith(end) or len(text) < begin.end() + len(end):
        return text
    inner = text[begin.end() : -len(end)]
    if r"\begin{" in inner or ("&" not in inner and r"\\" not in inner):
        return inner
    values: list[tuple[str, str]] = []  # the left side with its sign, and the last right side
    for row in _rows(inner):
        if row.startswith("=") and values:
            head, value = values.pop()
            if head == "":
                before, sign, _ = value.partition("=")
                head = before + sign
            values.append((head, row[1:].strip(WHITE)))
        elif row:
            values.append(("", row.removeprefix("=").strip(WHITE)))
    if len(values) == 1:
        return values[0][1]
    return ", ".join(f"{head} {value}" if head else value for head, value in values)


def _rows(inner: str) -> list[str]:
    rows, row, at = [], "", 0
    while at < len(inner):
        if inner.startswith(r"\\", at):
            rows.append(row)
            row, at = "", at + 2
            space = re.compile(r"\[[0-9.]+(?:pt|em|ex|mm|cm)\]").match(inner, at)
            at = space.end() if space else at
        elif inner[at] == "\\":
            row, at = row + inner[at : at + 2], at + 2
        else:
            row, at = row + ("" if inner[at] == "&" else inner[at]), at + 1
    return [row.strip(WHITE).rstrip(",;").strip(WHITE) for row in [*rows, row]]


def without_closer(text: str, at: int, end: int) -> str:
    """Give a sentence of a text without what closes the emphasis or heading that begins before it.

    ``*Answer: 8*``, ``### The answer is 8 ###``.
    """
    inner = text[at:end].rstrip(" \t.!")
    closer = inner[-1:]
    if not closer or closer not in "*_#":
        return text[at:end]
    content = inner.rstrip(closer)
    before = text[text.rfind("\n", 0, at) + 1 : at].lstrip(" \t>")
    if closer == "#":
        if before.startswith("#") and content[-1:] and content[-1] in WHITE:
            return without_closer(text, at, at + len(content.rstrip(WHITE)))
        return text[at:end]
    size = len(inner) - len(content)
    opened = before[1 if before.startswith("* ") else 0 :].count(closer)
    return content if opened % (2 * size) == size else text[at:end]


def is_blank(text: str) -> bool:
    """Tell whether a text is markup, dots and white space alone."""
    return _BLANK.fullmatch(text) is not None


def says_nothing(text: str) -> bool:
    """Tell whether what stands in a box or between tags is blank or only says what goes there."""
    if is_blank(text.strip(WHITE + "{}")):
        return True
    inner = text.strip(WHITE + "[]<>{}.")
    return len(inner) <= 20 and inner.lower() in _PLACEHOLDERS


def fences(text: str) -> list[Fence]:
    """Find the blocks of code; one that is not closed goes to the end."""
    found: list[Fence] = []
    if "```" not in text and "~~~" not in text:
        return found
    opened: tuple[int, int, str, bool] | None = None
    begin = 0
    while begin <= len(text):
        end = text.find("\n", begin)
        end = len(text) if end < 0 else end
        line = text[begin:end].lstrip(" \t\v\f\r>")
        sign = line[:1]
        rest = line.lstrip(sign) if sign and sign in "`~" else line
        if len(line) - len(rest) >= 3 and sign in ("`", "~"):
            info = rest.strip(WHITE)
            if opened is None:
                if not (sign == "`" and "`" in rest):
                    opened = begin, min(end + 1, len(text)), sign, info in _TEXT
            elif sign == opened[2] and info == "":
                found.append(Fence(opened[0], end, text[opened[1] : begin], opened[3]))
                opened = None
        begin = end + 1
    if opened is not None:
        found.append(Fence(opened[0], len(text), text[opened[1] :], opened[3]))
    return found


_TEXT = {"", "text", "txt", "markdown", "md", "latex", "tex", "math", "plaintext", "output"}
