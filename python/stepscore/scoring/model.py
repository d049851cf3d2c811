"""A process reward model that is ready to score."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch

from stepscore.errors import Argument, InputError
from stepscore.lists import as_lists
from stepscore.ops.aggregate import Aggregation
from stepscore.recipes import Recipe, Tokenizer
from stepscore.scoring.arguments import Solution, TraceArguments, check_list, score_arguments
from stepscore.scoring.asynchronous import ScoresAsynchronously
from stepscore.scoring.copying import LoadAgain, deep_copy, to_load_again
from stepscore.scoring.final_norm import FinalNorm, final_norm
from stepscore.scoring.forward.engine import Engine
from stepscore.scoring.forward.head import HeadWeights
from stepscore.scoring.forward.placement import input_device
from stepscore.scoring.forward.plan import ForwardCosts
from stepscore.scoring.forward.sharing import Sharing
from stepscore.scoring.likelihood.engine import ReferenceModel, engine_of, refuse_sessions
from stepscore.scoring.likelihood.likelihood_head import LikelihoodHead
from stepscore.scoring.loaded_weights import LoadedWeights, described
from stepscore.scoring.ranking import (
    Ranked,
    check_problems_and_candidates,
    check_ranking,
    rank_arguments,
    rank_scores,
)
from stepscore.scoring.reading import ReadsHiddenStates
from stepscore.scoring.render import Renderer
from stepscore.scoring.reserved_tokens import ReservedTokens
from stepscore.scoring.score_options import NonFinite, OnBad, ScoreOptions, SpecialTokens
from stepscore.scoring.score_traces import progress_bar, score_traces
from stepscore.scoring.scores import StepScores, check_aggregation, check_direction
from stepscore.scoring.session import Session
from stepscore.scoring.solution_reader import SolutionReader
from stepscore.scoring.truncation import Truncation
from stepscore.scoring.turns import UntilStopped


@dataclass(frozen=True, eq=False)
class ProcessRewardModel(ReadsHiddenStates, ScoresAsynchronously):
    """A backbone, a head that reads its hidden states, and a recipe; made by `stepscore.load`.

    A copy by `copy.deepcopy` has weights of its own. A pickle holds no weights, but what to load
    again, and loading it loads that. In a fork of the process that loaded it a model does not
    score, because the threads of torch do not survive a fork; start the process with ``spawn``.

    Attributes:
        name: what it was loaded by.
        revision: the commit of a Hugging Face repository; None for a local folder.
        recipe: how traces are laid out and read.
        tokenizer: the checkpoint's own.
        backbone: the stock model, without a language-model head.
        head: the head's weights.
        max_length: the most tokens of a trace; None for a model without a limit.
        token_budget: the most tokens of a batch, padding included.
        costs: what sharing a prefix saves and costs; None forwards every trace whole, padded.
        sharing: whether it shares prefixes, and what decided it; None where nobody asked.
        weights: how they are quantised, what an adapter was merged into, where they are placed.
        rope_switch_length: the length at which the model changes its rotary frequencies; None for
            most.
        cache_limit: the most tokens of a trace whose keys and values are kept; None for all.
        show_progress: True or False; None shows a bar when a person watches a long run.
        reference: the other model of a recipe that compares two; None for most.
        load_again: a function that loads it, and the name for it; None for a model made by hand.
        process: the process that can score with it.
    """

    name: str
    revision: str | None
    recipe: Recipe
    tokenizer: Tokenizer
    backbone: torch.nn.Module
    head: HeadWeights | LikelihoodHead
    max_length: int | None
    token_budget: int
    costs: ForwardCosts | None = None
    rope_switch_length: int | None = None
    cache_limit: int | None = None
    show_progress: bool | None = None
    sharing: Sharing | None = None
    weights: LoadedWeights = field(default_factory=LoadedWeights)
    reference: ReferenceModel | None = None
    load_again: LoadAgain | None = field(default=None, repr=False)
    process: int = field(default_factory=os.getpid, repr=False)

    @property
    def device(self) -> torch.device:
        """Where the backbone runs."""
        return input_device(self.backbone)

    @property
    def dtype(self) -> torch.dtype:
        """The backbone's number format."""
        return next(self.backbone.parameters()).dtype

    @property
    def turn(self) -> int | None:
        """Until 0.3 the old name of `rope_switch_length`."""
        warnings.warn(
            "ProcessRewardModel.turn is called rope_switch_length now; turn goes in stepscore 0.3",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.rope_switch_length

    @property
    def engine(self) -> Engine:
        """What forwards and reads."""
        engine = Engine(
            self.backbone,
            self.head,
            self.token_budget,
            self.costs,
            self.rope_switch_length,
            self.cache_limit,
            self.process,
        )
        return engine_of(self.recipe, engine, self.reference)

    @cached_property
    def final_norm(self) -> FinalNorm | None:
        """The norm behind the last layer; None where it has no known name."""
        return final_norm(self.backbone)

    @cached_property
    def reader(self) -> SolutionReader:
        """What turns texts into steps, and knows which texts cannot be read."""
        return SolutionReader(
            self.recipe.bound_to(self.tokenizer), ReservedTokens.of(self.tokenizer)
        )

    @property
    def renderer(self) -> Renderer:
        """What turns traces into tokens."""
        return Renderer(self.recipe, self.tokenizer, self.max_length)

    def __repr__(self) -> str:
        return described(self)

    def score(
        self,
        problems: str | Sequence[str],
        solutions: Sequence[Solution],
        *,
        truncation: Truncation = "error",
        on_bad: OnBad = "error",
        special_tokens: SpecialTokens = "strip_end",
        nan: NonFinite = "error",
    ) -> StepScores:
        """Score every step of every solution; the order is kept.

        In float32 on a CPU a score depends on the checkpoint, the recipe and its trace, and on
        nothing else: it has the same bits alone, in any batch and order, under any token budget,
        shared or whole, in a session, with any number of threads, in another process on such a
        machine. Where that does not hold, as in half precision and on a GPU, ``prm.sharing.moves``
        says why, and by how much scores move; see ``docs/equal_bits.md``.

        Args:
            problems: one problem for all solutions, or one each.
            solutions: each a text, which the recipe splits into steps, or a list of its steps.
            truncation: ``error`` refuses a trace longer than the model's positions. ``steps``
                leaves out the steps that end past them: they get NaN, `StepScores.truncated` counts
                them, and one warning is given.
            on_bad: ``error`` refuses a solution that cannot be scored: an empty one, an empty step,
                a text that holds a mark of the model's input, a trace that is too long. ``keep``
                keeps its place without scores, and `StepScores.skipped` says why.
            special_tokens: ``strip_end`` removes tokens that end a turn or a text, such as
                ``<|im_end|>``, where they end a solution, and `StepScores.stripped` counts them;
                ``error`` refuses them there, too. Other special tokens of the tokenizer are refused
                everywhere; what it does not flag as special, such as ``<think>``, is text.
            nan: ``error`` refuses a score that is no finite number; ``propagate`` gives it.

        Returns:
            As many scores as steps; nothing for no solutions.

        Raises:
            TypeError: an argument of another type.
            ValueError: counts that do not match, a solution that cannot be scored, a problem that
                holds a mark of the model's input, a score that is not finite. The error names the
                place.
            RuntimeError: in a fork of the process that loaded the model.

        Examples:
            >>> import stepscore
            >>> prm = stepscore.load("lab")
            >>> problem = "85+95-16+20+11-30=?"
            >>> solutions = [["85+95=180", "180-16=164"], ["85+95=180", "180-16=154"]]
            >>> scores = prm.score(problem, solutions)
            >>> [(values > 0.5).tolist() for values in scores]
            [[True, True], [True, False]]
        """
        arguments, each, solutions = score_arguments("score", problems, solutions)
        options = ScoreOptions(truncation, on_bad, special_tokens, nan)
        return self._score(arguments, each, solutions, options)

    def rank(
        self,
        problem: str,
        candidates: Sequence[Solution],
        *,
        how: Aggregation | None = None,
        top_k: int | None = None,
        truncation: Truncation = "error",
        on_bad: OnBad = "error",
        special_tokens: SpecialTokens = "strip_end",
        nan: NonFinite = "error",
    ) -> list[Ranked]:
        r"""Order the candidates of one problem, best first; ties keep the order of the input.

        Args:
            problem: the problem.
            candidates: its solutions, each a text or a list of steps.
            how: one of the aggregations of `stepscore.aggregate`; None takes the recipe's default,
                and ``last`` where the model's author states none.
            top_k: how many to return; None returns all.
            truncation, on_bad, special_tokens, nan: as in `score`; a candidate with steps left out,
                or without scores, gets NaN and comes last.

        Raises:
            TypeError, ValueError: as in `score`; no candidates; an unknown ``how``; a ``top_k``
                below 1.

        Examples:
            >>> import stepscore
            >>> prm = stepscore.load("lab")
            >>> problem = "85+95-16+20+11-30=?"
            >>> candidates = ["85+95=180\n180-16=154", "85+95=180\n180-16=164"]
            >>> best, worst = prm.rank(problem, candidates, how="min")
            >>> best.index, best.text
            (1, '85+95=180\n180-16=164')
        """
        arguments, problems, candidates = rank_arguments("rank", problem, candidates, how, top_k)
        check_direction("rank", self.recipe)
        check_aggregation("rank", self.recipe, how)
        options = ScoreOptions(truncation, on_bad, special_tokens, nan)
        scores = self._score(arguments, problems, candidates, options)
        [ranking] = rank_scores([candidates], scores, how, top_k)
        return ranking

    def rank_many(
        self,
        problems: Sequence[str],
        candidates: Sequence[Sequence[Solution]],
        *,
        how: Aggregation | None = None,
        top_k: int | None = None,
        truncation: Truncation = "error",
        on_bad: OnBad = "error",
        special_tokens: SpecialTokens = "strip_end",
        nan: NonFinite = "error",
    ) -> list[list[Ranked]]:
        """Order the candidates of every problem, as `rank` does; all are forwarded together.

        Args:
            problems: the problems.
            candidates: for each problem, its solutions.
            how, top_k, truncation, on_bad, special_tokens, nan: as in `rank`.

        Raises:
            TypeError, ValueError: as in `rank`; counts that do not match.

        Examples:
            >>> import stepscore
            >>> prm = stepscore.load("lab")
            >>> problems = ["85+95-16+20+11-30=?", "69+15-75+61+71-84=?"]
            >>> candidates = [["85+95=170", "85+95=180"], ["69+15=84"]]
            >>> rankings = prm.rank_many(problems, candidates)
            >>> [[ranked.index for ranked in ranking] for ranking in rankings]
            [[1, 0], [0]]
        """
        problems, candidates = as_lists(problems), as_lists(candidates)
        check_ranking("rank_many", how, top_k)
        check_direction("rank_many", self.recipe)
        check_aggregation("rank_many", self.recipe, how)
        check_problems_and_candidates("rank_many", problems, candidates)
        places = [
            (index, place)
            for index, solutions in enumerate(candidates)
            for place in range(len(solutions))
        ]
        arguments = TraceArguments(
            "rank_many",
            lambda trace: Argument("problems", index=places[trace][:1]),
            lambda trace, *step: Argument("candidates", index=(*places[trace], *step)),
        )
        scores = self._score(
            arguments,
            [problems[index] for index, _ in places],
            [candidates[index][place] for index, place in places],
            ScoreOptions(truncation, on_bad, special_tokens, nan),
        )
        return rank_scores(candidates, scores, how, top_k)

    def session(
        self,
        problems: str | Sequence[str],
        *,
        memory_limit: int | None = None,
        special_tokens: SpecialTokens = "strip_end",
        nan: NonFinite = "error",
    ) -> Session:
        """Open a session, in which traces grow step by step and only new tokens are forwarded.

        Args:
            problems: one problem, or several.
            memory_limit: the most bytes of keys and values that are kept; beyond it those not used
                for longest are dropped, and computed again when they are wanted. None takes half of
                the memory that is free now.
            special_tokens, nan: as in `score`; the end of the steps that one call of
                `Session.extend` adds to a trace is the end of a solution.

        Raises:
            TypeError, ValueError: problems that cannot be laid out, a limit below 1, a recipe that
                adds up over all tokens of a trace.

        Examples:
            >>> import stepscore
            >>> prm = stepscore.load("lab")
            >>> with prm.session("85+95-16+20+11-30=?") as session:
            ...     first = session.extend(session.roots[0], ["85+95=180", "85+95=170"])
            ...     second = session.extend(first.nodes[0], ["180-16=164", "180-16=154"])
            >>> [(values > 0.5).tolist() for values in second.scores]
            [[True], [False]]
        """
        refuse_sessions(self.recipe)
        problems = [problems] if isinstance(problems, str) else as_lists(problems)
        check_list("session", Argument("problems"), problems, "one text per problem")
        if memory_limit is not None and memory_limit < 1:
            raise InputError(
                "at least 1 byte",
                got=str(memory_limit),
                advice="pass None for half of the free memory",
                argument="memory_limit",
                where="session",
            )
        ScoreOptions(special_tokens=special_tokens, nan=nan).check("session")
        return Session(
            self.engine,
            replace(self.reader, special_tokens=special_tokens),
            self.renderer,
            problems,
            name=self.name,
            memory_limit=memory_limit,
            nan=nan,
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> ProcessRewardModel:
        twin: ProcessRewardModel = deep_copy(self, memo)
        return twin

    def __reduce__(self) -> Any:
        return to_load_again(self)

    def _score(
        self,
        arguments: TraceArguments,
        problems: Sequence[str],
        solutions: Sequence[Solution],
        options: ScoreOptions,
    ) -> StepScores:
        options.check(arguments.call)
        engine = self.engine
        engine.check_process(arguments.call)
        return score_traces(
            arguments,
            replace(self.reader, special_tokens=options.special_tokens),
            self.renderer,
            engine,
            problems,
            solutions,
            options,
            self._progress,
        )

    def _progress(self, steps: int) -> UntilStopped:
        return UntilStopped(progress_bar(self.name, self.show_progress, steps))
