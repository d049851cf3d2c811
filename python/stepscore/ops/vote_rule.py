"""The rules of a vote: the table of what is known of them, and a rule with its parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

from stepscore import _core
from stepscore.errors import Argument, InputError, InputTypeError, did_you_mean

_MOST = 2**53  # up to here float64 holds every whole number

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
    "crew",
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
        argmax: whether it chooses a candidate, the first with the highest score, and its answer
            with it. Such a rule needs no answers.
        parameters: by name.
        narrowed: a parameter, a choice of it, and the scores that the rule can use under that one.
    """

    name: RuleName
    phrase: str
    reads: Literal["nothing", "column", "columns"]
    scores: ScoreNeeds
    argmax: bool
    parameters: Mapping[str, ParameterInfo]
    narrowed: tuple[str, str, ScoreNeeds] | None

    @property
    def example(self) -> Rule:
        """The rule with a value for everything that it needs."""
        needed = {p.name: p.example for p in self.parameters.values() if p.required}
        return Rule(self.name, **needed)


def _table() -> dict[str, RuleInfo]:
    table = {}
    rows: Sequence[Mapping[str, Any]] = _core.vote_rules()
    for row in rows:
        parameters = {given["name"]: ParameterInfo(**given) for given in row["parameters"]}
        narrowed = row["narrowed"]
        if narrowed is not None:
            narrowed = (narrowed[0], narrowed[1], ScoreNeeds(**narrowed[2]))
        table[row["name"]] = RuleInfo(
            name=row["name"],
            phrase=row["phrase"],
            reads=row["reads"],
            scores=ScoreNeeds(**row["scores"]),
            argmax=row["argmax"],
            parameters=MappingProxyType(parameters),
            narrowed=narrowed,
        )
    return table


RULES: Mapping[str, RuleInfo] = MappingProxyType(_table())
"""Every rule that `vote` knows, by name, as the core has it."""


def check_rule_name(op: str, name: str, index: tuple[int, ...] = ()) -> None:
    """Refuse the name of no rule as an argument of the function that was called."""
    if name not in RULES:
        raise InputError(
            f"one of {', '.join(RULES)}",
            got=repr(name),
            advice=did_you_mean(name, RULES),
            argument=Argument("rule", index=index),
            where=op,
        )


# --- a rule with its parameters -------------------------------------------------------------


class Rule:
    r"""A rule of `vote` with its parameters: a value, equal to any other with the same.

    What an answer :math:`a` reaches, with :math:`C_a` the candidates whose answer it is,
    :math:`v_i` the scores, :math:`N` the number of candidates that take part and :math:`f_a = |C_a|
    / N`:

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
      answer's tokens. Not CRew, which chooses one candidate, by an arithmetic mean: ``crew``
    - ``crew``: :math:`\max_{C_a} c_i`, :math:`c_i = \frac{1}{|t_i|} \sum_{t_i} p_t` the scores: the
      mean probability of the tokens :math:`t_i` of the candidate's answer
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

    The last two read columns together: all of them, or those whose numbers stand in `columns`. The
    rules above them read one column, and vote once for each; majority reads none.

    >>> Rule("softmax_weighted", temperature=0.1)
    Rule('softmax_weighted', temperature=0.1)
    >>> Rule("borda") == Rule("borda", power=1)
    True

    Args:
        name: one of `RULES`.
        **parameters: what the rule takes; what has a default may be left out.

    Attributes:
        name: as it was given.
        parameters: all that the rule takes, defaults filled in, lists as tuples.

    Raises:
        ValueError: an unknown rule; a parameter that it does not take, that it needs and that is
            missing, or that is out of range.
        TypeError: a parameter of the wrong type.

    Source: majority is self-consistency; weighted and best-of-N as in search-and-learn (dictionary
    order: the first answer to reach the maximum wins); minmax_weighted as in
    usail-hkust/benchmark_inference_time_computation_LLM; softmax_weighted is CISC. Not compared
    with an author's code, and therefore explicit in every parameter: logodds_weighted (weights of
    the particle filters of its_hub), loglik_weighted (derived from the assumptions of
    arXiv:2510.13918), confidence_weighted (ours), borda (not published as a vote over PRM scores),
    hybrid_majority_reward and weighted_reward_frequency (both after arXiv:2508.01773), pareto and
    multi_objective (ours). crew is best of N by the confidence reward of arXiv:2510.13501.
    """

    __slots__ = ("_items", "name")

    name: RuleName
    _items: tuple[tuple[str, Any], ...]

    def __init__(self, name: RuleName, **parameters: Any) -> None:
        if not isinstance(name, str):
            raise InputTypeError("a name", got=repr(name), argument="name", where="Rule")
        if name not in RULES:
            raise InputError(
                f"one of {', '.join(RULES)}",
                got=repr(name),
                advice=did_you_mean(name, RULES),
                argument="name",
                where="Rule",
            )
        # A plain text, so that the name of a NumPy array reads the same in repr.
        object.__setattr__(self, "name", str(name))
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
            known = " and ".join(info.parameters)
            takes = f"{known} and nothing else" if known else "no parameters"
            advice = did_you_mean(name, info.parameters, advice)
            raise InputError(takes, got=repr(name), advice=advice, where=where)
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
            advice = did_you_mean(value, parameter.choices, advice)
            raise fault(InputError)
        return str(value)
    several = parameter.kind in ("reals", "counts")
    if several and (isinstance(value, str | bytes | bytearray) or not hasattr(value, "__iter__")):
        raise fault(InputTypeError)
    read = whole_number if parameter.kind in ("count", "counts") else float
    items = list(value) if several else [value]
    if any(isinstance(item, str | bytes | bytearray) for item in items):
        raise fault(InputTypeError)  # float would read "0.1" as a number
    try:
        numbers = [read(item) for item in items]
    except (TypeError, ValueError, OverflowError):
        raise fault(InputTypeError) from None
    if not numbers or not all(map(parameter.allows, numbers)):
        raise fault(InputError)
    return tuple(numbers) if several else numbers[0]


def whole_number(value: Any) -> int:
    """A whole number of any type.

    Raises:
        ValueError: a number that is not whole, or too large to be held exactly, or a bool.
        TypeError: no number.
    """
    number = float(value)
    if isinstance(value, bool) or number % 1 != 0 or abs(number) > _MOST:
        raise ValueError(f"{value!r} is no whole number")
    return int(number)
