r"""Final answers, their canonical keys, and classes of equal answers.

**What a solution states**, the first of these that it has (`extract_answers`):

===  ==========================================  ==================================================
1    ``\boxed{...}``, ``\fbox{...}``             the box that opens last, of those that are closed
2    ``#### ...``, if that is none of row 3      behind the last one, to the end of the line
3    ``... answer is ...``; at the begin of a    in the last line that has one, to the end of the
     line ``Answer:``, ``Final answer:``,        sentence; the next line where this one ends
     ``A:``; the heading ``# Answer``
4    ``=`` in the last line                      behind the last one
5    nothing of these                            the whole text, if `answer_keys` understands it
===  ==========================================  ==================================================

**What an answer means** (`answer_keys`). LaTeX, Unicode and plain spellings are one (``\frac12``,
``½``, ``1/2``), and so are equal values:

==================  ================================  ==============================================
answer              key                               rule
==================  ================================  ==============================================
whole number        ``1234``                          of any length; 007 is text
decimal             ``1/2``                           exact, 0.50 = 1/2; ``0.\overline{3}`` = 1/3
thousands           ``1234``                          1,234 and ``1{,}234``; but (1,234) is a pair
fraction, mixed     ``3/2``                           ``1\frac12``, 1 1/2; ``2\frac{5}{3}`` is text
percentage          ``1/2``                           50% = 0.5, and not 50; 5 + 5% is text
root, power, pi     ``1/2*sqrt(3)``, ``3/2*pi``       also sums, products, quotients of these
unit, currency      ``12 [hour]``, ``5 [dollar]``     a closed list of words; see `group_answers`
pair, interval      ``(1,2)``, ``[1,inf)``            order and brackets are kept; [1,inf] = [1,inf)
set                 ``{1,2}``                         no order, no repetition
union               ``(-inf,1) U (2,inf)``            in order, joined where pieces overlap or touch
matrix              ``matrix[1,2;3,4]``               pmatrix, bmatrix, matrix, array in brackets
choice              ``choice:B``                      B, (B), B), ``\text{(B)}``, Option B
equation            that of its value                 x = 5 is 5; 3 + 4 = 7 is 7; x in [0,1];
                                                      names say nothing: y = 5 is x = 5
anything else       ``text:...``                      the spelling without superfluous space, ``$``,
                                                      ``\left``; Yes = yes, ``x^{2}`` = x^2
==================  ================================  ==============================================

What could mean two things is text: ``1/2\pi``, ``2(3)``, ``5m``, ``{1+2}^2``, 3-5, 3:45, 0.333...,
1,2 without brackets, (A) 5. Numerators and denominators have 64 bits; what needs more is text,
whole numbers aside, and so is a union whose ends are too near to tell which comes first.

Source: the forms of huggingface/search-and-learn, openai/grade-school-math, openai/prm800k, the
Hendrycks normalisation of MATH answers and math-verify. They drop units (5 cm = 5 m), and
math-verify rounds decimals (0.333333 = 1/3) and takes 50% for 50 as well; the keys do none of this.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from stepscore import _core
from stepscore.arrays import Call, DeviceError, num_threads
from stepscore.lists import as_list

_DECIDED = np.array(["none", "first", "key", "text", "unit", "verify"])  # as answer_key.h has them
_FIRST, _VERIFIED = 1, 5

Verify = Callable[[str, str], bool]


class AnswerGroups(NamedTuple):
    """Classes of equal answers, and how each candidate came into its own.

    Attributes:
        ids: int64 ``[n]``, first seen = 0 within a problem, -1 = no answer.
        decided: ``[n]``: ``"none"``, no answer; ``"first"``, it opened the class; ``"key"``, its
            key is that of the first; ``"text"``, the same, but the answer was not understood;
            ``"unit"``, a number joined the same number with a unit; ``"verify"``, the verifier
            said so.
        undecided: answers, and pairs ``a = b``, on which the verifier ran into its time limit.
    """

    ids: NDArray[np.int64]
    decided: NDArray[np.str_]
    undecided: tuple[str, ...]


def extract_answers(texts: Iterable[str | None]) -> list[str | None]:
    r"""Find the final answer that each solution states.

    The rules stand in the table above: ``stepscore.ops.answer_key``.

    Args:
        texts: solutions; None has no answer.

    Returns:
        The answers as they stand there, without white space, a final period, ``$`` and emphasis at
        the ends; None where none is stated.

    Raises:
        TypeError: something else than str or None; the message names the first.

    Examples:
        >>> extract_answers([r"Thus \boxed{\frac{1}{2}}.", "The answer is 1,234. Done.", "Hm."])
        ['\\frac{1}{2}', '1,234', None]
    """
    return _core.extract_answers(_texts("extract_answers", texts))


def answer_keys(texts: Iterable[str | None], *, extract: bool = True) -> list[str | None]:
    r"""Give each answer its canonical key: answers with equal keys are equal.

    The rules stand in the table above: ``stepscore.ops.answer_key``. A key that begins with
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
    extract: bool = ...,
    verify: Literal["auto", "math-verify"] | Verify | None = ...,
    timeout: float = ...,
    workers: int | None = ...,
    cache: str | os.PathLike[str] | None = ...,
    explain: Literal[False] = ...,
) -> NDArray[np.int64]: ...
@overload
def group_answers(
    texts: Iterable[str | None],
    offsets: Any,
    *,
    extract: bool = ...,
    verify: Literal["auto", "math-verify"] | Verify | None = ...,
    timeout: float = ...,
    workers: int | None = ...,
    cache: str | os.PathLike[str] | None = ...,
    explain: Literal[True],
) -> AnswerGroups: ...
def group_answers(
    texts: Iterable[str | None],
    offsets: Any,
    *,
    extract: bool = True,
    verify: Literal["auto", "math-verify"] | Verify | None = "auto",
    timeout: float = 5.0,
    workers: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    explain: bool = False,
) -> NDArray[np.int64] | AnswerGroups:
    r"""Group the candidates of every problem into classes of equal answers.

    First by key, see `answer_keys`. A number without a unit joins the same number with one, if the
    problem knows just one unit for it: 12 and 12 hours, but neither where there are 12 minutes as
    well. Then a verifier compares the classes that are left, through their first answers, but never
    two that were understood: those count as different. It is asked in both directions, and one is
    enough.

    Args:
        texts: solutions, or answers, of all candidates ``[n]``; None has no answer.
        offsets: where the candidates of each problem begin and end, int64 ``[problems + 1]``.
        extract: whether the texts are solutions, whose answers have to be found first.
        verify: ``"math-verify"``; ``"auto"``, the same where it is installed (``[math]``) and
            nothing where it is not; None for keys alone; or ``verify(a, b) -> bool``, called in
            this thread with two answers.
        timeout: seconds that math-verify may take to parse one answer, or to compare two. Then its
            process is killed, a RuntimeWarning names the answer, it is never asked again in this
            call, and the answer stays in a class of its own.
        workers: processes of math-verify at most, one problem each at a time; None: `num_threads`.
            A process parses an answer once, and lives on for later calls.
        cache: a file that keeps the verdicts of math-verify, made if there is none.
        explain: whether to tell how each candidate came into its class.

    Returns:
        int64 ``[n]``: the class of each candidate, first seen = 0 within a problem, -1 = no answer.
        With `explain` an `AnswerGroups`.

    Raises:
        ValueError: offsets that do not fit; an unknown `verify`; a `timeout` or `workers` not above
            0; a `cache` without math-verify, or that is no such file.
        TypeError: something else than str or None; the message names the first.
        ImportError: ``verify="math-verify"`` where it is not installed.

    Examples:
        >>> answers = ["1/2", "0.5", "12 hours", "12", r"\{2,1\}", None]
        >>> group_answers(answers, [0, 6], extract=False, verify=None).tolist()
        [0, 0, 1, 1, 2, -1]
        >>> group_answers(answers, [0, 6], extract=False, verify=None, explain=True).decided
        array(['first', 'key', 'first', 'unit', 'first', 'none'], dtype='<U6')
    """
    call = Call("group_answers")
    candidates = _texts("group_answers", texts)
    offsets = call.integers("offsets", offsets)
    if call.on_cuda:
        raise DeviceError("group_answers: offsets is on a GPU; pass it on the CPU")
    _check_verifier(verify, timeout, workers, cache)
    ids, decided = np.empty(len(candidates), np.int64), np.empty(len(candidates), np.int64)
    views = (_core.TensorView.of_numpy(ids), _core.TensorView.of_numpy(decided))
    _core.group_answers(candidates, call.view("offsets", offsets), extract, *views)
    undecided: tuple[str, ...] = ()
    if verify is not None:
        unresolved = _Unresolved(candidates, np.asarray(offsets), extract, ids, decided)
        if callable(verify):
            equal = verify
            for problem in unresolved.problems:
                unresolved.merge(*problem, lambda a, b: bool(equal(a, b)) or bool(equal(b, a)))
        elif unresolved.problems and (verify == "math-verify" or _is_installed()):
            undecided = _ask_math_verify(unresolved, workers, timeout, cache)
    return AnswerGroups(ids, _DECIDED[decided], undecided) if explain else ids


