"""Answer keys on one core, and the grouping of 64 answers against math-verify pair by pair.

The name of each group tells the answers: answers / median is the speed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import stepscore

ANSWERS = 1_000_000
DISTINCT, CANDIDATES = 51, 64


@pytest.fixture(autouse=True)
def one_core() -> Iterator[None]:
    before = stepscore.num_threads()
    stepscore.set_num_threads(1)
    yield
    stepscore.set_num_threads(before)


KINDS: dict[str, Callable[[random.Random], str]] = {
    "integer": lambda r: str(r.randint(-1000, 10_000)),
    "decimal": lambda r: f"{r.uniform(0, 100):.2f}",
    "thousands": lambda r: f"{r.randint(1_000, 99_999):,}",
    "fraction": lambda r: rf"\frac{{{r.randint(1, 99)}}}{{{r.randint(2, 99)}}}",
    "radical": lambda r: rf"{r.randint(2, 9)}\sqrt{{{r.randint(2, 99)}}}",
    "pair": lambda r: f"({r.randint(0, 9)}, {r.randint(0, 9)})",
    "percent": lambda r: rf"{r.randint(1, 99)}\%",
    "text": lambda r: f"{r.randint(2, 9)}x+{r.randint(0, 9)}",
}


def answers(kind: str, count: int = ANSWERS) -> list[str]:
    rng = random.Random(0)
    kinds = list(KINDS.values()) if kind == "all kinds" else [KINDS[kind]]
    return [rng.choice(kinds)(rng) for _ in range(count)]


@pytest.mark.benchmark(group="answer_keys: 1M answers, str to str")
@pytest.mark.parametrize("kind", ["all kinds", *KINDS])
def test_answers(kind: str, measure: Any) -> None:
    texts = answers(kind)
    measure(lambda: stepscore.answer_keys(texts, extract=False), [()], rounds=5)


@pytest.mark.benchmark(group="answer_keys: 1M answers, str to str")
def test_sentences(measure: Any) -> None:
    texts = [f"The answer is ${answer}$." for answer in answers("all kinds")]
    measure(lambda: stepscore.answer_keys(texts), [()], rounds=5)


@pytest.mark.benchmark(group="answer_keys: 1M answers, str to str")
def test_without_the_strings_of_the_result(measure: Any) -> None:
    """Numbers instead: what the conversion of the keys to Python costs shows beside the above."""
    texts = answers("all kinds")
    offsets = range(0, ANSWERS + 1, CANDIDATES)
    measure(
        lambda: stepscore.group_answers(texts, offsets, extract=False, verify=None), [()], rounds=5
    )


def sampled() -> list[str]:
    """64 answers in 51 classes, each in one of several spellings."""
    rng = random.Random(0)
    values = rng.sample(range(1, 1000), DISTINCT)
    spellings = (
        lambda v: rf"\frac{{{v}}}{{7}}",
        lambda v: rf"\dfrac{{{2 * v}}}{{14}}",
        lambda v: f"{v}/7",
    )
    values += rng.choices(values, k=CANDIDATES - DISTINCT)
    return [rng.choice(spellings)(value) for value in values]


def pairwise(texts: list[str]) -> list[int]:
    """What a user would write: every text parsed once, compared with each class so far."""
    math_verify = pytest.importorskip("math_verify")
    parsed = [math_verify.parse(f"\\boxed{{{text}}}", parsing_timeout=None) for text in texts]
    firsts: list[Any] = []
    ids = []
    for this in parsed:
        same = (
            number
            for number, first in enumerate(firsts)
            if math_verify.verify(first, this, timeout_seconds=None)
        )
        ids.append(next(same, len(firsts)))
        if ids[-1] == len(firsts):
            firsts.append(this)
    return ids


@pytest.mark.benchmark(group="group_answers: 64 answers in 51 classes")
class TestGroups:
    def test_stepscore(self, measure: Any) -> None:
        texts = sampled()
        assert len(set(stepscore.group_answers(texts, [0, 64], extract=False).tolist())) == DISTINCT
        group = stepscore.group_answers
        measure(lambda: group(texts, [0, 64], extract=False), [()], rounds=50)

    def test_math_verify(self, measure: Any) -> None:
        texts = sampled()
        ids = stepscore.group_answers(texts, [0, 64], extract=False).tolist()
        assert pairwise(texts) == ids  # and its caches are warm
        measure(lambda: pairwise(texts), [()], rounds=1)
