"""A backbone must be causal: what a step is scored by stands before it.

An encoder sees what follows. Its score of a step would change with every later step, and with the
other traces of its batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from stepscore.errors import Argument, InputError
from stepscore.scoring.forward.number_format import as_loaded
from stepscore.scoring.forward.placement import input_device
from stepscore.scoring.forward.sharing_check import TOLERANCE

# Tokens that two traces have in common, and that follow them.
_COMMON, _FURTHER = 12, 20


def refuse_encoder(config: Any, name: str) -> None:
    """Refuse a model type that is known to see what follows, before its weights are read.

    Raises:
        ValueError: an encoder, or an encoder with a decoder.
    """
    language = config.get_text_config()
    masked = language.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    if language.is_encoder_decoder:
        kind = "an encoder with a decoder"
    elif masked and not getattr(language, "is_decoder", False):
        kind = "an encoder"
    else:
        return
    raise _not_causal(f"the {kind.removeprefix('an ')} {language.model_type!r} in {name}")


@torch.inference_mode()
def check_causal(backbone: torch.nn.Module, name: str) -> None:
    """Forward two traces with the same beginning, which must get the same hidden states there.

    Most rows of the beginning must agree: in a mixture of experts rounding alone can send a few to
    other experts.

    Raises:
        ValueError: they differ by more than rounding, or there are none.
    """
    rows = int(backbone.get_input_embeddings().num_embeddings)  # type: ignore[operator]
    fractions = (np.arange(1, 2 * (_COMMON + _FURTHER) + 1) * 0.618034) % 1
    ids = torch.from_numpy((fractions * rows).astype(np.int64)).reshape(2, -1)
    ids[1, :_COMMON] = ids[0, :_COMMON]
    device = input_device(backbone)
    try:
        with as_loaded(device):
            hidden = backbone(input_ids=ids.to(device), use_cache=False).last_hidden_state
    except Exception as error:  # whatever a model raises that was never meant for this
        raise InputError(
            "a backbone that makes hidden states of token ids alone",
            got=f"{type(backbone).__name__} in {name} ({type(error).__name__}: {error})",
            advice=("pass another ", Argument("dtype"), ", or use a causal language model"),
            where="load",
        ) from error
    first, second = hidden[:, :_COMMON].double()
    errors = torch.linalg.vector_norm(second - first, dim=-1) / torch.linalg.vector_norm(
        first, dim=-1
    )
    if float(errors.median()) > TOLERANCE[hidden.dtype]:
        raise _not_causal(
            f"{type(backbone).__name__} in {name}, whose hidden states change by "
            f"{float(errors.median()):.1e} of their norm with the tokens that follow"
        )


def _not_causal(got: str) -> InputError:
    return InputError(
        "a causal language model, because a step is scored by what stands before it, and with an "
        "encoder every later step would change the score",
        got=got,
        advice="use a PRM that was trained from a causal language model, such as Qwen2 or Llama",
        where="load",
    )
