"""What only a device can show, part by part: `python benchmarks/device_checks.py [PART ...]`.

    probe      the device, its driver, whose clock is used
    attention  torch's packed attention against float64; parts and pages
    real       SmolLM2 in three number formats: it shares, and how exact its scores are
    rerank     texts to ranks with 1.5B parameters, against the model card's script

Every part reports its own failure and the rest runs. Rows go to OUT/device.jsonl and, as text, to
the output. `--rehearse` runs every line of it on a CPU in small.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch
from transformers.utils import logging

import stepscore

PARTS = ("probe", "attention", "real", "rerank")


def probe(table: object, device: str) -> None:
    """Where this runs."""
    from device_clock import clock_name, peak_of
    from device_table import Table

    assert isinstance(table, Table)
    name = platform.processor() or platform.machine()
    if device != "cpu":
        name = torch.cuda.get_device_name()
    versions = f"{name}, torch {torch.__version__}, stepscore {stepscore.__version__}"
    table.add("device", float(device != "cpu"), note=versions)
    try:
        for found in stepscore.cuda_devices():
            capability = ".".join(map(str, found.compute_capability))
            note = f"{found.name}, compute capability {capability}, driver for CUDA {found.driver}"
            table.add(f"cuda:{found.number}", float(found.number), note=note)
    except stepscore.DeviceError as error:
        table.skip("cuda_devices", str(error))
    usable, reason = stepscore.cuda_available()
    bar = None if device == "cpu" else 1
    table.add("compiled kernels", float(usable), at_least=bar, note=reason)
    peak = peak_of(name)
    table.add("arithmetic of the card", None if peak is None else peak / 1e12, "TFLOP/s")
    implementation = getattr(torch.nn.attention, "current_flash_attention_impl", lambda: None)()
    table.add("clock", None, note=clock_name(device))
    table.add("FlashAttention", None, note=str(implementation or "torch's own"))


def main() -> int:
    """Print the table; 1 when a bar is missed or a part broke, 77 where there is no GPU."""
    import device_attention
    import device_real
    import device_rerank
    from device_table import Table

    parser = argparse.ArgumentParser(description="What only a device can show.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--out", type=Path, help="a folder for device.jsonl")
    parser.add_argument("--rehearse", action="store_true", help="on a CPU, in small")
    wanted = parser.parse_args()
    unknown = set(wanted.parts) - set(PARTS)
    if unknown:
        parser.error(f"expected {', '.join(PARTS)}; got {', '.join(sorted(unknown))}")
    small = wanted.rehearse or bool(os.environ.get("STEPSCORE_REHEARSE"))
    device = "cpu" if small else "cuda"
    if not small and not torch.cuda.is_available():
        print(f"skipped: torch {torch.__version__} sees no GPU; --rehearse runs on a CPU")
        return 77
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.simplefilter("default")
    if wanted.out is not None:
        wanted.out.mkdir(parents=True, exist_ok=True)
    table = Table(None if wanted.out is None else wanted.out / "device.jsonl")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        measures = {
            "probe": lambda: probe(table, device),
            "attention": lambda: device_attention.measure(table, device, small),
            "real": lambda: device_real.measure(table, device, small, scratch),
            "rerank": lambda: device_rerank.measure(table, device, small),
        }
        for part in wanted.parts or PARTS:
            begin = time.perf_counter()
            table.run(part, measures[part])
            print(f"-- {part}: {time.perf_counter() - begin:.0f} s", flush=True)
    return table.verdict(small)


if __name__ == "__main__":
    sys.exit(main())
