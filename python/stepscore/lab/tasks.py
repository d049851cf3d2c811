"""Arithmetic problems with one step per line, their solutions, and an exact checker.

A problem is a text like ``69+15-75+61+71-84=?``: a start value and a few additions and
subtractions, worked from left to right. Its solution has one line per operation, and every line
ends in a newline::

    69+15=84
    84-75=9
    ...

The answer is what stands after the last ``=``. Everything here is plain Python.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Sequence
from typing import Literal

Split = Literal["train", "eval"]
Operation = tuple[str, int]

OPERATIONS = 5
START_RANGE = (20, 99)
OPERAND_RANGE = (10, 99)
VALUE_RANGE = (0, 999)
SIGNS = "++-"  # additions twice as often: they are what a misconception about carries needs

# One problem in 16 is kept for evaluation, whichever seed produced it.
EVALUATION_SHARE = 16

_PROBLEM = re.compile(r"(\d+)((?:[+-]\d+)+)=\?")
_OPERATION = re.compile(r"([+-])(\d+)")


def split_of(problem: str) -> Split:
    """Tell to which split a problem belongs: a stable function of its text alone.

    One problem in 16 (by BLAKE2b) is an evaluation problem, so no training set of any seed can
    hold it.
    """
    digest = hashlib.blake2b(problem.encode(), digest_size=8).digest()
    return "eval" if int.from_bytes(digest, "big") % EVALUATION_SHARE == 0 else "train"


def generate(count: int, *, seed: int, split: Split, operations: int = OPERATIONS) -> list[str]:
    """Draw distinct problems of one split.

    Args:
        count: how many problems.
        seed: the same seed gives the same problems, and a larger ``count`` only appends to them.
        split: ``"train"`` or ``"eval"``; the two never share a problem, whatever their seeds.
        operations: additions and subtractions per problem.

    Returns:
        ``count`` problem texts. Start values lie in 20..99, operands in 10..99, and every value
        of the chain in 0..999.

    Raises:
        ValueError: an unknown split, or ``operations`` below 1.
    """
    if split not in ("train", "eval"):
        raise ValueError(f"generate: split must be 'train' or 'eval'; got {split!r}")
    if operations < 1:
        raise ValueError(f"generate: operations must be at least 1; got {operations}")
    rng = random.Random(f"stepscore-lab/{split}/{operations}/{seed}")
    problems: dict[str, None] = {}
    while len(problems) < count:
        problem = _draw(rng, operations)
        if split_of(problem) == split:
            problems[problem] = None
    return list(problems)


def parse(problem: str) -> tuple[int, list[Operation]]:
    """Take a problem apart into its start value and its ``(sign, operand)`` pairs.

    Raises:
        ValueError: a text that is not a start value, operations and ``=?``.
    """
    match = _PROBLEM.fullmatch(problem)
    if match is None:
        raise ValueError(
            f"parse: problem must look like '69+15-75=?' (+ and - only, no spaces); got {problem!r}"
        )
    operations = [(sign, int(operand)) for sign, operand in _OPERATION.findall(match[2])]
    return int(match[1]), operations


def result_of(value: int, sign: str, operand: int) -> int:
    """Work one operation out."""
    return value + operand if sign == "+" else value - operand


def write_step(value: int, sign: str, operand: int, result: int) -> str:
    """Write one line, without its newline."""
    return f"{value}{sign}{operand}={result}"


def true_steps(problem: str) -> list[str]:
    """Return the right lines of a problem, one per operation, without newlines."""
    value, operations = parse(problem)
    lines = []
    for sign, operand in operations:
        result = result_of(value, sign, operand)
        lines.append(write_step(value, sign, operand, result))
        value = result
    return lines


def true_solution(problem: str) -> str:
    """Return the right solution as one text; a newline ends every line, also the last."""
    return join_steps(true_steps(problem))


def join_steps(steps: Sequence[str]) -> str:
    """Join lines to a solution text: a newline ends every line."""
    return "".join(step + "\n" for step in steps)


def split_steps(solution: str) -> list[str]:
    """Cut a solution text at its newlines: a blank line is no step, an unfinished line is one."""
    return [line for line in solution.split("\n") if line]


def check_steps(problem: str, steps: Sequence[str]) -> list[bool]:
    """Label every step of a solution.

    A step is right when it is the right next line of the chain and every step before it is right.
    So all steps after the first error are wrong, and so is a step beyond the end of the chain.

    Args:
        problem: a problem text.
        steps: the lines of the solution, without newlines.

    Returns:
        One label per step.
    """
    truth = true_steps(problem)
    labels = []
    sound = True
    for index, step in enumerate(steps):
        sound = sound and index < len(truth) and step == truth[index]
        labels.append(sound)
    return labels


def answer(solution: str) -> str | None:
    """Return what stands after the last ``=`` of a solution text; None where that is no integer."""
    _, equals, tail = solution.rstrip("\n").rpartition("=")
    return tail if equals and re.fullmatch(r"-?\d+", tail) else None


def is_correct(problem: str, solution: str) -> bool:
    """Tell whether a solution text ends in the right answer, by whatever steps."""
    return answer(solution) == answer(true_steps(problem)[-1])


def _draw(rng: random.Random, operations: int) -> str:
    value = rng.randint(*START_RANGE)
    text = str(value)
    for _ in range(operations):
        sign = rng.choice(SIGNS)
        operand = rng.randint(*OPERAND_RANGE)
        if not VALUE_RANGE[0] <= result_of(value, sign, operand) <= VALUE_RANGE[1]:
            sign = "-" if sign == "+" else "+"
        value = result_of(value, sign, operand)
        text += f"{sign}{operand}"
    return text + "=?"
