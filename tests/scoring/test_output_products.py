"""Log-probabilities over blocks of the vocabulary against one dense log-softmax in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stepscore.ops.token_logprob_states import TokenStates
from stepscore.scoring.likelihood.output_products import (
    VOCABULARY_BLOCK,
    next_token_logprobs,
    rows_move,
)

WIDTH = 24
SIZES = [
    1,
    7,
    VOCABULARY_BLOCK - 1,
    VOCABULARY_BLOCK,
    VOCABULARY_BLOCK + 1,
    2 * VOCABULARY_BLOCK + 5,
]


def drawn(rows: int, vocabulary: int, seed: int = 0, scale: float = 0.4):
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(rows, WIDTH, generator=generator)
    matrix = torch.randn(vocabulary, WIDTH, generator=generator) * scale
    bias = torch.randn(vocabulary, generator=generator)
    targets = torch.randint(0, vocabulary, (rows,), generator=generator)
    targets[0], targets[-1] = 0, vocabulary - 1
    return hidden, matrix, bias, targets


def dense(hidden, matrix, targets, bias=None):
    logits = hidden.double() @ matrix.double().T
    logits = logits if bias is None else logits + bias.double()
    return logits.log_softmax(1).gather(1, targets[:, None])[:, 0]


@pytest.mark.parametrize("vocabulary", SIZES)
@pytest.mark.parametrize("with_bias", [False, True])
def test_it_is_a_dense_log_softmax(vocabulary, with_bias):
    hidden, matrix, bias, targets = drawn(23, vocabulary)
    added = bias if with_bias else None
    got = next_token_logprobs(hidden, matrix, targets, bias=added)
    assert got.dtype == torch.float32
    expected = dense(hidden, matrix, targets, added)
    np.testing.assert_allclose(got, expected, rtol=2e-7, atol=4e-6)


def test_half_precision_weights_are_multiplied_in_float32():
    hidden, matrix, _, targets = drawn(9, 5000)
    hidden, matrix = hidden.bfloat16(), matrix.bfloat16()
    got = next_token_logprobs(hidden, matrix, targets)
    np.testing.assert_allclose(got, dense(hidden, matrix, targets), rtol=2e-7, atol=4e-6)


def test_a_row_has_the_same_bits_in_any_company():
    hidden, matrix, bias, targets = drawn(1200, VOCABULARY_BLOCK + 77)
    assert not rows_move(matrix), "else load says so, and this need not hold"
    together = next_token_logprobs(hidden, matrix, targets, bias=bias)
    for rows in (slice(0, 1), slice(3, 5), slice(500, 1150)):
        assert torch.equal(
            next_token_logprobs(hidden[rows], matrix, targets[rows], bias=bias), together[rows]
        )
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert torch.equal(next_token_logprobs(hidden, matrix, targets, bias=bias), together)
    finally:
        torch.set_num_threads(threads)


def test_huge_logits_neither_overflow_nor_vanish():
    hidden, matrix, _, targets = drawn(8, VOCABULARY_BLOCK + 3, scale=100.0)
    hidden *= 100
    got = next_token_logprobs(hidden, matrix, targets)
    assert bool(got.isfinite().all())
    np.testing.assert_allclose(got, dense(hidden, matrix, targets), rtol=1e-6)
    flat = next_token_logprobs(hidden * 0, matrix, targets)
    np.testing.assert_allclose(flat, -np.log(len(matrix)), rtol=1e-6)


def test_what_is_no_number_stays_none_and_no_rows_are_none():
    hidden, matrix, _, targets = drawn(3, 300)
    hidden[1, 2] = torch.nan
    assert next_token_logprobs(hidden, matrix, targets).isnan().tolist() == [False, True, False]
    assert next_token_logprobs(hidden[:0], matrix, targets[:0]).shape == (0,)


def test_the_logits_of_a_whole_vocabulary_are_never_there(monkeypatch):
    hidden, matrix, _, targets = drawn(1000, 3 * VOCABULARY_BLOCK)
    sizes = []
    add = TokenStates.add

    def watched(states, products, *where):
        sizes.append(products.numel())
        add(states, products, *where)

    monkeypatch.setattr(TokenStates, "add", watched)
    next_token_logprobs(hidden, matrix, targets)
    assert 0 < max(sizes) <= 512 * VOCABULARY_BLOCK


def test_a_target_that_is_no_token_is_refused():
    hidden, matrix, _, targets = drawn(3, 300)
    targets[1] = 300
    with pytest.raises(ValueError, match=r"targets\[1\] is 300"):
        next_token_logprobs(hidden, matrix, targets)
