"""Code of a user with torch: it passes ``mypy --strict``."""

from __future__ import annotations

from collections.abc import AsyncIterator

import torch
from torch import Tensor
from typing_extensions import assert_type

import stepscore


def heads(hidden: Tensor, layer: torch.nn.Linear, ends: Tensor) -> Tensor:
    with torch.no_grad():
        # A parameter is a tensor that computes plain ones.
        assert_type(stepscore.value_head(layer.weight, layer.weight), Tensor)
    weight, bias = layer.weight.detach(), layer.bias.detach()
    assert_type(stepscore.mlp_head(hidden, [(weight, bias)], positions=ends), Tensor)
    out = torch.empty(len(ends), 1)
    return stepscore.value_head(hidden, weight, bias, activation="difference", out=out)


def tokens(hidden: Tensor, layer: torch.nn.Linear, ids: Tensor) -> Tensor:
    with torch.no_grad():
        assert_type(stepscore.token_logprob(hidden, layer.weight, ids), Tensor)
    return stepscore.token_logprob(hidden, layer.weight.detach(), ids, product="input")


def attention(query: Tensor, key: Tensor, value: Tensor, bounds: Tensor) -> Tensor:
    assert_type(stepscore.path_attention(query, [key], [value], bounds, scale=0.125), Tensor)
    return stepscore.path_attention(query, key, value, bounds, out=torch.empty_like(query))


def rewards(token_ids: Tensor, offsets: Tensor, values: Tensor) -> Tensor:
    positions, step_offsets = stepscore.find_steps(token_ids, offsets, 9)
    assert_type(positions, Tensor)
    assert_type(step_offsets, Tensor)
    return stepscore.aggregate(values[positions], step_offsets, "min", empty="nan")


def advantages(rewards: Tensor, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    assert_type(stepscore.whiten(rewards, mask), Tensor)
    assert_type(stepscore.group_advantage(rewards[:, 0], [0, 0, 1, 1]), Tensor)
    assert_type(stepscore.discounted_return(rewards, gamma=1.0, mask=mask), Tensor)
    return stepscore.gae(rewards, values, gamma=1.0, lam=torch.ones(len(rewards)), mask=mask)


def votes(ids: Tensor, scores: Tensor, offsets: Tensor) -> Tensor:
    assert_type(stepscore.vote(ids, None, offsets, "majority").winner, Tensor)
    assert_type(stepscore.vote([0, 1], scores, [0, 2], "weighted").tied, Tensor)
    return stepscore.vote(None, scores, offsets, ["best_of_n", "borda"]).margin


def own_states(hidden: Tensor, ids: Tensor, mask: Tensor, norm: torch.nn.Module) -> float:
    head = stepscore.load_head("lab")
    scores = head.read(hidden, ids, attention_mask=mask, norm=norm, step_counts=[2])
    assert_type(scores, stepscore.StepScores)
    layer = torch.nn.Linear(hidden.shape[-1], 2)
    again = stepscore.read_steps(
        head.recipe, layer, hidden, ids, attention_mask=mask, nan="propagate"
    )
    assert_type(again, stepscore.StepScores)
    return float(scores.aggregate("min")[0])


async def as_they_come(prm: stepscore.ProcessRewardModel, texts: AsyncIterator[str]) -> list[float]:
    assert_type(await prm.ascore("1 + 1", ["2"], on_bad="keep"), stepscore.StepScores)
    assert_type(await prm.arank("1 + 1", texts, how="min"), list[stepscore.Ranked])
    return [min(scored.step_scores) async for scored in prm.ascore_stream("1 + 1", texts)]
