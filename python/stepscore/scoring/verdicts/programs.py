"""What a verifier does, as a program that asks for texts, and many of them run side by side.

A program is a generator: it yields the requests that it wants answered, gets their answers, and
returns what it found. Programs that run together are asked in rounds, so that the texts of all
steps, votes and candidates are written in one batch.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TypeVar

from stepscore.policies.texts import GeneratedText, TextPolicy, TextRequest

Result = TypeVar("Result")
Answers = Sequence[GeneratedText | Exception]
Program = Generator[Sequence[TextRequest], Answers, Result]
"""What yields requests for texts, is sent the texts or the reasons why there are none, and returns
its result."""


class VerdictError(Exception):
    """Why there is no verdict; the message is a reason without a place.

    Attributes:
        text: what the verifier wrote; empty where it wrote nothing.
    """

    def __init__(self, reason: str, text: str = "") -> None:
        super().__init__(reason)
        self.text = text


def ask(request: TextRequest) -> Program[GeneratedText]:
    """Ask for one text.

    Raises:
        VerdictError: the policy failed at it.
    """
    [answer] = yield [request]
    if isinstance(answer, Exception):
        raise VerdictError(f"the policy failed: {answer}") from answer
    return answer


def together(programs: Sequence[Program[Result]]) -> Program[list[Result | VerdictError]]:
    """Run programs side by side; the VerdictError of one stands in the place of its result."""
    results: list[Result | VerdictError | None] = [None] * len(programs)
    wanted: dict[int, Sequence[TextRequest]] = {}
    answers: dict[int, Answers | None] = dict.fromkeys(range(len(programs)))
    while answers:
        wanted = {}
        for place, given in answers.items():
            try:
                program = programs[place]
                wanted[place] = next(program) if given is None else program.send(given)
            except StopIteration as end:
                results[place] = end.value
            except VerdictError as fault:
                results[place] = fault
        if not wanted:
            break
        every = yield [request for requests in wanted.values() for request in requests]
        answers, first = {}, 0
        for place, requests in wanted.items():
            answers[place] = every[first : first + len(requests)]
            first += len(requests)
    return results  # type: ignore[return-value]  # every place has been filled


def run(program: Program[Result], policy: TextPolicy) -> Result:
    """Let a policy write what a program asks for, and give the program's result.

    Raises:
        Exception: what the policy raises; and its first failure, where it has written nothing at
            all, and not because of what it was asked: no step is to blame for that.
    """
    answers: Answers | None = None
    written = False
    while True:
        try:
            requests = next(program) if answers is None else program.send(answers)
        except StopIteration as end:
            result: Result = end.value
            return result
        answers = policy.generate(requests) if requests else []
        failures = [answer for answer in answers if isinstance(answer, Exception)]
        written |= len(failures) < len(answers)
        others = [failure for failure in failures if not isinstance(failure, ValueError)]
        if others and not written:
            raise others[0]
