"""Prompts with placeholders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b

from stepscore.errors import InputError
from stepscore.scoring.verdicts.word_verdict import refuse_strays


def check_template(call: str, template: str, needed: Sequence[str]) -> None:
    """Refuse a prompt that does not show what is judged."""
    for name in needed:
        if template.count(f"{{{name}}}") != 1:
            raise InputError(
                f"a prompt with {{{name}}} once",
                got=f"{template.count(f'{{{name}}}')} of them",
                advice=f"put {', '.join(f'{{{each}}}' for each in needed)} into it",
                argument="prompt",
                where=call,
            )
    refuse_strays(call, "prompt", template, needed)


def fingerprint(*texts: str) -> str:
    """Sixteen letters of what is asked, for provenance: another prompt gives other scores."""
    digest = blake2b("\0".join(texts).encode("utf-8", "surrogatepass"), digest_size=8)
    return digest.hexdigest()


def fill(template: str, texts: dict[str, str]) -> str:
    """Fill a prompt in, in one pass: braces in what is shown stay what they are."""
    names = "|".join(map(re.escape, texts))
    return re.sub(rf"\{{({names})\}}", lambda match: texts[match[1]], template)
