"""What makes scores wrong or worthless although the engine reads the model right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stepscore.recipes import Recipe, Tokenizer
from stepscore.recipes.layouts.encoding import encode_text
from stepscore.scoring.checking.layout import LaidOut, first_difference
from stepscore.scoring.checking.report import Finding
from stepscore.scoring.checkpoint.weight_files import read_json
from stepscore.scoring.reserved_tokens import ReservedTokens

Float = NDArray[np.float64]

# Of the pairs of a right and a wrong step: a PRM that knows sums orders nearly all of them.
_REVERSED, _UNDECIDED = 0.35, 0.65
_FEWEST = 4  # steps of each kind from which an order says something
# Classes of tokenizers that read tokenizer.json as it stands; others build a pipeline of their own.
_AS_IT_STANDS = ("PreTrainedTokenizerFast", "TokenizersBackend")
_CONSTANT = 1e-6
# The largest number below 1 of each format: scores above the middle between it and 1 round to 1.
_ROUNDS_TO_ONE = {"bfloat16": 1 - 2**-9, "float16": 1 - 2**-12}


def about_scores(
    recipe: Recipe, values: Float, right: Sequence[bool | None], scores_of: str
) -> Iterator[Finding]:
    """Look at the scores themselves.

    Args:
        recipe: how they were read.
        values: one per step.
        right: whether each step is right; None where nobody knows.
        scores_of: what was scored, for the message.
    """
    low, high = recipe.score_range
    ends = int((values <= low).sum() + (values >= high).sum())
    if ends:
        yield Finding(
            "warning",
            "saturation",
            f"{ends} of {len(values)} scores are exactly {low:g} or {high:g} in float32: they tie, "
            "and ties go by the order of the candidates",
        )
    elif (low, high) == (0.0, 1.0):
        for name, edge in _ROUNDS_TO_ONE.items():
            rounded = int((values >= edge).sum())
            if rounded:
                yield Finding(
                    "note",
                    "saturation",
                    f"{rounded} of {len(values)} scores would be exactly 1 if they were rounded to "
                    f"{name}, as scripts do that read the head in it; here they differ",
                )
                break
    if len(values) > 2 and float(np.ptp(values)) < _CONSTANT:
        yield Finding(
            "warning",
            "constant",
            f"all {len(values)} scores of {scores_of} are {values[0]:.6g}: the head or the tokens "
            "it reads are not those of the training",
        )
    yield from _order(recipe, values, right)


def _order(recipe: Recipe, values: Float, right: Sequence[bool | None]) -> Iterator[Finding]:
    """Look whether right steps score better than wrong ones."""
    known = np.array([each is not None for each in right], np.bool_)
    if not known.any() or recipe.unit != "step":
        return
    labels = np.array([bool(each) for each in right])[known]
    scores = values[known] * (1 if recipe.readings[0].higher_is_better else -1)
    good, bad = scores[labels], scores[~labels]
    if min(len(good), len(bad)) < _FEWEST:
        return
    pairs = np.sign(good[:, None] - bad[None, :])
    share = float((pairs + 1).mean() / 2)
    said = (
        f"right steps of the built-in sums score better than wrong ones in {share:.0%} of the pairs"
    )
    if share < _REVERSED:
        yield Finding(
            "warning",
            "reversed",
            f"{said}: the score is that of the wrong output, or another recipe's",
        )
    elif share < _UNDECIDED:
        yield Finding(
            "warning",
            "undecided",
            f"{said}, as by chance: the separator or the layout may be another one than in the "
            "training, or the model does not know sums",
        )
    else:
        yield Finding("note", "order", said)


def about_tokens(
    recipe: Recipe, tokenizer: Tokenizer, traces: Sequence[LaidOut]
) -> Iterator[Finding]:
    """Look at the token ids."""
    bos = tokenizer.bos_token_id
    if bos is not None:
        doubled = [t.place for t in traces if t.encoded.token_ids[:2].tolist() == [bos, bos]]
        if doubled:
            yield Finding(
                "warning",
                "BOS",
                f"{len(doubled)} traces begin with two {tokenizer.bos_token!r} (id {bos}): the "
                "layout writes one, and the tokenizer adds another",
            )
        begins = encode_text(tokenizer, "1", special_tokens=True)[:1] == [bos]
        without = [t.place for t in traces if t.encoded.token_ids[:1].tolist() != [bos]]
        if begins and without:
            yield Finding(
                "note" if recipe.confidence == "author" else "warning",
                "BOS",
                f"the tokenizer puts {tokenizer.bos_token!r} (id {bos}) in front of every text, "
                f"and the layout of {recipe.name} does not",
            )
    if recipe.tokenisation == "separate":
        yield from _merges(recipe, tokenizer, traces)


def about_files(tokenizer: Tokenizer, folder: Path) -> Iterator[Finding]:
    """Compare what the tokenizer's files say about the tokens around a text with what it does."""
    loaded = encode_text(tokenizer, "1", special_tokens=True)
    if (folder / "tokenizer.json").is_file():
        from tokenizers import Tokenizer as FromFile

        alone = FromFile.from_file(str(folder / "tokenizer.json")).encode("1").ids
        if alone != loaded:
            yield Finding(
                "warning",
                "BOS",
                f"tokenizer.json writes {alone} for '1', and loaded by transformers it writes "
                f"{loaded}: what begins a text depends on the library",
            )
    settings = folder / "tokenizer_config.json"
    said = read_json(settings).get("add_bos_token") if settings.is_file() else None
    bos = tokenizer.bos_token_id
    does = loaded[:1] == [bos]
    if isinstance(said, bool) and bos is not None and said != does:
        yield Finding(
            "warning",
            "BOS",
            f"tokenizer_config.json says add_bos_token: {str(said).lower()}, and the tokenizer "
            f"{'puts' if does else 'does not put'} {tokenizer.bos_token!r} in front: another "
            "class, or version, gives other ids",
        )


