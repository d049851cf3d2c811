"""What the searches over a file have found and cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stepscore.answers import not_understood, same_answer, stated_answers
from stepscore.records import Record, quote
from stepscore.report.table import counted
from stepscore.search import SearchResult
from stepscore.tallies import Tally

_REASONS = 20
_COSTS = ("samples", "tokens", "prm_tokens", "seconds")


class SearchSummary(Tally):
    """Counts, accuracy and costs over the problems of a file.

    Attributes:
        problems: how many were searched.
    """

    def __init__(self) -> None:
        self.problems = 0
        self._answered = 0
        self._known = 0
        self._right = 0
        self._unread = 0
        self._costs = dict.fromkeys(_COSTS, 0.0)
        self._calls: dict[str, int] = {}
        self._failed = 0
        self._reasons: list[str] = []
        self._unanswered = 0
        self._whys: list[str] = []

    def add(self, records: Sequence[Record], result: SearchResult) -> None:
        """Count what was found for some records."""
        self.problems += len(records)
        self._answered += sum(answer is not None for answer in result.answers)
        known = stated_answers([record.answer for record in records])
        for place in not_understood(known, lambda place: [result.answers[place]]):
            known[place] = None
            self._unread += 1
        self._known += sum(answer is not None for answer in known)
        self._right += int(same_answer(known, result.answers, verify=None).sum())
        for model, count in result.calls.items():
            self._calls[model] = self._calls.get(model, 0) + count
        for record, outcome in zip(records, result, strict=True):
            for name in _COSTS:
                self._costs[name] += getattr(outcome.costs, name)
            if outcome.no_answer is not None:
                self._unanswered += 1
                if self._unanswered <= _REASONS:
                    self._whys.append(f"  id {quote(record.id)}: {outcome.no_answer}")
            elif outcome.status != "done":
                self._failed += 1
                if self._failed <= _REASONS:
                    self._reasons.append(f"  id {quote(record.id)}: {outcome.status}")

    def merge(self, state: Mapping[str, Any]) -> None:
        """Add the counts of further problems."""
        super().merge(state)
        del self._reasons[_REASONS:], self._whys[_REASONS:]

    def figures(self) -> dict[str, Any]:
        """Give the same for a program."""
        return {
            "problems": self.problems,
            "answered": self._answered,
            "with_known_answer": self._known,
            "accuracy": self._right / self._known if self._known else None,
            **self._costs,
            "calls": self._calls,
            "without_an_answer": self._unanswered,
            "failed": self._failed,
        }

    def lines(self) -> list[str]:
        """Write it, one line each."""
        each = {name: total / self.problems for name, total in self._costs.items()}
        lines = [f"{counted(self.problems, 'problem')}, {self._answered:,} with an answer"]
        if self._known:
            lines.append(
                f"accuracy {self._right / self._known:.1%} ({self._right:,} of {self._known:,} "
                "with a known answer)"
            )
        if self._unread:
            lines.append(
                f"{counted(self._unread, 'known answer')} could not be understood: write the "
                "answer alone, in \\boxed{...}, or behind ####"
            )
        lines += [
            f"per problem: {each['samples']:,.1f} samples, {each['tokens']:,.1f} generated tokens, "
            f"{each['prm_tokens']:,.1f} PRM tokens, {each['seconds']:.3g} s in the models",
            "calls: "
            + ", ".join(f"{model} {count:,}" for model, count in self._calls.items() if count),
        ]
        if self._unanswered:
            lines.append(f"{self._unanswered:,} without an answer:")
            lines += self._whys
            if self._unanswered > _REASONS:
                lines.append(f"  ... and {self._unanswered - _REASONS:,} more")
        if self._failed:
            lines.append(
                f"{self._failed:,} with a request that found no answer; the search went on "
                "without it:"
            )
            lines += self._reasons
            if self._failed > _REASONS:
                lines.append(f"  ... and {self._failed - _REASONS:,} more")
        return lines
