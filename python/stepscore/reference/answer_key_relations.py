"""What stands around the values of an answer: names, signs, units, choices, lists, inequalities."""

from __future__ import annotations

import re

from stepscore.reference.answer_key_numbers import NotUnderstoodError, about, spell
from stepscore.reference.answer_key_reader import GONE, Reader, spell_set

MISSING = ("none", "null", "nan", "n/a", "[invalid]", "[invalidanswer]", "[no answer]")

_SIGNS = {
    "−": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": r"\div ", "⁄": "/",
    "π": r"\pi ", "∞": r"\infty ", "∪": r"\cup ", "°": r"^\circ ", "∅": r"\emptyset ",
    "½": r"\frac12 ", "⅓": r"\frac13 ", "⅔": r"\frac23 ", "¼": r"\frac14 ", "¾": r"\frac34 ",
    "²": "^{2}", "³": "^{3}", "≈": r"\approx ", "≤": "<=", "≥": ">=",
}  # fmt: skip
# A few, to say how units join.
_UNITS = {"hour": "hour", "hours": "hour", "minute": "minute", "minutes": "minute", "cm": "cm"}
_CHOICE = re.compile(r"(?:\\text(?:bf)?\{)?(?:\(([A-Z])\)|([A-Z])\)?)(?:\s*\})?", re.DOTALL)
_CHOSEN = re.compile(
    r"(?:\(([A-Z])\)|([A-Z])\)|([A-Z])[.:])\s+(?=[\w.\\(\[{-])(?!-\s)(.+)", re.DOTALL
)
_COUNTING = re.compile("[万亿兆百十半多余几成]|分之|千(?![克米瓦])")
_INDEX = r"(?:_(?:\d+|[A-Za-z]+|\{(?:\d+|[A-Za-z]+)\}))?"
_LETTER = r"(?:[A-Za-z]|\\(?:alpha|beta|gamma|delta|theta|lambda|mu|phi)(?![A-Za-z]))"
_NAME = re.compile(
    rf"\s*(?:{_LETTER}\s*{_INDEX}"
    rf"|[fghpqA-Z]\s*{_INDEX}\s*\((?:\s*(?:{_LETTER}|\d+(?:\.\d+)?|,))+\s*\)"
    r"|[A-Z]{2,4}|\|\s*[A-Z]{1,4}\s*\||\[\s*[A-Z]{1,4}\s*\]|m?\s*\\angle\s*[A-Z]{1,4})\s*"
)
_POINT = re.compile(r"\s*\(\s*([A-Za-z](?:\s*,\s*[A-Za-z])+)\s*\)\s*")
_RELATION = re.compile(r"(\\(?:leqslant|geqslant|leq?|geq?|lt|gt)(?![A-Za-z])|[<>]=?)")
_SEPARATOR = re.compile(r"[,;]|(?<![A-Za-z])(?:and|or)(?![A-Za-z])")


def read_statement(text: str) -> tuple[str, str | None]:
    """Give the key of an answer, and that of the number without its unit or percent sign."""
    choice = _CHOICE.fullmatch(text)
    if choice:
        return f"choice:{choice[1] or choice[2]}", None
    chosen = _CHOSEN.fullmatch(text)
    if chosen:
        letter = f"choice:{chosen[1] or chosen[2] or chosen[3]}"
        return f"{letter} [{_value(chosen[4])[0]}]", letter
    return _value(text)


def _value(text: str) -> tuple[str, str | None]:
    if text.count("$") % 2:  # money
        raise NotUnderstoodError
    if r"\begin" not in text:
        text = re.sub(r"\\\\(?=[A-Za-z])", r"\\", text)  # escaped twice
    for sign, spelling in _SIGNS.items():
        text = text.replace(sign, spelling)
    text = re.sub(r"\\[dt]frac(?![A-Za-z])", r"\\frac", text)
    approximate = re.split(r"\\approx(?![A-Za-z])", text, maxsplit=1)
    if len(approximate) > 1:
        first, second = approximate
        return _value(second if not first.strip() or _is_name(first) else first)
    if any(_RELATION.fullmatch(piece) for piece in _pieces(text, _RELATION)):
        return _inequality(_pieces(text, _RELATION)), None
    members = _members(text)
    if members is not None:
        return members, None
    *names, last = _pieces(text, re.compile("="))[::2]
    if any(not _is_name(name) for name in names):
        raise NotUnderstoodError
    return _with_unit(last)


def _with_unit(text: str) -> tuple[str, str | None]:
    percent = re.fullmatch(
        r"(.*?)\s*(?:\\?%|(?<![A-Za-z])(?:percent|pct|percentage))\s*", text, re.DOTALL
    )
    if percent:
        reader = Reader(percent[1])
        if any(token in ("+", "-") for token in [token for token, _ in reader.tokens][1:]):
            raise NotUnderstoodError  # 5 + 5%
        value = reader.only_sum()
        hundredth = {term: factor / 100 for term, factor in value.items()}
        return spell(hundredth), spell(value)
    unit = re.fullmatch(r"(.*?)\s*(?<![A-Za-z\\])([A-Za-z]+|[一-鿿]{1,8})\s*", text, re.DOTALL)
    if unit and (unit[2] in _UNITS or unit[2] > "z") and not _COUNTING.search(unit[2]):
        value_key = spell(Reader(unit[1]).only_sum())
        return f"{value_key} [{_UNITS.get(unit[2], unit[2])}]", value_key
    return Reader(text).answer(), None


