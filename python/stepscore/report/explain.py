"""One problem: its answers, their scores, and why each rule chooses the one it does."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stepscore.answers import Answers, Grades
from stepscore.ops import answer_keys, vote
from stepscore.ops.vote_rule import Rule
from stepscore.records import Record
from stepscore.report.table import NOTHING, WIDTH, counted, table
from stepscore.voting import (
    CandidateScores,
    Elections,
    TypedRule,
    VoteSettings,
    objectives_of,
    ranks,
)

_ANSWER_WIDTH = 30
_NO_ANSWER = "none"
_SMALL, _LARGE = 1e-3, 1e6  # figures are written plainly in between
_JOINED = {
    "key": "by its key",
    "text": "by its text",
    "unit": "by its number, the unit aside",
    "verify": "by math-verify",
}
# What the winning answer has, under every rule but the hybrid one; of others, what the table says.
_HAS = {
    "majority": "{score} of {voters} votes",
    "weighted": "a sum of {score}",
    "weighted_mean": "a mean score of {score}",
    "best_of_n": "a best score of {score}",
    "minmax_weighted": "a sum of {score}, scaled to [0, 1] each",
    "softmax_weighted": "{score} of the weight",
    "logodds_weighted": "log odds that sum to {score}",
    "loglik_weighted": "a log likelihood of {score}",
    "confidence_weighted": "confidences that sum to {score}",
    "borda": "a Borda count of {score}",
    "weighted_reward_frequency": "{score} of mean score and frequency",
    "pareto": "{score} undominated of {voters} candidates ({objectives})",
    "multi_objective": "objectives that sum to {score} ({objectives})",
}


def explain(
    record: Record,
    scores: CandidateScores,
    answers: Answers,
    elections: Elections,
    grades: Grades,
    *,
    how: str,
    settings: VoteSettings,
) -> list[str]:
    """Explain the votes of one problem.

    Args:
        record: the problem.
        scores, answers, grades: of its candidates alone.
        elections: its votes, with the scores of the answers.
        how: the aggregation that ranks.
        settings: how the candidates vote.

    Returns:
        Lines of at most 100 characters.
    """
    case = _Case(scores, answers, elections, grades, how, settings)
    parts = [_title(record, grades), _answers(case), _candidates(case), _votes(case)]
    return [line for part in parts if part for line in ("", *part)][1:]


@dataclass(frozen=True)
class _Case:
    """One problem with all that is said about it; see `explain`."""

    scores: CandidateScores
    answers: Answers
    elections: Elections
    grades: Grades
    how: str
    settings: VoteSettings

    @property
    def can_count(self) -> bool:
        """Whether there are answers to count."""
        return bool(self.answers.has_answers[0])

    @property
    def totals(self) -> NDArray[np.float64]:
        """The scores of the candidates, by the aggregation that ranks."""
        return self.scores.by(self.how)

    @property
    def right(self) -> list[bool] | None:
        """Whether each candidate is right; None where the file does not say."""
        flags: list[bool] = self.grades.right.tolist()
        return flags if self.grades.known[0] else None

    @property
    def ballots(self) -> list[int]:
        """What each candidate votes for, -1 = nothing: the numbers of `names`."""
        numbers: list[int] = self.answers.classes.tolist()
        return numbers if self.can_count else list(range(len(numbers)))

    @cached_property
    def names(self) -> dict[int, str]:
        """The answers by class, or the candidates by place where nothing can be counted."""
        classes = self.answers.classes.tolist()
        if not self.can_count:
            return {place: f"candidate {place}" for place in range(len(classes))}
        names: dict[int, str] = {}
        for number, answer in zip(classes, self.answers.texts, strict=True):
            if number >= 0 and number not in names:
                short = _cut(answer or "", _ANSWER_WIDTH)
                taken = short in names.values()
                names[number] = f"{short} (class {number})" if taken else short
        return names

    def members(self, number: int) -> list[int]:
        """The candidates of a class."""
        places: list[int] = np.flatnonzero(self.answers.classes == number).tolist()
        return places


def _title(record: Record, grades: Grades) -> list[str]:
    first, *more = (record.problem or "").strip().splitlines() or [""]
    text = f"problem {record.id}" + (f": {first}" if first else "") + (" ..." if more else "")
    lines = [_cut(text, WIDTH)]
    if record.answer is not None:
        lines.append(_cut(f"known answer: {record.answer}", WIDTH))
    if grades.unread:
        lines.append("  it could not be understood, and nobody is judged by it")
    return lines


def _answers(case: _Case) -> list[str]:
    texts, groups = case.answers.texts, case.answers.groups
    if not case.can_count:
        return [
            f"{counted(len(texts), 'candidate')} without texts or answers: nothing to count, so "
            "each stands for itself",
        ]
    answered = len(texts) - len(case.members(-1))
    lines = [
        f"{counted(len(texts), 'candidate')}, {answered:,} with an answer, "
        f"{counted(len(case.names), 'different answer')}"
    ]
    rows: list[tuple[str, list[str]]] = []
    tails: list[str] = []
    for number, name in [*case.names.items(), (-1, _NO_ANSWER)]:
        members = case.members(number)
        if not members:
            continue
        spellings = [texts[place] for place in members]
        (key,) = answer_keys([spellings[0]], extract=False)
        shown = "" if key is None or key.startswith("text:") else _cut(key, _ANSWER_WIDTH)
        rows.append((name, ["" if number < 0 else f"{number}", f"{len(members)}", shown]))
        tails.append(_listed(members))
        for text in dict.fromkeys(spellings[1:]):
            if text is not None and text != spellings[0]:
                same = [place for place in members if texts[place] == text]
                rows.append((f"  = {_cut(text, _ANSWER_WIDTH)}", ["", "", ""]))
                tails.append(f"{_listed(same)}, {_JOINED[groups.decided[same[0]]]}")
    lines += _with_tails("answer", ["class", "count", "key"], rows, "candidates", tails)
    if groups.undecided:
        note = f"no verdict of math-verify in time on {'; '.join(groups.undecided)}"
        lines += textwrap.wrap(note, WIDTH, initial_indent="  ", subsequent_indent="    ")
    return lines


def _candidates(case: _Case) -> list[str]:
    if not case.scores.has_scores:
        return []
    figures = _figures(case.totals.tolist())
    ranked = ranks(case.totals, case.scores.offsets).tolist()
    right, classes = case.right, case.answers.classes.tolist()
    rows: list[tuple[str, list[str]]] = []
    tails: list[str] = []
    for place in np.argsort(ranked).tolist():
        judged = [] if right is None else ["right" if right[place] else "wrong"]
        rows.append((f"{ranked[place]:>{len('rank')}}", [f"{place}", figures[place], *judged]))
        tails.append(case.names[classes[place]] if classes[place] >= 0 else _NO_ANSWER)
    headings = ["candidate", "score", *([] if right is None else ["is"])]
    if not case.can_count:
        tails = [""] * len(rows)
    title = f"scores by {case.how}, the aggregation that ranks"
    return [title, *_with_tails("rank", headings, rows, "answer" if any(tails) else "", tails)]


def _votes(case: _Case) -> list[str]:
    columns: list[list[str]] = []
    sentences: list[str] = []
    for index, rule in enumerate(case.settings.rules):
        cells, sentence = _vote(case, index, rule)
        columns.append(cells)
        sentences += textwrap.wrap(
            f"{rule.label}: {sentence}", WIDTH, initial_indent="  ", subsequent_indent="    "
        )
    names = [*case.names.values(), "winner: candidate", "margin", "tied"]
    rows = [(name, [cells[r] for cells in columns]) for r, name in enumerate(names)]
    headings = [rule.heading for rule in case.settings.rules]
    by = f", by {case.how}" if case.scores.has_scores else ""
    title = f"what every answer reaches{by} (* wins)"
    return [title, *table("answer", headings, rows), "", "why", *sentences]


def _vote(case: _Case, index: int, rule: TypedRule) -> tuple[list[str], str]:
    """Give the cells under a rule's heading, and the sentence that says why the winner won."""
    elections = case.elections
    here = 0, index, case.scores.columns.index(case.how)
    nothing = [f"{NOTHING} "] * (len(case.names) + 3)
    if elections.unfit[here]:
        return nothing, f"no vote; it reads {rule.rule.scores.words}, and there are others"
    place = int(elections.winner[here][-1])
    if place < 0:
        if not rule.chooses_one and not case.can_count:
            return nothing, "no vote; there are no answers to count"
        return nothing, "no vote; no candidate has all that it takes to vote"
    reached = _reached(case, index)
    winner, margin = case.ballots[place], float(elections.margin[here][-1])
    is_tied, only = bool(elections.tied[here][-1]), len(reached) == 1
    *figures, ahead = _figures([*reached.values(), np.nan if only else margin])
    shown = dict(zip(reached, figures, strict=True))
    cells = [
        shown.get(number, NOTHING) + ("*" if number == winner else " ") for number in case.names
    ]
    cells += [f"{place} ", f"{ahead} ", "yes " if is_tied else "no "]
    sentence = f"{case.names[winner]} with {_has(case, index, rule)}"
    if only:
        return cells, f"{sentence}; there is no other answer"
    second = max((number for number in reached if number != winner), key=reached.__getitem__)
    if is_tied:
        order = list(reached)  # as the answers were seen; a maximum over candidates has its own
        later = "came later" if order.index(winner) < order.index(second) else "reached it later"
        return cells, f"{sentence}, as much as {case.names[second]}, which {later}"
    return cells, f"{sentence}, {margin:.4g} ahead of {case.names[second]}"


