"""Linear layers whose weights are packed for oneDNN."""

from __future__ import annotations

import copy

import pytest
import torch

from stepscore.scoring.forward.linear import PackedLinear, pack_linear_layers, rows_move

needs_onednn = pytest.mark.skipif(
    not (torch._C.has_mkl and torch._C._has_mkldnn), reason="torch was built without MKL or oneDNN"
)


@needs_onednn
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(48,), (1, 48), (1023, 48), (1, 7, 48), (3, 300, 48), (0, 48)])
@pytest.mark.parametrize("outputs", [1, 40, 129])
def test_it_is_the_layer_that_it_was_made_of(bias, shape, outputs):
    torch.manual_seed(0)
    layer = torch.nn.Linear(48, outputs, bias=bias).requires_grad_(False)
    rows = torch.randn(shape)
    packed = PackedLinear(layer)
    out = packed(rows)
    exact = torch.nn.functional.linear(
        rows.double(), layer.weight.double(), layer.bias.double() if bias else None
    )
    assert out.shape == (*shape[:-1], outputs)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out.double(), exact, rtol=0, atol=2e-6)
    torch.testing.assert_close(out, layer(rows), rtol=0, atol=2e-6)


@needs_onednn
def test_families_that_multiply_by_a_weight_themselves_find_its_numbers():
    layer = torch.nn.Linear(48, 40).requires_grad_(False)
    assert torch.equal(PackedLinear(layer).weight, layer.weight)


@needs_onednn
def test_rows_need_not_be_contiguous():
    torch.manual_seed(0)
    layer = torch.nn.Linear(48, 40).requires_grad_(False)
    wide = torch.randn(50, 96).T.reshape(96, 50).T
    for rows in (wide[::2, ::2], wide[:, 48:], torch.randn(48, 30).T):
        torch.testing.assert_close(PackedLinear(layer)(rows), layer(rows), rtol=0, atol=2e-6)


@needs_onednn
@pytest.mark.parametrize("shape", [(1606, 48), (48, 1606), (1536, 576), (3584, 64)])
def test_a_row_has_the_same_bits_in_any_company(shape):
    torch.manual_seed(0)
    packed = PackedLinear(torch.nn.Linear(*shape).requires_grad_(False))
    rows = torch.randn(1, 130, shape[0])
    whole = packed(rows)
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3, 5, 7):
            torch.set_num_threads(threads)
            for count in [*range(1, 20), 31, 33, 64, 97, 130]:
                for first in {0, 130 - count, (130 - count) // 2}:
                    part = packed(rows[:, first : first + count])
                    assert torch.equal(part, whole[:, first : first + count])
    finally:
        torch.set_num_threads(before)
    assert not rows_move(packed)


@needs_onednn
def test_rows_that_move_are_noticed(monkeypatch):
    packed = PackedLinear(torch.nn.Linear(1606, 48).requires_grad_(False))
    real = PackedLinear.forward

    def faulty(layer, rows):
        made = real(layer, rows)
        return made * (1 + 1e-6) if rows.shape[0] == 1 else made

    monkeypatch.setattr(PackedLinear, "forward", faulty)
    assert rows_move(packed)


def model() -> torch.nn.Sequential:
    torch.manual_seed(0)
    inner = torch.nn.Sequential(torch.nn.Linear(8, 9), torch.nn.ReLU())
    return torch.nn.Sequential(
        torch.nn.Embedding(5, 8), inner, torch.nn.Linear(9, 4, bias=False), torch.nn.LayerNorm(4)
    ).requires_grad_(False)


@needs_onednn
def test_every_linear_layer_of_a_model_is_packed():
    plain = model()
    packed = copy.deepcopy(plain)
    pack_linear_layers(packed)
    kinds = [type(module) for module in packed.modules()]
    assert kinds.count(PackedLinear) == 2
    assert torch.nn.Linear not in kinds
    ids = torch.arange(5)
    torch.testing.assert_close(packed(ids), plain(ids), rtol=0, atol=2e-6)
    assert not torch.equal(packed(ids), torch.zeros(5, 4))


def test_other_formats_devices_and_kinds_of_layers_stay():
    class Own(torch.nn.Linear):
        pass

    for layers in (
        model().bfloat16(),
        model().half(),
        model().double(),
        model().to("meta"),
        torch.nn.Sequential(Own(3, 4)),
    ):
        before = list(layers.modules())
        pack_linear_layers(layers)
        assert list(layers.modules()) == before


@pytest.mark.parametrize("missing", ["has_mkl", "_has_mkldnn"])
def test_where_torch_lacks_either_library_nothing_changes(missing, monkeypatch):
    monkeypatch.setattr(torch._C, missing, False)
    layers = model()
    before = list(layers.modules())
    pack_linear_layers(layers)
    assert list(layers.modules()) == before


@needs_onednn
@pytest.mark.parametrize("bias", [True, False])
def test_it_says_what_a_linear_layer_says(bias):
    layer = torch.nn.Linear(3, 4, bias=bias)
    assert repr(PackedLinear(layer)) == repr(layer).replace("Linear", "PackedLinear")


@needs_onednn
def test_a_loaded_model_runs_on_packed_layers(loaded):
    kinds = [type(module) for module in loaded("trl").backbone.modules()]
    assert kinds.count(PackedLinear) == 14
    assert torch.nn.Linear not in kinds
