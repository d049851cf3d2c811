"""Wrong solutions: the policy's planted misconception, and mistakes of many kinds for the PRM.

A PRM that has only seen its policy's frequent errors is fooled by the rare ones as soon as
someone takes the best of many samples. So its training data also holds slips that a policy makes
once in a thousand
steps: a digit off, an operand copied wrongly, an operation left out or done twice.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from stepscore.lab.tasks import Operation, parse, result_of, write_step


def drops_carry(value: int, sign: str, operand: int) -> bool:
    """Tell whether the misconception can strike: an addition with a carry out of the units."""
    return sign == "+" and value >= 0 and value % 10 + operand % 10 >= 10


def misconceived_steps(problem: str, rate: float, rng: random.Random) -> list[str]:
    """Solve a problem as someone who now and then forgets the units' carry.

    Every addition with a carry is written 10 too low with probability ``rate``, and the chain
    goes on from the wrong value. Forgetting any one carry ends in the same wrong answer, so
    wrong answers agree with each other, which is what misleads a majority vote.
    """
    value, operations = parse(problem)
    lines = []
    for sign, operand in operations:
        result = result_of(value, sign, operand)
        if drops_carry(value, sign, operand) and rng.random() < rate:
            result -= 10
        lines.append(write_step(value, sign, operand, result))
        value = result
    return lines


def flawed_steps(problem: str, rng: random.Random) -> list[str]:
    """Solve a problem with one mistake of a random kind at a random step, and go on from there.

    Mostly the chain goes on from the wrong value, as a policy would; sometimes it goes on as if
    nothing had happened, and sometimes a second mistake follows. The first wrong line differs
    from the right one.
    """
    value, operations = parse(problem)
    at = rng.randrange(len(operations) + 1)
    lines = []
    for sign, operand in operations[:at]:
        result = result_of(value, sign, operand)
        lines.append(write_step(value, sign, operand, result))
        value = result
    if at == len(operations):
        line, value, _ = _extra(value, operations, rng)
        return [*lines, line]
    sign, operand = operations[at]
    truth = result_of(value, sign, operand)
    right = write_step(value, sign, operand, truth)
    line, after, following = right, truth, at + 1
    while line == right:
        line, after, following = _mistake(value, operations, at, rng)
    lines.append(line)
    if rng.random() < 0.15:
        after, following = truth, at + 1  # as if the line had been right
    rest = operations[following:]
    return lines + _go_on(after, rest, rng)


def _go_on(value: int, operations: list[Operation], rng: random.Random) -> list[str]:
    again = rng.choice((0.0, 0.0, 0.3))
    lines = []
    for index, (sign, operand) in enumerate(operations):
        if rng.random() < again:
            line, value, _ = _mistake(value, operations, index, rng)
        else:
            result = result_of(value, sign, operand)
            line, value = write_step(value, sign, operand, result), result
        lines.append(line)
    return lines


# A kind takes (value, operations, index, rng) and gives the line written, the value that the
# chain goes on from, and the index of the next operation.
_Kind = Callable[[int, list[Operation], int, random.Random], tuple[str, int, int]]


def _wrong_result(
    value: int, operations: list[Operation], at: int, rng: random.Random
) -> tuple[str, int, int]:
    sign, operand = operations[at]
    result = rng.choice(_NUMBER_SLIPS)(result_of(value, sign, operand), rng)
    return write_step(value, sign, operand, result), result, at + 1


def _wrong_operand(
    value: int, operations: list[Operation], at: int, rng: random.Random
) -> tuple[str, int, int]:
    sign, operand = operations[at]
    wrong = rng.choice((_other_digit, _swapped_digits, _off_by_place))(operand, rng)
    if rng.random() < 0.3:
        wrong = rng.choice(operations)[1]
    result = result_of(value, sign, operand if rng.random() < 0.3 else wrong)
    return write_step(value, sign, wrong, result), result, at + 1


def _wrong_sign(
    value: int, operations: list[Operation], at: int, rng: random.Random
) -> tuple[str, int, int]:
    sign, operand = operations[at]
    wrong = "*" if rng.random() < 0.1 else "-" if sign == "+" else "+"
    result = result_of(value, wrong if wrong != "*" and rng.random() < 0.7 else sign, operand)
    return write_step(value, wrong, operand, result), result, at + 1


def _only_the_result_has_the_wrong_sign(
    value: int, operations: list[Operation], at: int, rng: random.Random
) -> tuple[str, int, int]:
    sign, operand = operations[at]
    result = result_of(value, "-" if sign == "+" else "+", operand)
    return write_step(value, sign, operand, result), result, at + 1


def _wrong_value(
    value: int, operations: list[Operation], at: int, rng: random.Random
) -> tuple[str, int, int]:
    sign, operand = operations[at]
    wrong = rng.choice(_NUMBER_SLIPS)(value, rng)
    result = result_of(value if rng.random() < 0.3 else wrong, sign, operand)
    return write_step(wrong, sign, operand, result), result, at + 1


def _skipped(
    value: int, operations: list[Operation], at: int, rng: random.Random
) -> tuple[str, int, int]:
    later = min(at + 1, len(operations) - 1)
    sign, operand = operations[later]
    result = result_of(value, sign, operand)
    # Either the operation is lost, or the two are done in the wrong order.
    return write_step(value, sign, operand, result), result, rng.choice((at + 1, later + 1))


def _repeated(
    value: int, operations: list[Operation], at: int, rng: random.Random
) -> tuple[str, int, int]:
    sign, operand = operations[rng.randrange(at + 1)]
    result = result_of(value, sign, operand)
    return write_step(value, sign, operand, result), result, rng.choice((at, at + 1))


def _forgotten_carry(
    value: int, operations: list[Operation], at: int, rng: random.Random
) -> tuple[str, int, int]:
    sign, operand = operations[at]
    result = result_of(value, sign, operand)
    if drops_carry(value, sign, operand):
        result -= 10
    elif sign == "-" and value % 10 < operand % 10:
        result += 10  # the same thought about a borrow
    return write_step(value, sign, operand, result), result, at + 1


def _broken(
    value: int, operations: list[Operation], at: int, rng: random.Random
) -> tuple[str, int, int]:
    sign, operand = operations[at]
    result = result_of(value, sign, operand)
    line = write_step(value, sign, operand, result)
    cut = rng.randrange(len(line))
    kept = rng.choice((line[:cut], line[:cut] + line[cut + 1 :], line[: cut + 1] + line[cut:]))
    return kept, result, at + 1


def _extra(value: int, operations: list[Operation], rng: random.Random) -> tuple[str, int, int]:
    """A line after the end of the chain."""
    sign, operand = rng.choice(operations)
    result = result_of(value, sign, operand)
    return write_step(value, sign, operand, result), result, len(operations)


def _off_by_one(number: int, rng: random.Random) -> int:
    return number + rng.choice((-1, 1))


def _off_by_ten(number: int, rng: random.Random) -> int:
    return number + rng.choice((-10, 10))


def _off_by_place(number: int, rng: random.Random) -> int:
    return number + rng.choice((-100, -20, -11, -10, -9, -2, -1, 1, 2, 9, 10, 11, 20, 100))


def _other_digit(number: int, rng: random.Random) -> int:
    digits = list(str(abs(number)))
    digits[rng.randrange(len(digits))] = rng.choice("0123456789")
    return int("".join(digits)) * (-1 if number < 0 else 1)


def _swapped_digits(number: int, rng: random.Random) -> int:
    digits = list(str(abs(number)))
    at = rng.randrange(len(digits))
    digits[at - 1], digits[at] = digits[at], digits[at - 1]
    return int("".join(digits)) * (-1 if number < 0 else 1)


def _other_length(number: int, rng: random.Random) -> int:
    return number // 10 if rng.random() < 0.5 else number * 10 + rng.randrange(10)


_NUMBER_SLIPS: tuple[Callable[[int, random.Random], int], ...] = (
    _off_by_one,
    _off_by_one,
    _off_by_ten,
    _off_by_ten,
    _off_by_ten,
    _off_by_place,
    _other_digit,
    _other_digit,
    _swapped_digits,
    _other_length,
)

# Weights: how often each kind is drawn. Wrong results come first because they are hardest to see.
_KINDS: dict[_Kind, int] = {
    _wrong_result: 40,
    _forgotten_carry: 10,
    _only_the_result_has_the_wrong_sign: 3,
    _wrong_operand: 12,
    _wrong_sign: 8,
    _wrong_value: 12,
    _skipped: 5,
    _repeated: 5,
    _broken: 3,
}


def _mistake(
    value: int, operations: list[Operation], at: int, rng: random.Random
) -> tuple[str, int, int]:
    kind = rng.choices(list(_KINDS), weights=list(_KINDS.values()))[0]
    return kind(value, operations, at, rng)
