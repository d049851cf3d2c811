"""Chat messages as a problem and its completions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from stepscore.records.convert.layout import Layout, Objects, id_or, known_answer, record_of, wrong

# Names of the speaker, in the form of OpenAI and in that of ShareGPT.
_USERS, _MODELS, _SYSTEMS = ("user", "human"), ("assistant", "gpt"), ("system", "developer")
_WHOLE = ("messages", "conversations", "conversation")


def matches(content: Mapping[str, Any]) -> bool:
    """Messages with a speaker, as a whole conversation or as a prompt."""
    return any(_are_messages(content.get(name)) for name in (*_WHOLE, "prompt"))


def read(objects: Objects, left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    """Read a file.

    An object holds a conversation (``messages``, or ``conversations`` in the form of ShareGPT)
    whose one answer is the candidate; or a ``prompt`` of messages with ``completion`` or a list of
    ``completions``, each messages or a text. The problem is the user's one message, and the answer
    of a conversation is its last one: a greeting before the user's question solves nothing. A
    conversation with several turns has no problem and solution, and is refused.
    """
    for index, (place, content) in enumerate(objects):
        name = next((name for name in _WHOLE if _are_messages(content.get(name))), "prompt")
        messages = _messages(content, name, place)
        if name == "prompt":
            completions = content.get("completions", [content.get("completion")])
            if not isinstance(completions, list) or not completions:
                raise wrong("a list of completions", completions, place, ("completions",))
        else:
            completions = [tuple(m for m in messages[-1:] if m[0] in _MODELS)]
            messages = messages[: len(messages) - len(completions[0])]
        problem, system = _problem(messages, place, name)
        yield record_of(
            id_or(content, "id", f"chat-{index}"),
            problem,
            [{"text": _solution(item, place)} for item in completions],
            known_answer(content.get("answer", content.get("solution"))),
            system=system,
        )


def _problem(messages: list[tuple[str, str]], place: str, name: str) -> tuple[str, str | None]:
    users = [text for role, text in messages if role in _USERS]
    systems = [text for role, text in messages if role in _SYSTEMS]
    if len(users) != 1 or len(users) + len(systems) != len(messages):
        roles = [role for role, _ in messages]
        raise wrong("one message of the user, the problem", roles, place, (name,))
    return users[0], "\n".join(systems) or None


def _solution(completion: Any, place: str) -> str:
    if isinstance(completion, str):
        return completion
    messages = completion
    if not isinstance(completion, tuple):
        messages = _messages({"completions": completion}, "completions", place)
    if len(messages) != 1 or messages[0][0] not in _MODELS:
        roles = [role for role, _ in messages]
        raise wrong("one message of the assistant, the solution", roles, place)
    text: str = messages[0][1]
    return text


def _messages(content: Mapping[str, Any], name: str, place: str) -> list[tuple[str, str]]:
    """Give (role, text) of every message."""
    messages = content.get(name)
    if not isinstance(messages, list) or not _are_messages(messages):
        raise wrong("messages with a role and content", messages, place, (name,))
    return [
        (str(message.get("role", message.get("from"))), _text(message, place, (name, index)))
        for index, message in enumerate(messages)
    ]


def _text(message: Mapping[str, Any], place: str, within: tuple[str | int, ...]) -> str:
    text = message.get("content", message.get("value"))
    if isinstance(text, list):  # parts, of which those of text can be read
        if not all(isinstance(part, dict) and part.get("type") == "text" for part in text):
            raise wrong("text alone", text, place, within)
        text = "".join(str(part.get("text", "")) for part in text)
    if not isinstance(text, str):
        raise wrong("a text", text, place, within)
    return text


def _are_messages(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(item, dict)
            and isinstance(item.get("role", item.get("from")), str)
            and ("content" in item or "value" in item)
            for item in value
        )
    )


CHAT = Layout(
    "chat",
    "chat messages",
    "messages, or a prompt of messages with completions",
    matches,
    read,
)
