"""What is read of a language model that scores by how likely it finds the tokens of a trace."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from stepscore.errors import Argument, InputError, InputTypeError

# accumulative: the sum up to the end of a step.  single: what the step adds to it.
# mean: what it adds, for each of its tokens.
StepSum = Literal["accumulative", "single", "mean"]

# How a reference is named where there is none, in config.json and on the command line.
NO_REFERENCE = "none"


@dataclass(frozen=True)
class Likelihood:
    r"""How log-probabilities of tokens become scores of steps.

    :math:`r_k = \beta \sum_{t=a}^{e_k} \left(\log p(x_t | x_{<t})
    - \log p_\mathrm{ref}(x_t | x_{<t})\right)`, where :math:`a` is ``Encoded.first_tokens``, the
    first token that counts, and :math:`e_k` the position of step :math:`k` in ``Encoded``, the last
    one that does.

    Attributes:
        sums: the readings of the recipe, in their order.
        coef: :math:`\beta`.
        reference: the model of :math:`p_\mathrm{ref}`, a folder or a Hugging Face repository; None
            leaves that term out.
    """

    sums: tuple[StepSum, ...]
    coef: float = 1.0
    reference: str | None = None


def read_coefficient(recipe: str, coef: object) -> float:
    r"""Read a coefficient, which config.json and the command line hold as a text.

    Raises:
        TypeError: neither a number nor the text of one.
        ValueError: a number that is not finite, or 0: all scores would be equal.
    """
    try:
        number = float(coef)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise InputTypeError(
            "a number",
            got=repr(coef),
            advice="pass the coefficient of the training run, such as 0.001",
            argument="coef",
            where=recipe,
        ) from None
    if isinstance(coef, bool) or not math.isfinite(number) or number == 0.0:
        raise InputError(
            "a finite number other than 0",
            got=repr(coef),
            advice="pass the coefficient of the training run, such as 0.001",
            argument="coef",
            where=recipe,
        )
    return number


def read_reference(recipe: str, reference: object) -> str | None:
    """Read the name of a reference model; None, or the text of it, stands for no reference.

    Raises:
        TypeError: neither a text nor None.
        ValueError: an empty text.
    """
    if reference is None or reference == NO_REFERENCE:
        return None
    if not isinstance(reference, str):
        raise InputTypeError(
            "a folder or the name of a Hugging Face repository, or None for no reference",
            got=type(reference).__name__,
            advice="pass a str",
            argument="reference",
            where=recipe,
        )
    if not reference:
        raise InputError(
            "a folder or the name of a Hugging Face repository",
            got="an empty text",
            advice=("pass ", Argument("reference", NO_REFERENCE), " for no reference model"),
            argument="reference",
            where=recipe,
        )
    return reference
