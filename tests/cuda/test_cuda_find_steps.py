"""find_steps on the GPU finds what the CPU finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from on_gpu import same_bits

import stepscore

torch = pytest.importorskip("torch")


def packed(sizes: Any, seed: int = 0, kind: Any = np.int64) -> tuple[Any, Any]:
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    ids = np.random.default_rng(seed).integers(1, 4, offsets[-1]).astype(kind)
    return torch.from_numpy(ids), torch.from_numpy(offsets)


def check(device: Any, arrays: tuple[Any, Any], separator: Any, **options: Any) -> Any:
    there = {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in options.items()}
    expected = stepscore.find_steps(*arrays, separator, **options)
    got = stepscore.find_steps(*(array.to(device) for array in arrays), separator, **there)
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.device == device
        assert same_bits(ours, theirs)
    longer = int(expected[1][-1]) + 70
    ours = stepscore.find_steps(
        *(array.to(device) for array in arrays), separator, max_steps=longer, **there
    )
    theirs = stepscore.find_steps(*arrays, separator, max_steps=longer, **options)
    assert same_bits(ours[0], theirs[0])
    assert same_bits(ours[1], theirs[1])
    return got


SIZES = np.concatenate([[0, 1, 31, 32, 33, 64, 65, 1000, 0], np.arange(120) % 37])


@pytest.mark.parametrize("separator", [2, [2], [2, 2], [1, 2, 1], [3, 1, 3, 1], [7], [2] * 16])
@pytest.mark.parametrize("collapse", [False, True])
@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_separators_of_one_and_of_several_ids(
    separator: Any, collapse: bool, kind: Any, device: Any
) -> None:
    check(device, packed(SIZES, kind=kind), separator, collapse=collapse)


@pytest.mark.parametrize("collapse", [False, True])
def test_runs_of_the_separator(collapse: bool, device: Any) -> None:
    ids, offsets = packed(SIZES)
    ids[:] = 2
    for separator in (2, [2, 2], [2, 2, 2]):
        check(device, (ids, offsets), separator, collapse=collapse)


@pytest.mark.parametrize("shift", [0, -1, 1, 5, -(2**62)])
def test_shift_and_window(shift: int, device: Any) -> None:
    random = np.random.default_rng(4)
    window = torch.from_numpy(
        np.stack([random.integers(0, 9, len(SIZES)), np.minimum(SIZES, 30)], axis=1)
    )
    check(device, packed(SIZES), 2, shift=shift, window=window)


def test_many_and_no_sequences(device: Any) -> None:
    check(device, packed(np.random.default_rng(5).integers(0, 9, 40_000)), 2)
    check(device, packed(np.zeros(0, np.int64)), 2)
    check(device, packed(np.zeros(4, np.int64)), 2)
    check(device, packed([300_000]), 2)


def test_fewer_max_steps_than_steps_leave_the_rest_out(device: Any) -> None:
    ids, offsets = (array.to(device) for array in packed(SIZES))
    everything, step_offsets = stepscore.find_steps(ids, offsets, 2)
    for capacity in (0, 1, 10):
        some, same_offsets = stepscore.find_steps(ids, offsets, 2, max_steps=capacity)
        assert same_bits(some, everything[:capacity])
        assert same_bits(same_offsets, step_offsets)


def test_a_shift_out_of_the_sequence_leaves_the_step_out(device: Any) -> None:
    ids, offsets = torch.tensor([2, 1, 1, 2]), torch.tensor([0, 2, 4])
    positions, step_offsets = stepscore.find_steps(
        ids.to(device), offsets.to(device), 2, shift=-1, max_steps=3
    )
    assert positions.tolist() == [2, -1, -1]
    assert step_offsets.tolist() == [0, 0, 1]


def test_a_longer_separator_is_refused(device: Any) -> None:
    ids, offsets = (array.to(device) for array in packed([5]))
    with pytest.raises(ValueError, match="a separator has at most 16 ids on CUDA; got 17"):
        stepscore.find_steps(ids, offsets, [1] * 17)


def test_a_batch_equals_its_parts_and_a_run_the_next(device: Any) -> None:
    arrays = packed(SIZES)
    together, step_offsets = check(device, arrays, [1, 2])
    again, _ = check(device, arrays, [1, 2])
    assert same_bits(together, again)
    ids, offsets = arrays
    for s in (2, 7, 60):
        begin, end = offsets[s : s + 2].tolist()
        alone, _ = check(device, (ids[begin:end].clone(), torch.tensor([0, end - begin])), [1, 2])
        first, last = step_offsets[s : s + 2].tolist()
        assert same_bits(alone + begin, together[first:last])
