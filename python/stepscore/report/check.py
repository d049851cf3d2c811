"""What a check found, in lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepscore.report.table import WIDTH, counted

if TYPE_CHECKING:
    from stepscore.scoring.checking.report import CheckReport, VerdictReport

_SHOWN = 4  # of the differences, and of what was refused


def check_lines(report: CheckReport) -> list[str]:
    """Say whether the engine and the slow reading agree, and what else was noticed."""
    verdict = "agrees" if report.agrees else "DIFFERS"
    noise = (
        "" if report.noise is None else f"; {report.dtype} alone moves one by {report.noise:.1e}"
    )
    lines = [
        f"{report.model}, recipe {_name(report)}, {report.dtype}: {verdict}",
        f"  {counted(report.traces, 'trace')}, {counted(report.steps, 'step')}, "
        f"{counted(report.tokens, 'token')}, each trace alone in a stock model",
        f"  scores     at most {report.largest:.1e} apart; allowed: {report.tolerance:.1e}{noise}",
    ]
    for what in ("token ids", "positions"):
        wrong = sum(each.what == what for each in report.differences)
        lines.append(f"  {what:<10} {'are the same' if not wrong else f'{wrong} differ'}")
    return lines + _found(report)


def verdict_check_lines(report: VerdictReport) -> list[str]:
    """Say what a generative PRM was asked, what came back, and how it was read."""
    lines = [
        f"{report.model}, recipe {_name(report)}: {'agrees' if report.agrees else 'DIFFERS'}",
        f"  {counted(report.steps, 'step')}, {report.verdicts} with a verdict",
    ]
    if report.largest is not None:
        lines += [
            f"  {counted(report.tokens, 'token')} compared with full logits, each text alone",
            f"  probabilities at most {report.largest:.1e} apart; allowed: {report.tolerance:.1e}",
        ]
    for word, ids in report.words:
        lines.append(f"  word       {word!r} begins with token {ids[0]}, of {list(ids)}")
    for title, text in (("asked", report.prompt), ("answered", report.answer)):
        lines += [f"  {title}", *(f"  | {line}" for line in text.split("\n"))]
    return lines + _found(report)


def _found(report: CheckReport | VerdictReport) -> list[str]:
    lines = []
    for each in report.differences[:_SHOWN]:
        step = "" if each.step is None else f", step {each.step}"
        lines.append(
            f"  DIFFERENT  {each.what} of {each.place}{step}: {each.engine}; expected {each.slow}"
        )
    lines += _more(len(report.differences) - _SHOWN, "differences")
    for finding in report.findings:
        lines.append(f"  {finding.level:<10} {finding.kind}: {finding.text}")
    for place, reason in report.refused[:_SHOWN]:
        lines.append(f"  refused    {place}: {_short(reason)}")
    return lines + _more(len(report.refused) - _SHOWN, "that were refused")


def _name(report: CheckReport | VerdictReport) -> str:
    recipe = report.recipe["recipe"]
    return str(recipe if isinstance(recipe, str) else recipe["name"])


def _short(reason: str) -> str:
    return reason if len(reason) <= 2 * WIDTH else f"{reason[: 2 * WIDTH]}..."


def _more(count: int, what: str) -> list[str]:
    return [f"  ... and {count} more {what}"] if count > 0 else []
