"""A trace as its prefixes, each with a probe behind it that longer prefixes do not keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np

from stepscore.errors import Argument, InputError
from stepscore.ops import find_steps
from stepscore.ragged import offsets_of
from stepscore.recipes.layouts.chat_templates import ChatTemplate, Messages
from stepscore.recipes.layouts.encoding import encode_text
from stepscore.recipes.layouts.packing import Parts, pack
from stepscore.recipes.layouts.steps import fault_in_empty_step, split_at, unix_lines
from stepscore.recipes.layouts.vocabulary import expect_added
from stepscore.recipes.recipe import Encoded, Tokenizer
from stepscore.recipes.step_ends import StepEnds


@dataclass(frozen=True)
class PrefixProbe:
    r"""Every step is read at the end of a probe that stands behind it and that no later step sees.

    prefix k = opening, user(before + problem + between), the opened turn of the steps,
    step 1 + joiner + ... + joiner + marker + step k, and behind it each of the probes.

    Each prefix with each probe is a sequence of its own. What sequences have in common, which is
    all but the probes and what the marker changes, is forwarded once.

    Attributes:
        chat: the template.
        system: the system turn, by its name there, or what it says.
        probes: what stands behind the step that is judged, one sequence each.
        before: stands before the problem in the user's turn.
        between: stands behind the problem there.
        steps_in: whose turn the steps stand in, behind that of the problem.
        joiner: stands between steps.
        marker: stands before the step that is judged.
        mark: an added token in the probes, before each of which a step is read; None reads the last
            token of a probe.
        adds_eos: whether the tokenizer's EOS ends each probe.
        tokenisation: ``joint``, or ``separate`` where chat and steps are encoded alone.
        added: further entries that must be added tokens of the tokenizer; no text may hold them.
    """

    chat: ChatTemplate
    system: str
    probes: tuple[str, ...]
    before: str = ""
    steps_in: str = "assistant"
    between: str = ""
    joiner: str = "\n\n"
    marker: str = ""
    mark: str | None = None
    adds_eos: bool = False
    tokenisation: Literal["joint", "separate"] = "joint"
    added: tuple[str, ...] = ()

    @property
    def separator(self) -> str:
        """What stands between steps, which a step may hold, too."""
        return self.joiner

    def split(self, text: str) -> list[str]:
        """Split a solution given as one text into its steps."""
        return split_at(text, self.joiner)

    def fault_in_problem(self, problem: str) -> InputError | None:
        """Say why a problem cannot be laid out, or give None."""
        return self.chat.fault_in(problem, "problem", self.added)

    def fault_in_step(self, step: str) -> InputError | None:
        """Say why a step cannot be laid out, or give None."""
        return fault_in_empty_step(step) or self.chat.fault_in(step, "step", self.added)

    def encode(
        self, tokenizer: Tokenizer, problems: Sequence[str], steps: Sequence[Sequence[str]]
    ) -> Encoded:
        """Encode every prefix with every probe, and find in each where it is read, or raise."""
        prefixes = [(trace, k) for trace, each in enumerate(steps) for k in range(1, len(each) + 1)]
        sequences = list(product(prefixes, self.probes))
        parts = iter(
            [
                self._parts(tokenizer, problems[trace], steps[trace][:k], probe)
                for (trace, k), probe in sequences
            ]
        )
        try:
            encoded = pack(
                tokenizer,
                [problems[trace] for (trace, _), _ in sequences],
                [steps[trace][:k] for (trace, k), _ in sequences],
                lambda *_: next(parts),
            )
        except InputError as fault:
            raise _of_trace(fault, [trace for (trace, _), _ in sequences]) from fault.__cause__
        counts = [len(each) * len(self.probes) for each in steps]
        positions, offsets = encoded.positions, encoded.step_offsets
        if self.mark is not None:
            [mark] = encode_text(tokenizer, self.mark)
            positions, offsets = find_steps(encoded.token_ids, encoded.offsets, mark, shift=-1)
            expected = [probe.count(self.mark) for _, probe in sequences]
            wrong = np.flatnonzero(np.diff(offsets) != expected)
            if len(wrong):
                (trace, _), _ = sequences[int(wrong[0])]
                raise InputError(
                    f"{expected[wrong[0]]} tokens {self.mark!r} (id {mark}) behind each step",
                    got=str(np.diff(offsets)[wrong[0]]),
                    advice="check that the tokenizer is the checkpoint's own",
                    argument=Argument("steps", index=(trace,)),
                )
        return Encoded(encoded.token_ids, encoded.offsets, positions, offsets, offsets_of(counts))

    def step_ends(self, tokenizer: Tokenizer | None) -> StepEnds:
        """Say that the ids of a trace do not tell where its steps are read."""
        raise InputError(
            "where each sequence is read, because each step has a sequence of its own, whose end "
            "the others do not hold",
            got="token ids alone",
            advice=("give read the last tokens of the probes, as ", Argument("positions")),
            argument="token_ids",
        )

    def check_tokenizer(self, recipe: str, tokenizer: Tokenizer) -> None:
        """Refuse a tokenizer without the marks, or whose own template differs from this one."""
        messages: Messages = [("user", "a 1"), (self.steps_in, "b\n2")]
        self.chat.check(recipe, tokenizer, self.system, messages)
        for token in self.added:
            expect_added(recipe, tokenizer, token)
        if self.adds_eos and self._eos(tokenizer) is None:
            raise InputError(
                "a tokenizer with an EOS token, at which every step is read",
                got="none",
                advice="use the tokenizer published with the model",
                where=recipe,
            )

    def _eos(self, tokenizer: Tokenizer) -> int | None:
        anything: Any = tokenizer
        eos: int | None = getattr(anything, "eos_token_id", None)
        return eos

    def _parts(self, tokenizer: Tokenizer, problem: str, steps: Sequence[str], probe: str) -> Parts:
        chat = self.chat
        asked = self.before + unix_lines(problem) + self.between
        opened = chat.turn("user", asked) + chat.header(self.steps_in)
        prompt = chat.opening(self.system) + opened
        *earlier, judged = map(unix_lines, steps)
        text = self.joiner.join([*earlier, self.marker + judged]) + probe
        if self.mark is not None:
            text += chat.end + chat.after
        contents: list[str | Sequence[int]] = [prompt + text]
        if self.tokenisation == "separate":
            contents = [prompt, text]
        if self.adds_eos:
            contents.append([self._eos(tokenizer) or 0])
        return Parts(contents, () if self.mark is not None else (len(contents) - 1,))


def _of_trace(fault: InputError, traces: Sequence[int]) -> InputError:
    """Say of a fault in a sequence in which trace it is."""
    argument = fault.argument
    if argument is None or not argument.index:
        return fault
    sequence, *step = argument.index
    return fault.at(argument=Argument(argument.name, index=(traces[sequence], *step)))
