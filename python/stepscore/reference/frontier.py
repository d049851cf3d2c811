"""The ops on a level of a search, a loop over problems each."""

from __future__ import annotations

import math
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from stepscore.reference.tree_search_nodes import uniform


def _problems(values: Any, offsets: Any) -> list[list[Any]]:
    return [list(values[begin:end]) for begin, end in pairwise(offsets)]


def _each(value: Any, offsets: Any) -> list[int]:
    return [int(v) for v in np.broadcast_to(value, len(offsets) - 1)]


def _flat(chosen: list[list[int]], offsets: Any) -> tuple[Any, Any]:
    flat = [begin + i for begin, items in zip(offsets, chosen, strict=False) for i in items]
    return np.array(flat, np.int64), np.cumsum([0, *map(len, chosen)])


def top_k(scores: Any, offsets: Any, k: Any) -> tuple[Any, Any]:
    """A stable sort, greatest first."""
    chosen = [
        sorted(range(len(values)), key=lambda i: -values[i])[:most]
        for values, most in zip(_problems(scores, offsets), _each(k, offsets), strict=True)
    ]
    return _flat(chosen, offsets)


def replicate(offsets: Any, counts: Any) -> tuple[Any, Any]:
    """Item i mod size."""
    sizes = np.diff(offsets)
    chosen = [
        [i % size for i in range(count)] if size else []
        for size, count in zip(sizes, _each(counts, offsets), strict=True)
    ]
    return _flat(chosen, offsets)


def rebase_allotment(
    scores: Any, offsets: Any, width: Any, *, temperature: float = 0.2, arith: str = "float32"
) -> Any:
    """k = ceil(W e / S), best first, in NumPy's arithmetic or in real numbers."""
    counts: list[int] = []
    for values, left in zip(_problems(scores, offsets), _each(width, offsets), strict=True):
        order = sorted(range(len(values)), key=lambda i: values[i])[::-1]
        allotted = dict.fromkeys(range(len(values)), 0)
        if arith == "exact":
            weights = [math.exp((values[i] - max(values)) / temperature) for i in order]
            for j, i in enumerate(order):
                share = left * weights[j] / math.fsum(weights[j:])
                near = round(share)
                allotted[i] = near if abs(share - near) <= 1e-12 * share else math.ceil(share)
                left -= allotted[i]
        else:
            real = np.float32 if arith == "float32" else np.float64
            scaled = np.array([values[i] for i in order], real) / real(temperature)
            e = np.array([math.exp(x) for x in scaled], real)
            total = e.sum()
            for j, i in enumerate(order):
                with np.errstate(all="ignore"):
                    share = np.nan_to_num(np.ceil(real(left) * e[j] / total))
                allotted[i] = int(min(max(0, share), left + 1))
                left -= allotted[i]
                total -= e[j]
        counts += allotted.values()
    return np.array(counts, np.int64)


def resample(
    weights: Any,
    offsets: Any,
    n: Any,
    *,
    method: str = "multinomial",
    seed: int = 0,
    keys: Any = None,
    draw: int = 0,
) -> tuple[Any, Any]:
    """The first index whose running sum exceeds the random number."""
    chosen = []
    for p, (values, count) in enumerate(
        zip(_problems(weights, offsets), _each(n, offsets), strict=True)
    ):
        key = p if keys is None else int(keys[p])
        draws = [uniform(seed, key, i, draw) for i in range(max(count, 1))]
        drawn: list[int] = []
        masses = [float(w) for w in values]
        if method == "residual":
            wanted = [count * (w / sum(masses)) for w in masses]
            drawn = [i for i, w in enumerate(wanted) for _ in range(math.floor(w))]
            masses = [w - math.floor(w) for w in wanted]
        running = list(accumulate(masses))
        for i in range(len(drawn), count):
            at = {
                "stratified": (i + draws[i]) / count,
                "systematic": (i + draws[0]) / count,
            }.get(method, draws[i]) * running[-1]
            drawn.append(next((j for j, s in enumerate(running) if s > at), len(values) - 1))
        chosen.append(drawn)
    return _flat(chosen, offsets)


def effective_sample_size(weights: Any, offsets: Any) -> Any:
    """1 / sum p^2."""
    return np.array(
        [
            1 / sum((w / sum(values)) ** 2 for w in values) if values else 0.0
            for values in _problems(weights, offsets)
        ]
    )


def tempering(
    weights: Any,
    offsets: Any,
    progress: float,
    *,
    how: str = "ess",
    threshold: float = 0.5,
    early: float = 0.5,
    start: float = 1.0,
    end: float = 1.0,
) -> Any:
    """As its_hub's ``_temperature_annealing``, and the linear one."""

    def temperature(values: list[float]) -> float:
        if how == "linear":
            return start - (start - end) * min(1.0, progress)
        if len(values) <= 1:
            return 1.0
        p = np.clip(np.array(values) / sum(values), 1e-7, 1 - 1e-7)
        ratio = 1 / (p**2).sum() / len(values)
        entropy = -(p * np.log(p)).sum() / (np.log(len(values)) if len(values) > 2 else 1)
        if ratio >= threshold or progress >= early:
            return 1.0
        temperatures = {
            "ess": (1 - progress) / ratio,
            "entropy": 1 / (entropy + (1 - entropy) * progress),
            "base": 2 - progress,
        }
        return max(1.0, float(temperatures[how]))

    return np.array([temperature(values) for values in _problems(weights, offsets)])


def drop_duplicates(texts: Any, offsets: Any) -> tuple[Any, Any]:
    """Texts that no earlier one of the problem equals."""
    chosen = [
        [i for i, text in enumerate(group) if text not in group[:i]]
        for group in _problems(texts, offsets)
    ]
    return _flat(chosen, offsets)
