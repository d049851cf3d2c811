"""Which answer wins among the candidates of a problem."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias, get_args, overload

import numpy as np
from numpy.typing import NDArray

from stepscore.arrays import Call, length
from stepscore.arrays.types import ForeignArray, HostArray, Tensor, TensorLike
from stepscore.ops.vote_rule import RULES as RULES
from stepscore.ops.vote_rule import Rule as Rule
from stepscore.ops.vote_rule import RuleName as RuleName
from stepscore.ops.vote_rule import check_rule_name, whole_number

Ties: TypeAlias = Literal["first", "best_score"]
NanPolicy: TypeAlias = Literal["error", "drop"]
UnfitPolicy: TypeAlias = Literal["error", "nan"]

if TYPE_CHECKING:
    # A type checker's alone: before Python 3.11 a NamedTuple cannot be generic.
    from typing import Generic

    from typing_extensions import TypeVar

    Ints = TypeVar("Ints", default=NDArray[np.int64])
    Reals = TypeVar("Reals", default=NDArray[np.float64])
    Bools = TypeVar("Bools", default=NDArray[np.bool_])

    class VoteResult(NamedTuple, Generic[Ints, Reals, Bools]):
        """The winner of every problem."""

        winner: Ints
        answer_id: Ints
        score: Reals
        tied: Bools
        margin: Reals
        class_scores: Any

else:

    class VoteResult(NamedTuple):
        """The winner of every problem.

        Every field is ``[problems]``, with an axis each behind it for a list of rules, for scores
        with columns and for prefixes, in this order: ``[problems, rules, columns, prefixes]``. A
        rule that reads no single column has the same result in each.

        Attributes:
            winner: index of the winning candidate into the flat arrays, int64; -1 = none.
            answer_id: its answer id, int64; -1 = none.
            score: what the winning answer reached under the rule, float64; NaN = none.
            tied: whether another answer reached the same score.
            margin: score less that of the best other answer, float64; infinite where there is no
                other answer, NaN without a winner.
            class_scores: what the answer of each candidate reached, float64 ``[n]`` with the same
                axes behind it; NaN where it takes no part. None unless asked for.
        """

        winner: Any
        answer_id: Any
        score: Any
        tied: Any
        margin: Any
        class_scores: Any


class _HasTotals(Protocol):
    """Has one score per candidate, as `stepscore.StepScores` do."""

    def totals(self) -> NDArray[np.float64]:
        """Give them, ``[n]``."""


@overload
def vote(
    answer_ids: HostArray | None,
    scores: HostArray | _HasTotals | None,
    offsets: HostArray,
    rule: RuleName | Rule | Sequence[RuleName | Rule],
    *,
    ties: Ties = ...,
    nan: NanPolicy = ...,
    unfit: UnfitPolicy | None = ...,
    prefixes: Sequence[int] | None = ...,
    class_scores: bool = ...,
    stream: Any = ...,
) -> VoteResult: ...
@overload
def vote(
    answer_ids: TensorLike[Tensor],
    scores: Any,
    offsets: Any,
    rule: RuleName | Rule | Sequence[RuleName | Rule],
    *,
    ties: Ties = ...,
    nan: NanPolicy = ...,
    unfit: UnfitPolicy | None = ...,
    prefixes: Sequence[int] | None = ...,
    class_scores: bool = ...,
    stream: Any = ...,
) -> VoteResult[Tensor, Tensor, Tensor]: ...
@overload
def vote(
    answer_ids: HostArray | None,
    scores: TensorLike[Tensor],
    offsets: Any,
    rule: RuleName | Rule | Sequence[RuleName | Rule],
    *,
    ties: Ties = ...,
    nan: NanPolicy = ...,
    unfit: UnfitPolicy | None = ...,
    prefixes: Sequence[int] | None = ...,
    class_scores: bool = ...,
    stream: Any = ...,
) -> VoteResult[Tensor, Tensor, Tensor]: ...
@overload
def vote(
    answer_ids: ForeignArray,
    scores: Any,
    offsets: Any,
    rule: RuleName | Rule | Sequence[RuleName | Rule],
    *,
    ties: Ties = ...,
    nan: NanPolicy = ...,
    unfit: UnfitPolicy | None = ...,
    prefixes: Sequence[int] | None = ...,
    class_scores: bool = ...,
    stream: Any = ...,
) -> VoteResult[Any, Any, Any]: ...
@overload
def vote(
    answer_ids: None,
    scores: ForeignArray,
    offsets: Any,
    rule: RuleName | Rule | Sequence[RuleName | Rule],
    *,
    ties: Ties = ...,
    nan: NanPolicy = ...,
    unfit: UnfitPolicy | None = ...,
    prefixes: Sequence[int] | None = ...,
    class_scores: bool = ...,
    stream: Any = ...,
) -> VoteResult[Any, Any, Any]: ...
def vote(
    answer_ids: Any,
    scores: Any,
    offsets: Any,
    rule: RuleName | Rule | Sequence[RuleName | Rule],
    *,
    ties: Ties = "first",
    nan: NanPolicy = "error",
    unfit: UnfitPolicy | None = None,
    prefixes: Sequence[int] | None = None,
    class_scores: bool = False,
    stream: Any = None,
    **parameters: Any,
) -> VoteResult[Any, Any, Any]:
    r"""Let the candidates of every problem vote for their answers.

    The answer with the largest score :math:`s_a` wins. With :math:`C_a` the candidates whose answer
    is :math:`a` and :math:`v_i` the scores it is :math:`|C_a|` under ``majority`` and
    :math:`\sum_{C_a} v_i` under ``weighted``; `Rule` has the formula, the parameters and the source
    of every rule. All sums are taken in float64, in candidate order.

    >>> answers, scores = [0, 0, 1], [0.2, 0.3, 0.9]  # one problem, three candidates
    >>> vote(answers, scores, [0, 3], ["majority", "weighted"]).answer_id.tolist()
    [[0, 1]]
    >>> rules = [Rule("softmax_weighted", temperature=t) for t in (0.1, 10)]
    >>> vote(answers, scores, [0, 3], rules).answer_id.tolist()
    [[1, 0]]

    Args:
        answer_ids: int64 ``[n]``, equal ids within a problem are equal answers; -1 = no answer: the
            candidate takes no part. None: every candidate is an answer of its own.
        scores: ``[n]`` or ``[n, columns]``, float32 or float64; or `stepscore.StepScores`, of
            which the totals by the aggregation of their recipe are read. None is allowed when only
            ``majority`` is asked.
        offsets: where the candidates of each problem begin and end, int64 ``[problems + 1]``.
        rule: a name, a `Rule`, or a list of them for several rules in one pass. A name will do
            for a rule that needs no parameters. `RULES` has what is known of each.
        ties: which of the tied answers wins: ``"first"``, the one seen first, or ``"best_score"``,
            the one that holds the highest single score (then the first; a NaN counts as the
            lowest), which needs one score per candidate. ``best_of_n``, ``crew``, and
            ``hybrid_majority_reward`` where it decides by ``"max"``, take a maximum over
            candidates: under either, the first candidate with the highest score wins, as argmax
            has it, whether or not another one gave its answer before.
        nan: ``"error"`` raises on any NaN score, also of candidates without an answer and where
            only majority is asked; ``"drop"`` lets a candidate take no part where a score that the
            rule reads is NaN: in its column, or in one of those that it reads together.
            Majority reads no score, and counts every candidate.
        unfit: what happens where a candidate that takes part has a score that a rule cannot use,
            see below: ``"error"`` raises; ``"nan"`` leaves the rule without a winner in that
            problem and column, for all prefixes. None: ``"error"`` for scores ``[n]``, ``"nan"``
            for ``[n, columns]``.
        prefixes: ascending sizes, as ``[1, 2, 4, 8]``: vote over the first so many candidates of
            every problem (all of them where it has fewer), each as if there were no others.
        class_scores: whether to give what every answer reached.
        stream: for CUDA arrays, the stream to enqueue on; see `value_head`. There a candidate that
            would raise takes no part, and raises under ``STEPSCORE_CUDA_CHECK=1``.
        **parameters: of rules that are given by name; deprecated, until 0.3. Pass a `Rule`.

    Returns:
        `VoteResult`. The winner is the first candidate that gave the answer; under
        ``minmax_weighted``, and under the rules that take a maximum over candidates, the first
        that gave it with its highest score.

    Raises:
        ValueError: lengths, offsets or columns that do not fit; an unknown rule, or a parameter
            that is missing or out of range; an id below -1; a NaN score; under ``unfit="error"`` a
            score that the rule cannot use: those that it can are the `scores` of a `Rule`, and of
            its row in `RULES`.
        TypeError: arrays or parameters of the wrong type.
    """
    call = Call("vote", stream)
    if answer_ids is not None:
        answer_ids = call.integers("answer_ids", answer_ids)
    if callable(getattr(scores, "totals", None)):
        scores = scores.totals()
    if scores is not None:
        scores = call.contiguous("scores", call.array("scores", scores), "float64")
    offsets = call.integers("offsets", offsets)
    call.prefer_tensors(answer_ids, scores, offsets)
    rules = _rules(call, rule, parameters)
    sizes = prefixes
    if prefixes is not None:
        sizes = [_size(call, size) for size in _list(call, "prefixes", prefixes)]
    has_columns = scores is not None and len(scores.shape) == 2
    if unfit is None:
        unfit = "nan" if has_columns else "error"
    shape = (
        max(length(offsets) - 1, 0),
        *(() if isinstance(rule, (str, Rule)) else (len(rules),)),
        *((scores.shape[1],) if has_columns else ()),
        *(() if sizes is None else (len(sizes),)),
    )
    candidates = next((length(a) for a in (answer_ids, scores) if a is not None), 0)
    dtypes = ("int64", "int64", "float64", "bool", "float64")
    fields = [call.empty(shape, dtype) for dtype in dtypes]
    by_candidate = call.empty((candidates, *shape[1:]), "float64") if class_scores else None
    per_candidate = call.module.VOTE_WORKSPACE if call.on_cuda else 0
    workspace = call.empty((candidates, per_candidate), "float64") if call.on_cuda else None
    call.module.vote(
        call.optional_view("answer_ids", answer_ids),
        call.optional_view("scores", scores),
        call.view("offsets", offsets),
        [(each.name, each.parameters) for each in rules],
        call.choice("ties", ties, get_args(Ties)),
        call.choice("nan", nan, get_args(NanPolicy)) == "drop",
        call.choice("unfit", unfit, get_args(UnfitPolicy)),
        sizes,
        *(call.view(name, field) for name, field in zip(VoteResult._fields, fields, strict=False)),
        call.optional_view("class_scores", by_candidate),
        call.optional_view("workspace", workspace),
        call.queue,
    )
    winner, answer_id, score, tied, margin = fields
    return VoteResult(winner, answer_id, score, tied, margin, by_candidate)


def _rules(call: Call, rule: Any, loose: Mapping[str, Any]) -> list[Rule]:
    """Every rule with its parameters; `loose` are parameters beside their rules."""
    rules = [rule] if isinstance(rule, (str, Rule)) else rule
    if not isinstance(rules, (list, tuple)) or not all(isinstance(r, (str, Rule)) for r in rules):
        raise TypeError(f"{call.op}: rule must be a name, a Rule, or a list of them; got {rule!r}")
    for number, name in enumerate(rules):
        if isinstance(name, str):
            check_rule_name(call.op, name, () if rules[0] is rule else (number,))
    loose = {name: value for name, value in loose.items() if value is not None}
    if loose:
        return _with_loose(call, rules, loose)
    return [_named(each) if isinstance(each, str) else each for each in rules]


@lru_cache
def _named(name: RuleName) -> Rule:
    return Rule(name)


def _with_loose(
    call: Call, asked: Sequence[RuleName | Rule], loose: Mapping[str, Any]
) -> list[Rule]:
    """Every name with those of the parameters that it takes."""
    takers = {name: [r for r, info in RULES.items() if name in info.parameters] for name in loose}
    for name, rules in takers.items():
        if not rules:
            raise TypeError(f"{call.op}() got an unexpected keyword argument {name!r}")
        if not any(rule in asked for rule in rules):
            raise ValueError(
                f"{call.op}: {name} belongs to {' and '.join(rules)}, which is not asked for; "
                "leave it out"
            )
    made = [
        Rule(each, **{name: value for name, value in loose.items() if each in takers[name]})
        if isinstance(each, str)
        else each
        for each in asked
    ]
    shown = next(rule for rule in made if any(rule.name in rules for rules in takers.values()))
    warnings.warn(
        f"{call.op}: parameters beside the rule go in stepscore 0.3; pass {shown!r}",
        DeprecationWarning,
        stacklevel=4,
    )
    return made


def _list(call: Call, argument: str, value: Any) -> list[Any]:
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise TypeError(f"{call.op}: {argument} must be a list of numbers; got {value!r}")
    return list(value)


def _size(call: Call, value: Any) -> int:
    try:
        return whole_number(call.number("prefixes", value))
    except ValueError:
        raise TypeError(f"{call.op}: prefixes must be a whole number; got {value!r}") from None
