"""A verdict as the probability of its words, at the token that says it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from stepscore.policies.texts import GeneratedText, Token
from stepscore.scoring.verdicts.programs import VerdictError

# floor: the least of the log-probabilities that are told, which bounds it from above, where other
# tokens than the verdict's words are told;  error: no verdict.
Missing = Literal["floor", "error"]
_QUOTED = 80  # characters of a text in a reason
_THINKING, THINKING_ENDS = "<think>", "</think>"


@dataclass(frozen=True)
class WordReading:
    r"""Which verdict a text gives, and how probable each one was.

    Attributes:
        word: the verdict, as it stands among the words.
        probabilities: of every word, :math:`p_w = e^{l_w} / \sum_v e^{l_v}`, where :math:`l` are
            the log-probabilities at the first token of the verdict.
    """

    word: str
    probabilities: tuple[float, ...]


def read_words(
    text: GeneratedText,
    pattern: re.Pattern[str],
    words: Sequence[str],
    *,
    which: Literal["first", "last"] = "last",
    missing: Missing = "floor",
    before: str = "",
) -> WordReading:
    """Read the probability of each word where a text gives its verdict.

    A word of several tokens counts by its first one. A likely token stands for a word if it has the
    same characters before it as the token of the verdict, and the same upper and lower case; so
    does a part of a word, of two letters at least, but of one that begins several words it cannot
    be told which is meant.

    Args:
        text: with the likeliest tokens at every place.
        pattern: finds a verdict; its group 1 is the word, in any case.
        words: the verdicts.
        which: of several verdicts.
        missing: what a word gets that is not among the likeliest tokens.
        before: what stands before the text, such as its prefill.

    Raises:
        VerdictError: no verdict, or one that may still have changed; tokens that do not spell it,
            or do not tell one word from another; under ``missing="error"``, or where no others are
            told, a word that is not told.
    """
    match = find_verdict(text, pattern, which, before)
    joined = "".join(token.text for token in text.tokens)
    found = match
    if not joined.startswith(text.text):
        spelt = _verdict_in(joined, pattern, which, before)
        if spelt is None or spelt[1] != match[1]:
            raise VerdictError(
                f"the server's tokens do not spell the verdict {match[0]!r}", text.text
            )
        found = spelt
    token, lead, rest = _token_at(text.tokens, found.start(1))
    entries = dict(reversed(token.top))
    entries.setdefault(token.text, token.logprob)
    said = match[1]
    forms = {word: _in_case_of(said, word) for word in words}
    try:
        word = next(word for word, form in forms.items() if form == said)
    except StopIteration:
        raise VerdictError(f"expected one of {', '.join(words)}; got {said!r}", text.text) from None
    trail = rest.removeprefix(said) if rest.startswith(said) else ""
    pieces: dict[str, str | None] = {}
    for each, form in forms.items():
        others = [other for key, other in forms.items() if key != each]
        piece = token.text if each == word else _piece_of(form, entries, lead, trail)
        begins = rest if each == word else (piece or "").removeprefix(lead)
        part = begins not in ("", form, form + trail)
        if part and any(other.startswith(begins) for other in others):
            raise _ambiguous(begins, words, text.text)
        if piece is None:
            _check_no_prefix(form, [lead + o for o in others], lead, entries, words, text.text)
        pieces[form] = piece
    return WordReading(word, _normalised(_told(pieces, entries, token, missing, text), text.text))


def read_next(
    text: GeneratedText,
    forms: Sequence[str],
    missing: Missing = "floor",
    temperature: float = 1.0,
) -> tuple[float, ...]:
    r"""Read the probability of each word as the next token: as `WordReading` has it, of l / T.

    Args:
        text: of one token, behind the question.
        forms: the words as they follow the question, such as ``" Yes"`` and ``" No"``.
        missing: what a word gets that is not among the likeliest tokens.
        temperature: T.

    Raises:
        VerdictError: no token; none of the words is among the likeliest, or under
            ``missing="error"``, or where no others are told, one of them is not.
    """
    if not text.tokens:
        raise VerdictError("the policy tells no tokens", text.text)
    token = text.tokens[0]
    entries = dict(reversed(token.top))
    entries.setdefault(token.text, token.logprob)
    pieces = {form: form if form in entries else None for form in forms}
    if not any(pieces.values()):
        raise VerdictError(
            f"expected {' and '.join(map(repr, forms))} among the {len(token.top)} likeliest "
            f"tokens; got {', '.join(repr(piece) for piece in list(entries)[:5])} and so on",
            text.text,
        )
    for form, piece in pieces.items():
        if piece is None:
            others = [other for other in forms if other != form]
            _check_no_prefix(form, others, "", entries, forms, text.text)
    told = _told(pieces, entries, token, missing, text)
    return _normalised([value / temperature for value in told], text.text)


def say_next(text: GeneratedText, forms: Sequence[str]) -> tuple[float, ...]:
    """Read which word the next token is: 1 for it, 0 for the others.

    Raises:
        VerdictError: it is none of them, or may be the beginning of another.
    """
    said = [form.strip() == text.text.strip() for form in forms]
    begins = [form.strip().startswith(text.text.strip()) for form in forms]
    if any(said) and sum(begins) > 1:
        raise _ambiguous(text.text, forms, text.text)
    if not any(said):
        raise no_verdict(text, f"one of {', '.join(map(repr, forms))}")
    return tuple(map(float, said))


def reasoning_end(text: str, ends: str = THINKING_ENDS) -> int | None:
    """Where what a text says begins, behind its reasoning; None where that does not end.

    A verdict that was thought of on the way is none. A text without marks is no reasoning.
    """
    end = text.rfind(ends)
    if _THINKING in text[max(end, 0) :]:
        return None
    return 0 if end < 0 else end + len(ends)


def behind_reasoning(text: GeneratedText, before: str = "", ends: str = THINKING_ENDS) -> str:
    """Give what a text says, behind its reasoning.

    Args:
        text: as it was written.
        before: what stands before it, such as its prefill, in which the reasoning may have begun.
        ends: ends the reasoning.

    Raises:
        VerdictError: the reasoning does not end.
    """
    whole = before + text.text
    begin = reasoning_end(whole, ends)
    if begin is None:
        raise no_verdict(text, f"{ends} at the end of the reasoning")
    return whole[max(begin, len(before)) :]


def said_at_the_end(text: GeneratedText) -> str:
    """Give what a text that ends says, behind its reasoning.

    Raises:
        VerdictError: the text was cut off, so that what it says may still have changed; or its
            reasoning does not end.
    """
    if text.truncated:
        raise no_verdict(text, "a text that ends")
    return behind_reasoning(text)


def find_verdict(
    text: GeneratedText,
    pattern: re.Pattern[str],
    which: Literal["first", "last"] = "last",
    before: str = "",
) -> re.Match[str]:
    """Find the verdict in a text, behind its reasoning where it shows where that ends.

    A text that was cut off has a verdict only where no further word could change it: the first one
    counts, and the reasoning has ended or there is none before it; or the text is the word alone.

    Raises:
        VerdictError: there is none; the reason says whether the text was cut.
    """
    match = _verdict_in(text.text, pattern, which, before)
    if match is None or match[1] is None:
        raise no_verdict(text, f"a text with {pattern.pattern!r}")
    alone = match[1].strip() == text.text.strip()
    if text.truncated and not alone and not (which == "first" and is_settled(text, match, before)):
        raise no_verdict(text, f"a text that ends, and not behind {match[0]!r}")
    return match


def is_settled(text: GeneratedText, match: re.Match[str], before: str = "") -> bool:
    """Tell whether a verdict stays the first one however the text goes on."""
    ended = bool(reasoning_end(before + text.text))
    return ended or re.search(r"\w", text.text[: match.start(1)]) is None


def _verdict_in(
    text: str, pattern: re.Pattern[str], which: Literal["first", "last"], before: str
) -> re.Match[str] | None:
    begin = reasoning_end(before + text)
    if begin is None:
        return None  # what it has thought of so far is no verdict
    every = list(pattern.finditer(text, max(begin - len(before), 0)))
    return every[-1 if which == "last" else 0] if every else None


def no_verdict(text: GeneratedText, expected: str) -> VerdictError:
    """Say what a text lacks, and whether it was cut off before it could say so."""
    end = repr(text.text[-_QUOTED:])
    if text.truncated:
        return VerdictError(
            f"expected {expected}; the text was cut off at {text.token_count} tokens "
            f"(finish_reason {text.cut_by}): ...{end}",
            text.text,
        )
    return VerdictError(f"expected {expected}; got a text that ends in {end}", text.text)


def _token_at(tokens: Sequence[Token], at: int) -> tuple[Token, str, str]:
    """The token of a character; its text before the character, and from there on."""
    begin = 0
    for token in tokens:
        end = begin + len(token.text)
        if at < end:
            return token, token.text[: at - begin], token.text[at - begin :]
        begin = end
    raise VerdictError("the server tells no token of the verdict")


def _told(
    pieces: Mapping[str, str | None],
    entries: Mapping[str, float],
    token: Token,
    missing: Missing,
    text: GeneratedText,
) -> list[float]:
    """The log-probability of each word, by the likely token that stands for it."""
    lacking = [form for form, piece in pieces.items() if piece is None]
    # Of tokens that are the words themselves none says how unlikely another word is.
    others = [value for piece, value in token.top if piece not in pieces.values()]
    if lacking and (missing == "error" or not others):
        raise VerdictError(
            f"{lacking[0]!r} is not among the {len(token.top)} likeliest tokens that the server "
            "tells" + ("" if others else ", and none but the verdict's words is"),
            text.text,
        )
    floor = min((value for _, value in token.top), default=math.nan)
    return [floor if piece is None else entries[piece] for piece in pieces.values()]


def _piece_of(form: str, entries: Mapping[str, float], lead: str, trail: str) -> str | None:
    """The likely token that stands for a word; None without one."""
    for piece in (lead + form + trail, lead + form):
        if piece in entries:
            return piece
    for length in range(len(form) - 1, 1, -1):
        if lead + form[:length] in entries:
            return lead + form[:length]
    return None


def _in_case_of(said: str, word: str) -> str:
    if said.casefold() == word.casefold():
        return said
    if len(said) > 1 and said.isupper():
        return word.upper()
    return word.lower() if said.islower() else word.capitalize() if said.istitle() else word


def _check_no_prefix(
    form: str,
    others: Sequence[str],
    lead: str,
    entries: dict[str, float],
    words: Sequence[str],
    text: str,
) -> None:
    """Refuse a token that is one word whole, and may be the beginning of another, as 1 is of 10."""
    shared = [o for o in others if o in entries and (lead + form).startswith(o)]
    if shared:
        raise _ambiguous(shared[0], words, text)


def _ambiguous(token: str, words: Sequence[str], text: str) -> VerdictError:
    return VerdictError(
        f"the token {token!r} may begin several of {', '.join(words)}: their probabilities cannot "
        "be told apart",
        text,
    )


def _normalised(logprobs: Sequence[float], text: str) -> tuple[float, ...]:
    most = max(logprobs)
    if not math.isfinite(most) or any(map(math.isnan, logprobs)):
        raise VerdictError(
            f"expected finite log-probabilities of the verdict; got {list(logprobs)}", text
        )
    weights = [math.exp(value - most) for value in logprobs]
    total = math.fsum(weights)
    return tuple(weight / total for weight in weights)
