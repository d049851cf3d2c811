"""Chat messages, as a problem or as a solution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from stepscore.records.faults import FieldPath, RecordError
from stepscore.records.json_text import quote

# Names of the speaker, in the form of OpenAI and in that of ShareGPT.
USERS, MODELS, SYSTEMS = ("user", "human"), ("assistant", "gpt"), ("system", "developer")


def is_message(value: object) -> bool:
    """Tell whether a value has a speaker and what was said."""
    return (
        isinstance(value, dict)
        and isinstance(role_of(value), str)
        and ("content" in value or "value" in value)
    )


def are_messages(value: object) -> TypeGuard[list[dict[str, Any]]]:
    """Tell whether a value is a list of messages, at least one."""
    return isinstance(value, list) and bool(value) and all(map(is_message, value))


def role_of(message: Mapping[str, Any]) -> Any:
    """Give the speaker of a message."""
    return message.get("role", message.get("from"))


def text_of_message(message: Mapping[str, Any], field: FieldPath) -> str | None:
    """Give what was said, of several parts one behind the other; None where nothing was.

    Args:
        message: with a speaker.
        field: the way to it.

    Raises:
        RecordError: other content than text.
    """
    name = "content" if "content" in message else "value"
    content = message.get(name)
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict) and part.get("type") == "text"]
        if len(parts) == len(content):
            content = "".join(str(part.get("text", "")) for part in parts)
    if content is None and not message.get("tool_calls"):
        return None
    if not isinstance(content, str):
        raise RecordError(
            "a text, or parts of text alone",
            got="a call of a tool" if content is None else quote(content),
            advice="leave images, audio and calls of tools out",
            field=(*field, name),
        )
    return content


def problem_of(messages: Sequence[Mapping[str, Any]], field: FieldPath) -> str:
    """Give the problem that a chat poses: its one message of the user.

    System messages are the policy's: what a PRM reads in front of a problem is its recipe's.

    Args:
        messages: with a speaker each.
        field: the way to them.

    Raises:
        RecordError: several turns, or none of the user.
    """
    users = [at for at, message in enumerate(messages) if role_of(message) in USERS]
    others = [m for m in messages if role_of(m) not in (*USERS, *SYSTEMS)]
    text = None
    if len(users) == 1 and not others:
        text = text_of_message(messages[users[0]], (*field, users[0]))
    if text is None:
        raise RecordError(
            "one message of the user, the problem, beside those of the system",
            got=quote([role_of(message) for message in messages]),
            advice="write the problem as one text: a PRM reads one problem and one solution",
            field=field,
        )
    return text


def solution_of(messages: Sequence[Mapping[str, Any]], field: FieldPath) -> str | None:
    """Give the solution that messages hold: the one of the assistant; None where it is null.

    Args:
        messages: with a speaker each.
        field: the way to them.

    Raises:
        RecordError: other messages.
    """
    if len(messages) != 1 or role_of(messages[0]) not in MODELS:
        raise RecordError(
            "one message of the assistant, the solution",
            got=quote([role_of(message) for message in messages]),
            advice="write the user's messages into the problem, and the solution as one message",
            field=field,
        )
    return text_of_message(messages[0], field)
