"""Chat messages as a problem and its completions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from stepscore.records.convert.layout import Layout, Objects, id_or, known_answer, record_of, wrong
from stepscore.records.faults import RecordError
from stepscore.records.messages import (
    MODELS,
    SYSTEMS,
    are_messages,
    problem_of,
    role_of,
    solution_of,
    text_of_message,
)

_WHOLE = ("messages", "conversations", "conversation")


def matches(content: Mapping[str, Any]) -> bool:
    """Messages with a speaker, as a whole conversation or as a prompt."""
    return any(are_messages(content.get(name)) for name in (*_WHOLE, "prompt"))


def read(objects: Objects, left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    """Read a file.

    An object holds a conversation (``messages``, or ``conversations`` in the form of ShareGPT)
    whose one answer is the candidate; or a ``prompt`` of messages with ``completion`` or a list of
    ``completions``, each messages or a text. The problem is the user's one message, and the answer
    of a conversation is its last one: a greeting before the user's question solves nothing. A
    conversation with several turns has no problem and solution, and is refused.
    """
    for index, (place, content) in enumerate(objects):
        try:
            problem, candidates, system = _parts(content, place)
        except RecordError as fault:
            raise fault.of_record(place, None) from None
        yield record_of(
            id_or(content, "id", f"chat-{index}"),
            problem,
            [{"text": text} for text in candidates],
            known_answer(content.get("answer", content.get("solution"))),
            system=system,
        )


def _parts(content: Mapping[str, Any], place: str) -> tuple[str, list[str], str | None]:
    """Give the problem, the solutions, and what the system says."""
    name = next((name for name in _WHOLE if are_messages(content.get(name))), "prompt")
    messages = content.get(name)
    if not are_messages(messages):
        raise wrong("messages with a role and content", messages, place, (name,))
    if name == "prompt":
        completions = content.get("completions", [content.get("completion")])
        if not isinstance(completions, list) or not completions:
            raise wrong("a list of completions", completions, place, ("completions",))
    else:
        completions = [[message for message in messages[-1:] if role_of(message) in MODELS]]
        messages = messages[: len(messages) - len(completions[0])]
    problem = problem_of(messages, (name,))
    said = [text_of_message(m, (name,)) or "" for m in messages if role_of(m) in SYSTEMS]
    return problem, [_solution(item, place) for item in completions], "\n".join(said) or None


def _solution(completion: Any, place: str) -> str:
    if isinstance(completion, str):
        return completion
    if completion != [] and not are_messages(completion):
        raise wrong("messages with a role and content", completion, place, ("completions",))
    text = solution_of(completion, ())
    if text is None:
        raise wrong("a text", None, place)
    return text


CHAT = Layout(
    "chat",
    "chat messages",
    "messages, or a prompt of messages with completions",
    matches,
    read,
)