def _class_scores(case: _Case, index: int) -> NDArray[np.float64]:
    """What the answer of each candidate reaches under a rule, ``[candidates]``."""
    assert case.elections.class_scores is not None
    return case.elections.class_scores[:, index, case.scores.columns.index(case.how), -1]


def _reached(case: _Case, index: int) -> dict[int, float]:
    """What each answer reaches under a rule; without those that nobody votes for."""
    return {
        number: score
        for number, score in zip(case.ballots, _class_scores(case, index).tolist(), strict=True)
        if not np.isnan(score)
    }


def _has(case: _Case, index: int, rule: TypedRule) -> str:
    """Say what the winning answer has."""
    column = case.scores.columns.index(case.how)
    score = f"{case.elections.score[0, index, column, -1]:.4g}"
    voters = int(np.count_nonzero(~np.isnan(_class_scores(case, index))))
    if rule.name != "hybrid_majority_reward":
        read = objectives_of(case.settings, case.scores.columns, bounded=case.scores.bounded)
        words = _HAS.get(rule.name, f"{{score}}, {rule.rule.info.phrase}")
        return words.format(score=score, voters=voters, objectives=", ".join(read))
    # With rewards of 0, only a count is above 0.
    counting = Rule(rule.name, **{**rule.rule.parameters, "reward": "max"})
    counts = vote(case.ballots, 0 * case.totals, case.scores.offsets, counting, nan="drop")
    if counts.score[0] > 0:
        return f"{score} of {voters} votes (consensus)"
    return f"a {rule.rule.parameters['reward']} score of {score} (no consensus)"


