"""A generative PRM that is ready to score: a verifier over a policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import SimpleNamespace
from typing import Any

from stepscore.errors import Argument, InputError
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
from stepscore.scoring.truncation import Truncation
from stepscore.scoring.verdicts.identity import fingerprint
from stepscore.scoring.verdicts.programs import Program, VerdictError, run, together
from stepscore.scoring.verdicts.reader import VerdictReader
from stepscore.scoring.verdicts.scores import (
    VerdictScores,
    check_verdicts,
    missing_verdict,
    verdict_scores,
)
from stepscore.scoring.verdicts.session import VerdictSession
from stepscore.scoring.verdicts.verdict import StepVerdict, Verifier, missing, seeds_of

Known = Mapping[tuple[str, tuple[str, ...]], StepVerdict]


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
            the problem and the steps up to the one it judges, on nothing else, up to the rounding
            of the policy's batches; a server may not honour seeds.
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

    @cached_property
    def recipe(self) -> Recipe:
        """What it reads; its parameters tell this judge from any that asks or reads otherwise."""
        recipe = self.verifier.recipe
        judge = {"seed": str(self.seed), "judge": fingerprint(self.verifier)}
        return replace(recipe, parameters=tuple((dict(recipe.parameters) | judge).items()))

    @property
    def dtype(self) -> str:
        """The policy's number format, where it is known."""
        return str(getattr(getattr(self.policy, "model", None), "dtype", "unknown"))

    @property
    def device(self) -> str:
        """Where the policy runs, where that is known."""
        return str(getattr(getattr(self.policy, "model", None), "device", "remote"))

    @property
    def reader(self) -> VerdictReader:
        """What turns texts into steps, and knows which texts cannot be read."""
        tokenizer = getattr(self.policy, "tokenizer", None)
        reserved = ReservedTokens.of(tokenizer) if tokenizer else ReservedTokens((), ())
        return VerdictReader(self.recipe, reserved)

    @property
    def backbone(self) -> Any:
        """What is asked by one call of an event loop at a time."""
        try:
            hash(self.policy)
        except TypeError:
            return self
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
        whole = self.verifier.scope == "trace"
        return VerdictSession(self.name, self.judge, reader, problems, nan, whole=whole)

    def judge(
        self, traces: Sequence[tuple[str, tuple[str, ...]]], known: Known | None = None
    ) -> list[list[StepVerdict]]:
        """Give the verdict of every step of pairs of problem and steps, each thing judged once.

        Args:
            traces: what is judged.
            known: verdicts that there are already, by problem and steps up to the one judged.
        """
        if self.verifier.logprobs and traces:
            self.policy.check_logprobs(self.verifier.logprobs, self.verifier.sample)
        if self.verifier.scope == "trace":
            return self._judge_whole(traces)
        verdicts = dict(known or {})
        prefixes = {
            (problem, steps[:end]): None
            for problem, steps in traces
            for end in range(1, len(steps) + 1)
            if (problem, steps[:end]) not in verdicts
        }
        levels: dict[int, list[tuple[str, tuple[str, ...]]]] = {}
        for prefix in prefixes:
            chained = self.verifier.scope == "chain"
            levels.setdefault(len(prefix[1]) if chained else 0, []).append(prefix)
        for _, level in sorted(levels.items()):
            programs = [self._program(problem, steps, verdicts) for problem, steps in level]
            given = run(together(programs), self.policy)
            for prefix, each in zip(level, given, strict=True):
                [verdicts[prefix]] = self._or_missing(each, 1)
        return [
            [verdicts[problem, steps[:end]] for end in range(1, len(steps) + 1)]
            for problem, steps in traces
        ]

    def _judge_whole(
        self, traces: Sequence[tuple[str, tuple[str, ...]]]
    ) -> list[list[StepVerdict]]:
        wanted = [trace for trace in dict.fromkeys(traces) if trace[1]]
        programs = [self._program(problem, steps, {}) for problem, steps in wanted]
        verdicts: dict[tuple[str, tuple[str, ...]], list[StepVerdict]] = {}
        for trace, each in zip(wanted, run(together(programs), self.policy), strict=True):
            verdicts[trace] = self._or_missing(each, len(trace[1]))
        return [list(verdicts.get(trace, [])) for trace in traces]

    def _or_missing(
        self, given: Sequence[StepVerdict] | VerdictError, steps: int
    ) -> list[StepVerdict]:
        """Give the verdicts of some steps; of one whose score is none, why."""
        if isinstance(given, VerdictError):
            return [missing(str(given), [given.text])] * steps
        if len(given) != steps:
            raise InputError(
                f"a verdict for each of {steps} steps",
                got=f"{len(given)} of them",
                argument="verifier",
                where=self.recipe.name,
            )
        low, high = self.verifier.recipe.score_range
        # Probabilities may add up to a bit more than 1.
        least, most = low - 1e-6 * abs(low), high + 1e-6 * abs(high)
        expected = f"expected a score in [{low:g}, {high:g}]"
        return [
            verdict
            if verdict.fault is not None or least <= verdict.score <= most
            else missing(f"{expected}; got {verdict.score}", verdict.texts)
            for verdict in given
        ]

    def _program(
        self, problem: str, steps: tuple[str, ...], verdicts: Known
    ) -> Program[Sequence[StepVerdict]]:
        chained = self.verifier.scope == "chain"
        ends = range(1, len(steps)) if chained else ()
        before = [verdicts[problem, steps[:end]] for end in ends]
        return self.verifier.judge(problem, steps, seeds_of(self.seed, problem, steps), before)

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
        steps = [reader.as_read(list(each)) for each in traces.steps]
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
