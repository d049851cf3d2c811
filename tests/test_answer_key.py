"""answer_keys, extract_answers and group_answers against the reference and generated values.

STEPSCORE_ANSWER_PAIRS sets how many answers of each kind are generated (5,000).
"""

from __future__ import annotations

import doctest
import math
import os
import random
import re
import threading
import time
from collections.abc import Callable, Hashable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from same_bits import THREADS

import stepscore
from stepscore import AnswerGroups, answer_keys, extract_answers, group_answers, reference
from stepscore.ops import answer_key as op

COUNT = int(os.environ.get("STEPSCORE_ANSWER_PAIRS", "5000"))


def key(answer: str) -> str | None:
    return answer_keys([answer], extract=False)[0]


def resolved(found: str | None) -> bool:
    return found is not None and not found.startswith("text:")


def test_the_examples_of_the_docstrings_hold():
    names = {"answer_keys": answer_keys, "extract_answers": extract_answers}
    examples = doctest.DocTestFinder().find(op, globs={**names, "group_answers": group_answers})
    assert sum(len(example.examples) for example in examples) >= 5
    for example in examples:
        assert doctest.DocTestRunner().run(example).failed == 0


# --- extraction -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{5} and then \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"\boxed{{a}{b}} #### 7", "{a}{b}"),
        (r"first \boxed{1}, then \boxed{2", "1"),
        (r"\boxed{1,234}", "1,234"),
        (r"\boxed{\{1,2\}}", r"\{1,2\}"),
        (r"\boxed{}", None),
        (r"\fbox{7}", "7"),
        ("6 * 7 = 42\n#### 42", "42"),
        ("#### 1\n#### $1,000\nbye", "$1,000"),
        ("The answer is: 18.", "18"),
        ("The answer is 3.5. I hope it is correct.", "3.5"),
        ("the final answer is $x=2$.", "x=2"),
        ("So the correct answer is (B).", "(B)"),
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
        ("**Final Answer**:\n\n$$5$$\n", "5"),
        ("Answer: é", "é"),
        ("It is 4.\n\n# Answer\n\n4", "4"),
        ("### Final Answer\n$5$", "5"),
        ("#### **Answer:** 6", "6"),
        ("#### The answer is 7.", "7"),
        ("## Answers\n8", "8"),
        ("The answer is 0.333...", "0.333..."),
        ("The answer is B) 5", "B) 5"),
        (r"\boxed{0.333...}.", "0.333..."),
        ("1/2", "1/2"),
        ("x + 1", None),
    ],
)
def test_extraction_by_hand(text: str, answer: str | None):
    assert extract_answers([text]) == [answer]
    assert reference.extract_answers([text]) == [answer]


SOLUTIONS = st.lists(
    st.sampled_from(
        ["\\boxed{", "\\fbox {", "}", "{", "\\}", "\\", "#### ", "# ", "Answer", "The answer is",
         "answer is: ", "A:", "**Answer:** ", "Final answer", ":", "**", "*", ".", " ", "\n", "=",
         "<=", "5", "$", "1/2", "x", "word ", "é", "$$", "\\(", "\\)"]
    ),
    max_size=14,
).map("".join)  # fmt: skip


@given(SOLUTIONS)
def test_extraction_is_the_reference(text: str):
    assert extract_answers([text]) == reference.extract_answers([text])


# --- equal keys mean equal values ---------------------------------------------------------------

Generated = tuple[str, Hashable]


def spelled(value: Fraction, rng: random.Random) -> str:
    """One of the spellings of a rational number."""
    minus = rng.choice("-−") if value < 0 else ""
    n, d = abs(value.numerator), value.denominator
    k = rng.choice([1, 1, 2, 3])
    forms = [
        f"{minus}\\frac{{{k * n}}}{{{k * d}}}",
        f"{minus}{k * n}/{k * d}",
        f"\\dfrac{{{minus}{n}}}{{{d}}}",
        f"$ {minus}\\tfrac{{{n}}} {{{d}}}$",
    ]
    if n < 10 and d < 10:
        forms.append(f"{minus}\\frac{n}{d}" if rng.random() < 0.5 else f"{minus}\\frac {n}{d}")
    if d == 1:
        forms = [f"{minus}{n}", f"{minus}{n}.0", f"{minus}{n:,}", f"{minus} {n}."]
        forms += [
            f"{minus}{n:,}".replace(",", mark) for mark in ("{,}", ",\\!", ",\\! ", " ", "\\,")
        ]
    if d > 1 and n > d:
        whole, rest = divmod(n, d)
        forms.append(f"{minus}{whole}\\frac{{{rest}}}{{{d}}}")
        forms.append(f"{minus}{whole} {rest}/{d}")
    if 10**6 % d == 0:
        forms.append(f"{minus}{n * 10**6 // d / 10**6:.6f}")
    return rng.choice(forms)


def integer(rng: random.Random) -> Generated:
    value = rng.choice([rng.randint(-99, 99), rng.randint(-(10**6), 10**6), rng.randint(0, 10**30)])
    if abs(value) > 10**7:
        return rng.choice([str(value), f"{value:,}", f"{value:,}".replace(",", " ")]), value
    return spelled(Fraction(value), rng), Fraction(value)


