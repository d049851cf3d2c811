"""A trace as a chat: every step is a turn of the user, and its label the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from stepscore.errors import Argument, InputError
from stepscore.ops import find_steps
from stepscore.recipes.layouts.chat_templates import ChatTemplate
from stepscore.recipes.layouts.encoding import encode_text
from stepscore.recipes.layouts.packing import Parts, pack
from stepscore.recipes.layouts.steps import fault_in_empty_step, split_at, unix_lines
from stepscore.recipes.recipe import Encoded, Tokenizer
from stepscore.recipes.step_ends import StepEnds


@dataclass(frozen=True)
class LabelTurns:
    r"""A step is a user's turn, its label the assistant's, and it is read where the label is said.

    text = opening, user(before + problem + between + step 1), assistant(label), user(step 2),
    assistant(label), ..., encoded at once and read at the last token before each label.

    Authors forward one conversation per step, of which each begins with all of the one before it.
    Every label in it is written, not predicted, so that the last conversation alone gives the same
    numbers: attention is causal. Of steps of one length that is :math:`(S + 1) / 2` times fewer
    tokens.

    Attributes:
        chat: the template.
        system: the system turn, by its name there, or what it says.
        label: the answer to every step.
        before: stands before the problem.
        between: stands between the problem and the first step.
        split_at: where a solution given as one text is split.
        strips: whether white space around a step goes.
    """

    tokenisation: ClassVar[Literal["joint"]] = "joint"

    chat: ChatTemplate
    system: str
    label: str
    before: str = ""
    between: str = ""
    split_at: str = "\n\n"
    strips: bool = False

    @property
    def separator(self) -> str:
        """The token that ends a turn."""
        return self.chat.end

    def split(self, text: str) -> list[str]:
        """Split a solution given as one text into its steps."""
        # One that ends in a newline ends the last step, too, which may have none.
        pieces = split_at(text + "\n", self.split_at)
        return [piece.strip() for piece in pieces] if self.strips else pieces

    def fault_in_problem(self, problem: str) -> InputError | None:
        """Say why a problem cannot be laid out, or give None."""
        return self.chat.fault_in(problem, "problem")

    def fault_in_step(self, step: str) -> InputError | None:
        """Say why a step cannot be laid out, or give None."""
        return fault_in_empty_step(step) or self.chat.fault_in(step, "step")

    def encode(
        self, tokenizer: Tokenizer, problems: Sequence[str], steps: Sequence[Sequence[str]]
    ) -> Encoded:
        """Encode whole chats, and find in each as many answers as it has steps, or raise."""
        packed = pack(
            tokenizer, problems, steps, self._parts, special_tokens=self.chat.special_tokens
        )
        answer, header = self._answer(tokenizer)
        answers, step_offsets = find_steps(packed.token_ids, packed.offsets, answer)
        counts = np.fromiter(map(len, steps), np.int64, len(steps))
        wrong = np.flatnonzero(np.diff(step_offsets) != counts)
        if len(wrong):
            trace = int(wrong[0])
            found = int(step_offsets[trace + 1] - step_offsets[trace])
            raise InputError(
                f"{len(steps[trace])} answers (ids {answer}), one for each step",
                got=str(found),
                advice="check that the tokenizer is the checkpoint's own",
                argument=Argument("steps", index=(trace,)),
            )
        positions = answers - (len(answer) - len(header))
        return Encoded(packed.token_ids, packed.offsets, positions, step_offsets)

    def step_ends(self, tokenizer: Tokenizer | None) -> StepEnds:
        """Say where a label is said in token ids: at the last id of the answer's header."""
        text = self.chat.header("assistant")
        if tokenizer is not None:
            return StepEnds(tuple(encode_text(tokenizer, text)), text, "tag", is_mark=True)
        if len(self.chat.answer_ids) != 1:
            raise InputError(
                f"the tokenizer of the ids, because those of {text!r} are not published",
                got="none",
                advice=("pass the ", Argument("tokenizer"), " that was published with the model"),
                argument="tokenizer",
            )
        [ids] = self.chat.answer_ids.values()
        return StepEnds(ids, text, "tag", is_mark=True)

    def check_tokenizer(self, recipe: str, tokenizer: Tokenizer) -> None:
        """Refuse a tokenizer in which a label merges with what stands before it."""
        messages = [
            ("user", "a 1"),
            ("assistant", self.label),
            ("user", "b\n2"),
            ("assistant", "x"),
        ]
        self.chat.check(recipe, tokenizer, self.system, messages)
        answer, header = self._answer(tokenizer)
        if answer[: len(header)] != header:
            raise InputError(
                f"{self.label!r} to begin with a token of its own behind "
                f"{self.chat.header('assistant')!r}, at whose last token it is said",
                got=f"the ids {answer}, and {header} without the label",
                advice="use the tokenizer that the model was trained with",
                where=recipe,
            )

    def _answer(self, tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
        """The ids of an answer up to the token that ends its turn, and those of its header."""
        header = self.chat.header("assistant")
        text = header + self.label + self.chat.end
        return encode_text(tokenizer, text), encode_text(tokenizer, header)

    def _parts(self, problem: str, steps: Sequence[str]) -> Parts:
        asked = [unix_lines(step) for step in steps]
        if self.strips:
            asked = [step.strip() for step in asked]
        if asked:
            asked[0] = self.before + unix_lines(problem) + self.between + asked[0]
        turns = [
            self.chat.turn("user", step) + self.chat.turn("assistant", self.label) for step in asked
        ]
        text = self.chat.opening(self.system) + "".join(turns)
        return Parts([text], step_ends=())  # where the labels are is seen in the tokens
