from __future__ import annotations

import time

import pytest

from stepscore.pipeline.answers import answer_classes, final_answer, normalise


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{5} and then \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"\boxed{{a}{b}} #### 7", "{a}{b}"),
        (r"first \boxed{1}, then \boxed{2", "1"),
        (r"\boxed{1,234}", "1234"),
        (r"\boxed{(1,234)}", "(1,234)"),
        (r"\boxed{}", None),
        ("6 * 7 = 42\n#### 42", "42"),
        ("#### 1\n#### $1,000\nbye", "1000"),
        ("The answer is: 18.", "18"),
        ("The answer is 3.5. I hope it is correct.", "3.5"),
        ("the final answer is $x=2$.", "x=2"),
        ("2+2=4\nA: 5", "5"),
        ("A: 5\nAnswer: 6", "6"),
        ("69+15=84\n84-75=9\n", "9"),
        ("69+15=84\nno idea", None),
        ("", None),
        ("DATA: 5", None),
        (r"} \boxed{1} \boxed{2 \boxed{3}", "3"),
        ("The answer is **42**.", "42"),
        ("The answer is **42.** Good.", "42"),
        ("The answer is *x*", "x"),
        ("The answer is 2**3", "2**3"),
        ("**Answer:** 5", "5"),
        ("**Answer: 5**", "5"),
        ("**Final Answer**: **$5$**", "5"),
    ],
)
def test_final_answer(text: str, answer: str | None) -> None:
    assert final_answer(text) == answer


def test_many_open_boxes_are_fast() -> None:
    began = time.monotonic()
    assert final_answer(r"\boxed{1} " + r"\boxed{" * 8000) == "1"
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    ("raw", "normal"),
    [(" $5$. ", "5"), (r"\$1,000.50", "1000.50"), ("-12,345", "-12345"), ("1,23", "1,23")],
)
def test_normalise(raw: str, normal: str) -> None:
    assert normalise(raw) == normal


def test_classes_are_numbered_as_first_seen() -> None:
    assert answer_classes(["b", None, "a", "b"]) == [0, -1, 1, 0]
