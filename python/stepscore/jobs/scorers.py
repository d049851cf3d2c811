"""What scores the records of a job: a model or a judge in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from stepscore.errors import InputError, Spell, as_argument
from stepscore.jobs.judged import judge_records
from stepscore.jobs.model_scores import score_with_model
from stepscore.jobs.provenance import describe
from stepscore.jobs.scored import ScoredRecords
from stepscore.records import Fields, Record, RecordError

if TYPE_CHECKING:
    from stepscore.scoring import ProcessRewardModel
    from stepscore.scoring.pairs import PairwiseJudge
    from stepscore.scoring.score_options import OnBad, SpecialTokens
    from stepscore.scoring.truncation import Truncation

# Gets the error of a record at fault, and raises or returns to leave it out.
OnFault = Callable[[RecordError], None]
# Gives the scores of some records, some at a time.
Begun = Callable[[OnFault], Iterable[ScoredRecords]]


class Scorer(Protocol):
    """Scores some records of a file after the other."""

    @property
    def ahead(self) -> int:
        """How many chunks it works on at once beside the one that is asked for."""
        ...

    def begin(self, records: list[Record]) -> Begun:
        """Begin to score records where `ahead` is not 0, else be ready to."""
        ...


@dataclass(frozen=True)
class Scoring:
    """How a model scores the records of a job; see its ``score``.

    Attributes:
        truncation, special_tokens: of its ``score``.
        on_bad: ``keep`` keeps a candidate that cannot be scored in its place, without scores, and
            counts it; ``error`` makes it the fault of its record.
        fields: the names of the records' fields, for messages.
        spell: how the reasons of kept candidates name arguments.
    """

    truncation: Truncation = "error"
    on_bad: OnBad = "keep"
    special_tokens: SpecialTokens = "strip_end"
    fields: Fields = field(default_factory=Fields)
    spell: Spell = as_argument

    def as_json(self) -> dict[str, Any]:
        """Give what the scores depend on."""
        return {
            "truncation": self.truncation,
            "on_bad": self.on_bad,
            "special_tokens": self.special_tokens,
        }

    def score(
        self, records: list[Record], model: ProcessRewardModel, on_fault: OnFault
    ) -> Iterator[ScoredRecords]:
        """Score records with a model; see `score_with_model`."""
        return score_with_model(
            records,
            model,
            self.truncation,
            on_fault,
            self.fields,
            on_bad=self.on_bad,
            special_tokens=self.special_tokens,
            spell=self.spell,
        )


@dataclass(frozen=True)
class ModelFacts:
    """What a job asks of a model beside its scores.

    Attributes:
        provenance: what its scores can be made again with.
        recipe: the name of its recipe.
        bounded: whether its scores lie in [0, 1].
        higher_is_better: whether the higher are the better.
        stated: the aggregation that its author states.
    """

    provenance: dict[str, Any]
    recipe: str
    bounded: bool
    higher_is_better: bool
    stated: str | None

    @classmethod
    def of(cls, model: ProcessRewardModel, version: str) -> ModelFacts:
        """Ask a model, for a job of this version of the package."""
        recipe = model.recipe
        low, high = recipe.score_range
        return cls(
            describe(model, version),
            recipe.name,
            low >= 0 and high <= 1,
            recipe.readings[0].higher_is_better,
            recipe.default_aggregate,
        )

    def check_direction(self) -> None:
        """Refuse a model whose scores are better the lower they are: ranks take the highest.

        Raises:
            InputError: they are.
        """
        if not self.higher_is_better:
            raise InputError(
                "a model whose scores are better the higher they are, because the highest are "
                "ranked first",
                got=f"the recipe {self.recipe!r}, of which the lower are the better",
                advice="score the file, turn the scores round, and vote on them",
                argument="recipe",
            )


class ModelSource(Protocol):
    """Models that are loaded where they score, such as those of processes of their own."""

    def scorer(self, scoring: Scoring, version: str) -> AbstractContextManager[ModelScorer]:
        """Load them, until the context ends."""
        ...


class ModelScorer(Scorer, Protocol):
    """A scorer by a model."""

    @property
    def facts(self) -> ModelFacts:
        """What is to be known of the model."""
        ...


@dataclass(frozen=True)
class OwnModel:
    """A model in this process."""

    model: ProcessRewardModel
    scoring: Scoring
    facts: ModelFacts
    ahead: int = 0

    def begin(self, records: list[Record]) -> Begun:
        """Be ready to score records."""
        return partial(self.scoring.score, records, self.model)


@dataclass(frozen=True)
class OwnJudge:
    """A judge in this process."""

    judge: PairwiseJudge
    fields: Fields
    ahead: int = 0

    def begin(self, records: list[Record]) -> Begun:
        """Be ready to let the candidates of records meet."""
        return partial(self._judge, records)

    def _judge(self, records: list[Record], on_fault: OnFault) -> Iterator[ScoredRecords]:
        judged = judge_records(records, self.judge, on_fault, self.fields)
        if judged is not None:
            yield judged


def scorer_of(
    model: ProcessRewardModel | ModelSource, scoring: Scoring, version: str
) -> AbstractContextManager[ModelScorer]:
    """Give what scores with a model, or with several, until the context ends.

    Args:
        model: a process reward model, or where more are loaded.
        scoring: how.
        version: of the package, for the provenance.
    """
    start = getattr(model, "scorer", None)
    if start is not None:
        begun: AbstractContextManager[ModelScorer] = start(scoring, version)
        return begun
    loaded: Any = model
    return nullcontext(OwnModel(loaded, scoring, ModelFacts.of(loaded, version)))
