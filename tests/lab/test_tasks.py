"""The generator, the splits and the checker."""

import random
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepscore.lab import tasks
from stepscore.lab.mistakes import drops_carry, flawed_steps, misconceived_steps

seeds = st.integers(0, 10**9)


def reference_labels(problem: str, steps: list[str]) -> list[bool]:
    """Label steps by evaluating ever longer prefixes of the problem with Python itself."""
    operands = re.findall(r"[+-]?\d+", problem)
    labels = []
    for k in range(1, len(steps) + 1):
        if k >= len(operands):
            labels.append(False)
            continue
        before, after = eval("".join(operands[:k])), eval("".join(operands[: k + 1]))
        labels.append(all(labels) and steps[k - 1] == f"{before}{operands[k]}={after}")
    return labels


@given(seeds, st.sampled_from(["train", "eval"]), st.integers(1, 8))
def test_problems_are_distinct_and_stay_in_range(seed, split, operations):
    problems = tasks.generate(20, seed=seed, split=split, operations=operations)
    assert len(set(problems)) == 20
    for problem in problems:
        assert tasks.split_of(problem) == split
        start, chain = tasks.parse(problem)
        assert 20 <= start <= 99
        assert len(chain) == operations
        assert all(10 <= operand <= 99 for _, operand in chain)
        results = [int(step.partition("=")[2]) for step in tasks.true_steps(problem)]
        assert all(0 <= result <= 999 for result in results)


def test_generate_repeats_itself_and_only_appends():
    few, many = (tasks.generate(n, seed=3, split="train") for n in (50, 200))
    assert many[:50] == few
    assert tasks.generate(50, seed=4, split="train") != few


def test_splits_share_no_problem():
    # One operation: only 14,400 problems exist, so every seed meets nearly all of them.
    train = {p for s in range(3) for p in tasks.generate(6000, seed=s, split="train", operations=1)}
    held = {p for s in range(3) for p in tasks.generate(500, seed=s, split="eval", operations=1)}
    assert not train & held
    assert len(held) < len(train) / 8


def test_the_split_of_a_problem_never_changes():
    assert tasks.split_of("69+15-75+61+71-84=?") == SPLIT_OF_THE_EXAMPLE


SPLIT_OF_THE_EXAMPLE = "train"


def test_generate_refuses():
    with pytest.raises(ValueError, match="split must be"):
        tasks.generate(1, seed=0, split="test")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="operations must be at least 1"):
        tasks.generate(1, seed=0, split="eval", operations=0)


@pytest.mark.parametrize("text", ["", "69+15", "69+15=", "69*15=?", "69 + 15=?", "+15=?", "69=?"])
def test_parse_refuses(text):
    with pytest.raises(ValueError, match="must look like"):
        tasks.parse(text)


def test_an_example_in_full():
    problem = "69+15-75+61+71-84=?"
    assert tasks.true_solution(problem) == "69+15=84\n84-75=9\n9+61=70\n70+71=141\n141-84=57\n"
    assert tasks.answer(tasks.true_solution(problem)) == "57"


@given(seeds)
def test_the_true_solution_is_right(seed):
    (problem,) = tasks.generate(1, seed=seed, split="eval")
    steps = tasks.true_steps(problem)
    assert tasks.check_steps(problem, steps) == [True] * 5 == reference_labels(problem, steps)
    assert tasks.answer(tasks.true_solution(problem)) == str(eval(problem[:-2]))
    assert tasks.is_correct(problem, tasks.true_solution(problem))
    assert tasks.split_steps(tasks.true_solution(problem)) == steps


@given(seeds)
def test_the_checker_agrees_with_an_independent_one(seed):
    rng = random.Random(seed)
    (problem,) = tasks.generate(1, seed=seed, split="train")
    for steps in (flawed_steps(problem, rng), misconceived_steps(problem, 0.5, rng)):
        assert tasks.check_steps(problem, steps) == reference_labels(problem, steps)


@given(seeds)
def test_a_flawed_solution_has_a_first_wrong_step_and_nothing_right_after_it(seed):
    (problem,) = tasks.generate(1, seed=seed, split="train")
    labels = tasks.check_steps(problem, flawed_steps(problem, random.Random(seed)))
    assert not labels[-1]
    assert labels == sorted(labels, reverse=True)


@given(seeds)
def test_the_misconception_at_its_extremes(seed):
    (problem,) = tasks.generate(1, seed=seed, split="train")
    rng = random.Random(seed)
    assert misconceived_steps(problem, 0.0, rng) == tasks.true_steps(problem)
    for line in misconceived_steps(problem, 1.0, rng):
        value, sign, operand, result = re.fullmatch(r"(-?\d+)([+-])(\d+)=(-?\d+)", line).groups()
        truth = eval(f"{value}{sign}{operand}")
        forgotten = drops_carry(int(value), sign, int(operand))
        assert int(result) == truth - 10 * forgotten
        if int(value) >= 0:
            carries = sign == "+" and int(value[-1]) + int(operand[-1]) >= 10
            assert forgotten == carries


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1+2=3\n", "3"),
        ("1+2=3", "3"),
        ("1+2=3\n3-5=-2\n", "-2"),
        ("1+2=3\n3-5=\n", None),
        ("1+2", None),
        ("", None),
        ("1+2=3=?", None),
    ],
)
def test_answer(text, found):
    assert tasks.answer(text) == found


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("1+2=3\n", ["1+2=3"]),
        ("1+2=3\n3+4", ["1+2=3", "3+4"]),
        ("\n1+2=3\n\n3+4=7\n", ["1+2=3", "3+4=7"]),
        ("", []),
    ],
)
def test_split_steps(text, steps):
    assert tasks.split_steps(text) == steps


def test_importing_the_lab_imports_nothing_heavy():
    code = (
        "import sys, stepscore.lab, stepscore.lab.tasks, stepscore.lab.mistakes\n"
        "stepscore.lab.generate(3, seed=0, split='eval')\n"
        "assert not {'torch', 'transformers', 'tokenizers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
