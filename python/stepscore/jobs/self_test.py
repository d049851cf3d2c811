"""Every op against its specification, on small inputs: whether this machine computes right."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from stepscore import ops, reference
from stepscore.ops import Rule
from stepscore.ops.result_lines import CandidateResults
from stepscore.report.doctor import Tested

# float32 out of a few dozen products stays well within; a wrong lane, sign or index does not.
_TOLERANCE = 1e-5
_NODES = 64  # of a tree, at most
_TEXTS = (
    "so \\boxed{\\frac{2}{4}}",
    "#### 50%",
    "The answer is 1,000.",
    "x = 3 or x = -3",
    "no idea",
    None,
    "\\boxed{[0, 1)}",
    "The answer is 0.5",
)
_TEXT_OFFSETS = (0, 3, 8)


def self_test(seed: int = 0) -> list[Tested]:
    """Compare every op with `stepscore.reference`, at the CPU level in force.

    Args:
        seed: of the inputs.

    Returns:
        A row for each op: its name, its seconds, and what differs, if anything does.
    """
    return [_tested(name, make, seed) for name, make in CASES.items()]


def _tested(name: str, make: Callable[[Any, Any], Iterable[Any]], seed: int) -> Tested:
    begun = time.perf_counter()
    try:
        ours, expected = (
            list(parts_of(make(home, np.random.default_rng(seed)))) for home in (ops, reference)
        )
        fault = next(_differences(ours, expected), None)
    except Exception as error:  # an op that raises is a finding, and the others are still tested
        fault = f"{type(error).__name__}: {error}"
    return Tested(name, time.perf_counter() - begun, fault)


def parts_of(results: Any) -> Iterator[np.ndarray]:
    """Flatten results of any kind into arrays."""
    if dataclasses.is_dataclass(results) and not isinstance(results, type):
        results = [getattr(results, field.name) for field in dataclasses.fields(results)]
    if results is None or isinstance(results, (str, int, float, bool)):
        yield np.array(str(results) if results is None else results)
    elif isinstance(results, np.ndarray):
        yield results
    else:
        for each in results:
            yield from parts_of(each)


def _differences(ours: list[np.ndarray], expected: list[np.ndarray]) -> Iterator[str]:
    if len(ours) != len(expected):
        yield f"{len(ours)} arrays; expected {len(expected)}"
    for i, (got, right) in enumerate(zip(ours, expected, strict=False)):
        if got.shape != right.shape:
            yield f"result {i} has the shape {list(got.shape)}; expected {list(right.shape)}"
            continue
        if got.dtype.kind == "f":
            right = right.astype(np.float64)
            wrong = ~np.isclose(got, right, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True)
        else:
            wrong = np.asarray(got != right)
        if wrong.any():
            at = np.unravel_index(int(np.argmax(wrong)), got.shape)
            place = f" at {[int(index) for index in at]}" if at else ""
            yield f"result {i}{place}: {got[at]!s}; expected {right[at]!s}"


# --- the ops: of `stepscore.ops` or `stepscore.reference`, on the same inputs -------------------


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def _offsets(rng: np.random.Generator, segments: int) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(rng.integers(0, 9, segments))]).astype(np.int64)


def _segments(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Values in (0, 1) with their offsets; no segment is empty."""
    offsets = _offsets(rng, 41) + np.arange(42)
    return rng.uniform(0.01, 0.99, offsets[-1]).astype(np.float32), offsets


def _aggregate(of: Any, rng: np.random.Generator) -> Any:
    offsets = _offsets(rng, 41)  # some are empty
    values = rng.uniform(0.01, 0.99, offsets[-1]).astype(np.float32)
    how = ["min", "max", "mean", "sum", "prod", "last", "first", "geometric_mean", "logit_mean"]
    return [of.aggregate(values, offsets, [*how, "odds_mean", "softmin"])]


