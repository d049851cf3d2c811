"""Which answer wins among the candidates of a problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from stepscore.arrays import Call, length

# Every rule, with the parameters that it takes. Those in OPTIONAL have a default.
RULES: Mapping[str, tuple[str, ...]] = {
    "majority": (),
    "weighted": (),
    "weighted_mean": (),
    "best_of_n": (),
    "minmax_weighted": (),
    "softmax_weighted": ("temperature",),
    "logodds_weighted": ("eps",),
    "loglik_weighted": ("prior", "reliability", "answers", "eps"),
    "confidence_weighted": (),
    "borda": ("power",),
    "hybrid_majority_reward": ("tau", "consensus", "reward"),
    "weighted_reward_frequency": ("reward_weight", "normalize"),
    "pareto": (),
    "multi_objective": ("objective_weights", "scale"),
}
OPTIONAL = ("eps", "power")
_COUNTS = ("answers", "power")
_MOST = 2**53
_WORKSPACE = 5  # numbers per candidate that the kernel keeps of problems beyond its shared memory
_NAMES = ("consensus", "reward", "normalize", "scale")


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
    rule: str | Sequence[str],
    *,
    ties: str = "first",
    nan: str = "error",
    prefixes: Sequence[int] | None = None,
    class_scores: bool = False,
    temperature: float | None = None,
    eps: float | None = None,
    prior: float | None = None,
    reliability: float | None = None,
    answers: int | None = None,
    power: int | None = None,
    tau: float | None = None,
    consensus: str | None = None,
    reward: str | None = None,
    reward_weight: float | None = None,
    normalize: str | None = None,
    objective_weights: Sequence[float] | None = None,
    scale: str | None = None,
    stream: Any = None,
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
    rules = call.names("rule", rule)
    given = {
        "temperature": temperature,
        "eps": eps,
        "prior": prior,
        "reliability": reliability,
        "answers": answers,
        "power": power,
        "tau": tau,
        "consensus": consensus,
        "reward": reward,
        "reward_weight": reward_weight,
        "normalize": normalize,
        "objective_weights": objective_weights,
        "scale": scale,
    }
    parameters = _parameters(call, rules, given)
    sizes = prefixes
    if prefixes is not None:
        sizes = [_whole(call, "prefixes", size) for size in _list(call, "prefixes", prefixes)]
    by_rule = () if isinstance(rule, str) else (len(rules),)
    by_prefix = () if sizes is None else (len(sizes),)
    shape = (max(length(offsets) - 1, 0), *by_rule, *by_prefix)
    candidates = next((length(a) for a in (answer_ids, scores) if a is not None), 0)
    dtypes = ("int64", "int64", "float64", "bool", "float64")
    fields = [call.empty(shape, dtype) for dtype in dtypes]
    by_candidate = call.empty((candidates, *shape[1:]), "float64") if class_scores else None
    workspace = call.empty((candidates, _WORKSPACE), "float64") if call.on_cuda else None
    call.module.vote(
        call.optional_view("answer_ids", answer_ids),
        call.optional_view("scores", scores),
        call.view("offsets", offsets),
        rules,
        parameters,
        call.choice("ties", ties, ("first", "best_score")),
        call.choice("nan", nan, ("error", "drop")) == "drop",
        sizes,
        *(call.view(name, field) for name, field in zip(VoteResult._fields, fields, strict=False)),
        call.optional_view("class_scores", by_candidate),
        call.optional_view("workspace", workspace),
        call.queue,
    )
    winner, answer_id, score, tied, margin = fields
    return VoteResult(winner, answer_id, score, tied, margin, by_candidate)


def _parameters(call: Call, rules: Sequence[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """What the rules take, each of the right type; a missing or superfluous one is an error."""
    asked = {name: rule for rule in rules for name in RULES.get(rule, ())}
    found: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:
            if name in asked and name not in OPTIONAL:
                raise ValueError(f"vote: {asked[name]} needs {name}; pass {name}=...")
        elif name not in asked:
            owners = " and ".join(rule for rule, names in RULES.items() if name in names)
            raise ValueError(
                f"vote: {name} belongs to {owners}, which is not asked for; leave it out"
            )
        elif name == "objective_weights":
            found[name] = [call.number(name, weight) for weight in _list(call, name, value)]
        elif name in _NAMES:
            found[name] = str(value)
        else:
            found[name] = _whole(call, name, value) if name in _COUNTS else call.number(name, value)
    return found


def _list(call: Call, argument: str, value: Any) -> list[Any]:
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise TypeError(f"{call.op}: {argument} must be a list of numbers; got {value!r}")
    return list(value)


def _whole(call: Call, argument: str, value: Any) -> int:
    number = call.number(argument, value)
    if isinstance(value, bool) or number % 1 != 0 or abs(number) > _MOST:
        raise TypeError(f"{call.op}: {argument} must be a whole number; got {value!r}")
    return int(value)
