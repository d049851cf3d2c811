"""Numbers, lists, sets, intervals and matrices, read in one pass from the left."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise

from stepscore.reference.answer_key_numbers import (
    NotUnderstoodError,
    Number,
    about,
    is_rational,
    number_of,
    over,
    plus,
    rational,
    root_of,
    scaled,
    spell,
    times,
)

GONE = re.compile(r"\\[!()\[\]]|\\(?:left|right|big[lr]?|Big[lr]?)(?![A-Za-z])")
_TOKEN = re.compile(
    r"(?P<space>\s+|\\[,:; ]|~|\$)|"
    rf"(?P<gone>{GONE.pattern})|"
    r"(?P<number>(?:\d+(?:(?:,|\{,\}|,\\!\s*)\d{3}(?!\d))*(?:\.\d+)?|\.\d+)"
    r"(?:[eE][+-]?\d{1,3}(?![\d.])(?![A-Za-z]))?)|"
    r"(?P<other>\\begin\{\w+\}|\\end\{\w+\}|\\[A-Za-z]+|\\.|[A-Za-z]+|.)",
    re.DOTALL,
)


class Reader:
    """One pass from the left over the grammar in the table of `stepscore.ops.answer_key`."""

    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, bool]] = []  # spelling, is white space before it
        space = False
        for match in _TOKEN.finditer(text):
            if match["space"]:
                space = True
            elif not match["gone"]:
                self.tokens.append((match[0], space))
                space = False
        self.at = 0

    def peek(self, ahead: int = 0) -> str:
        """Give the token that many places ahead; empty behind the last one."""
        at = self.at + ahead
        return self.tokens[at][0] if at < len(self.tokens) else ""

    def take(self, *spellings: str) -> bool:
        """Pass a token if it is one of these."""
        there = self.peek() in spellings and self.peek() != ""
        self.at += there
        return there

    def expect(self, *spellings: str) -> None:
        """Pass a token that must be one of these."""
        if not self.take(*spellings):
            raise NotUnderstoodError

    def answer(self) -> str:
        """Read the whole text: one item, or a union of several."""
        begin = self.at
        pieces = [self.item()]
        while self.take(r"\cup"):
            pieces.append(self.item())
        if self.peek():
            raise NotUnderstoodError
        if len(pieces) == 1:
            return pieces[0]
        self.at = begin
        if all(piece.startswith("{") for piece in pieces):
            return self.united_sets()
        return self.united_intervals()

    def united_sets(self) -> str:
        """Read a union of sets."""
        members: set[str] = set()
        while self.peek():
            if not self.take(r"\emptyset", r"\cup"):
                members.update(self.members()[1])
        return spell_set(members)

    def united_intervals(self) -> str:
        """Cut the line at every number: 2 k + 1 is the k-th of them, 2 k the gap before it."""
        pieces: list[tuple[str, Number | None, Number | None, str]] = []
        while self.peek():
            if self.take(r"\emptyset", r"\cup"):
                continue
            opened = self.peek()
            self.at += 1
            if opened in ("(", "["):
                low = self.bound("-inf")
                self.expect(",")
                high = self.bound("inf")
                pieces.append((opened, low, high, self.peek()))
                self.expect(")", "]")
            elif opened in ("{", r"\{"):
                while not self.take("}", r"\}"):
                    number = self.sum()
                    pieces.append(("[", number, number, "]"))
                    self.take(",")
            else:
                raise NotUnderstoodError
        ends = [end for _, low, high, _ in pieces for end in (low, high) if end is not None]
        cuts = sorted({spell(end): about(end) for end in ends}.items(), key=lambda cut: cut[1])
        if any(b - a <= 1e-12 * max(abs(a), abs(b)) for (_, a), (_, b) in pairwise(cuts)):
            raise NotUnderstoodError
        place = {spelling: number for number, (spelling, _) in enumerate(cuts)}
        covered: set[int] = set()
        for opened, low, high, closed in pieces:
            first = 0 if low is None else 2 * place[spell(low)] + 1 + (opened == "(")
            end = 2 * len(cuts) if high is None else 2 * place[spell(high)] + (closed == "]")
            if first > end:
                raise NotUnderstoodError  # it is empty
            covered.update(range(first, end + 1))
        spelled, points = [], set()
        for first in sorted(cell for cell in covered if cell - 1 not in covered):
            end = next(cell for cell in range(first, 2 * len(cuts) + 2) if cell + 1 not in covered)
            if first == end and first % 2:
                points.add(cuts[first // 2][0])
                continue
            low_end = "(-inf" if first == 0 else "(["[first % 2] + cuts[(first - 1) // 2][0]
            high_end = "inf)" if end == 2 * len(cuts) else cuts[end // 2][0] + ")]"[end % 2]
            spelled.append(f"{low_end},{high_end}")
        return " U ".join([*spelled, *([spell_set(points)] if points else [])])

    def bound(self, infinite: str) -> Number | None:
        """Read the end of an interval; None is infinite."""
        signed = self.peek() in ("-", "+")
        if self.peek(signed) != r"\infty":
            return self.sum()
        if infinite != ("-inf" if self.peek() == "-" else "inf"):
            raise NotUnderstoodError
        self.at += signed + 1
        return None

    def only_sum(self) -> Number:
        """Read a number behind which nothing follows."""
        value = self.sum()
        if self.peek():
            raise NotUnderstoodError
        return value

    def item(self) -> str:
        """Read a number, an infinity, a list, an interval, a set or a matrix."""
        token = self.peek()
        if token == r"\emptyset":
            self.at += 1
            return "{}"
        if token in ("(", "[", r"\{", "{") and (token == r"\{" or self.comma_inside()):
            return self.several()
        if token in (r"\begin{pmatrix}", r"\begin{bmatrix}", r"\begin{matrix}"):
            return self.matrix()
        sign = token if token in ("-", "+") else ""
        if self.peek(len(sign)) == r"\infty":
            self.at += len(sign) + 1
            return "-inf" if sign == "-" else "inf"
        return spell(self.sum())

    def comma_inside(self) -> bool:
        """Say whether the bracket that opens here has a comma of its own."""
        depth, commas = 0, False
        for token, _ in self.tokens[self.at :]:
            depth += token in ("(", "[", "{", r"\{")
            depth -= token in (")", "]", "}", r"\}")
            commas |= depth == 1 and ("," in token and "{" not in token)
            if depth == 0:
                return commas
        raise NotUnderstoodError

    def several(self) -> str:
        """Read what brackets hold, and spell it."""
        opened, members, closer = self.members()
        if opened in ("{", r"\{"):
            return spell_set(members)
        if len(members) == 2:  # no interval holds an infinity
            opened = "(" if members[0] == "-inf" else opened
            closer = ")" if members[1] == "inf" else closer
        return opened + ",".join(members) + closer

    def members(self) -> tuple[str, list[str], str]:
        """Read what brackets hold: the opening one, the items, the closing one."""
        opened = self.peek()
        self.at += 1
        plain_set = opened == "{"
        # Inside, a comma separates numbers: undo the grouping of thousands.
        here, depth = self.at, 1
        while depth:
            token = self.tokens[here][0]
            depth += token in ("(", "[", "{", r"\{")
            depth -= token in (")", "]", "}", r"\}")
            if (
                depth == 1
                and token[0].isdigit()
                and "," in token.replace("{,}", "").replace(r",\!", "")
            ):
                if plain_set:
                    raise NotUnderstoodError
                pieces = re.split(r"(,)", token)
                self.tokens[here : here + 1] = [(piece, False) for piece in pieces]
            here += 1
        closers = {"(": (")", "]"), "[": (")", "]"), "{": ("}",), r"\{": (r"\}",)}[opened]
        members = []
        if not (opened == r"\{" and self.peek() in closers):
            members.append(self.item())
            while self.take(","):
                members.append(self.item())
        closer = self.peek()
        self.expect(*closers)
        return opened, members, closer

    def matrix(self) -> str:
        """Read a matrix, row by row."""
        environment = self.peek()[6:]
        self.at += 1
        rows: list[list[str]] = [[]]
        while True:
            rows[-1].append(spell(self.sum()))
            if self.take("&"):
                continue
            if self.take("\\\\") and not self.peek().startswith(r"\end"):
                rows.append([])
                continue
            break
        self.expect(r"\end" + environment)
        if len(set(map(len, rows))) != 1:
            raise NotUnderstoodError
        return "matrix[" + ";".join(map(",".join, rows)) + "]"

    def sum(self) -> Number:
        """Read terms and their signs."""
        negative = self.peek() == "-"
        if self.peek() in ("-", "+"):
            self.at += 1
        total = scaled(self.product(), -1 if negative else 1)
        while self.peek() in ("-", "+"):
            sign = -1 if self.peek() == "-" else 1
            self.at += 1
            total = plus(total, scaled(self.product(), sign))
        return total

    def product(self) -> Number:
        """Read factors with signs of multiplication, and one division at most."""
        value, divided = self.chain(False), False
        while True:
            if self.take("*", r"\times", r"\cdot"):
                value = times(value, self.chain(False))
            elif self.take("/", r"\div"):
                if divided:
                    raise NotUnderstoodError
                value, divided = over(value, self.chain(True)), True
            else:
                return value

    def chain(self, single: bool) -> Number:
        """Read factors that stand side by side; a single one below a fraction bar."""
        literal = self.peek()[:1].isdigit() or self.peek()[:1] == "."
        value = self.factor()
        # -1: "^" came behind the digits.
        if literal and self.tokens[self.at - 1][0][:1].isdigit() and not single:
            value = self.mixed(value)
        while self.peek() in (r"\sqrt", "√", r"\pi", "pi", "sqrt", "("):
            bracket = self.peek() == "("
            other = self.factor()
            if single or (bracket and is_rational(other)):
                raise NotUnderstoodError
            value = times(value, other)
        return value

    def mixed(self, whole: Number) -> Number:
        """Read the fraction behind a whole number, if there is one."""
        if self.peek() == r"\frac":
            part = self.factor()
        elif self.peek().isdigit() and self.peek(1) == "/" and self.peek(2).isdigit():
            part = {(0, 1): Fraction(int(self.peek()), int(self.peek(2)))}
            self.at += 3
            if self.peek() in ("/", "^"):
                raise NotUnderstoodError
        else:
            return whole
        value = rational(whole)
        if value.denominator != 1 or value == 0 or not 0 < rational(part) < 1:
            raise NotUnderstoodError
        return plus(whole, part)

    def factor(self) -> Number:
        """Read a value and its exponent."""
        value = self.primary()
        if self.peek() != "^" or self.peek(1) == r"\circ":
            return value
        self.at += 1
        if self.peek() in ("{", "("):
            exponent = rational(self.group())
        else:
            sign = -1 if self.take("-") else 1
            exponent = sign * rational(self.number())
        if exponent.denominator != 1 or abs(exponent) > 64 or self.peek() == "^":
            raise NotUnderstoodError
        if not value and exponent <= 0:
            raise NotUnderstoodError
        result: Number = {(0, 1): Fraction(1)}
        for _ in range(abs(int(exponent))):
            result = times(result, value) if exponent > 0 else over(result, value)
        return result

    def primary(self) -> Number:
        """Read a literal, a fraction, a root, pi or a bracket."""
        token = self.peek()
        if token[:1].isdigit() or token[:1] == ".":
            return self.number()
        if self.take(r"\pi", "pi"):
            return {(1, 1): Fraction(1)}
        if self.take(r"\frac"):
            above = self.argument()
            return over(above, self.argument())
        if self.take(r"\sqrt"):
            degree = 2
            if self.take("["):
                degree = int(rational(self.number()))
                self.expect("]")
            if self.peek() != "{" and not re.fullmatch(r"\d", self.peek()):
                raise NotUnderstoodError
            return root_of(self.argument(), degree)
        if self.take("√", "sqrt"):
            if token == "√" and self.peek()[:1].isdigit():
                return root_of(self.number(), 2)
            if self.peek() != "(":
                raise NotUnderstoodError
            return root_of(self.group(), 2)
        if token in ("(", "{") and not self.comma_inside():
            begin = self.at
            value = self.group()
            inside = {spelling for spelling, _ in self.tokens[begin : self.at]}
            before = self.tokens[begin - 1][0] if begin else ""
            alone = before in ("", "(", "[", "{", r"\{", ",") and (
                self.peek() in ("", ")", "]", "}", r"\}", ",")
            )
            # Braces are not seen: {1+2}^2.
            if token == "{" and not alone and inside & {"+", "-", "*", "/", r"\times", r"\cdot"}:
                raise NotUnderstoodError
            return value
        raise NotUnderstoodError

    def group(self) -> Number:
        """Read a bracket around a number."""
        closer = {"(": ")", "{": "}"}[self.peek()]
        self.at += 1
        value = self.sum()
        self.expect(closer)
        return value

    def argument(self) -> Number:
        """Read the argument of a command: a group, or one digit as in \\frac12."""
        token, space = self.tokens[self.at]
        if token == "{":
            return self.group()
        if self.take(r"\pi"):
            return {(1, 1): Fraction(1)}
        if not token.isdigit():
            raise NotUnderstoodError
        if len(token) > 1:
            self.tokens[self.at : self.at + 1] = [(token[0], space), (token[1:], False)]
        self.at += 1
        return number_of(Fraction(int(token[0])))

    def number(self) -> Number:
        """Read a literal, exactly."""
        digits = re.sub(r"\{,\}|,\\!\s*|,", "", self.peek())
        grouped = digits != self.peek()
        if not re.fullmatch(r"(\d+(\.\d+)?|\.\d+)([eE][+-]?\d+)?", digits):
            raise NotUnderstoodError
        if re.match(r"0\d", digits) or (grouped and re.match(r"\d{4}|0", self.peek())):
            raise NotUnderstoodError
        self.at += 1
        if re.fullmatch(r"[1-9]\d{0,2}", digits):  # 52 000
            while (
                self.at < len(self.tokens)
                and self.tokens[self.at][1]
                and re.fullmatch(r"\d{3}(\.\d+)?([eE][+-]?\d+)?", self.peek())
                and self.peek(1) not in ("/", r"\div")
                and digits.isdigit()
            ):
                digits += self.peek()
                self.at += 1
        exponent = re.search(r"[eE]([+-]?\d+)", digits)
        if exponent and abs(int(exponent[1])) > 400:
            raise NotUnderstoodError
        return number_of(Fraction(digits))


def spell_set(members: Iterable[str]) -> str:
    """Spell a set: without order and repetition."""
    return "{" + ",".join(sorted(set(members))) + "}"
