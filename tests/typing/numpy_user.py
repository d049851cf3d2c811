"""Code of a user with NumPy: it passes ``mypy --strict``, with torch installed and without."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import assert_type

import stepscore
from stepscore import TokenLogprob, jobs
from stepscore.evaluation import AtK, Interval, mean_interval, pass_at_k, prm_at_k, vote_at_k
from stepscore.ops.aggregate import AGGREGATIONS, Aggregation
from stepscore.rewards import Method, broadcast, method, place

Ids = NDArray[np.int64]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


def tables(rows: list[dict[str, Any]], columns: dict[str, list[str]]) -> list[dict[str, Any]]:
    assert_type(jobs.score(columns, "lab", group_by="problem"), dict[str, list[str]])
    assert_type(jobs.vote(rows, how="min"), list[dict[str, Any]])
    return jobs.rerank(rows, "lab", devices=["cpu", "cpu"], on_error="skip")


def heads(hidden: F32, weight: F32, half: NDArray[np.float16], ends: Ids) -> F32:
    assert_type(stepscore.value_head(half, weight, positions=ends), F32)
    assert_type(stepscore.value_head(hidden, weight, activation="sigmoid"), F32)
    assert_type(stepscore.mlp_head(hidden, [(weight, None)], inner="tanh"), F32)
    assert_type(stepscore.value_head([[0.5, 1.0]], [[1.0, 2.0]]), F32)
    assert_type(stepscore.gated_activation(hidden, hidden, activation="gelu"), F32)
    out = np.empty((len(ends), 1), np.float32)
    return stepscore.value_head(hidden, weight, activation="difference", out=out)


def tokens(hidden: F32, lm_head: NDArray[np.float16], ids: Ids) -> TokenLogprob:
    assert_type(stepscore.token_logprob(hidden, lm_head, ids, temperature=0.7), F32)
    found: TokenLogprob = stepscore.token_logprob(hidden, lm_head, ids, soft_cap=30.0, top=True)
    return found


def attention(query: F32, key: F32, value: F32, segments: Ids, bounds: Ids) -> F32:
    assert_type(stepscore.path_attention(query, key, value, [0, 4], window=8), F32)
    out = np.empty_like(query)
    return stepscore.path_attention(
        query, [key, key], [value, value], bounds, segments, bounds, soft_cap=50.0, out=out
    )


def steps(token_ids: Ids, offsets: Ids) -> tuple[Ids, Ids]:
    assert_type(stepscore.find_steps([5, 9], [0, 2], 9, collapse=True), tuple[Ids, Ids])
    return stepscore.find_steps(token_ids, offsets, [9, 10], shift=-1)


def aggregates(single: F32, double: F64, anything: NDArray[Any], offsets: Ids) -> NDArray[Any]:
    assert_type(stepscore.aggregate(single, offsets, "min"), F32)
    assert_type(stepscore.aggregate(double, offsets, ["min", "prod"], empty=0.0), F64)
    stepscore.aggregate([0.5, 0.25], [0, 2], "softmin", nan="propagate").mean()
    some: list[Aggregation] = ["min", "last"]
    stepscore.aggregate(single, offsets, some)
    stepscore.aggregate(single, offsets, AGGREGATIONS)
    return stepscore.aggregate(anything, offsets, "mean")


def credit(steps: F64, offsets: Ids, ends: Ids, mask: NDArray[np.bool_]) -> Method:
    place(steps, offsets, ends=ends, mask=mask, outcomes=[1.0, 0.0])
    broadcast(steps, offsets, ends=ends, mask=mask, outside=0.0)
    assert_type(method("rloo").confidence == "author", bool)
    return method("grpo")


def returns(single: F32, double: F64, mask: NDArray[np.bool_], offsets: Ids) -> F32:
    assert_type(stepscore.discounted_return(single, gamma=0.9, mask=mask), F32)
    assert_type(stepscore.min_return(double, offsets=offsets, empty=0.0), F64)
    assert_type(stepscore.td_targets(single, single, n=2, gamma=1, clip=(0, 1)), F32)
    stepscore.min_return([0.5, 0.25], offsets=[0, 2]).mean()
    assert_type(stepscore.whiten(single, mask, ddof=0), F32)
    assert_type(stepscore.softmin_weights(double, offsets, temperature=0.1), F64)
    assert_type(stepscore.shape_rewards(single, offsets, ["clip", "delta"], eta=0.5), F32)
    assert_type(stepscore.gate_rewards(double, [0.5], strict=True), F64)
    assert_type(stepscore.step_group_advantage(single, offsets, offsets, scale="none"), F32)
    assert_type(stepscore.group_advantage(single, offsets, scale="none", group_size=8), F32)
    advantages, _ = stepscore.gae(single, single, gamma=1, lam=[0.9, 1], mask_policy="zero")
    return advantages


def answers(texts: list[str], offsets: Ids) -> tuple[list[str | None], Ids]:
    assert_type(stepscore.extract_answers(texts), list[str | None])
    assert_type(stepscore.answer_keys([*texts, None]), list[str | None])
    groups = stepscore.group_answers(texts, offsets, verify=None, explain=True)
    assert_type(groups, stepscore.AnswerGroups)
    assert_type(groups.ids, Ids)
    ids = stepscore.group_answers(texts, offsets, verify="auto", budget=10)
    assert_type(stepscore.same_answer("1/2", [*texts, None]), NDArray[np.bool_])
    stepscore.same_answer([None, *texts], texts, verify=lambda a, b: a == b)
    stepscore.group_answers(texts, offsets, verify=lambda a, b: a == b)
    return stepscore.answer_keys(texts), ids


def votes(ids: Ids, scores: F64, offsets: Ids) -> stepscore.VoteResult:
    result = stepscore.vote(ids, scores, offsets, "weighted", ties="best_score", nan="drop")
    assert_type(result.winner, Ids)
    assert_type(result.margin, F64)
    assert_type(result.tied, NDArray[np.bool_])
    rule = stepscore.Rule("softmax_weighted", temperature=0.1)
    assert_type(stepscore.vote(None, [0.5], [0, 1], [rule, "borda"]).answer_id, Ids)
    return stepscore.vote(ids, None, offsets, ["majority"], prefixes=[1, 2, 4], class_scores=True)


def frontiers(scores: F64, offsets: Ids) -> F64:
    assert_type(stepscore.top_k(scores, offsets, 4), tuple[Ids, Ids])
    assert_type(stepscore.replicate(offsets, 4), tuple[Ids, Ids])
    assert_type(stepscore.rebase_allotment(scores, offsets, 16, arith="exact"), Ids)
    assert_type(stepscore.resample(scores, offsets, 4, method="systematic"), tuple[Ids, Ids])
    assert_type(stepscore.drop_duplicates(["a", "a"], [0, 2]), tuple[Ids, Ids])
    assert_type(stepscore.effective_sample_size(scores, offsets), F64)
    return stepscore.tempering(scores, offsets, 0.5, how="linear")


def tries(token_ids: Ids, offsets: Ids) -> F64:
    trie = stepscore.PrefixTrie(token_ids, offsets)
    for array in (trie.parent, trie.depth, trie.count, trie.node_of_token, trie.children_of(0)):
        assert_type(array, Ids)
    trie.token.tolist()
    return 1 / trie.count[trie.node_of_token]


def searches() -> Ids:
    tree = stepscore.TreeSearch(2, max_nodes=64, duplicates="merge")
    tree.select("puct", simulations=8, samples=2, unvisited="parent", c=2.0, max_depth=8)
    tree.request_expand(tree.roots, 4, mode="rollout")
    assert_type(tree.ask().expand.tickets, Ids)
    assert_type(tree.value, F64)
    assert_type(tree.text(tree.roots), list[str])
    return tree.best("value")


def of_a_model(
    scored: stepscore.StepScores, correct: NDArray[np.bool_], ids: Ids, offsets: Ids
) -> Ids:
    prm_at_k(correct, scored, offsets, 4, how="min", tie_credit="lose")
    vote_at_k(correct, ids, scored, offsets, 4, "weighted", how="prod")
    assert_type(scored.totals("min"), F64)
    return stepscore.vote(ids, scored, offsets, "best_of_n").winner


def estimates(correct: NDArray[np.bool_], ids: Ids, scores: F64, offsets: Ids) -> Interval:
    assert_type(pass_at_k(correct, offsets, [1, 4], too_few="nan"), AtK)
    best = prm_at_k(correct, scores, offsets, 4, nan="drop", interval="normal")
    voted = vote_at_k(correct, ids, scores, offsets, [4, 8], "weighted", method="subsets")
    vote_at_k(correct, ids, scores, offsets, 4, stepscore.Rule("borda", power=2))
    assert_type(best.mean, F64)
    return mean_interval(voted.values - best.values, "bootstrap", confidence=0.9)


def devices() -> list[str]:
    assert_type(stepscore.cuda_devices(), list[stepscore.CudaDevice])
    return [f"{device.name} {device.compute_capability[0]}" for device in stepscore.cuda_devices()]
