"""The shared, packed forward pass: scores equal the plain one's, whatever the traces share."""

from __future__ import annotations

import copy
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from sweep import SWEEP
from transformers import (
    Gemma2Config,
    Gemma2Model,
    Gemma3TextConfig,
    Gemma3TextModel,
    LlamaConfig,
    LlamaModel,
    MistralConfig,
    MistralModel,
    Qwen2Config,
    Qwen2Model,
    Qwen3Config,
    Qwen3Model,
)

import stepscore
from stepscore.scoring import score_traces
from stepscore.scoring.chunks import chunk_traces
from stepscore.scoring.forward.attention import IMPLEMENTATION
from stepscore.scoring.forward.forward_pass import hidden_states
from stepscore.scoring.forward.linear import pack_linear_layers
from stepscore.scoring.forward.plan import ForwardCosts, Plan, plan

VOCABULARY = 97
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "initializer_range": 0.15,
}
ROTARY = {
    "llama3": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 256,
    },
    "linear": {"rope_type": "linear", "factor": 4.0},
    "yarn": {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 256},
}
MODELS = {
    "llama": lambda: LlamaModel(LlamaConfig(**SIZES)),
    "llama-all-heads": lambda: LlamaModel(LlamaConfig(**SIZES | {"num_key_value_heads": 4})),
    "llama-one-head": lambda: LlamaModel(LlamaConfig(**SIZES | {"num_key_value_heads": 1})),
    "llama-llama3": lambda: LlamaModel(LlamaConfig(**SIZES, rope_scaling=ROTARY["llama3"])),
    "llama-linear": lambda: LlamaModel(LlamaConfig(**SIZES, rope_scaling=ROTARY["linear"])),
    "llama-yarn": lambda: LlamaModel(LlamaConfig(**SIZES, rope_scaling=ROTARY["yarn"])),
    "mistral": lambda: MistralModel(MistralConfig(**SIZES, sliding_window=None)),
    "mistral-window": lambda: MistralModel(MistralConfig(**SIZES, sliding_window=19)),
    "qwen2": lambda: Qwen2Model(Qwen2Config(**SIZES)),
    "qwen2-window": lambda: Qwen2Model(
        Qwen2Config(**SIZES, use_sliding_window=True, sliding_window=13, max_window_layers=1)
    ),
    "qwen3": lambda: Qwen3Model(Qwen3Config(**SIZES, head_dim=16)),
    # Softcapped, and every other layer with a window.
    "gemma2": lambda: Gemma2Model(
        Gemma2Config(**SIZES, head_dim=16, sliding_window=11, query_pre_attn_scalar=24)
    ),
    # Two sets of rotary frequencies, and every other layer with a window.
    "gemma3": lambda: Gemma3TextModel(
        Gemma3TextConfig(
            **SIZES,
            head_dim=16,
            sliding_window=11,
            layer_types=["sliding_attention", "full_attention"],
        )
    ),
}
TRIES = 80  # of each model: 1,040


def random_traces(rng: np.random.Generator) -> list[np.ndarray]:
    """Traces that share nothing, everything, or something at up to 30 depths; 1 to 2,000 tokens."""

    def new(most: int) -> np.ndarray:
        return rng.integers(0, VOCABULARY, rng.integers(1, most + 1))

    shape = rng.choice(["apart", "equal", "problem", "chain", "tree", "single", "long"], p=SHAPES)
    if shape == "apart":
        return [new(40) for _ in range(rng.integers(1, 10))]
    if shape == "equal":
        return [new(60)] * int(rng.integers(2, 10))
    if shape == "problem":
        problem = new(80)
        return [np.concatenate([problem, new(30)]) for _ in range(rng.integers(2, 12))]
    if shape == "chain":  # a trunk with a fork at every step
        trunk, traces = new(20), []
        most = int(rng.choice([1, 6]))
        for _ in range(rng.integers(2, 31)):
            traces.append(np.concatenate([trunk, new(most)]))
            trunk = np.concatenate([trunk, new(most)])
        return [*traces, trunk]
    if shape == "single":
        return [rng.integers(0, 3, 1) for _ in range(rng.integers(1, 6))]
    most = 40
    if shape == "long":
        most = 1900
    traces = [np.concatenate([new(most), new(40)])]
    for _ in range(rng.integers(1, 4 if shape == "long" else 14)):
        source = traces[rng.integers(len(traces))]
        cut = int(rng.integers(0, len(source) + 1))
        traces.append(np.concatenate([source[:cut], new(50)])[:2000])
    return traces


SHAPES = [0.1, 0.08, 0.2, 0.25, 0.3, 0.05, 0.02]


