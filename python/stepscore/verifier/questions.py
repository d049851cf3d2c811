r"""What math-verify may be asked about two answers, and in which words.

It reads both sides of an equation as its right one, drops bases, takes every ``I`` for the
imaginary unit, an open interval for a set, and a word for the product of its letters. So it is
asked about the values that two answers state, and not at all where it could say yes to different
ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

RULES = 1  # of this file; verdicts kept on disk belong to it

_SPELLINGS = {
    "−": "-", "–": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": r"\div ",
    "π": r"\pi ", "∞": r"\infty ", "∪": r"\cup ", "∩": r"\cap ", "∅": r"\emptyset ",
    "∈": r"\in ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "≈": r"\approx ", "±": r"\pm ",
    "°": r"^{\circ}", "²": "^{2}", "³": "^{3}", "α": r"\alpha ", "β": r"\beta ", "θ": r"\theta ",
    "λ": r"\lambda ", "μ": r"\mu ", "φ": r"\phi ", "½": r"\frac{1}{2}", "**": "^",
    "<=": r"\le ", ">=": r"\ge ", "!=": r"\ne ", r"\lt": "<", r"\gt": ">", r"\leq": r"\le ",
    r"\geq": r"\ge ", r"\neq": r"\ne ", r"\dfrac": r"\frac", r"\tfrac": r"\frac",
    r"\cfrac": r"\frac", "$": " ", r"\(": " ", r"\)": " ", r"\[": " ", r"\]": " ", r"\!": "",
    r"\,": " ", r"\:": " ", r"\;": " ", "\\ ": " ", "~": " ", r"\qquad": " ", r"\quad": " ",
    r"\left": "", r"\right": "", r"\displaystyle": " ", "\\\\": "\\\\",
}  # fmt: skip
_SPELLING = re.compile(
    "|".join(
        re.escape(sign)
        + r"(?![A-Za-z])" * (sign[0] == "\\" and sign[-1].isalpha() and "quad" not in sign)
        for sign in sorted(_SPELLINGS, key=len, reverse=True)
    )
)
_AND = re.compile(
    r",?\s*(?:\\(?:text|mathrm|textrm|mbox)\{[\s,]*(?:and|or)[\s,]*\}"
    r"|(?<![A-Za-z\\])(?:and|or)(?![a-z]))"
)
_TEXT = re.compile(r"\\(?:text(?:rm|bf|it|normal)?|mathrm|mathbf|mbox|operatorname)\{([^{}]*)\}")
_FUNCTIONS = (
    "arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|sqrt|log|ln|exp|lim|max|min|gcd"
    "|lcm|det|mod|pi"
)
_TRIGONOMETRY = re.compile(r"\\?(?:arc)?(?:sin|cos|tan|cot|sec|csc)(?![A-Za-z])")
_DEGREES = re.compile(r"(\d+(?:\.\d+)?)\s*\^\s*(?:\\circ|\{\s*\\circ\s*\})")
# Where these stand two answers are equal only if their keys are.
_NEVER = re.compile(
    r"\\[ldc]?dots|\.\.\.|…"  # a series may go on in more than one way
    r"|[\d)]\s*_|(?<![A-Za-z])0x"  # another base
    r"|%|\\?\$|\^\s*\{?\\circ|\\(?:circ|degree)(?![A-Za-z])|\\pmod|\\equiv"
    r"|[\d}]\s*(?:cm|mm|km|dm|kg|mg|ml|mL|Hz|kWh|mph|ft|in|lbs?|oz|yd|hrs?|min|sec|deg|rad)(?![a-z])"
    r"|[^\x00-\x7f]"
)
# Words are no products of letters; those of an index or an environment are no words.
_WORD = re.compile(rf"(?<![A-Za-z\\])(?!(?:{_FUNCTIONS})(?![A-Za-z]))[A-Za-z]{{4,}}")
_NO_WORD = re.compile(r"\\(?:begin|end)\{[a-z]+\*?\}|_\{[A-Za-z0-9]+\}")
_TIME = re.compile(r"(?<!\d)\d{1,2}:[0-5]\d(?!\d)")
# 1,22 may be 1.22, but 1,234 is 1234.
_POINT = re.compile(r"\s*-?(?:\d+,(?!\d{3}(?!\d))\d+|0,\d+|\d{4,},\d+)\s*")
_LETTER = r"(?:[A-Za-z]|\\(?:alpha|beta|gamma|delta|theta|lambda|mu|phi|omega))"
_VARIABLE = rf"{_LETTER}(?:_(?:[A-Za-z0-9]|\{{[A-Za-z0-9]+\}}))?'?"
_POINTS = r"(?:[A-Z](?:_(?:[A-Za-z0-9]|\{[A-Za-z0-9]+\}))?){1,4}"
_NAMES: dict[str, re.Pattern[str]] = {
    "variable": re.compile(_VARIABLE),
    # f(x), P(A); of other letters it could be a product
    "function": re.compile(rf"(?:[f-hpqA-Z]|\\phi)(?:_\w)?'?\(({_VARIABLE}|\d+)(?:,\s*\w+)*\)"),
    # |AB|, AB, AB:CD, \frac{AB}{CD}, \angle ABC
    "label": re.compile(
        rf"\|{_POINTS}\||{_POINTS}|{_POINTS}:{_POINTS}|\\frac\{{{_POINTS}\}}\{{{_POINTS}\}}"
        rf"|m?\\(?:angle|triangle|overline|widehat)\s*\{{?{_POINTS}\}}?"
        rf"|\({_VARIABLE}(?:\s*,\s*{_VARIABLE})+\)"
    ),
}
_RELATION = re.compile(r"\\(?:le|ge|ne|in|approx|notin|subset\w*)(?![A-Za-z])|[=<>]")

Shape = Literal["value", "list", "tuple", "set"]


@dataclass(frozen=True)
class _Item:
    """One value, with what is said of it: sides[0] signs[0] sides[1] ..."""

    sides: tuple[str, ...]
    signs: tuple[str, ...]

    @property
    def spelling(self) -> str:
        return self.sides[0] + "".join(
            s + t for s, t in zip(self.signs, self.sides[1:], strict=True)
        )

    @property
    def name(self) -> str | None:
        """What kind of name stands before the only sign of equality, if one does."""
        if self.signs != ("=",):
            return None
        kinds = (kind for kind, name in _NAMES.items() if name.fullmatch(self.sides[0]))
        return next(kinds, None)


@dataclass(frozen=True)
class _Answer:
    shape: Shape
    brackets: str  # of a tuple
    items: tuple[_Item, ...]


def question(a: str, b: str) -> tuple[str, str] | None:
    r"""Give the two values to compare, in LaTeX; None where nobody should be asked.

    Equations are compared with equations, or by their right sides where the left one is just a
    name: ``f(x) = 2x`` with 2x, ``|AB| = \sqrt 2`` with ``\sqrt 2``; values with names are compared
    name by name, or in the order of their names with values without.

    Examples:
        >>> question("f(x) = x+x", "2x")
        ('x+x', '2x')
        >>> question("y = 1, x = 2a", "x = a+a, y = 1")
        ('(2a,1)', '(a+a,1)')
        >>> question("x + y = 1", "1") is None
        True
    """
    one, two = _read(a), _read(b)
    if one is None or two is None or _differ_in_case(a, b):
        return None
    if len(one.items) == 1 and _POINT.fullmatch(b):
        two = _read(b.replace(",", ".")) or two
    elif len(two.items) == 1 and _POINT.fullmatch(a):
        one = _read(a.replace(",", ".")) or one
    if len(one.items) > 1 or len(two.items) > 1:
        return _lists(one, two)
    asked = _single(one.items[0], two.items[0])
    if asked and asked[0] != asked[1] and any(map(_TIME.search, asked)):
        return None
    return asked


def _single(a: _Item, b: _Item) -> tuple[str, str] | None:
    if not a.signs and not b.signs:
        return a.spelling, b.spelling
    if not a.signs or not b.signs:
        named = b if b.signs else a
        bare = named.name in ("function", "label") or (
            named.name == "variable" and not _letters(named.sides[1])
        )
        if not bare:
            return None
        return (named.sides[1], b.spelling) if named is a else (a.spelling, named.sides[1])
    names = {a.name, b.name}
    values = a.sides[-1], b.sides[-1]
    if names == {"label"} or (names == {"variable"} and not (_letters(values[0] + values[1]))):
        return values
    if "function" in names and names <= {"function", "variable"}:
        return _definitions(a, b)
    if (set(a.signs) <= {"="}) != (set(b.signs) <= {"="}):
        return None
    return _without_constants(a.spelling, b.spelling)


def _definitions(a: _Item, b: _Item) -> tuple[str, str] | None:
    """f(x) = x and y = x say the same of another name, but y = x and x = y do not."""
    values = [a.sides[1], b.sides[1]]
    for place, item in enumerate((a, b)):
        if item.name == "variable" and item.sides[0] in values[0] + values[1]:
            return None
        argument = _NAMES["function"].fullmatch(item.sides[0])
        if argument and re.fullmatch("[a-z]", argument[1]) and argument[1] != "x":
            if "x" in _letters(values[place]):
                return None
            values[place] = _replaced(values[place], argument[1], "x")
    return values[0], values[1]


def _lists(a: _Answer, b: _Answer) -> tuple[str, str] | None:
    if len(a.items) != len(b.items):
        # \pm stands for two values
        spelled = [item.spelling for answer in (a, b) for item in answer.items]
        if any(r"\pm" in text for text in spelled) and not any(
            item.signs for answer in (a, b) for item in answer.items
        ):
            return _values(a, r"\{%s\}"), _values(b, r"\{%s\}")
        return None
    one, two = _names_of(a), _names_of(b)
    if one is None or two is None:
        return None
    if one and two:
        if len(set(one)) == len(set(two)) == 1:
            return _values(a, r"\{%s\}"), _values(b, r"\{%s\}")
        if sorted(one) != sorted(two) or len(set(one)) != len(one):
            return None
        return _values(_sorted_by(one, a), "(%s)"), _values(_sorted_by(two, b), "(%s)")
    if one or two:
        # x=1, x=2 are the solutions in any order; x=1, y=2 are one of them; [1,2] is neither.
        unordered, bare = len(set(one or two)) == 1, b if one else a
        if bare.shape == ("tuple" if unordered else "set") or bare.brackets not in ("", "()"):
            return None
        form = r"\{%s\}" if unordered else "(%s)"
        return (
            _values(_sorted_by(one, a) if one else a, form),
            _values(_sorted_by(two, b) if two else b, form),
        )
    shapes = {a.shape, b.shape}
    if "tuple" in shapes:
        brackets = {a.brackets, b.brackets} - {""}
        if "set" in shapes or len(brackets) > 1 or ("list" in shapes and brackets != {"()"}):
            return None
        form = "%s".join(brackets.pop())
        return _values(a, form), _values(b, form)
    return _values(a, r"\{%s\}"), _values(b, r"\{%s\}")


def _names_of(answer: _Answer) -> list[str] | None:
    """Give the name of each item, nothing where none has one, None where just some have."""
    names = [item.sides[0] for item in answer.items if item.name]
    if any(item.signs and not item.name for item in answer.items):
        return None
    return names if len(names) in (0, len(answer.items)) else None


def _sorted_by(names: list[str], answer: _Answer) -> _Answer:
    order = sorted(range(len(names)), key=names.__getitem__)
    return _Answer(answer.shape, answer.brackets, tuple(answer.items[place] for place in order))


def _values(answer: _Answer, form: str) -> str:
    return form % ",".join(item.sides[-1] for item in answer.items)


@lru_cache(20_000)  # an answer meets all others of its problem
def _read(answer: str) -> _Answer | None:
    if r"\begin" not in answer:
        answer = re.sub(r"\\\\(?=[A-Za-z])", r"\\", answer)  # escaped twice
    text = _SPELLING.sub(lambda sign: _SPELLINGS[sign[0]], answer).strip().removesuffix(".")
    text = _AND.sub(";", text)
    if any(re.search("[A-Za-z]{2}", inside[1]) for inside in _TEXT.finditer(text)):
        return None  # a unit, or words
    text = _TEXT.sub(r"\1", text)
    text = re.sub(r"√\s*(\d+|[a-z])", r"\\sqrt{\1}", text).replace("√(", "sqrt(")
    if _TRIGONOMETRY.search(text):
        text = _DEGREES.sub(r"\\frac{\1\\pi}{180}", text)
    if _NEVER.search(text) or _WORD.search(_NO_WORD.sub("", text)):
        return None
    if re.fullmatch(r"\s*(?:[A-Za-z]|[A-Za-z]{3,})\s*", text):
        return None
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))|\{,\}", "", text)
    text = re.sub(r"_\{([A-Za-z0-9])\}", r"_\1", text)
    text = re.sub(r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}", text)
    parts = _split(text, re.compile("[,;]"))
    if len(parts) > 1:
        # n = 1, 2, 3 names them all
        named = [_item(part) for part in parts]
        if named[0].name == "variable" and not any(item.signs for item in named[1:]):
            named[0] = _item(named[0].sides[1])
        return _Answer("list", "", tuple(named))
    inside = re.fullmatch(r"\s*(\\\{|[(\[{])(.*?)(\\\}|[)\]}])\s*", text, re.DOTALL)
    if inside and len(_split(inside[1][-1] + inside[2] + inside[3][-1], re.compile("(?!)"))) == 1:
        members = _split(inside[2], re.compile("[,;]"))
        if len(members) > 1 and _balanced(inside[2]):
            items = tuple(map(_item, members))
            if inside[1] in (r"\{", "{"):
                return _Answer("set" if inside[1] != "{" else "list", "", items)
            return _Answer("tuple", inside[1] + inside[3], items)
    item = _item(text)
    if item.name == "label" and item.sides[0].startswith("("):  # (p, q) = (3, 2)
        return _read(item.sides[1])
    return _Answer("value", "", (item,))


def _item(text: str) -> _Item:
    sides = _split(text, _RELATION)
    signs, at = [], 0
    for side in sides[:-1]:
        at += len(side)
        sign = _RELATION.match(text, at)
        assert sign is not None
        signs.append(sign[0])
        at = sign.end()
    kept = tuple(re.sub(r"\s+", " ", side).strip() for side in sides)
    return _Item(kept, tuple(sign + " " * sign[-1].isalpha() for sign in signs))


def _split(text: str, separator: re.Pattern[str]) -> list[str]:
    """Split where a separator stands in no brackets."""
    pieces, begin, depth, at = [], 0, 0, 0
    while at < len(text):
        found = separator.match(text, at) if depth == 0 else None
        if found and found.end() > at:
            pieces.append(text[begin:at])
            begin = at = found.end()
            continue
        if text[at] == "\\" and text[at + 1 : at + 2] not in ("{", "}"):
            at += 2
            continue
        depth += (text[at] in "([{") - (text[at] in ")]}")
        at += 1
    return [*pieces, text[begin:]]


def _balanced(text: str) -> bool:
    """Say whether no bracket closes what was opened outside."""
    depth = 0
    for sign in text:
        depth += (sign in "([{") - (sign in ")]}")
        if depth < 0:
            return False
    return depth == 0


def _letters(text: str) -> set[str]:
    """Give the variables, e and i aside."""
    rest = re.sub(r"\\(?!alpha|beta|gamma|delta|theta|lambda|mu|phi|omega)[A-Za-z]+", " ", text)
    rest = re.sub(rf"(?<![A-Za-z])(?:{_FUNCTIONS})(?![A-Za-z])", " ", rest)
    return set(re.findall(r"\\[a-z]+|[A-Za-z]", rest)) - {"e", "i"}


def _differ_in_case(a: str, b: str) -> bool:
    letters = _letters(a) | _letters(b)
    return any(letter.upper() in letters for letter in letters if letter.islower())


def _without_constants(a: str, b: str) -> tuple[str, str] | None:
    """Keep an equation of I, i or e from being one of a constant."""
    for constant in "Iie":
        if re.match(rf"\s*{constant}\s*=", a) or re.match(rf"\s*{constant}\s*=", b):
            spare = next((s for s in "QKJ" if s not in _letters(a + b)), None)
            if spare is None:
                return None
            a, b = _replaced(a, constant, spare), _replaced(b, constant, spare)
    return a, b


def _replaced(text: str, letter: str, other: str) -> str:
    return re.sub(rf"(\\[A-Za-z]+)|{letter}", lambda found: found[1] or other, text)
