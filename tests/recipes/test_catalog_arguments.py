"""Arguments of the catalog's recipes: what is none is refused by its name, and never guessed."""

from __future__ import annotations

from inspect import Parameter, signature

import pytest

from stepscore import recipes
from stepscore.errors import InputError
from stepscore.recipes.registry import published

ARGUMENTS = [
    (name, argument)
    for name, entry in published().items()
    for argument in signature(entry.make).parameters
]
# Those that are numbers; 3 is one.
NUMBERS = {"beta", "coef", "classes"}
# What else a recipe must be given.
REQUIRED = {"reference": "none", "coef": 1, "like": "trl-prm", "activation": "identity"}


@pytest.mark.parametrize("wrong", [3, ["a"], b"a"])
@pytest.mark.parametrize(("name", "argument"), ARGUMENTS)
def test_what_is_no_text_is_no_argument(name: str, argument: str, wrong: object) -> None:
    make = published()[name].make
    given = {
        each: REQUIRED.get(each, "x")
        for each, parameter in signature(make).parameters.items()
        if parameter.default is Parameter.empty
    }
    if argument in NUMBERS and wrong == 3:
        return
    with pytest.raises((ValueError, TypeError)) as caught:
        make(**{**given, argument: wrong})
    assert argument in str(caught.value)
    assert "expected" in str(caught.value), caught.value


def test_a_number_of_classes_is_not_rounded() -> None:
    assert recipes.vgs_value("2").as_config()["classes"] == "2"
    with pytest.raises(InputError, match=r"vgs-value: classes: expected a whole number; got 2\.7"):
        recipes.vgs_value(2.7)