@torch.inference_mode()
def plain(stock: torch.nn.Module, traces: list[np.ndarray]) -> list[torch.Tensor]:
    """Stock attention over rows that are padded on the right."""
    rows = np.zeros((len(traces), max(map(len, traces))), dtype=np.int64)
    for row, trace in zip(rows, traces, strict=True):
        row[: len(trace)] = trace
    hidden = stock(input_ids=torch.from_numpy(rows), use_cache=False).last_hidden_state
    return [states[: len(trace)] for states, trace in zip(hidden, traces, strict=True)]


def pair(kind: str) -> tuple[torch.nn.Module, torch.nn.Module, torch.Tensor]:
    """A stock model, the same one with shared attention, and a head for their hidden states."""
    torch.manual_seed(0)
    stock = MODELS[kind]().eval().requires_grad_(False)
    shared = copy.deepcopy(stock)
    shared.set_attn_implementation(IMPLEMENTATION)
    assert stock.config._attn_implementation != IMPLEMENTATION
    return stock, shared, torch.randn(SIZES["hidden_size"]) / SIZES["hidden_size"] ** 0.5


@pytest.mark.parametrize("kind", MODELS)
def test_scores_equal_the_plain_path(kind):
    stock, shared, head = pair(kind)
    rng = np.random.default_rng(list(MODELS).index(kind))
    tries = [random_try(rng) for _ in range(TRIES)]
    forks = [len(np.unique(made.parent[made.parent >= 0])) for _, made in tries]
    assert max(forks) >= 25, "some tries must have many forks"
    # A fourth of them, and the one with the most forks.
    taken = range(TRIES) if SWEEP else sorted({*range(0, TRIES, 4), int(np.argmax(forks))})
    spread = []
    for number in taken:
        traces, made = tries[number]
        lengths = np.array([len(trace) for trace in traces])
        hidden = torch.cat(list(hidden_states(shared, made)))
        assert len(hidden) == made.forwarded
        scores = (hidden @ head).sigmoid().numpy()
        expected = (torch.cat(plain(stock, traces)) @ head).sigmoid().numpy()
        positions = np.concatenate([np.arange(length) for length in lengths])
        rows = made.rows(np.repeat(np.arange(len(traces)), lengths), positions)
        np.testing.assert_allclose(
            scores[rows], expected, rtol=0, atol=1e-5, err_msg=f"{kind}, trie {number}"
        )
        spread.append(np.std(expected))
    assert np.median(spread) > 0.05, "the tiny model must tell its inputs apart"


def random_try(rng: np.random.Generator) -> tuple[list[np.ndarray], Plan]:
    """Traces, and how they are forwarded."""
    traces = random_traces(rng)
    lengths = [len(trace) for trace in traces]
    made = plan(
        np.concatenate(traces).astype(np.int32),
        np.cumsum([0, *lengths]),
        token_budget=int(rng.choice([7, 64, 300, 4096])) if max(lengths) < 500 else 700,
        costs=ForwardCosts(1, float(rng.choice([0, 0, 20, 200]))),
    )
    return traces, made


def test_the_tries_are_of_every_shape():
    tries = []
    for seed in range(len(MODELS)):
        rng = np.random.default_rng(seed)
        tries += [random_traces(rng) for _ in range(TRIES)]
    assert len(tries) >= 1000
    lengths = [len(trace) for traces in tries for trace in traces]
    assert min(lengths) == 1
    assert 1500 < max(lengths) <= 2000
    shared = []
    for traces in tries:
        offsets = np.cumsum([0, *map(len, traces)])
        shared.append(1 - len(stepscore.PrefixTrie(np.concatenate(traces), offsets)) / offsets[-1])
    assert min(shared) == 0
    assert max(shared) > 0.85
    assert np.std(shared) > 0.2


@pytest.mark.parametrize("kind", ["llama", "qwen2-window", "gemma2"])
def test_packed_linear_layers_change_nothing(kind):
    stock, shared, head = pair(kind)
    pack_linear_layers(shared)
    rng = np.random.default_rng(5)
    for _ in range(5):
        traces = random_traces(rng)
        offsets = np.cumsum([0, *map(len, traces)])
        made = plan(
            np.concatenate(traces).astype(np.int32),
            offsets,
            token_budget=64,
            costs=ForwardCosts(1, 0),
        )
        scores = (torch.cat(list(hidden_states(shared, made))) @ head).sigmoid()
        for index, expected in enumerate(plain(stock, traces)):
            rows = made.rows(np.full(len(expected), index), np.arange(len(expected)))
            torch.testing.assert_close(scores[rows], (expected @ head).sigmoid(), rtol=0, atol=1e-5)


def test_a_model_that_shares_still_serves_its_owner():
    # Outside of a plan the attention is torch's, with whatever mask and cache the model makes.
    stock, shared, _ = pair("qwen2-window")
    ids = torch.randint(0, VOCABULARY, (3, 40))
    mask = torch.ones_like(ids)
    mask[0, :7] = 0
    with torch.inference_mode():
        for options in ({}, {"attention_mask": mask}):
            expected = stock(input_ids=ids, **options).last_hidden_state
            states = shared(input_ids=ids, **options).last_hidden_state
            torch.testing.assert_close(states[1:], expected[1:], rtol=0, atol=1e-6)
            torch.testing.assert_close(states[0, 7:], expected[0, 7:], rtol=0, atol=1e-6)


