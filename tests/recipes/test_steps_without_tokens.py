"""A step that the tokenizer writes as nothing is not read at the step before it."""

from __future__ import annotations

import copy

import pytest
from rows import ROWS, Row
from test_rows import traces_of
from tokenizers import normalizers

from stepscore.errors import InputError

NOTHING = "\u200b"  # a zero width space, which some vocabularies drop


def dropping(row: Row):
    """The row's tokenizer, but it writes `NOTHING` as no tokens."""
    tokenizer = copy.deepcopy(row.tokenizer())
    backend = tokenizer.backend_tokenizer
    drop = normalizers.Replace(NOTHING, "")
    own = backend.normalizer
    backend.normalizer = drop if own is None else normalizers.Sequence([drop, own])
    return tokenizer


# Those that read a step's own last token; Thoughts know no step without an end either.
OWN_TOKENS = {"vgs-value", "vgs-value, one class", "reasoneval-7b", "reasoneval-34b"}


@pytest.mark.parametrize("name", ROWS)
def test_every_step_has_a_place_of_its_own(name: str) -> None:
    row = ROWS[name]
    tokenizer = dropping(row)
    problem, steps = next((p, s) for p, s in traces_of(row) if len(s) > 1)
    at = len(steps) // 2
    traces = [problem], [[*steps[:at], NOTHING, *steps[at:]]]
    if name in OWN_TOKENS or row.recipe.name == "metastone-sprm":
        message = "of which it makes none" if name in OWN_TOKENS else "a step that ends in"
        with pytest.raises(InputError, match=message) as caught:
            row.recipe.encode(tokenizer, *traces)
        assert caught.value.argument.index == (0, at)
        return
    encoded = row.recipe.encode(tokenizer, *traces)
    if row.recipe.unit == "step" and len(encoded.offsets) == 2:
        places = encoded.positions.tolist()
        assert len(places) == (len(steps) + 1) * row.recipe.positions_per_step
        assert places == sorted(set(places))


def test_a_step_likelihood_is_that_of_tokens() -> None:
    from stepscore.recipes import step_likelihood

    tokenizer = dropping(ROWS["trl-prm"])
    recipe = step_likelihood(joiner="")
    with pytest.raises(InputError, match="of which it makes none") as caught:
        recipe.encode(tokenizer, ["What?", "What?"], [["a"], [NOTHING, "b"]])
    assert caught.value.argument.index == (1, 0)
    with pytest.raises(InputError, match="of which it makes none") as caught:
        recipe.encode(tokenizer, [NOTHING], [["a"]])
    assert (caught.value.argument.name, caught.value.argument.index) == ("problems", (0,))
