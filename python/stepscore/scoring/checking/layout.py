"""Token ids and positions: found a second time, and compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stepscore.errors import InputError
from stepscore.recipes import Encoded, Recipe, Tokenizer
from stepscore.recipes.rendered import pieces
from stepscore.scoring.checking.report import Difference, Finding
from stepscore.scoring.checking.sum_bounds import bounds_of_sums


@dataclass(frozen=True)
class LaidOut:
    """A trace that can be laid out.

    Attributes:
        place: how messages call it.
        problem, steps: its texts.
        encoded: its tokens, and where they are read.
        right: whether each step is right; None where nobody knows.
        positions_per_step: at how many tokens a step is read.
    """

    place: str
    problem: str
    steps: list[str]
    encoded: Encoded
    right: tuple[bool, ...] | None = None
    positions_per_step: int = 1

    @property
    def scores(self) -> int:
        """How many of its steps have a score; a solution that is scored as a whole has one."""
        return len(self.encoded.positions) // self.positions_per_step

    def sequences(self) -> Iterator[tuple[list[int], list[int]]]:
        """Give the token ids and the positions of each of its sequences."""
        for index in range(len(self.encoded.offsets) - 1):
            yield self.encoded.trace(index)


def compare_layouts(
    recipe: Recipe, tokenizer: Tokenizer, exact: Tokenizer, traces: Sequence[LaidOut]
) -> tuple[list[Difference], list[Finding]]:
    """Compare ids with those of the checkpoint's tokenizer, and positions with those of the ids.

    Args:
        recipe: of the engine.
        tokenizer: of the engine.
        exact: the checkpoint's, loaded again.
        traces: what the engine lays out.
    """
    differences: list[Difference] = []
    unknown: list[str] = []
    for trace in traces:
        differences += _ids(recipe, exact, trace)
        compared = _positions if recipe.head.likelihood is None else _bounds
        try:
            differences += compared(recipe, tokenizer, trace)
        except InputError as fault:
            unknown.append(f"{trace.place}: {fault.got or fault.expected}")
    # Where the authors of sums over tokens bound them, behind the next step's beginning, is theirs.
    sums = recipe.head.likelihood is not None
    early = [text for trace in traces for text in _not_covered(tokenizer, trace, late=not sums)]
    findings = []
    if early:
        findings.append(
            Finding(
                "warning",
                "positions",
                f"{len(early)} steps are not read where their text ends, such as {early[0]}",
            )
        )
    if unknown:
        findings.append(
            Finding(
                "note",
                "positions",
                f"of {len(unknown)} traces the ids alone do not tell where steps end, so that "
                f"their positions were compared with the texts only; {unknown[0]}",
            )
        )
    return differences, findings


def _ids(recipe: Recipe, exact: Tokenizer, trace: LaidOut) -> Iterator[Difference]:
    """Compare with the checkpoint's own tokenizer."""
    try:
        again = recipe.encode(exact, [trace.problem], [trace.steps])
    except InputError as fault:
        yield Difference("token ids", trace.place, None, "laid out", f"refused: {fault.got}")
        return
    first, second = trace.encoded.token_ids.tolist(), again.token_ids.tolist()
    if first != second:
        at = first_difference(first, second)
        yield Difference(
            "token ids",
            trace.place,
            None,
            f"{first[at : at + 4]} at token {at}",
            f"{second[at : at + 4]}, by the tokenizer in the checkpoint's folder",
        )