def test_keys_and_values_may_be_kept_and_continued():
    stock, shared, _ = pair("llama")
    rng = np.random.default_rng(3)
    first, second = (rng.integers(0, VOCABULARY, size) for size in (40, 25))
    made = plan(
        np.concatenate([first, second]).astype(np.int32),
        np.array([0, 40, 65]),
        token_budget=16,
        costs=ForwardCosts(1, 0),
    )
    kept: dict = {}
    list(hidden_states(shared, made, keep=kept))
    assert sorted(kept) == list(range(len(made.parent)))
    prefixes = [kept[piece] for piece in made.last_piece]
    assert [prefix.tokens for prefix in prefixes] == [40, 25]
    more = [rng.integers(0, VOCABULARY, size) for size in (3, 50, 7)]
    longer = plan(
        np.concatenate(more).astype(np.int32),
        np.array([0, 3, 53, 60]),
        token_budget=20,
        costs=ForwardCosts(1, 0),
        groups=np.array([0, 2, 3]),
        starts=[40, 25],
    )
    hidden = torch.cat(list(hidden_states(shared, longer, prefixes=prefixes)))
    for index, (before, new) in enumerate(zip((first, first, second), more, strict=True)):
        [expected] = plain(stock, [np.concatenate([before, new])])
        at = np.arange(len(before), len(before) + len(new))
        rows = longer.rows(np.full(len(new), index), at)
        torch.testing.assert_close(hidden[rows], expected[len(before) :], rtol=0, atol=5e-5)


def many(count: int) -> tuple[list[str], list[list[str]]]:
    """Traces over 7 problems, with steps in common, equal ones, and one-word steps."""
    rng = random.Random(1)
    problems, solutions = [], []
    for _ in range(count):
        problems.append(f"What is {rng.randrange(7)} + 16? " + "She sells eggs. " * 3)
        solutions.append(
            [f"The sum is {rng.randrange(3)}." for _ in range(rng.randrange(1, 6))]
            + rng.choice([[], ["So"], ["So the answer is 9 eggs."]])
        )
    return problems, solutions


@pytest.mark.parametrize("kind", ["qwen", "shepherd", "skywork", "trl"])
@pytest.mark.parametrize("token_budget", [64, 333])
@pytest.mark.parametrize(
    "costs", [ForwardCosts(1, 0), ForwardCosts(1, 40), ForwardCosts(0, 1), None]
)
def test_the_order_of_the_input_changes_no_bit(kind, token_budget, costs, loaded, monkeypatch):
    cuts = []

    def short_chunks(traces):
        cuts.append(chunk_traces(traces, characters=500))
        return cuts[-1]

    monkeypatch.setattr(score_traces, "chunk_traces", short_chunks)
    problems, solutions = many(40)
    assert loaded(kind).costs is not None, "these models share"
    prm = replace(loaded(kind), token_budget=token_budget, costs=costs)
    straight = prm.score(problems, solutions)
    order = list(range(len(solutions)))
    for seed in range(2):
        random.Random(seed).shuffle(order)
        shuffled = prm.score([problems[i] for i in order], [solutions[i] for i in order])
        for place, index in enumerate(order):
            assert shuffled[place].tobytes() == straight[index].tobytes()
    assert [len(cut) for cut in cuts] == [7] * 3


@pytest.mark.parametrize("kind", ["qwen", "shepherd", "skywork", "trl-llama"])
@pytest.mark.parametrize("costs", [ForwardCosts(1, 0), ForwardCosts(1, 40), ForwardCosts(0, 1)])
def test_the_plain_path_can_be_forced_and_agrees(kind, costs, tiny, loaded):
    recipe = {"shepherd": "math-shepherd"}.get(kind)
    alone = stepscore.load(tiny(kind).folder, recipe=recipe, share=False)
    assert alone.costs is None
    problems, solutions = many(30)
    expected = alone.score(problems, solutions)
    shared = replace(loaded(kind), costs=costs).score(problems, solutions)
    assert shared.values.tobytes() == expected.values.tobytes()
    assert np.std(expected.values) > 0.01


def test_an_id_beyond_the_embeddings_is_refused_before_the_forward_pass():
    _, shared, _ = pair("llama")
    made = plan(
        np.array([1, VOCABULARY], np.int32),
        np.array([0, 2]),
        token_budget=9,
        costs=ForwardCosts(1, 0),
    )
    with pytest.raises(ValueError, match=f"the model's {VOCABULARY} embeddings; got the id 97"):
        list(hidden_states(shared, made))
