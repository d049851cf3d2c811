"""A verdict as the probability of its words, at the token that says it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from stepscore.policies.texts import GeneratedText, Token
from stepscore.scoring.verdicts.programs import VerdictError

# floor: the least of the log-probabilities that are told, which bounds it from above;
# error: no verdict.
Missing = Literal["floor", "error"]
_QUOTED = 80  # characters of a text in a reason


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
) -> WordReading:
    """Read the probability of each word where a text gives its verdict.

    A word of several tokens counts by its first one. A likely token stands for a word if it has the
    same characters before it as the token of the verdict, and the same upper and lower case; a
    part of a word, of two letters at least, if no other word begins so.

    Args:
        text: with the likeliest tokens at every place.
        pattern: finds a verdict; its group 1 is the word, in any case.
        words: the verdicts.
        which: of several verdicts.
        missing: what a word gets that is not among the likeliest tokens.

    Raises:
        VerdictError: no verdict, or one that is cut off; tokens that do not spell it, or do not
            tell one word from another; under ``missing="error"`` a word that is not told.
    """
    place = -1 if which == "last" else 0
    match = find_verdict(text, pattern, which)
    joined = "".join(token.text for token in text.tokens)
    found = match
    if not joined.startswith(text.text):
        every = list(pattern.finditer(joined))
        if not every or every[place][1] != match[1]:
            raise VerdictError(
                f"the server's tokens do not spell the verdict {match[0]!r}", text.text
            )
        found = every[place]
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
    logprobs: list[float] = []
    for each, form in forms.items():
        others = [other for key, other in forms.items() if key != each]
        piece = token.text if each == word else _piece_of(form, others, entries, lead, trail)
        if each == word and rest != said + trail and any(o.startswith(rest) for o in others):
            raise VerdictError(
                f"the token {rest!r} begins {said!r} and another of {', '.join(words)}", text.text
            )
        if piece is not None:
            logprobs.append(entries[piece])
        elif missing == "floor" and token.top:
            logprobs.append(min(value for _, value in token.top))
        else:
            raise VerdictError(
                f"{form!r} is not among the {len(token.top)} likeliest tokens that the server "
                "tells",
                text.text,
            )
    return WordReading(word, _normalised(logprobs, text.text))


def find_verdict(
    text: GeneratedText, pattern: re.Pattern[str], which: Literal["first", "last"] = "last"
) -> re.Match[str]:
    """Find the verdict in a text.

    Raises:
        VerdictError: there is none; the reason says whether the text was cut.
    """
    every = list(pattern.finditer(text.text))
    if every:
        return every[-1 if which == "last" else 0]
    raise no_verdict(text, f"a text with {pattern.pattern!r}")


def no_verdict(text: GeneratedText, expected: str) -> VerdictError:
    """Say what a text lacks, and whether it was cut off before it could say so."""
    end = repr(text.text[-_QUOTED:])
    if text.truncated:
        return VerdictError(
            f"expected {expected}; the text was cut off at {text.token_count} tokens "
            f"(finish_reason length): ...{end}",
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


def _piece_of(
    form: str, others: Sequence[str], entries: dict[str, float], lead: str, trail: str
) -> str | None:
    """The likely token that stands for a word; None without one."""
    for piece in (lead + form + trail, lead + form):
        if piece in entries:
            return piece
    for length in range(len(form) - 1, 1, -1):
        if lead + form[:length] in entries:
            shared = any(other.startswith(form[:length]) for other in others)
            return None if shared else lead + form[:length]
    return None


def _in_case_of(said: str, word: str) -> str:
    if said.casefold() == word.casefold():
        return said
    if len(said) > 1 and said.isupper():
        return word.upper()
    return word.lower() if said.islower() else word.capitalize() if said.istitle() else word


def _normalised(logprobs: Sequence[float], text: str) -> tuple[float, ...]:
    most = max(logprobs)
    if not math.isfinite(most):
        raise VerdictError(f"expected finite log-probabilities of the verdict; got {most}", text)
    weights = [math.exp(value - most) for value in logprobs]
    total = math.fsum(weights)
    return tuple(weight / total for weight in weights)
