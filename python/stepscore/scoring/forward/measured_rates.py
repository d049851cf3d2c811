"""Measure how fast this machine forwards, in a tenth of a second."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import linear

from stepscore.arrays import cpu_level, num_threads
from stepscore.ragged import offsets_of
from stepscore.scoring.forward.attention import attend
from stepscore.scoring.forward.key_values import Prefix, Segment
from stepscore.scoring.forward.layout import SHORT, Layout, laid_out
from stepscore.scoring.forward.linear import PackedLinear
from stepscore.scoring.forward.machine_rates import MachineRates, machine_rates

# Of all devices but CPUs: estimates that nobody has measured. There a launch serves all pieces.
_GPU = MachineRates(flops=2e14, fork=30e-6)
_ROUNDS = 7
_ROWS, _SIZE = 256, 768  # of the products: those of a small model
_HEADS, _HEAD_SIZE = 4, 64
_PIECES, _LONG = 8, 512


def rates_of(device: torch.device, dtype: torch.dtype) -> MachineRates:
    """Give the rates of a device in a number format; those of a CPU are measured once.

    Raises:
        InputError: ``STEPSCORE_MACHINE_RATES`` is not what a provenance holds.
    """
    key = {
        "device": device.type,
        "dtype": str(dtype).removeprefix("torch."),
        "processor": _processor(),
        "level": cpu_level(),
        "threads": torch.get_num_threads(),
        "op threads": num_threads(),
        "torch": torch.__version__,
        "measurement": 1,  # another number where what is measured changes
    }
    if device.type != "cpu":
        return machine_rates(key, lambda: _GPU)
    return machine_rates(key, partial(_measure, dtype))


@torch.inference_mode()
def _measure(dtype: torch.dtype) -> MachineRates:
    small = torch.ones(4, _HEAD_SIZE, dtype=dtype)
    calls = 20
    call = _fastest(lambda: [small.add(small) for _ in range(calls)]) / calls
    numbers = torch.ones(_ROWS, _SIZE, dtype=dtype)
    step = SHORT + 1  # the least that is attended to by itself
    apart = _attention(dtype, [step] * _PIECES)
    twice = _attention(dtype, [step] * 2 * _PIECES)
    forked = _attention(dtype, [step] * _PIECES, prefixes=_PIECES)
    long = _attention(dtype, [_LONG])
    continued = _attention(dtype, [_LONG], prefixes=1)
    fork = max(0.0, forked - apart) / _PIECES
    return MachineRates(
        flops=2 * _ROWS * _SIZE**2 / _fastest(_product(dtype)),
        call=call,
        number=_fastest(lambda: numbers.mul(numbers)) / numbers.numel(),
        fork=max(call, fork),
        piece=max(0.0, twice - apart) / _PIECES,
        merge=max(0.0, continued - long - fork) / (_LONG * _HEADS * _HEAD_SIZE),
    )


def _product(dtype: torch.dtype) -> Callable[[], torch.Tensor]:
    rows = torch.linspace(-1, 1, _ROWS * _SIZE).view(_ROWS, _SIZE).to(dtype)
    weight = torch.linspace(-1, 1, _SIZE**2).view(_SIZE, _SIZE).to(dtype)
    if dtype == torch.float32 and torch._C.has_mkl and torch._C._has_mkldnn:
        # Made without weights of its own, whose numbers would be drawn from the user's seed.
        layer = torch.nn.Linear(_SIZE, _SIZE, bias=False, device="meta")
        layer.weight = torch.nn.Parameter(weight, requires_grad=False)
        return partial(PackedLinear(layer), rows)
    return partial(linear, rows, weight)


def _attention(dtype: torch.dtype, lengths: list[int], prefixes: int = 0) -> float:
    """Seconds of attention over pieces, each behind a prefix of its own of a token, or behind none.

    Of so short a prefix, only that it is there costs anything.
    """
    rows = sum(lengths)
    states = torch.linspace(-1, 1, _HEADS * rows * _HEAD_SIZE).to(dtype)
    query = states.view(1, rows, _HEADS, _HEAD_SIZE).transpose(1, 2)
    made: list[Prefix | None] = [None] * len(lengths)
    for piece in range(prefixes):
        segment = Segment(capacity=1)
        segment.write(0, segment.reserve(1), query[:, :, :1], query[:, :, :1])
        made[piece] = Prefix(segment, 1)
    layout = Layout(offsets_of(np.array(lengths, dtype=np.int64)), made)
    layer = torch.nn.Module()
    layer.layer_idx = 0  # type: ignore[assignment]
    with laid_out(layout):
        return _fastest(lambda: attend(layer, query, query, query, None))


def _fastest(run: Callable[[], object]) -> float:
    """Seconds of the fastest of several runs: the others waited for something."""
    run()
    seconds = []
    for _ in range(_ROUNDS):
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def _processor() -> str:
    """Its name, where the system says it, and the machine's kind."""
    name = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return " ".join([platform.machine(), *(names[:1] or [name])])
