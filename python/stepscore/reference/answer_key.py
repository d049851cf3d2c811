r"""Answer keys in plain Python: regular expressions, `fractions.Fraction`, sets of strings.

Left out, as text: most units, money, repeating decimals, equations but ``x = ...``, the words of
a choice. Fractions have
no largest one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepscore.ops.answer_key import AnswerGroups
from stepscore.reference.answer_key_extraction import alone, stated_answer, trim
from stepscore.reference.answer_key_groups import agreed, by_key
from stepscore.reference.answer_key_numbers import NotUnderstoodError
from stepscore.reference.answer_key_relations import MISSING, read_statement

__all__ = ["AnswerGroups", "answer_keys", "extract_answers", "group_answers"]


def extract_answers(texts: Iterable[str | None]) -> list[str | None]:
    """See `stepscore.extract_answers`."""
    return [None if text is None else _extract(text) for text in texts]


def answer_keys(texts: Iterable[str | None], *, extract: bool = True) -> list[str | None]:
    """See `stepscore.answer_keys`."""
    if extract:
        texts = extract_answers(texts)
    return [None if text is None else _key(text)[0] for text in texts]


def group_answers(
    texts: Iterable[str | None],
    offsets: Any,
    *,
    places: Any = None,
    extract: bool = True,
    verify: Callable[[str, str], bool] | None = None,
    explain: bool = False,
) -> NDArray[np.int64] | AnswerGroups:
    """See `stepscore.group_answers`; with a function as the only verifier."""
    if places is not None:
        said = [*texts, None]  # at -1
        texts = [said[place] for place in places]
    answers = extract_answers(texts) if extract else list(texts)
    read = [(None, None) if answer is None else _key(answer) for answer in answers]
    ids = np.full(len(read), -1)
    decided = np.full(len(read), "none", dtype="<U6")
    for begin, end in pairwise(np.asarray(offsets).tolist()):
        keys = [key for key, _ in read[begin:end]]
        groups = by_key(keys, [bare for _, bare in read[begin:end]])
        order = list(dict.fromkeys(filter(None, groups)))
        members: dict[str, list[tuple[str, str]]] = {group: [] for group in order}
        for group, key, answer in zip(groups, keys, answers[begin:end], strict=True):
            if group and key and answer is not None:
                members[group].append((key, answer))
        first = list(range(len(order)))
        if verify is not None:
            first = agreed(list(members.values()), verify)
        number = {at: place for place, at in enumerate(dict.fromkeys(first))}
        for i, (group, key) in enumerate(zip(groups, keys, strict=True), begin):
            if group is None or key is None:
                continue
            at = order.index(group)
            ids[i] = number[first[at]]
            if first[at] != at:
                decided[i] = "verify"
            elif i == begin + groups.index(group):
                decided[i] = "first"
            elif key != members[group][0][0]:
                decided[i] = "unit"
            else:
                decided[i] = "text" if key.startswith("text:") else "key"
    return AnswerGroups(ids, decided, ()) if explain else ids


def _extract(text: str) -> str | None:
    answer = stated_answer(text)
    if answer is not None:
        return answer
    text = alone(text)
    key = _key(text)[0]
    return None if key is None or key.startswith("text:") else text


def _key(answer: str) -> tuple[str | None, str | None]:
    """Give the key, and that of the number without its unit or percent sign."""
    text = trim(answer).removesuffix(".")
    if not text or trim(answer).lower() in MISSING:
        return None, None
    try:
        return read_statement(text)
    except (NotUnderstoodError, ZeroDivisionError, IndexError, OverflowError):
        return "text:" + " ".join(text.split()), None
