"""What a recipe is: how one published PRM is laid out as tokens, and where and how it is read."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from stepscore.arrays import is_torch
from stepscore.errors import InputError, InputTypeError
from stepscore.recipes.head import Head as Head
from stepscore.recipes.head import Layer as Layer
from stepscore.recipes.places import Places
from stepscore.recipes.reading import Activation as Activation
from stepscore.recipes.reading import Reading as Reading
from stepscore.recipes.running import Running
from stepscore.recipes.step_ends import StepEnds, find_step_ends
from stepscore.recipes.whole_solution import WholeSolution


class Tokenizer(Protocol):
    """The part of a Hugging Face tokenizer that recipes use."""

    @property
    def bos_token(self) -> str | None:
        """The text that begins a sequence, if the vocabulary has one."""

    @property
    def bos_token_id(self) -> int | None:
        """Its id."""

    def __call__(self, text: list[str], **options: Any) -> Mapping[str, Any]:
        """Encode texts: ``input_ids``, a list of ids per text."""
        ...

    def convert_tokens_to_ids(self, tokens: str) -> Any:
        """Look an entry of the vocabulary up."""

    def convert_ids_to_tokens(self, ids: int) -> Any:
        """Give the entry of an id."""

    def decode(self, token_ids: list[int]) -> Any:
        """Give the text of ids."""

    def get_added_vocab(self) -> dict[str, int]:
        """Give the entries that are cut out before a text is encoded."""
        ...


@dataclass(frozen=True)
class Encoded:
    """Traces as packed tokens, with the positions at which their steps are read.

    ``token_ids[offsets[i]:offsets[i + 1]]`` is trace ``i``;
    ``positions[step_offsets[i]:step_offsets[i + 1]]`` point into ``token_ids``, one per step, or
    one per question where a recipe asks several (`Places`).

    A trace whose steps are read at tokens that later steps do not see is several sequences, one for
    each step, of which the model forwards what they have in common once. ``i`` then counts
    sequences, and the steps of trace ``t`` are those of the sequences
    ``sequence_offsets[t]:sequence_offsets[t + 1]``, in their order.
    """

    token_ids: NDArray[np.int32]  # [tokens]
    offsets: NDArray[np.int64]  # [sequences + 1]
    positions: NDArray[np.int64]  # [steps]
    step_offsets: NDArray[np.int64]  # [sequences + 1]
    sequence_offsets: NDArray[np.int64] | None = None  # [traces + 1]; None: a sequence per trace
    first_tokens: NDArray[np.int64] | None = None  # [sequences]; see `Likelihood`

    def sequences(self) -> NDArray[np.int64]:
        """Where the sequences of each trace begin, ``[traces + 1]``."""
        if self.sequence_offsets is None:
            return np.arange(len(self.offsets), dtype=np.int64)
        return self.sequence_offsets

    def trace(self, index: int) -> tuple[list[int], list[int]]:
        """Give the token ids of one sequence, and its positions counted from its first token."""
        begin, end = self.offsets[index : index + 2]
        first, last = self.step_offsets[index : index + 2]
        return self.token_ids[begin:end].tolist(), (self.positions[first:last] - begin).tolist()


def _any_tokenizer(recipe: str, tokenizer: Tokenizer) -> None:
    """Accept any tokenizer."""


@dataclass(frozen=True)
class Readout:
    """How the hidden state at the end of a step becomes its score.

    Attributes:
        head: the head's weights.
        readings: what is read from its outputs; the first is the score.
        check_tokenizer: recipe name, tokenizer -> raises ValueError where the tokenizer does not
            hold what the head needs.
        places: what is asked of a step at several tokens; None for one token.
        running: what the readings of the steps before add to a step's score.
    """

    head: Head
    readings: tuple[Reading, ...]
    check_tokenizer: Callable[[str, Tokenizer], None] = field(default=_any_tokenizer, repr=False)
    places: Places | None = None
    running: Running | None = None


class Layout(Protocol):
    """A way to lay traces out as tokens; `stepscore.recipes.layouts` has those that are used."""

    @property
    def tokenisation(self) -> Literal["joint", "separate"]:
        """As in `Recipe`, and so are the others."""
        ...

    @property
    def separator(self) -> str:
        """The text that ends a step in the model's input."""
        ...

    @property
    def split(self) -> Callable[[str], list[str]]:
        """A solution given as one text -> its steps."""
        ...

    def fault_in_problem(self, problem: str) -> InputError | None:
        """Why a problem cannot be laid out."""

    def fault_in_step(self, step: str) -> InputError | None:
        """Why a step cannot be laid out."""

    def encode(
        self, tokenizer: Tokenizer, problems: Sequence[str], steps: Sequence[Sequence[str]]
    ) -> Encoded:
        """Lay traces out."""
        ...

    def step_ends(self, tokenizer: Tokenizer | None) -> StepEnds:
        """Say what ends a step in token ids; None takes the published ids."""
        ...

    def check_tokenizer(self, recipe: str, tokenizer: Tokenizer) -> None:
        """Refuse a tokenizer that cannot serve the layout."""


