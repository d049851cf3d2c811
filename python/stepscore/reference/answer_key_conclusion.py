"""The value of a last sentence that concludes: "So there are 12 apples.", "the length is $5$."."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from stepscore.reference.answer_key_markup import WHITE, Fence, finish, is_letter
from stepscore.reference.answer_key_values import is_cut_off, is_finished

# What comes before them led to the result, which comes behind.
_CONCLUDING = {"conclusion", "donc", "hence", "so", "therefore", "thus"}
_CONCLUDING_SIGNS = ("因此", "所以", "结论", "इसलिए", "لذا")
_FINDERS = {"conclude", "find", "get", "have", "obtain"}  # behind "we"
_VERBS = {"are", "equals", "est", "is"}
_VERB_SIGNS = ("هو", "是", "为")
_DENIALS = {"no", "not"}
_NO_RESULT = {
    "add", "assume", "check", "consider", "could", "divide", "each", "first", "if", "let", "may",
    "maybe", "might", "multiply", "need", "needs", "next", "or", "perhaps", "should", "step",
    "subtract", "suppose", "try", "verify", "wait", "want", "would",
}  # fmt: skip
_NO_RESULT_SIGNS = ("如果", "假设", "需要", "？", "?")
_NUMBER = re.compile(
    r"[-+]?[$€£]?-?\.?[0-9](?:[0-9]|[.,/](?=[0-9]))*(?:[ ]?\\?%|[ ]?[€£])?", re.ASCII
)
_PAIR = re.compile(r"[(\[][-+0-9./ ]+(?:,[-+0-9./ ]+)+[)\]]")
_UNIT = re.compile("[\u4e00-\u9fff]+")
_HEDGE = re.compile(r"(?:[ \t*_:：]|(?:de|now|then|therefore|thus|also|only|about|donc)(?=[ \t]))*")
_CHOICE = re.compile(r"\(?[A-J]\)?[.*]*\Z")
_BLANKS = tuple(WHITE)
_OPERATORS = " \t()（）+-*/=×÷·"
_STOPS = (".", "。", "！", "।")


class _Value(NamedTuple):
    begin: int
    end: int
    said: bool  # right behind a verb
    is_formula: bool


def concluded(text: str, blocks: Sequence[Fence]) -> str | None:
    """Give the value of the last sentence, where that says one result."""
    if blocks and blocks[-1].end == len(text):
        return None
    line = text[text.rfind("\n") + 1 :]
    hope = line.rfind(". I hope")
    if hope >= 0:
        line = line[: hope + 1]
    sentence = line[_last_sentence(line) :]
    if is_cut_off(sentence):
        return None
    # Where other sentences end in a period, one that does not is cut off.
    before = text[: text.rfind("\n") + 1 + len(line) - len(sentence) + 1]
    stops = sentence.rstrip(WHITE + "*_").endswith(_STOPS)
    unfinished = not stops and re.search(r"[.!?][ \t\n\v\f\r]|[。！।？]", before) is not None
    return _Sentence(sentence, "\n" not in text).result(unfinished)


def _last_sentence(line: str) -> int:
    begin = at = 0
    end = len(line)
    while end > 0 and line[end - 1] in " \t*_.。!！।":
        end -= 1
    while at < end:
        formula = _behind_formula(line, at)
        if formula:
            at = formula
            continue
        c = line[at]
        at += 1
        if c in "。！।？" or (c in ".!?" and line[at : at + 1] in _BLANKS):
            begin = at
    return begin


def _behind_formula(text: str, at: int) -> int:
    for opener, closer in (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
        if text.startswith(opener, at):
            closed = text.find(closer, at + len(opener))
            # Between two amounts of money a sentence may end.
            if closed < 0 or (opener == "$" and re.search(r"\.[ \t]+[A-Z]", text[at:closed])):
                return 0
            return closed + len(closer)
    return 0


class _Sentence:
    """Its values, and what its words say of them."""

    def __init__(self, text: str, is_alone: bool) -> None:
        self._text = text
        self._is_alone = is_alone
        self._values: list[_Value] = []
        self._concludes = self._denied = self._is_none = self._is_open = False
        self._is_sure = False  # the last value is a choice or the right side of an equation
        self._verb = -1  # where a value that is said begins
        self._words = 0

    def result(self, unfinished: bool) -> str | None:
        """Give its value, if it states one."""
        at = 0
        word = ""
        while at < len(self._text):
            if is_letter(self._text[at]):
                at, word = self._read_word(at, word)
            else:
                at = self._read_sign(at)
        said = [value for value in self._values if value.said]
        if not self._values or self._is_none or self._is_open or len(said) > 1:
            return None
        value = self._values[-1]
        rest = self._text[value.end :]
        ends = finish(rest.strip("*_ \t)]")) == ""
        if unfinished and not self._is_sure:
            return None
        last = ends or (is_finished(rest, 2) and "=" not in rest and self._words > 1)
        if value.said and last:
            return self._with_unit(value, ends)
        if len(self._values) > 1:
            return None
        if self._concludes and (ends or self._text.rstrip(WHITE + "*_").endswith(_STOPS)):
            return self._with_unit(value, ends)
        before = self._text[: value.begin].rstrip(" \t")
        labels = value.is_formula and self._is_alone and before.endswith((":", "："))
        return self._with_unit(value, ends) if labels and ends else None

    def _with_unit(self, value: _Value, ends: bool) -> str:
        found = self._text[value.begin : value.end]
        rest = self._text[value.end :]
        unit = _UNIT.match(rest)
        if unit:
            found += unit[0] if len(unit[0]) <= 2 else ""
        elif not ends and value.said and is_finished(rest, 1):
            found = self._text[value.begin :]
        return finish(found)

    def _read_word(self, at: int, before: str) -> tuple[int, str]:
        end = at
        while is_letter(self._text[end : end + 1]):
            end += 1
        word = self._text[at:end].lower()
        self._words += 1
        if word in _CONCLUDING or (word in _FINDERS and before == "we"):
            self._conclude()
        elif word == "which":
            self._values.clear()
        elif word in _VERBS:
            self._verb = self._behind_verb(end)
        elif word == "it" and self._text.startswith(("'s", "’s"), end):
            end += 2
            self._verb = self._behind_verb(end)
        elif word in _DENIALS:
            self._denied = True
        elif word in _NO_RESULT or self._text.startswith(("'t", "’t"), end):
            self._is_none = True
        if at == self._verb and _CHOICE.match(self._text, at):
            self._choice(at)
        return end, word

    def _choice(self, at: int) -> None:
        end = at + 1 + (self._text[at] == "(")
        if self._text.startswith(")", end):
            end += 1
        if not self._denied:
            self._values.append(_Value(at, end, True, False))
            self._is_sure = True

    def _behind_verb(self, at: int) -> int:
        hedge = _HEDGE.match(self._text, at)
        return hedge.end() if hedge else at

    def _conclude(self) -> None:
        self._values.clear()
        self._concludes = True
        self._denied = self._is_none = self._is_open = False

    def _read_sign(self, at: int) -> int:
        text = self._text
        formula = _behind_formula(text, at)
        if formula:
            inner = text[at:formula]
            if re.search(r"[0-9]|\\begin\{", inner):
                self._add(at, formula, True)
            return formula
        if at == self._verb and _CHOICE.match(text, at):
            self._choice(at)
            return at + 1
        if text[at] == "\\":
            return at + 2
        attached = at > 0 and (is_letter(text[at - 1]) or text[at - 1] in "_^{\\")
        number = None if attached else _PAIR.match(text, at) or _NUMBER.match(text, at)
        if number:
            self._add(at, number.end(), False)
            return number.end()
        for signs, act in (
            (_CONCLUDING_SIGNS, self._conclude),
            (_NO_RESULT_SIGNS, self._refuse),
        ):
            sign = next((s for s in signs if text.startswith(s, at)), None)
            if sign:
                act()
                return at + len(sign)
        if text.startswith("不", at):
            self._denied = True
            return at + 1 + text.startswith("是", at + 1)
        sign = next((s for s in _VERB_SIGNS if text.startswith(s, at)), None)
        if sign:
            self._verb = self._behind_verb(at + len(sign))
            return at + len(sign)
        return at + 1

    def _refuse(self) -> None:
        self._is_none = True

    def _add(self, begin: int, end: int, is_formula: bool) -> None:
        said = begin == self._verb
        if self._denied:
            self._denied = False
            return
        self._is_sure = False
        if self._values:
            last = self._values[-1]
            gap = self._text[last.end : begin].strip(" \t")
            if all(c in _OPERATORS for c in gap) and any(c in "+-*/=×÷·" for c in gap):
                self._is_open = "=" not in gap
                self._is_sure = "=" in gap
                self._values[-1] = _Value(begin, end, last.said, is_formula)
                return
            first = self._text[begin]
            if gap == "" and first in "+-" and not is_formula:  # 5 +3
                self._is_open = True
                self._values[-1] = _Value(begin, end, last.said, is_formula)
                return
            if self._is_open:  # what is computed, in front of its value
                self._values.pop()
                self._is_open = False
        self._values.append(_Value(begin, end, said, is_formula))
