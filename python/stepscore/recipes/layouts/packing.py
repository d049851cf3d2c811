"""Traces -> packed token ids, with the positions at which their steps are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from stepscore.errors import Argument, InputError
from stepscore.ragged import offsets_of
from stepscore.recipes.layouts.encoding import encode_texts, unwritable
from stepscore.recipes.layouts.steps import shorten
from stepscore.recipes.recipe import Encoded, Tokenizer


class Parts(NamedTuple):
    """A trace as consecutive parts.

    Attributes:
        contents: each a text, which is encoded alone, or token ids.
        step_ends: the parts at whose last token a step is read, in ascending order.
    """

    contents: Sequence[str | Sequence[int]]
    step_ends: Sequence[int]


def pack(
    tokenizer: Tokenizer,
    problems: Sequence[str],
    steps: Sequence[Sequence[str]],
    parts_of: Callable[[str, Sequence[str]], Parts],
    *,
    special_tokens: bool = False,
) -> Encoded:
    """Encode the parts of every trace, and put them one behind the other.

    Args:
        tokenizer: the checkpoint's own.
        problems: one per trace.
        steps: of each trace.
        parts_of: a problem and its steps -> the parts of their trace.
        special_tokens: whether the tokenizer adds its own to every text.

    Raises:
        ValueError: a text that the tokenizer cannot write, or writes as nothing where a step is
            read: that would be the last token of what stands before it. The error names its
            problem or step.
    """
    traces = [parts_of(problem, trace) for problem, trace in zip(problems, steps, strict=True)]
    parts = list(chain.from_iterable(trace.contents for trace in traces))
    texts = [part for part in parts if isinstance(part, str)]
    try:
        encoded = iter(encode_texts(tokenizer, texts, special_tokens=special_tokens))
    except InputError as fault:
        raise _in_traces(fault, tokenizer, problems, steps, traces) from fault.__cause__
    ids = [next(encoded) if isinstance(part, str) else part for part in parts]
    offsets = offsets_of([len(part) for part in ids])
    first_part = offsets_of([len(trace.contents) for trace in traces])
    step_offsets = offsets_of([len(trace.step_ends) for trace in traces])
    step_ends = np.fromiter(
        chain.from_iterable(trace.step_ends for trace in traces), np.int64, int(step_offsets[-1])
    )
    step_ends += np.repeat(first_part[:-1], np.diff(step_offsets))
    nothing = [end for end in step_ends[np.diff(offsets)[step_ends] == 0].tolist() if parts[end]]
    if nothing:
        trace = int(np.searchsorted(first_part, nothing[0], side="right")) - 1
        raise no_tokens(tokenizer, trace, problems[trace], steps[trace])
    return Encoded(
        token_ids=np.fromiter(chain.from_iterable(ids), np.int32, int(offsets[-1])),
        offsets=offsets[first_part],
        positions=offsets[step_ends + 1] - 1,
        step_offsets=step_offsets,
    )


def no_tokens(tokenizer: Tokenizer, trace: int, problem: str, steps: Sequence[str]) -> InputError:
    """Say which text of a trace the tokenizer writes as no tokens."""
    texts = [problem, *steps]
    empty = next(
        (
            place
            for place, ids in enumerate(encode_texts(tokenizer, texts))
            if texts[place] and not ids
        ),
        0,
    )
    return InputError(
        "text that the model's tokenizer writes as tokens",
        got=f"{shorten(texts[empty])}, of which it makes none",
        advice="leave it out",
        argument=Argument("steps", index=(trace, empty - 1))
        if empty
        else Argument("problems", index=(trace,)),
    )


def _in_traces(
    fault: InputError,
    tokenizer: Tokenizer,
    problems: Sequence[str],
    steps: Sequence[Sequence[str]],
    traces: Sequence[Parts],
) -> InputError:
    """Say of which problem or step a text is that the tokenizer cannot write."""
    if fault.argument is None or not fault.argument.index:
        return fault
    texts = offsets_of([sum(isinstance(part, str) for part in trace.contents) for trace in traces])
    [text] = fault.argument.index
    trace = int(np.searchsorted(texts, text, side="right")) - 1
    # A text may hold the problem and all steps: the one that cannot be written alone is at fault.
    candidates = [(Argument("problems", index=(trace,)), problems[trace])]
    candidates += [
        (Argument("steps", index=(trace, number)), step) for number, step in enumerate(steps[trace])
    ]
    for argument, alone in candidates:
        part_fault = unwritable(tokenizer, alone)
        if part_fault is not None:
            return _at(part_fault, argument)
    return _at(fault, Argument("steps", index=(trace,)))


def _at(fault: InputError, argument: Argument) -> InputError:
    return InputError(fault.expected, got=fault.got, advice=fault.advice, argument=argument)