Confidence = Literal["author", "third-party", "unverified", "user"]
Unit = Literal["step", "solution"]


@dataclass(frozen=True)
class Recipe:
    """Everything that makes a score the model's own score.

    A step's score is the first of `readings` of ``head(h)``, where ``h`` is the backbone's hidden
    state at the step's position: the last one, after the final norm, where the head says no other.

    Attributes:
        name: how the recipe is called in ``load(recipe=...)``.
        confidence: ``author`` when the layout and the reading are the model author's own code or
            card, ``third-party`` when they come from other people's ports, ``unverified`` when
            neither confirms them; `unverified` says what is open. ``user`` when a user says so.
        source: where that code or card stands.
        tokenisation: ``joint`` when a trace is encoded as one text, ``separate`` when its parts are
            encoded alone and joined as ids. A fact about the model, never a choice of the caller:
            the two differ around a full stop and a newline.
        separator: the text that ends a step in the model's input.
        head: the head's weights.
        readings: what is read from its outputs; the first is the score.
        default_aggregate: the author's way from step scores to one score; None where the author
            states none, and then ``last`` is used.
        length_key: the entry of ``config.json`` that limits the length of a trace, in tokens.
        split: a solution given as one text -> its steps.
        fault_in_problem: why a problem cannot be laid out, as an error without a place; or None.
        fault_in_step: why a step cannot be laid out, likewise.
        encode: (tokenizer, problems, steps of each) -> Encoded, one call for all traces.
        step_ends: tokenizer, or None for the published ids -> what ends a step in token ids.
        check_tokenizer: raises ValueError where the tokenizer cannot serve the recipe.
        parameters: the factory's arguments, as ``config.json`` may hold them.
        unit: what has a score: every ``step``, or the ``solution`` as one, whose steps are joined.
        unverified: the facts of it that no source confirms, one per item.
        places: what is asked of a step at several tokens; None for one token.
        running: what the readings of the steps before add to a step's score; None for most.
        split_with: as `split`, where only a tokenizer knows what a step is; else None.
        whole: how steps become a solution, where `unit` is ``solution``.
        description: what `stepscore.recipes.user_defined` has made it of, as JSON.
    """

    name: str
    confidence: Confidence
    source: str
    tokenisation: Literal["joint", "separate"]
    separator: str
    head: Head
    readings: tuple[Reading, ...]
    default_aggregate: str | None
    split: Callable[[str], list[str]] = field(repr=False)
    fault_in_problem: Callable[[str], InputError | None] = field(repr=False)
    fault_in_step: Callable[[str], InputError | None] = field(repr=False)
    encode: Callable[[Tokenizer, Sequence[str], Sequence[Sequence[str]]], Encoded] = field(
        repr=False
    )
    step_ends: Callable[[Tokenizer | None], StepEnds] = field(repr=False)
    check_tokenizer: Callable[[Tokenizer], None] = field(repr=False)
    length_key: str = "max_position_embeddings"
    parameters: tuple[tuple[str, str], ...] = ()
    unit: Unit = "step"
    unverified: tuple[str, ...] = ()
    places: Places | None = None
    running: Running | None = None
    split_with: Callable[[Tokenizer, str], list[str]] | None = field(default=None, repr=False)
    whole: WholeSolution | None = None
    description: str | None = None

    @property
    def token_readings(self) -> tuple[Reading, ...]:
        """What is read at every position; without `places` it is what is known of a step."""
        return self.readings if self.places is None else self.places.token_readings

    def __post_init__(self) -> None:
        for name, value in self.parameters:
            if not isinstance(value, str):
                raise InputTypeError("a text", got=repr(value), argument=name, where=self.name)

    @property
    def positions_per_step(self) -> int:
        """At how many tokens a step is read."""
        return 1 if self.places is None else len(self.places.questions)

    def of_steps(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give the readings of steps, from what was read at their positions."""
        return values if self.places is None else self.places.joined(values)

    @property
    def score_range(self) -> tuple[float, float]:
        """The least and the greatest score."""
        return self.readings[0].score_range

    @classmethod
    def from_layout(
        cls,
        layout: Layout,
        readout: Readout,
        *,
        name: str,
        confidence: Confidence,
        source: str,
        default_aggregate: str | None = None,
        length_key: str = "max_position_embeddings",
        parameters: tuple[tuple[str, str], ...] = (),
        unverified: tuple[str, ...] = (),
    ) -> Recipe:
        """Put a recipe together; the arguments are those of the class."""
        return cls(
            name=name,
            confidence=confidence,
            source=source,
            tokenisation=layout.tokenisation,
            separator=layout.separator,
            head=readout.head,
            readings=readout.readings,
            default_aggregate=default_aggregate,
            split=layout.split,
            fault_in_problem=layout.fault_in_problem,
            fault_in_step=layout.fault_in_step,
            encode=layout.encode,
            step_ends=layout.step_ends,
            check_tokenizer=partial(_check_tokenizer, name, readout, layout),
            length_key=length_key,
            parameters=parameters,
            unit=getattr(layout, "unit", "step"),
            unverified=unverified,
            places=readout.places,
            running=readout.running,
            split_with=getattr(layout, "split_with", None),
            whole=getattr(layout, "whole", None),
        )

    def bound_to(self, tokenizer: Tokenizer) -> Recipe:
        """Give the recipe with which solutions given as one text are split by a tokenizer."""
        if self.split_with is None:
            return self
        return replace(self, split=partial(self.split_with, tokenizer))

    def positions(
        self,
        token_ids: Any,
        offsets: Any,
        *,
        tokenizer: Tokenizer | None = None,
        prompt_lengths: Any = None,
        step_counts: Any = None,
    ) -> tuple[Any, Any]:
        r"""Find where steps end in token ids: the tokens at which the model is read.

        position :math:`k` of a trace is the last token of the :math:`k`-th end of a step:

        - ``qwen2.5-math-prm``: every ``<extra_0>`` of the last turn. One in an earlier turn, which
          is the problem's, is refused: the author's code would score it as a step.
        - ``math-shepherd``: every ``ки``. No token tells where the problem ends, and it might hold
          one: pass `prompt_lengths`, which refuses it there, or `step_counts`.
        - ``skywork-o1-prm``: every newline behind a line with text; blank lines are no steps. Pass
          `prompt_lengths`, because a problem has newlines, too.
        - ``trl-prm``: every separator behind the problem. A step may hold it as well, so that the
          ids alone do not tell how many steps there are: pass `step_counts`; where the separators
          are not as many, the ends are not to be known from the ids.
        - ``rlhflow-prm``, ``fover-prm``, ``visual-prm``: the last token of the header of every
          answer, where its label is said; no text holds these tokens.
        - ``universal-prm``, ``pathfinder-prm``: refused, because each step has a sequence of its
          own.
        - ``birm``: every ``ки``, as ``math-shepherd``.
        - ``llemma-prm``: the first newline token of every blank line behind the problem: pass
          `prompt_lengths`.
        - ``vgs-value`` and ``metastone-sprm``: the ids alone do not tell.
        - a recipe whose `unit` is the ``solution``: the last token of every trace.

        What stands behind the last end, such as a step that is still being written, belongs to no
        step; `step_counts` tells whether all are there. The ids must be those of the recipe's own
        layout: encoded as one text, ``.`` and a newline become one token, which ends no step.

        Args:
            token_ids: packed ids ``[tokens]``, integers; those of a GPU are copied to the CPU.
            offsets: where each trace begins and ends, ``[traces + 1]``.
            tokenizer: the one that made the ids; None takes the published vocabulary's ids.
            prompt_lengths: how many tokens of each trace stand before its first step,
                ``[traces]``.
            step_counts: how many steps each trace has, ``[traces]``; they are compared.

        Returns:
            - ``positions``, int64 ``[steps]``, are indices into `token_ids`.
            - ``step_offsets``, int64 ``[traces + 1]``, say where the steps of each trace begin.

            Both are tensors on the device of `token_ids` where these are a tensor, else NumPy.

        Raises:
            ValueError: offsets that do not fit; a trace without an end of a step, or with another
                number than `step_counts`; a tag in the problem, or directly behind another one;
                what the ids alone cannot tell, with the argument that tells it.
            TypeError: ids that are no integers.

        Source: as in `source`.

        Examples:
            >>> import stepscore
            >>> recipe = stepscore.recipes.math_shepherd()
            >>> recipe.positions([1, 5, 6, 12902, 7, 12902], [0, 6], prompt_lengths=[2])
            (array([3, 5]), array([0, 2]))
        """
        found = find_step_ends(
            "positions",
            self,
            token_ids,
            offsets,
            tokenizer=tokenizer,
            prompt_lengths=prompt_lengths,
            step_counts=step_counts,
        )
        if not is_torch(token_ids):
            return found
        from_numpy = sys.modules["torch"].from_numpy
        positions, step_offsets = (from_numpy(each).to(token_ids.device) for each in found)
        return positions, step_offsets

    def as_config(self) -> dict[str, Any]:
        """Give the entry ``"stepscore"`` of ``config.json`` that detection restores it from."""
        if self.description is not None:
            return {"recipe": json.loads(self.description)}
        return {"recipe": self.name, **dict(self.parameters)}


def _check_tokenizer(recipe: str, readout: Readout, layout: Layout, tokenizer: Tokenizer) -> None:
    readout.check_tokenizer(recipe, tokenizer)
    layout.check_tokenizer(recipe, tokenizer)


@dataclass(frozen=True)
class Published:
    """A recipe's entry in the catalog: how it is called, and how its checkpoints are recognised.

    Attributes:
        name: as in `Recipe`.
        make: gives the recipe.
        repositories: Hugging Face repositories -> the arguments of `make` that read them.
        architectures: the model classes in config.json, as patterns: a checkpoint of such a class
            that holds the head of ``make()`` has this recipe.
        added_token: an entry that the tokenizer of such a checkpoint must have, too.
        assumption: what is assumed of a checkpoint that only its class tells; a warning says it.
    """

    name: str
    make: Callable[..., Recipe]
    repositories: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    architectures: tuple[str, ...] = ()
    added_token: str | None = None
    assumption: str | None = None
