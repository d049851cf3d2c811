"""What math-verify is asked, in which words, and what it is not asked."""

from __future__ import annotations

import doctest
import random
from itertools import permutations

import pytest

from stepscore import group_answers
from stepscore.verifier import question, questions


def test_the_examples_of_the_docstring_hold():
    assert doctest.testmod(questions).failed == 0
    assert doctest.testmod(questions).attempted >= 3


@pytest.mark.parametrize(
    ("a", "b"),
    [
        # one is a relation, and the other is none
        ("x+y=1", "1"), ("4x-y=0", "0"), ("x=2y", "2y"), ("y=x+1", "x+1"), ("x>3", "x=3"),
        ("x<3", "3"), ("x=1, y=2", "x=1"),
        # bases, units, degrees, percentages, times, ratios
        ("101_2", "101_3"), ("101_{2}", "5"), ("(101)_2", "5"), ("5cm", "5 m"), ("5 km", "5000"),
        (r"5\text{ apples}", "5"), (r"x\mathrm{cm}", "x"), (r"30^\circ", "x"), ("5x%", "5x"),
        ("12:30", "2:5"), (r"7 \pmod{11}", "7"),
        # series
        (r"1, 2, \ldots, n", "1, 2, n"), ("1+2+...+n", "n"), (r"a, \dots", "a"),
        # letters and words
        ("A", "a"), ("A+b", "a+b"), ("cat", "act"), ("Monday", "Sunday"), ("x", "y"),
        ("even", "odd"), ("E", "e"), ("不", "x"),
        # brackets, names and their number
        ("(a,b)", r"\{a,b\}"), ("[a,b)", "(a,b)"), ("(a,b)", "[a,b]"), ("a, b", "[a, b]"),
        ("x=a,y=b", "[a,b]"), ("x=a,y=b", r"\{a,b\}"), ("x=a,y=b,z=c", "[a,b,c)"),
        ("x=a,x=b", "(a,b)"), ("x=a or x=b", "[a,b]"),
        ("x=a,y=b", "x=a,z=b"), ("x=a,y=b", "x=a"), ("x=a, x>b", "a, b"), ("a, b", "a, b, c"),
    ],
)  # fmt: skip
def test_what_is_not_asked(a: str, b: str):
    assert question(a, b) is None
    assert question(b, a) is None


@pytest.mark.parametrize(
    ("a", "b", "asked"),
    [
        ("f(x)=2x", "2x", ("2x", "2x")),
        ("y=2x", "f(x)=x+x", ("2x", "x+x")),
        ("f(t)=t^2", "g(x)=x^2", ("x^2", "x^2")),
        (r"|AB|=\sqrt 2", r"\sqrt{2}", (r"\sqrt 2", r"\sqrt{2}")),
        (r"\frac{AB}{CD} = 2k", "k+k", ("2k", "k+k")),
        (r"x = \cos 0", "1", (r"\cos 0", "1")),
        ("I=2t", "I=9t", ("Q=2t", "Q=9t")),
        (r"e \leq 3", "3 >= e", (r"e\le 3", r"3\ge e")),
        ("x=4, y=a", "y=a,x=4", ("(4,a)", "(4,a)")),
        ("y=a, x=4", "4, a", ("(4,a)", "(4,a)")),
        ("y=a, x=4", "(4, a)", ("(4,a)", "(4,a)")),
        ("x=a, x=b", r"\{b, a\}", (r"\{a,b\}", r"\{b,a\}")),
        ("x = a or x = b", r"x=b \text{ and } x=a", (r"\{a,b\}", r"\{b,a\}")),
        ("n = a, b", "b, a", (r"\{a,b\}", r"\{b,a\}")),
        ("(p,q)=(a,2)", "(a,2)", ("(a,2)", "(a,2)")),
        ("(a, b)", "a, b", ("(a,b)", "(a,b)")),
        (r"\cos(90^\circ-x)", "2x", (r"\cos(\frac{90\pi}{180}-x)", "2x")),
        (r"\pm a", "a, -a", (r"\{\pm a\}", r"\{a,-a\}")),
        (r"x_{1}=a,\quadx_{2}=b", "x_1 = a, x_2 = b", ("(a,b)", "(a,b)")),
        ("1,22", "x = 1.22", ("1.22", "1.22")),
        ("1000,99", "1000.99", ("1000.99", "1000.99")),
        ("1,234", "1.234", ("1234", "1.234")),
        (r"S_{ABCD}:S = 7:32", "7:32", ("7:32", "7:32")),
        (
            r"\begin{pmatrix} a \\ b \end{pmatrix}",
            r"\begin{pmatrix}a\\b\end{pmatrix}",
            (r"\begin{pmatrix} a \\ b \end{pmatrix}", r"\begin{pmatrix}a\\b\end{pmatrix}"),
        ),
        ("x**2 ≤ √2", r"$\dfrac12$", None),
        ("√(2)+π", r"$\dfrac12\,$.", (r"sqrt(2)+\pi", r"\frac{1}{2}")),
    ],
)
def test_what_is_asked_instead(a: str, b: str, asked: tuple[str, str] | None):
    assert question(a, b) == asked
    assert question(b, a) == (asked and asked[::-1])


