"""Where accelerate is to put the parts of a backbone: ``device_map``, checked and spelt out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from stepscore.errors import InputError, InputTypeError
from stepscore.hub import silenced_hub
from stepscore.scoring.forward.placement import device_name

AUTOMATIC = ("auto", "balanced", "balanced_low_0", "sequential")
DeviceMap = str | Mapping[str, str | int | torch.device]


@dataclass(frozen=True)
class Placing:
    """Where the parts of a backbone are to go.

    Attributes:
        device_map: one of `AUTOMATIC`, or the device of every part by name.
        offload_folder: where weights that must be written again wait on a disk.
    """

    device_map: DeviceMap
    offload_folder: str | None = None

    def options(self, skeleton: torch.nn.Module) -> dict[str, Any]:
        """Give the arguments of ``from_pretrained`` for a model like `skeleton`.

        Raises:
            ValueError: a part that the model does not have, or that no entry places.
        """
        options: dict[str, Any] = {"device_map": self.device_map}
        if not isinstance(self.device_map, str):
            options["device_map"] = spelt_out(self.device_map, skeleton)
        if self.offload_folder is not None:
            options["offload_folder"] = self.offload_folder
        return options


def check_placing(
    device_map: DeviceMap | None, offload_folder: str | Path | None, device: Any
) -> Placing | None:
    """Check the arguments of `load`.

    Raises:
        TypeError: a device_map of another type.
        ValueError: a device that torch cannot use, a device beside the map, no accelerate.
    """
    if device_map is None:
        if offload_folder is not None:
            raise _fault("offload_folder", "none without a device_map", repr(str(offload_folder)))
        return None
    if not isinstance(device_map, (str, Mapping)):
        raise InputTypeError(
            'a name such as "auto", or a dict from the parts of the backbone to devices',
            got=type(device_map).__name__,
            advice="pass one of these, or device for a single one",
            argument="device_map",
            where="load",
        )
    if isinstance(device_map, str) and device_map not in AUTOMATIC:
        raise _fault("device_map", f"one of {', '.join(AUTOMATIC)}, or a dict", repr(device_map))
    if device is not None:
        raise _fault(
            "device", "none beside a device_map, which says it for every part", str(device)
        )
    if find_spec("accelerate") is None:
        raise InputError(
            "accelerate, which places a model on several devices",
            got="none that can be imported",
            advice='pip install "stepscore[adapters]", or pass device',
            argument="device_map",
            where="load",
        )
    if not isinstance(device_map, str):
        for part, place in device_map.items():
            _check_device(part, place)
    return Placing(device_map, None if offload_folder is None else str(offload_folder))


def place(backbone: Any, placing: Placing) -> Any:
    """Place a backbone that is in memory.

    Raises:
        ValueError: as `Placing.options`; weights for a disk without a folder.
    """
    from accelerate import dispatch_model, infer_auto_device_map
    from accelerate.utils import get_balanced_memory

    places = placing.device_map
    if isinstance(places, str):
        whole = {"no_split_module_classes": list(backbone._no_split_modules or [])}
        memory = None
        if places != "sequential":
            low_zero = places == "balanced_low_0"
            memory = get_balanced_memory(backbone, low_zero=low_zero, **whole)
        places = infer_auto_device_map(backbone, max_memory=memory, **whole)
    else:
        places = spelt_out(places, backbone)
    if "disk" in places.values() and placing.offload_folder is None:
        raise _fault("offload_folder", "a folder, where merged weights wait on a disk", "none")
    with silenced_hub():
        return dispatch_model(backbone, places, offload_dir=placing.offload_folder)


def spelt_out(places: Mapping[str, Any], skeleton: torch.nn.Module) -> dict[str, Any]:
    """Place every block of a model by name, so that no name is another's beginning.

    The names may be those of the model with its head: ``model.layers.0``, ``lm_head``.

    Raises:
        ValueError: a part that the model does not have, or that no entry places.
    """
    prefix = f"{skeleton.base_model_prefix}."
    parts = {name for name, _ in skeleton.named_modules()}
    parts |= {name for name, _ in skeleton.named_parameters()}
    known = {}
    for name, place in places.items():
        short = "" if name == prefix[:-1] else name.removeprefix(prefix)
        if short in parts:
            known[short] = place
        elif name.split(".")[0] not in ("lm_head", "score", "v_head", "classifier"):
            raise _fault(
                "device_map",
                f"parts of {type(skeleton).__name__}, such as {', '.join(sorted(parts)[1:4])}",
                repr(name),
            )
    return dict(_spread(skeleton, "", None, known))


def _spread(
    module: torch.nn.Module, name: str, place: Any, places: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    place = places.get(name, place)
    below = f"{name}." if name else ""
    split = not name or isinstance(module, torch.nn.ModuleList)
    if not split and not any(part.startswith(below) for part in places):
        if place is None and next(module.parameters(), None) is not None:
            raise _fault("device_map", "a device for every part of the model", f"none for {name!r}")
        # What has no weights, such as rotary frequencies, runs where its input is.
        yield name, next(iter(places.values())) if place is None else place
        return
    for child_name, child in module.named_children():
        yield from _spread(child, below + child_name, place, places)
    for parameter, _ in module.named_parameters(recurse=False):
        yield below + parameter, places.get(below + parameter, place)


def _check_device(part: Any, place: Any) -> None:
    if place == "disk":
        return
    try:
        usable = torch.device(device_name(place))
        if usable.type == "meta":
            raise RuntimeError('a meta tensor holds no numbers; "disk" leaves weights on the disk')
        torch.zeros(1, device=usable)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise _fault(
            "device_map", f'a device that torch can use here, or "disk", for {part!r}',
            f"{place!r} ({error})",
        ) from error  # fmt: skip


def _fault(argument: str, expected: str, got: str) -> InputError:
    return InputError(
        expected,
        got=got,
        advice='pass device_map="auto" to have it chosen, or device for a single one',
        argument=argument,
        where="load",
    )
