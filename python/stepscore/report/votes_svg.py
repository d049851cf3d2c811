"""The votes on one problem as a picture: steps coloured by their scores, and who chose what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from stepscore.report.table import counted

_WIDTH, _MARGIN, _GUTTER = 880, 32, 24
_ROWS = 5  # answers that have a line of their own
_TINTS = 20  # so that the last digits of a score do not change the picture
_WORST, _MIDDLE, _BEST = (229, 72, 77), (224, 161, 0), (47, 158, 87)
# A picture that stands in a page follows the reader's choice of light or dark by this rule alone.
_STYLE = """
text { font: 14px system-ui, -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif;
  fill: #1f2328 }
.code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace }
.title { font-size: 22px; font-weight: 600 } .strong { font-weight: 600 } .end { text-anchor: end }
.dim { fill: #59636e } .wrong { fill: #b3261e } .right { fill: #1a6e35 }
.card { fill: #ffffff; stroke: #d1d9e0 } .track { fill: #8884 } .tint { fill-opacity: .2 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .dim { fill: #9198a1 } .wrong { fill: #ff8a80 } .right { fill: #6fdd8b }
  .card { fill: #151b23; stroke: #3d444d }
}
"""


@dataclass(frozen=True)
class SampledAnswer:
    """An answer that candidates of a problem give.

    Attributes:
        text: the answer.
        scores: of the candidates that give it.
    """

    text: str
    scores: Sequence[float]


@dataclass(frozen=True)
class ChosenAnswer:
    """An answer that a vote chose, with the candidate that shows it.

    Attributes:
        voter: who chose it, as in "The majority".
        answer: its text.
        count: of how many candidates it is the answer.
        right: whether it is the known one.
        steps: of the candidate.
        scores: of its steps.
        first_error: the number of its first wrong step, from 0; -1 = none.
    """

    voter: str
    answer: str
    count: int
    right: bool
    steps: Sequence[str]
    scores: Sequence[float]
    first_error: int

    @property
    def verdict(self) -> str:
        """The words right or wrong."""
        return "right" if self.right else "wrong"


def votes_svg(
    problem: str,
    truth: str,
    answers: Sequence[SampledAnswer],
    chosen: Sequence[ChosenAnswer],
    *,
    caption: str,
    footer: str,
) -> str:
    """Draw the votes on a problem.

    Args:
        problem: its text, the title.
        truth: the known answer.
        answers: all that there are, in the order in which they are shown; those behind the fifth
            share a line.
        chosen: one or two, of different answers, which stand beside each other.
        caption: what the squares are; ``footer``: a last line.

    Returns:
        An SVG without anything from elsewhere, readable on light and dark pages.
    """
    total = sum(len(answer.scores) for answer in answers)
    parts = [
        _text(_MARGIN, 52, problem, "code title"),
        _text(_WIDTH - _MARGIN, 52, f"the right answer is {truth}", "dim end"),
        _text(_MARGIN, 82, caption, "dim"),
    ]
    top = 102
    shown = list(answers[:_ROWS])
    if len(answers) > _ROWS:
        rest = [score for answer in answers[_ROWS - 1 :] for score in answer.scores]
        shown[_ROWS - 1 :] = [SampledAnswer("others", rest)]
    pitch = min(22.0, 264 / max(len(answer.scores) for answer in shown))
    for answer in shown:
        voter = next((choice for choice in chosen if choice.answer == answer.text), None)
        parts += _answer_row(top, answer, voter, pitch)
        top += 32
    top += 18
    width = (_WIDTH - 2 * _MARGIN - _GUTTER) / 2
    for number, choice in enumerate(chosen):
        parts += _panel(_MARGIN + number * (width + _GUTTER), top, width, choice, total)
    top += 34 + 34 * max(len(choice.steps) for choice in chosen)
    parts.append(_text(_MARGIN, top + 22, footer, "dim"))
    height = top + 44
    told = "; ".join(
        f"{choice.voter} says {choice.answer}, which is {choice.verdict}" for choice in chosen
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
            f'width="{_WIDTH}" height="{height}" role="img">',
            f"<title>{escape(f'{problem} {told}')}</title>",
            f"<style>{_STYLE}</style>",
            f'<rect class="card" x=".5" y=".5" width="{_WIDTH - 1}" height="{height - 1}" '
            'rx="12"/>',
            *parts,
            "</svg>",
            "",
        ]
    )


def _answer_row(
    top: float, answer: SampledAnswer, voter: ChosenAnswer | None, pitch: float
) -> list[str]:
    """An answer, a square for each of its candidates, what they add up to, and who chose it."""
    parts = [_text(_MARGIN, top + 17, answer.text, "code strong")]
    left = _MARGIN + 56.0
    for score in answer.scores:
        parts.append(_box(left, top + 12 - pitch * 0.42, pitch * 0.84, pitch * 0.84, _tint(score)))
        left += pitch
    sums = f"{counted(len(answer.scores), 'vote')}, scores add up to {sum(answer.scores):.2f}"
    parts.append(_text(_MARGIN + 338, top + 17, sums, "dim"))
    if voter is not None:
        by = f"{_mark(voter)} chosen by {voter.voter[0].lower()}{voter.voter[1:]}"
        parts.append(_text(_WIDTH - _MARGIN, top + 17, by, f"strong end {voter.verdict}"))
    return parts


def _panel(left: float, top: float, width: float, choice: ChosenAnswer, total: int) -> list[str]:
    """The steps of a candidate, each with its score and, of the first wrong one, the word."""
    parts = [
        _text(left, top + 14, f"{choice.voter} says {choice.answer}", "strong"),
        _text(
            left + width,
            top + 14,
            f"{_mark(choice)} {choice.verdict}, {choice.count} of {total}",
            f"strong end {choice.verdict}",
        ),
    ]
    for number, (step, score) in enumerate(zip(choice.steps, choice.scores, strict=True)):
        y, tint = top + 28 + 34 * number, _tint(score)
        parts += [
            _box(left, y, width, 30, tint, ' class="tint"'),
            _box(left, y, 5, 30, tint),
            _text(left + 18, y + 20, step, "code"),
            _box(left + width - 142, y + 11, 80, 8, None, ' class="track"'),
            _box(left + width - 142, y + 11, 80 * round(score, 2), 8, tint),
            _text(left + width - 10, y + 20, f"{score:.3f}", "code end"),
        ]
        if number == choice.first_error:
            parts.append(_text(left + width - 152, y + 20, "the first error", "strong end wrong"))
    return parts


def _mark(choice: ChosenAnswer) -> str:
    return "✓" if choice.right else "✗"


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{escape(text)}</text>'


def _box(x: float, y: float, width: float, height: float, tint: str | None, more: str = "") -> str:
    fill = "" if tint is None else f' fill="{tint}"'
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="3"{fill}{more}/>'


def _tint(score: float) -> str:
    """From red over amber to green."""
    place = round(min(max(score, 0), 1) * _TINTS) / _TINTS * 2
    ends = (_WORST, _MIDDLE) if place < 1 else (_MIDDLE, _BEST)
    share = place if place < 1 else place - 1
    mixed = (round(a + (b - a) * share) for a, b in zip(*ends, strict=True))
    return "#" + "".join(f"{part:02x}" for part in mixed)
