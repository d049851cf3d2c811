"""What the shapes of other servers have in common."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Query

from stepscore.errors import Argument
from stepscore.scoring.arguments import Solution
from stepscore.server.errors import InvalidError
from stepscore.server.rewards import Pair, at_separators, check_some
from stepscore.server.routes.bodies import Body
from stepscore.server.service import Service

# A problem and its solution each; token ids are refused by name.
WholeTexts = str | list[str] | list[int] | list[list[int]]
# The aggregation, in the URL because no shape has a field for it.
How = Annotated[str | None, Query(description="the aggregation; none takes the server's")]


class ShapeBody(Body):
    """A body in another server's shape: fields that are not in it are errors here, too."""

    model: str | None = None
    user: str | None = None
    request_id: str | None = None
    priority: int = 0


class Message(Body):
    """A turn of a chat."""

    role: str
    content: str


def new_id(kind: str) -> str:
    """Give an id as vLLM's are."""
    return f"{kind}-{secrets.token_hex(16)}"


def no_truncation(**fields: Any) -> None:
    """Refuse a number of tokens to cut texts to; -1, the model's own limit, is what is done.

    Raises:
        InvalidError: with the field.
    """
    for name, value in fields.items():
        if value is not None and value != -1:
            raise InvalidError(
                "-1, or nothing",
                got=str(value),
                advice="send less text: what is cut has no score",
                argument=name,
            )


def divided_pairs(service: Service, texts: WholeTexts) -> list[Pair]:
    """Divide texts that hold a problem and its solution each; solutions are as they were written.

    Args:
        service: knows the template.
        texts: of the field ``input``.

    Raises:
        InvalidError: nothing, token ids, or a text that cannot be divided surely.
    """
    every: Sequence[object] = [texts] if isinstance(texts, str) else texts
    check_some(every, "input")
    pairs = []
    for index, each in enumerate(every):
        field = Argument("input", index=() if isinstance(texts, str) else (index,))
        if not isinstance(each, str):
            raise InvalidError(
                "texts, because token ids do not tell where a problem ends",
                got="token ids",
                argument=field,
            )
        problem, solution = service.dividing.whole(each, field)
        pairs.append(Pair(problem, solution, field, field))
    return pairs


def pairs_of(
    service: Service,
    problems: tuple[str, str | list[str]],
    solutions: tuple[str, list[Any]],
) -> list[Pair]:
    """Give one problem for all solutions, or one each.

    Args:
        service: knows how the recipe ends a step.
        problems: the field, and what it holds.
        solutions: the field, and texts, objects with a text, or lists of steps.

    Raises:
        InvalidError: nothing, or counts that do not match.
    """
    asked_field, asked = problems
    field, given = solutions
    if not given:
        raise InvalidError("at least one", got="none", argument=field)
    if isinstance(asked, list) and len(asked) not in (1, len(given)):
        raise InvalidError(
            f"one text, or one for each of the {len(given)} in {field}",
            got=str(len(asked)),
            argument=asked_field,
        )
    pairs = []
    for place, one in enumerate(given):
        index = place if isinstance(asked, list) and len(asked) > 1 else 0
        problem = asked[index] if isinstance(asked, list) else asked
        problem_field = Argument(asked_field, index=(index,) if isinstance(asked, list) else ())
        solution_field = Argument(field, index=(place,))
        solution: Solution = one["text"] if isinstance(one, dict) else one
        if isinstance(solution, str):
            solution = at_separators(service, solution, solution_field)
        pairs.append(Pair(problem, solution, problem_field, solution_field))
    return pairs
