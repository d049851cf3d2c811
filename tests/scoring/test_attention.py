"""Every way to attend over a forest of pieces, against a dense softmax in float64."""

from __future__ import annotations

import copy
import itertools
import types

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaModel

from stepscore.scoring.forward import attention, merged_attention
from stepscore.scoring.forward.attention import IMPLEMENTATION, attend
from stepscore.scoring.forward.attention_over_paths import attend_over_paths
from stepscore.scoring.forward.forward_pass import hidden_states
from stepscore.scoring.forward.key_values import Prefix, Segment
from stepscore.scoring.forward.layout import SHORT, CacheWrite, Layout, current_layout, laid_out
from stepscore.scoring.forward.masked_attention import attend_piece_by_piece
from stepscore.scoring.forward.merged_attention import merge_on_cpu, merge_on_cuda, merger_for
from stepscore.scoring.forward.plan import ForwardCosts, plan

LAYER = 3
SIZE = 16
HEADS = [(4, 4), (4, 2), (6, 1)]


def packed_attention(
    query, key, value, query_bounds, key_bounds, most_queries, most_keys, *, scale, window_size=None
):
    """What torch.nn.attention.varlen.varlen_attn says that it does, one sequence at a time.

    Its log-sum-exp is [heads, queries], in float32.
    """
    assert window_size in (None, (-1, 0))
    assert query_bounds.dtype == key_bounds.dtype == torch.int32
    assert query_bounds[0] == key_bounds[0] == 0
    assert (query_bounds[-1], key_bounds[-1]) == (len(query), len(key))
    assert len(query_bounds) == len(key_bounds)
    assert most_queries == query_bounds.diff().max()
    assert most_keys == key_bounds.diff().max()
    repeats = query.shape[1] // key.shape[1]
    out = torch.empty_like(query)
    logsumexp = torch.empty(query.shape[1], len(query))
    bounds = zip(query_bounds[:-1], query_bounds[1:], key_bounds[:-1], key_bounds[1:], strict=True)
    for begin, end, first, last in bounds:
        keys, values = (state[first:last].repeat_interleave(repeats, 1) for state in (key, value))
        logits = torch.einsum("qhd,khd->hqk", query[begin:end], keys) * scale
        if window_size is not None:
            rows, columns = logits.shape[1:]
            seen = torch.ones(rows, columns).tril(columns - rows).bool()
            logits = logits.masked_fill(~seen, -torch.inf)
        out[begin:end] = torch.einsum("hqk,khd->qhd", logits.softmax(-1), values)
        logsumexp[:, begin:end] = logits.logsumexp(-1)
    return out, logsumexp


@pytest.fixture
def cuda_calls(monkeypatch):
    """Let the GPU's way run here; counts its launches."""
    calls = []

    def attention_on_cuda(*arguments, **options):
        calls.append(options)
        return packed_attention(*arguments, **options)

    monkeypatch.setattr(merged_attention, "packed_attention", lambda: attention_on_cuda)
    return calls


def states(rng, heads, tokens):
    return torch.from_numpy(rng.standard_normal((1, heads, tokens, SIZE), dtype=np.float32))