def _merges(recipe: Recipe, tokenizer: Tokenizer, traces: Sequence[LaidOut]) -> Iterator[Finding]:
    """Count the separators that would merge with their step in a text that is encoded whole."""
    steps = [step for trace in traces for step in trace.steps]
    end = encode_text(tokenizer, recipe.separator)
    merged = []
    for step in steps:
        apart = [*encode_text(tokenizer, step), *end]
        if encode_text(tokenizer, step + recipe.separator) != apart:
            merged.append(step)
    if merged:
        yield Finding(
            "note",
            "separator merges",
            f"encoded as one text, {len(merged)} of {len(steps)} steps merge with the separator "
            f"{recipe.separator!r}, as {merged[0][-20:] + recipe.separator!r} does; here every "
            "part is encoded alone",
        )


def about_tokenizer(
    recipe: Recipe,
    tokenizer: Tokenizer,
    stock: Tokenizer | None,
    traces: Sequence[LaidOut],
    folder: Path,
) -> Iterator[Finding]:
    """Look at what the tokenizer's files ask for, and at the class that transformers picks.

    Args:
        recipe, tokenizer: of the engine.
        stock: the tokenizer that AutoTokenizer makes of the same files; None where it makes none.
        traces: what is laid out.
        folder: where the files stand.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if getattr(backend, "truncation", None):
        length = backend.truncation.get("max_length")  # type: ignore[union-attr]
        yield Finding(
            "note",
            "truncation",
            f"tokenizer.json cuts texts at {length} tokens where a script calls it plainly, and so "
            "loses the last steps of longer ones; here it is switched off",
        )
    if stock is None:
        return
    for trace in traces:
        try:
            again = recipe.encode(stock, [trace.problem], [trace.steps]).token_ids.tolist()
        except ValueError:
            again = None
        ids = trace.encoded.token_ids.tolist()
        if again != ids:
            at = first_difference(again or [], ids)
            other = (
                f"AutoTokenizer ({type(stock).__name__}) gives other ids than the tokenizer's "
                f"files: {(again or [])[at : at + 4]} instead of {ids[at : at + 4]} at token {at} "
                f"of {trace.place}"
            )
            declared = _declared_class(folder)
            if declared in _AS_IT_STANDS:
                said = f"tokenizer_config.json says {declared}, which reads tokenizer.json as here"
                yield Finding("note", "tokenizer", f"{other}; {said}")
            else:
                said = "a model that was trained with it was trained on those"
                yield Finding("warning", "tokenizer", f"{other}; {said}")
            return


def _declared_class(folder: Path) -> str | None:
    """Give the class that a tokenizer was saved as."""
    settings = folder / "tokenizer_config.json"
    declared = read_json(settings).get("tokenizer_class") if settings.is_file() else None
    return declared if isinstance(declared, str) else None


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
