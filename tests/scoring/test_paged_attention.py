"""Attention over pages, against a dense softmax in float64 and torch's own attention."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from test_attention import HEADS, LAYER, LENGTHS, SIZE, Forest, check_against_stock, module
from transformers import LlamaConfig, LlamaModel, MistralConfig, MistralModel

from stepscore.errors import InputError
from stepscore.scoring.forward import paged_attention
from stepscore.scoring.forward.attention import IMPLEMENTATION, attend
from stepscore.scoring.forward.key_values import Prefix, Segment
from stepscore.scoring.forward.layout import laid_out
from stepscore.scoring.forward.page_table import PageTable, page_table
from stepscore.scoring.forward.paged_attention import (
    VARIABLE,
    attend_over_pages,
    plain_attention,
    varlen_attention,
)
from stepscore.scoring.forward.sharing import share_prefixes

CPU = torch.device("cpu")
PAGE_SIZES = [1, 4, 16, 256]


@pytest.fixture
def over_pages(monkeypatch):
    monkeypatch.setenv(VARIABLE, "pages")


def test_the_plain_reading_is_torchs_attention_where_torch_has_it() -> None:
    # Whole sequences, each on pages of its own in a shuffled order: a causal attention.
    draw = torch.Generator().manual_seed(0)
    lengths, size = [1, 5, 8, 13], 4
    bounds = np.cumsum([0, *lengths])
    query, key, value = (
        torch.randn(1, h, int(bounds[-1]), SIZE, generator=draw) for h in (6, 2, 2)
    )
    table = page_table(bounds, [None] * len(lengths), size, CPU)
    order = torch.randperm(table.source.numel() // size, generator=draw)
    pools = [
        paged_attention.in_pages([state[0].transpose(0, 1)], table)[order] for state in (key, value)
    ]
    moved = PageTable(
        size,
        (),
        table.source,
        torch.argsort(order)[table.table.long()].int(),
        table.used,
        table.bounds,
        table.most_queries,
        table.most_keys,
    )
    queries = query[0].transpose(0, 1)
    for window in (None, 3):
        out, logsumexp = plain_attention(queries, *pools, moved, scale=0.3, window=window)
        for begin, end in itertools.pairwise(bounds):
            at = torch.arange(end - begin)
            seen = at[None] <= at[:, None]
            if window is not None:
                seen &= at[None] > at[:, None] - window
            q, k, v = (state[:, :, begin:end] for state in (query, key, value))
            expected = torch.nn.functional.scaled_dot_product_attention(
                q, k, v, attn_mask=seen, scale=0.3, enable_gqa=True
            )
            torch.testing.assert_close(out[begin:end], expected[0].transpose(0, 1))
            logits = q[0] @ k[0].repeat_interleave(3, 0).transpose(1, 2) * 0.3
            sums = logits.masked_fill(~seen, -torch.inf).logsumexp(-1)
            torch.testing.assert_close(logsumexp[:, begin:end], sums)


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("size", PAGE_SIZES)
def test_pages_are_the_dense_softmax(lengths, size, monkeypatch) -> None:
    monkeypatch.setattr(paged_attention, "_ON_CPU", size)
    rng = np.random.default_rng(size)
    for heads, depth, pieces in zip(HEADS, (0, 2, 5), (2, 4, 6), strict=True):
        forest = Forest(rng, *heads, lengths=LENGTHS[lengths], depth=depth, pieces=pieces)
        given = (forest.query, forest.key, forest.value, forest.layout, LAYER)
        for scale, window in ((None, None), (0.3, int(rng.choice([1, 9, 1000])))):
            out = attend_over_pages(*given, scale, window)
            expected = forest.dense(SIZE**-0.5 if scale is None else scale, window).float()
            torch.testing.assert_close(out, expected, rtol=0, atol=5e-6)


def test_pieces_have_the_pages_in_common_on_which_they_agree() -> None:
    trunk = Segment(10)
    trunk.reserve(10)
    branch = Segment(7, Prefix(trunk, 9))
    branch.reserve(7)
    prefixes = [None, Prefix(trunk, 10), Prefix(trunk, 10), Prefix(trunk, 8), Prefix(branch, 7)]
    table = page_table(np.array([0, 2, 5, 6, 10, 11]), prefixes, 4, CPU)
    assert [(segment, length) for segment, length in table.segments] == [(trunk, 10), (branch, 7)]
    assert table.used.tolist() == [2, 13, 11, 12, 17]
    assert (table.most_queries, table.most_keys) == (4, 17)
    pages = [
        row[: -(-used // 4)] for row, used in zip(table.table.tolist(), table.used, strict=True)
    ]
    root, first, second, third, deep = pages
    assert first[:2] == second[:2] == third[:2] == deep[:2], "the trunk's 8 first tokens"
    others = [*root, *first[2:], *second[2:], *third[2:], *deep[2:]]
    assert len(set(others)) == len(others) == 8
    assert table.source.numel() == 4 * 10
    rows = table.source.view(-1, 4)
    assert rows[root[0]].tolist() == [0, 1, 1, 1], "behind the end stands the last row"
    assert rows[first[0]].tolist() == [11, 12, 13, 14], "the trunk is stored behind the 11 rows"
    assert rows[first[2]].tolist() == [19, 20, 2, 3], "a page where a path turns to the own tokens"
    assert rows[deep[2]].tolist() == [19, 21, 22, 23], "and from a segment to the next"


def test_a_nan_of_another_piece_does_not_leak(monkeypatch) -> None:
    rng = np.random.default_rng(5)
    forest = Forest(rng, 2, 2, lengths=[3, 5], depth=2, pieces=6)
    given = (forest.query, forest.key, forest.value, forest.layout, LAYER, None, None)
    clean = attend_over_pages(*given)
    first = slice(0, int(forest.offsets[1]))
    forest.key[:, :, first] = forest.value[:, :, first] = torch.nan
    out = attend_over_pages(*given)
    assert bool(out[:, first].isnan().any())
    assert torch.equal(out[:, first.stop :], clean[:, first.stop :])


def test_the_environment_chooses(monkeypatch) -> None:
    rng = np.random.default_rng(2)
    forest = Forest(rng, 4, 2, lengths=LENGTHS["mixed"], depth=3, pieces=8)
    taken = []

    def way(*arguments):
        taken.append(arguments[-1])
        return attend_over_pages(*arguments)

    monkeypatch.setattr("stepscore.scoring.forward.attention.attend_over_pages", way)
    given = (module(), forest.query, forest.key, forest.value, None)
    for choice, options, windows in (
        (None, {}, []),
        ("parts", {}, []),
        ("pages", {}, [None]),
        ("pages", {"sliding_window": 5}, [5]),
        ("pages", {"sliding_window": 5, "softcap": 2.0}, []),
    ):
        monkeypatch.delenv(VARIABLE, raising=False)
        if choice is not None:
            monkeypatch.setenv(VARIABLE, choice)
        taken.clear()
        with laid_out(forest.layout):
            out, _ = attend(*given, **options)
        assert taken == windows, (choice, options)
        expected = forest.dense(
            SIZE**-0.5, options.get("sliding_window"), options.get("softcap")
        ).float()
        torch.testing.assert_close(out, expected, rtol=0, atol=5e-6)


SIZES = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.15,
}


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (LlamaModel, LlamaConfig(**SIZES)),
        (MistralModel, MistralConfig(**SIZES, sliding_window=17)),
    ],
    ids=["llama", "mistral, a window of 17"],
)
def test_a_model_reads_its_pages(kind, config, over_pages) -> None:
    torch.manual_seed(0)
    stock = kind(config).eval()
    shared = copy.deepcopy(stock)
    shared.set_attn_implementation(IMPLEMENTATION)
    check_against_stock(stock, shared)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_check_at_load_lets_it_share(dtype, over_pages) -> None:
    torch.manual_seed(0)
    model = LlamaModel(LlamaConfig(**SIZES)).to(dtype).eval()
    decided = share_prefixes(model, model.config.to_dict())
    assert decided.shared, decided


def test_an_unknown_way_is_refused_at_load(monkeypatch) -> None:
    monkeypatch.setenv(VARIABLE, "pagse")
    model = LlamaModel(LlamaConfig(**SIZES)).eval()
    with pytest.raises(InputError, match=r"STEPSCORE_ATTENTION.*parts or pages.*'pagse'") as error:
        share_prefixes(model, model.config.to_dict())
    assert "unset STEPSCORE_ATTENTION" in str(error.value)


def test_this_torch_has_what_a_gpu_needs() -> None:
    assert varlen_attention() is not None


class Varlen:
    """torch's attention as its documentation says, with the quirks of one implementation."""

    def __init__(self, *, key_bounds=None, wrong=0.0) -> None:
        self.key_bounds = key_bounds
        self.wrong = wrong

    def __call__(self, query, key, value, bounds, key_bounds, most_queries, most_keys, **options):
        assert options["num_splits"] == 1
        assert options["enable_gqa"]
        if self.key_bounds is not None and (key_bounds is not None) != self.key_bounds:
            raise RuntimeError("not with this bound")
        if key_bounds is not None:
            assert key_bounds.diff().tolist() == options["seqused_k"].tolist()
        left, right = options["window_size"]
        assert right == 0
        table, used = options["block_table"], options["seqused_k"]
        assert table.dtype == used.dtype == bounds.dtype == torch.int32
        pages = PageTable(key.shape[1], (), None, table, used, bounds, most_queries, most_keys)
        window = None if left < 0 else left + 1
        out, sums = plain_attention(query, key, value, pages, scale=options["scale"], window=window)
        return out + self.wrong, sums