def scientific(rng: random.Random) -> Generated:
    digits, places = rng.randint(-999, 999), rng.randint(0, 2)
    power = rng.choice([rng.randint(-9, 9), rng.randint(3, 60)])
    mantissa = f"{digits / 10**places:.{places}f}"
    value = Fraction(digits, 10**places) * Fraction(10) ** power
    plus = rng.choice(["", "+"]) if power >= 0 else ""
    forms = [f"{mantissa}e{plus}{power}", f"{mantissa}E{plus}{power}", f"{mantissa}e{power:+03d}"]
    forms += [f"{mantissa} \\times 10^{{{power}}}", f"{mantissa}\\cdot 10^{{{power}}}"]
    if digits == 10**places and power > 0:
        forms = [f"10^{{{power}}}", f"1e{power}"] + [f"10^{power}"] * (power < 10)
    return rng.choice(forms), value


def decimal(rng: random.Random) -> Generated:
    digits, places = rng.randint(-2000, 2000), rng.randint(0, 4)
    value = Fraction(digits, 10**places)
    text = f"{float(value):.{places + rng.randint(0, 3)}f}"
    return (text.replace("0.", ".", 1) if abs(value) < 1 and rng.random() < 0.2 else text), value


def fraction(rng: random.Random) -> Generated:
    value = Fraction(rng.randint(-40, 40), rng.randint(1, 24))
    return spelled(value, rng), value


def percent(rng: random.Random) -> Generated:
    value = Fraction(rng.randint(0, 4000), rng.choice([1, 2, 4, 10, 100]))
    if rng.random() < 0.3:
        return spelled(value / 100, rng), value / 100
    return spelled(value, rng).strip("$.") + rng.choice(
        ["%", "\\%", " \\%", " percent"]
    ), value / 100


def radical(rng: random.Random) -> Generated:
    """q sqrt(n): its sign and its square."""
    q, n = Fraction(rng.randint(-9, 9), rng.randint(1, 6)), rng.randint(1, 80)
    a, b = q.numerator, q.denominator
    root = rng.choice([f"\\sqrt{{{n}}}", f"\\sqrt {{ {n} }}", f"√{n}", f"sqrt({n})"])
    forms = [
        f"{a}{root}/{b}",
        f"\\frac{{{a}{root}}}{{{b}}}",
        f"\\frac{{{a}}}{{{b}}}{root}" if a > 0 and b > 1 else f"\\frac{{{a}{root}}}{{{b}}}",
        f"\\frac{{{a * n}}}{{{b}{root}}}",
        f"{a} \\cdot {root} / {b}",
        f"\\frac{{{a}}}{{{b}}} \\times \\sqrt[2]{{{n}}}",
    ]
    return rng.choice(forms), (q > 0, q * q * n) if q else 0


def power(rng: random.Random) -> Generated:
    base, exponent = rng.randint(-6, 6), rng.randint(0, 6)
    if base == 0:
        exponent += 1
    shown = f"({base})" if base < 0 else str(base)
    if rng.random() < 0.3 and base > 0:
        return f"{shown}^{{-{exponent}}}", Fraction(1, base**exponent)
    forms = [
        f"{shown}^{{{exponent}}}",
        f"{shown}^{exponent}",
        spelled(Fraction(base**exponent), rng),
    ]
    return rng.choice(forms), Fraction(base**exponent)


def pi_multiple(rng: random.Random) -> Generated:
    """A number of type str has no equal among the rationals but 0."""
    q = Fraction(rng.randint(-12, 12), rng.randint(1, 12))
    a, b, pi = q.numerator, q.denominator, rng.choice(["\\pi", "π", " \\pi", "pi"])
    forms = [f"\\frac{{{a}{pi}}}{{{b}}}", f"{a}{pi}/{b}", f"\\frac{{{a}}}{{{b}}} \\cdot {pi}"]
    return rng.choice(forms), ("pi", q) if q else Fraction(0)


def small(rng: random.Random) -> tuple[str, Fraction]:
    value = Fraction(rng.randint(-3, 3), rng.choice([1, 1, 1, 2]))
    text = spelled(value, rng).strip("$")
    return (str(value) if "," in text or text.endswith(".") else text), value


def listed(rng: random.Random, most: int = 4) -> tuple[str, tuple[Fraction, ...]]:
    members = [small(rng) for _ in range(rng.randint(2, most))]
    text = rng.choice([",", ", ", " , "]).join(text for text, _ in members)
    return text, tuple(value for _, value in members)


def pair(rng: random.Random) -> Generated:
    text, values = listed(rng)
    return rng.choice(["({})", "\\left({}\\right)", "\\big( {} \\big)"]).format(text), values


def finite_set(rng: random.Random) -> Generated:
    text, values = listed(rng)
    shape = rng.choice([r"\{{{}\}}", r"\left\{{ {} \right\}}", r"\lbrace {}\rbrace"])
    return shape.format(text), frozenset(values)


QUARTERS = [Fraction(n, 4) for n in range(-16, 17)]  # all ends are halves from -3 to 3


