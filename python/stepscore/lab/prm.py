"""The lab's PRM: how a solution is laid out for it, and how its step scores are read.

The layout is that of TRL's PRM trainer: the problem's tokens, then for every step its tokens and a
newline. The state at a step's newline decides whether the step is right, with everything before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2ForTokenClassification

from stepscore.hub import silenced_hub
from stepscore.lab.tokenizer import NEWLINE_ID, PAD_ID, encode

SHIPPED = Path(__file__).parent / "weights" / "prm"

WRONG, RIGHT = 0, 1
SHARP_FREQUENCIES = 3
LOOK_BACK_SCALE = 6.0  # neighbours then differ by about 4 in the logit

IGNORED = -100  # the label of every token that ends no step


@dataclass(frozen=True)
class Layout:
    """One solution as the PRM reads it: its token ids, and where each step ends."""

    ids: list[int]
    ends: list[int]


def lay_out(problem: str, steps: Sequence[str]) -> Layout:
    """Give the ids of a problem and its steps, and the position of the newline ending each step."""
    ids = encode(problem)
    ends = []
    for step in steps:
        ids += encode(step)
        ends.append(len(ids))
        ids.append(NEWLINE_ID)
    return Layout(ids, ends)


def from_policy(policy: Qwen2ForCausalLM, *, more_layers: int) -> Qwen2ForTokenClassification:
    """Build an untrained PRM: a copy of a policy's backbone with fresh layers on top.

    The policy's last layer knows which token should come next. To compare that with the token that
    did come, the first fresh layer looks one position back from the start; apart from that the
    fresh layers begin as the identity.
    """
    values = policy.config.to_dict()
    for key in ("architectures", "layer_types", "num_hidden_layers", "id2label", "label2id"):
        values.pop(key, None)
    config = Qwen2Config(
        **values,
        num_hidden_layers=policy.config.num_hidden_layers + more_layers,
        id2label={WRONG: "wrong", RIGHT: "right"},
        label2id={"wrong": WRONG, "right": RIGHT},
        classifier_dropout=0.0,
        stepscore={"recipe": "trl-prm", "separator": "\n"},
    )
    model = Qwen2ForTokenClassification(config)
    model.model.load_state_dict(policy.model.state_dict(), strict=False)
    fresh = model.model.layers[policy.config.num_hidden_layers :]
    for layer in fresh:
        torch.nn.init.zeros_(layer.self_attn.o_proj.weight)
        torch.nn.init.zeros_(layer.mlp.down_proj.weight)
    if more_layers:
        look_back(model, fresh[0])
    return model


@torch.no_grad()
def look_back(model: Qwen2ForTokenClassification, layer: Any) -> None:
    """Let every head of a layer attend to the previous position, whatever stands there.

    Query and key become constants, so that only their rotary positions matter: the key is the query
    turned by one position, and their product is largest where the key stands one position earlier.
    Only the fast frequencies tell neighbours apart; the slow ones stay at zero.
    """
    attention = layer.self_attn
    heads = model.config.num_attention_heads
    half = attention.head_dim // 2
    turn = model.model.rotary_emb.inv_freq[:SHARP_FREQUENCIES]  # radians per position
    query = torch.zeros(heads, 2, half)
    key = torch.zeros(heads, 2, half)
    query[:, 0, :SHARP_FREQUENCIES] = LOOK_BACK_SCALE
    key[:, 0, :SHARP_FREQUENCIES] = LOOK_BACK_SCALE * turn.cos()
    key[:, 1, :SHARP_FREQUENCIES] = LOOK_BACK_SCALE * turn.sin()
    for projection, bias in ((attention.q_proj, query), (attention.k_proj, key)):
        projection.weight.mul_(0.1)
        projection.bias.copy_(bias.flatten())


def load_prm(directory: Path | str = SHIPPED) -> Qwen2ForTokenClassification:
    """Load a PRM, by default the one inside the package. Nothing is fetched."""
    with silenced_hub():
        model = Qwen2ForTokenClassification.from_pretrained(directory, local_files_only=True)
    return model.eval()


@torch.inference_mode()
def read_steps(
    model: Qwen2ForTokenClassification, layouts: Sequence[Layout], *, batch_size: int = 512
) -> list[list[float]]:
    """Read p(right) at the end of every step, straight from the model.

    This is the plain reading that training needs; ``stepscore.load("lab")`` is the product's.

    Returns:
        One list per layout, with one probability per step.
    """
    scores: list[list[float]] = [[] for _ in layouts]
    order = sorted(range(len(layouts)), key=lambda index: len(layouts[index].ids))
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        hidden = model.model(input_ids=pad([layouts[index].ids for index in chosen]))
        right = model.score(hidden.last_hidden_state).softmax(-1)[..., RIGHT]
        for row, index in enumerate(chosen):
            scores[index] = right[row, layouts[index].ends].tolist()
    return scores


def pad(rows: Sequence[Sequence[int]], fill: int = PAD_ID) -> torch.Tensor:
    """Stack rows of different lengths, filled up on the right: ``[rows, longest]``, int64.

    The models are causal, so that what stands on the right of a row changes nothing in it.
    """
    longest = max(len(row) for row in rows)
    padded = torch.full((len(rows), longest), fill, dtype=torch.long)
    for index, row in enumerate(rows):
        padded[index, : len(row)] = torch.tensor(row)
    return padded
