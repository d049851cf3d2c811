"""A trace as a chat of which every token of the answer is scored by its likelihood."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from stepscore.errors import Argument, InputError
from stepscore.ragged import offsets_of
from stepscore.recipes.layouts.encoding import encode_texts
from stepscore.recipes.layouts.packing import Parts, pack
from stepscore.recipes.layouts.steps import fault_in_empty_step, unix_lines
from stepscore.recipes.recipe import Encoded, Tokenizer
from stepscore.recipes.step_ends import StepEnds

_MARK = re.compile(r"<\|\w+\|>")


@dataclass(frozen=True)
class ChatTemplate:
    """A chat of one question and one answer.

    text = start + system + user + problem + end + after + assistant + answer + end + after

    Attributes:
        start: stands before the first turn.
        system: the turn of a system text, which stands for ``{}``.
        user, assistant: what begins these turns; an added token stands first.
        end: an added token that ends a turn.
        after: stands behind it.
        trimmed: whether the template strips the texts of the turns.
    """

    start: str
    system: str
    user: str
    assistant: str
    end: str
    after: str
    trimmed: bool

    @property
    def marks(self) -> tuple[str, ...]:
        """The added tokens of the chat."""
        text = self.start + self.user + self.assistant + self.end
        return tuple(dict.fromkeys(_MARK.findall(text)))

    def content(self, text: str) -> str:
        """Give the text of a turn as the template writes it."""
        text = unix_lines(text)
        return text.strip() if self.trimmed else text


TEMPLATES = {
    "qwen2.5": ChatTemplate(
        start="",
        system="<|im_start|>system\n{}<|im_end|>\n",
        user="<|im_start|>user\n",
        assistant="<|im_start|>assistant\n",
        end="<|im_end|>",
        after="\n",
        trimmed=False,
    ),
    "llama-3": ChatTemplate(
        start="<|begin_of_text|>",
        system="<|start_header_id|>system<|end_header_id|>\n\n{}<|eot_id|>",
        user="<|start_header_id|>user<|end_header_id|>\n\n",
        assistant="<|start_header_id|>assistant<|end_header_id|>\n\n",
        end="<|eot_id|>",
        after="",
        trimmed=True,
    ),
}
# Two texts that no template writes by itself.
_QUESTION, _ANSWER = "\ue000question", "\ue000answer"


@dataclass(frozen=True, kw_only=True)
class LikelihoodChat:
    r"""A chat whose steps are sums over tokens, bounded by the lengths of its beginnings.

    The answer of :math:`k` steps is the steps joined by `joiner`. :math:`P_k` is the chat with that
    answer, stripped, and with `joiner` behind it where :math:`0 < k < K`;
    :math:`b_k = |\mathrm{enc}(P_k)| - 2`. The last token that step :math:`k` counts is
    :math:`b_k + 1`, the one that the model predicts at :math:`b_k`; the first one of all is
    :math:`b_0 + 1`, or the one before it. No token between them is left out.

    Because :math:`P_k` is encoded alone, :math:`b_k` is not exactly where the step ends in the
    whole chat: a full stop and the newlines behind it may be one token there and two here, and
    where the end of the turn is not `left_out`, its token counts as one. That is how the
    author's code reads it. A score of a step depends on whether another one follows.

    Attributes:
        name: of the recipe, for messages.
        template: a name in `TEMPLATES`; None takes the one whose marks the tokenizer has.
        system: what the system turn says, "" for no such turn; None takes what the chat template of
            the checkpoint's tokenizer writes where no system turn is passed, and refuses a
            tokenizer whose template writes another chat than `template`.
        written: step and its number, from 1 -> how the step is written.
        divide: a solution given as one text -> its steps.
        left_out: the end of a turn that is left out of :math:`P_k` for :math:`k < K`; that of
            another template stays.
        first: whether the first token that counts is ``predicted`` at :math:`b_0`, or is the one
            ``before`` it.
        joiner: stands between steps.
    """

    tokenisation: ClassVar[Literal["joint"]] = "joint"

    name: str
    template: str | None
    system: str | None
    written: Callable[[str, int], str]
    divide: Callable[[str], list[str]]
    first: Literal["predicted", "before"]
    left_out: str = ""
    joiner: str = "\n\n"

    def __post_init__(self) -> None:
        name = self.template
        if name is not None and (not isinstance(name, str) or name not in TEMPLATES):
            raise InputError(
                f"one of {', '.join(TEMPLATES)}",
                got=repr(self.template),
                advice="pass one of these",
                argument="template",
                where=self.name,
            )

    @property
    def separator(self) -> str:
        """What stands between steps."""
        return self.joiner

    def split(self, text: str) -> list[str]:
        """Split a solution given as one text into its steps."""
        return self.divide(unix_lines(text))

    def fault_in_problem(self, problem: str) -> InputError | None:
        """Accept any problem; the marks of the chat are special tokens, which are refused."""
        return None

    def fault_in_step(self, step: str) -> InputError | None:
        """Refuse a step without text."""
        return fault_in_empty_step(step)

    def encode(
        self, tokenizer: Tokenizer, problems: Sequence[str], steps: Sequence[Sequence[str]]
    ) -> Encoded:
        """Encode whole chats, and their beginnings for the bounds of the steps."""
        chat = TEMPLATES[self._template(tokenizer)]
        opening = self._opening(tokenizer) if problems else ""
        written = [
            [self.written(unix_lines(step), k) for k, step in enumerate(trace, 1)]
            for trace in steps
        ]
        rest = iter(written)

        def parts(problem: str, _: Sequence[str]) -> Parts:
            question = opening + chat.user + chat.content(problem) + chat.end + chat.after
            answer = chat.assistant + self._answer(chat, next(rest)) + chat.end + chat.after
            # The added token that begins the answer's turn cuts the text in two anyway.
            return Parts([question, answer], ())

        whole = pack(tokenizer, problems, steps, parts)
        answers = [
            chat.assistant + text for trace in written for text in self._beginnings(chat, trace)
        ]
        lengths = np.array([len(ids) for ids in encode_texts(tokenizer, answers)], dtype=np.int64)
        counts = np.fromiter(map(len, steps), np.int64, len(steps))
        questions = self._question_lengths(tokenizer, opening, chat, problems)
        bounds = lengths - 2 + np.repeat(questions + whole.offsets[:-1], counts + 1)
        first_bounds = offsets_of(counts + 1)[:-1]
        return Encoded(
            token_ids=whole.token_ids,
            offsets=whole.offsets,
            positions=np.delete(bounds, first_bounds) + 1,
            step_offsets=offsets_of(counts),
            first_tokens=bounds[first_bounds] + (1 if self.first == "predicted" else 0),
        )

    def step_ends(self, tokenizer: Tokenizer | None) -> StepEnds:
        """Refuse to find steps in token ids: no token ends one."""
        raise InputError(
            "a recipe that is read at one token of each step",
            got=f"{self.name}, which sums over all tokens",
            advice="score the texts with prm.score",
        )

    def check_tokenizer(self, recipe: str, tokenizer: Tokenizer) -> None:
        """Refuse a tokenizer without the marks of the chat, or whose template is another one."""
        self._template(tokenizer)
        self._opening(tokenizer)

    def _question_lengths(
        self, tokenizer: Tokenizer, opening: str, chat: ChatTemplate, problems: Sequence[str]
    ) -> NDArray[np.int64]:
        """How many tokens stand before the turn of the answer."""
        texts = [opening + chat.user + chat.content(p) + chat.end + chat.after for p in problems]
        return np.array([len(ids) for ids in encode_texts(tokenizer, texts)], dtype=np.int64)

    def _answer(self, chat: ChatTemplate, parts: Sequence[str]) -> str:
        return chat.content(self.joiner.join(parts))

    def _beginnings(self, chat: ChatTemplate, parts: Sequence[str]) -> list[str]:
        """The answers of the first 0, 1, ... steps, as their lengths are measured."""
        texts = []
        for count in range(len(parts) + 1):
            last = count == len(parts)
            kept = last or chat.end != self.left_out
            text = self._answer(chat, parts[:count]) + (chat.end if kept else "")
            texts.append(text if last or not count else text + self.joiner)
        return texts

    def _opening(self, tokenizer: Tokenizer) -> str:
        """What stands before the user's turn."""
        name = self._template(tokenizer)
        if self.system is not None:
            chat = TEMPLATES[name]
            return chat.start + (chat.system.format(self.system) if self.system else "")
        return opening_of_template(self.name, name, tokenizer)

    def _template(self, tokenizer: Tokenizer) -> str:
        """The template whose marks are added tokens of the tokenizer.

        Raises:
            ValueError: the one that was asked for is not, or none or several are.
        """
        added = tokenizer.get_added_vocab()
        asked = [self.template] if self.template is not None else list(TEMPLATES)
        fitting = [name for name in asked if all(mark in added for mark in TEMPLATES[name].marks)]
        if len(fitting) == 1:
            return fitting[0]
        marks = {
            name: [mark for mark in TEMPLATES[name].marks if mark not in added] for name in asked
        }
        lacking = "; ".join(f"{name}: {', '.join(texts)}" for name, texts in marks.items() if texts)
        raise InputError(
            f"a tokenizer with the added tokens of the chat of {' or '.join(asked)}",
            got=f"one that lacks ({lacking})" if lacking else "one that has those of each",
            advice=("pass ", Argument("template"), " or load the tokenizer of the checkpoint"),
            argument="template",
            where=self.name,
        )