def first_difference(first: Sequence[Any], second: Sequence[Any]) -> int:
    """Give the first place at which two lists or texts differ, which may be the end of one."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(first), len(second)))


def _positions(recipe: Recipe, tokenizer: Tokenizer, trace: LaidOut) -> Iterator[Difference]:
    """Compare with the places that the ids alone give."""
    step = 1
    for ids, positions in trace.sequences():
        if not positions:
            continue
        found, _ = recipe.positions(
            ids,
            [0, len(ids)],
            tokenizer=tokenizer,
            prompt_lengths=[_prompt_length(recipe, tokenizer, trace.problem, ids)],
            step_counts=[len(positions)],
        )
        for number, (here, there) in enumerate(zip(positions, found.tolist(), strict=True), step):
            if here != there:
                yield Difference(
                    "positions",
                    trace.place,
                    number,
                    f"token {here}, {_shown(tokenizer, ids[here])}",
                    f"token {there}, {_shown(tokenizer, ids[there])}, which ends the step",
                )
        step += len(positions)


def _bounds(recipe: Recipe, tokenizer: Tokenizer, trace: LaidOut) -> Iterator[Difference]:
    """Compare the tokens that bound the sums of steps with those that the text gives."""
    ids, positions = trace.encoded.trace(0)
    assert trace.encoded.first_tokens is not None
    here = [int(trace.encoded.first_tokens[0]), *positions]
    begin, ends = bounds_of_sums(recipe, tokenizer, trace.problem, trace.steps, ids)
    for number, (ours, theirs) in enumerate(zip(here, [begin, *ends], strict=True)):
        if ours != theirs:
            bounds = f"which ends the sum of step {number}" if number else "where the sums begin"
            yield Difference(
                "positions",
                trace.place,
                number or None,
                f"token {ours}, {_shown(tokenizer, ids[ours])}",
                f"token {theirs}, {_shown(tokenizer, ids[theirs])}, {bounds}",
            )


def _prompt_length(recipe: Recipe, tokenizer: Tokenizer, problem: str, ids: list[int]) -> int:
    """Count the tokens that a trace begins with whatever its first step is."""
    lengths = []
    # Each has another first letter, and no number that a layout would take for its own.
    for step in ("7", "1+1", "Is it?"):
        try:
            other = recipe.encode(tokenizer, [problem], [[step]]).token_ids[: len(ids)]
        except InputError:  # a vocabulary without such words
            continue
        same = np.array(ids[: len(other)]) == other
        lengths.append(int(np.argmin(same)) if not same.all() else len(other))
    return min(lengths, default=0)


def _not_covered(tokenizer: Tokenizer, trace: LaidOut, *, late: bool) -> Iterator[str]:
    """Say which steps are read before their text has ended, or behind the next one's beginning.

    Args:
        tokenizer, trace: what is read.
        late: whether the second is looked for.
    """
    if len(trace.encoded.positions) != len(trace.steps):
        return
    number = 0
    for ids, positions in trace.sequences():
        spelled = pieces(tokenizer, ids)
        text = "".join(piece.text for piece in spelled)
        bounds = np.cumsum([len(piece.text) for piece in spelled])  # where each piece ends
        piece_of = {at: i for i, p in enumerate(spelled) for at in range(p.begin, p.end)}
        spans = _spans(text, trace.steps[: number + len(positions)], trace.problem)
        if spans is None:  # a tokenizer that does not give a text back
            return
        for position in positions:
            piece = piece_of[position]
            read_to, begins_at = int(bounds[piece]), int(bounds[piece]) - len(spelled[piece].text)
            _, end = spans[number]
            behind = spans[number + 1][0] if number + 1 < len(spans) else len(text)
            if read_to < end or (late and begins_at > behind):
                seen = text[max(0, read_to - 20) : read_to]
                yield f"step {number + 1} of {trace.place}, read behind {seen!r}"
            number += 1


def _spans(text: str, steps: Sequence[str], problem: str) -> list[tuple[int, int]] | None:
    """Find the texts of the steps, one behind the other; None where they are not all there."""
    cursor = text.find(problem.replace("\r\n", "\n").strip())
    if cursor < 0:
        return None
    cursor += len(problem.strip())
    spans = []
    for step in steps:
        written = step.replace("\r\n", "\n").strip()
        begin = text.find(written, cursor)
        if begin < 0:
            return None
        cursor = begin + len(written)
        spans.append((begin, cursor))
    return spans


def _shown(tokenizer: Tokenizer, token: int) -> str:
    decode: Any = tokenizer.decode
    return f"{decode([token])!r} (id {token})"
