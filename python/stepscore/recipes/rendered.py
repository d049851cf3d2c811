"""A trace as a model reads it: the text of its tokens, and the places at which it is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stepscore.errors import Argument, InputError
from stepscore.recipes.recipe import Recipe, Tokenizer
from stepscore.recipes.registry import check_tokenizer

_BROKEN = "\ufffd"  # what a part of a character is decoded to
_NEWLINE = "⏎\n"
_READ = "\x1b[1;30;42m"  # bold black on green
_SPECIAL = "\x1b[36m"  # cyan
_PLAIN = "\x1b[0m"


@dataclass(frozen=True)
class Piece:
    """The text of one token, or of several that spell it together.

    Attributes:
        text: as the tokenizer decodes it.
        begin, end: the tokens, ``token_ids[begin:end]``.
    """

    text: str
    begin: int
    end: int


@dataclass(frozen=True)
class RenderedSequence:
    """One sequence of a trace.

    Attributes:
        token_ids: what is forwarded.
        positions: where it is read, in `token_ids`.
        first_step: the number of the step that is read first, from 1.
        pieces: its text.
        positions_per_step: at how many tokens a step is read.
    """

    token_ids: tuple[int, ...]
    positions: tuple[int, ...]
    first_step: int
    pieces: tuple[Piece, ...]
    positions_per_step: int = 1

    def steps(self) -> list[tuple[int, int]]:
        """Give the number of a step and where it is read, one pair for each position."""
        return [
            (self.first_step + index // self.positions_per_step, position)
            for index, position in enumerate(self.positions)
        ]

    @property
    def text(self) -> str:
        """All of its text, special tokens included."""
        return "".join(piece.text for piece in self.pieces)

    def piece_at(self, position: int) -> Piece:
        """Give the text that a token belongs to."""
        return next(piece for piece in self.pieces if piece.begin <= position < piece.end)

    def ids_around(self, position: int, width: int = 4) -> tuple[list[int], int, list[int]]:
        """Give the ids before a position, its own, and those behind it."""
        ids = list(self.token_ids)
        before = ids[max(0, position - width) : position]
        return before, ids[position], ids[position + 1 : position + 1 + width]


@dataclass(frozen=True)
class RenderedTrace:
    """One trace.

    Attributes:
        recipe: how it is laid out.
        steps: its steps.
        sequences: one, or one for each step where a step is read at tokens that later ones do not
            see.
        special: the texts of the tokenizer's special and added tokens.
    """

    recipe: Recipe
    steps: tuple[str, ...]
    sequences: tuple[RenderedSequence, ...]
    special: frozenset[str]

    def marked(self, *, color: bool = False) -> list[str]:
        """Write its text, with a mark around every token that is read.

        ``⟦2:<tag>⟧`` is where step 2 is read; ``⏎`` is a newline of the text.

        Args:
            color: mark by colours of a terminal instead of by signs.
        """
        lines: list[str] = []
        for number, sequence in enumerate(self.sequences, 1):
            if len(self.sequences) > 1:
                lines.append(f"sequence {number} of {len(self.sequences)}:")
            lines += self._marked(sequence, color).removesuffix("\n").split("\n")
        return lines

    def _marked(self, sequence: RenderedSequence, color: bool) -> str:
        steps = {position: str(step) for step, position in sequence.steps()}
        written = []
        for piece in sequence.pieces:
            here = [steps[at] for at in range(piece.begin, piece.end) if at in steps]
            text = piece.text.replace("\n", "⏎" if here else _NEWLINE)
            if here and color:
                text = f"{_READ}{text} {','.join(here)}{_PLAIN}"
            elif here:
                text = f"⟦{','.join(here)}:{text}⟧"
            elif color and piece.text in self.special:
                text = f"{_SPECIAL}{text}{_PLAIN}"
            written.append(text + ("\n" if here and "\n" in piece.text else ""))
        return "".join(written)


def render(
    recipe: Recipe, tokenizer: Tokenizer, problem: str, solution: str | Sequence[str]
) -> RenderedTrace:
    r"""Lay a trace out, and say what its tokens spell and where they are read.

    Args:
        recipe: lays it out; see `stepscore.recipes.recipe_from`.
        tokenizer: the checkpoint's own, such as ``prm.tokenizer``.
        problem: its text.
        solution: a text, which the recipe splits, or a list of steps.

    Raises:
        ValueError: no steps; a problem or a step that cannot be laid out; a tokenizer that cannot
            serve the recipe.

    Examples:
        >>> import stepscore
        >>> prm = stepscore.load("lab")
        >>> steps = ["85+95=180", "180-16=164"]
        >>> trace = stepscore.recipes.render(prm.recipe, prm.tokenizer, "85+95-16=?", steps)
        >>> print("\n".join(trace.marked()))
        85+95-16=?85+95=180⟦1:⏎⟧
        180-16=164⟦2:⏎⟧
        >>> trace.sequences[0].positions
        (19, 30)
    """
    check_tokenizer(recipe, tokenizer)
    steps = recipe.split(solution) if isinstance(solution, str) else list(solution)
    if not steps:
        raise InputError("at least one step", got="none", argument="solution", where="render")
    faults = [(recipe.fault_in_problem(problem), Argument("problem"))]
    faults += [
        (recipe.fault_in_step(step), Argument("solution", index=(index,)))
        for index, step in enumerate(steps)
    ]
    for fault, argument in faults:
        if fault is not None:
            raise fault.at(where="render", argument=argument)
    try:
        encoded = recipe.encode(tokenizer, [problem], [steps])
    except InputError as fault:
        place = fault.argument
        if place is not None and place.name in ("problems", "steps"):
            name = "problem" if place.name == "problems" else "solution"
            place = Argument(name, index=place.index[1:])
        raise fault.at(where="render", argument=place) from fault.__cause__
    sequences, first_step, per_step = [], 1, recipe.positions_per_step
    for index in range(len(encoded.offsets) - 1):
        ids, positions = encoded.trace(index)
        spelled = pieces(tokenizer, ids)
        sequences.append(
            RenderedSequence(tuple(ids), tuple(positions), first_step, spelled, per_step)
        )
        first_step += len(positions) // per_step
    special = {*getattr(tokenizer, "all_special_tokens", ()), *tokenizer.get_added_vocab()}
    return RenderedTrace(recipe, tuple(steps), tuple(sequences), frozenset(map(str, special)))


def pieces(tokenizer: Tokenizer, token_ids: Sequence[int]) -> tuple[Piece, ...]:
    """Decode tokens one by one, and those that only together spell a character, together."""
    ids = list(token_ids)
    decode: Any = tokenizer.decode
    found: list[Piece] = []
    before, begin = 0, 0  # where the piece before this one begins, and this one
    for end in range(1, len(ids) + 1):
        # A tokenizer may write a token otherwise at the beginning, as without its space.
        context, whole = (
            str(decode(ids[before:last], clean_up_tokenization_spaces=False))
            for last in (begin, end)
        )
        if whole.endswith(_BROKEN) and end < len(ids):
            continue
        found.append(Piece(whole[len(context) :], begin, end))
        before, begin = begin, end
    return tuple(found)
