"""The lab's policy as `stepscore.policies` have it: it continues traces."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from stepscore.lab.policy import LabPolicy, load_policy
from stepscore.lab.tasks import parse
from stepscore.lab.tokenizer import EOS_ID, NEWLINE_ID, PAD_ID, decode, encode
from stepscore.policies.decode import Drawn, Row, draw, hidden_states, no_room
from stepscore.policies.requests import Continuation, ExpandRequest

STOP = "\n"


class LabContinuationPolicy:
    """Continues traces of lab problems; a step is a line with its newline.

    Behind the newline of a step one token more is drawn, to see whether the solution is at its end:
    then the step is terminal, and no empty step follows it. Else that token is given up, and the
    next continuation of the step begins with a token other than the end, so that traces have the
    probabilities that the model gives them. (``mode="block"``, which ends anywhere, does neither.)

    A sample depends on its prompt, seed, mode, `max_tokens` and temperature alone, up to the
    rounding of a matrix product.

    Args:
        policy: whose model continues them; None takes the one inside the package.
        batch_size: samples decoded together.
    """

    def __init__(self, policy: LabPolicy | None = None, *, batch_size: int = 256) -> None:
        self.model = (load_policy() if policy is None else policy).model
        self.batch_size = batch_size

    def __call__(self, requests: Sequence[ExpandRequest]) -> list[list[Continuation] | ValueError]:
        """Draw the samples of every request.

        A trace that fills the model's context ends there. A problem that does, or text with a
        character that the lab does not know, gets an error.

        Raises:
            ValueError: a stop text other than the newline.
        """
        context = self.model.config.max_position_embeddings
        prompts = [_prompt(index, request) for index, request in enumerate(requests)]
        jobs = [
            (index, prompt, seed)
            for index, prompt in enumerate(prompts)
            if not isinstance(prompt, ValueError) and 0 < len(prompt) < context
            for seed in requests[index].seeds
        ]
        distinct = list(dict.fromkeys(prompt for _, prompt, _ in jobs))
        place = {prompt: number for number, prompt in enumerate(distinct)}
        most = torch.tensor(
            [min(requests[index].max_tokens, context - len(prompt)) for index, prompt, _ in jobs]
        )
        by_lines = torch.tensor([requests[index].mode in ("step", "partial") for index, *_ in jobs])
        at_a_step = torch.tensor(
            [requests[i].mode != "block" and prompt[-1] == NEWLINE_ID for i, prompt, _ in jobs]
        )
        length = torch.zeros(len(jobs), dtype=torch.long)
        after_line = torch.zeros(len(jobs), dtype=torch.bool)

        def ended(rows: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
            length[rows] += 1
            line = by_lines[rows] & (tokens == NEWLINE_ID)
            over = (tokens == EOS_ID) | after_line[rows] | (~line & (length[rows] >= most[rows]))
            after_line[rows] = line
            return over

        def adjust(logits: torch.Tensor, rows: torch.Tensor, step: int) -> None:
            logits[:, PAD_ID] = -torch.inf
            if step == 0:
                logits[at_a_step[rows], EOS_ID] = -torch.inf

        # One token more than asked for, to look beyond the end of a line.
        rows = [
            Row(
                place[prompt],
                seed,
                min(requests[index].max_tokens + 1, context - len(prompt)),
                requests[index].temperature,
            )
            for index, prompt, seed in jobs
        ]
        drawn = draw(
            self.model, distinct, rows, ended=ended, adjust=adjust, batch_size=self.batch_size
        )
        samples: dict[int, list[Continuation]] = {}
        for (index, prompt, _), tokens in zip(jobs, drawn, strict=True):
            sample = _continuation(tokens, requests[index], context - len(prompt))
            samples.setdefault(index, []).append(sample)
        return [
            prompt
            if isinstance(prompt, ValueError)
            else samples.get(index) or no_room(requests[index], len(prompt), context)
            for index, prompt in enumerate(prompts)
        ]

    def hidden_states(
        self, problems: Sequence[str], traces: Sequence[Sequence[str]]
    ) -> torch.Tensor:
        """The state at the last token of each trace, float32 ``[traces, H]``."""
        prompts = [
            encode(problem + "".join(steps))
            for problem, steps in zip(problems, traces, strict=True)
        ]
        return hidden_states(self.model, prompts, batch_size=self.batch_size)


def _prompt(index: int, request: ExpandRequest) -> tuple[int, ...] | ValueError:
    if request.stop not in ((), (STOP,)):
        raise ValueError(
            f"LabContinuationPolicy: requests[{index}].stop must be () or ('\\n',), the end of a "
            f"line; got {request.stop!r}; leave stop out"
        )
    try:
        parse(request.problem.removesuffix("\n"))
    except ValueError:
        return ValueError(
            "LabContinuationPolicy: the lab knows its own kind of sums alone, such as "
            f"'69+15-75=?'; got {request.problem!r:.60}; search with another policy"
        )
    try:
        return tuple(encode(request.problem + "".join(request.steps)))
    except ValueError as error:
        return error


def _continuation(drawn: Drawn, request: ExpandRequest, room: int) -> Continuation:
    tokens, mode = drawn.tokens, request.mode
    complete = tokens[-1] == EOS_ID
    line = mode in ("step", "partial") and NEWLINE_ID in tokens
    if line and not complete:
        tokens = tokens[: tokens.index(NEWLINE_ID) + 1]
    cut = (mode == "rollout" or (mode == "step" and not line)) or len(tokens) >= room
    return Continuation(
        decode(tokens),
        min(len(tokens), request.max_tokens),  # the look beyond the end of a line is no token of it
        sum(drawn.logprobs[: len(tokens)]),
        terminal=complete or cut,
    )
