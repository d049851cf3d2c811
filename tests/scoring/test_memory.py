"""When memory runs out the batches shrink; and what is shared is in memory once."""

from __future__ import annotations

import gc
import re
import warnings
import weakref
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch

from stepscore.scoring import score_traces
from stepscore.scoring.chunks import chunk_traces
from stepscore.scoring.forward import forward_pass, prefix_cache
from stepscore.scoring.forward.key_values import Segment
from stepscore.scoring.forward.plan import ForwardCosts, plan

ERRORS = {
    "gpu": lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    "cpu": lambda: RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"),
    "python": MemoryError,
}


class Limit:
    """Lets a backbone run out of memory with more than so many rows."""

    def __init__(self, backbone, rows, error):
        self.rows, self.error, self.fail_at = rows, error, None
        self.refused, self.sizes = 0, []
        self.hook = backbone.register_forward_pre_hook(self.check, with_kwargs=True)

    def check(self, _, __, options):
        if options["input_ids"].numel() > self.rows or len(self.sizes) == self.fail_at:
            self.refused, self.fail_at = self.refused + 1, None
            raise self.error()
        self.sizes.append(options["input_ids"].numel())


@pytest.fixture
def limit():
    """limit(prm, rows, error): holds for the test."""
    hooks = []

    def install(prm, rows, error=ERRORS["gpu"]):
        hooks.append(Limit(prm.backbone, rows, error))
        return hooks[-1]

    yield install
    for limited in hooks:
        limited.hook.remove()


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("kind", ["qwen", "trl"])
@pytest.mark.parametrize("costs", [ForwardCosts(1, 0), ForwardCosts(1, 50), ForwardCosts(0, 1)])
@pytest.mark.parametrize("rows", [300, 130, 64])
def test_the_budget_shrinks_to_one_that_works(error, kind, costs, rows, loaded, mixed, limit):
    prm = replace(loaded(kind), token_budget=1000, costs=costs)
    expected = prm.score(*mixed)
    held = limit(prm, rows, ERRORS[error])
    with pytest.warns(UserWarning, match="did not fit into memory") as record:
        scores = prm.score(*mixed)
    assert held.refused > 0
    np.testing.assert_allclose(scores.values, expected.values, rtol=0, atol=3e-6)
    [warning] = record
    assert warning.filename == __file__
    match = re.fullmatch(
        r"score: batches of 1000 tokens did not fit into memory; (\d+) did; pass "
        r"load\(..., token_budget=\1\)",
        str(warning.message),
    )
    assert rows // 2 < int(match[1]) <= rows
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the advice is good
        replace(prm, token_budget=int(match[1])).score(*mixed)


@pytest.mark.parametrize("costs", [ForwardCosts(1, 0), ForwardCosts(0, 1), None])
def test_what_was_read_before_is_not_forwarded_again(costs, loaded, mixed, limit):
    prm = replace(loaded("trl"), token_budget=400, costs=costs)
    held = limit(prm, 100_000)
    expected = prm.score(*mixed)
    full, batches = sum(held.sizes), len(held.sizes)
    assert batches >= 4
    held.sizes.clear()
    held.fail_at = batches - 1  # the last
    with pytest.warns(UserWarning, match="did not fit"):
        scores = prm.score(*mixed)
    np.testing.assert_allclose(scores.values, expected.values, rtol=0, atol=3e-6)
    assert held.refused == 1
    # The last batch, and what its traces continue.
    assert sum(held.sizes) < 1.4 * full


def test_ranking_names_itself(loaded, limit):
    prm = replace(loaded("trl"), token_budget=500)
    limit(prm, 100)
    candidates = [f"The sum is {total}.\nSo the answer is {total}." for total in range(12)]
    with pytest.warns(UserWarning, match="rank: batches of 500 tokens") as record:
        prm.rank("What is 3 + 4?", candidates)
    assert record[0].filename == __file__
    with pytest.warns(UserWarning, match="rank_many: batches of 500 tokens") as record:
        prm.rank_many(["What is 3 + 4?"], [candidates])
    assert record[0].filename == __file__


@pytest.mark.parametrize("share", [True, False])
def test_a_budget_that_is_not_worth_trying_is_an_error(share, loaded, mixed, limit):
    prm = replace(loaded("qwen"), token_budget=1000)
    prm = prm if share else replace(prm, costs=None)
    held = limit(prm, 0)
    with pytest.raises(RuntimeError, match=r"score: memory ran out with batches of \d+ tokens") as (
        caught
    ):
        prm.score(*mixed)
    assert "CUDA out of memory" in str(caught.value)
    assert "smaller dtype" in str(caught.value)
    assert isinstance(caught.value.__cause__, torch.OutOfMemoryError)
    assert 2 <= held.refused <= 6