def test_no_text_is_too_strange():
    rng = random.Random(0)
    signs = [*r"xyIeiA1259()[]{}<>=,;:|_^'%$+-*/. ", "\\", r"\{", r"\}", "²", "≤", "千", "\n"]
    pieces = [*signs, r"\text{", r"\frac", "and", r"\le", r"\pm", r"\sqrt", "f(x)", "AB"]
    for _ in range(5000):
        a, b = ("".join(rng.choices(pieces, k=rng.randint(0, 9))) for _ in range(2))
        asked = question(a, b)
        assert question(b, a) == (asked and asked[::-1])


# Each line: classes of a problem, by math-verify itself.
CLASSES = [
    [["1"], ["x+y=1"], ["x-y=1"]],
    [["I=2t", "I=t+t"], ["I=9t"]],
    [["e=2k"], ["e=3k"], ["i=3k"]],
    [["101_2"], ["101_3"], ["101"]],
    [["5cm"], ["5 m"], ["5 km"]],
    [["x=4,y=a", "y=a,x=4"], ["a,4"]],
    [["10^{-40}"], ["10^{-41}"], ["0"]],
    [[r"\frac{1}{2^{99}}", "2^{-99}"], [r"\frac{1}{2^{98}}"]],
    [["x+10^{-40}"], ["x+10^{-41}"], ["x"]],
    [[r"1, 2, \ldots, n"], [r"1, 2, \ldots, m"]],
    [["3+i", "(1-i)(1+2i)"], ["3-i"]],
    [["1=2"], ["3=4"]],
    [[r"\frac{x}{0}"], [r"\frac{y}{0}"]],
    [["y=4x-1", "f(x)=4x-1"], ["y=4x+1"]],
    [[r"\sin(x)", r"\cos(90^\circ-x)"], [r"\cos(x)"]],
    [["(x+1)^2", "x^2+2x+1", "x**2+2*x+1", "1 + 2x + x²"], ["(x-1)^2"]],
    [["5m"], ["5"], ["5t"]],
    [["1/7", "0.142857142857143"], ["0.142857"]],
    [[r"\sqrt2 + \sqrt{3 + \sqrt 5}"], ["3.7024"]],
    [["x+y=1", "y=1-x", "2x+2y=2"], ["x+y=2"]],
    [["(a, b)"], [r"\{a, b\}"], ["[a, b)"]],
    [["5!", "120"], ["60"]],
    [["12:30"], ["2:5"], ["12:05"]],
    [["1000,99", "1000.99"], ["100099"]],
    [[r"\begin{pmatrix}a+a\\b\end{pmatrix}", r"\begin{pmatrix}2a\\b\end{pmatrix}"], ["2a, b"]],
]


@pytest.mark.parametrize("classes", CLASSES, ids=lambda classes: classes[0][0])
def test_math_verify_merges_what_is_equal_and_nothing_else(classes: list[list[str]]):
    pytest.importorskip("math_verify")
    answers = [(number, text) for number, texts in enumerate(classes) for text in texts]
    orders = list(permutations(answers))
    for order in random.Random(0).sample(orders, min(6, len(orders))):
        ids = group_answers(
            [text for _, text in order], [0, len(order)], extract=False, verify="math-verify"
        )
        seen = dict.fromkeys(number for number, _ in order)
        assert ids.tolist() == [list(seen).index(number) for number, _ in order]
