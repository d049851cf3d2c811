r"""What the field of an answer says: a bare answer, or a text that states one.

Data sets keep a known answer as ``18``, ``\boxed{18}``, ``$18$`` or a whole solution that ends in
``#### 18``; samplers keep the answer of a candidate in as many ways.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from stepscore.ops import answer_keys, extract_answers

_WORD = r"(?<!\\)\b[^\W\d_]{2,}"
# Four words with few numbers and letters between them, but for commands of LaTeX.
_PROSE = rf"(?:{_WORD}[^\w\\]+(?:(?:\w|\d+)[^\w\\]+){{0,3}}){{3}}{_WORD}"
_MARKS = (
    r"\\f?box|####|<answer>|</think>|\bans(?:wer)?s?\b|réponse|\bis\b|答案|故选",
    r"\A\*\*",
    rf"\A{_WORD} (?:\w+ )*{_WORD}:? *(?:\$|\\\()",  # two words in front of a formula
    rf"{_WORD} +\$[^$]*\$ +is\b",
    r"\bit['’]s\b",
    r"(?:[\u0600-\uffff][^\u0600-\uffff]*){4}",  # letters of a script without such words
)
_MARK = "|".join(_MARKS)
_is_prose = re.compile(_PROSE).search
_may_state = re.compile(rf"{_MARK}|\n|{_PROSE}", re.IGNORECASE).search


def _looks_like_solution(text: str) -> bool:
    return not (text.isascii() and text.isdecimal()) and _may_state(text) is not None


def stated_answers(texts: Sequence[str | None]) -> list[str | None]:
    r"""Give the answer that each field says.

    A text with a mark of an answer (``is`` too), several lines, four words of prose, words in front
    of a formula or letters of another script is read as a solution is, unless all of it is an
    answer already (``12 hours``). Where it states none, and everywhere else, the answer is the
    text.

    Args:
        texts: as the fields hold them; None stays None.

    Examples:
        >>> stated_answers([r"\boxed{18}", "5+6=11, and 11+7=18\n#### 18", "$18$", "x+1"])
        ['18', '18', '$18$', 'x+1']
    """
    answers = list(texts)
    # Most answers of candidates are given more than once, or are whole numbers.
    solutions = {text for text in {*texts} if text is not None and _looks_like_solution(text)}
    if not solutions:
        return answers
    places = [place for place, text in enumerate(texts) if text in solutions]
    unread = [texts[place] for place in places]
    known = answer_keys(unread, extract=False)
    for place, key, answer in zip(places, known, extract_answers(unread), strict=True):
        if answer is not None and (key is None or key.startswith("text:")):
            answers[place] = answer
    return answers


def not_understood(
    known: Sequence[str | None], answers_of: Callable[[int], Sequence[str | None]]
) -> list[int]:
    """Give the problems whose known answer cannot be understood as one.

    It says that there is none, such as ``N/A``; or it is prose that states no answer, and nobody
    answers in prose, so that equal spellings cannot be what is asked for.

    Args:
        known: as `stated_answers` gives them, ``[problems]``.
        answers_of: gives those of the candidates of a problem.
    """
    texts = [text for text in {*known} if text is not None]
    keys = answer_keys(texts, extract=False)
    none, prose = set(), set()
    for text, key in zip(texts, keys, strict=True):
        if key is None:
            none.add(text)
        elif key.startswith("text:") and _is_prose(text):
            prose.add(text)
    return [
        problem
        for problem, text in enumerate(known)
        if text in none or (text in prose and not any(map(_answers_in_prose, answers_of(problem))))
    ]


def _answers_in_prose(answer: str | None) -> bool:
    return answer is not None and _is_prose(answer) is not None
