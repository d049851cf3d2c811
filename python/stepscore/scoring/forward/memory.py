"""Free memory, and the bytes that a token's keys and values take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

# Of a system that does not say.
_UNKNOWN = 4 << 30


def token_bytes(backbone: torch.nn.Module) -> int:
    """Give the bytes of a token's keys and values, from the model's sizes."""
    config: Any = backbone.config
    if getattr(config, "num_attention_heads", None) is None:
        return 1  # without attention none are kept; what divides by it goes on
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    item = next(backbone.parameters()).element_size()
    return int(2 * config.num_hidden_layers * heads * size * item)


def free_memory(device: torch.device) -> int:
    """Give the bytes that are free on a device now."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):  # the caches of files, which give way, included
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return _UNKNOWN
