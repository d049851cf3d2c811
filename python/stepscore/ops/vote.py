"""Which answer wins among the candidates of a problem."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from stepscore import _core
from stepscore.arrays import Call, length
from stepscore.errors import InputError, InputTypeError

_MOST = 2**53  # up to here float64 holds every whole number
_WORKSPACE = 5  # numbers per candidate that the kernel keeps of problems beyond its shared memory

RuleName = Literal[
    "majority",
    "weighted",
    "weighted_mean",
    "best_of_n",
    "minmax_weighted",
    "softmax_weighted",
    "logodds_weighted",
    "loglik_weighted",
    "confidence_weighted",
    "borda",
    "hybrid_majority_reward",
    "weighted_reward_frequency",
    "pareto",
    "multi_objective",
]


# --- the table of rules ---------------------------------------------------------------------


@dataclass(frozen=True)
class ScoreNeeds:
    """The scores that a rule can use.

    Attributes:
        kind: what they must be.
        low: the lowest of them.
        high: the highest of them.
        words: the same in words, as "scores in [0, 1]".
    """

    kind: Literal["any", "finite", "not_negative", "probability", "log_probability"]
    low: float
    high: float
    words: str


@dataclass(frozen=True)
class ParameterInfo:
    """A parameter of a rule.

    Attributes:
        name: as `Rule` takes it.
        kind: a number, a whole number, one of `choices`, or a list of numbers or of whole numbers.
        required: whether it must be given.
        default: what it is otherwise; None for ``columns``, which then are all of them.
        example: a value of it.
        choices: the words that it may be; empty unless that is its kind.
        low: the lowest value.
        high: the highest value.
        low_open: whether `low` itself is too low.
        high_open: whether `high` itself is too high.
        takes: all that in words, as "a number in [0, 1]".
    """

    name: str
    kind: Literal["real", "count", "choice", "reals", "counts"]
    required: bool
    default: Any
    example: Any
    choices: tuple[str, ...]
    low: float
    high: float
    low_open: bool
    high_open: bool
    takes: str

    def allows(self, number: float) -> bool:
        """Whether a number lies in the range."""
        above = number > self.low if self.low_open else number >= self.low
        below = number < self.high if self.high_open else number <= self.high
        return above and below


@dataclass(frozen=True)
class RuleInfo:
    """A rule of `vote`.

    Attributes:
        name: as `Rule` takes it.
        phrase: what an answer reaches under it, in a line.
        reads: ``"nothing"`` of the scores, one ``"column"``, or some ``"columns"`` together.
        scores: those that it can use.
        parameters: by name.
        narrowed: a parameter, a choice of it, and the scores that the rule can use under that one.
    """

    name: RuleName
    phrase: str
    reads: Literal["nothing", "column", "columns"]
    scores: ScoreNeeds
    parameters: Mapping[str, ParameterInfo]
    narrowed: tuple[str, str, ScoreNeeds] | None

    @property
    def example(self) -> Rule:
        """The rule with a value for everything that it needs."""
        needed = {p.name: p.example for p in self.parameters.values() if p.required}
        return Rule(self.name, **needed)


def _table() -> dict[str, RuleInfo]:
    table = {}
    for row in _core.vote_rules():
        parameters = {given["name"]: ParameterInfo(**given) for given in row["parameters"]}
        narrowed = row["narrowed"]
        if narrowed is not None:
            narrowed = (narrowed[0], narrowed[1], ScoreNeeds(**narrowed[2]))
        table[row["name"]] = RuleInfo(
            name=row["name"],
            phrase=row["phrase"],
            reads=row["reads"],
            scores=ScoreNeeds(**row["scores"]),
            parameters=MappingProxyType(parameters),
            narrowed=narrowed,
        )
    return table


RULES: Mapping[str, RuleInfo] = MappingProxyType(_table())
"""Every rule that `vote` knows, by name, as the core has it."""


# --- a rule with its parameters -------------------------------------------------------------


class Rule:
    """A rule of `vote` with its parameters: a value, equal to any other with the same.

    >>> Rule("softmax_weighted", temperature=0.1)
    Rule('softmax_weighted', temperature=0.1)
    >>> Rule("borda") == Rule("borda", power=1)
    True

    Args:
        name: one of `RULES`.
        **parameters: what the rule takes, see `vote`; what has a default may be left out.

    Attributes:
        name: as it was given.
        parameters: all that the rule takes, defaults filled in, lists as tuples.

    Raises:
        ValueError: an unknown rule; a parameter that it does not take, that it needs and that is
            missing, or that is out of range.
        TypeError: a parameter of the wrong type.
    """

    __slots__ = ("_items", "name")

    name: RuleName

    def __init__(self, name: RuleName, **parameters: Any) -> None:
        if not isinstance(name, str):
            raise InputTypeError(
                "the name of a rule", got=repr(name), argument="name", where="Rule"
            )
        if name not in RULES:
            raise InputError(
                f"one of {', '.join(RULES)}", got=repr(name), argument="name", where="Rule"
            )
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "_items", tuple(_checked(RULES[name], parameters).items()))

    @property
    def parameters(self) -> dict[str, Any]:
        """All that the rule takes."""
        return dict(self._items)

    @property
    def info(self) -> RuleInfo:
        """What is known of the rule whatever its parameters."""
        return RULES[self.name]

    @property
    def scores(self) -> ScoreNeeds:
        """The scores that it can use with these parameters."""
        narrowed = self.info.narrowed
        if narrowed is not None and self.parameters[narrowed[0]] == narrowed[1]:
            return narrowed[2]
        return self.info.scores

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a Rule does not change; make another one to set {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Rule does not change; {name} stays")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rule):
            return NotImplemented
        return (self.name, self._items) == (other.name, other._items)

    def __hash__(self) -> int:
        return hash((self.name, self._items))

    def __repr__(self) -> str:
        return _call(
            self.name,
            {
                name: value
                for name, value in self._items
                if value != self.info.parameters[name].default
            },
        )

    def __reduce__(self) -> Any:
        return partial(Rule, self.name, **self.parameters), ()


def _call(name: str, parameters: Mapping[str, Any]) -> str:
    """The call that makes a rule."""
    return f"Rule({', '.join([repr(name), *(f'{key}={v!r}' for key, v in parameters.items())])})"


def _checked(info: RuleInfo, given: Mapping[str, Any]) -> dict[str, Any]:
    """Every parameter of the rule, defaults filled in."""
    where = f"Rule({info.name!r})"
    needed = {p.name: p.example for p in info.parameters.values() if p.required or p.name in given}
    advice = f"for example {_call(info.name, needed)}"
    for name in given:
        if name not in info.parameters:
            known = " and ".join(info.parameters) or "no parameters"
            raise InputError(known, got=repr(name), advice=advice, where=where)
    values = {}
    for name, parameter in info.parameters.items():
        value = given.get(name)
        if value is not None:
            value = _value(parameter, value, where, advice)
        elif parameter.required:
            raise InputError(
                parameter.takes, got="nothing", argument=name, advice=advice, where=where
            )
        values[name] = parameter.default if value is None else value
    return values


def _value(parameter: ParameterInfo, value: Any, where: str, advice: str) -> Any:
    """The value of a parameter, checked, as it is kept."""

    def fault(kind: type[InputError]) -> InputError:
        return kind(
            parameter.takes, got=repr(value), argument=parameter.name, advice=advice, where=where
        )

    if parameter.kind == "choice":
        if not isinstance(value, str):
            raise fault(InputTypeError)
        if value not in parameter.choices:
            raise fault(InputError)
        return str(value)
    several = parameter.kind in ("reals", "counts")
    if several and (isinstance(value, str) or not hasattr(value, "__iter__")):
        raise fault(InputTypeError)
    whole = parameter.kind in ("count", "counts")
    try:
        numbers = [_number(item, whole=whole) for item in (value if several else [value])]
    except (TypeError, ValueError, OverflowError):
        raise fault(InputTypeError) from None
    if not numbers or not all(map(parameter.allows, numbers)):
        raise fault(InputError)
    return tuple(numbers) if several else numbers[0]


def _number(value: Any, *, whole: bool) -> float | int:
    number = float(value)
    if not whole:
        return number
    if isinstance(value, bool) or number % 1 != 0 or abs(number) > _MOST:
        raise ValueError
    return int(number)


# --- the vote -------------------------------------------------------------------------------


class VoteResult(NamedTuple):
    """The winner of every problem.

    Every field is ``[problems]``; a list of rules adds a dimension ``[..., rules]``, and prefixes
    one behind it, ``[..., prefixes]``.

    Attributes:
        winner: index of the winning candidate into the flat arrays, int64; -1 = none.
        answer_id: its answer id, int64; -1 = none.
        score: what the winning answer reached under the rule, float64; NaN = none.
        tied: whether another answer reached the same score.
        margin: score less that of the best other answer, float64; infinite where there is no other
            answer, NaN without a winner.
        class_scores: what the answer of each candidate reached, float64 ``[n]`` (``[n, rules,
            prefixes]``); NaN where it takes no part. None unless asked for.
    """

    winner: Any
    answer_id: Any
    score: Any
    tied: Any
    margin: Any
    class_scores: Any


def vote(
    answer_ids: Any,
    scores: Any,
    offsets: Any,
    rule: RuleName | Rule | Sequence[RuleName | Rule],
    *,
    ties: str = "first",
    nan: str = "error",
    unfit: str | None = None,
    prefixes: Sequence[int] | None = None,
    class_scores: bool = False,
    stream: Any = None,
    **parameters: Any,
) -> VoteResult:
    r"""Let the candidates of every problem vote for their answers.

    The answer with the largest score :math:`s_a` wins. With :math:`C_a` the candidates whose answer
    is :math:`a`, :math:`v_i` the scores, :math:`N` the number of candidates that take part and
    :math:`f_a = |C_a| / N`:

    - ``majority``: :math:`|C_a|`
    - ``weighted``: :math:`\sum_{C_a} v_i`; ``weighted_mean``: :math:`\sum_{C_a} v_i / |C_a|`. Any
      finite weights will do, negative ones too.
    - ``best_of_n``: :math:`\max_{C_a} v_i`
    - ``minmax_weighted``: :math:`\sum_{C_a} (v_i - \min v) / (\max v - \min v)`, the range taken
      over all candidates of the problem; 1 each where all scores are equal
    - ``softmax_weighted``: :math:`\sum_{C_a} e^{v_i / T} / \sum_j e^{v_j / T}`, T = `temperature`
    - ``logodds_weighted``: :math:`\sum_{C_a} \ln \frac{p_i}{1 - p_i}`, p the scores, clipped to
      ``[eps, 1 - eps]``; `eps` is 1e-7 unless given
    - ``loglik_weighted``: :math:`\sum_{C_a} [\ln \frac{p_i}{1 - p_i} - \ln \frac{\pi}{1 - \pi} +
      \ln \frac{q (m - 1)}{1 - q}]`, with :math:`\pi` = `prior` the share of right candidates that p
      was calibrated on, q = `reliability` the accuracy of one candidate and m = `answers` the
      number of answers that it may choose from
    - ``confidence_weighted``: :math:`\sum_{C_a} e^{v_i}`, v the mean log probability of the
      answer's tokens
    - ``borda``: :math:`\sum_{C_a} b_i^{power}`, :math:`b_i` the number of candidates with a lower
      score plus half of those with the same; `power` is 1 unless given
    - ``hybrid_majority_reward``: majority where there is consensus, else :math:`R_a`, the `reward`
      ``"max"``, ``"mean"`` or ``"sum"`` of :math:`v_i` over :math:`C_a`. Consensus is, by
      `consensus`, ``"share"``: :math:`\max_a f_a \ge \tau`, or ``"entropy"``:
      :math:`-\sum_a f_a \ln f_a / \ln K \le \tau` over K answers; :math:`\tau` = `tau`
    - ``weighted_reward_frequency``: :math:`w \hat R_a + (1 - w) f_a`, w = `reward_weight`,
      :math:`\hat R_a` the mean score of the answer, by `normalize` scaled over the answers to
      [0, 1] (``"minmax"``, 1 each where all are equal) or to the sum 1 (``"sum"``)
    - ``pareto``: the number of candidates of :math:`C_a` that no other candidate dominates. One
      dominates another if it is as good in every column of `scores` and better in one.
    - ``multi_objective``: :math:`\sum_{C_a} \sum_s u_s x_{is}`, u = `objective_weights`, x the
      columns of `scores`, by `scale` as they are (``"none"``) or each scaled to [0, 1] over the
      candidates of the problem (``"minmax"``)

    All sums are taken in float64, in candidate order.

    Args:
        answer_ids: int64 ``[n]``, equal ids within a problem are equal answers; -1 = no answer: the
            candidate takes no part. None: every candidate is an answer of its own.
        scores: ``[n]``, float32 or float64; None is allowed when only ``majority`` is asked;
            ``[n, columns]`` for ``pareto`` and ``multi_objective``.
        offsets: where the candidates of each problem begin and end, int64 ``[problems + 1]``.
        rule: a name, or a list of names for several rules in one pass.
        ties: which of the tied answers wins: ``"first"``, the one seen first, or ``"best_score"``,
            the one that holds the highest single score (then the first).
        nan: ``"error"`` raises on a NaN score, ``"drop"`` lets that candidate take no part.
        prefixes: ascending sizes, as ``[1, 2, 4, 8]``: vote over the first so many candidates of
            every problem (all of them where it has fewer), each as if there were no others.
        class_scores: whether to give what every answer reached.
        temperature, eps, prior, reliability, answers, power, tau, consensus, reward, reward_weight,
            normalize, objective_weights, scale: of single rules, see above. A parameter of a rule
            that is not asked for is an error.
        stream: for CUDA arrays, the stream to enqueue on; see `value_head`. There a candidate that
            would raise takes no part, and raises under ``STEPSCORE_CUDA_CHECK=1``.

    Returns:
        `VoteResult`. The winner is the first candidate that gave the answer; under ``best_of_n``
        and ``minmax_weighted``, and where ``hybrid_majority_reward`` decides by ``"max"``, the one
        of its highest score.

    Raises:
        ValueError: lengths, offsets or columns that do not fit, an unknown rule, a parameter that
            is missing, superfluous or out of range, an id below -1, a NaN score, a score that is
            not finite (but for ``majority``, ``best_of_n``, ``borda`` and ``pareto``) or out of the
            range that the rule reads: [0, 1] for ``logodds_weighted`` and ``loglik_weighted``, at
            most 0 for ``confidence_weighted``, at least 0 under ``normalize="sum"``.

    Source: majority is self-consistency; weighted and best-of-N as in search-and-learn (dictionary
    order: the first answer to reach the maximum wins); minmax_weighted as in
    usail-hkust/benchmark_inference_time_computation_LLM; softmax_weighted is CISC. Not compared
    with an author's code, and therefore explicit in every parameter: logodds_weighted (weights of
    the particle filters of its_hub), loglik_weighted (derived from the assumptions of
    arXiv:2510.13918), confidence_weighted (after confidence as a reward, arXiv:2510.13501), borda
    (not published as a vote over PRM scores), hybrid_majority_reward and weighted_reward_frequency
    (both after arXiv:2508.01773), pareto and multi_objective (ours).
    """
    call = Call("vote", stream)
    if answer_ids is not None:
        answer_ids = call.integers("answer_ids", answer_ids)
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
    workspace = call.empty((candidates, _WORKSPACE), "float64") if call.on_cuda else None
    call.module.vote(
        call.optional_view("answer_ids", answer_ids),
        call.optional_view("scores", scores),
        call.view("offsets", offsets),
        [(each.name, each.parameters) for each in rules],
        call.choice("ties", ties, ("first", "best_score")),
        call.choice("nan", nan, ("error", "drop")) == "drop",
        call.choice("unfit", unfit, ("error", "nan")),
        sizes,
        *(call.view(name, field) for name, field in zip(VoteResult._fields, fields, strict=False)),
        call.optional_view("class_scores", by_candidate),
        call.optional_view("workspace", workspace),
        call.queue,
    )
    winner, answer_id, score, tied, margin = fields
    return VoteResult(winner, answer_id, score, tied, margin, by_candidate)


def _rules(call: Call, rule: Any, loose: Mapping[str, Any]) -> list[Rule]:
    """The rules that are asked for; `loose` are parameters beside their rules."""
    asked = [rule] if isinstance(rule, (str, Rule)) else rule
    if not isinstance(asked, (list, tuple)) or not all(isinstance(r, (str, Rule)) for r in asked):
        raise TypeError(f"{call.op}: rule must be a name, a Rule, or a list of them; got {rule!r}")
    loose = {name: value for name, value in loose.items() if value is not None}
    if loose:
        return _with_loose(call, asked, loose)
    return [_named(each) if isinstance(each, str) else each for each in asked]


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
        return int(_number(call.number("prefixes", value), whole=True))
    except ValueError:
        raise TypeError(f"{call.op}: prefixes must be a whole number; got {value!r}") from None
