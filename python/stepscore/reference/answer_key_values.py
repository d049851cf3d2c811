"""The value behind the words that state an answer, or below them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from stepscore.reference.answer_key_boxes import boxed
from stepscore.reference.answer_key_markup import (
    WHITE,
    Fence,
    finish,
    is_blank,
    is_letter,
    without_closer,
)

# In front of a value they say nothing about it; the second kind only where a value follows.
_HEDGES = (
    "as follows", "be", "certainly", "clearly", "definitely", "equal to", "for sure", "found to be",
    "going to be", "hence", "in fact", "indeed", "must be", "obviously", "of course", "simply",
    "the following", "therefore", "thus", "to be",
)  # fmt: skip
_HEDGES_OF_VALUES = (
    "about", "again", "almost", "also", "approximately", "approx", "around", "calculated as",
    "equal", "equals", "exactly", "finally", "given by", "just", "likely", "nearly", "now", "only",
    "precisely", "probably", "roughly", "so", "still", "then",
)  # fmt: skip
_SIGNS_OF_HEDGES = ("\\approx", "≈", "=", "＝", ":", "：")
_VALUE_BEGINS = '0123456789$\\(-+*`"[{.€£¥−√π∞“'
# An answer is not what these say of it.
_JUDGEMENTS = {"correct", "incorrect", "invalid", "right", "valid", "wrong"}
_DEEDS = {
    "above", "accurate", "asked", "based", "below", "boxed", "calculated", "checked", "clear",
    "computed", "confirmed", "consistent", "derived", "determined", "easy", "expected", "explained",
    "expressed", "found", "given", "here", "highlighted", "independent", "known", "left",
    "needed", "obtained", "obvious", "plausible", "reached", "reasonable", "represented",
    "required", "rounded", "sensible", "shown", "simple", "simplified", "stated", "supported",
    "unique", "verified", "written",
}  # fmt: skip
_GOES_ON = {
    "about", "above", "according", "after", "and", "as", "at", "based", "because", "below", "but",
    "by", "directly", "for", "from", "given", "here", "if", "in", "on", "out", "since", "so",
    "that", "through", "to", "under", "using", "via", "when", "with",
}  # fmt: skip
_QUESTIONS = {"because", "how", "what", "whether", "why"}
_ARTICLE = re.compile(
    r"(?:an?|in|not)[ \t]+(?:a|an|base|bit|cents|correct|decimal|dollars|form|fraction|function|"
    r"good|integer|its|"
    r"little|lowest|matter|multiple|natural|negative|nice|number|our|positive|rational|real|"
    r"reasonable|right|simple|simplest|single|terms|the|this|valid|whole)(?![A-Za-z])"
)
_NOT = re.compile(r"not[ \t]+(?:[0-9$\\-]|\([A-Z]\)(?!,))")
_CHINESE_JUDGEMENT = re.compile("正确|错误|对的|错的|合理|不是|唯一")
_CLAUSES = {
    "although", "as", "because", "but", "corresponding", "giving", "hence", "i", "it", "making",
    "meaning", "not", "rounded", "she", "since", "so", "that", "there", "therefore", "they",
    "this", "though", "thus", "we", "which", "you",
}  # fmt: skip
_CAUSES = {"because", "since", "therefore", "which"}
_ASIDES = {"approximately", "as", "because", "i", "rounded", "since", "which"}
_CHINESE_CLAUSES = "因所故即其也这但"
_PROSE = {
    "after", "because", "by", "each", "first", "for", "given", "he", "i", "if", "in", "it", "let",
    "now", "she", "since", "so", "the", "there", "they", "this", "to", "we", "when",
}  # fmt: skip
_UNFINISHED = {
    "a", "an", "and", "are", "as", "at", "because", "but", "by", "for", "from", "he", "her", "his",
    "in", "is", "it", "of", "on", "or", "she", "since", "so", "that", "the", "their", "then",
    "they", "to", "we", "which", "with",
}  # fmt: skip
_BULLET = re.compile(r"([-*+•])[ \t]+|1[.)][ \t]+")
_NEXT_NUMBER = re.compile(r"[0-9]+[.)][ \t]+")
# A text that goes on to judge its answers states none; a bound, so that time is linear.
_MOST_TRIES = 32
_DISPLAY = re.compile(r"\$\$|\\\[|\\\(|\\begin\{[a-z]+\*?\}")
_CLOSERS = {"$$": "$$", "\\[": "\\]", "\\(": "\\)"}
_CHOICE = re.compile(r"(?:[($*\[{ ]|\\[A-Za-z]+(?![A-Za-z]))*[A-Z](?![A-Za-z])")
_TELLS = re.compile(r"(?<![A-Za-z])(?:is|are)(?![A-Za-z])|是")
ANSWER_WORD = re.compile(r"(?<![A-Za-z])(?:[Aa]nswers?|ANSWERS?|[Aa]ns|ANS)(?![A-Za-z])|答案")
_IS_CORRECT = re.compile(
    r"[ \t*]*\(?([A-Z])\)?[ \t*]*is[ \t]+(?:the[ \t]+)?(?:correct|right|best|answer)(?![A-Za-z])"
)


class Values:
    """What stands at a place of a text."""

    def __init__(self, text: str, fences: Sequence[Fence]) -> None:
        self._text = text
        self._fences = {fence.begin: fence for fence in fences}
        self._tries = _MOST_TRIES
        self.is_judgement = False

    def behind(
        self, at: int, end: int, *, label: bool = False, only: str | None = None
    ) -> str | None:
        """Give the value from a place to the end of its line, or below where there is none.

        With `label` it is not the begin of an explanation, with ``only="choice"`` a choice or a
        number, with ``only="last"`` the last thing that the text says.
        """
        at = self._skip(at, end, "*_")
        if self._text.startswith((":", "："), at):
            at = self._skip(at + 1, end, "*_")
        at = self._skip(at, end, WHITE)
        value = self._behind_hedges(at, end)
        if not self._opens_display(value) and is_blank(self._text[value:end]):
            return self.below(end + 1) if only is None else None
        return self._value(at, end, label=label, only=only)

    def in_front(self, before: str, behind: str, kind: str) -> str | None:
        """Give the value of "12 is the answer" and "option C is correct"."""
        self.is_judgement = False
        if kind == "choice":
            found = _IS_CORRECT.match(behind)
            return found[1] if found else None
        before = before.rstrip(" \t*_")
        ends = kind == "answer" or (kind == "result" and is_blank(behind))
        if not ends or not re.search(r"[ \t*$)]is\Z", before):
            return None
        before = before[:-2].rstrip(" \t*")
        begin = re.compile(r"[^ \t]*\Z").search(before)
        at = begin.start() if begin else 0
        if before.endswith("$"):
            at = before.rfind("$", 0, -1)
        elif before.endswith(r"\)"):
            at = before.rfind(r"\(")
        value = finish(before[at:]) if at >= 0 else ""
        number = re.search("[0-9]", value) is not None
        return value if number or re.fullmatch(r"\(?[A-J]\)?", value) else None

    def below(self, begin: int) -> str | None:
        """Give the value in the first line from a place on that has more than markup."""
        text = self._text
        self.is_judgement = False
        self._tries -= 1
        while begin < len(text) and self._tries >= 0:
            end = self._line_end(begin)
            at = self._skip(begin, end, WHITE + ">")
            if begin in self._fences:
                lines = [
                    line for line in self._fences[begin].content.split("\n") if line.strip(WHITE)
                ]
                if len(lines) != 1:
                    return None
                return boxed(lines[0], ()) or finish(lines[0]) or None
            if not self._opens_display(at) and is_blank(text[at:end]):
                begin = end + 1
                continue
            if ANSWER_WORD.search(text, at, end) or text.startswith("|", at):
                return None
            if text.startswith("#", at):
                at = self._skip(self._skip(at, end, "#"), end, WHITE)
            bullet = _BULLET.match(text, at, end)
            if bullet:
                return self._listed(bullet, end)
            return self._value(at, end, label=True)
        return None

    def _listed(self, bullet: re.Match[str], end: int) -> str | None:
        """Give the values of a list, one a line, joined by commas."""
        values = []
        following = (
            _NEXT_NUMBER if bullet[1] is None else re.compile(re.escape(bullet[1]) + r"[ \t]+")
        )
        at = bullet.end()
        while True:
            value = self._value(at, end, label=True)
            if value is None:
                return None
            values.append(value)
            at = self._skip(end + 1, len(self._text), " \t>")
            end = self._line_end(at)
            item = following.match(self._text, at, end)
            if not item or self.is_judgement:
                return ", ".join(values)
            at = item.end()

    def _value(self, at: int, end: int, *, label: bool, only: str | None = None) -> str | None:
        text = self._text
        self.is_judgement = False
        self._tries -= 1
        if self._tries < 0:
            return None
        at = self._behind_hedges(at, end)
        begin = self._behind_display(at)
        if begin < 0:
            return None
        end = max(end, self._line_end(begin))
        judged = _judged(text[at:end])
        if judged is False:
            return None
        cut = self._sentence_end(begin, end)
        sentence = without_closer(text, at, cut)
        if is_blank(text[cut:]) and is_cut_off(sentence):
            return None
        if label and (told := self._told(at, at + len(sentence))):
            return told
        words = len(re.findall(r"[A-Za-z]+", sentence))
        if label and words > 5 and not is_blank(text[cut:]):
            first = re.match(r"[A-Za-z]*", sentence)
            if first and first[0].lower() in _PROSE:
                return None
        value = finish(sentence)
        if is_blank(value):
            return None
        if only is not None:
            number = re.search("[0-9]", value) is not None
            if not number and not _CHOICE.match(value) and (only == "choice" or "\\" not in value):
                return None
            last = is_blank(text[cut:]) and is_finished(value, 2) and "=" not in value
            if only == "last" and not last:
                return None
        self.is_judgement = judged is True
        return value

    def _told(self, at: int, end: int) -> str | None:
        """Give the value of a sentence, "The largest number is 34", that stands for an answer."""
        sentence = self._text[at:end]
        verbs = list(_TELLS.finditer(sentence))
        if len(verbs) != 1 or not re.match(r"[A-Za-z]{2}|[^\x00-\x7f]", sentence):
            return None
        begin = self._behind_hedges(at + verbs[0].end(), end)
        value = finish(self._text[begin:end])
        begins = begin < end and self._text[begin] in "0123456789$\\(-[{"
        return value if begins and "=" not in value and is_finished(value, 2) else None

    def _behind_hedges(self, at: int, end: int) -> int:
        text = self._text
        certain = at  # behind the hedges that need no value behind them
        while True:
            at = self._skip(at, end, WHITE)
            if text.startswith("**", at):
                at = self._skip(at, end, "*")
            sign = next((s for s in _SIGNS_OF_HEDGES if text.startswith(s, at)), None)
            if sign is not None:
                at += len(sign)
                continue
            always = _hedge(text, at, end, _HEDGES)
            after = always or _hedge(text, at, end, _HEDGES_OF_VALUES)
            if after is None:
                break
            at = self._skip(after, end, ",:： \t*")
            certain = at if always else certain
        word = at
        while is_letter(text[word : word + 1]):
            word += 1
        follows = at < end and (text[at] in _VALUE_BEGINS or word == at + 1)
        return at if follows else certain

    def _sentence_end(self, at: int, end: int) -> int:
        """Find the end of a sentence, or of its main clause; not within formulas."""
        text = self._text
        begin = at
        while at < end:
            c = text[at]
            formula = self._behind_formula(at, end)
            if formula:
                at = formula
            elif c == "\\":
                at += 2
            elif c == "." and not (at > begin and text[at - 1] == "."):
                after = self._skip(at + 1, end, "*")
                if after >= end or text[after] in WHITE:
                    return at
                at += 1
            elif c == "。":
                return at
            elif c in "!?" and re.compile(r"[ \t]+[A-Z]").match(text, at + 1, end):
                return at + (c == "!")
            elif c in ", ，" and self._clause_begins(c, at, end):
                return at
            else:
                at += 1
        return end

    def _behind_formula(self, at: int, end: int) -> int:
        """Find the end of the formula that begins here; 0 where none does."""
        text = self._text
        for begin, closer in (("\\(", "\\)"), ("\\[", "\\]")):
            if text.startswith(begin, at):
                closed = text.find(closer, at + 2, end)
                return closed + 2 if closed >= 0 else 0
        if not text.startswith("$", at):
            return 0
        sign = "$$" if text.startswith("$$", at) else "$"
        closed = text.find(sign, at + len(sign), end)
        inner = text[at + len(sign) : closed]
        if closed < 0 or re.search(r"\.[ \t\n]+[A-Z]", inner):
            return 0
        return closed + len(sign)

    def _clause_begins(self, sign: str, at: int, end: int) -> bool:
        text = self._text
        word = at + 1
        if sign == "，":
            return word < end and text[word] in _CHINESE_CLAUSES
        if sign == ",":
            if not text.startswith(" ", word):
                return False
            word += 1
        bracket = sign == " " and text.startswith("(", word)
        word += bracket
        after = word
        while after < end and is_letter(text[after]):
            after += 1
        words = _CLAUSES if sign == "," else _ASIDES if bracket else _CAUSES
        goes_on = after < end and text[after] in " \t."
        return text[word:after] in words and goes_on

    def _opens_display(self, at: int) -> bool:
        return _DISPLAY.match(self._text, at) is not None

    def _behind_display(self, at: int) -> int:
        """Find the end of the display that begins here, if one does; -1 where it is not closed."""
        opener = _DISPLAY.match(self._text, at)
        if not opener:
            return at
        closer = _CLOSERS.get(opener[0]) or opener[0].replace("begin", "end", 1)
        closed = self._text.find(closer, opener.end())
        return closed + len(closer) if closed >= 0 else -1

    def _line_end(self, at: int) -> int:
        end = self._text.find("\n", at)
        return len(self._text) if end < 0 else end

    def _skip(self, at: int, end: int, characters: str) -> int:
        while at < end and self._text[at] in characters:
            at += 1
        return at


def _hedge(text: str, at: int, end: int, hedges: Sequence[str]) -> int | None:
    """Find the end of a hedge that begins here."""
    for hedge in hedges:
        after = at + len(hedge)
        if (
            after <= end
            and text[at:after].lower() == hedge
            and not is_letter(text[after : after + 1])
        ):
            return after
    return None


def _judged(sentence: str) -> bool | None:
    """Tell what is said of the answer: True for "correct" alone, False for all else but a value."""
    word, behind = _word(sentence.lstrip("*_"))
    behind = behind.lstrip("*_").lstrip(WHITE)
    following, _ = _word(behind)
    goes_on = behind == "" or behind[0] in ".,;:!?(。" or following in _GOES_ON
    if word in _JUDGEMENTS and goes_on:
        return behind == "" or behind[0] in ".!。"
    if (word in _DEEDS and goes_on) or word in _QUESTIONS:
        return False
    if any(pattern.match(sentence) for pattern in (_ARTICLE, _NOT, _CHINESE_JUDGEMENT)):
        return False
    return None


def _word(text: str) -> tuple[str, str]:
    at = 0
    while is_letter(text[at : at + 1]):
        at += 1
    return text[:at].lower(), text[at:]


def is_finished(value: str, most: int = 3) -> bool:
    """Tell whether a value at the end of a text has but a unit, and no word that asks for more."""
    words = re.findall(r"(?<![A-Za-z\\])[A-Za-z]{2,}", value)
    return len(words) <= most and not (words and words[-1].lower() in _UNFINISHED)


def is_cut_off(sentence: str) -> bool:
    """Tell whether the end of the text came before the end of a formula or a bracket."""
    if sentence in ("(", "[", "{"):
        return True
    if not re.search(r"[0-9A-Za-z$\\]", sentence):
        return False  # brackets that are the answer
    depth = {"{": 0, "(": 0}
    formula, dollars, first = 0, 0, ""
    at = 0
    while at < len(sentence):
        c = sentence[at]
        if c == "\\":
            formula += sentence.startswith("\\(", at) - sentence.startswith("\\)", at)
            at += 2
            continue
        if c == "$" and dollars == 0:
            first = sentence[at + 1 : at + 2]
        dollars += c == "$"
        if c in "{([":
            depth["{" if c == "{" else "("] += 1
        elif c in "})]":
            depth["{" if c == "}" else "("] -= 1
        at += 1
    odd = dollars % 2 == 1 and not (first != "" and first in "0123456789")
    return depth["{"] > 0 or depth["("] > 0 or formula > 0 or odd
