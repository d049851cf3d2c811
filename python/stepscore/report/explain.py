"""One problem: its answers, their scores, and why each rule chooses the one it does."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stepscore.jobs.step_scores import Scored
from stepscore.ops import VoteResult, answer_keys, vote
from stepscore.ops.vote import Rule
from stepscore.records.records import Record
from stepscore.report.table import NOTHING, WIDTH, counted, table
from stepscore.voting.rules import TypedRule
from stepscore.voting.settings import VoteSettings, objectives_of
from stepscore.voting.votes import Voted, ballots_of, elect, known_right, ranks, vote_on

_ANSWER_WIDTH = 30
_NO_ANSWER = "none"
_SMALL, _LARGE = 1e-3, 1e6  # figures are written plainly in between
_JOINED = {
    "key": "by its key",
    "text": "by its text",
    "unit": "by its number, the unit aside",
    "verify": "by math-verify",
}
# What the winning answer has, under every rule but the hybrid one.
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


def explain(scored: Scored, how: str, settings: VoteSettings) -> list[str]:
    """Explain the votes of one problem.

    Args:
        scored: one record.
        how: the aggregation that ranks.
        settings: how the candidates vote.

    Returns:
        Lines of at most 100 characters.
    """
    case = _case(scored, how, settings)
    parts = [_title(scored.records[0]), _answers(case), _candidates(case), _votes(case)]
    return [line for part in parts for line in ("", *part)][1:]


@dataclass(frozen=True)
class _Case:
    """One problem with all that is said about it.

    Attributes:
        scored, how, settings: see `explain`.
        voted: its votes.
        right: whether each candidate is right; None where the file does not say.
        names: of the answers by class, or of the candidates where nothing can be counted.
    """

    scored: Scored
    how: str
    settings: VoteSettings
    voted: Voted
    right: list[bool] | None
    names: dict[int, str]

    @property
    def totals(self) -> NDArray[np.float64]:
        """The scores of the candidates, by the aggregation that ranks."""
        return self.scored.totals[:, self.scored.columns.index(self.how)]

    def members(self, own: int) -> list[int]:
        """The candidates of a class."""
        found: list[int] = np.flatnonzero(self.voted.classes == own).tolist()
        return found


def _case(scored: Scored, how: str, settings: VoteSettings) -> _Case:
    voted = vote_on(scored, settings)
    right, known, _ = known_right(scored, voted.answers, settings)
    classes = voted.classes.tolist()
    names: dict[int, str] = {}
    if voted.has_answers[0]:
        for own, answer in zip(classes, voted.answers, strict=True):
            if own >= 0 and own not in names:
                short = _cut(answer or "", _ANSWER_WIDTH)
                names[own] = short if short not in names.values() else f"{short} (class {own})"
    else:
        names = {place: f"candidate {place}" for place in range(len(classes))}
    return _Case(scored, how, settings, voted, right.tolist() if known[0] else None, names)


def _title(record: Record) -> list[str]:
    first, *more = (record.problem or "").strip().splitlines() or [""]
    text = f"problem {record.id}" + (f": {first}" if first else "") + (" ..." if more else "")
    lines = [_cut(text, WIDTH)]
    if record.answer is not None:
        lines.append(_cut(f"known answer: {record.answer}", WIDTH))
    return lines


def _answers(case: _Case) -> list[str]:
    voted = case.voted
    candidates = len(voted.answers)
    if not voted.has_answers[0]:
        return [
            f"{counted(candidates, 'candidate')} without texts or answers: nothing to count, so "
            "each stands for itself",
        ]
    answered = candidates - len(case.members(-1))
    lines = [
        f"{counted(candidates, 'candidate')}, {answered:,} with an answer, "
        f"{counted(len(case.names), 'different answer')}"
    ]
    rows: list[tuple[str, list[str]]] = []
    tails: list[str] = []
    for own, name in [*case.names.items(), (-1, _NO_ANSWER)]:
        members = case.members(own)
        if not members:
            continue
        texts = [voted.answers[place] for place in members]
        (key,) = answer_keys([texts[0]], extract=False)
        shown = "" if key is None or key.startswith("text:") else _cut(key, _ANSWER_WIDTH)
        rows.append((name, ["" if own < 0 else f"{own}", f"{len(members)}", shown]))
        tails.append(_listed(members))
        for text in dict.fromkeys(texts[1:]):
            if text is not None and text != texts[0]:
                same = [place for place, other in zip(members, texts, strict=True) if other == text]
                rows.append((f"  = {_cut(text, _ANSWER_WIDTH)}", ["", "", ""]))
                tails.append(f"{_listed(same)}, {_JOINED[voted.groups.decided[same[0]]]}")
    lines += _with_tails("answer", ["class", "count", "key"], rows, "candidates", tails)
    if voted.groups.undecided:
        note = f"no verdict of math-verify in time on {'; '.join(voted.groups.undecided)}"
        lines += textwrap.wrap(note, WIDTH, initial_indent="  ", subsequent_indent="    ")
    return lines


def _candidates(case: _Case) -> list[str]:
    totals = case.totals
    figures = _figures(totals.tolist())
    ranked = ranks(totals, case.scored.offsets).tolist()
    rows: list[tuple[str, list[str]]] = []
    tails: list[str] = []
    for place in np.argsort(ranked).tolist():
        judged = [] if case.right is None else ["right" if case.right[place] else "wrong"]
        rows.append((f"{ranked[place]:>{len('rank')}}", [f"{place}", figures[place], *judged]))
        own = int(case.voted.classes[place])
        tails.append(case.names[own] if own >= 0 else _NO_ANSWER)
    headings = ["candidate", "score", *([] if case.right is None else ["is"])]
    if not case.voted.has_answers[0]:
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
    title = f"what every answer reaches, by {case.how} (* wins)"
    return [title, *table("answer", headings, rows), "", "why", *sentences]


def _vote(case: _Case, index: int, rule: TypedRule) -> tuple[list[str], str]:
    """Give the cells under a rule's heading, and the sentence that says why the winner won."""
    scored, voted = case.scored, case.voted
    column = scored.columns.index(case.how)
    nothing = [f"{NOTHING} "] * (len(case.names) + 3)
    if voted.unfit[0, index, column]:
        return nothing, f"no vote; it reads {rule.rule.scores.words}, and there are others"
    if voted.winner[0, index, column] < 0:
        if rule.name != "best_of_n" and not voted.has_answers[0]:
            return nothing, "no vote; there are no answers to count"
        return nothing, "no vote; no candidate has all that it takes to vote"
    ballots = ballots_of(rule, scored, voted.classes, voted.has_answers)
    objectives = objectives_of(case.settings, scored.columns, bounded=scored.bounded)
    result, _ = elect(rule, scored, ballots, case.how, objectives, class_scores=True)
    reached = {
        int(own): float(score)
        for own, score in zip(ballots, result.class_scores, strict=True)
        if not np.isnan(score)
    }
    winner, margin = int(result.answer_id[0]), float(result.margin[0])
    only = len(reached) == 1
    *figures, ahead = _figures([*reached.values(), np.nan if only else margin])
    shown = dict(zip(reached, figures, strict=True))
    cells = [shown.get(own, NOTHING) + ("*" if own == winner else " ") for own in case.names]
    cells += [f"{result.winner[0]} ", f"{ahead} ", "yes " if result.tied[0] else "no "]
    sentence = f"{case.names[winner]} with {_has(case, rule, ballots, result, objectives)}"
    if only:
        return cells, f"{sentence}; there is no other answer"
    second = max((own for own in reached if own != winner), key=reached.__getitem__)
    if result.tied[0]:
        return cells, f"{sentence}, as much as {case.names[second]}, which came later"
    return cells, f"{sentence}, {margin:.4g} ahead of {case.names[second]}"


def _has(
    case: _Case,
    rule: TypedRule,
    ballots: NDArray[np.int64],
    result: VoteResult,
    objectives: Sequence[str],
) -> str:
    """Say what the winning answer has."""
    score = f"{result.score[0]:.4g}"
    voters = int(np.count_nonzero(~np.isnan(result.class_scores)))
    if rule.name != "hybrid_majority_reward":
        return _HAS[rule.name].format(score=score, voters=voters, objectives=", ".join(objectives))
    # With rewards of 0, only a count is above 0.
    cast_by = Rule(rule.name, **{**rule.rule.parameters, "reward": "max"})
    counts = vote(ballots, 0 * case.totals, case.scored.offsets, cast_by, nan="drop")
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
    own = [[text] for text in headings]
    lines: list[str] = []
    aligned = table(corner, own, rows, name_width=len(corner))
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