def interval(rng: random.Random) -> Generated:
    """A union of intervals and points: what it holds of a grid finer than its ends."""
    pieces: list[str] = []
    held: set[Fraction] = set()
    for _ in range(rng.choice([1, 1, 2, 2, 3])):
        if pieces and rng.random() < 0.2:
            text, values = listed(rng)
            pieces.append(rf"\{{{text}\}}")
            held.update(values)
            continue
        (a, low), (b, high) = small(rng), small(rng)
        while low >= high:  # (2,1) is a pair
            (a, low), (b, high) = small(rng), small(rng)
        opened, closed = rng.choice("(["), rng.choice(")]")
        if rng.random() < 0.2:
            a, low = rng.choice(["-\\infty", "−∞"]), QUARTERS[0] - 1
        if rng.random() < 0.2:
            b, high = rng.choice(["\\infty", "+\\infty", "∞"]), QUARTERS[-1] + 1
        pieces.append(f"{opened}{a}, {b}{closed}")
        held.update(at for at in QUARTERS if low < at < high)
        held.update(at for at, end in ((low, opened), (high, closed)) if end in "[]")
    rng.shuffle(pieces)
    inside = frozenset(held.intersection(QUARTERS))
    return rng.choice(["\\cup", " ∪ "]).join(pieces), inside


def matrix(rng: random.Random) -> Generated:
    rows, columns = rng.randint(1, 2), rng.randint(1, 3)
    cells = [[small(rng) for _ in range(columns)] for _ in range(rows)]
    body = rng.choice(["\\\\", " \\\\ "]).join(" & ".join(text for text, _ in row) for row in cells)
    name = rng.choice(["pmatrix", "bmatrix", "matrix"])
    return (
        f"\\begin{{{name}}}{body}\\end{{{name}}}",
        tuple(tuple(value for _, value in row) for row in cells),
    )


WORDS = ["monday", "no", "solution", "the", "red", "even", "north", "point", "x", "a"]


def unbracketed(rng: random.Random) -> Generated:
    """Values side by side: without order, as there is none of them twice."""
    members = [small(rng) for _ in range(rng.randint(2, 4))]
    while len({value for _, value in members}) < len(members):
        members = [small(rng) for _ in range(rng.randint(2, 4))]
    texts = [text for text, _ in members]
    name = rng.choice(["x", "n_1", "\\theta"])
    forms = [", ".join(texts), "; ".join(texts), " and ".join(texts), " or ".join(texts)]
    forms += [", ".join(texts[:-1]) + ", and " + texts[-1], f"{name} = " + ", ".join(texts)]
    forms += [rng.choice([" or ", ", ", "; "]).join(f"{name} = {text}" for text in texts)]
    forms += [r" \text{ and } ".join(texts)]
    return rng.choice(forms), frozenset(value for _, value in members)


def inequality(rng: random.Random) -> Generated:
    """What it holds of a grid finer than its ends."""
    (a, low), (b, high) = small(rng), small(rng)
    while low >= high:
        (a, low), (b, high) = small(rng), small(rng)
    less = {True: ["<", "\\lt "], False: ["\\le ", "\\leq ", "≤", "<="]}
    more = {True: [">", "\\gt "], False: ["\\ge ", "\\geq ", "≥", ">="]}
    x, opened, closed = rng.choice(["x", "f(x)", "n_{2}"]), rng.random() < 0.5, rng.random() < 0.5
    above = [at for at in QUARTERS if low < at or (low == at and not opened)]
    below = [at for at in QUARTERS if at < high or (at == high and not closed)]
    form = rng.randrange(6)
    if form == 0:
        return f"{a} {rng.choice(less[opened])} {x}", frozenset(above)
    if form == 1:
        return f"{x}{rng.choice(more[opened])}{a}", frozenset(above)
    if form == 2:
        return f"{x} {rng.choice(less[closed])}{b}", frozenset(below)
    if form == 3:
        return f"{b}{rng.choice(more[closed])} {x}", frozenset(below)
    both = frozenset(above) & frozenset(below)
    if form == 4:
        return f"{a}{rng.choice(less[opened])} {x}{rng.choice(less[closed])}{b}", both
    return f"{b} {rng.choice(more[closed])}{x} {rng.choice(more[opened])} {a}", both


def choice(rng: random.Random) -> Generated:
    letter = rng.choice("ABCDE")
    shape = rng.choice(["({})", "{})", r"\textbf{{({})}}", "({}) ", "{}."])
    if rng.random() < 0.3:
        return rng.choice(["({})", "{}", "{})", r"\text{{({})}}", "Option {}"]).format(
            letter
        ), letter
    number = Fraction(rng.randint(-20, 20), rng.choice([1, 1, 2, 5]))
    text = spelled(number, rng).strip("$ .").replace("- ", "-").replace("− ", "−")
    return f"{shape.format(letter)} {text}", (letter, number)


MEASURES = [("cm", "cm"), ("hours", "h"), ("hour", "h"), ("minutes", "min"), ("千克", "千克"),
            ("只", "只"), ("只鸟", "只鸟")]  # fmt: skip


def measured(rng: random.Random) -> Generated:
    (text, value), (unit, name) = small(rng), rng.choice(MEASURES)
    return f"{text}{rng.choice(['', ' '])}{unit}", (value, name)


