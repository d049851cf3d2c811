"""How the authors of implicit PRMs lay a chat out and read it: in three ways that differ."""

from __future__ import annotations

import re
from dataclasses import astuple, dataclass, fields

from stepscore.errors import InputError
from stepscore.recipes.layouts.likelihood_chat import LikelihoodChat
from stepscore.recipes.layouts.log_ratio import log_ratio
from stepscore.recipes.layouts.step_numbers import numbered, split_at_numbers
from stepscore.recipes.layouts.steps import split_at
from stepscore.recipes.likelihood import NO_REFERENCE, StepSum, read_coefficient, read_reference
from stepscore.recipes.recipe import Recipe

_NUMBER = re.compile(r"Step \d+:")


@dataclass(frozen=True)
class ImplicitPrm:
    r"""What is chosen of an implicit PRM.

    The variants, which bound the sums and write the steps:

    - ``card``: the steps as given, of which one without a number gets ``"Step k: "``; the sum
      begins at the token that is predicted at :math:`b_0 - 1`. The code on the models' cards.
    - ``processbench``: ``"Step k: "`` before every step, whatever it holds; the sum begins at the
      token that is predicted at :math:`b_0`, the first one of the answer.
    - ``best_of_n``: a text is split at every ``Step n:``, "Step" within a step becomes "step", and
      ``"Step k: "`` stands before each; the sum begins as with ``card``. In the beginnings whose
      lengths bound the steps, Llama's end of the turn is left out; that of Qwen stays.

    Attributes:
        reference: the other model, or None.
        coef: what multiplies the log-ratio.
        reading: which sum is the score.
        variant: one of the above.
        template, system: as in `LikelihoodChat`.
    """

    reference: str | None
    coef: float | str
    reading: StepSum
    variant: str
    template: str | None
    system: str | None

    def recipe(self, name: str) -> Recipe:
        """Give the recipe of a name.

        Args:
            name: in `stepscore.load`.

        Raises:
            ValueError: an argument that is none of its choices.
            TypeError: one of another type.
        """
        return Recipe.from_layout(
            self._chat(name),
            log_ratio(name, self.reading, coef=self.coef, reference=self.reference),
            name=name,
            confidence="author",
            source="PRIME-RL/ImplicitPRM; the cards of PRIME-RL/EurusPRM-Stage1 and -Stage2",
            default_aggregate="min",
            parameters=self._parameters(name),
            unverified=(
                "the reference model and the coefficient: the authors' card and script differ",
                "the system turn of the released checkpoints, which is read from their tokenizers",
            ),
        )

    def _chat(self, name: str) -> LikelihoodChat:
        ways = {
            "card": (numbered, _split),
            "processbench": (_always_numbered, _split),
            "best_of_n": (_rewritten, _split_at_every_number),
        }
        if not isinstance(self.variant, str) or self.variant not in ways:
            raise InputError(
                f"one of {', '.join(ways)}",
                got=repr(self.variant),
                advice="pass one of these",
                argument="variant",
                where=name,
            )
        written, divide = ways[self.variant]
        return LikelihoodChat(
            name=name,
            template=self.template,
            system=self.system,
            written=written,
            divide=divide,
            first="predicted" if self.variant == "processbench" else "before",
            left_out="<|eot_id|>" if self.variant == "best_of_n" else "",
        )

    def _parameters(self, name: str) -> tuple[tuple[str, str], ...]:
        """The arguments as config.json holds them."""
        given = dict(zip((each.name for each in fields(self)), astuple(self), strict=True))
        given["reference"] = read_reference(name, self.reference) or NO_REFERENCE
        given["coef"] = repr(read_coefficient(name, self.coef))
        return tuple((key, value) for key, value in given.items() if value is not None)


def _split(text: str) -> list[str]:
    steps = split_at_numbers(text)
    return split_at(text, "\n\n") if steps is None else steps


def _split_at_every_number(text: str) -> list[str]:
    return [piece.strip() for piece in _NUMBER.split(text) if piece.strip()]


def _always_numbered(step: str, k: int) -> str:
    return f"Step {k}: {step}"


def _rewritten(step: str, k: int) -> str:
    step = step.strip()
    number = _NUMBER.match(step)
    text = step[number.end() :].strip() if number else step
    return f"Step {k}: " + text.replace("Step", "step")
