"""Ops called from many Python threads at the same time give the bits that they give alone.

Both modules declare that they need no GIL; this is what that rests on.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from op_calls import normal
from same_bits import THREADS, bits

import stepscore
from stepscore.ops.result_lines import CandidateResults


@pytest.fixture(autouse=True)
def _split_small_inputs() -> None:
    stepscore._core.set_least_work(0)  # restored by the conftest


ROOT = Path(__file__).resolve().parents[1]
WORKERS = 8
ROUNDS = 12


def ragged(rng: np.random.Generator) -> np.ndarray:
    """Offsets of 300 segments of 0 to 30 items."""
    offsets = np.zeros(301, np.int64)
    np.cumsum(rng.integers(0, 31, 300), out=offsets[1:])
    return offsets


def heads(seed: int) -> list[Any]:
    hidden, weight, inner = normal(400, 64, seed=seed), normal(2, 64, seed=1), normal(64, 64)
    layers = [(inner, None), (weight, None)]
    return [
        stepscore.value_head(hidden, weight, activation="softmax"),
        stepscore.mlp_head(hidden, layers, activation="difference"),
    ]


def gates(seed: int) -> list[Any]:
    gate, up = normal(400, 65, seed=seed), normal(400, 65, seed=1)
    return [stepscore.gated_activation(gate, up), stepscore.gated_activation(gate)]


def attention(seed: int) -> list[Any]:
    q, k = normal(150, 4, 16, seed=seed), normal(150, 2, 16, seed=seed + 1)
    segments = [[0, 0, 150], [0, 0, 120], [0, 130, 10]]
    return [stepscore.path_attention(q, k, k, [0, 100, 150], segments, [0, 1, 3])]


def tokens(seed: int) -> list[Any]:
    hidden, matrix = np.round(normal(60, 24, seed=seed)), np.round(normal(1500, 24, seed=1))
    targets = np.arange(60) * 7 + seed % 7
    return [stepscore.token_logprob(hidden, matrix, targets, entropy=True, top=True)[:4]]


def aggregations(seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    offsets = ragged(rng)
    scores = rng.uniform(0.01, 0.99, offsets[-1])
    how = ["min", "mean", "prod", "logit_mean", "softmin"]
    return [stepscore.aggregate(scores, offsets, how)]


def steps(seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    offsets = ragged(rng)
    return list(stepscore.find_steps(rng.integers(0, 4, offsets[-1]), offsets, 3, collapse=True))


def votes(seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    offsets = ragged(rng)
    ids, scores = rng.integers(-1, 6, offsets[-1]), rng.uniform(0.01, 0.99, offsets[-1])
    rules = ["majority", "weighted", "borda"]
    return list(stepscore.vote(ids, scores, offsets, rules, class_scores=True))


def answers(seed: int) -> list[Any]:
    rng = random.Random(seed)
    pieces = ["1/2", r"\frac{3}{4}", "0.5", r"\sqrt{8}", "(1,2]", "{1,2}", "x=3", "5 cm", "Yes"]
    texts = [f"so \\boxed{{{rng.choice(pieces)}{rng.choice(pieces)}}}" for _ in range(300)]
    groups = stepscore.group_answers(texts, [0, 100, 300], verify=None)
    keys = [str(key).encode() for key in stepscore.answer_keys(texts)]
    return [b"|".join(keys), *(str(a).encode() for a in stepscore.extract_answers(texts)), groups]


def records(seed: int) -> list[bytes]:
    rng = np.random.default_rng(seed)
    return [
        json.dumps(
            {
                "id": number,
                "candidates": [
                    {"answer": str(answer), "step_scores": rng.uniform(size=3).tolist()}
                    for answer in rng.integers(0, 4, 1 + number % 5)
                ],
            }
        ).encode()
        for number in range(300)
    ]


def scans(seed: int) -> list[Any]:
    scan = stepscore.scan_records(records(seed))
    texts = repr((scan.ids, scan.known, scan.answers, scan.solutions)).encode()
    arrays = [scan.offsets, scan.step_scores, scan.step_offsets, scan.correct, scan.answer]
    return [texts, *arrays]


def lines(seed: int) -> list[Any]:
    of_records = records(seed)
    scan = stepscore.scan_records(of_records)
    count = int(scan.offsets[-1])
    candidates = CandidateResults(
        scan.offsets,
        np.zeros(count, np.int64),
        np.zeros(count, np.bool_),
        step_scores=scan.step_scores,
        step_offsets=scan.step_offsets,
    )
    return [stepscore.result_lines(of_records, ["{}"] * len(of_records), candidates)]


def scans_of_tokens(seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    offsets = ragged(rng)
    rewards, values = rng.normal(size=(2, offsets[-1]))
    rows: dict[str, Any] = {"mask": rng.random(offsets[-1]) < 0.8, "offsets": offsets}
    return [
        stepscore.discounted_return(rewards, gamma=0.9, **rows),
        *stepscore.gae(rewards, values, gamma=0.9, lam=rng.random(300), **rows),
        stepscore.min_return(rewards, **rows),
        stepscore.td_targets(rewards, values, n=3, gamma=0.9, **rows),
    ]


def comparisons(seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    rewards, groups = rng.normal(size=2000), rng.integers(0, 300, 2000)
    return [
        stepscore.group_advantage(rewards, groups, scale=scale)
        for scale in ("std", "leave_one_out", "batch", "batch_centred", "none")
    ]


def shapes(seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    offsets = ragged(rng)
    rewards, groups = rng.normal(size=offsets[-1]), rng.integers(0, 40, 300)
    return [
        stepscore.softmin_weights(rewards, offsets),
        stepscore.shape_rewards(rewards, offsets, ["clip", "delta"], eta=0.5),
        stepscore.gate_rewards(rewards[:600].reshape(300, 2), [0.5]),
        stepscore.step_group_advantage(rewards, offsets, groups),
        stepscore.whiten(rewards, offsets=offsets),
    ]


def tries(seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    offsets = ragged(rng)
    trie = stepscore.PrefixTrie(rng.integers(0, 3, offsets[-1]), offsets)
    return [trie.token, trie.parent, trie.depth, trie.count, trie.node_of_token]


def levels(seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    offsets = ragged(rng)
    weights = rng.uniform(0.01, 0.99, offsets[-1])
    filled = np.diff(offsets) > 0
    texts = [str(digit) for digit in rng.integers(0, 9, offsets[-1])]
    return [
        *stepscore.top_k(weights, offsets, 3),
        *stepscore.replicate(offsets, 2),
        stepscore.rebase_allotment(weights, offsets, 5, temperature=0.5),
        *stepscore.resample(weights, offsets, np.where(filled, 4, 0), seed=seed),
        stepscore.effective_sample_size(weights, offsets),
        stepscore.tempering(weights, offsets, 0.3),
        *stepscore.drop_duplicates(texts, offsets),
    ]


def play(tree: stepscore.TreeSearch, seed: int) -> None:
    """Select, ask and tell until all simulations are done; the answers follow from the nodes."""
    for _ in range(200):
        tree.select("puct", simulations=12, samples=3, leaves=4)
        requests = tree.ask()
        expand, score = requests.expand, requests.score
        if len(expand.tickets) == 0 and len(score.tickets) == 0:
            return
        offsets = np.arange(len(expand.tickets) + 1) * 3
        logprob = -(((offsets[-1] + np.arange(offsets[-1])) * 7 + seed) % 5).astype(np.float64)
        texts = [str(i) for i in range(offsets[-1])]
        if len(expand.tickets):
            tree.tell_expand(expand.tickets, offsets, logprob=logprob, texts=texts)
        if len(score.tickets):
            tree.tell_score(score.tickets, (score.nodes * 37 + seed) % 101 / 101)


def trees(seed: int) -> list[Any]:
    tree = stepscore.TreeSearch(20, max_nodes=200, seed=seed)
    play(tree, seed)
    nodes = tree.roots
    return [tree.visits, tree.value_sum, tree.flags, tree.best(), tree.uniform(nodes)]


CALLS: dict[str, Callable[[int], list[Any]]] = {
    "value_head": heads,
    "token_logprob": tokens,
    "path_attention": attention,
    "aggregate": aggregations,
    "step_boundary": steps,
    "vote": votes,
    "answer_key": answers,
    "prefix_trie": tries,
    "frontier": levels,
    "gated_activation": gates,
    "tree_search": trees,
    "record_scan": scans,
    "result_lines": lines,
    "returns": scans_of_tokens,
    "reward_shaping": shapes,
    "group_advantage": comparisons,
}


def results(op: str, seed: int) -> list[bytes]:
    fields: list[bytes] = []
    for field in CALLS[op](seed):
        if isinstance(field, bytes):
            fields.append(field)
        elif isinstance(field, tuple):
            fields += [bits(part) for part in field]
        else:
            fields.append(bits(field))
    return fields


@pytest.fixture
def changing_threads():
    """Another thread that sets the number of threads, all the time."""
    before = stepscore.num_threads()
    ended = threading.Event()

    def change() -> None:
        while not ended.wait(0.001):
            for threads in THREADS:
                stepscore.set_num_threads(threads)

    changer = threading.Thread(target=change)
    changer.start()
    yield
    ended.set()
    changer.join()
    stepscore.set_num_threads(before)


def test_every_op_is_called() -> None:
    bindings = (ROOT / "src").glob("bind_*.cc")
    assert set(CALLS) == {path.stem.removeprefix("bind_") for path in bindings}


@pytest.mark.parametrize("op", CALLS)
def test_an_op_in_many_threads_gives_the_bits_that_it_gives_alone(
    op: str, changing_threads: None
) -> None:
    expected = {seed: results(op, seed) for seed in range(WORKERS)}
    start = threading.Barrier(WORKERS)

    def worker(seed: int) -> list[list[bytes]]:
        start.wait()
        return [results(op, seed) for _ in range(ROUNDS)]

    with ThreadPoolExecutor(WORKERS) as pool:
        for seed, rounds in enumerate(pool.map(worker, range(WORKERS))):
            assert all(got == expected[seed] for got in rounds)


def test_different_ops_at_the_same_time_do_not_disturb_each_other(changing_threads: None) -> None:
    expected = {op: results(op, 3) for op in CALLS}
    start = threading.Barrier(len(CALLS))

    def worker(op: str) -> list[list[bytes]]:
        start.wait()
        return [results(op, 3) for _ in range(ROUNDS)]

    with ThreadPoolExecutor(len(CALLS)) as pool:
        for op, rounds in zip(CALLS, pool.map(worker, CALLS), strict=True):
            assert all(got == expected[op] for got in rounds), op


def test_the_instruction_level_may_change_meanwhile() -> None:
    from stepscore import _core

    before, expected = _core.cpu_level(), results("value_head", 0)
    ended = threading.Event()

    def change() -> None:
        while not ended.is_set():
            for level in ("baseline", before):
                _core.set_cpu_level(level)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        for _ in range(ROUNDS):
            assert results("value_head", 0) == expected
    finally:
        ended.set()
        changer.join()
        _core.set_cpu_level(before)


def test_one_tree_search_in_many_threads_answers_or_refuses() -> None:
    """The verbs take turns: what one thread asked for, another cannot tell a second time."""
    tree = stepscore.TreeSearch(40, max_nodes=400, seed=1)
    told = np.zeros(WORKERS, np.int64)

    def worker(number: int) -> None:
        for _ in range(100):
            tree.select("puct", simulations=20, samples=2, leaves=2)
            requests = tree.ask(max_expand=7, max_score=7)
            count = len(requests.expand.tickets)
            if count:
                texts = [str(i) for i in range(2 * count)]
                tree.tell_expand(requests.expand.tickets, np.arange(count + 1) * 2, texts=texts)
                told[number] += 2 * count
            if len(requests.score.tickets):
                tree.tell_score(requests.score.tickets, np.full(len(requests.score.tickets), 0.5))
            assert (tree.visits >= 0).all()
            tree.frontier()
            tree.best()

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(worker, range(WORKERS)))
    present = (tree.flags & stepscore.TreeSearch.EXISTS) != 0
    assert told.sum() > 0
    assert present.sum() == 40 + told.sum()
    with pytest.raises(ValueError, match="was told before"):
        tree.tell_expand([0], [0, 0])