def test_another_error_passes_through(loaded, mixed, limit):
    prm = loaded("qwen")
    error = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    held = limit(prm, 0, lambda: error)
    with pytest.raises(RuntimeError) as caught:
        prm.score(*mixed)
    assert caught.value is error
    assert held.refused == 1


@pytest.fixture
def segments(monkeypatch, loaded):
    """Follow the keys and values that are kept: the segments alive, and the most bytes of them."""
    loaded("trl")  # whether it can share is tried when it is loaded; that is not counted

    class Followed(Segment):
        alive: ClassVar = weakref.WeakSet()
        made: ClassVar = []
        most = 0

        def __init__(self, *arguments):
            super().__init__(*arguments)
            Followed.alive.add(self)
            Followed.made.append(self.capacity)

        def write(self, *arguments):
            super().write(*arguments)
            Followed.most = max(Followed.most, sum(segment.nbytes for segment in Followed.alive))

    monkeypatch.setattr(prefix_cache, "Segment", Followed)
    return Followed


def bytes_per_token(prm) -> int:
    config = prm.backbone.config
    size = config.hidden_size // config.num_attention_heads
    return 2 * 4 * config.num_hidden_layers * config.num_key_value_heads * size


@pytest.mark.parametrize("token_budget", [64, 500, 100_000])
def test_the_problem_of_64_candidates_is_kept_once(token_budget, loaded, segments):
    prm = loaded("trl")
    problem = "She sells 16 - 3 - 4 = 9 eggs. " * 12
    steps = [[f"{index} and {index * 7 % 64}", f"So {index}."] for index in range(64)]
    traces = [
        np.array(prm.recipe.encode(prm.tokenizer, [problem], [trace]).trace(0)[0])
        for trace in steps
    ]
    prompt = 0
    while len({int(trace[prompt]) for trace in traces}) == 1:
        prompt += 1
    assert prompt > 120
    # What a few candidates begin with alike is not worth a fork here.
    prm = replace(prm, token_budget=token_budget, costs=ForwardCosts(1, 1000))
    gc.collect()
    gc.disable()
    try:
        prm.score(problem, steps)
        assert segments.made == [prompt], "one segment, with room for the problem"
        assert segments.most == prompt * bytes_per_token(prm)
        assert not segments.alive, "nothing is kept after the call, not even until a collection"
    finally:
        gc.enable()


def test_plain_packing_keeps_nothing(loaded, mixed, segments):
    replace(loaded("trl"), costs=ForwardCosts(0, 1)).score(*mixed)
    assert segments.made == []


def test_a_problem_is_let_go_when_its_candidates_are_through(loaded, segments):
    prm = replace(loaded("trl"), token_budget=128, costs=ForwardCosts(1, 300))
    problems = [f"{index} What is half of 10 + 6? " * 8 for index in range(20) for _ in range(8)]
    solutions = [[f"The sum is {index % 8}."] for index in range(160)]
    prm.score(problems, solutions)
    assert len(segments.made) == 20
    # The last problem of a batch and the first of the next may meet.
    assert segments.most <= 3 * max(segments.made) * bytes_per_token(prm)
    assert not segments.alive


def test_a_deep_trie_keeps_one_branch(loaded, segments):
    # A comb: what is kept at a time is the trunk, not every tooth.
    backbone = loaded("trl").backbone
    trunk = np.arange(200) % 90
    traces = [np.concatenate([trunk[:cut], [95], trunk[:20]]) for cut in range(0, 200, 10)]
    traces += [np.concatenate([trace, [96 + end]]) for trace in traces for end in range(3)]
    made = plan(
        np.concatenate(traces).astype(np.int32),
        np.cumsum([0, *map(len, traces)]),
        token_budget=16,
        costs=ForwardCosts(1, 0),
    )
    for _ in forward_pass.hidden_states(backbone, made):
        pass
    bound = 200 + 2 * 21 + 16
    assert 200 * bytes_per_token(loaded("trl")) <= segments.most
    assert segments.most <= bound * bytes_per_token(loaded("trl"))
    assert made.unique > 2 * bound


def test_several_chunks_find_the_budget_once(loaded, mixed, limit, monkeypatch):
    monkeypatch.setattr(
        score_traces, "chunk_traces", lambda traces: chunk_traces(traces, characters=300)
    )
    problems, solutions = mixed
    prm = replace(loaded("trl"), token_budget=1000)
    expected = prm.score(problems, solutions)
    held = limit(prm, 100)
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        scores = prm.score(problems, solutions)
    np.testing.assert_allclose(scores.values, expected.values, rtol=0, atol=3e-6)
    assert len(record) == 1, "one call, one warning"
    assert held.refused <= 4, "a budget that did not fit is not tried again"