def words(rng: random.Random) -> Generated:
    chosen = [rng.choice(WORDS) for _ in range(rng.randint(1, 3))]
    text = rng.choice([" ", "  "]).join(chosen)
    if len(chosen[0]) > 3 and rng.random() < 0.5:
        text = text[0].upper() + text[1:]
    return rng.choice(["{}", "\\text{{{}}}", " {}.", "${}$"]).format(text), tuple(chosen)


KINDS: dict[str, Callable[[random.Random], Generated]] = {
    "integer": integer,
    "decimal": decimal,
    "fraction": fraction,
    "percent": percent,
    "radical": radical,
    "power": power,
    "pi": pi_multiple,
    "tuple": pair,
    "set": finite_set,
    "interval": interval,
    "matrix": matrix,
    "scientific": scientific,
    "list": unbracketed,
    "inequality": inequality,
    "choice": choice,
    "measure": measured,
    "text": words,
}


@pytest.mark.parametrize("kind", KINDS)
def test_equal_keys_are_equal_values_and_equal_values_equal_keys(kind: str):
    rng = random.Random(kind)
    generated = [KINDS[kind](rng) for _ in range(COUNT)]
    keys = answer_keys([text for text, _ in generated], extract=False)
    value_of: dict[str, Generated] = {}
    key_of: dict[Hashable, tuple[str, str]] = {}
    for (text, value), found in zip(generated, keys, strict=True):
        assert found is not None, text
        assert resolved(found) == (kind != "text") or found == "choice:A", text
        seen_text, seen = value_of.setdefault(found, (text, value))
        assert seen == value, f"{seen_text} and {text} have the key {found}"
        known, before = key_of.setdefault(value, (found, text))
        assert known == found, f"{before} and {text} have the keys {known} and {found}"


ENDS = {
    r"-\sqrt{3}": -(3**0.5), "-1": -1, "0": 0, "1": 1, r"\sqrt{2}": 2**0.5,
    r"\frac{\pi}{2}": math.pi / 2, r"2\pi-4": 2 * math.pi - 4, r"1+\sqrt{2}": 1 + 2**0.5, "3": 3,
    r"\pi": math.pi, r"\frac{22}{7}": 22 / 7, r"-\infty": -math.inf, r"\infty": math.inf,
}  # fmt: skip


def test_unions_with_irrational_ends_are_joined():
    rng = random.Random(4)
    ends = sorted(end for end in ENDS.values() if math.isfinite(end))
    grid = [-9, 9, *ends, *((a + b) / 2 for a, b in pairwise(ends))]
    texts, held = [], []
    for _ in range(COUNT):
        pieces, inside = [], set()
        for _ in range(rng.randint(1, 4)):
            (a, low), (b, high) = sorted(rng.sample(list(ENDS.items()), 2), key=lambda end: end[1])
            opened, closed = rng.choice("(["), rng.choice(")]")
            pieces.append(f"{opened}{a},{b}{closed}")
            inside |= {at for at in grid if low < at < high}
            inside |= {low} if opened == "[" else set()
            inside |= {high} if closed == "]" else set()
        texts.append(r"\cup".join(pieces))
        held.append(frozenset(inside - {math.inf, -math.inf}))
    keys = answer_keys(texts, extract=False)
    assert all(map(resolved, keys))
    # One key for every set, and one set for every key.
    assert len(set(keys)) == len(set(held)) == len(set(zip(keys, held, strict=True)))


