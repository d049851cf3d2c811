"""A causal language model of transformers as a policy of a search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from stepscore.errors import InputError
from stepscore.hub import silenced_hub, stderr_is_terminal
from stepscore.policies.decode import Drawn, Row, draw, hidden_states, no_room
from stepscore.policies.huggingface_files import expect_model
from stepscore.policies.huggingface_texts import TextWriter
from stepscore.policies.huggingface_tokenizer import load_tokenizer
from stepscore.policies.requests import Continuation, ExpandRequest
from stepscore.policies.texts import GeneratedText, TextRequest

SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."

# The end of the prompt, decoded before new tokens: some tokenizers drop the space before the first.
_TAIL = 4
# Tokens of a stop text are at most its bytes; a few more, for a character cut at the beginning.
_MARGIN = 4


def has_boxed_answer(text: str) -> bool:
    r"""Tell whether a text has a ``\boxed``: the end of a solution, as search-and-learn has it."""
    return "\\boxed" in text


class HuggingFacePolicy:
    r"""Continues traces with a causal language model.

    The text so far, prompt and steps, is encoded as one; each distinct one goes through the model
    once per call, whatever the number of its samples. A step ends with the first stop text that
    has something before it. The token that completes a stop may hold more text than that: the rest
    is cut off and drawn anew by the next continuation, and the token counts as generated.

    A sample depends on its prompt, seed and temperature alone, up to the rounding of a matrix
    product, which may differ between batches in the last bit.

    Args:
        model: the model, in evaluation mode.
        tokenizer: its tokenizer.
        prompt: problem -> what stands before the first step. None takes the tokenizer's chat
            template with `system`, or where it has none the problem and a newline.
        system: the system message of the chat template; None leaves it out.
        stop: what ends a step where a request does not say.
        finished: says of the text of a continuation that it ends the solution. ``step`` and
            ``partial`` continuations are then terminal; the end-of-text token ends all.
        top_p: draws from the likeliest tokens that together have at least this probability.
        max_length: the most tokens of prompt and solution; None takes the model's positions.
        batch_size: samples decoded together.
        name: for provenance.

    Source: prompt and stop text of huggingface/search-and-learn.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        prompt: Callable[[str], str] | None = None,
        system: str | None = SYSTEM,
        stop: Sequence[str] = ("\n\n",),
        finished: Callable[[str], bool] = has_boxed_answer,
        top_p: float = 1.0,
        max_length: int | None = None,
        batch_size: int = 64,
        name: str = "",
    ) -> None:
        if not 0 < top_p <= 1:
            raise ValueError(f"HuggingFacePolicy: top_p must lie in (0, 1]; got {top_p}")
        if not stop or not all(stop):
            raise ValueError(
                f"HuggingFacePolicy: stop must hold at least one text, none of them empty; got "
                f"{stop!r}; pass what ends a step, such as ('\\n\\n',)"
            )
        self.model = model
        self.tokenizer = tokenizer
        self.stop = tuple(stop)
        self.top_p = top_p
        self.batch_size = batch_size
        self.name = name
        config = model.config.get_text_config()
        self.max_length = max_length or getattr(config, "max_position_embeddings", None) or 2**31
        self._finished = finished
        self._templated = prompt is None and getattr(tokenizer, "chat_template", None) is not None
        self._system = system
        self._prompt = prompt
        self._ends = _end_ids(model, tokenizer)

    @classmethod
    def load(
        cls,
        model: str,
        *,
        device: str | None = None,
        dtype: str | None = None,
        revision: str | None = None,
        **options: Any,
    ) -> HuggingFacePolicy:
        """Load model and tokenizer; no code of the checkpoint is run.

        A ``tokenizer.json`` is read as it stands, so that the tokens are those of the checkpoint.

        Args:
            model: a local folder or a Hugging Face repository.
            device: None takes ``cuda`` where torch can use it, else ``cpu``.
            dtype: None takes the checkpoint's own on a GPU and float32 on a CPU.
            revision: branch, tag or commit of a repository.
            options: as in the class.

        Raises:
            ValueError, OSError: what transformers says of a checkpoint that it cannot load.
            InputError: no such folder, or no repository that can be fetched; no
                ``tokenizer.json``, and a tokenizer that drops line breaks.
        """
        where = device or ("cuda" if torch.cuda.is_available() else "cpu")
        number_format = dtype or ("float32" if torch.device(where).type == "cpu" else "auto")
        with silenced_hub(progress=stderr_is_terminal()):
            expect_model(model, revision)
            tokenizer = load_tokenizer(model, revision)
            loaded = AutoModelForCausalLM.from_pretrained(
                model, revision=revision, dtype=number_format, trust_remote_code=False
            )
        return cls(loaded.to(where).eval(), tokenizer, name=model, **options)

    def __call__(self, requests: Sequence[ExpandRequest]) -> list[list[Continuation] | Exception]:
        """Draw the samples of every request.

        A trace that fills the model's positions ends there; a problem that does gets an error.
        """
        prompts = self._encode([(r.problem, r.steps) for r in requests])
        jobs = [
            (index, seed)
            for index, prompt in enumerate(prompts)
            if 0 < len(prompt) < self.max_length
            for seed in requests[index].seeds
        ]
        owner = [index for index, _ in jobs]
        distinct = list(dict.fromkeys(prompts[index] for index in owner))
        place = {prompt: number for number, prompt in enumerate(distinct)}
        texts = [_Text(self.tokenizer, prompts[index][-_TAIL:]) for index in owner]
        stops = [self._stops(requests[index]) for index in owner]

        def ended(rows: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
            over = []
            for row, token in zip(rows.tolist(), tokens.tolist(), strict=True):
                texts[row].ids.append(token)
                stopped = bool(stops[row]) and texts[row].may_end(stops[row])
                over.append(token in self._ends or stopped)
            return torch.tensor(over)

        rows = [
            Row(
                place[prompts[index]],
                seed,
                min(requests[index].max_tokens, self.max_length - len(prompts[index])),
                requests[index].temperature,
            )
            for index, seed in jobs
        ]
        drawn = draw(
            self.model,
            distinct,
            rows,
            ended=ended,
            top_p=self.top_p,
            batch_size=self.batch_size,
        )
        samples: dict[int, list[Continuation]] = {index: [] for index in owner}
        for index, tokens, text, ends in zip(owner, drawn, texts, stops, strict=True):
            room = self.max_length - len(prompts[index])
            samples[index].append(
                self._continuation(tokens, text, ends, requests[index].mode, room)
            )
        return [
            samples.get(index) or no_room(request, len(prompts[index]), self.max_length)
            for index, request in enumerate(requests)
        ]

    def generate(self, requests: Sequence[TextRequest]) -> list[GeneratedText | Exception]:
        """Write texts with their tokens, as generative PRMs ask for them; see `TextPolicy`.

        Equal prompts go through the model once. Special tokens stand in the texts, because a
        verdict may be one; the token that ends a text does not.

        Raises:
            InputError: a prompt of turns for a tokenizer without a chat template.
        """
        writer = TextWriter(
            self.model, self.tokenizer, self._ends, self.max_length, self.batch_size
        )
        return writer.write(requests)

    def check_logprobs(self, count: int, prompt: object = "") -> None:
        """Accept any count up to the vocabulary: the model is here."""
        entries = self.model.get_output_embeddings().weight.shape[0]
        if count > entries:
            raise InputError(
                f"at most the {entries} entries of the vocabulary",
                got=str(count),
                argument="logprobs",
                where="HuggingFacePolicy",
            )

    def hidden_states(
        self, problems: Sequence[str], traces: Sequence[Sequence[str]]
    ) -> torch.Tensor:
        """The state at the last token of each trace, in the model's dtype, ``[traces, H]``."""
        prompts = self._encode(list(zip(problems, traces, strict=True)))
        return hidden_states(self.model, prompts, batch_size=self.batch_size)

    def _encode(self, traces: Sequence[tuple[str, Sequence[str]]]) -> list[tuple[int, ...]]:
        if not traces:
            return []
        heads = {problem: self._head(problem) for problem, _ in traces}
        texts = [heads[problem] + "".join(steps) for problem, steps in traces]
        # A template writes the special tokens itself.
        encoded = self.tokenizer(texts, add_special_tokens=not self._templated)
        return [tuple(ids) for ids in encoded["input_ids"]]

    def _head(self, problem: str) -> str:
        if self._prompt is not None:
            return self._prompt(problem)
        if not self._templated:
            return problem + "\n"
        messages = [{"role": "system", "content": self._system}] if self._system else []
        messages.append({"role": "user", "content": problem})
        text: str = self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        return text

    def _stops(self, request: ExpandRequest) -> tuple[str, ...]:
        return (request.stop or self.stop) if request.mode in ("step", "partial") else ()

    def _continuation(
        self, drawn: Drawn, text: _Text, stops: tuple[str, ...], mode: str, room: int
    ) -> Continuation:
        # A character of several tokens may be cut at the limit: its beginning is drawn anew.
        whole = text.decode().rstrip("\ufffd")
        end = _step_end(whole, stops)
        kept = whole if end is None else whole[:end]
        finished = mode in ("step", "partial") and self._finished(kept)
        complete = drawn.tokens[-1] in self._ends and end is None
        cut = mode == "rollout" or (mode == "step" and end is None) or len(drawn.tokens) >= room
        return Continuation(
            kept, len(drawn.tokens), sum(drawn.logprobs), terminal=complete or finished or cut
        )


class _Text:
    """The text of tokens as they are drawn."""

    def __init__(self, tokenizer: Any, tail: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._tail = list(tail)
        self.ids: list[int] = []

    def decode(self) -> str:
        """All of it."""
        return self._read(self._tail + self.ids)[len(self._read(self._tail)) :]

    def may_end(self, stops: tuple[str, ...]) -> bool:
        """Tell whether a stop text ends a step; the last tokens are looked at first."""
        window = max(len(stop.encode()) for stop in stops) + _MARGIN
        recent = self._read((self._tail + self.ids)[-window:])
        return any(stop in recent for stop in stops) and _step_end(self.decode(), stops) is not None

    def _read(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text


def _step_end(text: str, stops: tuple[str, ...]) -> int | None:
    """Where the first stop text ends that has something before it; None without one."""
    begin = len(text) - len(text.lstrip()) + 1
    ends = [place + len(stop) for stop in stops if (place := text.find(stop, begin)) >= 0]
    return min(ends, default=None)


def _end_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end a text: those of the generation settings, and the tokenizer's."""
    ends = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    ids = [ends] if isinstance(ends, int) else list(ends or ())
    return frozenset([*ids, *([] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id])])
