r"""Do other graders' tests agree with `same_answer`? ``python .../agree_answer_suites.py DIR``

DIR holds checked-out copies of huggingface/Math-Verify, huggingface/lighteval,
NovaSky-AI/SkyThought and allenai/open-instruct, or some of them. Their parametrised cases are read
from the sources, and nothing of them is run: two texts and whether they are equal, or a text and
its normalised form. Where a suite gives credit in parts, a case of which less than all is right
counts as different.

Printed are the share of agreement for each repository, and every case on which the two differ, for
somebody to judge: ``merged`` where the suite denies, else ``apart``.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stepscore import same_answer

# Names of parameters: the right answer, what is graded, and the verdict.
GOLD = ("gold", "reference", "label", "expected_answer")
GRADED = ("pred", "prediction", "raw_string", "input_str")
VERDICT = ("expected", "result", "expected_score")
SUITES = {
    "Math-Verify": ["tests/test_*.py"],
    "lighteval": ["tests/metrics/test_extractive_match.py"],
    "SkyThought": ["**/test_math_parsing_util.py"],
    "open-instruct": ["open_instruct/test_ground_truth_utils.py"],
}

Case = tuple[str, str, bool]


def cases_of(source: str) -> Iterator[Case]:
    """Read the parametrised cases of a test file."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and decorator.args:
                names = names_of(decorator, node)
                for row in rows_of(decorator.args[-1]):
                    yield from case_of(dict(zip(names, row, strict=False)))


def names_of(decorator: ast.Call, function: ast.FunctionDef) -> list[str]:
    """Give the names of a row: those of pytest, or the arguments behind self."""
    called = ast.unparse(decorator.func)
    if called.endswith("parametrize"):
        named = ast.literal_eval(decorator.args[0])
        return [name.strip() for name in named.split(",")] if isinstance(named, str) else [*named]
    if called.endswith("parameterized.expand") or called == "parameterized.expand":
        return [argument.arg for argument in function.args.args[1:]]
    return []


def rows_of(rows: ast.expr) -> Iterator[tuple[Any, ...]]:
    """Give the rows that are written out."""
    for row in getattr(rows, "elts", []):
        cells = row.args if isinstance(row, ast.Call) else getattr(row, "elts", None)
        try:
            yield tuple(map(ast.literal_eval, cells)) if cells else (ast.literal_eval(row),)
        except ValueError:  # it is computed
            continue


def case_of(row: dict[str, Any]) -> Iterator[Case]:
    """Give the texts of a row, and whether they are equal."""
    gold, graded, verdict = (
        next((row[name] for name in names if name in row), None)
        for names in (GOLD, GRADED, VERDICT)
    )
    if isinstance(verdict, str) and gold is None:  # what the text is normalised to
        gold, verdict = verdict, True
    if isinstance(gold, str) and isinstance(graded, str) and verdict is not None:
        yield gold, graded, verdict == 1


def main(folder: Path) -> None:
    """Print the agreement, and what differs."""
    for suite, patterns in SUITES.items():
        files = [file for pattern in patterns for file in sorted(folder.glob(f"{suite}/{pattern}"))]
        cases = [case for file in files for case in cases_of(file.read_text(encoding="utf-8"))]
        if not cases:
            print(f"{suite}: not there")
            continue
        gold, graded, equal = zip(*cases, strict=True)
        found = same_answer(gold, graded, timeout=30.0).tolist()
        agree = Counter(ours == theirs for ours, theirs in zip(found, equal, strict=True))
        merged = sum(ours and not theirs for ours, theirs in zip(found, equal, strict=True))
        print(f"{suite}: {agree[True]} of {len(cases)} agree, {merged} merged that it denies")
        for (one, other, theirs), ours in zip(cases, found, strict=True):
            if ours != theirs:
                print(f"  {'merged' if ours else 'apart '} {one[-100:]!r} ? {other[-160:]!r}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