def test_kinds_do_not_mix():
    rng = random.Random(0)
    kinds: dict[str, set[str]] = {}
    numbers = {"integer", "decimal", "fraction", "percent", "radical", "power", "pi", "scientific"}
    for kind, generate in KINDS.items():
        texts = [generate(rng)[0] for _ in range(COUNT // 10)]
        for found in answer_keys(texts, extract=False):
            kinds.setdefault(str(found), set()).add("number" if kind in numbers else kind)
    # (1,2) is a pair and an open interval: one spelling, one key. Values side by side are a set,
    # and x > 1 is an interval.
    mixed = [{"tuple", "interval", "inequality"}, {"set", "list"}]
    assert all(len(kind) == 1 or any(kind <= known for known in mixed) for kind in kinds.values())


PIECES = [
    "0", "1", "2", "3", "7", "12", "00", "100", "234", "0.5", ".25", "1.50", "+", "-", "−", "*",
    "\\times ", "\\cdot ", "/", "÷", "^", "^2", "^{-1}", "²", "\\frac", "\\frac{1}{2}", "\\frac12",
    "½", "\\sqrt", "\\sqrt{8}", "\\sqrt[3]{8}", "√", "sqrt(2)", "\\pi ", "π", "pi", "(", ")", "[",
    "]", "{", "}", "\\{", "\\}", ",", ", ", "{,}", ",\\!", " ", "\\,", "\\left", "\\right",
    "\\infty",
    "∞", "\\cup ", "\\emptyset ", "%", "\\%", "\\begin{pmatrix}", "&", "\\\\", "\\end{pmatrix}",
    "x=", "=", "x", "B", "\\text{", ".", "!", "_", "<", ">=", "\\le ", " and ", "; ", "e5", "E-2",
    " 000", " 234", "cm", "只", "≈", "f(x)", "|", "AB",
]  # fmt: skip


def soup(rng: random.Random) -> str:
    """Pieces of answers, or an answer with pieces lost, doubled or put in."""
    if rng.random() < 0.3:
        return "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 8)))
    text = rng.choice(list(KINDS.values()))(rng)[0]
    for _ in range(rng.randint(1, 3)):
        at = rng.randint(0, len(text))
        lost = rng.choice([0, 0, 1, 2])
        text = text[:at] + rng.choice(["", rng.choice(PIECES)]) + text[at + lost :]
    return text


def test_what_both_understand_is_the_same_to_the_reference():
    rng = random.Random(1)
    texts = [soup(rng) for _ in range(COUNT)]
    ours = answer_keys(texts, extract=False)
    theirs = reference.answer_keys(texts, extract=False)
    both = 0
    for text, our, their in zip(texts, ours, theirs, strict=True):
        if resolved(our) and resolved(their):
            both += 1
            assert our == their, text
    assert both > COUNT // 8


def test_no_two_soups_merge_that_the_reference_parts():
    rng = random.Random(2)
    texts = [soup(rng) for _ in range(COUNT)]
    seen: dict[str, tuple[str, str]] = {}
    theirs = reference.answer_keys(texts, extract=False)
    for text, our, their in zip(texts, answer_keys(texts, extract=False), theirs, strict=True):
        if resolved(our) and resolved(their):
            other, known = seen.setdefault(str(our), (text, str(their)))
            assert known == their, f"{text} and {other}"


# --- what is left as text ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [r"1/2\pi", "2(3)", "2/3/4", "101_2", "5!", "007", r"2\frac{5}{3}", "1,23", "1,2", "5m", "1, 1",
     "12 million", "4:30", "x < 3 < 2", "3 > x > 5", "2 < x > 1", "x < y", "x > 3, x < 5",
     r"\sqrt{-1}", "0^0", "1/0", "9223372036854775808/3", "1.2.3",
     "3 5", "3-5", "|x|", "5 + 5%", r"1 - \sqrt{2}\%", r"\$5\%", "{-2}^2", r"{1+2}\cdot 3",
     "{{1+2}}^2", r"\pm 2", "x=1, y=2", "{1,234}", "2^{1000}", r"\frac{1}{2",
     "(1,2", "2e", "1e5.5", "2 e5", "xy = 5", "(y,x) = (1,2)", "1:2", "0,5; 1,5", "1,2, 3,4", "2-",
     "--2", r"\cos(0)", "x", "√2x", "1–2", "3 or x",
     "3万", "3千", "3个半", "5十", "3 分之 1", "(A)(B)", "(A)+1", "(A) - 5", "12 34", "1234 567",
     "1 000 00", "1,234 567", "x = 1, y = 2", "x = 1 or 2 = x",
     "0.333...", "0.33..", r"(2,1) \cup (0,1)", r"(1,1) \cup (2,3)", r"(1,2,3) \cup (0,1)",
     r"\begin{pmatrix}1\end{pmatrix} \cup (1,2)"],
)  # fmt: skip
def test_what_could_mean_two_things_is_text(answer: str):
    assert not resolved(key(answer)), key(answer)


