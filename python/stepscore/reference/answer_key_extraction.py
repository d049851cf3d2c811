"""Which answer a solution states: the rows of the first table in `stepscore.ops.answer_key`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from stepscore.reference.answer_key_boxes import boxed
from stepscore.reference.answer_key_conclusion import concluded
from stepscore.reference.answer_key_markup import (
    WHITE,
    Fence,
    clean_end,
    fences,
    finish,
    is_blank,
    says_nothing,
    trim,
)
from stepscore.reference.answer_key_statements import statement
from stepscore.reference.answer_key_values import ANSWER_WORD, Values, is_cut_off, is_finished

__all__ = ["WHITE", "alone", "stated_answer", "trim"]

_REASONED = re.compile(
    r"(?i:</(?:think|thinking|thought|reasoning|seed:think)>)|<\|end_of_thought\|>|\[/THINK\]|"
    r"<\|channel\|>final<\|message\|>|◁/think▷",
    re.ASCII,
)
_REASONING = re.compile(
    r"(?m:^)[ \t]*(?:(?i:<(?:think|thinking|thought|reasoning|seed:think)>)|"
    r"<\|begin_of_thought\|>|\[THINK\]|◁think▷)",
    re.ASCII,
)
_TAG = re.compile(r"(?i:<(/?)answer>)", re.ASCII)
_CHOICE = re.compile(r"\(?[A-Z][).:]")
_SEPARATORS = re.compile(
    r",[ \tA-Za-z\\$]|;|、|，|。|\\\\|\\q?quad(?![A-Za-z])|\.[ \t\n]|"
    r"(?<![A-Za-z])(?i:and|or|but|so|then)(?![A-Za-z])",
    re.ASCII,
)
_OPERATOR_AT_END = re.compile(
    r"[+\-*/^_(\[{,=<>&:?]\Z|\\(?:times|cdot|div|pm|frac|dfrac|tfrac|sqrt|le|leq|ge|geq|approx|left)\Z"
)
_ASSUMED = {"assume", "let", "suppose"}
_ASSUMED_CLAUSE = {"because", "first", "given", "if", "note", "recall", "since", "when", "where"}


def stated_answer(text: str) -> str | None:
    """Give what the rows before the last one find in a text."""
    body = _body(text)
    tagged = _tagged(body)
    if tagged is not None:
        return tagged
    blocks = fences(body)
    answer = _stated(body, blocks, blocks)
    if answer is None and any(block.is_text for block in blocks):
        answer = _stated(body, [block for block in blocks if not block.is_text], blocks)
    if answer is None:
        answer = _computed(body, blocks)
    if answer is None:
        answer = concluded(body, blocks)
    return _short(body) if answer is None and _REASONED.search(text) else answer


def alone(text: str) -> str:
    """Give the text itself, as an answer: the last row of the table.

    Lines that begin as choices do are what could be chosen, not what was.
    """
    text = finish(_body(text))
    return "" if "\n" in text and _CHOICE.match(text) else text


def _short(text: str) -> str | None:
    """Give the few words that follow the reasoning of a model that marks it."""
    value = finish(text)
    words = re.findall(r"[A-Za-z]+", value)
    if "\n" in value or not 0 < len(words) <= 4 or len(value.encode()) > 60:
        return None
    unsure = ANSWER_WORD.search(value) or value.endswith(("?", ":", "...")) or is_cut_off(value)
    return value if is_finished(value, 4) and not unsure else None


def _body(text: str) -> str:
    """Take away the reasoning of a model that marks it, and the end of its turn."""
    text = clean_end(text)
    ends = [mark.end() for mark in _REASONED.finditer(text)]
    text = text[ends[-1] :] if ends else text
    begin = _REASONING.search(text)
    return (text[: begin.start()] if begin else text).strip(WHITE)


def _tagged(text: str) -> str | None:
    """Give the answer in the last <answer>...</answer> that says something, if there is one."""
    end: int | None = len(text)
    for tag in reversed(list(_TAG.finditer(text))):
        if tag[1]:
            end = tag.start()
        elif end is not None:
            content = text[tag.end() : end]
            if not says_nothing(content):
                blocks = fences(content)
                value = _stated(content, blocks, blocks) or finish(content)
                if not is_blank(value):
                    return value
            end = None
    return None


def _stated(text: str, skipped: Sequence[Fence], blocks: Sequence[Fence]) -> str | None:
    answer = boxed(text, skipped)
    if answer is None:
        answer = _marked(text, skipped, blocks)
    return statement(text, skipped, blocks) if answer is None else answer


def _marked(text: str, skipped: Sequence[Fence], blocks: Sequence[Fence]) -> str | None:
    """Give what stands behind the last #### that is no heading."""
    values = Values(text, blocks)
    later = len(text)  # where the next one begins
    while True:
        at = text.rfind("####", 0, later)
        if at < 0:
            return None
        begin, behind, end = at, at + 4, later
        while begin > 0 and text[begin - 1] == "#":
            begin -= 1
        later = begin
        if any(block.begin <= at < block.end for block in skipped):
            continue
        newline = text.find("\n", behind, end)
        if newline >= 0 or end == len(text):
            end = newline if newline >= 0 else end
        elif is_blank(text[behind:end]):
            continue
        content = text[behind:end]
        if ANSWER_WORD.search(content):
            return None
        value = finish(content.rstrip(WHITE + "#"))
        heading = text[text.rfind("\n", 0, begin) + 1 : begin].strip(" \t>*") == ""
        if is_blank(content):
            below = values.below(end + 1) if heading and behind - begin <= 6 else None
            if below is not None:
                return below
        elif not is_blank(value) and not (heading and _is_heading(value, is_blank(text[end:]))):
            return value


