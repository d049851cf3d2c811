"""The arguments of a pair-wise judge as texts that can be shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stepscore.errors import Argument, InputError, InputTypeError
from stepscore.scoring.arguments import addressed
from stepscore.scoring.reserved_tokens import ReservedTokens


def solution_texts(
    call: str,
    problem: object,
    candidates: Sequence[object],
    reserved: ReservedTokens,
    argument_of: Callable[[str, int | None], Argument],
) -> tuple[str, list[str]]:
    """Give a problem and its candidates as texts; the steps of one given as steps are lines.

    Args:
        call: the function that was called.
        problem: a text.
        candidates: each a text or a list of steps.
        reserved: the tokens that the policy's tokenizer would cut out of a text as marks: removed
            where they end a candidate, else refused, because they could end the judge's turn.
        argument_of: the name of an argument, and the place of a candidate -> where it stands.

    Raises:
        InputError: no text, an empty candidate, a special token.
    """
    if not isinstance(problem, str):
        raise InputTypeError(
            "a text",
            got=type(problem).__name__,
            argument=argument_of("problem", None),
            where=call,
        )
    fault = reserved.fault_in(problem, "problem")
    if fault is not None:
        raise addressed(fault, call, argument_of("problem", None))
    texts = []
    for place, candidate in enumerate(candidates):
        argument = argument_of("candidates", place)
        text = reserved.without_end(_text(call, candidate, argument))[0]
        fault = reserved.fault_in(text, "candidate")
        if fault is not None:
            raise addressed(fault, call, argument)
        if not text.strip():
            raise InputError(
                "a candidate with a text", got=repr(text), argument=argument, where=call
            )
        texts.append(text)
    return problem, texts


def _text(call: str, candidate: object, argument: Argument) -> str:
    if isinstance(candidate, str):
        return candidate
    if isinstance(candidate, (list, tuple)) and all(isinstance(step, str) for step in candidate):
        return "\n".join(candidate)
    raise InputTypeError(
        "a text or a list of steps",
        got=type(candidate).__name__,
        argument=argument,
        where=call,
    )