@pytest.mark.parametrize("key_bounds", [None, False, True])
def test_the_call_fits_what_torch_documents(key_bounds, monkeypatch) -> None:
    attention = paged_attention._paged(Varlen(key_bounds=key_bounds), bool(key_bounds))
    assert paged_attention._error_of(attention, CPU, torch.bfloat16) == 0
    monkeypatch.setattr(paged_attention, "_attention_on", lambda *_: attention)
    forest = Forest(np.random.default_rng(1), 4, 2, lengths=[3, 20], depth=3, pieces=7)
    given = (forest.query, forest.key, forest.value, forest.layout, LAYER)
    for window in (None, 4):
        out = attend_over_pages(*given, 0.3, window)
        torch.testing.assert_close(out, forest.dense(0.3, window).float(), rtol=0, atol=5e-6)


def test_a_kernel_that_reads_wrongly_is_not_used() -> None:
    attention = paged_attention._paged(Varlen(wrong=0.1), False)
    assert paged_attention._error_of(attention, CPU, torch.bfloat16) > 0.05
    with_nan = paged_attention._paged(Varlen(wrong=torch.nan), False)
    assert paged_attention._error_of(with_nan, CPU, torch.bfloat16) == torch.inf


def test_where_it_cannot_be_the_reason_is_given(monkeypatch) -> None:
    choose = paged_attention._attention_on.__wrapped__
    with pytest.raises(InputError, match=r"float16 or bfloat16 on a CUDA device.*float32 on cuda"):
        choose(torch.device("cuda"), torch.float32)
    monkeypatch.setattr(paged_attention, "varlen_attention", lambda: None)
    with pytest.raises(InputError, match=r"torch 2\.13"):
        choose(torch.device("cuda"), torch.bfloat16)
