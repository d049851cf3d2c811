"""skywork-o1-prm: Skywork-o1-Open-PRM-Qwen-2.5-1.5B and -7B."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stepscore.errors import InputError
from stepscore.recipes.layouts import steps as step_texts
from stepscore.recipes.layouts.packing import (
    encode_text,
    encode_texts,
    expect_known,
    expect_published,
    pack_ids,
    pack_lengths,
)
from stepscore.recipes.recipe import Encoded, Head, Layer, Recipe, Tokenizer

NAME = "skywork-o1-prm"
SEPARATOR = "\n"
PUBLISHED_STEP_ID = 198


def skywork_o1_prm() -> Recipe:
    r"""Read Skywork's PRMs: :math:`r_k = \sigma(w \cdot h + b)`.

    ids = enc(bos_token + problem + "\n"), then for every line of the solution enc(line) and the
    step id, which is the last id of enc("\n"). Every part is encoded alone: encoded together, a
    full stop and its newline would become one token. A step is read at its step id. The author
    states no aggregate.

    The author's code also writes a step id for every blank line, and scores it, although there is
    nothing to judge. Here the blank lines are written as the author writes them, so that the model
    sees the same tokens, but they are no steps: they stand in front of the step that follows, as in
    ``split("a\n\nb") == ["a", "\nb"]``. A step may therefore begin with blank lines; a newline
    anywhere else in it is an error. Blank lines after the last step are dropped.

    Source: SkyworkAI/skywork-o1-prm-inference.
    """
    return Recipe(
        name=NAME,
        confidence="author",
        source="SkyworkAI/skywork-o1-prm-inference",
        tokenisation="separate",
        separator=SEPARATOR,
        head=Head("affine", (Layer("v_head.summary.weight", "v_head.summary.bias"),), 1),
        activation="sigmoid",
        column=0,
        score_range=(0.0, 1.0),
        default_aggregate=None,
        split=_split,
        fault_in_problem=step_texts.no_fault,
        fault_in_step=_fault_in_step,
        encode=_encode,
        check_tokenizer=_check_tokenizer,
    )


def _split(text: str) -> list[str]:
    steps = []
    blank: list[str] = []
    for line in step_texts.unix_lines(text).split(SEPARATOR):
        if line.strip():
            steps.append(SEPARATOR.join([*blank, line]))
            blank = []
        else:
            blank.append(line)
    return steps


def _fault_in_step(text: str) -> InputError | None:
    *before, line = text.split(SEPARATOR)
    if text.strip() and (not line.strip() or any(part.strip() for part in before)):
        return InputError(
            "a step of one line, which ends a step in the model's input (blank lines may stand "
            "before it)",
            got=step_texts.shorten(text),
            advice="split it at its newlines",
        )
    return step_texts.fault_in_empty_step(text)


def _encode(
    tokenizer: Tokenizer, problems: Sequence[str], steps: Sequence[Sequence[str]]
) -> Encoded:
    prompts = encode_texts(tokenizer, [f"{tokenizer.bos_token}{problem}\n" for problem in problems])
    lines = [line for trace in steps for step in trace for line in step.split(SEPARATOR)]
    ids_of = dict(zip(lines, encode_texts(tokenizer, lines), strict=True))
    # An empty line has no tokens of its own, whatever a tokenizer makes of an empty text.
    ids_of[""] = []
    step_id = _step_id(tokenizer)
    rows, ends = [], []
    start = 0
    for prompt, trace in zip(prompts, steps, strict=True):
        row = list(prompt)
        for step in trace:
            for line in step.split(SEPARATOR):
                row += ids_of[line]
                row.append(step_id)
            ends.append(start + len(row) - 1)
        rows.append(row)
        start += len(row)
    return Encoded(
        *pack_ids(rows), np.array(ends, dtype=np.int64), pack_lengths([len(t) for t in steps])
    )


def _step_id(tokenizer: Tokenizer) -> int:
    return encode_text(tokenizer, SEPARATOR)[-1]


def _check_tokenizer(tokenizer: Tokenizer) -> None:
    if not isinstance(tokenizer.bos_token, str):
        raise ValueError(
            f"{NAME}: tokenizer.bos_token must be a text, because it stands before the problem; "
            f"got {tokenizer.bos_token!r}; use the tokenizer published with the model, or set "
            "bos_token in tokenizer_config.json to the one it was trained with"
        )
    ids = encode_text(tokenizer, SEPARATOR)
    expect_known(NAME, tokenizer, repr(SEPARATOR), ids)
    expect_published(
        NAME, tokenizer, "Qwen2.5", f"the last id of {SEPARATOR!r}", ids[-1], PUBLISHED_STEP_ID
    )