def _is_name(text: str) -> bool:
    point = _POINT.fullmatch(text)
    if point:
        letters = re.findall("[A-Za-z]", point[1])
        return letters == sorted(set(letters))
    return _NAME.fullmatch(text) is not None


def _pieces(text: str, separator: re.Pattern[str]) -> list[str]:
    """Split where a separator stands in no brackets; the separators stay between the pieces."""
    pieces, begin, depth, at = [], 0, 0, 0
    while at < len(text):
        found = separator.match(text, at) if depth == 0 else None
        if found:
            pieces += [text[begin:at], found[0]]
            begin = at = found.end()
            continue
        depth += text.startswith((r"\{", "(", "[", "{"), at)
        depth -= text.startswith((r"\}", ")", "]", "}"), at)
        at += 2 if text[at] == "\\" else 1
    return [*pieces, text[begin:]]


def _inequality(pieces: list[str]) -> str:
    """x > 3 is (3, inf)."""
    sides, signs = pieces[::2], pieces[1::2]
    less = [sign[0] == "<" or sign.startswith(r"\l") for sign in signs]
    low, high = ("(", "-inf"), (")", "inf")
    numbers = {}
    for place, sign in enumerate(signs):
        strict = sign in ("<", ">", r"\lt", r"\gt")
        middle = _is_name(sides[1]) if len(signs) == 2 else None
        left = place == 0 and (middle or (middle is None and not _is_name(sides[0])))
        right = place == len(signs) - 1 and (middle or (middle is None and _is_name(sides[0])))
        if len(signs) > 2 or len(set(less)) > 1 or left == right:
            raise NotUnderstoodError
        if len(signs) == 1 and not _is_name(sides[1] if left else sides[0]):
            raise NotUnderstoodError
        reader = Reader(sides[0] if left else sides[-1])
        below = less[place] == left
        number = reader.bound("-inf" if below else "inf")
        if reader.peek():
            raise NotUnderstoodError
        if number is None:
            continue
        numbers[below] = about(number)
        if below:
            low = ("(" if strict else "[", spell(number))
        else:
            high = (")" if strict else "]", spell(number))
    if len(numbers) == 2 and numbers[False] - numbers[True] <= 1e-12 * max(
        map(abs, numbers.values())
    ):
        raise NotUnderstoodError
    return f"{low[0]}{low[1]},{high[1]}{high[0]}"


def _members(text: str) -> str | None:
    """Read values that stand side by side; None where there is one alone."""
    bare = re.sub(r"\\text\{([^{}]*)\}", r" \1 ", text)
    pieces = _pieces(GONE.sub("", re.sub(r",\\!\s*", "{,}", bare)), _SEPARATOR)
    if len(pieces) == 1:
        return None
    items = [pieces[0]]
    tight = sure = grouped = loose = 0
    for separator, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        number = re.match(r"\d+(?:\.\d+)?", piece)
        if separator == "," and number and re.search(r"\d\s*$", items[-1]):
            if re.fullmatch(r"\d{3}", number[0]):
                items[-1] += "," + piece
                grouped += 1
                continue
            tight += 1
        else:
            sure += 1
            loose += separator == "," and re.match(r"\s+\.?\d", piece) is not None
        if separator in ("and", "or") and items[-1].strip() == "" and len(items) > 1:
            items[-1] = piece
            sure -= 1
        else:
            items.append(piece)
    mixed = ";" in pieces[1::2] and "," in pieces[1::2]
    if len(items) == 1 and not tight:
        return None
    if mixed or (tight and (grouped or loose or sure + tight < 2)):
        raise NotUnderstoodError
    named = [_pieces(item, re.compile("=")) for item in items]
    names = [" ".join(parts[:-2]).strip() for parts in named if len(parts) > 1]
    if any(len(parts) > 3 for parts in named) or len(set(names)) > 1:
        raise NotUnderstoodError
    if names and (
        len(named[0]) == 1 or len(names) not in (1, len(items)) or not _is_name(names[0])
    ):
        raise NotUnderstoodError
    keys = []
    for parts in named:
        reader = Reader(parts[-1])
        keys.append(reader.item())
        if reader.peek():
            raise NotUnderstoodError
    brackets = all(
        re.match(r"\s*(?:[(\[]|\\\{)", parts[-1]) and "," in parts[-1] for parts in named
    )
    if len(set(keys)) < len(keys) and not brackets:
        raise NotUnderstoodError
    return spell_set(keys)