def _is_heading(content: str, is_last: bool) -> bool:
    words = len(re.findall(r"(?<![A-Za-z\\])[A-Za-z]{2,}", content))
    if re.match(r"[0-9]+[.)][ \t]+[A-Za-z]", content):
        return True
    if re.match(r"[A-Za-z]{2}|[^\x00-\x7f−√π∞€£¥（]", content):
        if content.lower() in ("yes", "no", "true", "false"):
            return False
        return not is_last or words > 3 or content.endswith((":", "："))
    return not is_last and words > (0 if re.match(r"[A-Z][.)]?[ \t]", content) else 6)


def _computed(text: str, blocks: Sequence[Fence]) -> str | None:
    """Give what the last line computes: the answers of models that only calculate."""
    if blocks and blocks[-1].end == len(text):
        return None
    line = _last_line(text)
    finished = finish(line)
    if "=" in line and "=" not in finished and "\\begin{" in line and ", " not in finished:
        return None if is_blank(finished) else finished
    before, equals, value = finished.rpartition("=")
    if not equals or before.endswith(("<", ">", "!")) or value.startswith(">"):
        return None
    first = re.match(r"[ \t]*([A-Za-z]*)", before)
    _, earlier, between = before.partition("=")
    begins = first[1].lower() if first else ""
    if begins in _ASSUMED or (begins in _ASSUMED_CLAUSE and "," not in before):
        return None
    if earlier and _SEPARATORS.search(between):
        return None
    if ">>" in value and "<<" in before:
        value = value.rpartition(">>")[2]
    value = _unpaired(finish(value))
    if is_blank(value) or is_cut_off(finished) or not is_finished(value):
        return None
    if re.search(r"\.[ \t\n]|\\\]|。|因此|所以|इसलिए|لذا", value):
        return None
    if _OPERATOR_AT_END.search(value) or re.search(r",[ \t]*[A-Za-z]", value):
        return None
    return value


def _unpaired(value: str) -> str:
    """Take away the end of a formula that begins in front of a value."""
    dollars = [dollar.start() for dollar in re.finditer(r"(?<!\\)\$", value)]
    if len(dollars) % 2 == 1 and dollars[0] > 0:
        value = value[: dollars[0]] + value[dollars[0] + 1 :]
    if "\\)" in value and "\\(" not in value:
        value = value.replace("\\)", "", 1)
    if value.endswith(")") and value.count(")") > value.count("("):
        value = value[:-1]
    return finish(value.removesuffix("\\]"))


def _last_line(text: str) -> str:
    begin = text.rfind("\n") + 1
    last = text[begin:].strip(WHITE)
    opener = {"\\]": "\\[", "$$": "$$"}.get(last)
    if opener is None:
        return text[begin:]
    opened = text.rfind(opener, 0, text.rfind(last))
    return text[opened:] if opened >= 0 else text[begin:]
