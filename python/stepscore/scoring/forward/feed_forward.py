"""Feed-forward blocks on a CPU whose activation is our own.

Torch rounds an element of SiLU and GELU one way inside a vector register and another way behind the
last whole one, so that its bits depend on the rows beside it and on where threads cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from transformers.activations import ACT2CLS, LinearActivation, ReLUSquaredActivation
from transformers.models.llama.modeling_llama import LlamaMLP

from stepscore.ops.gated_activation import GateActivation, gated_activation

# The classes of activations that transformers puts into its models.
_ACTIVATIONS = tuple(
    {entry[0] if isinstance(entry, tuple) else entry for entry in ACT2CLS.values()}
)
# Those that do not round, or once: no way to compute them gives other bits.
_EXACT = (torch.nn.ReLU, torch.nn.ReLU6, ReLUSquaredActivation, LinearActivation)
_NAMES: tuple[GateActivation, ...] = ("silu", "gelu", "gelu_tanh")
# An activation is what it computes on these numbers; the nearest two of them differ by 4e-4.
_SAMPLES = torch.linspace(-20, 20, 401)[None]
_SAME = 1e-5


class Activation(torch.nn.Module):
    """An activation in float32 on a CPU, whose bits depend on the element alone."""

    def __init__(self, name: GateActivation) -> None:
        super().__init__()
        self.name = name

    def forward(self, states: torch.Tensor, up: torch.Tensor | None = None) -> torch.Tensor:
        """Give ``activation(states)``, times `up` where it is given."""
        rows = states.flatten(0, -2)
        factors = None if up is None else up.flatten(0, -2)
        out: torch.Tensor = gated_activation(rows, factors, activation=self.name)
        return out.view(states.shape)

    def extra_repr(self) -> str:
        """Which one."""
        return repr(self.name)


class GatedBlock(torch.nn.Module):
    """The feed-forward block of Llama and of the models that copied it, its gate in one pass."""

    def __init__(self, block: Any, activation: Activation) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = block.gate_proj, block.up_proj
        self.down_proj, self.act_fn = block.down_proj, activation

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Give ``down(activation(gate(states)) * up(states))``."""
        gated = self.act_fn(self.gate_proj(states), self.up_proj(states))
        out: torch.Tensor = self.down_proj(gated)
        return out


@torch.no_grad()
def replace_activations(module: torch.nn.Module) -> None:
    """Put our activations into a float32 model on a CPU, where torch's are ones that we have."""
    weights = next(module.parameters(), None)
    if weights is None or weights.dtype != torch.float32 or weights.device.type != "cpu":
        return
    _replace(module)


def _replace(module: torch.nn.Module) -> None:
    for name, child in list(module.named_children()):
        if isinstance(child, _ACTIVATIONS):
            known = _name_of(child)
            if known is not None:
                setattr(module, name, Activation(known))
            continue
        _replace(child)
        if _is_gated_block(child) and isinstance(child.act_fn, Activation):
            setattr(module, name, GatedBlock(child, child.act_fn))


def torch_activations(module: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """Give the activations of a model that are torch's, and round."""
    for child in module.modules():
        if isinstance(child, _ACTIVATIONS) and not isinstance(child, _EXACT):
            yield child


def _name_of(activation: torch.nn.Module) -> GateActivation | None:
    """Name an activation; None for one that we do not have."""
    made = activation(_SAMPLES)
    for name in _NAMES:
        if torch.allclose(made, Activation(name)(_SAMPLES), rtol=0, atol=_SAME):
            return name
    return None


def _is_gated_block(module: torch.nn.Module) -> bool:
    """Whether a module computes what Llama's feed-forward block does, line by line."""
    code, llama = type(module).forward.__code__, LlamaMLP.forward.__code__
    return (code.co_code, code.co_names) == (llama.co_code, llama.co_names)
