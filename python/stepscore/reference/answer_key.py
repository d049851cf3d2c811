r"""Answer keys in plain Python: regular expressions, `fractions.Fraction`, sets of strings.

A number is a dictionary ``{(power of pi, square-free radicand): Fraction}``. Left out, as text:
most units, money, repeating decimals, equations but ``x = ...``. Fractions have no largest one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepscore.ops.answer_key import AnswerGroups

_Number = dict[tuple[int, int], Fraction]

__all__ = ["AnswerGroups", "answer_keys", "extract_answers", "group_answers"]


def extract_answers(texts: Iterable[str | None]) -> list[str | None]:
    """See `stepscore.extract_answers`."""
    return [None if text is None else _extract(text) for text in texts]


def answer_keys(texts: Iterable[str | None], *, extract: bool = True) -> list[str | None]:
    """See `stepscore.answer_keys`."""
    if extract:
        texts = extract_answers(texts)
    return [None if text is None else _key(text) for text in texts]


def group_answers(
    texts: Iterable[str | None],
    offsets: Any,
    *,
    extract: bool = True,
    verify: Callable[[str, str], bool] | None = None,
    explain: bool = False,
) -> NDArray[np.int64] | AnswerGroups:
    """See `stepscore.group_answers`; with a function as the only verifier."""
    answers = extract_answers(texts) if extract else list(texts)
    keys = answer_keys(answers, extract=False)
    ids = np.full(len(keys), -1)
    decided = np.full(len(keys), "none", dtype="<U6")
    for begin, end in pairwise(np.asarray(offsets).tolist()):
        classes: dict[str, int] = {}
        units: dict[str, set[str]] = {}
        for known in filter(None, keys[begin:end]):
            if " [" in known and not known.startswith("text:"):
                units.setdefault(known.partition(" [")[0], set()).add(known)
        speakers: list[tuple[str, bool]] = []  # answer, and whether it was understood
        for i in range(begin, end):
            key, answer = keys[i], answers[i]
            if key is None or answer is None:
                continue
            if key in classes:
                opened = next(j for j in range(begin, i) if keys[j] == key)
                how = "text" if key.startswith("text:") else "key"
                ids[i] = classes[key]
                decided[i] = decided[opened] if decided[opened] != "first" else how
                continue
            # The other spelling of the same number, without or with its only unit.
            bare = key.partition(" [")[0]
            only = units.get(bare, set())
            twin = bare if key != bare else next(iter(only), "")
            resolved = not key.startswith("text:")
            group = None
            if resolved and len(only) == 1 and twin in classes:
                group, how = classes[twin], "unit"
                if decided[next(j for j in range(begin, i) if keys[j] == twin)] == "verify":
                    how = "verify"
            elif verify is not None:
                how = "verify"
                for number, (other, understood) in enumerate(speakers):
                    if not (resolved and understood) and (
                        verify(other, answer) or verify(answer, other)
                    ):
                        group = number
                        if resolved:
                            speakers[number] = (answer, True)
                        break
            if group is None:
                group, how = len(speakers), "first"
                speakers.append((answer, resolved))
            classes[key] = ids[i] = group
            decided[i] = how
    return AnswerGroups(ids, decided, ()) if explain else ids


# --- extraction -----------------------------------------------------------------------------

_STATED = re.compile(
    r"(?s)(?:.*(?<![A-Za-z])[Aa]nswer is\**(?![a-z]):?|"
    r"#*[ \t]*\**(?:A|(?:[Ff][Ii][Nn][Aa][Ll] )?[Aa][Nn][Ss][Ww][Ee][Rr])\**:|"
    r"#+[ \t]*\**(?:[Ff][Ii][Nn][Aa][Ll] )?[Aa][Nn][Ss][Ww][Ee][Rr]\**(?=\s*$))(.*)"
)
_WHITE = " \t\n\v\f\r"


def _extract(text: str) -> str | None:
    stated = _stated(text.strip(_WHITE))
    if stated is not None:
        return stated
    key = _key(text)
    return None if key is None or key.startswith("text:") else _trim(text)


def _stated(text: str) -> str | None:
    box = _last_box(text)
    if box is not None:
        return _trim(box) or None
    marked = text.rpartition("####")[2]
    if "####" in text and not _STATED.fullmatch("#" + marked.partition("\n")[0]):
        return _trim(_first_line(marked)) or None
    lines = text.split("\n")
    for number in reversed(range(len(lines))):
        found = _STATED.fullmatch(lines[number])
        if found:
            rest = found[1]
            if not _plain(rest):
                rest = _first_line("\n".join(lines[number + 1 :]))
            sentence = re.split(r"(?<!\.)\.(?=\**(?:[ \t\n\v\f\r]|$))", _plain(rest))[0]
            return _trim(_plain(sentence)) or None
    before, equals, after = lines[-1].rpartition("=")
    if not equals or before.endswith(("<", ">", "!")):
        return None
    return _trim(after) or None


def _last_box(text: str) -> str | None:
    last: tuple[int, int] | None = None
    opened: list[tuple[bool, int]] = []
    for brace in re.finditer(r"(\\(?:boxed|fbox)[ \t\n\v\f\r]*)\{|\\.|\{|\}", text, re.DOTALL):
        if brace[0].endswith("{") and (brace[1] or brace[0] == "{"):
            opened.append((bool(brace[1]), brace.end()))
        elif brace[0] == "}" and opened:
            is_box, begin = opened.pop()
            if is_box and (last is None or begin > last[0]):
                last = begin, brace.start()
    return None if last is None else text[slice(*last)]


def _first_line(text: str) -> str:
    return text.strip(_WHITE).partition("\n")[0]


def _plain(text: str) -> str:
    plain = text.strip(_WHITE).removeprefix("**").removesuffix("**").strip(_WHITE)
    return plain[1:-1] if len(plain) > 2 and plain[0] == plain[-1] == "*" else plain


def _trim(text: str) -> str:
    text = text.strip(_WHITE)
    if not text.endswith(".."):
        text = text.removesuffix(".").strip(_WHITE)
    for begin, end in (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")):
        inner = text[len(begin) : -len(end)]
        fits = text.startswith(begin) and text.endswith(end) and len(text) >= 2 * len(begin)
        if fits and begin not in inner and not inner.endswith("\\"):
            return inner.strip(_WHITE)
    return text


# --- keys of numbers, lists, sets, intervals and matrices --------------------------------------

_SIGNS = {
    "−": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": r"\div ", "⁄": "/",
    "π": r"\pi ", "∞": r"\infty ", "∪": r"\cup ", "°": r"^\circ ", "∅": r"\emptyset ",
    "½": r"\frac12 ", "⅓": r"\frac13 ", "⅔": r"\frac23 ", "¼": r"\frac14 ", "¾": r"\frac34 ",
    "²": "^{2}", "³": "^{3}",
}  # fmt: skip
_TOKEN = re.compile(
    r"(?P<space>\s+|\\[,:; ]|~|\$)|"
    r"(?P<gone>\\[!()\[\]]|\\(?:left|right|big[lr]?|Big[lr]?)(?![A-Za-z]))|"
    r"(?P<number>\d+(?:(?:,|\{,\}|,\\!)\d{3}(?!\d))*(?:\.\d+)?|\.\d+)|"
    r"(?P<other>\\begin\{\w+\}|\\end\{\w+\}|\\[A-Za-z]+|\\.|[A-Za-z]+|.)",
    re.DOTALL,
)


class _NotUnderstoodError(Exception):
    pass


def _key(answer: str) -> str | None:
    text = _trim(answer).removesuffix(".")
    if not text:
        return None
    try:
        if text.count("$") % 2:  # money
            raise _NotUnderstoodError
        return _value(text)
    except (_NotUnderstoodError, ZeroDivisionError, IndexError, OverflowError):
        return "text:" + " ".join(text.split())


# A few, to say how units join.
_UNITS = {"hour": "hour", "hours": "hour", "minute": "minute", "minutes": "minute", "cm": "cm"}


def _value(text: str) -> str:
    before, space, word = text.rpartition(" ")
    if space and word in _UNITS:
        return f"{_spell(_Reader(before).only_sum())} [{_UNITS[word]}]"
    choice = re.fullmatch(r"(?:\\text\{)?(?:\(([A-Z])\)|([A-Z]))\}?", text)
    if choice:
        return f"choice:{choice[1] or choice[2]}"
    *variables, last = re.split(r"=", text)
    if any(not re.fullmatch(r"\s*[A-Za-z]\s*", variable) for variable in variables):
        raise _NotUnderstoodError
    for sign, spelling in _SIGNS.items():
        last = last.replace(sign, spelling)
    last = re.sub(r"\\[dt]frac(?![A-Za-z])", r"\\frac", last)
    return _Reader(last).answer()


class _Reader:
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
        self.at, self.in_list = 0, 0

    def peek(self, ahead: int = 0) -> str:
        at = self.at + ahead
        return self.tokens[at][0] if at < len(self.tokens) else ""

    def take(self, *spellings: str) -> bool:
        there = self.peek() in spellings and self.peek() != ""
        self.at += there
        return there

    def expect(self, *spellings: str) -> None:
        if not self.take(*spellings):
            raise _NotUnderstoodError

    def answer(self) -> str:
        if self.tokens and self.tokens[-1][0] in ("%", r"\%"):
            self.tokens.pop()
            negative = self.peek() == "-"
            self.at += self.peek() in ("-", "+")
            value = _scaled(self.product(), -1 if negative else 1)  # of no sum: 5 + 5%
            if self.peek():
                raise _NotUnderstoodError
            return _spell({term: factor / 100 for term, factor in value.items()})
        begin = self.at
        pieces = [self.item()]
        while self.take(r"\cup"):
            pieces.append(self.item())
        if self.peek():
            raise _NotUnderstoodError
        if len(pieces) == 1:
            return pieces[0]
        self.at = begin
        if all(piece.startswith("{") for piece in pieces):
            return self.united_sets()
        return self.united_intervals()

    def united_sets(self) -> str:
        members: set[str] = set()
        while self.peek():
            if not self.take(r"\emptyset", r"\cup"):
                members.update(self.members()[1])
        return _set(members)

    def united_intervals(self) -> str:
        """Cut the line at every number: 2 k + 1 is the k-th of them, 2 k the gap before it."""
        pieces: list[tuple[str, _Number | None, _Number | None, str]] = []
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
                raise _NotUnderstoodError
        ends = [end for _, low, high, _ in pieces for end in (low, high) if end is not None]
        cuts = sorted({_spell(end): _about(end) for end in ends}.items(), key=lambda cut: cut[1])
        if any(b - a <= 1e-12 * max(abs(a), abs(b)) for (_, a), (_, b) in pairwise(cuts)):
            raise _NotUnderstoodError
        place = {spelling: number for number, (spelling, _) in enumerate(cuts)}
        covered: set[int] = set()
        for opened, low, high, closed in pieces:
            first = 0 if low is None else 2 * place[_spell(low)] + 1 + (opened == "(")
            end = 2 * len(cuts) if high is None else 2 * place[_spell(high)] + (closed == "]")
            if first > end:
                raise _NotUnderstoodError  # it is empty
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
        return " U ".join([*spelled, *([_set(points)] if points else [])])

    def bound(self, infinite: str) -> _Number | None:
        signed = self.peek() in ("-", "+")
        if self.peek(signed) != r"\infty":
            return self.sum()
        if infinite != ("-inf" if self.peek() == "-" else "inf"):
            raise _NotUnderstoodError
        self.at += signed + 1
        return None

    def only_sum(self) -> _Number:
        value = self.sum()
        if self.peek():
            raise _NotUnderstoodError
        return value

    def item(self) -> str:
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
        return _spell(self.sum())

    def comma_inside(self) -> bool:
        depth, commas = 0, False
        for token, _ in self.tokens[self.at :]:
            depth += token in ("(", "[", "{", r"\{")
            depth -= token in (")", "]", "}", r"\}")
            commas |= depth == 1 and ("," in token and "{" not in token)
            if depth == 0:
                return commas
        raise _NotUnderstoodError

    def several(self) -> str:
        opened, members, closer = self.members()
        if opened in ("{", r"\{"):
            return _set(members)
        if len(members) == 2:  # no interval holds an infinity
            opened = "(" if members[0] == "-inf" else opened
            closer = ")" if members[1] == "inf" else closer
        return opened + ",".join(members) + closer

    def members(self) -> tuple[str, list[str], str]:
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
                    raise _NotUnderstoodError
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
        environment = self.peek()[6:]
        self.at += 1
        rows: list[list[str]] = [[]]
        while True:
            rows[-1].append(_spell(self.sum()))
            if self.take("&"):
                continue
            if self.take("\\\\") and not self.peek().startswith(r"\end"):
                rows.append([])
                continue
            break
        self.expect(r"\end" + environment)
        if len(set(map(len, rows))) != 1:
            raise _NotUnderstoodError
        return "matrix[" + ";".join(map(",".join, rows)) + "]"

    def sum(self) -> _Number:
        negative = self.peek() == "-"
        if self.peek() in ("-", "+"):
            self.at += 1
        total = _scaled(self.product(), -1 if negative else 1)
        while self.peek() in ("-", "+"):
            sign = -1 if self.peek() == "-" else 1
            self.at += 1
            total = _plus(total, _scaled(self.product(), sign))
        return total

    def product(self) -> _Number:
        value, divided = self.chain(False), False
        while True:
            if self.take("*", r"\times", r"\cdot"):
                value = _times(value, self.chain(False))
            elif self.take("/", r"\div"):
                if divided:
                    raise _NotUnderstoodError
                value, divided = _over(value, self.chain(True)), True
            else:
                return value

    def chain(self, single: bool) -> _Number:
        literal = self.peek()[:1].isdigit() or self.peek()[:1] == "."
        value = self.factor()
        # -1: "^" came behind the digits.
        if literal and self.tokens[self.at - 1][0][:1].isdigit() and not single:
            value = self.mixed(value)
        while self.peek() in (r"\sqrt", "√", r"\pi", "pi", "sqrt", "("):
            bracket = self.peek() == "("
            other = self.factor()
            if single or (bracket and _is_rational(other)):
                raise _NotUnderstoodError
            value = _times(value, other)
        return value

    def mixed(self, whole: _Number) -> _Number:
        if self.peek() == r"\frac":
            part = self.factor()
        elif self.peek().isdigit() and self.peek(1) == "/" and self.peek(2).isdigit():
            part = {(0, 1): Fraction(int(self.peek()), int(self.peek(2)))}
            self.at += 3
            if self.peek() in ("/", "^"):
                raise _NotUnderstoodError
        else:
            return whole
        value = _rational(whole)
        if value.denominator != 1 or value == 0 or not 0 < _rational(part) < 1:
            raise _NotUnderstoodError
        return _plus(whole, part)

    def factor(self) -> _Number:
        value = self.primary()
        if self.peek() != "^" or self.peek(1) == r"\circ":
            return value
        self.at += 1
        if self.peek() in ("{", "("):
            exponent = _rational(self.group())
        else:
            sign = -1 if self.take("-") else 1
            exponent = sign * _rational(self.number())
        if exponent.denominator != 1 or abs(exponent) > 64 or self.peek() == "^":
            raise _NotUnderstoodError
        if not value and exponent <= 0:
            raise _NotUnderstoodError
        result: _Number = {(0, 1): Fraction(1)}
        for _ in range(abs(int(exponent))):
            result = _times(result, value) if exponent > 0 else _over(result, value)
        return result

    def primary(self) -> _Number:
        token = self.peek()
        if token[:1].isdigit() or token[:1] == ".":
            return self.number()
        if self.take(r"\pi", "pi"):
            return {(1, 1): Fraction(1)}
        if self.take(r"\frac"):
            above = self.argument()
            return _over(above, self.argument())
        if self.take(r"\sqrt"):
            degree = 2
            if self.take("["):
                degree = int(_rational(self.number()))
                self.expect("]")
            if self.peek() != "{" and not re.fullmatch(r"\d", self.peek()):
                raise _NotUnderstoodError
            return _root(self.argument(), degree)
        if self.take("√", "sqrt"):
            if token == "√" and self.peek()[:1].isdigit():
                return _root(self.number(), 2)
            if self.peek() != "(":
                raise _NotUnderstoodError
            return _root(self.group(), 2)
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
                raise _NotUnderstoodError
            return value
        raise _NotUnderstoodError

    def group(self) -> _Number:
        closer = {"(": ")", "{": "}"}[self.peek()]
        self.at += 1
        value = self.sum()
        self.expect(closer)
        return value

    def argument(self) -> _Number:
        token, space = self.tokens[self.at]
        if token == "{":
            return self.group()
        if self.take(r"\pi"):
            return {(1, 1): Fraction(1)}
        if not token.isdigit():
            raise _NotUnderstoodError
        if len(token) > 1:
            self.tokens[self.at : self.at + 1] = [(token[0], space), (token[1:], False)]
        self.at += 1
        return _from(Fraction(int(token[0])))

    def number(self) -> _Number:
        digits = re.sub(r"\{,\}|,\\!|,", "", self.peek())
        grouped = digits != self.peek()
        if not re.fullmatch(r"\d+(\.\d+)?|\.\d+", digits):
            raise _NotUnderstoodError
        if re.match(r"0\d", digits) or (grouped and re.match(r"\d{4}|0", self.peek())):
            raise _NotUnderstoodError
        self.at += 1
        return _from(Fraction(digits))


def _set(members: Iterable[str]) -> str:
    return "{" + ",".join(sorted(set(members))) + "}"


def _about(value: _Number) -> float:
    return math.fsum(
        float(factor) * math.sqrt(root) * math.pi**pi for (pi, root), factor in value.items()
    )


def _from(value: Fraction) -> _Number:
    return {(0, 1): value} if value else {}


def _is_rational(value: _Number) -> bool:
    return set(value) <= {(0, 1)}


def _rational(value: _Number) -> Fraction:
    if not _is_rational(value):
        raise _NotUnderstoodError
    return value.get((0, 1), Fraction(0))


def _scaled(value: _Number, by: int) -> _Number:
    return {term: by * factor for term, factor in value.items()}


def _plus(a: _Number, b: _Number) -> _Number:
    total = {term: a.get(term, Fraction(0)) + b.get(term, Fraction(0)) for term in {*a, *b}}
    return {term: factor for term, factor in total.items() if factor}


def _times(a: _Number, b: _Number) -> _Number:
    total: _Number = {}
    for (pi_a, root_a), factor_a in a.items():
        for (pi_b, root_b), factor_b in b.items():
            square, rest = _split(root_a * root_b)
            term = {(pi_a + pi_b, rest): factor_a * factor_b * square}
            total = _plus(total, term)
    return total


def _over(a: _Number, b: _Number) -> _Number:
    if len(b) != 1:
        raise _NotUnderstoodError
    (((pi, root), factor),) = b.items()
    return _times(a, {(-pi, root): 1 / (factor * root)})


def _split(n: int) -> tuple[int, int]:
    """Give (s, r) with n = s^2 r and r square-free."""
    if n > 2**40:
        raise _NotUnderstoodError
    square, rest, p = 1, n, 2
    while p * p <= rest:
        while rest % (p * p) == 0:
            rest //= p * p
            square *= p
        p += 1
    return square, rest


def _root(value: _Number, degree: int) -> _Number:
    inside = _rational(value)
    if degree == 2:
        if inside < 0:
            raise _NotUnderstoodError
        if inside == 0:
            return {}
        square, rest = _split(inside.numerator * inside.denominator)
        return {(0, rest): Fraction(square, inside.denominator)}
    if degree < 2 or (inside < 0 and degree % 2 == 0):
        raise _NotUnderstoodError
    sizes = [round(abs(n) ** (1 / degree)) for n in (inside.numerator, inside.denominator)]
    exact = Fraction(*sizes) * (-1 if inside < 0 else 1)
    if exact**degree != inside:
        raise _NotUnderstoodError
    return _from(exact)


def _spell(value: _Number) -> str:
    text = ""
    for (pi, root), factor in sorted(value.items()):
        power = "pi" if pi == 1 else f"pi^{pi}"
        irrational = [f"sqrt({root})"] * (root != 1) + [power] * (pi != 0)
        shown = "*".join(
            [*([str(factor)] if abs(factor) != 1 or not irrational else []), *irrational]
        )
        if factor == -1 and irrational:
            shown = "-" + shown
        text += ("+" if text and factor > 0 else "") + shown
    if any(math.log2(max(abs(f.numerator), f.denominator, 1)) >= 63 for f in value.values()) and (
        len(value) > 1 or next(iter(value.values())).denominator != 1
    ):
        raise _NotUnderstoodError
    return text or "0"
