"""The tokens that bound the sums of steps, found a second time in the text of a trace."""

from __future__ import annotations

import re
from collections.abc import Sequence

from stepscore.errors import InputError
from stepscore.recipes import Recipe, Tokenizer
from stepscore.recipes.layouts.encoding import encode_text
from stepscore.recipes.layouts.steps import unix_lines
from stepscore.recipes.rendered import pieces
from stepscore.scoring.checking.chat_turns import turns_of

_JOINER = "\n\n"
_OWN_NUMBER = re.compile(r"\s*Step \d+:\s*")
# A template that trims what its turns say.
_TRIMMING_END = "<|eot_id|>"


def bounds_of_sums(
    recipe: Recipe, tokenizer: Tokenizer, problem: str, steps: Sequence[str], ids: Sequence[int]
) -> tuple[int, list[int]]:
    r"""Give the first token that counts, and of each step the last one.

    In a chat these are :math:`b_0 + 1`, or :math:`b_0` but for the variant ``processbench``, and
    :math:`b_k + 1`, where :math:`b_k` is the number of tokens of the chat that ends behind step
    :math:`k`, less two. That chat is cut out of the text of the trace, and encoded.

    Args:
        recipe: adds up over tokens.
        tokenizer: of the model.
        problem, steps, ids: of one trace.

    Raises:
        ValueError: another layout, or a text in which the steps are not found.
    """
    lines = [unix_lines(step) for step in steps]
    if recipe.tokenisation == "separate":
        lengths = [len(encode_text(tokenizer, recipe.separator + step)) for step in lines]
        first = len(ids) - sum(lengths)
        return first, [first + sum(lengths[:count]) - 1 for count in range(1, len(steps) + 1)]
    variant = dict(recipe.parameters).get("variant")
    text = "".join(piece.text for piece in pieces(tokenizer, ids))
    turns = turns_of(text)
    if variant is None or not turns or encode_text(tokenizer, text) != list(ids):
        raise _unknown("a chat of another kind")
    answer = turns[-1]
    end = text[answer.end(2) : answer.end()].strip()
    between = "" if variant == "best_of_n" and end == _TRIMMING_END else end
    written = [_rewritten(step) if variant == "best_of_n" else step for step in lines]
    if end == _TRIMMING_END:
        written[0], written[-1] = written[0].lstrip(), written[-1].rstrip()
    pattern = _JOINER.join(
        rf"(?:Step {number}: )?({re.escape(step)})" for number, step in enumerate(written, 1)
    )
    found = re.fullmatch(pattern, answer[2])
    if found is None:
        raise _unknown("steps that are written otherwise")
    begin = answer.start(2)
    beginnings = [text[:begin] + between]
    for number in range(1, len(steps)):
        said = text[: begin + found.end(number)]
        kept = said.rstrip() if end == _TRIMMING_END else said
        beginnings.append(kept + between + _JOINER)
    beginnings.append(text[: answer.end(2)] + end)
    bounds = [len(encode_text(tokenizer, each)) - 2 for each in beginnings]
    return bounds[0] + (variant == "processbench"), [bound + 1 for bound in bounds[1:]]


def _rewritten(step: str) -> str:
    """Give a step as the authors' best of N has it, without its number."""
    step = step.strip()
    number = _OWN_NUMBER.match(step)
    return step[number.end() if number else 0 :].replace("Step", "step")


def _unknown(got: str) -> InputError:
    return InputError("a chat whose steps are found again in its text", got=got)
