"""Running tallies over a file, and the table at its end."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepscore.answers import Answers, Grades
from stepscore.errors import Argument, Spell, as_argument
from stepscore.ragged import offsets_of
from stepscore.report.accuracy import (
    accuracy_cells,
    accuracy_figures,
    agreement_cells,
    agreement_figures,
    agreement_headings,
)
from stepscore.report.prefixes import PrefixTable
from stepscore.report.table import NOTE_WIDTH, WIDTH, counted, percent, row, span, table
from stepscore.tallies import Tally
from stepscore.voting import (
    DEFAULT_SETTINGS,
    AccuracyCounts,
    CandidateScores,
    Elections,
    VoteSettings,
    objectives_of,
)
from stepscore.voting.columns import NEED_PROBABILITIES, UNSCORED, usable
from stepscore.voting.ties import agreements_of, credits_of, level

_SHOWN = 60
ANSWER_FIELD = Argument("fields.answer")


class Counts(Tally):
    """How much was scored."""

    def __init__(self) -> None:
        self.problems = 0
        self.candidates = 0
        self.steps = 0
        self.truncated_steps = 0
        self.truncated_candidates = 0
        self.fewest = 0
        self.most = 0

    def add(self, scores: CandidateScores) -> None:
        """Count some problems."""
        sizes = np.diff(scores.offsets)
        smallest = int(sizes.min())
        self.fewest = min(self.fewest, smallest) if self.problems else smallest
        self.most = max(self.most, int(sizes.max()))
        self.problems += scores.problems
        self.candidates += int(scores.offsets[-1])
        self.steps += len(scores.values)
        self.truncated_steps += int(scores.truncated.sum())
        self.truncated_candidates += int(np.count_nonzero(scores.truncated))

    def merge(self, state: Mapping[str, Any]) -> None:
        """Add the counts of further problems."""
        parts = [part for part in (vars(self), state) if part["problems"]]
        fewest = min((part["fewest"] for part in parts), default=0)
        most = max((part["most"] for part in parts), default=0)
        super().merge(state)
        self.fewest, self.most = fewest, most

    @property
    def each(self) -> str:
        """The number of candidates per problem, or its range."""
        return f"{self.most}" if self.fewest == self.most else f"{self.fewest} to {self.most}"

    def lines(self) -> list[str]:
        """Say it, one line each."""
        return [self.line(), *self.notes()]

    def figures(self) -> dict[str, Any]:
        """Give the same for a program."""
        names = ("problems", "candidates", "steps", "truncated_steps", "truncated_candidates")
        return {name: getattr(self, name) for name in names}

    def line(self) -> str:
        """Say how much it was in one line."""
        steps = f", {self.steps:,} steps" if self.steps else ""
        return (
            f"{counted(self.problems, 'problem')}, {counted(self.candidates, 'candidate')} "
            f"({self.each} each){steps}"
        )

    def notes(self) -> list[str]:
        """Say what is missing, one line each."""
        if not self.truncated_candidates:
            return []
        return [
            f"{counted(self.truncated_steps, 'step')} of "
            f"{counted(self.truncated_candidates, 'candidate')} did not fit the model and "
            "were left out: these candidates have no score."
        ]


class Summary(Tally):
    """All aggregations by all votes: how often the winner is right, or how often two rules agree.

    Args:
        columns: the aggregations, which are the rows of the table.
        settings: the rules, which are its columns.
        bounded: whether step scores lie in [0, 1].
        prefixes: the table of the first n candidates, if one is to follow.
        spell: how its notes name arguments.

    Raises:
        InputError: objectives that are not among `columns`.
    """

    def __init__(
        self,
        columns: Sequence[str],
        settings: VoteSettings = DEFAULT_SETTINGS,
        *,
        bounded: bool = True,
        prefixes: PrefixTable | None = None,
        spell: Spell = as_argument,
    ) -> None:
        self.counts = Counts()
        self._columns = tuple(columns)
        self._rules = settings.rules
        self._ties = settings.tie_credit
        self._objectives = objectives_of(settings, columns, bounded=bounded)
        self._bounded = bounded
        self._prefixes = prefixes
        self._spell = spell
        self._counts = AccuracyCounts(self._rules, len(self._columns))
        self._known = 0
        self._mean = 0.0  # sums over the problems whose right answer is known
        self._any = 0
        shape = (len(self._rules), len(self._columns))
        self._tied = np.zeros(shape, dtype=np.int64)
        # Per column: scores of candidates that vote, all and negative.
        self._voting = np.zeros(len(self._columns), dtype=np.int64)
        self._negative = np.zeros(len(self._columns), dtype=np.int64)
        self._unanswered = 0
        self._without_answers = 0
        self._undecided: set[str] = set()
        self._unread = 0
        self._first_unread = ""

    def add(
        self, scores: CandidateScores, answers: Answers, elections: Elections, grades: Grades
    ) -> None:
        """Count some problems."""
        self.counts.add(scores)
        classes, known = answers.classes, grades.known
        self._tied += level(elections, scores.offsets)[..., -1].sum(axis=0)
        self._without_answers += int(np.count_nonzero(~answers.has_answers))
        sizes = np.diff(scores.offsets)
        answerable = np.repeat(answers.has_answers, sizes)
        votes = answerable & (classes >= 0)
        self._unanswered += int(np.count_nonzero(answerable & ~votes))
        self._count_scores(scores.totals if votes.all() else scores.totals[votes])
        self._unread += len(grades.unread)
        self._first_unread = self._first_unread or "".join(grades.unread[:1])
        self._undecided.update(answers.groups.undecided, grades.undecided)
        count = np.diff(offsets_of(grades.right)[scores.offsets])[known]
        self._known += int(np.count_nonzero(known))
        self._mean += float((count / sizes[known]).sum())
        self._any += int(np.count_nonzero(count))
        has_scores = ~np.isnan(scores.totals[0])
        if not has_scores.all():
            has_scores = np.asarray((~np.isnan(scores.totals)).any(axis=0))
        credit = credits_of(scores, elections, grades.right, known, self._ties)
        self._counts.add(credit[..., -1], elections.exists, elections.unfit, has_scores, known)
        agreed = None
        if not self._known:  # else the table is one of accuracy
            pairs = self._counts.pairs
            agreed = agreements_of(scores, elections, classes, pairs, self._ties)
            self._counts.compare(agreed[..., -1], elections.exists)
        if self._prefixes is not None:
            self._prefixes.add(scores, elections, grades, credit, agreed)

    def _count_scores(self, totals: NDArray[np.float64]) -> None:
        """Count the scores of candidates that vote, all and negative, in each column."""
        # The sums of columns are what takes time, and most files have no exceptions.
        if totals.size and totals.min() >= 0 and totals.max() < np.inf:
            self._voting += len(totals)
            return
        self._voting += np.isfinite(totals).sum(axis=0)
        self._negative += (totals < 0).sum(axis=0)

    def lines(self) -> list[str]:
        """Write counts, tables and notes, at most 100 columns wide."""
        body = self._accuracy() if self._known else self._agreement()
        sizes = self.counts.fewest, self.counts.most
        more = [] if self._prefixes is None else self._prefixes.table(*sizes)
        notes = [line for note in self._notes() for line in textwrap.wrap(note, NOTE_WIDTH)]
        parts = [part for part in ([self.counts.line()], body, more, notes) if part]
        return [line for part in parts for line in ("", *part)][1:]

    def figures(self) -> dict[str, Any]:
        """Give the tables for a program, with shares from 0 to 1."""
        figures = self.counts.figures()
        if self._known:
            figures |= {
                "with_known_answer": self._known,
                "ties": self._ties,
                "accuracy": accuracy_figures(self._counts, self._rules, self._columns),
                "mean_accuracy": self._mean / self._known,
                "some_right": self._any / self._known,
            }
        else:
            agreement = agreement_figures(self._counts, self._rules, self._columns)
            figures |= {"ties": self._ties, "agreement": agreement}
        if self._prefixes is not None:
            figures["prefixes"] = self._prefixes.shares(self.counts.most)
        return figures

    def _accuracy(self) -> list[str]:
        known = self._known
        title = "accuracy in %"
        if known < self.counts.problems:
            title += f", over the {counted(known, 'problem')} with known answers"
        lines = textwrap.wrap(f"{title} (ties: {self._ties})", WIDTH)
        by_column = [r for r, rule in enumerate(self._rules) if not rule.reads_columns]
        if by_column and self._columns != (UNSCORED,):
            rows = [
                (name, accuracy_cells(self._counts, by_column, column))
                for column, name in enumerate(self._columns)
            ]
            headings = [self._rules[r].heading for r in by_column]
            lines += [*table("aggregation", headings, rows), ""]
        baselines: list[tuple[str, str, str]] = [
            ("pass@1", percent(self._mean, known), "mean accuracy of the single candidates")
        ]
        for r, rule in enumerate(self._rules):
            if not rule.reads_scores:
                meaning = "the most frequent answer; no scores"
            elif rule.reads_columns:
                _, *parameters = rule.heading
                meaning = "; ".join([*parameters, f"over {', '.join(self._objectives)}"])
            else:
                continue
            (cell,) = accuracy_cells(self._counts, [r], 0)
            baselines.append((rule.name, cell, meaning))
        baselines.append(
            (self._pass_name(), percent(self._any, known), "some candidate is right: the ceiling")
        )
        for name, cell, meaning in baselines:
            start = row(name, [cell]) + "   "
            lines += textwrap.wrap(
                meaning, WIDTH, initial_indent=start, subsequent_indent=" " * len(start)
            )
        return lines

    def _pass_name(self) -> str:
        counts = self.counts
        return f"pass@{counts.most}" if counts.fewest == counts.most else "pass@all"

    def _agreement(self) -> list[str]:
        headings = agreement_headings(self._counts, self._rules)
        if not headings:
            more = (
                "score the candidates"
                if self._columns == (UNSCORED,)
                else f"add another {self._spell(Argument('rule'))}"
            )
            return [
                f"The file knows no right answers, and one rule has none to agree with: {more}.",
                f"Known answers stand in the field that {self._spell(ANSWER_FIELD)} names.",
            ]
        title = (
            "The file knows no right answers; how often two rules choose the same answer, in % "
            f"(ties: {self._ties})"
        )
        rows = [(name, agreement_cells(self._counts, c)) for c, name in enumerate(self._columns)]
        return [title, *table("aggregation", headings, rows)]

    def _notes(self) -> list[str]:
        notes = self.counts.notes()
        if self._columns == (UNSCORED,):
            notes.append(
                'The candidates carry neither "score" nor "step_scores": their answers are counted.'
            )
        if self._tied.any():
            ties = ", ".join(
                f"{rule.label} {span(self._tied[index])}"
                for index, rule in enumerate(self._rules)
                if self._tied[index].any()
            )
            notes.append(self._tie_note(ties))
        if self._unanswered:
            notes.append(
                f"{counted(self._unanswered, 'candidate')} without an answer took no part."
            )
        if self._without_answers:
            choosing = [rule.label for rule in self._rules if rule.chooses_one]
            verb = "is" if len(choosing) == 1 else "are"
            rest = (
                f"so {' and '.join(choosing)} alone {verb} voted on."
                if choosing
                else "and best_of_n, which could choose, was not asked for."
            )
            notes.append(
                f"{counted(self._without_answers, 'problem')} without texts or answers: nothing to "
                f"count, {rest}"
            )
        if self._unread:
            first = textwrap.shorten(self._first_unread, _SHOWN, placeholder=" ...")
            notes.append(
                f"{counted(self._unread, 'known answer')} could not be understood (the first: "
                f"{first!r}), and nobody is judged by them: write the answer alone, in "
                "\\boxed{...}, or behind ####."
            )
        if self._undecided:
            notes.append(
                f"math-verify gave no verdict in time on {len(self._undecided):,} of the answers "
                "or pairs of answers: they count as different."
            )
        if self._negative.any() and any(rule.sums_scores for rule in self._rules):
            columns = np.flatnonzero(self._negative)
            names = ", ".join(self._columns[column] for column in columns)
            notes.append(
                "Weighted sums of negative scores punish support: every further candidate lowers "
                f"its answer. Negative are {span(self._negative[columns])} of "
                f"{span(self._voting[columns])} scores ({names}); use best_of_n there, or map "
                "the scores to [0, 1] first."
            )
        if not self._bounded and NEED_PROBABILITIES & set(self._columns):
            notes.append(
                "The step scores are no probabilities: aggregations that need [0, 1] are left out."
            )
        return notes + self._unfit_notes()

    def _tie_note(self, ties: str) -> str:
        if self._ties == "first":
            return f"Problems with a tie, in which what came first wins: {ties}."
        of_all = "it is right" if self._known else "both agree"
        if self._ties == "lose":
            return f"Problems with a tie, which count only if {of_all} in every order: {ties}."
        return f"Problems with a tie, which count by the share of orders in which {of_all}: {ties}."

    def _unfit_notes(self) -> list[str]:
        """Say which rules have no use for which aggregations, and why."""
        labels: dict[tuple[str, str], list[str]] = {}
        for rule, unfit in zip(self._rules, self._counts.unfit, strict=True):
            if not unfit.any():
                continue
            names = [name for name, lacks in zip(self._columns, unfit, strict=True) if lacks]
            if rule.reads_columns:
                names = list(self._objectives)
            if len(names) == len(usable(self._columns, bounded=self._bounded)):
                names = ["every aggregation"]
            left_out = "other scores are among those of " + ", ".join(names)
            labels.setdefault((rule.rule.scores.words, left_out), []).append(rule.label)
        return [
            f"Shown as -: {', '.join(rules)}, which {'reads' if len(rules) == 1 else 'read'} "
            f"{needs}; {left_out}."
            for (needs, left_out), rules in labels.items()
        ]