class Forest:
    """A random layout, and what each of its rows sees, as plain tensors."""

    def __init__(self, rng, heads, key_heads, *, lengths, depth, pieces):
        self.query_heads, self.key_heads = heads, key_heads
        # Segments of earlier forward passes, one below the other, and the prefixes into them.
        prefixes: list[tuple[Prefix | None, list]] = [(None, [])]
        for _ in range(depth * 2):
            before, seen = prefixes[rng.integers(len(prefixes))]
            if before is not None and len(before.parts) >= depth:
                continue
            tokens = int(rng.integers(1, 50))
            segment = Segment(tokens, before)
            segment.reserve(tokens)
            key, value = states(rng, key_heads, tokens), states(rng, key_heads, tokens)
            segment.write(LAYER, 0, key, value)
            for length in {tokens, int(rng.integers(1, tokens + 1))}:
                part = (key[:, :, :length], value[:, :, :length])
                prefixes.append((Prefix(segment, length), [*seen, part]))
        chosen = sorted(rng.integers(0, len(prefixes), pieces))
        lengths = rng.choice(lengths, pieces)
        self.offsets = np.cumsum([0, *lengths])
        self.prefixes = [prefixes[index][0] for index in chosen]
        self.before = [prefixes[index][1] for index in chosen]
        rows = int(self.offsets[-1])
        self.query = states(rng, heads, rows)
        self.key, self.value = states(rng, key_heads, rows), states(rng, key_heads, rows)
        self.layout = Layout(self.offsets, self.prefixes)

    def dense(self, scale, window=None, softcap=None):
        """[1, rows, heads, d] in float64, a row at a time."""
        out = torch.empty(1, int(self.offsets[-1]), self.query_heads, SIZE, dtype=torch.float64)
        repeats = self.query_heads // self.key_heads
        for piece, before in enumerate(self.before):
            begin, end = self.offsets[piece : piece + 2]
            for row in range(begin, end):
                causal = slice(begin, row + 1)
                key = torch.cat([*(k for k, _ in before), self.key[:, :, causal]], 2)[0].double()
                value = torch.cat([*(v for _, v in before), self.value[:, :, causal]], 2)[
                    0
                ].double()
                if window is not None:
                    key, value = key[:, -window:], value[:, -window:]
                for head in range(self.query_heads):
                    logits = key[head // repeats] @ self.query[0, head, row].double() * scale
                    if softcap is not None:
                        logits = softcap * torch.tanh(logits / softcap)
                    out[0, row, head] = logits.softmax(-1) @ value[head // repeats]
        return out


LENGTHS = {
    "short": [1, 2, 3, 4, 5, 8, 9, 16, 17, 31, 32],
    "one-token": [1],
    "long": [33, 40, 64],
    "mixed": [1, 2, 7, 32, 33, 45],
}


@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("depth", [0, 1, 2, 5])
def test_all_ways_are_the_dense_softmax(heads, lengths, depth, cuda_calls):
    rng = np.random.default_rng([*heads, depth])
    for pieces in (1, 3, 12):
        forest = Forest(rng, *heads, lengths=LENGTHS[lengths], depth=depth, pieces=pieces)
        given = (forest.query, forest.key, forest.value, forest.layout, LAYER)
        for scale in (SIZE**-0.5, 0.6):
            expected = forest.dense(scale).float()
            cuda_calls.clear()
            for out in (
                merge_on_cpu(*given, scale),
                merge_on_cuda(*given, scale),
                attend_piece_by_piece(*given, scale, None, None),
                attend_over_paths(*given, scale, None, None),
            ):
                torch.testing.assert_close(out, expected, rtol=0, atol=5e-6)
            levels = len(forest.layout.levels)
            assert levels == min(
                max(len(prefix.parts) if prefix else 0 for prefix in forest.prefixes), 2
            )
            assert len(cuda_calls) == 1 + levels, "a launch for the pieces and one for each level"


@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("window", [1, 2, 9, 40, 1000])
@pytest.mark.parametrize("softcap", [None, 0.7, 30.0])
def test_windows_and_softcaps_are_the_dense_ones(heads, window, softcap):
    rng = np.random.default_rng([window, *heads])
    forest = Forest(rng, *heads, lengths=LENGTHS["mixed"], depth=3, pieces=6)
    given = (forest.query, forest.key, forest.value, forest.layout, LAYER)
    expected = forest.dense(0.3, window, softcap).float()
    for attend_so in (attend_piece_by_piece, attend_over_paths):
        out = attend_so(*given, 0.3, window, softcap)
        torch.testing.assert_close(out, expected, rtol=0, atol=5e-6)


def test_logits_far_apart_merge_without_overflow(cuda_calls):
    rng = np.random.default_rng(0)
    forest = Forest(rng, 2, 2, lengths=[3, 40], depth=3, pieces=6)
    forest.query *= 300
    given = (forest.query, forest.key, forest.value, forest.layout, LAYER, 1.0)
    expected = forest.dense(1.0).float()
    for merge in (merge_on_cpu, merge_on_cuda):
        torch.testing.assert_close(merge(*given), expected, rtol=0, atol=2e-3)


def module(**more):
    return types.SimpleNamespace(layer_idx=LAYER, **more)


@pytest.mark.parametrize("device", ["paths", "cpu", "cuda", "neither"])
def test_attend_takes_the_way_that_is_exact(device, monkeypatch, cuda_calls):
    rng = np.random.default_rng(2)
    forest = Forest(rng, 4, 2, lengths=LENGTHS["mixed"], depth=3, pieces=8)
    given = (module(), forest.query, forest.key, forest.value, None)
    ways = {"cpu": merge_on_cpu, "cuda": merge_on_cuda, "neither": None, "paths": None}
    monkeypatch.setattr(attention, "has_fixed_bits", lambda _: device == "paths")
    taken = []

    def way(query, *arguments):
        taken.append(query.shape)
        return ways[device](query, *arguments)

    monkeypatch.setattr(attention, "merger_for", lambda _: ways[device] and way)
    longest = forest.layout.most_seen
    behind = [0 if prefix is None else prefix.tokens for prefix in forest.prefixes]
    assert longest == max(np.diff(forest.offsets) + behind)
    with laid_out(forest.layout):
        for options, merged in (
            ({}, True),
            ({"scaling": 0.7}, True),
            ({"sliding_window": longest}, True),
            ({"sliding_window": longest - 1}, False),
            ({"sliding_window": 5, "softcap": 2.0}, False),
            ({"softcap": 2.0}, False),
        ):
            taken.clear()
            out, weights = attend(*given, **options)
            assert weights is None
            assert bool(taken) == (merged and device in ("cpu", "cuda")), options
            expected = forest.dense(
                options.get("scaling", SIZE**-0.5),
                options.get("sliding_window"),
                options.get("softcap"),
            )
            torch.testing.assert_close(out, expected.float(), rtol=0, atol=5e-6)


def test_this_machine_has_a_way_to_merge():
    assert merger_for(torch.zeros(1)) is merge_on_cpu


def test_rows_of_a_padded_batch_are_pieces(monkeypatch):
    rng = np.random.default_rng(6)
    query, key, value = states(rng, 4, 7), states(rng, 2, 7), states(rng, 2, 7)
    with laid_out(Layout(np.array([0, 7]), [None])):
        expected, _ = attend(module(), query, key, value, None)
    padded = (torch.cat([state, state.flip(2)]) for state in (query, key, value))
    with laid_out(Layout(np.array([0, 7, 14]), [None, None])):
        out, _ = attend(module(), *padded, None)
    assert out.shape == (2, 7, 4, SIZE)
    assert torch.equal(out[:1], expected)
    assert not torch.equal(out[1:], expected)


@pytest.mark.parametrize("way", ["paths", "cpu", "cuda", "pieces"])
def test_pieces_may_continue_pieces_of_their_own_pass(way, monkeypatch, cuda_calls):
    # A trunk of 5 and 40 tokens; two branches on its end, one behind the first, one on its middle.
    rng = np.random.default_rng(4)
    trunk = Segment(45)
    trunk.reserve(45)
    branch = Segment(3, Prefix(trunk, 45))
    branch.reserve(3)
    prefixes = [
        None,
        Prefix(trunk, 5),
        Prefix(trunk, 45),
        Prefix(trunk, 45),
        Prefix(branch, 3),
        Prefix(trunk, 7),
    ]
    offsets = np.cumsum([0, 5, 40, 3, 4, 34, 2])
    kept = [CacheWrite(0, 5, trunk, 0), CacheWrite(5, 45, trunk, 5), CacheWrite(45, 48, branch, 0)]
    layout = Layout(offsets, prefixes, kept)
    seen = [[], range(5), range(45), range(45), range(48), range(7)]
    query, key, value = (states(rng, heads, int(offsets[-1])) for heads in (4, 2, 2))
    ways = {"cpu": merge_on_cpu, "cuda": merge_on_cuda, "pieces": None, "paths": None}
    monkeypatch.setattr(attention, "merger_for", lambda _: ways[way])
    monkeypatch.setattr(attention, "has_fixed_bits", lambda _: way == "paths")
    with laid_out(layout):
        out, _ = attend(module(), query, key, value, None)
    mask = torch.zeros(offsets[-1], offsets[-1]).bool()
    for piece, (begin, end) in enumerate(itertools.pairwise(offsets)):
        mask[begin:end, list(seen[piece])] = True
        mask[begin:end, begin:end] = torch.ones(end - begin, end - begin).tril().bool()
    wide = (state.repeat_interleave(2, 1) for state in (key, value))
    expected = torch.nn.functional.scaled_dot_product_attention(query, *wide, attn_mask=mask)
    torch.testing.assert_close(out, expected.transpose(1, 2), rtol=0, atol=5e-6)


def check_against_stock(stock, shared) -> None:
    """Compare hidden states of traces that branch, under three budgets, with the stock model's."""
    rng = np.random.default_rng(0)
    traces = [rng.integers(0, 97, 50)]
    for cut in (0, 9, 20, 20, 35, 50, 50):
        traces.append(np.concatenate([traces[-1][:cut], rng.integers(0, 97, 15)]))
    offsets = np.cumsum([0, *map(len, traces)])
    ids = np.concatenate(traces).astype(np.int32)
    for budget in (10, 45, 1000):
        made = plan(ids, offsets, token_budget=budget, costs=ForwardCosts(1, 0))
        hidden = torch.cat(list(hidden_states(shared, made)))
        for index, trace in enumerate(traces):
            with torch.inference_mode():
                expected = stock(input_ids=torch.from_numpy(trace)[None]).last_hidden_state[0]
            rows = made.rows(np.full(len(trace), index), np.arange(len(trace)))
            torch.testing.assert_close(hidden[rows], expected, rtol=0, atol=3e-5)


@pytest.mark.parametrize("way", ["paths", "cpu", "cuda", "pieces"])
def test_a_model_goes_every_way(way, monkeypatch, cuda_calls):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=97,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.15,
    )
    stock = LlamaModel(config).eval()
    shared = copy.deepcopy(stock)
    shared.set_attn_implementation(IMPLEMENTATION)
    ways = {"cpu": merge_on_cpu, "cuda": merge_on_cuda, "pieces": None, "paths": None}
    monkeypatch.setattr(attention, "merger_for", lambda _: ways[way])
    monkeypatch.setattr(attention, "has_fixed_bits", lambda _: way == "paths")
    check_against_stock(stock, shared)
    assert bool(cuda_calls) == (way == "cuda")


def test_short_pieces_are_batches_of_like_lengths():
    lengths = np.array([1, 33, 2, 3, 1, 32, 17, 4, 100, 16])
    layout = Layout(np.cumsum([0, *lengths]), [None] * len(lengths))
    assert SHORT == 32
    assert layout.long_pieces == [(1, 34), (93, 193)]
    rows = []
    for index, there in layout.short_pieces:
        present_rows = there.sum(1)
        assert index.shape == there.shape
        assert there.shape[1] == present_rows.max()
        assert present_rows.max() < 2 * present_rows.min(), "no more than half of a row is padding"
        for line, present, length in zip(index, there, present_rows, strict=True):
            assert present[:length].all()
            assert (line[length:] == line[length - 1]).all()
            rows += line[:length].tolist()
    rows += [row for begin, end in layout.long_pieces for row in range(begin, end)]
    assert sorted(rows) == list(range(lengths.sum()))


def test_siblings_read_their_prefix_together():
    root = Segment(9)
    near, far = Segment(4, Prefix(root, 9)), Segment(4, Prefix(root, 9))
    prefixes = [
        None,
        Prefix(root, 9),
        Prefix(root, 9),
        Prefix(near, 4),
        Prefix(near, 4),
        Prefix(far, 4),
    ]
    layout = Layout(np.array([0, 2, 3, 5, 6, 9, 10]), prefixes)
    roots, rests = layout.levels
    assert roots == [(2, 10, ((root, 9),))], "one read of the problem for all"
    assert rests == [(5, 9, ((near, 4),)), (9, 10, ((far, 4),))]
    assert Layout(np.array([0, 2]), [None]).levels == []


def test_a_prefix_is_the_segments_from_the_root_on():
    root = Segment(10)
    middle = Segment(5, Prefix(root, 7))
    leaf = Segment(3, Prefix(middle, 5))
    prefix = Prefix(leaf, 2)
    assert prefix.parts == ((root, 7), (middle, 5), (leaf, 2))
    assert prefix.tokens == 14
    assert [
        beginning and beginning.parts for beginning in map(prefix.first, (0, 7, 9, 12, 13, 14))
    ] == [
        None,
        ((root, 7),),
        ((root, 7), (middle, 2)),
        ((root, 7), (middle, 5)),
        ((root, 7), (middle, 5), (leaf, 1)),
        prefix.parts,
    ]
    with pytest.raises(ValueError, match="no more tokens"):
        prefix.first(15)


def test_a_dropped_segment_holds_nothing():
    root = Segment(4)
    leaf = Segment(2, Prefix(root, 3))
    state = torch.ones(1, 2, 2, SIZE)
    leaf.reserve(2)
    leaf.write(0, 0, state, state)
    assert Prefix(leaf, 2).cached == 5
    leaf.drop()
    assert (leaf.nbytes, Prefix(leaf, 2).cached) == (0, 3)
    root.drop()
    assert Prefix(leaf, 2).cached == 0


def test_a_segment_grows_and_keeps_what_it_has():
    rng = np.random.default_rng(0)
    key, value = states(rng, 2, 23), states(rng, 2, 23)
    segment = Segment(4)
    end = 0
    for tokens in (3, 1, 6, 1, 12):
        assert segment.reserve(tokens) == end
        for layer in (0, 1):
            at = slice(end, end + tokens)
            segment.write(layer, end, key[:, :, at] + layer, value[:, :, at] - layer)
        end += tokens
        for layer in (0, 1):
            for length in (1, end):
                kept_key, kept_value = segment.read(layer, length)
                assert torch.equal(kept_key, key[:, :, :length] + layer)
                assert torch.equal(kept_value, value[:, :, :length] - layer)
        assert segment.capacity >= end == segment.used
        assert segment.nbytes == 2 * 2 * 2 * segment.capacity * SIZE * 4


def test_a_segment_with_room_does_not_move():
    segment = Segment(8)
    state = torch.ones(1, 2, 4, SIZE)
    segment.reserve(4)
    segment.write(0, 0, state, state)
    first = segment.read(0, 4)[0]
    segment.reserve(4)
    segment.write(0, 4, 2 * state, 2 * state)
    assert segment.read(0, 8)[0].data_ptr() == first.data_ptr()


@pytest.mark.parametrize(
    ("more", "options", "reason"),
    [
        ({}, {"s_aux": torch.zeros(4)}, "attention with s_aux"),
        ({}, {"position_bias": torch.zeros(4)}, "attention with position_bias"),
        ({"is_causal": False}, {}, "attention that is not causal"),
    ],
)
def test_what_is_not_done_is_refused(more, options, reason):
    forest = Forest(np.random.default_rng(0), 4, 2, lengths=[3], depth=1, pieces=2)
    with (
        laid_out(forest.layout),
        pytest.raises(NotImplementedError, match=reason),
    ):
        attend(module(**more), forest.query, forest.key, forest.value, None, **options)


def test_a_layout_ends_with_its_block():
    layout = Layout(np.array([0, 1]), [None])
    seen = []
    with pytest.raises(ZeroDivisionError), laid_out(layout):
        seen.append(current_layout()) or 1 / 0
    assert seen == [layout]
    assert current_layout() is None
