"""How many samples a problem gets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepscore.arrays import host_integers, host_reals
from stepscore.ops import aggregate, vote
from stepscore.ragged import check_shape, first_true, offsets_of, read_offsets, segment_of

Int = NDArray[np.int64]
Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

# The thresholds of its_hub: AdaptiveSelfConsistency and BetaSelfConsistency.
_THRESHOLDS = {"share": 0.75, "beta": 0.95}
_STEPS_BETWEEN_SCALINGS = 16


def should_stop(
    answer_ids: Any, offsets: Any, rule: str = "beta", *, threshold: float | None = None
) -> Bool:
    r"""Say of every problem whether its samples agree enough to draw no more.

    With :math:`v_1 \ge v_2` the sizes of its two largest answer classes and :math:`v` the number
    of its candidates with an answer, :math:`v \ge 2` (one answer agrees with itself) and

    - ``share``: :math:`v_1 / v \ge t`
    - ``beta``: :math:`P(v_1, v_2) \ge t`, see `leader_probability`

    A sampling loop over many problems, in which only the undecided ones draw again::

        candidates = [[] for _ in problems]
        drawn, stop = np.zeros(len(problems), np.int64), np.zeros(len(problems), bool)
        while (more := next_samples(drawn, stop, budget=64)).any():
            for i in np.flatnonzero(more):
                candidates[i] += sample(problems[i], more[i])
            drawn += more
            offsets = np.concatenate([[0], np.cumsum(drawn)])
            answer_ids = stepscore.group_answers(list(chain(*candidates)), offsets)
            stop = should_stop(answer_ids, offsets, "beta")

    Args:
        answer_ids: int64 ``[n]``, equal ids within a problem are equal answers; -1 = no answer.
        offsets: where the candidates of each problem begin and end, int64 ``[problems + 1]``.
        rule: ``"share"`` or ``"beta"``.
        threshold: t, in (0.5, 1]; None takes 0.75 for ``share``, 0.95 for ``beta``.

    Returns:
        bool ``[problems]``.

    Raises:
        ValueError: lengths or offsets that do not fit, an id below -1, an unknown rule, a
            threshold outside (0.5, 1].

    Source: its_hub 1.2.0, AdaptiveSelfConsistency and BetaSelfConsistency; ``beta`` is the rule of
    "Let's Sample Step by Step" (Adaptive-Consistency). its_hub lets ``share`` stop on one answer
    among two samples; here it does not.
    """
    if rule not in _THRESHOLDS:
        expected = " or ".join(f'"{name}"' for name in _THRESHOLDS)
        raise ValueError(f"should_stop: rule must be {expected}; got {rule!r}")
    least = _THRESHOLDS[rule] if threshold is None else float(threshold)
    if not 0.5 < least <= 1:
        raise ValueError(f"should_stop: threshold must be in (0.5, 1]; got {threshold}")
    answers = host_integers("should_stop", "answer_ids", answer_ids)
    check_shape("should_stop", "answer_ids", answers)
    bounds = read_offsets("should_stop", offsets, len(answers), "candidates")
    if (wrong := np.flatnonzero(answers < -1)).size:
        i = wrong[0]
        raise ValueError(
            f"should_stop: answer_ids must be -1 (no answer) or more; answer_ids[{i}] is "
            f"{answers[i]}"
        )
    first = vote(answers, None, bounds, "majority")
    leader = first.answer_id[segment_of(bounds)]
    second = vote(np.where(answers == leader, -1, answers), None, bounds, "majority")
    first_count, second_count = (
        np.nan_to_num(election.score).astype(np.int64) for election in (first, second)
    )
    voting = np.diff(offsets_of(answers >= 0)[bounds])
    if rule == "share":
        agree: Bool = first_count >= least * voting
    else:
        agree = leader_probability(first_count, second_count) >= least
    return agree & (voting >= 2)


def leader_probability(first: Any, second: Any) -> Float:
    r"""Give the probability that the answer ahead is preferred to the runner-up.

    .. math:: P(v_1, v_2) = P(\theta > 1/2),\; \theta \sim \mathrm{Beta}(v_1 + 1, v_2 + 1)
              = 1 - 2^{-(v_1 + v_2 + 1)} \sum_{k=0}^{v_2} \binom{v_1 + v_2 + 1}{k}

    The sum runs over the smaller count, term by term, and is scaled by powers of two: exact to the
    last bit up to 50 votes together, and its relative error stays below 1e-12 for 10^5.

    Args:
        first: :math:`v_1`, counts of any shape.
        second: :math:`v_2`, of the same shape; it may exceed :math:`v_1`.

    Returns:
        float64 of that shape.

    Raises:
        ValueError: a negative count, shapes that differ.

    Source: "Let's Sample Step by Step" (Adaptive-Consistency), as in its_hub.
    """
    counts = [
        host_integers("leader_probability", name, value)
        for name, value in (("first", first), ("second", second))
    ]
    if counts[0].shape != counts[1].shape:
        shapes = " and ".join(str(list(count.shape)) for count in counts)
        raise ValueError(f"leader_probability: first and second differ in shape; got {shapes}")
    if any((count < 0).any() for count in counts):
        raise ValueError("leader_probability: first and second must be counts; got a negative one")
    ahead, behind = counts[0].ravel(), counts[1].ravel()
    order = np.argsort(np.minimum(ahead, behind))
    smaller = np.minimum(ahead, behind)[order]
    trials = (ahead + behind + 1)[order]
    term, tail = np.ones(len(order)), np.ones(len(order))  # binomials, and their sum
    exponent = -trials
    for k in range(int(smaller[-1]) if len(order) else 0):
        still = slice(np.searchsorted(smaller, k, side="right"), None)
        term[still] *= trials[still] - k  # before the division: whole numbers stay whole
        term[still] /= k + 1
        tail[still] += term[still]
        if k % _STEPS_BETWEEN_SCALINGS == 0:
            tail[still], shift = np.frexp(tail[still])
            term[still] = np.ldexp(term[still], -shift)
            exponent[still] += shift
    result = np.empty(len(order))
    result[order] = np.ldexp(tail, np.maximum(exponent, -2000))
    result = np.where(ahead == behind, 0.5, np.where(ahead > behind, 1 - result, result))
    return result.reshape(counts[0].shape)


def next_samples(drawn: Any, stop: Any, *, budget: Any, first: int = 2) -> Int:
    """Give how many samples every problem draws next: totals of 2, 4, 8, ... up to the budget.

    ``first`` where none is drawn yet, else as many again as are drawn, never past the budget; 0
    where `stop` says so.

    Args:
        drawn: how many samples each problem has, int64 ``[problems]``.
        stop: whether it draws no more, bool ``[problems]``; see `should_stop`.
        budget: how many samples a problem may have in all, a number or ``[problems]``.
        first: how many the first round draws.

    Returns:
        int64 ``[problems]``.

    Raises:
        ValueError: shapes that differ, a negative count or budget, `first` below 1.

    Source: the schedule of AdaptiveSelfConsistency, its_hub.
    """
    counts = host_integers("next_samples", "drawn", drawn)
    check_shape("next_samples", "drawn", counts)
    stopped = host_reals("next_samples", "stop", stop) != 0
    check_shape("next_samples", "stop", stopped, len(counts), "drawn")
    most = host_integers("next_samples", "budget", budget)
    if most.ndim:
        check_shape("next_samples", "budget", most, len(counts), "drawn")
    if (counts < 0).any() or (most < 0).any():
        raise ValueError("next_samples: drawn and budget must be counts; got a negative one")
    if first < 1:
        raise ValueError(f"next_samples: first must be at least 1; got {first}")
    wanted = np.where(counts == 0, first, counts)
    return np.where(stopped, 0, np.clip(most - counts, 0, wanted))


def samples_needed(
    p: Any, *, confidence: float = 0.99, denominator: int = 1, clip: float = 1e-4
) -> Int:
    r"""Give how many samples make at least one right one likely.

    .. math:: N(p) = \lceil \frac{\ln(1 - q)}{\ln(1 - p)} / d \rceil

    Args:
        p: the probability that one sample is right, such as a calibrated PRM score; any shape.
            It is read in float64: a float32 of 0.9 is slightly less, and needs 3, not 2.
        confidence: q, in (0, 1).
        denominator: d, the number of paths that share the samples.
        clip: p is taken as within ``[clip, 1 - clip]``; it bounds N.

    Returns:
        int64 of the shape of `p`, at least 1.

    Raises:
        ValueError: p outside [0, 1] or NaN, a parameter out of its range.

    Source: instance-adaptive scaling, prm-calibration; its confidence and clip.
    """
    return _samples_needed("samples_needed", "p", p, confidence, denominator, clip)


def adaptive_k(
    scores: Any,
    offsets: Any,
    *,
    k_max: int,
    m_max: int,
    confidence: float = 0.99,
    clip: float = 1e-4,
) -> Int:
    r"""Give how many beams of every problem to keep when each is continued m_max times.

    With :math:`s_1 \ge s_2 \ge \ldots` the scores of its beams and N as in `samples_needed`:
    the smallest k with :math:`k\,m_{max} \ge N(s_k)`, at most :math:`k_{max}` and the beams there
    are.

    Args:
        scores: the probability of every beam to end right, ``[n]``.
        offsets: where the beams of each problem begin and end, int64 ``[problems + 1]``.
        k_max: most beams to keep; n // width in the source.
        m_max: continuations of each beam; the beam width in the source.
        confidence: q of `samples_needed`.
        clip: of `samples_needed`.

    Returns:
        int64 ``[problems]``; 0 for a problem without beams.

    Raises:
        ValueError: a score outside [0, 1] or NaN, offsets that do not fit, a parameter out of its
            range.

    Source: instance-adaptive scaling, prm-calibration, beam search with adaptive K.
    """
    bounds, needed, values = _beams("adaptive_k", scores, offsets, k_max, m_max, confidence, clip)
    order = np.lexsort((-values, segment_of(bounds)))
    rank = np.arange(len(values)) - bounds[segment_of(bounds)] + 1
    enough = first_true((rank * m_max >= needed[order]) | (rank == k_max), bounds)
    return np.where(enough < 0, np.diff(bounds), enough - bounds[:-1] + 1)


def adaptive_m(
    scores: Any,
    offsets: Any,
    *,
    k_max: int,
    m_max: int,
    confidence: float = 0.99,
    clip: float = 1e-4,
) -> Int:
    r"""Give how often to continue each of a problem's beams when k_max of them are kept.

    :math:`\min(N(\min_i s_i, d = k_{max}), m_{max})`, with N as in `samples_needed`.

    Args:
        scores: the probability of every beam to end right, ``[n]``.
        offsets: where the beams of each problem begin and end, int64 ``[problems + 1]``.
        k_max: the beams that are kept; n // width in the source.
        m_max: most continuations of a beam; the beam width in the source.
        confidence: q of `samples_needed`.
        clip: of `samples_needed`.

    Returns:
        int64 ``[problems]``; 0 for a problem without beams.

    Raises:
        ValueError: as `adaptive_k`.

    Source: instance-adaptive scaling, prm-calibration, beam search with adaptive M.
    """
    bounds, _, values = _beams("adaptive_m", scores, offsets, k_max, m_max, confidence, clip)
    worst = aggregate(values, bounds, "min", empty=1.0)
    needed = _samples_needed("adaptive_m", "scores", worst, confidence, k_max, clip)
    return np.where(np.diff(bounds) > 0, np.minimum(needed, m_max), 0)


def _samples_needed(
    op: str, argument: str, p: Any, confidence: float, denominator: int, clip: float
) -> Int:
    values = host_reals(op, argument, p)
    outside = ~((values >= 0) & (values <= 1))
    if outside.any():
        i = int(np.argmax(outside))
        raise ValueError(
            f"{op}: {argument} must be probabilities in [0, 1]; {argument}[{i}] is "
            f"{values.ravel()[i]}"
        )
    if not 0 < confidence < 1:
        raise ValueError(f"{op}: confidence must be in (0, 1); got {confidence}")
    if not 0 < clip <= 0.5:
        raise ValueError(f"{op}: clip must be in (0, 0.5]; got {clip}")
    if denominator < 1:
        raise ValueError(f"{op}: denominator must be at least 1; got {denominator}")
    inside = np.clip(values, clip, 1 - clip)
    needed = np.log1p(-confidence) / np.log1p(-inside) / denominator
    return np.asarray(np.ceil(needed), dtype=np.int64)


def _beams(
    op: str,
    scores: Any,
    offsets: Any,
    k_max: int,
    m_max: int,
    confidence: float,
    clip: float,
) -> tuple[Int, Int, Float]:
    """The checked offsets, N of every beam, and its score."""
    for name, value in (("k_max", k_max), ("m_max", m_max)):
        if value < 1:
            raise ValueError(f"{op}: {name} must be at least 1; got {value}")
    values = host_reals(op, "scores", scores)
    check_shape(op, "scores", values)
    bounds = read_offsets(op, offsets, len(values), "scores")
    return bounds, _samples_needed(op, "scores", values, confidence, 1, clip), values
