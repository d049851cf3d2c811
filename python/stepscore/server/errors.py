"""Every error as JSON: the field of the request, what was expected, what was got, what to do."""

from __future__ import annotations

import json
import logging
import math
import re
import secrets
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from stepscore.errors import Argument, InputError, as_argument, told_words

log = logging.getLogger("stepscore.server")


class RequestError(InputError):
    """A request that is not answered as it was asked.

    Attributes:
        status: of HTTP.
        kind: a word for programs.
        retry_after: seconds after which it may be tried again; None where that would not help.
    """

    status = 400
    kind = "bad_request"
    retry_after: int | None = None


class UnauthorizedError(RequestError):
    """No key, or a wrong one."""

    status, kind = 401, "unauthorized"


class ForbiddenError(RequestError):
    """What the page of another host asks."""

    status, kind = 403, "forbidden"


class NotFoundError(RequestError):
    """No such path, session or node."""

    status, kind = 404, "not_found"


class NotAllowedError(RequestError):
    """Another method."""

    status, kind = 405, "method_not_allowed"


class TooSlowError(RequestError):
    """A body that does not come."""

    status, kind = 408, "too_slow"


class TooLargeError(RequestError):
    """More than a limit of the server."""

    status, kind = 413, "too_large"


class InvalidError(RequestError):
    """A field that is wrong."""

    status, kind = 422, "invalid"


class OverloadedError(RequestError):
    """More than the server can take now."""

    status, kind = 429, "overloaded"

    def __init__(self, expected: str, *, got: str, retry_after: float) -> None:
        self.retry_after = max(1, math.ceil(retry_after))
        advice = f"try again in {self.retry_after} s"
        super().__init__(expected, got=got, advice=advice)


class UnavailableError(RequestError):
    """A server that is shutting down, or was too slow."""

    status, kind, retry_after = 503, "unavailable", 5


def too_large(limit: str, most: float, got: float, argument: Argument | None) -> TooLargeError:
    """Say that a request is over a limit of `Settings`."""
    return TooLargeError(
        f"at most {most:,} ({limit.replace('_', ' ')})",
        got=f"{got:,}",
        advice="send less at once, or let the server allow more",
        argument=argument,
    )


def as_field(argument: Argument) -> str:
    """Spell an argument as a field of a request: ``candidates[0][2]``, ``"on_bad": "keep"``."""
    if argument.value is None:
        return as_argument(argument)
    return f"{json.dumps(argument.name)}: {json.dumps(argument.value, default=str)}"


def described(error: InputError) -> dict[str, Any]:
    """Give an error as values of JSON, in the words of a request."""
    field = None if error.argument is None else as_field(error.argument)
    clauses = error.clauses(as_field)
    told: dict[str, Any] = {
        "message": clauses if field is None else f"{field}: {clauses}",
        "type": getattr(error, "kind", InvalidError.kind),
        "field": field,
    }
    for name in ("expected", "got", "advice"):
        told[name] = told_words(getattr(error, name), as_field) or None
    return told


def status_of(error: InputError) -> int:
    """Give the status of HTTP of an error: 422 for one that the library raised."""
    status: int = getattr(error, "status", InvalidError.status)
    return status


def headers_of(error: InputError) -> dict[str, str]:
    """Give the headers that go with an error."""
    if isinstance(error, UnauthorizedError):
        return {"WWW-Authenticate": "Bearer"}
    retry_after = getattr(error, "retry_after", None)
    return {} if retry_after is None else {"Retry-After": str(retry_after)}


def unexpected(error: BaseException) -> dict[str, Any]:
    """Note an error that nobody foresaw under a number, and give what the client is told.

    What the error says is not noted: it may hold a part of a prompt. Where it was raised is.
    """
    cause = secrets.token_hex(8)
    log.error("cause %s: %s", cause, "".join(_raised_at(error)).rstrip())
    return {
        "message": f"an unexpected {type(error).__name__}; the log of the server has more under "
        f"cause {cause}",
        "type": "unexpected",
        "cause": cause,
    }


def _raised_at(error: BaseException) -> list[str]:
    """Where an error was raised, and those that led to it, the last one first."""
    lines = [f"{type(error).__name__}\n", *traceback.format_tb(error.__traceback__)]
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return lines if before is None else [*lines, "after ", *_raised_at(before)]


# What pydantic puts into a place beside names and indices: the branch of a union.
_BRANCH = re.compile(r"str|int|float|bool|none|(?:list|dict|union|function-\w+)\[.*")


def of_validation(found: Sequence[Mapping[str, Any]]) -> InvalidError:
    """Give what pydantic found as one error: the place it got furthest to, and what is wrong."""
    worst = max(found, key=lambda each: len(each["loc"]))
    place = [part for part in worst["loc"] if part != "body"]
    names = [str(part) for part in place if isinstance(part, str) and not _BRANCH.fullmatch(part)]
    index = tuple(part for part in place if isinstance(part, int))
    message = str(worst["msg"])
    if worst["type"] == "extra_forbidden":
        expected, got, advice = "no such field", "it", "leave it out, or see whether it is a typo"
    elif worst["type"] == "missing":
        expected, got, advice = "this field", "none", "add it"
    else:
        expected = message[:1].lower() + message[1:]
        got, advice = type(worst.get("input")).__name__, ""
    argument = Argument(".".join(names), index=index) if names else None
    return InvalidError(expected, got=got, advice=advice, argument=argument)
