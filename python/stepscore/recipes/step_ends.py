"""Where steps end in token ids that are there already: by the published rule, or an error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from stepscore.arrays import host_integers, is_from, is_torch
from stepscore.errors import Argument, InputError, Words
from stepscore.ops import find_steps
from stepscore.ragged import check_shape, read_offsets, segment_of

# tag: neither a problem nor a step holds the separator.  line: a problem may hold it, a step does
# not, and what is blank between two of them is no step.  text: problems and steps may hold it.
# end: one score, read at the last token.  nowhere: the ids that are read hold no end of a step.
SeparatorRule = Literal["tag", "line", "text", "end", "nowhere"]

_PASS_POSITIONS: tuple[str | Argument, ...] = (
    "give read the ends of the steps themselves, as ",
    Argument("positions"),
)
_PROMPT_LENGTHS = Argument("prompt_lengths")
_STEP_COUNTS = Argument("step_counts")


@dataclass(frozen=True)
class StepEnds:
    """What ends a step in token ids, and what tells it from the same tokens elsewhere.

    Attributes:
        separator: the ids that end a step; it is read at the last of them, or `back` before.
        text: what they spell.
        rule: where else they may stand.
        turn: the id that begins each turn of a chat, of which the last holds the steps; None where
            no id tells where the problem ends.
        decode: ids -> their text, to know blank lines by; None without a tokenizer.
        is_mark: whether no text can hold the separator, because added tokens are part of it.
        back: how many tokens before the last id of `separator` a step is read.
    """

    separator: tuple[int, ...]
    text: str
    rule: SeparatorRule
    turn: int | None = None
    decode: Callable[[list[int]], Any] | None = field(default=None, repr=False)
    is_mark: bool = False
    back: int = 0


class HasStepEnds(Protocol):
    """The part of a recipe that is used here."""

    @property
    def name(self) -> str:
        """For messages."""
        ...

    @property
    def step_ends(self) -> Callable[[Any], StepEnds]:
        """A tokenizer, or None for the published ids -> what ends a step."""
        ...


def find_step_ends(
    call: str,
    recipe: HasStepEnds,
    token_ids: Any,
    offsets: Any,
    *,
    tokenizer: Any = None,
    prompt_lengths: Any = None,
    step_counts: Any = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find where steps end, in NumPy; see `stepscore.recipes.Recipe.positions`.

    Args:
        call: the function that was called, for messages.
        recipe: what says which tokens end a step.
        token_ids, offsets, tokenizer, prompt_lengths, step_counts: as there.
    """
    ids = on_host(call, "token_ids", token_ids)
    check_shape(call, "token_ids", ids)
    ends = read_offsets(call, on_host(call, "offsets", offsets), len(ids), "tokens")
    lengths, counts = (
        None if value is None else on_host(call, argument, value)
        for argument, value in (("prompt_lengths", prompt_lengths), ("step_counts", step_counts))
    )
    if lengths is not None:
        check_shape(call, "prompt_lengths", lengths, len(ends) - 1, "the traces")
        wrong = np.flatnonzero((lengths < 0) | (lengths > np.diff(ends)))
        if len(wrong):
            raise InputError(
                f"between 0 and the {np.diff(ends)[wrong[0]]} tokens of trace {wrong[0]}",
                got=str(lengths[wrong[0]]),
                advice="count the tokens before its first step, without padding",
                argument=Argument("prompt_lengths", index=(int(wrong[0]),)),
                where=call,
            )
    if counts is not None:
        check_shape(call, "step_counts", counts, len(ends) - 1, "the traces")
    try:
        looked_for = recipe.step_ends(tokenizer)
    except InputError as fault:
        raise fault.at(where=call) from None
    return StepSearch(call, recipe.name, looked_for, ids, ends, lengths, counts).positions()


def on_host(call: str, argument: str, value: Any) -> NDArray[np.int64]:
    """Give whole numbers of any framework and device as NumPy's: they are small beside states."""
    if is_torch(value):
        value = value.cpu()
    elif is_from(value, "jax") or is_from(value, "jaxlib"):
        value = np.asarray(value)
    return host_integers(call, argument, value)


