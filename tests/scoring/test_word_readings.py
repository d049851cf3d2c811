"""The probability of a verdict's word at its token, from the likeliest tokens that are told."""

from __future__ import annotations

import math
import re

import pytest

from stepscore.policies.texts import GeneratedText, Token
from stepscore.scoring.verdicts import VerdictError, read_next, read_words, say_next


def text(*pieces: str, at: int = 0, says: str | None = None, **likely: float) -> GeneratedText:
    """A text of tokens, one of which might have been others, of these probabilities."""
    tokens = [Token(piece, -0.5, ((piece, -0.5), ("?", -9.0))) for piece in pieces]
    if likely:
        top = tuple((piece, math.log(p)) for piece, p in likely.items())
        tokens[at] = Token(pieces[at], dict(top).get(pieces[at], -5.0), top)
    return GeneratedText("".join(pieces) if says is None else says, tokens=tuple(tokens))


def read(given: GeneratedText, *words: str) -> list[float]:
    pattern = re.compile(rf"\b({'|'.join(sorted(words, key=len, reverse=True))})\b", re.IGNORECASE)
    return [pytest.approx(p) for p in read_words(given, pattern, words).probabilities]


def test_words_are_renormalised_at_their_token() -> None:
    said = text("So ", "Yes", at=1, Yes=0.6, No=0.2, x=0.1)
    assert read(said, "Yes", "No") == [0.75, 0.25]
    # In the case of what is said, and with the characters around it.
    lower = text("so", " yes.", at=1, **{" yes.": 0.6, " no.": 0.2, " No": 0.1})
    assert read(lower, "Yes", "No") == [0.75, 0.25]
    assert read(text(" (", "no", at=1, no=0.5, yes=0.25, Yes=0.2), "Yes", "No") == [1 / 3, 2 / 3]


def test_a_piece_stands_for_its_word_if_it_has_two_letters() -> None:
    parts = text("in", "correct", **{"in": 0.3, "correct": 0.6, "x": 0.01})
    assert read(parts, "correct", "incorrect") == [2 / 3, 1 / 3]
    parts = text("correct", **{"in": 0.3, "correct": 0.6, "x": 0.01})
    assert read(parts, "correct", "incorrect") == [2 / 3, 1 / 3]
    # One letter begins anything: the word counts as the least that is told.
    letter = text("Yes", Yes=0.5, N=0.3, x=0.01)
    assert read(letter, "Yes", "No") == [0.5 / 0.51, 0.01 / 0.51]


def test_a_token_that_begins_several_words_tells_none_of_them() -> None:
    for given in (
        text("1", "0", **{"1": 0.5, "2": 0.1}),  # what is said
        text("1", **{"1": 0.5, "2": 0.1}),  # another word may be meant
    ):
        with pytest.raises(VerdictError, match="'1' may begin several of 1, 10"):
            read(given, "1", "10")
    said = text("In", "correct", In=0.5, Yes=0.1)
    with pytest.raises(VerdictError, match="'In' may begin several"):
        read(said, "Yes", "In progress", "Incorrect")
    # A third of the probability would be that of the least token.
    unsaid = text("Yes", Yes=0.6, In=0.3, x=0.01)
    with pytest.raises(VerdictError, match="'In' may begin several"):
        read(unsaid, "Yes", "In progress", "Incorrect")


def test_tokens_must_spell_the_verdict() -> None:
    with pytest.raises(VerdictError, match="the server's tokens do not spell the verdict 'Yes'"):
        read(text("No", says="So Yes", No=0.6, Yes=0.2), "Yes", "No")
    with pytest.raises(VerdictError, match="do not spell"):
        read(text("Hm", says="So Yes"), "Yes", "No")
    # A server that drops the blank in front of a text still spells it.
    assert read(text(" Yes", says="Yes", **{" Yes": 0.6, " No": 0.2}), "Yes", "No") == [0.75, 0.25]


@pytest.mark.parametrize("bad", [math.nan, -math.inf])
@pytest.mark.parametrize("places", [(0, 1), (0,), (1,)])
def test_log_probabilities_that_are_none(bad: float, places: tuple[int, ...]) -> None:
    told = [bad if place in places else -0.5 for place in (0, 1)]
    token = Token("Yes", told[0], (("Yes", told[0]), ("No", told[1]), ("x", -9.0)))
    given = GeneratedText("Yes", tokens=(token,))
    if math.isnan(bad) or len(places) == 2:
        with pytest.raises(VerdictError, match="finite log-probabilities"):
            read(given, "Yes", "No")
        with pytest.raises(VerdictError, match="finite log-probabilities"):
            read_next(given, ("Yes", "No"))
    else:
        assert read(given, "Yes", "No") == [float(place not in places) for place in (0, 1)]


def test_the_next_token_alone_says_a_word_or_none() -> None:
    assert say_next(GeneratedText(" No"), ("Yes", "No")) == (0.0, 1.0)
    with pytest.raises(VerdictError, match="'1' may begin several of 1, 10"):
        say_next(GeneratedText("1"), ("1", "10"))
    for said in ("Maybe", "", "Y"):
        with pytest.raises(VerdictError, match="one of 'Yes', 'No'"):
            say_next(GeneratedText(said), ("Yes", "No"))


def test_the_next_token_of_a_word_that_begins_another() -> None:
    given = text("1", **{"1": 0.5, "2": 0.1})
    with pytest.raises(VerdictError, match="'1' may begin several of 1, 10"):
        read_next(given, ("1", "10"))
    assert read_next(given, ("1", "2")) == (pytest.approx(5 / 6), pytest.approx(1 / 6))
    # Divided by T.
    assert read_next(given, ("1", "2"), temperature=2)[0] == pytest.approx(
        math.sqrt(5) / (1 + math.sqrt(5))
    )
    with pytest.raises(VerdictError, match="expected '1' and '3' among"):
        read_next(text("2", **{"2": 0.5, "4": 0.1}), ("1", "3"))
    with pytest.raises(VerdictError, match="'3' is not among the 2 likeliest tokens"):
        read_next(given, ("1", "3"), missing="error")
