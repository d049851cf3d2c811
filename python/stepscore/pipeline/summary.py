"""Running tallies over a file, and the table at its end."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stepscore.pipeline.step_scores import NEED_PROBABILITIES, Scored
from stepscore.pipeline.votes import RULES, Voted, known_correct

_MAJORITY, _WEIGHTED, _BEST_OF_N = range(len(RULES))
# Which rules are compared where nobody knows the right answers.
_PAIRS = ((_WEIGHTED, _MAJORITY), (_BEST_OF_N, _MAJORITY), (_BEST_OF_N, _WEIGHTED))
_NAME_WIDTH = 18
_CELL_WIDTH = 12
_NOTHING = "-"
_NOTE_WIDTH = 96


class Counts:
    """How much was scored."""

    def __init__(self) -> None:
        self.problems = 0
        self.candidates = 0
        self.steps = 0
        self.truncated_steps = 0
        self.truncated_candidates = 0
        self.fewest = 0
        self.most = 0

    def add(self, scored: Scored) -> None:
        """Count some records."""
        sizes = np.diff(scored.offsets)
        smallest = int(sizes.min())
        self.fewest = min(self.fewest, smallest) if self.problems else smallest
        self.most = max(self.most, int(sizes.max()))
        self.problems += len(scored.records)
        self.candidates += int(scored.offsets[-1])
        self.steps += sum(len(scores or ()) for scores in scored.step_scores)
        self.truncated_steps += int(scored.truncated.sum())
        self.truncated_candidates += int(np.count_nonzero(scored.truncated))

    @property
    def each(self) -> str:
        """The number of candidates per problem, or its range."""
        return f"{self.most}" if self.fewest == self.most else f"{self.fewest} to {self.most}"

    def line(self) -> str:
        """Say it in one line."""
        steps = f", {self.steps:,} steps" if self.steps else ""
        return (
            f"{_count(self.problems, 'problem')}, {_count(self.candidates, 'candidate')} "
            f"({self.each} each){steps}"
        )

    def notes(self) -> list[str]:
        """Say what is missing, one line each."""
        if not self.truncated_candidates:
            return []
        return [
            f"{_count(self.truncated_steps, 'step')} of "
            f"{_count(self.truncated_candidates, 'candidate')} did not fit the model and "
            "were left out: these candidates have no score."
        ]


class Summary:
    """All aggregations by all votes: how often the winner is right, or how often two rules agree.

    Args:
        columns: the aggregations, which are the rows of the table.
        bounded: whether step scores lie in [0, 1].
    """

    def __init__(self, columns: Sequence[str], *, bounded: bool = True) -> None:
        self.counts = Counts()
        self._columns = tuple(columns)
        self._bounded = bounded
        shape = (len(RULES), len(self._columns))
        self._known = 0
        self._mean = 0.0  # sums over the problems whose right answer is known
        self._any = 0
        self._right = np.zeros(shape, dtype=np.int64)
        self._judged = np.zeros(shape, dtype=np.int64)
        self._tied = np.zeros(shape, dtype=np.int64)
        self._equal = np.zeros((len(_PAIRS), len(self._columns)), dtype=np.int64)
        self._compared = np.zeros((len(_PAIRS), len(self._columns)), dtype=np.int64)
        # Per column: scores that there are, and those of candidates that vote, all and negative.
        self._scores = np.zeros(len(self._columns), dtype=np.int64)
        self._voting = np.zeros(len(self._columns), dtype=np.int64)
        self._negative = np.zeros(len(self._columns), dtype=np.int64)
        self._unanswered = 0
        self._without_answers = 0

    def add(self, scored: Scored, voted: Voted) -> None:
        """Tally some records."""
        self.counts.add(scored)
        self._tied += voted.tied.sum(axis=0)
        self._without_answers += int(np.count_nonzero(~voted.has_answers))
        answerable = np.repeat(voted.has_answers, np.diff(scored.offsets))
        self._unanswered += int(np.count_nonzero(answerable & (voted.classes < 0)))
        self._scores += np.isfinite(scored.totals).sum(axis=0)
        voting = scored.totals[answerable & (voted.classes >= 0)]
        self._voting += np.isfinite(voting).sum(axis=0)
        self._negative += (voting < 0).sum(axis=0)
        self._judge(scored, voted)
        self._compare(voted)

    def _judge(self, scored: Scored, voted: Voted) -> None:
        right = np.zeros(len(voted.classes) + 1, dtype=np.bool_)  # the last: no winner is not right
        known = np.zeros(len(scored.records), dtype=np.bool_)
        for problem, (begin, end) in enumerate(pairwise(scored.offsets.tolist())):
            flags = known_correct(scored.records[problem], voted.answers[begin:end])
            if flags is None:
                continue
            known[problem] = True
            right[begin:end] = flags
            self._known += 1
            self._mean += sum(flags) / len(flags)
            self._any += any(flags)
        self._right += right[voted.winner[known]].sum(axis=0)
        judged = self._votes_exist(voted)[known]
        self._judged += judged.sum(axis=0)

    def _compare(self, voted: Voted) -> None:
        exist = self._votes_exist(voted)
        classes = np.append(voted.classes, -1)[voted.winner]  # no winner: -1
        for pair, (one, other) in enumerate(_PAIRS):
            both = exist[:, one] & exist[:, other]
            self._compared[pair] += both.sum(axis=0)
            self._equal[pair] += (both & (classes[:, one] == classes[:, other])).sum(axis=0)

    def _votes_exist(self, voted: Voted) -> NDArray[np.bool_]:
        """Tell which votes mean something: ``[problems, RULES, columns]``.

        Counting needs answers; a rule that reads scores needs an aggregation that the scores have.
        """
        exist = np.ones(voted.winner.shape, dtype=np.bool_)
        exist[:, :_BEST_OF_N] = voted.has_answers[:, None, None]
        for column, name in enumerate(self._columns):
            if name in NEED_PROBABILITIES and not self._bounded:
                exist[:, _WEIGHTED:, column] = False
        return exist

    def lines(self) -> list[str]:
        """Write counts, table and notes, at most 100 columns wide."""
        body = self._accuracy() if self._known else self._agreement()
        notes = [line for note in self._notes() for line in textwrap.wrap(note, _NOTE_WIDTH)]
        return [self.counts.line(), "", *body, *([""] if notes else []), *notes]

    def _accuracy(self) -> list[str]:
        known = self._known
        title = "accuracy in %"
        if known < self.counts.problems:
            title += f", over the {_count(known, 'problem')} with known answers"
        lines = [title, _row("aggregation", RULES)]
        for column, name in enumerate(self._columns):
            judged = self._judged[:, column].copy()
            if not self._scores[column]:
                judged[_WEIGHTED:] = 0
            cells = [
                _percent(self._right[rule, column], judged[rule]) for rule in range(len(RULES))
            ]
            lines.append(_row(name, cells))
        majority = _percent(self._right[_MAJORITY, 0], self._judged[_MAJORITY, 0])
        baselines = [
            ("pass@1", _percent(self._mean, known), "mean accuracy of the single candidates"),
            ("majority", majority, "the most frequent answer; no scores"),
            (self._pass_name(), _percent(self._any, known), "some candidate is right: the ceiling"),
        ]
        lines.append("")
        lines += [_row(name, [cell]) + f"   {meaning}" for name, cell, meaning in baselines]
        return lines

    def _pass_name(self) -> str:
        counts = self.counts
        return f"pass@{counts.most}" if counts.fewest == counts.most else "pass@all"

    def _agreement(self) -> list[str]:
        heads = (
            ("weighted", "= majority"),
            ("best_of_n", "= majority"),
            ("best_of_n", "= weighted"),
        )
        lines = [
            "The file knows no right answers; how often two rules choose the same answer, in %",
            _row("", [top for top, _ in heads]),
            _row("aggregation", [bottom for _, bottom in heads]),
        ]
        for column, name in enumerate(self._columns):
            cells = [
                _percent(
                    self._equal[pair, column],
                    self._compared[pair, column] if self._scores[column] else 0,
                )
                for pair in range(len(_PAIRS))
            ]
            lines.append(_row(name, cells))
        return lines

    def _notes(self) -> list[str]:
        notes = self.counts.notes()
        if self._tied.any():
            ties = ", ".join(
                f"{rule} {_span(self._tied[index])}"
                for index, rule in enumerate(RULES)
                if self._tied[index].any()
            )
            notes.append(f"Problems with a tie, in which the answer that came first wins: {ties}.")
        if self._unanswered:
            notes.append(f"{_count(self._unanswered, 'candidate')} without an answer took no part.")
        if self._without_answers:
            notes.append(
                f"{_count(self._without_answers, 'problem')} without texts or answers: nothing to "
                "count, so best_of_n alone is voted on."
            )
        if self._negative.any():
            columns = np.flatnonzero(self._negative)
            names = ", ".join(self._columns[column] for column in columns)
            notes.append(
                "Weighted sums of negative scores punish support: every further candidate lowers "
                f"its answer. Negative are {_span(self._negative[columns])} of "
                f"{_span(self._voting[columns])} scores ({names}); use best_of_n there, or map "
                "the scores to [0, 1] first."
            )
        if not self._bounded and NEED_PROBABILITIES & set(self._columns):
            notes.append(
                "The step scores are no probabilities: aggregations that need [0, 1] are left out."
            )
        return notes


def _row(name: str, cells: Sequence[str]) -> str:
    return f"  {name:<{_NAME_WIDTH}}" + "".join(f"{cell:>{_CELL_WIDTH}}" for cell in cells)


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f}" if whole else _NOTHING


def _span(counts: NDArray[np.int64]) -> str:
    low, high = int(counts.min()), int(counts.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