@dataclass(frozen=True)
class StepSearch:
    """One search for the ends of steps.

    Attributes:
        call: the function that was called, for messages.
        recipe: its name, for messages.
        ends: what is looked for.
        token_ids: packed ids ``[tokens]``.
        offsets: where each trace begins and ends ``[traces + 1]``.
        prompt_lengths: the tokens of each trace before its first step ``[traces]``, or None.
        step_counts: the steps of each trace ``[traces]``, or None.
    """

    call: str
    recipe: str
    ends: StepEnds
    token_ids: NDArray[np.int64]
    offsets: NDArray[np.int64]
    prompt_lengths: NDArray[np.int64] | None
    step_counts: NDArray[np.int64] | None

    def positions(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Give the ends of all steps, and how many of them stand before each trace.

        Raises:
            ValueError: what `Recipe.positions` says.
        """
        self._check_arguments()
        if self.ends.rule == "end":
            return self._last_tokens()
        ends, _ = find_steps(self.token_ids, self.offsets, self.ends.separator)
        if len(self.ends.separator) > 1:
            self._refuse_overlaps(ends)
        begins = self._begins()
        trace_of = np.searchsorted(self.offsets, ends, side="right") - 1
        if begins is not None:
            inside = ends >= begins[trace_of]
            if self.ends.rule == "tag" and not inside.all():
                self._refuse_early(int(ends[~inside][0]), int(trace_of[~inside][0]))
            ends, trace_of = ends[inside], trace_of[inside]
        if self.ends.rule != "text":
            assert begins is not None or self.ends.rule == "tag"
            kept = self._with_text(ends, trace_of, begins)
            ends, trace_of = ends[kept], trace_of[kept]
        step_offsets = np.searchsorted(trace_of, np.arange(len(self.offsets)), side="left")
        self._check_counts(np.diff(step_offsets))
        return ends - self.ends.back, step_offsets.astype(np.int64)

    def _check_arguments(self) -> None:
        """Refuse a question that the ids alone cannot answer."""
        rule, marked = self.ends.rule, self.ends.turn is not None
        if rule == "nowhere":
            self._refuse(
                "the tokens at which steps are read: no id of its input ends a step",
                argument=Argument("positions"),
                advice=("let encode lay the traces out, and ", *_PASS_POSITIONS),
            )
        if rule == "text" and self.step_counts is None:
            self._refuse(
                f"the number of steps of each trace: a step may hold {self.ends.text!r}, which "
                "ends it, so that the ids alone do not tell how many there are",
                argument=_STEP_COUNTS,
                advice=("pass ", _STEP_COUNTS, ", or ", *_PASS_POSITIONS),
            )
        if rule == "line" and self.prompt_lengths is None:
            self._refuse(
                "the tokens of each trace before its first step: a problem may hold "
                f"{self.ends.text!r}, too",
                argument=_PROMPT_LENGTHS,
                advice=("pass ", _PROMPT_LENGTHS, ", or ", *_PASS_POSITIONS),
            )
        if rule == "line" and self.ends.decode is None and self.step_counts is None:
            self._refuse(
                "the tokenizer of the ids, because a blank line is no step",
                argument=Argument("tokenizer"),
                advice=("pass the ", Argument("tokenizer"), ", or ", _STEP_COUNTS),
            )
        nothing = self.prompt_lengths is None and self.step_counts is None
        if rule == "tag" and not marked and not self.ends.is_mark and nothing:
            self._refuse(
                "the tokens of each trace before its first step, or the number of its steps: no id "
                f"tells where a problem ends, which might hold {self.ends.text!r}, too",
                argument=_PROMPT_LENGTHS,
                advice=("pass ", _PROMPT_LENGTHS, " or ", _STEP_COUNTS),
            )

    def _last_tokens(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Give the last token of every trace, the only one that is read."""
        empty = np.flatnonzero(np.diff(self.offsets) == 0)
        if len(empty):
            self._refuse(
                "tokens in every trace, of which the last is read",
                got=f"none in {empty[0]}",
                advice="leave empty traces out",
            )
        every = np.ones(len(self.offsets) - 1, np.int64)
        self._check_counts(every)
        return self.offsets[1:] - 1, np.arange(len(self.offsets), dtype=np.int64)

    def _begins(self) -> NDArray[np.int64] | None:
        """Where the steps of each trace begin; None where nothing says it."""
        if self.prompt_lengths is not None:
            return self.offsets[:-1] + self.prompt_lengths
        if self.ends.turn is None:
            return None
        turns, turn_offsets = find_steps(self.token_ids, self.offsets, self.ends.turn)
        none = np.flatnonzero(np.diff(turn_offsets) == 0)
        if len(none):
            self._refuse(
                f"the token (id {self.ends.turn}) that begins the turn of the steps in every trace",
                got=f"none in trace {none[0]}",
                advice=("lay the traces out as the model was trained, or pass ", _PROMPT_LENGTHS),
            )
        last: NDArray[np.int64] = turns[turn_offsets[1:] - 1] + 1
        return last

    def _with_text(
        self,
        ends: NDArray[np.int64],
        trace_of: NDArray[np.int64],
        begins: NDArray[np.int64] | None,
    ) -> NDArray[np.bool_]:
        """Whether there is text between the end of each step and what ended the one before it."""
        first = np.diff(trace_of, prepend=-1) > 0
        before = np.empty_like(ends)
        before[1:] = ends[:-1] + 1
        starts = self.offsets[:-1] if begins is None else begins
        before[first] = starts[trace_of[first]]
        blank = ends - (len(self.ends.separator) - 1) <= before
        if self.ends.rule == "tag":
            if blank.any():
                step = int(np.flatnonzero(blank)[0])
                self._refuse(
                    "text in every step",
                    got=f"nothing before the {self.ends.text!r} at token "
                    f"{ends[step] - self.offsets[trace_of[step]]} of trace {trace_of[step]}",
                    advice="leave empty steps out",
                )
            return ~blank
        if self.ends.decode is not None:
            blank |= self._blank_lines(before, ends, self.ends.decode)
        return ~blank

    def _blank_lines(
        self,
        begins: NDArray[np.int64],
        ends: NDArray[np.int64],
        decode: Callable[[list[int]], Any],
    ) -> NDArray[np.bool_]:
        """Whether each line, ``token_ids[begin:end]``, is white space."""
        distinct, inverse = np.unique(self.token_ids, return_inverse=True)
        texts = [str(decode([token])) for token in distinct.tolist()]
        # Part of a character spells nothing alone; only its whole line tells.
        unclear = np.array([not text.strip() or "\ufffd" in text for text in texts], np.bool_)
        clear_before = np.concatenate([[0], np.cumsum(~unclear[inverse.ravel()])])
        maybe: NDArray[np.bool_] = clear_before[ends] == clear_before[begins]
        for line in np.flatnonzero(maybe).tolist():
            text = str(decode(self.token_ids[begins[line] : ends[line]].tolist()))
            maybe[line] = not text.strip()
        return maybe

    def _check_counts(self, found: NDArray[np.int64]) -> None:
        counts = self.step_counts
        wrong = np.flatnonzero(found == 0 if counts is None else found != counts)
        if not len(wrong):
            return
        trace = int(wrong[0])
        expected = "at least one" if counts is None else str(counts[trace])
        advice: Words = "check that the ids are laid out as the recipe does it"
        if self.ends.rule == "end":
            self._refuse(
                f"one score for each solution, so 1 for trace {trace}",
                got=str(expected),
                argument=Argument("step_counts", index=(trace,)),
                advice=("leave ", _STEP_COUNTS, " out"),
            )
        if self.ends.rule != "tag":
            merges = f"encode every part alone, so that {self.ends.text!r} merges with nothing, "
            known: tuple[str | Argument, ...] = ()
            if self.prompt_lengths is None:
                known = ("pass ", _PROMPT_LENGTHS, " if a problem holds it, ")
            advice = (merges, *known, "or ", *_PASS_POSITIONS)
        self._refuse(
            f"{expected} of {self.ends.text!r} ({_spelled(self.ends.separator)}), which ends a "
            f"step, in trace {trace}",
            got=str(found[trace]),
            advice=advice,
        )

    def _refuse_early(self, at: int, trace: int) -> NoReturn:
        self._refuse(
            f"no {self.ends.text!r} ({_spelled(self.ends.separator)}) before the first step, "
            "because it ends a step",
            got=f"one at token {at - self.offsets[trace]} of trace {trace}, in its problem",
            advice=("remove it from the problem, or correct ", _PROMPT_LENGTHS),
        )

    def _refuse_overlaps(self, ends: NDArray[np.int64]) -> None:
        """Refuse a run such as ``aaa`` where ``aa`` ends a step: it may end in two places."""
        width = len(self.ends.separator)
        if len(self.token_ids) < width:
            return
        windows = np.lib.stride_tricks.sliding_window_view(self.token_ids, width)
        matches = np.flatnonzero((windows == np.array(self.ends.separator)).all(1)) + width - 1
        owner = segment_of(self.offsets)
        matches = matches[owner[matches] == owner[matches - width + 1]]
        doubtful = np.setdiff1d(matches, ends)
        if len(doubtful):
            at = int(doubtful[0])
            self._refuse(
                f"separators ({_spelled(self.ends.separator)}) that do not overlap",
                got=f"two that share ids, at token {at - self.offsets[owner[at]]} of trace "
                f"{owner[at]}",
                advice=_PASS_POSITIONS,
            )

    def _refuse(
        self,
        expected: str,
        *,
        got: str = "none",
        advice: Words,
        argument: Argument | str = "token_ids",
    ) -> NoReturn:
        raise InputError(
            f"for {self.recipe}, {expected}",
            got=got,
            advice=advice,
            argument=argument,
            where=self.call,
        )


def _spelled(ids: tuple[int, ...]) -> str:
    return f"id {ids[0]}" if len(ids) == 1 else f"ids {list(ids)}"
