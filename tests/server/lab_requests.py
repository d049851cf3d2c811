"""Requests for the lab's model: problems of its world, and candidates right and wrong."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from stepscore.errors import Argument
from stepscore.scoring.arguments import TraceArguments

# A problem and a right solution, and how a trainer's texts hold them.
TEMPLATE = "<|im_start|>user\n{problem}<|im_end|>\n<|im_start|>assistant\n{solution}<|im_end|>\n"
BEFORE, AFTER = TEMPLATE.split("{problem}")
BETWEEN, AFTER = AFTER.split("{solution}")
PROBLEM = "85+95-16+20+11-30=?"
TEXT = "85+95=180\n180-16=164"
PROMPT = BEFORE + PROBLEM + BETWEEN
WHOLE = PROMPT + TEXT + AFTER

ARGUMENTS = TraceArguments(
    "score",
    lambda trace: Argument("problem"),
    lambda trace, *step: Argument("candidates", index=(trace, *step)),
)


@dataclass(frozen=True)
class Asked:
    """A problem and its candidates, each a list of steps or a text."""

    problem: str
    candidates: list[Any]

    @property
    def problems(self) -> list[str]:
        return [self.problem] * len(self.candidates)

    @property
    def texts(self) -> list[str]:
        return [each if isinstance(each, str) else "\n".join(each) for each in self.candidates]


def drawn(draw: random.Random, candidates: int | None = None) -> Asked:
    """Draw a problem, out of few so that requests share some, and candidates."""
    problem = random.Random(draw.randrange(40))
    start = problem.randrange(20, 99)
    signs = [problem.choice("+-") for _ in range(5)]
    operands = [problem.randrange(1, 15) for _ in range(5)]
    text = f"{start}" + "".join(f"{s}{n}" for s, n in zip(signs, operands, strict=True)) + "=?"
    solutions: list[Any] = []
    for _ in range(draw.randrange(1, 9) if candidates is None else candidates):
        value, steps = start, []
        for sign, operand in list(zip(signs, operands, strict=True))[: draw.randrange(1, 6)]:
            right = value + operand if sign == "+" else value - operand
            after = right if draw.random() < 0.8 else abs(right - 10)
            steps.append(f"{value}{sign}{operand}={after}")
            value = after
        solutions.append(steps if draw.random() < 0.5 else "\n".join(steps))
    return Asked(text, solutions)