def opening_of_template(recipe: str, template: str, tokenizer: Any) -> str:
    """Give what a tokenizer's own chat template writes before a user's turn.

    Raises:
        ValueError: it has none, or it writes another chat than `template` from there on.
    """
    chat = TEMPLATES[template]
    pass_system = ("pass ", Argument("system"), ', the text of its system turn, or "" for none')
    if not getattr(tokenizer, "chat_template", None):
        raise InputError(
            "a tokenizer with a chat template, which says what stands before the problem",
            got="one without",
            advice=pass_system,
            argument="system",
            where=recipe,
        )
    turns = [{"role": "user", "content": _QUESTION}, {"role": "assistant", "content": _ANSWER}]
    try:
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=False)
    except Exception as error:  # a template is a program of somebody else's
        raise InputError(
            "a chat template that can be written",
            got=f"{type(error).__name__}: {error}",
            advice=pass_system,
            argument="system",
            where=recipe,
        ) from error
    rest = chat.user + _QUESTION + chat.end + chat.after
    rest += chat.assistant + _ANSWER + chat.end + chat.after
    if not str(text).endswith(rest):
        raise InputError(
            f"a tokenizer whose chat template is that of {template}, and ends in {rest!r}",
            got=repr(str(text)[-len(rest) - 40 :]),
            advice=("pass another ", Argument("template"), ", or ", *pass_system),
            argument="template",
            where=recipe,
        )
    return str(text)[: -len(rest)]