@pytest.mark.parametrize(
    ("one", "other"),
    [("50%", "50"), ("(1,2)", "(2,1)"), ("(1,2)", "[1,2)"), ("5 cm", "5 m"), ("A", "a"),
     ("ab", "AB"),
     (r"a \times b", r"a \cdot b"), ("x, 1,234", "x, 1, 234"), ("2^ab", r"2^\text{ab}"),
     ("a b", "ab"),
     (r"\Delta", r"\delta"), ("0.333333", "1/3"), ("1.4142135", r"\sqrt{2}"), ("3.14159", r"\pi"),
     ("\\{1,2\\}", "(1,2)"), ("12 hours", "12 minutes"), ("50 cents", "50 dollars"), ("B", "b"),
     (r"\begin{pmatrix}1&2\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"), ("5 C", "5 F"),
     ("(B) 12", "(B) 13"), ("(B) 12", "12"), ("(1,2)", "1, 2"), ("52 000", "52 0"), ("x>3", "x>=3"),
     ("12只", "12千克"), ("1e-5", "1e5"), ("x, 1, 234", "x, 1,234"),
     (r"\frac\text{ab}c", r"\frac abc"), ("x²³", "x^{2}3"), ("5°", "5"), ("1 2", "12"),
     ("x^23", "x^{2}3"), ("0.333...", "0.333"), ("(1,2) ∪ (2,3)", "(1,3)"),
     (r"(1,2) \cup \{3\}", "(1,3]"), ("1–2", "-1"), ("[0,∞)", "(0,∞)")],
)  # fmt: skip
def test_what_is_different_stays_different(one: str, other: str):
    assert key(one) != key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [(r"(-3, \infty)", r"(-2, \infty) \cup (-3, 0]"), ("[1,2) ∪ [2,3]", "[1,3]"),
     (r"(1,2) \cup \{2\}", "(1,2]"), (r"[1,1] \cup \{2\}", r"\{1,2\}"),
     (r"(0,\sqrt{2}) \cup [1.41,\pi)", r"(0,\pi)"), (r"[0,\infty]", r"[0,\infty)"),
     ("[-∞,1]", r"(-\infty,1]"), ("x = 5", "y = 5"), ("B)", "(B)"), (r"\mathbf{(B)}", "B"),
     (r"0.\bar{3}", "1/3"), ("–5", "-5"), ("(–5, 2)", "(-5,2)"), ("\ufeff2", "2"),
     ("2 n", "2n"), ("n 2 + 1", "n2+1"), ("f (x)", "f(x)"), ("5 cm", "5cm"), ("52 000", "52000"),
     (r"1\,234\,567", "1234567"), ("1 000 4/9", "9004/9"), ("1e-05", "0.00001"), ("1E5", "100,000"),
     (r"3.2 \times 10^{20}", "320000000000000000000"), ("(C) 12", r"\textbf{(C) }12"),
     ("(C) 12", "C. 12"), (r"\textbf{(B)}\ 14", "B) 14"), ("12 只鸟", "12只鸟"), ("28 pct", "28%"),
     (r"28\text{ percent}", "28 percentage"), ("1 and 2", "2, 1"), ("x = 1 or x = 2", "1; 2"),
     ("1, 2, and 3", "3,2,1"), ("n = 1, 2", r"\{1,2\}"), ("(1,2), (3,4)", "(3,4) and (1,2)"),
     ("x > 3", r"(3,\infty)"), ("3 >= x", r"x \in (-\infty, 3]"), ("-7 < a < 10", "(-7,10)"),
     ("f(x) = 5", "5"), ("AB = 5", "|AB| = 5"), (r"\angle ABC = 30^\circ", "30°"),
     ("(x,y) = (1,2)", "(1,2)"), (r"x \approx 11", "11"), (r"x = 1/3 \approx 0.33", "1/3"),
     (r"125\textnormal{ miles}", "125 miles"), ("5€", "€5"), (r"\\frac{1}{2}", "1/2"),
     (r"-2 \\le x \\le 7", "[-2,7]"), ("(1,2), (3,4), (1,2)", "(3,4), (1,2)"),
     ("$5 and $6", "6 and 5"), ("x <= y",
     r"x \leq y"),
     ("x^2 + 1", "x^{2}+1"), ("4210_5", "4210_{5}"), ("x² + 1", "x^2+1"), ("x ≤ 3", r"x \leq 3"),
     ("±2", r"\pm 2"), (r"x \neq 5", "x≠5")],
)  # fmt: skip
def test_what_is_the_same_has_one_key(one: str, other: str):
    assert key(one) == key(other)


# --- texts ------------------------------------------------------------------------------------


@given(st.lists(st.text() | st.none()), st.booleans())
def test_any_text(texts: list[str | None], extract: bool):
    together = answer_keys(texts, extract=extract)
    assert together == [answer_keys([text], extract=extract)[0] for text in texts]
    assert len(group_answers(texts, [0, len(texts)], extract=extract, verify=None)) == len(texts)


@given(st.text(st.characters()))
def test_surrogates_come_back_as_they_were(text: str):
    text = f"Answer: {text}\ud800\n"
    found = extract_answers([text])[0]
    assert found is None or found in text


def test_none_and_other_types():
    assert answer_keys([None, "5", ""], extract=False) == [None, "5", None]
    assert extract_answers(iter(["A: 1", None])) == ["1", None]
    for function in (answer_keys, extract_answers, lambda texts: group_answers(texts, [0, 2])):
        with pytest.raises(TypeError, match=r"texts\[1\] must be a str or None; got int"):
            function(["5", 5])
        with pytest.raises(
            TypeError, match="texts: expected a list, each item a text or None; got str"
        ):
            function("5")


def test_threads_change_nothing():
    rng = random.Random(3)
    texts = [soup(rng) for _ in range(10_000)]
    seen = set()
    for threads in THREADS:
        stepscore.set_num_threads(threads)
        ids = group_answers(texts, np.arange(0, 10_001, 50), extract=False, verify=None)
        seen.add((tuple(answer_keys(texts, extract=False)), ids.tobytes()))
    assert len(seen) == 1


def test_the_interpreter_is_free_meanwhile():
    texts = [r"The answer is \(\frac{1}{2} + \sqrt{12}\)."] * 200_000
    steps = 0
    worker = threading.Thread(target=answer_keys, args=(texts,))
    worker.start()
    while worker.is_alive():
        steps += 1
        time.sleep(0.0005)
    assert steps > 5


def test_gsm8k_solutions(data: Path):
    """Every one of 5,276 published solutions is right exactly if its key is the known one."""
    import json

    solutions, known, right = [], [], []
    for line in (data / "gsm8k" / "example_model_solutions.jsonl").read_text().splitlines():
        content = json.loads(line)
        for value in content.values():
            if isinstance(value, dict):
                solutions.append(value["solution"])
                known.append(content["ground_truth"])
                right.append(value["is_correct"])
    pairs = zip(answer_keys(solutions), answer_keys(known), strict=True)
    assert [ours == theirs for ours, theirs in pairs] == right
    assert len(right) == 5276


