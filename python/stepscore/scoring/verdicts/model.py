"""A generative PRM that is ready to score: a verifier over a policy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from stepscore.errors import Argument
from stepscore.lists import as_lists
from stepscore.ops.aggregate import Aggregation
from stepscore.policies.texts import TextPolicy
from stepscore.recipes import Recipe
from stepscore.scoring.arguments import (
    Solution,
    TraceArguments,
    check_list,
    check_traces,
    score_arguments,
)
from stepscore.scoring.asynchronous import ScoresAsynchronously
from stepscore.scoring.ranking import (
    Ranked,
    check_problems_and_candidates,
    check_ranking,
    rank_arguments,
    rank_scores,
)
from stepscore.scoring.reserved_tokens import ReservedTokens
from stepscore.scoring.score_options import NonFinite, OnBad, ScoreOptions, SpecialTokens
from stepscore.scoring.solution_reader import SolutionReader
from stepscore.scoring.truncation import Truncation
from stepscore.scoring.verdicts.programs import VerdictError, run, together
from stepscore.scoring.verdicts.scores import (
    VerdictScores,
    check_verdicts,
    missing_verdict,
    verdict_scores,
)
from stepscore.scoring.verdicts.session import VerdictSession
from stepscore.scoring.verdicts.verdict import StepVerdict, Verifier, seeds_of


@dataclass(frozen=True, eq=False)
class GenerativeRewardModel(ScoresAsynchronously):
    """A policy that writes verdicts, and a verifier that asks for them and reads them.

    It scores as `ProcessRewardModel` does, and jobs and searches take it for one. A step whose
    verdict does not come, because the text was cut off, keeps no format or the server failed at it,
    has no score; it never gets a middling one. A prefix of several candidates is judged once.

    Attributes:
        policy: writes the texts.
        verifier: the family; see `stepscore.scoring.verdicts`.
        seed: the seed of everything that is drawn: a score depends on it, the policy, the verifier,
            the problem and the steps up to the one it judges, and on nothing else.
    """

    policy: TextPolicy
    verifier: Verifier
    seed: int = 0
    revision: str | None = None
    costs: None = None
    max_length: None = None
    weights: Any = field(
        default_factory=lambda: SimpleNamespace(as_json=dict), repr=False, compare=False
    )

    @property
    def name(self) -> str:
        """The policy's."""
        return self.policy.name

    @property
    def recipe(self) -> Recipe:
        """What it reads."""
        return self.verifier.recipe

    @property
    def dtype(self) -> str:
        """The policy's number format, where it is known."""
        return str(getattr(getattr(self.policy, "model", None), "dtype", "unknown"))

    @property
    def device(self) -> str:
        """Where the policy runs, where that is known."""
        return str(getattr(getattr(self.policy, "model", None), "device", "remote"))

    @property
    def reader(self) -> SolutionReader:
        """What turns texts into steps, and knows which texts cannot be read."""
        tokenizer = getattr(self.policy, "tokenizer", None)
        reserved = ReservedTokens.of(tokenizer) if tokenizer else ReservedTokens((), ())
        return SolutionReader(self.recipe, reserved)

    @property
    def backbone(self) -> Any:
        """What is asked by one call of an event loop at a time."""
        return self.policy

    @property
    def engine(self) -> Any:
        """Scores in every process."""
        return SimpleNamespace(check_process=lambda call: None, number_format="float32")

    def score(
        self,
        problems: str | Sequence[str],
        solutions: Sequence[Solution],
        *,
        truncation: Truncation = "error",
        on_bad: OnBad = "error",
        special_tokens: SpecialTokens = "strip_end",
        nan: NonFinite = "error",
    ) -> VerdictScores:
        """Score every step of every solution; the order is kept.

        Args:
            problems: one problem for all solutions, or one each.
            solutions: each a text, which is split into steps, or a list of its steps.
            truncation: has no effect: a verdict that is cut off is a missing one.
            on_bad: ``error`` refuses a solution that cannot be read; ``keep`` keeps its place
                without scores, and that of one with a step without a verdict, too:
                `StepScores.skipped` says why.
            special_tokens: as in `ProcessRewardModel.score`.
            nan: ``error`` refuses a step without a verdict, and the error has the other scores;
                ``propagate`` gives NaN, and `VerdictScores.faults` says why.

        Raises:
            TypeError, ValueError: as in `ProcessRewardModel.score`.
            InputError: a policy that tells no log-probabilities, where the verifier reads them;
                `MissingVerdictError` where a step has no verdict.
            RuntimeError: the policy fails at everything, such as a server that is down.
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
        """Order the candidates of one problem, best first, as `ProcessRewardModel.rank` does."""
        arguments, problems, candidates = rank_arguments("rank", problem, candidates, how, top_k)
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
        """Order the candidates of every problem, as `rank` does; all are judged side by side."""
        problems, candidates = as_lists(problems), as_lists(candidates)
        check_ranking("rank_many", how, top_k)
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
    ) -> VerdictSession:
        """Open a session, in which traces grow step by step and only new steps are judged.

        A verifier that judges a whole trace in one text judges it anew with every extension.

        Args:
            problems: one problem, or several.
            memory_limit: has no effect: only texts are kept.
            special_tokens, nan: as in `score`.
        """
        problems = [problems] if isinstance(problems, str) else as_lists(problems)
        check_list("session", Argument("problems"), problems, "one text per problem")
        ScoreOptions(special_tokens=special_tokens, nan=nan).check("session")
        reader = replace(self.reader, special_tokens=special_tokens)
        return VerdictSession(self.name, self.judge, reader, problems, nan)

    def judge(self, traces: Sequence[tuple[str, tuple[str, ...]]]) -> list[list[StepVerdict]]:
        """Give the verdict of every step of pairs of problem and steps, each thing judged once."""
        if self.verifier.logprobs and traces:
            self.policy.check_logprobs(self.verifier.logprobs, self.verifier.sample)
        per_step = self.verifier.scope != "trace"
        wanted = dict.fromkeys(
            (problem, steps[: end + 1])
            for problem, steps in traces
            for end in (range(len(steps)) if per_step else [len(steps) - 1] if steps else [])
        )
        programs = [
            self.verifier.judge(problem, steps, seeds_of(self.seed, problem, steps))
            for problem, steps in wanted
        ]
        given: list[Any] = run(together(programs), self.policy)
        verdicts = {
            key: [StepVerdict(math.nan, (each.text,), 0, str(each))]
            * (1 if per_step else len(key[1]))
            if isinstance(each, VerdictError)
            else list(each)
            for key, each in zip(wanted, given, strict=True)
        }
        if not per_step:
            return [verdicts[trace] if trace[1] else [] for trace in traces]
        return [
            [verdicts[problem, steps[: end + 1]][0] for end in range(len(steps))]
            for problem, steps in traces
        ]

    def _score(
        self,
        arguments: TraceArguments,
        problems: Sequence[str],
        solutions: Sequence[Solution],
        options: ScoreOptions,
    ) -> VerdictScores:
        options.check(arguments.call)
        reader = replace(self.reader, special_tokens=options.special_tokens)
        traces = check_traces(arguments, reader, problems, solutions, options.on_bad)
        whole = self.verifier.scope == "solution"
        steps = [
            [self.recipe.separator.join(each)] if whole and each else each for each in traces.steps
        ]
        pairs = [(problem, tuple(each)) for problem, each in zip(problems, steps, strict=True)]
        verdicts = self.judge(pairs)
        skipped = dict(traces.skipped)
        for trace, each in enumerate(verdicts):
            fault = next((i for i, verdict in enumerate(each) if verdict.fault), None)
            if fault is not None and options.on_bad == "keep":
                reason = str(each[fault].fault)
                skipped[trace] = missing_verdict(arguments, trace, fault, reason)
                verdicts[trace] = []
        scores = verdict_scores(
            self.recipe,
            verdicts,
            {trace: skipped[trace] for trace in sorted(skipped)},
            {trace: n for trace, n in traces.stripped.items() if trace not in skipped},
        )
        if options.nan == "error":
            check_verdicts(arguments, scores)
        return scores
