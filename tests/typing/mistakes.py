"""Mistakes of users: ``mypy --strict`` finds each in the line that is marked, and nothing else."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import stepscore
from stepscore import jobs
from stepscore.evaluation import mean_interval, pass_at_k, prm_at_k, vote_at_k
from stepscore.rewards import broadcast
from stepscore.rewards.methods.groups import grpo

Ids = NDArray[np.int64]
F32 = NDArray[np.float32]


def names_that_are_none(scores: F32, ids: Ids, offsets: Ids, name: str) -> None:
    stepscore.aggregate(scores, offsets, "maen")  # E: arg-type
    stepscore.aggregate(scores, offsets, ["min", "maen"])  # E: list-item
    stepscore.aggregate(scores, offsets, name)  # E: arg-type
    stepscore.aggregate(scores, offsets, "min", empty="zero")  # E: call-overload
    stepscore.aggregate(scores, offsets, "min", nan="drop")  # E: call-overload
    stepscore.gae(scores, scores, gamma=1, lam=1, mask_policy="skip")  # E: call-overload
    stepscore.min_return(scores, empty="zero")  # E: call-overload
    stepscore.shape_rewards(scores, offsets, "cut")  # E: arg-type
    stepscore.step_group_advantage(scores, offsets, ids, weighting="token")  # E: call-overload
    stepscore.group_advantage(scores, ids, baseline="median")  # E: call-overload
    stepscore.vote(ids, scores, offsets, "wieghted")  # E: arg-type
    stepscore.vote(ids, scores, offsets, ["majority", "wieghted"])  # E: list-item
    stepscore.vote(ids, scores, offsets, "weighted", ties="last")  # E: call-overload
    stepscore.vote(ids, scores, offsets, "weighted", nan="propagate")  # E: call-overload
    print(stepscore.vote(ids, scores, offsets, "weighted").winer)  # E: attr-defined
    stepscore.Rule("plurality")  # E: arg-type
    stepscore.value_head(scores, scores, activation="sigmoyd")  # E: call-overload
    stepscore.mlp_head(scores, [(scores, None)], inner="gelu")  # E: call-overload
    stepscore.token_logprob(scores, scores, ids, product="half")  # E: call-overload
    stepscore.path_attention(scores, scores, scores, offsets, window="all")  # E: call-overload
    stepscore.group_answers(["1"], [0, 1], verify="sympy")  # E: call-overload
    stepscore.same_answer("1", ["1"], verify="sympy")  # E: arg-type


def names_of_searches_and_estimates(scores: F32, ids: Ids, offsets: Ids) -> None:
    stepscore.rebase_allotment(scores, offsets, 4, arith="float16")  # E: arg-type
    stepscore.resample(scores, offsets, 4, method="residual_systematic")  # E: arg-type
    stepscore.tempering(scores, offsets, 0.5, how="exponential")  # E: arg-type
    tree = stepscore.TreeSearch(1, max_nodes=8, duplicates="drop")  # E: arg-type
    tree.select("uctt", simulations=1, samples=1)  # E: arg-type
    tree.select("uct", simulations=1, samples=1, unvisited="zreo")  # E: arg-type
    tree.select("uct", simulations=1, samples=1, c_puct=1.0)  # E: call-arg
    tree.request_expand(tree.roots, mode="leap")  # E: arg-type
    tree.best("score")  # E: arg-type
    pass_at_k(ids, offsets, 1, too_few="drop")  # E: arg-type
    prm_at_k(ids, scores, offsets, 1, interval="student")  # E: arg-type
    prm_at_k(ids, scores, offsets, 1, tie_credit="win")  # E: arg-type
    vote_at_k(ids, ids, scores, offsets, 1, "wieghted")  # E: arg-type
    vote_at_k(ids, ids, scores, offsets, 1, "weighted", method="fast")  # E: arg-type
    mean_interval(scores, "wilsen")  # E: arg-type


def names_of_methods(scores: F32, ids: Ids, offsets: Ids) -> None:
    broadcast(scores, offsets, ends=ids, outside="zero")  # E: arg-type
    grpo(scores, ids, compat="openrl")  # E: arg-type
    grpo(scores, ids, singleton="drop")  # E: arg-type


def arrays_that_are_something_else(scores: F32, offsets: Ids) -> list[float]:
    stepscore.aggregate("0.5", offsets, "min")  # E: arg-type
    stepscore.extract_answers([12])  # E: list-item
    stepscore.find_steps([5, 9], [0, 2], "\n\n")  # E: arg-type
    stepscore.aggregate(scores, offsets, "min").clip_to(1)  # E: attr-defined
    jobs.vote([{"candidates": []}], on_error="ignore")  # E: arg-type
    return stepscore.aggregate(scores, offsets, "min")  # E: return-value


stepscore.cuda_devices(0)  # E: call-arg
