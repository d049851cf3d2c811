"""Hidden states of any framework, packed or padded, and the rows of them that are read."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepscore.arrays import dtype_name, is_cuda_array, is_from, is_torch
from stepscore.errors import Argument, InputError, InputTypeError, Words
from stepscore.ragged import check_shape, offsets_of, read_offsets
from stepscore.recipes.step_ends import on_host

_REALS = ("float32", "float16", "bfloat16")
_PASS_MASK: Words = ("pass the ", Argument("attention_mask"), ", or ", Argument("lengths"))


@dataclass(frozen=True)
class HiddenStates:
    """Hidden states of traces, as they were passed, and which of them belong to tokens.

    Attributes:
        hidden: ``[tokens, H]`` or ``[batch, length, H]``, an array of NumPy, torch or JAX.
        offsets: where each trace begins and ends among the tokens ``[traces + 1]``.
        first: for padded states, where each row's first token stands ``[traces]``; else None.
    """

    hidden: Any
    offsets: NDArray[np.int64]
    first: NDArray[np.int64] | None

    def rows(self, positions: NDArray[np.int64]) -> Any:
        """Give the states of some tokens ``[n, H]``: of torch, on their device; else of NumPy."""
        if self.first is None:
            places: tuple[NDArray[np.int64], ...] = (positions,)
        else:
            trace = np.searchsorted(self.offsets, positions, side="right") - 1
            places = trace, positions - self.offsets[trace] + self.first[trace]
        if not is_torch(self.hidden):
            return np.asarray(self.hidden[places])
        torch = sys.modules["torch"]
        with torch.no_grad():
            hidden = self.hidden.detach()
            indices = tuple(torch.from_numpy(each).to(hidden.device) for each in places)
            rows = hidden.index_select(0, *indices) if len(indices) == 1 else hidden[indices]
            # A device without ops of ours: its rows come here.
            return rows if rows.is_cuda else rows.cpu()


def read_hidden(
    call: str,
    hidden: Any,
    token_ids: Any,
    offsets: Any,
    attention_mask: Any,
    lengths: Any,
    width: int,
) -> tuple[HiddenStates, NDArray[np.int64] | None]:
    """Check hidden states and their token ids.

    Args:
        call: the function that was called, for messages.
        hidden, token_ids, offsets, attention_mask, lengths: as in `stepscore.read_steps`.
        width: the H of the head.

    Returns:
        The states, and the packed ids; None for None.

    Raises:
        TypeError, ValueError: as in `stepscore.read_steps`.
    """
    states = _array(call, hidden)
    if offsets is not None:
        for name, value in (("attention_mask", attention_mask), ("lengths", lengths)):
            if value is not None:
                raise InputError(
                    "None for packed states, whose traces offsets bound",
                    got="both",
                    advice=("leave it out, or leave ", Argument("offsets"), " out"),
                    argument=name,
                    where=call,
                )
        if len(states.shape) == 3 and states.shape[0] == 1:  # as trainers pass packed rows
            states = states[0]
        _check_states(call, states, ("tokens",), width)
        bounds = read_offsets(call, on_host(call, "offsets", offsets), states.shape[0], "tokens")
        ids = None if token_ids is None else _packed_ids(call, token_ids, states.shape[0])
        return HiddenStates(states, bounds, None), ids
    if len(states.shape) == 2:
        raise InputError(
            "where each trace of packed states begins and ends, [traces + 1]",
            got="None",
            advice=("pass ", Argument("offsets"), "; [0, tokens] for one trace"),
            argument="offsets",
            where=call,
        )
    _check_states(call, states, ("batch", "length"), width)
    first, counts = _bounds(call, attention_mask, lengths, tuple(states.shape[:2]))
    bounds = offsets_of(counts)
    ids = None
    if token_ids is not None:
        padded = on_host(call, "token_ids", token_ids)
        if padded.shape != tuple(states.shape[:2]):
            raise _unlike(call, "token_ids", padded.shape, states.shape[:2])
        column = np.arange(states.shape[1])
        ids = padded[(column >= first[:, None]) & (column < (first + counts)[:, None])]
    return HiddenStates(states, bounds, first), ids


def _array(call: str, value: Any) -> Any:
    """The value itself if its rows can be taken where it is, else a NumPy array of it."""
    if not is_torch(value) and is_cuda_array(value):
        torch = sys.modules.get("torch")
        if torch is None:
            raise InputTypeError(
                "a tensor of torch, or an array on the CPU",
                got=f"a {type(value).__name__} on a GPU, without torch",
                advice="import torch first: the array is taken over by DLPack",
                argument="hidden",
                where=call,
            )
        value = torch.from_dlpack(value)
    if is_torch(value):
        name = dtype_name(value)
    else:
        # An array of JAX is asked for its rows alone.
        if not (is_from(value, "jax") or is_from(value, "jaxlib")):
            value = np.asarray(value)
        name = str(value.dtype)
    if name not in _REALS:
        raise InputTypeError(
            f"one of {', '.join(_REALS)}, as the model computes",
            got=name,
            advice="convert it" if name == "float64" else "pass the hidden states",
            argument="hidden",
            where=call,
        )
    return value


def _check_states(call: str, states: Any, axes: tuple[str, ...], width: int) -> None:
    shape = tuple(states.shape)
    if len(shape) != len(axes) + 1 or shape[-1] != width:
        raise InputError(
            f"shape [{', '.join(axes)}, {width}], the width of the head",
            got=str(list(shape)),
            advice=_advice(shape, axes, width),
            argument="hidden",
            where=call,
        )


def _advice(shape: tuple[int, ...], axes: tuple[str, ...], width: int) -> Words:
    if len(shape) == len(axes) + 1:
        return "pass the states of the model that the head belongs to"
    if len(shape) == 3 and shape[-1] == width and len(axes) == 1:
        return (
            "for padded states leave ",
            Argument("offsets"),
            " out; of several layers take the last one",
        )
    return "of several layers take the last one"


def _bounds(
    call: str, attention_mask: Any, lengths: Any, shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the tokens of each padded row begin, and how many they are."""
    if (attention_mask is None) == (lengths is None):
        raise InputError(
            "either the mask or the lengths of padded states",
            got="neither" if lengths is None else "both",
            advice=_PASS_MASK,
            argument="attention_mask",
            where=call,
        )
    if lengths is not None:
        counts = on_host(call, "lengths", lengths)
        check_shape(call, "lengths", counts, shape[0], "the batch")
        wrong = np.flatnonzero((counts < 0) | (counts > shape[1]))
        if len(wrong):
            raise InputError(
                f"between 0 and the {shape[1]} tokens of a row",
                got=str(counts[wrong[0]]),
                advice="count the tokens without padding, which stands behind them",
                argument=Argument("lengths", index=(int(wrong[0]),)),
                where=call,
            )
        return np.zeros(shape[0], np.int64), counts
    if is_torch(attention_mask):
        attention_mask = attention_mask.cpu()
    mask = np.asarray(attention_mask)
    if mask.shape != shape:
        raise _unlike(call, "attention_mask", mask.shape, shape)
    if not np.isin(mask, (0, 1)).all():
        raise InputError(
            "1 for a token and 0 for padding",
            got=f"values such as {mask[~np.isin(mask, (0, 1))][0]}",
            advice="pass the mask that the tokenizer made",
            argument="attention_mask",
            where=call,
        )
    mask = mask.astype(np.bool_)
    counts = mask.sum(1)
    first = mask.argmax(1) if shape[1] else np.zeros(shape[0], np.int64)
    column = np.arange(shape[1])
    run = (column >= first[:, None]) & (column < (first + counts)[:, None])
    torn = np.flatnonzero((run != mask).any(1))
    if len(torn):
        raise InputError(
            "the tokens of each row in one run, with padding before or behind it",
            got=f"padding between them in row {torn[0]}",
            advice=("pass packed states, with ", Argument("offsets")),
            argument="attention_mask",
            where=call,
        )
    return first.astype(np.int64), counts.astype(np.int64)


def _packed_ids(call: str, token_ids: Any, tokens: int) -> NDArray[np.int64]:
    ids = on_host(call, "token_ids", token_ids)
    if ids.ndim == 2 and ids.shape[0] == 1:
        ids = ids[0]
    if ids.shape != (tokens,):
        raise _unlike(call, "token_ids", ids.shape, (tokens,))
    return ids


def _unlike(call: str, argument: str, got: Any, expected: Any) -> InputError:
    return InputError(
        f"shape {list(expected)} to match hidden",
        got=str(list(got)),
        advice="pass the ids and the states of one forward pass",
        argument=argument,
        where=call,
    )
