r"""Final answers, their canonical keys, and classes of equal answers.

**What a solution states** (`extract_answers`). First goes what is no part of it: everything up to
the last ``</think>`` (``</reasoning>``, ``<|end_of_thought|>``, ``[/THINK]``, ...), and from a
``<think>`` on that is not closed; at the end of the text ends of turns (``<|im_end|>``, ``</s>``),
the tag of Math-Shepherd, emoji and ticks. Then the first of these that it has:

===  ==========================================  ==================================================
1    ``<answer>...</answer>``                    what rows 2 to 4 find in the last one that is not
                                                 empty, or all of it
2    ``\boxed{...}``, ``\fbox{...}``,            the box that opens last, of those that are closed,
     ``\boxed 5``                                say something and stand outside of code; boxes of
                                                 one sentence or list are one answer, ``2, 3``,
                                                 unless ``=``, "then", "which", ... is between
                                                 them; a percent sign or degree behind a box counts
3    ``#### ...``                                behind the last one that is no heading (words, with
                                                 text below), to the end of the line
4    a statement: ``... answer is ...``; with a  in the last line that has one, outside of code, to
     colon ``Answer``, ``Ans``, ``答案``, ...    the end of the sentence or its main clause; where
     words of other languages, at the begin of   this line ends, below: display math, a block of
     a line ``A``; a line or heading that is     code of one line, a quote, a list (its items are
     just ``Final Answer``; ``correct option     one answer, ``2, 3``), any line
     is C``, ``故选 C``, ``12 is the answer``
5    ``result is ...``; ``total``, ``value``,    as in row 4, if it is the last thing said
     ``sum``, ``solution`` alike
6    ``=`` in the last line                      behind the last one, if the line is complete and
                                                 states one value, perhaps with a unit; a chain
                                                 ``x = 5 + 6 = 11`` does
7    a last sentence that concludes              its one value, behind "is" or its like, or behind
                                                 "so", "therefore", "we find", ``因此``, ...; not
                                                 what is only assumed, denied or still to be done
8    nothing of these                            behind ``</think>`` up to four words; the whole
                                                 text, if `answer_keys` understands it
===  ==========================================  ==================================================

A statement is none if it only judges or describes the answer (is correct, is verified, is found by
..., is not 5, is a whole number), asks for it (if the answer is), begins an explanation, or was cut
off within a formula or brackets; the one before it counts. A last sentence without a period
concludes nothing where others have one, but for a choice or an equation. ``correct`` alone counts
where there is no other. In front of a value "therefore", "approximately", "equal to" and their like
go; so do ``**``, backticks, quotes, ``$`` and a final period around it, and environments that only
lay out. Where a text says nothing that can be told to be its answer, there is none.

**What an answer means** (`answer_keys`). LaTeX, Unicode and plain spellings are one (``\frac12``,
``½``, ``1/2``), and so are equal values:

==================  ================================  ==============================================
answer              key                               rule
==================  ================================  ==============================================
whole number        ``1234``                          of any length; 007 is text
decimal             ``1/2``                           exact, 0.50 = 1/2; ``0.\overline{3}`` = 1/3
power of ten        ``1/100000``                      1e-5, 1E-05, ``2.5 \times 10^{3}``, 10^22
thousands           ``1234``                          1,234 = ``1{,}234`` = 1 234; (1,234) is a pair
fraction, mixed     ``3/2``                           ``1\frac12``, 1 1/2; ``2\frac{5}{3}`` is text
percentage          ``1/2``                           50% = 50 pct = 0.5; 5 + 5% is text; of 50% and
                                                      50 see `group_answers`
root, power, pi     ``1/2*sqrt(3)``, ``3/2*pi``       also sums, products, quotients of these
unit, currency      ``12 [hour]``, ``5 [dollar]``     a closed list of words, 5cm = 5 cm; Chinese
                                                      signs, 250千克; see `group_answers`
pair, interval      ``(1,2)``, ``[1,inf)``            order and brackets are kept; [1,inf] = [1,inf)
set, values         ``{1,2}``                         no order, no repetition; also values without
                                                      brackets: 1, 2; 2 and 1; x = 1 or x = 2
union               ``(-inf,1) U (2,inf)``            in order, joined where pieces overlap or touch
inequality          ``(3,inf)``, ``(0,2]``            x > 3, 3 < x, 0 < x <= 2; x in [0,1]
matrix              ``matrix[1,2;3,4]``               pmatrix, bmatrix, matrix, array in brackets
choice              ``choice:B``, ``choice:B [12]``   B, (B), B), ``\text{(B)}``, Option B; with its
                                                      text, (B) 12; see `group_answers`
equation            that of its value                 x = 5 is 5; 3 + 4 = 7 is 7; x = 1/3 ≈ 0.33 is
                                                      1/3; names say nothing: y = 5 is x = 5, and so
                                                      are f(x) = 5, P(A) = 5, AB = 5, ``|AB| = 5``
no answer           None                              empty, None, null, nan, N/A, [invalid]
anything else       ``text:...``                      the spelling without superfluous space, ``$``,
                                                      ``\left``; Yes = yes, ``x^{2}`` = x^2
==================  ================================  ==============================================

White space counts between digits and between words: 2 n is 2n, but 1 2 is not 12. What could mean
two things is text: ``1/2\pi``, ``2(3)``, ``5m``, ``{1+2}^2``, 3-5, 3:45, 0.333..., 1,2 (a point or
a list), 1, 1. Numerators and denominators have 64 bits; what needs more is text, whole numbers
aside, and so is a union whose ends are too near to tell which comes first.

Source: the forms of huggingface/search-and-learn, openai/grade-school-math, openai/prm800k,
openai/simple-evals, Qwen2.5-Math, lighteval, the Hendrycks normalisation of MATH answers and
math-verify. They drop units (5 cm = 5 m), and math-verify
rounds decimals (0.333333 = 1/3); the keys do none of this.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from stepscore import _core
from stepscore.arrays import Call, DeviceError, length
from stepscore.lists import as_list
from stepscore.ops.answer_key_verify import OpenClasses, Verify, ask_math_verify

_DECIDED = np.array(["none", "first", "key", "text", "unit", "verify"])  # as answer_key.h has them


class AnswerGroups(NamedTuple):
    """Classes of equal answers, and how each candidate came into its own.

    Attributes:
        ids: int64 ``[n]``, first seen = 0 within a problem, -1 = no answer.
        decided: ``[n]``: ``"none"``, no answer; ``"first"``, it opened the class; ``"key"``, its
            key is that of the first; ``"text"``, the same, but the answer was not understood;
            ``"unit"``, a number joined the same number with a unit or percent sign, or a choice
            that with a text; ``"verify"``, the verifier
            said so.
        undecided: answers, and pairs ``a = b``, on which the verifier ran into a time limit.
    """

    ids: NDArray[np.int64]
    decided: NDArray[np.str_]
    undecided: tuple[str, ...]


def extract_answers(texts: Iterable[str | None]) -> list[str | None]:
    r"""Find the final answer that each solution states.

    The rules stand in the table of `stepscore.ops.answer_key`.

    Args:
        texts: solutions; None has no answer.

    Returns:
        The answers as they stand there, without white space, a final period, ``$`` and emphasis at
        the ends, several values of one statement joined by commas; None where none is stated. Time
        is linear in the length of a text.

    Raises:
        TypeError: something else than str or None; the message names the first.

    Examples:
        >>> extract_answers([r"Thus \boxed{\frac{1}{2}}.", "The answer is 1,234. Done.", "Hm."])
        ['\\frac{1}{2}', '1,234', None]
        >>> extract_answers(["<think>9?</think>**Answer:**\n- 12", r"\boxed{2} or \boxed{3}"])
        ['12', '2, 3']
        >>> extract_answers(["The answer is 6. It is found by adding. The answer is correct."])
        ['6']
        >>> extract_answers(["so x = 5 + 6 = 11", "x = 1, y = 2", "so x = 5 +"])
        ['11', None, None]
    """
    return _core.extract_answers(_texts("extract_answers", texts))


def answer_keys(texts: Iterable[str | None], *, extract: bool = True) -> list[str | None]:
    r"""Give each answer its canonical key: answers with equal keys are equal.

    The rules stand in the table of `stepscore.ops.answer_key`. A key that begins with
    ``"text:"`` is unresolved: the answer was not understood, and equal keys are equal spellings.
    Any other key stands for an exact value.

    Args:
        texts: solutions, or answers; None has no answer.
        extract: whether they are solutions, whose answers have to be found first.

    Returns:
        A key per text; None where there is no answer.

    Raises:
        TypeError: something else than str or None; the message names the first.

    Examples:
        >>> answer_keys([r"So it is \boxed{\frac{3}{6}}.", "The answer is 50%.", "0.5", "Hm."])
        ['1/2', '1/2', '1/2', None]
        >>> answer_keys([r"\{2, 1\}", "x+1", r"2\sqrt{12}", "12 hours"], extract=False)
        ['{1,2}', 'text:x+1', '4*sqrt(3)', '12 [hour]']
    """
    return _core.answer_keys(_texts("answer_keys", texts), extract)


@overload
def group_answers(
    texts: Iterable[str | None],
    offsets: Any,
    *,
    places: Any = ...,
    extract: bool = ...,
    verify: Literal["auto", "math-verify", "none"] | Verify | None = ...,
    timeout: float = ...,
    budget: float = ...,
    workers: int | None = ...,
    cache: str | os.PathLike[str] | None = ...,
    explain: Literal[False] = ...,
) -> NDArray[np.int64]: ...
@overload
def group_answers(
    texts: Iterable[str | None],
    offsets: Any,
    *,
    places: Any = ...,
    extract: bool = ...,
    verify: Literal["auto", "math-verify", "none"] | Verify | None = ...,
    timeout: float = ...,
    budget: float = ...,
    workers: int | None = ...,
    cache: str | os.PathLike[str] | None = ...,
    explain: Literal[True],
) -> AnswerGroups: ...
def group_answers(
    texts: Iterable[str | None],
    offsets: Any,
    *,
    places: Any = None,
    extract: bool = True,
    verify: Literal["auto", "math-verify", "none"] | Verify | None = "auto",
    timeout: float = 5.0,
    budget: float = 60.0,
    workers: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    explain: bool = False,
) -> NDArray[np.int64] | AnswerGroups:
    r"""Group the candidates of every problem into classes of equal answers.

    First by key, see `answer_keys`. A number without a unit joins the same number with one, if the
    problem knows just one unit for it: 12 and 12 hours, but neither where there are 12 minutes as
    well. The percent sign counts as one: 50 joins 50%, unless some candidate writes 0.5, 5000% or
    50 with a unit; and so does the text of a choice: B joins (B) 12, but not where there is (B) 13.
    Then a verifier compares the classes that are left, each pair of them through the shortest
    of their answers, in both directions, of which one is enough. A group that this connects becomes
    one class if all its pairs agree; else its classes stay apart. So classes do not depend on the
    order of the candidates.

    Two answers that were understood are different without a question; but a decimal of 12 digits
    or more joins the value that it rounds, ``0.142857142857143`` and 1/7. math-verify is asked
    about the values that are stated, and nothing where it may err: not about an equation and a
    number, a base, a unit, a series, ``A`` and ``a``, or words; see `stepscore.verifier.question`.
    Of numbers below 1 it has to find the first six digits equal, of others six places.

    Args:
        texts: solutions, or answers, of all candidates ``[n]``, or with `places` any number; None
            has no answer.
        offsets: where the candidates of each problem begin and end, int64 ``[problems + 1]``.
        places: of candidates that share texts, the place in `texts` of each, int64 ``[n]``; -1 = no
            answer. Each text is then read once. None: `texts` has one for each candidate.
        extract: whether the texts are solutions, whose answers have to be found first.
        verify: ``"math-verify"``; ``"auto"``, the same where it is installed (``[math]``) and
            nothing where it is not; None or ``"none"`` for keys alone; or ``verify(a, b) -> bool``,
            called in this thread with two answers.
        timeout: seconds that math-verify may take to parse one answer, or to compare two. Then its
            process is killed, a RuntimeWarning names the answer, it is never asked again in this
            call, and the answer stays in a class of its own.
        budget: seconds that it may take for all answers of a problem. Pairs that are left then
            stay apart; a RuntimeWarning counts them, and `undecided` names them.
        workers: processes of math-verify at most, one problem each at a time; None: `num_threads`.
            A process parses an answer once, and lives on for later calls.
        cache: a file that keeps the verdicts of math-verify, made if there is none.
        explain: whether to tell how each candidate came into its class.

    Returns:
        int64 ``[n]``: the class of each candidate, first seen = 0 within a problem, -1 = no answer.
        With `explain` an `AnswerGroups`.

    Raises:
        ValueError: offsets or places that do not fit; an unknown `verify`; a `timeout`, `budget` or
            `workers` not above 0; a `cache` without math-verify, or that is no such file.
        TypeError: something else than str or None; the message names the first.
        ImportError: ``verify="math-verify"`` where it is not installed.

    Examples:
        >>> answers = ["1/2", "0.5", "12 hours", "12", r"\{2,1\}", None]
        >>> group_answers(answers, [0, 6], extract=False, verify=None).tolist()
        [0, 0, 1, 1, 2, -1]
        >>> group_answers(["1/2", "0.5"], [0, 3], places=[1, 0, 1], extract=False).tolist()
        [0, 0, 0]
        >>> group_answers(answers, [0, 6], extract=False, verify=None, explain=True).decided
        array(['first', 'key', 'first', 'unit', 'first', 'none'], dtype='<U6')
    """
    call = Call("group_answers")
    given = _texts("group_answers", texts)
    offsets = call.integers("offsets", offsets)
    places = None if places is None else call.integers("places", places)
    if call.on_cuda:
        raise DeviceError("group_answers: offsets is on a GPU; pass it on the CPU")
    verify = None if verify == "none" else verify
    _check_verifier(verify, timeout, budget, workers, cache)
    count = len(given) if places is None else length(places)
    ids, decided = np.empty(count, np.int64), np.empty(count, np.int64)
    _core.group_answers(
        given,
        call.optional_view("places", places),
        call.view("offsets", offsets),
        extract,
        _core.TensorView.of_numpy(ids),
        _core.TensorView.of_numpy(decided),
    )
    undecided: tuple[str, ...] = ()
    if verify is not None:
        said = (*given, None)  # at -1
        candidates = given if places is None else tuple(said[place] for place in places.tolist())
        apart = OpenClasses(candidates, np.asarray(offsets), extract, ids, decided)
        if callable(verify):
            equal = verify
            for problem in apart.problems:
                apart.merge(*problem, lambda a, b: bool(equal(a, b)) or bool(equal(b, a)))
        elif apart.problems and (verify == "math-verify" or _is_installed()):
            undecided = ask_math_verify(apart, workers, timeout, budget, cache)
    return AnswerGroups(ids, _DECIDED[decided], undecided) if explain else ids


def _texts(op: str, texts: Iterable[str | None]) -> tuple[str | None, ...]:
    return tuple(as_list(op, "texts", texts, "each item a text or None"))


def _check_verifier(
    verify: Any,
    timeout: float,
    budget: float,
    workers: int | None,
    cache: str | os.PathLike[str] | None,
) -> None:
    by_name = isinstance(verify, str) and verify in ("auto", "math-verify")
    if not (by_name or verify is None or callable(verify)):
        raise ValueError(
            "group_answers: verify must be 'auto', 'math-verify', 'none', None or a function "
            f"of two answers; got {verify!r}"
        )
    if cache is not None and not by_name:
        raise ValueError(
            "group_answers: cache keeps the verdicts of math-verify; drop it, or verify"
        )
    for name, seconds in (("timeout", timeout), ("budget", budget)):
        if not seconds > 0:
            raise ValueError(f"group_answers: {name} must be above 0 seconds; got {seconds}")
    if workers is not None and workers < 1:
        raise ValueError(f"group_answers: workers must be at least 1; got {workers}")
    if verify == "math-verify" and not _is_installed():
        raise ImportError(
            "group_answers: verify='math-verify' needs it; install it with: pip install "
            "'stepscore[math]'"
        )


def _is_installed() -> bool:
    from stepscore import verifier

    return verifier.installed()