def test_qwen_rm_maj_from_the_raw_texts(data: Path):
    import json

    lines = (data / "qwen_rm_maj" / "math_cot_100.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    texts = [text for row in rows for text in row["code"]]
    right = np.array([row["score"] for row in rows]).ravel()
    rewards = np.array([row["pred_score"] for row in rows]).ravel()
    offsets = np.arange(0, 801, 8)
    ids = group_answers(texts, offsets, verify=None)
    winner = stepscore.vote(ids, rewards, offsets, ["majority", "best_of_n"]).winner
    assert right[winner].sum(axis=0).tolist() == [93, 94]
    assert (right.mean() * 100, right.reshape(100, 8).any(axis=1).sum()) == (91.0, 96)
    # The known answers, judged pair by pair; the file itself errs in 10000 for 10{,}000.
    pairs = [
        s
        for row, own in zip(np.repeat(rows, 8), extract_answers(texts), strict=True)
        for s in (row["gt"], own)
    ]
    known, own = (
        group_answers(pairs, np.arange(0, 1601, 2), extract=False, verify=None).reshape(-1, 2).T
    )
    assert [pairs[2 * i : 2 * i + 2] for i in np.flatnonzero((known == own) != right)] == [
        ["10{,}000", "10000"]
    ]


def test_bbmistake_traces_end_with_their_answer(data: Path):
    import json

    lines = [
        line
        for path in sorted((data / "bbmistake").glob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]
    rows = [json.loads(line) for line in lines]
    keys = answer_keys([row["answer"] for row in rows], extract=False)
    assert answer_keys([row["steps"][-1] for row in rows]) == keys
    assert len(rows) == 2186


def test_prm800k_answers_stand_under_their_heading(data: Path):
    import json

    path = data / "prm800k_phase1_test" / "phase1_test.jsonl"
    solutions = [
        completion["text"]
        for line in path.read_text().splitlines()
        for step in json.loads(line)["label"]["steps"]
        for completion in step["completions"] or []
        if "# Answer\n" in completion["text"] and "boxed" not in completion["text"]
    ]
    below = [text.rpartition("# Answer\n")[2] for text in solutions]
    assert answer_keys(solutions) == answer_keys(below, extract=False)
    assert len(solutions) > 200


# --- groups -----------------------------------------------------------------------------------


def same_words(a: str, b: str) -> bool:
    return sorted(re.findall(r"\w", a)) == sorted(re.findall(r"\w", b))


POOL = [
    "1",
    "1.0",
    "x",
    "x ",
    "y",
    "xy",
    "yx",
    "1 hour",
    "1 hours",
    "1 minute",
    "2",
    "2 cm",
    "1/7",
    "0.142857142857143",
    "0.1428571428571",
    "",
    None,
]


@given(
    st.lists(st.lists(st.sampled_from(POOL), max_size=9), max_size=4),
    st.sampled_from([None, same_words]),
)
def test_groups_are_the_reference(problems, verify):
    texts = [text for problem in problems for text in problem]
    offsets = np.concatenate([[0], np.cumsum([len(problem) for problem in problems])]).astype(int)
    got = group_answers(texts, offsets, extract=False, verify=verify, explain=True)
    expected = reference.group_answers(texts, offsets, extract=False, verify=verify, explain=True)
    assert got.ids.tolist() == expected.ids.tolist()
    assert got.decided.tolist() == expected.decided.tolist()
    plain = group_answers(texts, offsets, extract=False, verify=verify)
    assert plain.tolist() == got.ids.tolist()
    # Candidates that share texts are as those that have their own.
    shared = [text for text in dict.fromkeys(texts) if text is not None]
    places = [-1 if text is None else shared.index(text) for text in texts]
    options: dict[str, Any] = {"places": places, "extract": False, "explain": True}
    for of in (group_answers, reference.group_answers):
        again = of(shared, offsets, verify=verify, **options)
        assert again.ids.tolist() == got.ids.tolist()
        assert again.decided.tolist() == got.decided.tolist()
    # First seen first.
    for begin, end in pairwise(offsets.tolist()):
        seen = dict.fromkeys(i for i in got.ids[begin:end].tolist() if i >= 0)
        assert list(seen) == list(range(len(seen)))


def test_what_pipelines_write_for_no_answer_is_none():
    missing = ["None", "none", "nan", "NaN", "null", "[invalid]", "[invalidanswer]", "N/A", "", " "]
    assert answer_keys(missing, extract=False) == [None] * len(missing)
    assert reference.answer_keys(missing, extract=False) == [None] * len(missing)
    ids = group_answers([*missing, "1"], [0, len(missing) + 1], extract=False, verify=None)
    assert ids.tolist() == [-1] * len(missing) + [0]
    assert resolved(key("No")) is False  # a word, and an answer


def test_a_percentage_joins_the_bare_number_where_nobody_contradicts():
    def ids(*answers: str) -> list[int]:
        got = group_answers(answers, [0, len(answers)], extract=False, verify=None, explain=True)
        expected = reference.group_answers(answers, [0, len(answers)], extract=False, explain=True)
        assert got.ids.tolist() == expected.ids.tolist()
        assert got.decided.tolist() == expected.decided.tolist()
        return got.ids.tolist()

    assert ids("28%", "28") == [0, 0]
    assert ids("28", "14", "28 percent", r"28\%") == [0, 1, 0, 0]
    assert ids("28", "28%", "0.28") == [0, 1, 1]
    assert ids("28%", "28", "28 hours") == [0, 1, 2]
    assert ids("28%", "28", "2800%") == [0, 1, 1]
    assert ids("28%", "0.28", "280") == [0, 0, 1]
    assert ids("28%", "0.28 cm", "28") == [0, 1, 0]


def test_a_choice_joins_that_with_a_text_if_there_is_one_text():
    def ids(*answers: str) -> list[int]:
        return group_answers(answers, [0, len(answers)], extract=False, verify=None).tolist()

    assert ids("B", "(B) 12", r"\textbf{(B)}\ 12", "12") == [0, 0, 0, 1]
    assert ids("(D) Alina", "D", "(A) Alina") == [0, 0, 1]
    assert ids("B", "(B) 12", "(B) 13") == [0, 1, 2]


def test_units_join_the_bare_number_if_there_is_one_unit():
    def ids(*answers: str) -> list[int]:
        return group_answers(answers, [0, len(answers)], extract=False, verify=None).tolist()

    assert ids("12", "12 hours", "12") == [0, 0, 0]
    assert ids("12 hours", "12", "13") == [0, 0, 1]
    assert ids("12", "12 hours", "12 minutes") == [0, 1, 2]
    assert ids("12 cents", "12 dollars") == [0, 1]
    assert ids("120^\\circ", "120") == [0, 0]


def test_a_function_sees_only_what_the_keys_leave_open():
    asked = []

    def verify(a: str, b: str) -> bool:
        asked.append((a, b))
        return {a, b} == {r"\cos 0", "1"} and a == "1"

    answers = ["1", "2", r"\cos 0", "2.0", "1.0", None, "5"]
    got = group_answers(answers, [0, 7], extract=False, verify=verify, explain=True)
    assert got.ids.tolist() == [0, 1, 0, 1, 0, -1, 2]
    assert got.decided.tolist() == ["first", "first", "verify", "key", "key", "none", "first"]
    # Each pair, in both directions until one is enough; but numbers are different without it.
    both = [{"2", r"\cos 0"}] * 2 + [{"5", r"\cos 0"}] * 2
    assert list(map(set, asked)) == [{"1", r"\cos 0"}, *both]
    assert isinstance(got, AnswerGroups)


@given(st.lists(st.sampled_from(POOL), max_size=9), st.randoms(use_true_random=False))
def test_classes_do_not_depend_on_the_order_of_candidates(answers, rng):
    shuffled = list(range(len(answers)))
    rng.shuffle(shuffled)
    for verify in (None, same_words, lambda a, b: abs(len(a) - len(b)) < 2):
        ids = group_answers(answers, [0, len(answers)], extract=False, verify=verify)
        other = group_answers(
            [answers[i] for i in shuffled], [0, len(answers)], extract=False, verify=verify
        )
        for a, i in enumerate(shuffled):
            assert [ids[i] == ids[j] for j in shuffled] == [other[a] == o for o in other]


def test_a_connected_group_joins_only_if_all_its_pairs_agree():
    def near(a: str, b: str) -> bool:
        return abs(len(a) - len(b)) < 2

    def ids(*answers: str) -> list[int]:
        return group_answers(answers, [0, len(answers)], extract=False, verify=near).tolist()

    assert ids("x", "xy") == [0, 0]
    assert ids("x", "xy", "xyz") == [0, 1, 2]
    assert ids("x", "xy", "xyz", "xyzxyz", "xyzxyzx") == [0, 1, 2, 3, 3]


def test_an_error_of_the_function_is_raised():
    with pytest.raises(ZeroDivisionError):
        group_answers(["x", "y"], [0, 2], extract=False, verify=lambda a, b: 1 / 0 > 0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"offsets": [0, 1]}, ValueError, "offsets must end at 2 (the number of texts); got 1"),
        ({"offsets": [0.0, 2.0]}, TypeError, "offsets must hold integers that fit int64"),
        ({"places": [0]}, ValueError, "offsets must end at 1 (the number of places); got 2"),
        ({"places": [0, 2]}, ValueError, "places[1] must lie in [-1, 2), for the places in texts"),
        ({"places": [-2, 0]}, ValueError, "places[0] must lie in [-1, 2)"),
        ({"places": [0.0, 1.0]}, TypeError, "places must hold integers that fit int64"),
        (
            {"verify": "sympy"},
            ValueError,
            "verify must be 'auto', 'math-verify', 'none', None or a function",
        ),
        ({"timeout": 0}, ValueError, "timeout must be above 0 seconds; got 0"),
        ({"budget": 0}, ValueError, "budget must be above 0 seconds; got 0"),
        ({"workers": 0}, ValueError, "workers must be at least 1; got 0"),
        ({"cache": "x", "verify": None}, ValueError, "cache keeps the verdicts of math-verify"),
    ],
)
def test_faults_are_named(arguments: dict[str, Any], error: type[Exception], message: str):
    with pytest.raises(error, match=re.escape(f"group_answers: {message}")):
        group_answers(["1", "2"], **{"offsets": [0, 2], **arguments})
