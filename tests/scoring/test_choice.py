"""The plan that is reckoned cheapest: within its bounds, the same for any order, the same bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_plan import any_traces, as_fields, budgets, packed
from transformers import (
    Gemma2Config,
    Gemma2Model,
    LlamaConfig,
    LlamaModel,
    MistralConfig,
    MistralModel,
)

from stepscore.scoring.forward import engine
from stepscore.scoring.forward.choice import cheapest_plan, least_seconds_whole, seconds
from stepscore.scoring.forward.forward_pass import hidden_states
from stepscore.scoring.forward.plan import ForwardCosts, plan, plan_padded
from stepscore.scoring.forward.sharing import forward_costs, share_prefixes

some = st.sampled_from([0.0, 0.1, 1.0, 7.0, 100.0])
any_costs = st.builds(
    ForwardCosts,
    token=some,
    fork=some,
    continued=some,
    piece=some,
    batch=some,
    pads=st.booleans(),
)


@given(any_traces, budgets, any_costs)
def test_no_forced_way_is_reckoned_cheaper(traces, budget, costs):
    ids, offsets = packed(traces)
    chosen = cheapest_plan(ids, offsets, token_budget=budget, costs=costs)
    forced = [
        plan(ids, offsets, token_budget=budget, costs=costs),
        plan(ids, offsets, token_budget=budget, costs=replace(costs, fork=float("inf"))),
    ]
    if costs.pads and max(map(len, traces), default=0) <= budget:
        forced.append(plan_padded(ids, offsets, token_budget=budget))
    assert seconds(chosen, costs) <= min(seconds(made, costs) for made in forced) + 1e-9
    assert costs.pads or not chosen.padded
    assert (np.diff(chosen.batch_rows()) <= budget).all()


@given(any_traces, budgets, any_costs)
def test_whole_traces_never_take_less_than_their_bound(traces, budget, costs):
    ids, offsets = packed(traces)
    shared = plan(ids, offsets, token_budget=budget, costs=costs)
    bound = least_seconds_whole(shared, budget, costs)
    whole = plan(ids, offsets, token_budget=budget, costs=replace(costs, fork=float("inf")))
    assert bound <= seconds(whole, costs) + 1e-9
    if max(map(len, traces), default=0) <= budget:
        padded = plan_padded(ids, offsets, token_budget=budget)
        assert bound <= seconds(padded, costs) + 1e-9


@given(any_traces, budgets, any_costs, st.randoms(use_true_random=False))
def test_the_order_of_the_input_changes_no_choice(traces, budget, costs, random):
    order = list(range(len(traces)))
    random.shuffle(order)
    straight = cheapest_plan(*packed(traces), token_budget=budget, costs=costs)
    shuffled = cheapest_plan(*packed([traces[i] for i in order]), token_budget=budget, costs=costs)
    assert shuffled.padded == straight.padded
    assert as_fields(shuffled) == as_fields(straight)
    assert shuffled.last_piece.tolist() == straight.last_piece[order].tolist()


def candidates(prefix: int, lengths: list[int]) -> list[list[int]]:
    """Traces that have their first tokens in common and nothing else."""
    return [
        [*range(prefix), *(1000 * number + token for token in range(length))]
        for number, length in enumerate(lengths, 1)
    ]


# In the time of a token: a small model on a CPU in half precision.
CPU = ForwardCosts(token=1, fork=60, continued=0.1, piece=40, batch=100, pads=True)


@pytest.mark.parametrize(
    ("prefix", "lengths", "costs", "expected"),
    [
        # Sharing saves 10 tokens, and costs a fork and a piece: padding has one call for all.
        (10, [40, 40], CPU, "padded"),
        # It saves 300 for each of 3 candidates.
        (300, [40] * 4, CPU, "shared"),
        # Where lengths differ padding is dearer than a call for each.
        (10, [40, 400], CPU, "packed"),
        (10, [40, 40], replace(CPU, pads=False), "packed"),
        # What continues a prefix is merged: 3 x 200 tokens are saved, 4 x 400 merged.
        (200, [400] * 4, CPU, "shared"),
        (200, [400] * 4, replace(CPU, continued=0.3), "padded"),
    ],
)
def test_what_is_chosen(prefix, lengths, costs, expected):
    ids, offsets = packed(candidates(prefix, lengths))
    made = cheapest_plan(ids, offsets, token_budget=4096, costs=costs)
    way = "padded" if made.padded else "shared" if (made.parent >= 0).any() else "packed"
    assert way == expected


def test_seconds_are_counted_by_hand():
    ids, offsets = packed(candidates(50, [40, 3, 4, 60]))
    costs = ForwardCosts(token=1, fork=1e3, continued=1e-3, piece=1e6, batch=1e9)
    shared = plan(ids, offsets, token_budget=1000, costs=ForwardCosts(1, 0))
    # The root and two candidates by themselves; 3 and 4 tokens together, in 3 calls.
    assert seconds(shared, costs) == pytest.approx(157 + 1e3 + 0.107 + 6e6 + 1e9)
    padded = plan_padded(ids, offsets, token_budget=330)
    assert seconds(padded, costs) == pytest.approx(3 * 110 + 54 + 2e6 + 2e9)


WILD = [
    ForwardCosts(token=1, fork=0),
    ForwardCosts(token=0, fork=1),
    ForwardCosts(token=1, fork=30, continued=0.2, piece=9, batch=40),
    ForwardCosts(token=1, fork=1, piece=1e6, batch=1, pads=True),
    ForwardCosts(token=1e-9, fork=1e9, continued=1e9, piece=1e9, batch=1e9, pads=True),
]


def test_in_float32_no_costs_move_a_bit(loaded, mixed, monkeypatch):
    expected = loaded("trl-llama").score(*mixed).values.tobytes()
    plans = []
    choose = engine.cheapest_plan
    monkeypatch.setattr(
        engine, "cheapest_plan", lambda *a, **b: plans.append(choose(*a, **b)) or plans[-1]
    )
    for costs in WILD:
        prm = replace(loaded("trl-llama"), costs=costs)
        assert prm.score(*mixed).values.tobytes() == expected
    kinds = {(made.padded, len(made.parent), made.forwarded) for made in plans}
    assert len(kinds) >= 3, "else this test shows nothing"
    assert any(made.padded for made in plans)


SIZES = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


@pytest.mark.parametrize(
    ("kind", "config_of"),
    [
        (LlamaModel, lambda: LlamaConfig(**SIZES)),
        (MistralModel, lambda: MistralConfig(**SIZES, sliding_window=5)),
    ],
)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_padded_plan_of_a_sharing_model_gives_the_stock_models_rows(kind, config_of, dtype):
    torch.manual_seed(0)
    config = config_of()
    backbone = kind(config).to(dtype).eval()
    assert forward_costs(backbone).pads
    traces = candidates(9, [3, 12, 7])
    ids, offsets = packed([[token % 97 for token in trace] for trace in traces])
    with torch.inference_mode():
        expected = [
            backbone(torch.from_numpy(part[None].astype(np.int64))).last_hidden_state[0]
            for part in np.split(ids, offsets[1:-1])
        ]
    sharing = share_prefixes(backbone, config.to_dict())
    assert sharing.shared, sharing
    made = plan_padded(ids, offsets, token_budget=60)
    rows = torch.cat(list(hidden_states(backbone, made)))
    for trace, states in enumerate(expected):
        at = made.rows(np.full(len(states), trace), np.arange(len(states)))
        assert torch.allclose(rows[torch.from_numpy(at)].float(), states.float(), atol=0.05)


def test_in_float32_padding_saves_nothing():
    assert not forward_costs(LlamaModel(LlamaConfig(**SIZES))).pads


def test_a_model_with_a_soft_cap_is_never_padded():
    config = Gemma2Config(**SIZES, head_dim=8)
    assert not forward_costs(Gemma2Model(config).to(torch.bfloat16)).pads


def test_costs_follow_the_machine(monkeypatch: pytest.MonkeyPatch):
    backbone = LlamaModel(LlamaConfig(**SIZES))
    rates = '{"flops": %s, "call": 1e-6, "number": 0, "fork": %s, "piece": 0, "merge": 0}'
    monkeypatch.setenv("STEPSCORE_MACHINE_RATES", rates % (1e11, 1e-5))
    slow = forward_costs(backbone)
    monkeypatch.setenv("STEPSCORE_MACHINE_RATES", rates % (4e11, 3e-5))
    fast = forward_costs(backbone)
    assert slow.token == pytest.approx(4 * fast.token)
    assert fast.fork == pytest.approx(3 * slow.fork)
    assert np.isclose(slow.batch, fast.batch)