def _with_tails(
    corner: str,
    headings: Sequence[str],
    rows: Sequence[tuple[str, Sequence[str]]],
    heading: str,
    tails: Sequence[str],
) -> list[str]:
    """Write a table whose last column holds texts of any length."""
    lines: list[str] = []
    aligned = table(corner, [[text] for text in headings], rows, name_width=len(corner))
    width = max(map(len, aligned))
    for line, tail in zip(aligned, [heading, *tails], strict=True):
        start = f"{line:<{width}}   "
        wrapped = textwrap.wrap(
            tail, WIDTH, initial_indent=start, subsequent_indent=" " * len(start)
        )
        lines += wrapped or [line]
    return lines


def _figures(values: Sequence[float]) -> list[str]:
    """Write numbers that stand in one column; NaN is none."""
    there = [value for value in values if np.isfinite(value)]
    largest = max(map(abs, there), default=0.0)
    if all(value == int(value) for value in there) and largest < _LARGE:
        form = ".0f"
    else:
        form = ".4f" if _SMALL <= largest < _LARGE else ".3e"
    return [NOTHING if np.isnan(value) else f"{value:{form}}" for value in values]


def _listed(places: Sequence[int]) -> str:
    return ", ".join(map(str, places))


def _cut(text: str, width: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 4]} ..."
