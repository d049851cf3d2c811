"""Where a backbone's parts are, when accelerate has placed them on several devices.

Its hooks bring what a part is given to the part's device, fetch weights that wait on the CPU or on
a disk for as long as the part runs, and bring the last part's output to where the input came from.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch


def placement(backbone: torch.nn.Module) -> Mapping[str, str] | None:
    """Give the device of every placed module, as text; None where everything is in one place."""
    places = getattr(backbone, "hf_device_map", None)
    if not places or (len(set(places.values())) == 1 and "disk" not in places.values()):
        return None
    return {name: device_name(place) for name, place in places.items()}


def device_name(place: object) -> str:
    """Spell a device as torch does; accelerate says ``0`` for the first GPU."""
    return f"cuda:{place}" if isinstance(place, int) else str(place)


def input_device(backbone: torch.nn.Module) -> torch.device:
    """Give the device on which a backbone is given its tokens, and gives its hidden states.

    Weights that wait elsewhere are fetched to the first GPU, or where there is none to the CPU.
    """
    places = placement(backbone)
    if places is None:
        return next(backbone.parameters()).device
    computing = [place for place in places.values() if place not in ("cpu", "disk")]
    return torch.device(computing[0] if computing else "cpu")


def is_float32_on_cpu(backbone: torch.nn.Module) -> bool:
    """Whether a backbone computes in float32 on a CPU, wherever its weights wait."""
    in_float32 = next(backbone.parameters()).dtype == torch.float32
    return in_float32 and input_device(backbone).type == "cpu"


def waits_for_cpu(layer: torch.nn.Module) -> bool:
    """Whether a layer's weights are elsewhere until it runs, and it runs on the CPU."""
    hook = getattr(layer, "_hf_hook", None)
    if hook is None or not getattr(hook, "offload", False):
        return False
    return device_name(hook.execution_device) == "cpu"
