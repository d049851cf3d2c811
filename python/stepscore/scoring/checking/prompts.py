"""What may be wrong with a prompt before anything is written."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from stepscore.hub import silenced_hub
from stepscore.policies.texts import TextRequest
from stepscore.scoring.checking.report import Finding

if TYPE_CHECKING:
    from stepscore.scoring.checking.verdict_logits import FullLogits

_ROLES = re.compile(r"\b(system|user|assistant|model)\b", re.IGNORECASE)
_QUOTED = 120


def about_prompt(name: str, logits: FullLogits, request: TextRequest) -> Iterator[Finding]:
    """Look at a prompt as it is laid out: its template, and its first token.

    Args:
        name: of the policy: a folder or a repository.
        logits: its model and tokenizer.
        request: what it is asked.
    """
    tokenizer = logits.tokenizer
    ids = logits.token_ids(request)
    bos = tokenizer.bos_token_id
    if bos is not None and ids[:2] == [bos, bos]:
        yield Finding(
            "warning", "BOS", f"the prompt begins with two {tokenizer.bos_token!r} (id {bos})"
        )
    stock = _stock(name)
    if stock is not None and type(logits)(logits.model, stock).token_ids(request) != ids:
        yield Finding(
            "warning",
            "template",
            f"AutoTokenizer ({type(stock).__name__}) lays the prompt out as other tokens than "
            "tokenizer.json and its chat template do; a model that was trained with it was trained "
            "on those",
        )
    if not isinstance(request.prompt, str):
        yield from _about_template(tokenizer, request)


def _about_template(tokenizer: Any, request: TextRequest) -> Iterator[Finding]:
    """Look whether a chat template keeps the turns, and what it adds."""
    assert not isinstance(request.prompt, str)
    turns = [{"role": turn.role, "content": turn.content} for turn in request.prompt]
    with_place, without = (
        str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=place))
        for place in (True, False)
    )
    if with_place == without:
        yield Finding(
            "warning",
            "template",
            "the chat template has no place for the answer: add_generation_prompt changes nothing",
        )
    rest = with_place
    for turn in request.prompt:
        if turn.content not in rest:
            stripped = turn.content.strip() in rest
            yield Finding(
                "note" if stripped else "warning",
                "template",
                f"the chat template {'trims' if stripped else 'changes'} the turn of the "
                f"{turn.role}, {turn.content[-30:]!r}",
            )
        rest = rest.replace(turn.content.strip(), "", 1)
    for mark in {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}:
        rest = rest.replace(str(mark), " ")
    added = " ".join(_ROLES.sub(" ", rest).split())
    if re.search(r"\w", added):
        yield Finding(
            "note",
            "template",
            f"the chat template adds {added[:_QUOTED]!r}, which the family does not write",
        )


def _stock(name: str) -> Any:
    """Load the tokenizer with the class that transformers picks; None where there is none."""
    from transformers import AutoTokenizer

    try:
        with silenced_hub(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return AutoTokenizer.from_pretrained(
                name, local_files_only=True, trust_remote_code=False
            )
    # Of a policy that was made by hand there are no files; libraries raise all classes.
    except Exception:
        return None