def _padded(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rewards and values of rows of tokens, and a mask with gaps."""
    return _normal(rng, 11, 70), _normal(rng, 11, 70), rng.random((11, 70)) < 0.8


def _discounted_return(of: Any, rng: np.random.Generator) -> Any:
    rewards, _, mask = _padded(rng)
    for policy in ("carry", "zero", "none", "reset"):
        yield of.discounted_return(rewards, gamma=0.9, mask=mask, mask_policy=policy)


def _min_return(of: Any, rng: np.random.Generator) -> Any:
    rewards, values, mask = _padded(rng)
    yield of.min_return(rewards, mask=mask)
    yield of.min_return(rewards, step_mask=mask & (values > 0.5), mask=mask, empty=0.0)


def _gae(of: Any, rng: np.random.Generator) -> Any:
    rewards, values, mask = _padded(rng)
    for policy in ("carry", "zero", "none"):
        yield of.gae(rewards, values, gamma=0.99, lam=0.9, mask=mask, mask_policy=policy)


def _td_targets(of: Any, rng: np.random.Generator) -> Any:
    rewards, values, mask = _padded(rng)
    yield of.td_targets(rewards, values, n=3, gamma=0.8, mask=mask, clip=(0, 1))


def _group_advantage(of: Any, rng: np.random.Generator) -> Any:
    rewards, groups = rng.standard_normal(60), rng.integers(0, 20, 60)
    for baseline in ("mean", "leave_one_out"):
        for scale in ("std", "leave_one_out", "batch", "batch_centred", "none"):
            yield of.group_advantage(rewards, groups, baseline=baseline, scale=scale)


def _softmin_weights(of: Any, rng: np.random.Generator) -> Any:
    return [of.softmin_weights(*_segments(rng))]


def _shape_rewards(of: Any, rng: np.random.Generator) -> Any:
    rewards, offsets = _segments(rng)
    yield of.shape_rewards(rewards, offsets, ["clip", "delta"], eta=0.5)
    yield of.shape_rewards(rewards, offsets, ["progress", "potential"], gamma=0.9, boundary=0.5)


def _gate_rewards(of: Any, rng: np.random.Generator) -> Any:
    return [of.gate_rewards(_normal(rng, 20, 3), [-0.5, 0.0])]


def _step_group_advantage(of: Any, rng: np.random.Generator) -> Any:
    rewards, offsets = _segments(rng)
    groups = rng.integers(0, 9, len(offsets) - 1)
    for weighting in ("step", "trace"):
        yield of.step_group_advantage(rewards, offsets, groups, weighting=weighting)


def _whiten(of: Any, rng: np.random.Generator) -> Any:
    values, _, mask = _padded(rng)
    return [of.whiten(values, mask)]


def _value_head(of: Any, rng: np.random.Generator) -> Any:
    hidden, weight, bias = _normal(rng, 9, 301), _normal(rng, 2, 301) / 16, _normal(rng, 2)
    for activation in ("identity", "sigmoid", "softmax", "difference"):
        yield of.value_head(hidden, weight, bias, positions=[8, 0, 5], activation=activation)


def _mlp_head(of: Any, rng: np.random.Generator) -> Any:
    hidden, layers = _normal(rng, 9, 67), [(_normal(rng, 33, 67) / 8, _normal(rng, 33))]
    layers.append((_normal(rng, 2, 33) / 6, _normal(rng, 2)))
    for inner in ("relu", "silu", "tanh"):
        yield of.mlp_head(hidden, layers, inner=inner, activation="softmax")


def _token_logprob(of: Any, rng: np.random.Generator) -> Any:
    # Whole numbers and quarters: the product, which is NumPy's, is exact.
    hidden, lm_head = rng.integers(-2, 3, (9, 20)), rng.integers(-3, 4, (600, 20)) / 4
    hidden, lm_head = hidden.astype(np.float32), lm_head.astype(np.float32)
    targets = rng.integers(0, 590, 9)
    for soft_cap in (None, 3.0):
        yield of.token_logprob(
            hidden, lm_head, targets, soft_cap=soft_cap, vocabulary=590, entropy=True
        )[:2]


def _find_steps(of: Any, rng: np.random.Generator) -> Any:
    offsets = _offsets(rng, 41)
    ids = rng.integers(0, 4, offsets[-1])
    yield of.find_steps(ids, offsets, 3, collapse=True)
    yield of.find_steps(ids, offsets, [3, 1], shift=-1)


def _vote(of: Any, rng: np.random.Generator) -> Any:
    scores, offsets = _segments(rng)
    ids = rng.integers(-1, 4, len(scores))
    rules = ["majority", "weighted", "weighted_mean", "best_of_n", "borda", "logodds_weighted"]
    for ties in ("first", "best_score"):
        yield of.vote(
            ids, scores, offsets, [*rules, Rule("softmax_weighted", temperature=0.1)], ties=ties
        )


def _extract_answers(of: Any, rng: np.random.Generator) -> Any:
    return of.extract_answers(_TEXTS)


def _answer_keys(of: Any, rng: np.random.Generator) -> Any:
    return of.answer_keys(_TEXTS)


def _group_answers(of: Any, rng: np.random.Generator) -> Any:
    return [of.group_answers(_TEXTS, _TEXT_OFFSETS, verify=None)]


def _gated_activation(of: Any, rng: np.random.Generator) -> Any:
    gate, up = _normal(rng, 5, 67), _normal(rng, 5, 67)
    for activation in ("silu", "gelu", "gelu_tanh"):
        yield of.gated_activation(gate, up, activation=activation)


def _path_attention(of: Any, rng: np.random.Generator) -> Any:
    queries, keys, values = (
        _normal(rng, 23, 4, 16),
        _normal(rng, 23, 2, 16),
        _normal(rng, 23, 2, 16),
    )
    segments = [[0, 0, 15], [0, 0, 12], [0, 15, 8]]
    yield of.path_attention(queries, keys, values, [0, 15, 23], segments, [0, 1, 3])
    yield of.path_attention(queries, keys, values, [0, 23], window=5, soft_cap=20.0)


def _prefix_trie(of: Any, rng: np.random.Generator) -> Any:
    offsets = _offsets(rng, 41)
    trie = of.PrefixTrie(rng.integers(0, 3, offsets[-1]), offsets)
    return [trie.token, trie.parent, trie.depth, trie.count, trie.node_of_token]


def _top_k(of: Any, rng: np.random.Generator) -> Any:
    return of.top_k(*_segments(rng), 3)


def _replicate(of: Any, rng: np.random.Generator) -> Any:
    _, offsets = _segments(rng)
    return of.replicate(offsets, rng.integers(0, 20, len(offsets) - 1))


def _rebase_allotment(of: Any, rng: np.random.Generator) -> Any:
    return [of.rebase_allotment(*_segments(rng), 16)]


def _resample(of: Any, rng: np.random.Generator) -> Any:
    weights, offsets = _segments(rng)
    for method in ("multinomial", "systematic", "stratified", "residual"):
        yield of.resample(weights.astype(np.float64), offsets, 7, method=method, seed=3)


def _effective_sample_size(of: Any, rng: np.random.Generator) -> Any:
    weights, offsets = _segments(rng)
    return [of.effective_sample_size(weights.astype(np.float64), offsets)]


def _tempering(of: Any, rng: np.random.Generator) -> Any:
    weights, offsets = _segments(rng)
    return [of.tempering(weights.astype(np.float64), offsets, 0.25)]


def _drop_duplicates(of: Any, rng: np.random.Generator) -> Any:
    _, offsets = _segments(rng)
    return of.drop_duplicates([f"step {i}" for i in rng.integers(0, 3, offsets[-1])], offsets)


def _tree_search(of: Any, rng: np.random.Generator) -> Any:
    """Sixteen simulations of PUCT, in a world whose answers depend on the node alone."""
    values, logprob = rng.uniform(size=2 * _NODES), -3 * rng.uniform(size=2 * _NODES)
    tree = of.TreeSearch(2, max_nodes=_NODES, seed=1)
    while True:
        tree.select("puct", simulations=16, samples=3)
        asked = tree.ask()
        if not len(asked.expand.nodes) and not len(asked.score.nodes):
            break
        children = np.repeat(asked.expand.nodes, asked.expand.samples) + np.concatenate(
            [np.arange(1, count + 1) for count in [*asked.expand.samples, 0]]
        )
        offsets = np.concatenate([[0], np.cumsum(asked.expand.samples)])
        tree.tell_expand(asked.expand.tickets, offsets, logprob=logprob[children % (2 * _NODES)])
        tree.tell_score(asked.score.tickets, values[asked.score.nodes])
    yield tree.path(tree.best("visits"))
    yield tree.frontier()


def _lines(rng: np.random.Generator, offsets: np.ndarray) -> list[bytes]:
    """Records with a candidate of three steps for every place between offsets."""
    candidates = [
        f'{{"answer": "{answer}", "step_scores": {rng.uniform(size=3).tolist()}}}'
        for answer in rng.integers(0, 4, offsets[-1])
    ]
    return [
        f'{{"id": {number}, "candidates": [{", ".join(candidates[begin:end])}]}}'.encode()
        for number, (begin, end) in enumerate(pairwise(offsets))
    ]


def _scan_records(of: Any, rng: np.random.Generator) -> Any:
    _, offsets = _segments(rng)
    return of.scan_records(_lines(rng, offsets))


def _result_lines(of: Any, rng: np.random.Generator) -> Any:
    scores, offsets = _segments(rng)
    count = len(scores)
    results = CandidateResults(
        offsets,
        np.zeros(count, np.int64),
        rng.random(count) < 0.1,
        scores=scores.astype(np.float64)[:, None],
        ranks=rng.integers(1, 9, count),
    )
    lines = _lines(rng, offsets)
    written = of.result_lines(lines, ["{}"] * len(lines), results, columns=["last"])
    return [np.frombuffer(written, np.uint8)]


CASES: dict[str, Callable[[Any, Any], Iterable[Any]]] = {
    "aggregate": _aggregate,
    "discounted_return": _discounted_return,
    "min_return": _min_return,
    "gae": _gae,
    "td_targets": _td_targets,
    "group_advantage": _group_advantage,
    "softmin_weights": _softmin_weights,
    "shape_rewards": _shape_rewards,
    "gate_rewards": _gate_rewards,
    "step_group_advantage": _step_group_advantage,
    "whiten": _whiten,
    "value_head": _value_head,
    "mlp_head": _mlp_head,
    "token_logprob": _token_logprob,
    "find_steps": _find_steps,
    "vote": _vote,
    "extract_answers": _extract_answers,
    "answer_keys": _answer_keys,
    "group_answers": _group_answers,
    "gated_activation": _gated_activation,
    "path_attention": _path_attention,
    "PrefixTrie": _prefix_trie,
    "top_k": _top_k,
    "replicate": _replicate,
    "rebase_allotment": _rebase_allotment,
    "resample": _resample,
    "effective_sample_size": _effective_sample_size,
    "tempering": _tempering,
    "drop_duplicates": _drop_duplicates,
    "TreeSearch": _tree_search,
    "scan_records": _scan_records,
    "result_lines": _result_lines,
}
