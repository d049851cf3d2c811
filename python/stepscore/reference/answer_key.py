r"""Answer keys in plain Python: regular expressions, `fractions.Fraction`, sets of strings.

Left out, as text: most units, money, repeating decimals, equations but ``x = ...``. Fractions have
no largest one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepscore.ops.answer_key import AnswerGroups
from stepscore.reference.answer_key_extraction import alone, stated_answer, trim
from stepscore.reference.answer_key_numbers import NotUnderstoodError, spell
from stepscore.reference.answer_key_reader import Reader

__all__ = ["AnswerGroups", "answer_keys", "extract_answers", "group_answers"]

_SIGNS = {
    "−": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": r"\div ", "⁄": "/",
    "π": r"\pi ", "∞": r"\infty ", "∪": r"\cup ", "°": r"^\circ ", "∅": r"\emptyset ",
    "½": r"\frac12 ", "⅓": r"\frac13 ", "⅔": r"\frac23 ", "¼": r"\frac14 ", "¾": r"\frac34 ",
    "²": "^{2}", "³": "^{3}",
}  # fmt: skip
# A few, to say how units join.
_UNITS = {"hour": "hour", "hours": "hour", "minute": "minute", "minutes": "minute", "cm": "cm"}


def extract_answers(texts: Iterable[str | None]) -> list[str | None]:
    """See `stepscore.extract_answers`."""
    return [None if text is None else _extract(text) for text in texts]


def answer_keys(texts: Iterable[str | None], *, extract: bool = True) -> list[str | None]:
    """See `stepscore.answer_keys`."""
    if extract:
        texts = extract_answers(texts)
    return [None if text is None else _key(text) for text in texts]


def group_answers(
    texts: Iterable[str | None],
    offsets: Any,
    *,
    extract: bool = True,
    verify: Callable[[str, str], bool] | None = None,
    explain: bool = False,
) -> NDArray[np.int64] | AnswerGroups:
    """See `stepscore.group_answers`; with a function as the only verifier."""
    answers = extract_answers(texts) if extract else list(texts)
    keys = answer_keys(answers, extract=False)
    ids = np.full(len(keys), -1)
    decided = np.full(len(keys), "none", dtype="<U6")
    for begin, end in pairwise(np.asarray(offsets).tolist()):
        classes: dict[str, int] = {}
        units: dict[str, set[str]] = {}
        for known in filter(None, keys[begin:end]):
            if " [" in known and not known.startswith("text:"):
                units.setdefault(known.partition(" [")[0], set()).add(known)
        speakers: list[tuple[str, bool]] = []  # answer, and whether it was understood
        for i in range(begin, end):
            key, answer = keys[i], answers[i]
            if key is None or answer is None:
                continue
            if key in classes:
                opened = next(j for j in range(begin, i) if keys[j] == key)
                how = "text" if key.startswith("text:") else "key"
                ids[i] = classes[key]
                decided[i] = decided[opened] if decided[opened] != "first" else how
                continue
            # The other spelling of the same number, without or with its only unit.
            bare = key.partition(" [")[0]
            only = units.get(bare, set())
            twin = bare if key != bare else next(iter(only), "")
            resolved = not key.startswith("text:")
            group = None
            if resolved and len(only) == 1 and twin in classes:
                group, how = classes[twin], "unit"
                if decided[next(j for j in range(begin, i) if keys[j] == twin)] == "verify":
                    how = "verify"
            elif verify is not None:
                how = "verify"
                for number, (other, understood) in enumerate(speakers):
                    if not (resolved and understood) and (
                        verify(other, answer) or verify(answer, other)
                    ):
                        group = number
                        if resolved:
                            speakers[number] = (answer, True)
                        break
            if group is None:
                group, how = len(speakers), "first"
                speakers.append((answer, resolved))
            classes[key] = ids[i] = group
            decided[i] = how
    return AnswerGroups(ids, decided, ()) if explain else ids


def _extract(text: str) -> str | None:
    answer = stated_answer(text)
    if answer is not None:
        return answer
    text = alone(text)
    key = _key(text)
    return None if key is None or key.startswith("text:") else text


def _key(answer: str) -> str | None:
    text = trim(answer).removesuffix(".")
    if not text:
        return None
    try:
        if text.count("$") % 2:  # money
            raise NotUnderstoodError
        return _value(text)
    except (NotUnderstoodError, ZeroDivisionError, IndexError, OverflowError):
        return "text:" + " ".join(text.split())


def _value(text: str) -> str:
    before, space, word = text.rpartition(" ")
    if space and word in _UNITS:
        return f"{spell(Reader(before).only_sum())} [{_UNITS[word]}]"
    choice = re.fullmatch(r"(?:\\text\{)?(?:\(([A-Z])\)|([A-Z]))\}?", text)
    if choice:
        return f"choice:{choice[1] or choice[2]}"
    *variables, last = re.split(r"=", text)
    if any(not re.fullmatch(r"\s*[A-Za-z]\s*", variable) for variable in variables):
        raise NotUnderstoodError
    for sign, spelling in _SIGNS.items():
        last = last.replace(sign, spelling)
    last = re.sub(r"\\[dt]frac(?![A-Za-z])", r"\\frac", last)
    return Reader(last).answer()
