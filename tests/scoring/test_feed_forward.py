"""Feed-forward blocks whose activation is our own."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import GPT2Config, GPT2Model, LlamaConfig, LlamaModel, Phi3Config, Phi3Model
from transformers.activations import ACT2FN
from transformers.models.llama.modeling_llama import LlamaMLP

from stepscore.scoring.forward.feed_forward import (
    Activation,
    GatedBlock,
    replace_activations,
    torch_activations,
)

SIZES = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 90,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
NAMES = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_accurate": "gelu_tanh",
}
OTHERS = ["quick_gelu", "gelu_10", "mish", "tanh", "sigmoid", "laplace", "leaky_relu"]
EXACT = ["relu", "relu2", "relu6", "linear"]


def block_with(name: str) -> torch.nn.ModuleList:
    torch.manual_seed(0)
    config = LlamaConfig(**SIZES, hidden_act=name)
    return torch.nn.ModuleList([LlamaMLP(config)]).eval().requires_grad_(False)


@pytest.mark.parametrize("name", [*NAMES, *OTHERS, *EXACT])
def test_an_activation_is_replaced_by_the_one_that_it_is(name: str) -> None:
    stock = block_with(name)
    replaced = copy.deepcopy(stock)
    replace_activations(replaced)
    block = replaced[0]
    if name in NAMES:
        assert isinstance(block, GatedBlock)
        assert block.act_fn.name == NAMES[name]
    else:
        assert isinstance(block, LlamaMLP)
        assert type(block.act_fn) is type(ACT2FN[name])
    assert bool(list(torch_activations(replaced))) == (name in OTHERS)
    states = torch.randn(2, 5, 32)
    torch.testing.assert_close(block(states), stock[0](states), rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda: LlamaModel(LlamaConfig(**SIZES)),
        lambda: Phi3Model(Phi3Config(**SIZES, pad_token_id=0)),
        lambda: GPT2Model(GPT2Config(vocab_size=97, n_embd=32, n_layer=2, n_head=4)),
    ],
    ids=["fused", "one product for both", "without a gate"],
)
def test_a_model_computes_what_it_did(make) -> None:
    torch.manual_seed(0)
    stock = make().eval().requires_grad_(False)
    replaced = copy.deepcopy(stock)
    replace_activations(replaced)
    assert sum(isinstance(module, Activation) for module in replaced.modules()) == 2
    assert not list(torch_activations(replaced))
    ids = torch.arange(60).view(2, 30)
    torch.testing.assert_close(
        replaced(ids).last_hidden_state, stock(ids).last_hidden_state, rtol=0, atol=2e-5
    )


def test_a_block_that_computes_something_else_keeps_its_own_way() -> None:
    class Squared(LlamaMLP):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.down_proj(self.act_fn(self.gate_proj(x)) ** 2 * self.up_proj(x))

    stock = torch.nn.ModuleList([Squared(LlamaConfig(**SIZES))]).eval().requires_grad_(False)
    replaced = copy.deepcopy(stock)
    replace_activations(replaced)
    assert isinstance(replaced[0], Squared)
    assert isinstance(replaced[0].act_fn, Activation)
    states = torch.randn(1, 5, 32)
    torch.testing.assert_close(replaced[0](states), stock[0](states), rtol=0, atol=2e-6)


@pytest.mark.parametrize("number_format", [torch.bfloat16, torch.float16, torch.float64])
def test_other_number_formats_stay(number_format: torch.dtype) -> None:
    block = block_with("silu").to(number_format)
    replace_activations(block)
    assert isinstance(block[0], LlamaMLP)


def test_it_says_which_it_is() -> None:
    assert repr(Activation("gelu")) == "Activation('gelu')"
