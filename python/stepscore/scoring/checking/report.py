"""What a check found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

# warning: it can make scores wrong, or worthless;  note: what other scripts would do otherwise.
Level = Literal["warning", "note"]


@dataclass(frozen=True)
class Finding:
    """Something that a check noticed.

    Attributes:
        level: how much it matters.
        kind: what it is about, such as ``saturation``.
        text: what was seen, and what to do.
    """

    level: Level
    kind: str
    text: str


@dataclass(frozen=True)
class Difference:
    """Something that the engine and the slow reading do not agree in.

    Attributes:
        what: ``score``, ``token ids`` or ``positions``; of written verdicts ``score``,
            ``probabilities`` or ``answer``.
        place: the trace.
        step: its number, from 1; None where it is the whole trace.
        engine, slow: what each of them has.
    """

    what: str
    place: str
    step: int | None
    engine: str
    slow: str


class _Report:
    """What every report of a check has: what differs, what was noticed, what was refused."""

    differences: Sequence[Difference]
    findings: Sequence[Finding]
    refused: Sequence[tuple[str, str]]

    @property
    def agrees(self) -> bool:
        """Whether nothing differs from the slow reading."""
        return not self.differences

    @property
    def warnings(self) -> list[Finding]:
        """The findings that can make scores wrong, or worthless."""
        return [finding for finding in self.findings if finding.level == "warning"]

    def as_json(self) -> dict[str, Any]:
        """Give it as values of JSON."""
        return {
            **self.__dict__,
            "agrees": self.agrees,
            "differences": [each.__dict__ for each in self.differences],
            "findings": [each.__dict__ for each in self.findings],
            "refused": [{"place": place, "reason": reason} for place, reason in self.refused],
        }


@dataclass(frozen=True)
class CheckReport(_Report):
    """The engine against a slow reading of the same checkpoint.

    Attributes:
        model: what was checked.
        recipe: how it is read, as its entry in config.json.
        dtype: the number format of the engine's model.
        traces, steps, tokens: how much was compared.
        largest: the largest difference of a score, relative to 1 or to the score if that is larger.
        tolerance: the largest one that counts as agreement.
        noise: how far the number format alone moves a score, in the slow reading; None in float32.
        differences: all that lies beyond.
        findings: what else was noticed.
        refused: the traces that cannot be laid out, and why.
    """

    model: str
    recipe: dict[str, Any]
    dtype: str
    traces: int
    steps: int
    tokens: int
    largest: float
    tolerance: float
    noise: float | None
    differences: Sequence[Difference] = ()
    findings: Sequence[Finding] = ()
    refused: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class VerdictReport(_Report):
    """A generative PRM on a few steps: what was asked, what came back, and how it was read.

    Attributes:
        model: the policy's name.
        recipe: as `Recipe.as_config` gives it.
        steps: how many were judged.
        verdicts: how many of them have a score.
        tokens: how many were compared with full logits; none of a server.
        largest: the largest distance of a probability from that of full logits; None of a server.
        tolerance: the largest that is allowed.
        prompt: what was asked first, as the model reads it; of turns that a server lays out, turn
            by turn.
        answer: what came back to that.
        words: the words of the verdict, with the tokens that they are there.
        differences, findings, refused: as in `CheckReport`.
    """

    model: str
    recipe: dict[str, Any]
    steps: int
    verdicts: int
    tokens: int
    largest: float | None
    tolerance: float | None
    prompt: str
    answer: str
    words: Sequence[tuple[str, tuple[int, ...]]] = ()
    differences: Sequence[Difference] = ()
    findings: Sequence[Finding] = ()
    refused: Sequence[tuple[str, str]] = ()

    def as_json(self) -> dict[str, Any]:
        """Give it as values of JSON."""
        words = [{"word": word, "token_ids": list(ids)} for word, ids in self.words]
        return {**super().as_json(), "words": words}
