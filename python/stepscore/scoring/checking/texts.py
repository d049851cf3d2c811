"""What is found in the texts themselves, before anything is laid out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stepscore.recipes import Tokenizer
from stepscore.scoring.checking.report import Finding
from stepscore.scoring.reserved_tokens import ReservedTokens


def about_texts(
    tokenizer: Tokenizer, problems: Sequence[str], solutions: Sequence[str | Sequence[str]]
) -> Iterator[Finding]:
    """Count the texts that hold special tokens."""
    reserved = ReservedTokens.of(tokenizer)
    special = sorted({*reserved.special, *reserved.endings})
    texts = [
        (problem, solution if isinstance(solution, str) else "\n".join(solution))
        for problem, solution in zip(problems, solutions, strict=True)
    ]
    holding = [token for token in special if any(token in p or token in s for p, s in texts)]
    if holding:
        count = sum(any(token in p or token in s for token in holding) for p, s in texts)
        yield Finding(
            "warning",
            "special tokens",
            f"{count} of {len(texts)} traces hold {', '.join(map(repr, holding))} as text: what "
            "ends a solution is removed, and the rest is refused; scripts encode it as the mark "
            "that it is",
        )
