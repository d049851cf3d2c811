"""Where a text says what its answer is, in words: "The answer is ...", "Answer: ...", a heading."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from stepscore.reference.answer_key_markup import Fence, is_blank, is_letter
from stepscore.reference.answer_key_values import Values

_ANSWERS = {"answer", "answers", "ans"}
_CHOICES = {"option", "options", "choice", "choices"}
_RESULTS = {"result", "results", "solution", "solutions", "sum", "total", "value"}
_ABROAD = {
    "antwort": ("ist", "lautet"), "respuesta": ("es",), "resposta": ("é",), "risposta": ("è",),
    "réponse": ("est",), "ответ": (), "정답": ("은", "는"), "답": ("은", "는"),
    "jawaban": ("adalah",), "回答": ("是", "为"), "答え": ("は",),
}  # fmt: skip
_CHINESE = re.compile(
    r"(?:故|应|因此|所以|答案)选择?|"
    r"(?:答案|最终结果|正确选项)[*_]*(?![*_])(?:应该|应(?!该))?(?:是|为|即)?(?!否|何|什么)|答(?=[:：])"
)
_VERBS = {"are", "be", "equals", "is", "was"}
_MODALS = {
    "also", "can", "comes", "could", "have", "has", "here", "hence", "may", "might", "must",
    "needs", "now", "out", "should", "then", "therefore", "thus", "to", "turns", "will", "would",
}  # fmt: skip
_MORE = {
    "at", "expressed", "for", "from", "given", "i", "in", "obtained", "of", "on", "rounded", "that",
    "to", "we", "with", "you",
}  # fmt: skip
_STOPS = {
    "answer", "answers", "because", "but", "find", "if", "since", "what", "when", "where", "which",
}  # fmt: skip
_ADJECTIVES = {
    "best", "chosen", "correct", "exact", "final", "my", "numerical", "our", "required", "right",
    "selected", "short", "the", "your",
}  # fmt: skip
_DOUBTS = {"assume", "check", "confirm", "if", "suppose", "verify", "what", "whether"}
_LINE_BEGIN = re.compile(
    r"[ \t>]*(?:#+[ \t]*)?(?:[-*+•][ \t]+|[0-9]+[.)][ \t]+|\([0-9a-z]\)[ \t]*)?[*_]*"
)


class _Cue(NamedTuple):
    """A word that may begin a statement."""

    begin: int
    end: int
    kind: str  # answer, choice, result, A, abroad, chinese
    plural: bool


def statement(text: str, skipped: Sequence[Fence], blocks: Sequence[Fence]) -> str | None:
    """Give the value of the last line, outside of what is skipped, that states one."""
    values = Values(text, blocks)
    judged = None
    end = len(text)
    fences = list(skipped)
    while True:
        begin = text.rfind("\n", 0, end) + 1
        if fences and begin < fences[-1].end and end > fences[-1].begin:
            begin = fences.pop().begin
        else:
            for cue in reversed(list(_cues(text, begin, end))):
                value = _stated(text, cue, begin, end, values)
                if value is not None and not values.is_judgement:
                    return value
                judged = judged or value
        if begin == 0:
            return judged
        end = begin - 1


def _cues(text: str, begin: int, end: int) -> Iterator[_Cue]:
    at = begin
    while at < end:
        c = text[at]
        if is_letter(c):
            after = at
            while after < end and is_letter(text[after]):
                after += 1
            word = text[at:after].lower()
            if word in _ANSWERS:
                yield _Cue(at, after, "answer", word == "answers")
            elif word in _CHOICES:
                yield _Cue(at, after, "choice", word.endswith("s"))
            elif word in _RESULTS:
                final = re.search(r"(?ai)final[ \t]\Z", text[begin:at])
                yield _Cue(at, after, "answer" if final else "result", word.endswith("s"))
            elif text[at:after] == "A":
                yield _Cue(at, after, "A", False)
            elif word in _ABROAD:
                yield _Cue(at, after, "abroad", False)
            elif word == "r" and text.startswith("éponse", after):
                after += len("éponse")
                yield _Cue(at, after, "abroad", False)
            at = after
        elif c > "\x7f":
            chinese = _CHINESE.match(text, at, end)
            abroad = next((w for w in _FOREIGN if text.startswith(w, at)), None)
            if chinese:
                yield _Cue(at, chinese.end(), "chinese", False)
                at = chinese.end()
            elif abroad:
                yield _Cue(at, at + len(abroad), "abroad", False)
                at += len(abroad)
            else:
                at += 1
        else:
            at += 1


_FOREIGN = ("ответ", "Ответ", "정답", "답", "回答", "答え")


def _stated(text: str, cue: _Cue, begin: int, end: int, values: Values) -> str | None:
    """Give the value that the words at a cue state."""
    before, led = _before(text, begin, cue.begin)
    if cue.kind == "A":
        at = _skip(text, cue.end, end, "*")
        if text[begin : cue.begin] != before or not text.startswith((":", "："), at):
            return None
        if not _LINE_BEGIN.fullmatch(before) or _is_list_of_choices(text, end):
            return None
        return values.behind(at + 1, end, label=True)
    if led in _DOUBTS:
        return None
    at, label = _verb(text, cue, before, end)
    if at < 0:
        if cue.kind == "result" and end < len(text):
            return None
        return values.in_front(before, text[cue.end : end], cue.kind)
    if cue.kind == "choice":
        if label and (cue.plural or before == text[begin : cue.begin]):
            return None
        return values.behind(at, end, only="choice")
    if cue.kind == "result":
        if text.find("\n", end) >= 0 or end < len(text):
            return None
        return values.behind(at, end, only="last")
    return values.behind(at, end, label=label)


def _before(text: str, begin: int, end: int) -> tuple[str, str]:
    """Give the line before a cue without "the final" and its like, and the word before those."""
    at = end
    for _ in range(5):
        back = at
        while back > begin and text[back - 1] in " \t*_":
            back -= 1
        word_end = back
        while back > begin and is_letter(text[back - 1]):
            back -= 1
        word = text[back:word_end].lower()
        if word not in _ADJECTIVES:
            return text[begin:at], word
        at = back
    return text[begin:at], ""


def _verb(text: str, cue: _Cue, before: str, end: int) -> tuple[int, bool]:
    """Find where the value begins behind a cue, and whether a colon says so; -1 without."""
    at = cue.end
    if cue.kind == "answer" and text.startswith("(s)", at):
        at += 3
    at = _skip(text, at, end, "*_ \t")
    if at < end and text[at] in ":：":
        return at + 1, True
    if text.startswith("=", at) and not text.startswith("==", at) and cue.kind != "result":
        return at + 1, False
    if cue.kind == "chinese":
        alone = is_blank(text[at:end]) and _LINE_BEGIN.fullmatch(before) is not None
        return (at, False) if text[cue.end - 1] in "是为即选择" or alone else (-1, False)
    if cue.kind == "abroad":
        verbs = _ABROAD[text[cue.begin : cue.end].lower()]
        verb = next((v for v in verbs if text.startswith(v, at)), None)
        after = at + len(verb or "")
        said = verb is not None and not is_letter(text[after : after + 1])
        return (after, False) if said else (-1, False)
    if cue.kind == "answer" and is_blank(text[at:end]):
        heading = re.match(r"[ \t>]*[#*_]", before) or _LINE_BEGIN.fullmatch(before)
        return (end, True) if heading else (-1, False)
    if cue.kind == "answer" and text.startswith(("$", r"\(", r"\["), at):
        return (at, True) if _LINE_BEGIN.fullmatch(before) else (-1, False)
    return _verb_in_words(text, at, end), False


def _verb_in_words(text: str, at: int, end: int) -> int:
    """Find the end of the verb of "answer to the question is", "answer must be", ..."""
    anything = text.startswith(",", at)
    for _ in range(16):
        while at < end and not is_letter(text[at]):
            if anything and text[at] in ":：":
                return at + 1
            if text[at] in ".;?!" or not (anything or text[at] in " \t*_"):
                return -1
            at += 1
        after = at
        while after < end and is_letter(text[after]):
            after += 1
        word = text[at:after].lower()
        if word in _VERBS:
            return after
        if word in _STOPS if anything else word not in _MODALS and word not in _MORE:
            return -1
        anything = anything or word in _MORE
        at = after
    return -1


def _is_list_of_choices(text: str, end: int) -> bool:
    """Tell whether the next line is that of choice B."""
    return (
        re.compile(r"[ \t\n\v\f\r]*(?:[-*+•][ \t]+)?[*_]*B[*_]*[:：]").match(text, end) is not None
    )


def _skip(text: str, at: int, end: int, characters: str) -> int:
    while at < end and text[at] in characters:
        at += 1
    return at
