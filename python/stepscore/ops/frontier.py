"""What searches that go level by level do with a level: keep, copy, allot, resample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from stepscore import _core
from stepscore.arrays import Call, host_counts, host_integers, host_reals

Arithmetic: TypeAlias = Literal["float32", "float64", "exact"]
Resampling: TypeAlias = Literal["multinomial", "stratified", "systematic", "residual"]
Tempering: TypeAlias = Literal["ess", "entropy", "base", "linear"]

Ids = NDArray[np.int64]
Reals = NDArray[np.float64]

_view = _core.TensorView.of_numpy


def top_k(scores: Any, offsets: Any, k: Any) -> tuple[Ids, Ids]:
    r"""The :math:`k` greatest scores of every problem.

    With ``k = sizes // M`` this is early rejection on partial steps, with the beam width the
    selection of a beam search.

    Args:
        scores: ``[n]``, float32 or float64.
        offsets: where the items of each problem begin and end, int64 ``[problems + 1]``.
        k: one number or int64 ``[problems]``; problems with fewer items keep all.

    Returns:
        Indices into `scores`, greatest first and equal scores in their order, and their offsets,
        int64 ``[problems + 1]``.

    Raises:
        ValueError: a NaN score, a negative `k`, offsets that do not fit.

    Examples:
        >>> top_k([0.1, 0.9, 0.5, 0.3], [0, 3, 4], 2)
        (array([1, 2, 3]), array([0, 2, 3]))

    Source: beam search as in huggingface/search-and-learn; early rejection: keep N / M after the
    first tokens of a step (scheshmi/accelerated-reasoning-ER-PRM). Both leave ties unspecified.
    """
    scores = host_reals("top_k", "scores", scores)
    offsets = host_integers("top_k", "offsets", offsets)
    k = _per_problem("top_k", "k", k, offsets)
    return _core.top_k(_view(scores), _view(offsets), _view(k))


def replicate(offsets: Any, counts: Any) -> tuple[Ids, Ids]:
    """Copy the items of every problem in turns until there are enough: 0, 1, 2, 0, 1 ...

    Args:
        offsets: where the items of each problem begin and end, int64 ``[problems + 1]``.
        counts: how many copies in all, one number or int64 ``[problems]``; 0 is taken where a
            problem has no items.

    Returns:
        Indices of the items, and their offsets, int64 ``[problems + 1]``.

    Raises:
        ValueError: a negative count, offsets that do not fit.

    Examples:
        >>> replicate([0, 2, 3], 4)
        (array([0, 1, 0, 1, 2, 2, 2, 2]), array([0, 4, 8]))

    Source: huggingface/search-and-learn, which fills its beams up cyclically.
    """
    offsets = host_integers("replicate", "offsets", offsets)
    counts = _per_problem("replicate", "counts", counts, offsets)
    return _core.replicate(_view(offsets), _view(counts))


def rebase_allotment(
    scores: Any,
    offsets: Any,
    width: Any,
    *,
    temperature: float = 0.2,
    arith: Arithmetic = "float32",
) -> Ids:
    r"""How many children every node of a level gets (REBASE).

    Best first, of equal scores the later one first, with :math:`e_j = \exp(s_j / T)` and
    :math:`S = \sum e`: :math:`k_j = \lceil W e_j / S \rceil`, then :math:`W` loses :math:`k_j` and
    :math:`S` loses :math:`e_j`.

    Args:
        scores: ``[n]``, float32 or float64.
        offsets: where the nodes of each problem begin and end, int64 ``[problems + 1]``.
        width: :math:`W`, one number or int64 ``[problems]``.
        temperature: :math:`T`; 0.2 as published.
        arith: ``"float32"`` rounds as the authors' NumPy does, which can allot one more than
            :math:`W`, as can ``"float64"``; ``"exact"`` is the rule in real numbers (a quotient
            within 1e-12 of an integer is that integer): it allots :math:`W`.

    Returns:
        int64 ``[n]``.

    Raises:
        ValueError: a NaN score, a negative width, a temperature that is not positive.

    Examples:
        >>> rebase_allotment([0.9, 0.5, 0.1], [0, 3], 8, arith="exact")
        array([7, 1, 0])

    Source: thu-wyz/inference_scaling (arXiv 2408.00724).
    """
    op = "rebase_allotment"
    scores = host_reals(op, "scores", scores)
    offsets = host_integers(op, "offsets", offsets)
    width = _per_problem(op, "width", width, offsets)
    arith = Call(op).choice("arith", arith, get_args(Arithmetic))
    counts = np.empty(scores.shape, np.int64)
    _core.rebase_allotment(
        _view(scores), _view(offsets), _view(width), temperature, arith, _view(counts)
    )
    return counts


def resample(
    weights: Any,
    offsets: Any,
    n: Any,
    *,
    method: Resampling = "multinomial",
    seed: int = 0,
    keys: Any = None,
    draw: int = 0,
) -> tuple[Ids, Ids]:
    r"""Draw particles in proportion to their weights.

    With :math:`p` the weights over their sum and :math:`i = 0 .. n - 1`, index :math:`j` is the
    first with :math:`p_0 + .. + p_j > u`:

    - ``multinomial``: :math:`u = u_i`
    - ``stratified``: :math:`u = (i + u_i) / n`
    - ``systematic``: :math:`u = (i + u_0) / n`, so each particle has :math:`\lfloor n p \rfloor` or
      :math:`\lceil n p \rceil` copies
    - ``residual``: :math:`\lfloor n p \rfloor` copies of each, the rest multinomial by
      :math:`n p - \lfloor n p \rfloor`

    Args:
        weights: ``[n]``, float32 or float64, 0 or more; not all 0 in a problem.
        offsets: where the particles of each problem begin and end, int64 ``[problems + 1]``.
        n: draws, one number or int64 ``[problems]``.
        method: a name of the list.
        seed: of the random numbers :math:`u_i`, which are functions of (seed, key, i, draw) alone:
            Philox4x32-10.
        keys: key of each problem, int64 ``[problems]``; None: 0, 1, 2, ...
        draw: number of the resampling step.

    Returns:
        Indices of the particles drawn, and their offsets, int64 ``[problems + 1]``.

    Raises:
        ValueError: weights that are negative, not finite or all 0; a negative `n`.

    Examples:
        >>> resample([0.1, 0.9], [0, 2], 4, method="systematic")
        (array([0, 1, 1, 1]), array([0, 4]))

    Source: bootstrap particle filters; multinomial and systematic as in
    Red-Hat-AI-Innovation-Team/its_hub.
    """
    op = "resample"
    weights = host_reals(op, "weights", weights)
    offsets = host_integers(op, "offsets", offsets)
    n = _per_problem(op, "n", n, offsets)
    keys = None if keys is None else host_integers(op, "keys", keys)
    return _core.resample(
        _view(weights),
        _view(offsets),
        _view(n),
        Call(op).choice("method", method, get_args(Resampling)),
        seed,
        None if keys is None else _view(keys),
        draw,
    )


def effective_sample_size(weights: Any, offsets: Any) -> Reals:
    r""":math:`1 / \sum p^2` with :math:`p` the weights over their sum; 0 for an empty problem.

    Args:
        weights: ``[n]``, float32 or float64, 0 or more; not all 0 in a problem.
        offsets: where the particles of each problem begin and end, int64 ``[problems + 1]``.

    Returns:
        float64 ``[problems]``, from 1 to the number of particles.

    Raises:
        ValueError: weights that are negative, not finite or all 0.

    Examples:
        >>> effective_sample_size([1.0, 1.0, 0.0, 2.0], [0, 2, 4])
        array([2., 1.])

    Source: Kong, Liu and Wong 1994.
    """
    weights = host_reals("effective_sample_size", "weights", weights)
    offsets = host_integers("effective_sample_size", "offsets", offsets)
    sizes = np.empty(max(len(offsets) - 1, 0))
    _core.effective_sample_size(_view(weights), _view(offsets), _view(sizes))
    return sizes


def tempering(
    weights: Any,
    offsets: Any,
    progress: float,
    *,
    how: Tempering = "ess",
    threshold: float = 0.5,
    early: float = 0.5,
    start: float = 1.0,
    end: float = 1.0,
) -> Reals:
    r"""The temperature that the log-weights of particles are divided by.

    With :math:`t` the progress, :math:`N` the particles, ESS their effective sample size and
    :math:`H` their entropy over :math:`\ln N`, all with weights clipped to [1e-7, 1 - 1e-7], where
    :math:`ESS / N` is below `threshold` and :math:`t` below `early`:

    - ``ess``: :math:`\max(1, (1 - t)\, N / ESS)`
    - ``entropy``: :math:`\max(1, 1 / (H + (1 - H) t))`
    - ``base``: :math:`\max(1, 2 - t)`

    and 1 elsewhere; ``linear`` is :math:`start - (start - end) \min(1, t)` everywhere.

    Args:
        weights: ``[n]``, 0 or more; not all 0 in a problem.
        offsets: where the particles of each problem begin and end, int64 ``[problems + 1]``.
        progress: steps done of all, 0 or more; for ``linear`` :math:`t / (n - 1)`.
        how: a name of the list.
        threshold: see above.
        early: see above.
        start: of ``linear``.
        end: of ``linear``.

    Returns:
        float64 ``[problems]``.

    Raises:
        ValueError: weights that are negative, not finite or all 0; a negative progress.

    Examples:
        >>> tempering([0.97, 0.01, 0.01, 0.01], [0, 4], 0.25)
        array([2.8236])

    Source: entropic particle filtering as in Red-Hat-AI-Innovation-Team/its_hub; linear as in
    probabilistic-inference-scaling.
    """
    weights = host_reals("tempering", "weights", weights)
    offsets = host_integers("tempering", "offsets", offsets)
    how = Call("tempering").choice("how", how, get_args(Tempering))
    temperatures = np.empty(max(len(offsets) - 1, 0))
    _core.tempering(
        _view(weights),
        _view(offsets),
        how,
        progress,
        threshold,
        early,
        start,
        end,
        _view(temperatures),
    )
    return temperatures


def drop_duplicates(texts: Sequence[str], offsets: Any) -> tuple[Ids, Ids]:
    """The first of equal texts within every problem.

    Args:
        texts: ``n`` strings.
        offsets: where those of each problem begin and end, int64 ``[problems + 1]``.

    Returns:
        Indices of the texts that stay, ascending, and their offsets, int64 ``[problems + 1]``.

    Raises:
        ValueError: offsets that do not fit.

    Examples:
        >>> drop_duplicates(["x = 1", "x = 2", "x = 1", "x = 1"], [0, 3, 4])
        (array([0, 1, 3]), array([0, 2, 3]))

    Source: beams of equal text are kept once in huggingface/search-and-learn
    (``filter_duplicates``).
    """
    offsets = host_integers("drop_duplicates", "offsets", offsets)
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    return _core.drop_duplicates(encoded, _view(offsets))


def _per_problem(op: str, argument: str, value: Any, offsets: Ids) -> Ids:
    return host_counts(op, argument, value, (max(len(offsets) - 1, 0),))