def _texts(op: str, texts: Iterable[str | None]) -> tuple[str | None, ...]:
    return tuple(as_list(op, "texts", texts, "each item a text or None"))


def _check_verifier(
    verify: Any, timeout: float, workers: int | None, cache: str | os.PathLike[str] | None
) -> None:
    by_name = isinstance(verify, str) and verify in ("auto", "math-verify")
    if not (by_name or verify is None or callable(verify)):
        raise ValueError(
            "group_answers: verify must be 'auto', 'math-verify', None or a function of two "
            f"answers; got {verify!r}"
        )
    if cache is not None and not by_name:
        raise ValueError(
            "group_answers: cache keeps the verdicts of math-verify; drop it, or verify"
        )
    if not timeout > 0:
        raise ValueError(f"group_answers: timeout must be above 0 seconds; got {timeout}")
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


class _Unresolved:
    """The problems in which a verifier may find what the keys have not."""

    def __init__(
        self,
        texts: tuple[str | None, ...],
        offsets: NDArray[np.int64],
        extract: bool,
        ids: NDArray[np.int64],
        decided: NDArray[np.int64],
    ) -> None:
        self._offsets, self._ids, self._decided = offsets, ids, decided
        self._firsts = np.flatnonzero(decided == _FIRST)
        first_texts = tuple(texts[i] for i in self._firsts)
        keys = _core.answer_keys(first_texts, extract)
        self._resolved = [key is not None and not key.startswith("text:") for key in keys]
        self._answers = _core.extract_answers(first_texts) if extract else list(first_texts)
        # Where in _firsts each problem begins and ends.
        ends = np.searchsorted(self._firsts, offsets)
        self.problems = [
            (problem, range(begin, end))
            for problem, (begin, end) in enumerate(pairwise(ends.tolist()))
            if end - begin > 1 and not all(self._resolved[begin:end])
        ]

    def merge(self, problem: int, classes: range, same: Verify) -> None:
        """Compare the classes of a problem, and number what is left anew."""
        speakers: list[int] = []  # of each new class: an answer that was understood, or the first
        renumbered = np.empty(len(classes), np.int64)
        merged = np.zeros(len(classes), np.bool_)
        for number, this in enumerate(classes):
            into = next(
                (
                    group
                    for group, other in enumerate(speakers)
                    if not (self._resolved[this] and self._resolved[other])
                    and same(self._answers[other] or "", self._answers[this] or "")
                ),
                None,
            )
            renumbered[number] = len(speakers) if into is None else into
            if into is None:
                speakers.append(this)
                continue
            merged[number] = True
            if self._resolved[this]:
                speakers[into] = this
        here = slice(self._offsets[problem], self._offsets[problem + 1])
        ids, decided = self._ids[here], self._decided[here]
        answered = ids >= 0
        decided[answered & merged[ids]] = _VERIFIED
        ids[answered] = renumbered[ids[answered]]


def _ask_math_verify(
    problems: _Unresolved,
    workers: int | None,
    timeout: float,
    cache: str | os.PathLike[str] | None,
) -> tuple[str, ...]:
    # Costs as much as the rest of `import stepscore`.
    from concurrent.futures import ThreadPoolExecutor

    from stepscore.verifier import MathVerify

    verifier = MathVerify(timeout, cache)

    def merge(problem: tuple[int, range]) -> None:
        with verifier.comparison() as same:
            problems.merge(*problem, same)

    try:
        at_once = min(workers or num_threads(), len(problems.problems))
        if at_once > 1:
            with ThreadPoolExecutor(at_once) as threads:
                list(threads.map(merge, problems.problems))
        else:
            list(map(merge, problems.problems))
    finally:
        verifier.close()
    hung = tuple(verifier.hung)
    if hung:
        warnings.warn(
            f"group_answers: math-verify gave no verdict within {timeout:g} s on {len(hung)} "
            f"answer(s), which stay apart: {', '.join(map(repr, hung[:3]))}",
            RuntimeWarning,
            stacklevel=3,
        )
    return hung
