"""The gate of a feed-forward block against its specification, torch, and its promise of bits."""

from __future__ import annotations

import re
from typing import Any, get_args

import numpy as np
import pytest
from op_calls import normal
from same_bits import bits, bits_everywhere

import stepscore
from stepscore import _core, reference
from stepscore.ops.gated_activation import GateActivation

ACTIVATIONS = get_args(GateActivation)
# Of the activation, per unit of |gate|: torch's own are as exact.
ERROR = 1.5e-7


def test_the_names_are_those_of_the_core() -> None:
    assert ACTIVATIONS == _core.GATE_ACTIVATIONS


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (1, 1), (7, 33), (2, 1541)])
def test_it_is_the_specification(activation: GateActivation, shape: tuple[int, int]) -> None:
    gate, up = 4 * normal(*shape), normal(*shape, seed=1)
    for factor in (None, up):
        got = stepscore.gated_activation(gate, factor, activation=activation)
        expected = reference.gated_activation(gate, factor, activation=activation)
        assert got.dtype == np.float32
        assert got.shape == shape
        scale = np.abs(gate) * (1 if factor is None else np.abs(factor))
        assert (np.abs(got - expected) <= ERROR * scale + 1e-37).all()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_what_is_far_out_is_right(activation: GateActivation) -> None:
    gate = np.concatenate([np.linspace(-120, 120, 4001), [0.0, -0.0, 1e-30, 1e30, -1e30, 3e38]])
    gate = gate.astype(np.float32)[None]
    got = stepscore.gated_activation(gate, activation=activation)
    expected = reference.gated_activation(gate, activation=activation)
    assert (np.abs(got - expected) <= ERROR * np.abs(gate)).all()
    # Below 0 little comes through, and of that the digits are there, too.
    some = (gate < 0) & (gate > -5)
    np.testing.assert_allclose(got[some], expected[some], rtol=4e-6)
    [[plus, minus, nan]] = stepscore.gated_activation(
        [np.array([np.inf, -np.inf, np.nan], np.float32)], activation=activation
    )
    assert (plus, np.isnan(minus), np.isnan(nan)) == (np.inf, True, True), "as in torch"


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_it_is_that_of_torch(activation: GateActivation) -> None:
    torch = pytest.importorskip("torch")
    functions = {
        "silu": torch.nn.functional.silu,
        "gelu": torch.nn.functional.gelu,
        "gelu_tanh": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
    }
    gate, up = torch.from_numpy(3 * normal(9, 130)), torch.from_numpy(normal(9, 130, seed=1))
    got = stepscore.gated_activation(gate, up, activation=activation)
    assert isinstance(got, torch.Tensor)
    torch.testing.assert_close(got, functions[activation](gate) * up, rtol=0, atol=2e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_element_has_the_same_bits_everywhere(
    activation: GateActivation, levels: list[str]
) -> None:
    rng = np.random.default_rng(3)
    gate, up = 5 * normal(61, 67), normal(61, 67, seed=1)
    whole = stepscore.gated_activation(gate, up, activation=activation)
    assert bits_everywhere(
        levels, lambda: stepscore.gated_activation(gate, up, activation=activation)
    ) == bits(whole)
    for _ in range(40):
        rows = slice(*sorted(rng.integers(0, 62, 2)))
        columns = slice(*sorted(rng.integers(0, 68, 2)))
        part = stepscore.gated_activation(
            gate[rows, columns], up[rows, columns], activation=activation
        )
        assert bits(part) == bits(whole[rows, columns])
    alone = stepscore.gated_activation(gate, activation=activation)
    assert bits(alone * up) == bits(whole), "the product is one rounding"


def test_rows_may_be_apart_and_the_result_have_a_place() -> None:
    both = normal(6, 80)
    gate, up = both[:, :40], both[:, 40:]
    out = np.empty((6, 40), np.float32)
    assert stepscore.gated_activation(gate, up, out=out) is out
    assert bits(out) == bits(stepscore.gated_activation(gate.copy(), up.copy()))


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((normal(3),), {}, ValueError, "gate must have 2 dimensions"),
        ((normal(3, 4).astype(np.float64),), {}, TypeError, "gate must be float32; got float64"),
        ((normal(3, 4), normal(3, 5)), {}, ValueError, "up must have shape [3, 4] to match gate"),
        ((normal(3, 4),), {"activation": "relu"}, ValueError, "unknown activation 'relu'"),
        ((normal(4, 3).T,), {}, ValueError, "gate"),
        ((normal(3, 4),), {"out": np.empty((3, 5), np.float32)}, ValueError, "out must have shape"),
        ((normal(3, 4),), {"out": np.empty((3, 8), np.float32)[:, ::2]}, ValueError, "out"),
    ],
)
def test_bad_input_is_refused(arguments: Any, options: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=f"gated_activation: .*{re.escape(message)}"):
        stepscore.gated_activation(*arguments, **options)


def test_the_result_must_not_overlap() -> None:
    gate = normal(3, 4)
    with pytest.raises(ValueError, match="gated_activation: out"):
        stepscore.gated_activation(gate, out=gate)
