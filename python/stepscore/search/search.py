"""Search over many problems at once: asks the strategy, the policy and the scorer in turn."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from stepscore.ops import Rule
from stepscore.ops.vote import RuleName
from stepscore.policies.requests import Policy
from stepscore.search.arguments import (
    Strategy,
    check_least,
    check_models,
    check_timeout,
    read_sampling,
)
from stepscore.search.choice import Choice, ScoreChoice, elect
from stepscore.search.driver import Driver, Group, Journal
from stepscore.search.plan import read_plan
from stepscore.search.requests import Judge, Scorer
from stepscore.search.result import ProblemCosts, ProblemResult, SearchResult
from stepscore.search.tree import Tree


def search(
    problems: Sequence[str],
    strategy: str | Strategy,
    policy: Policy,
    scorer: Scorer | None = None,
    *,
    value: Scorer | None = None,
    judge: Judge | None = None,
    seed: int = 0,
    samples: Any = None,
    tokens: Any = None,
    prm_tokens: Any = None,
    max_nodes: int | None = None,
    temperature: float = 0.8,
    max_tokens: int = 2048,
    max_step_tokens: int = 512,
    stop: Sequence[str] = (),
    how: str | None = None,
    rule: RuleName | Rule | None = None,
    choose: ScoreChoice | None = None,
    groups: int = 1,
    retries: int = 2,
    timeout: float | None = None,
    journal: str | os.PathLike[str] | None = None,
    progress: Callable[[dict[str, int]], None] | None = None,
    **parameters: Any,
) -> SearchResult:
    """Search for the answers of problems, all of them at once.

    The strategy runs over all problems in step; every call of a model holds what all of them ask
    for. What is found for a problem depends on its text, the arguments, the policy and the scorer,
    not on the other problems, the groups, or the order of answers.

    Args:
        problems: their texts; a problem that is repeated is searched again with other samples.
        strategy: a name of `stepscore.search.STRATEGIES`, or a function ``(tree, **parameters)``
            that returns `PendingNodes`.
        policy: list of `ExpandRequest` -> as many lists of `Continuation`.
        scorer: list of `ScoreRequest` -> as many scores, or lists of the scores of all steps.
        value: a second scorer, of the outcome, for strategies that know two.
        judge: list of `ScoreRequest` -> as many bools: whether the response is right.
        seed: of all random numbers.
        samples: continuations a problem may ask for, one number or one per problem; None: no limit.
        tokens: tokens it may generate: when reached, it asks for no more samples.
        prm_tokens: tokens of steps that the scorer may read, each once.
        max_nodes: nodes of a problem's tree at most; None: `samples` + 1, or 2,048. A problem whose
            tree is full ends as with an exhausted budget, and its status says so.
        temperature: of the sampling; 0.8 as in search-and-learn.
        max_tokens: of a response; one that reaches it has ended.
        max_step_tokens: of a continuation.
        stop: the texts that end a step; empty leaves them to the policy.
        how: name of `stepscore.aggregate` that makes one score of a candidate's steps; None: the
            strategy's own `how`, else ``"last"``.
        rule: of `stepscore.vote`, by which the candidates choose the answer: a name, or a
            `stepscore.Rule` with its parameters; None: the strategy's own. ``pareto`` and
            ``multi_objective`` read together the process score, which `how` makes, and behind it
            the outcome score, where there is `value`; where there is none, the process score alone.
        choose: the score that the rule reads, where it reads one: ``"process"``, what `how` makes
            of the step scores; ``"value"``, that of the second scorer, whatever the strategy; None:
            the strategy's own, which is f in `outcome_beam` and `best_first`, and the process score
            in most others.
        groups: 1: all problems in one call. More: the problems are dealt into groups, and while the
            policy works for one the scorer works for another; each has calls of its own.
        retries: how often a call that failed is repeated, before the request at fault is given up.
        timeout: seconds a call may take; then it is abandoned and counts as failed. The model
            goes on in a thread that nobody waits for. To find the request at fault, a call that
            hangs is repeated in halves: one request among 1,000 costs about 10 times as long.
        journal: a file that keeps every answer. The same search begun again takes them from there,
            and asks the models only for what is missing. Of the models it knows nothing: they have
            to be the same.
        progress: is told after every call the counts of calls (``policy_calls``) and of answers
            (``policy``), and ``problems_left``: how many still ask for something.
        parameters: of the strategy.

    Raises:
        InputError: a ValueError: an unknown strategy, aggregation, rule or parameter, a number out
            of its range, a journal of another search, before any model works; a model that the
            strategy asks for and that is not there; at the end scores that the rule cannot use,
            with everything that the models said kept in the journal.
        InputTypeError: a TypeError too: problems, or texts that end a step, that are no list.
    """
    began = time.monotonic()
    plan = read_plan(
        problems,
        strategy,
        parameters,
        how=how,
        rule=rule,
        choose=choose,
        has_outcome=value is not None,
        sampling=read_sampling(temperature, max_tokens, max_step_tokens, stop),
        samples=samples,
        tokens=tokens,
        prm_tokens=prm_tokens,
        max_nodes=max_nodes,
        seed=seed,
    )
    check_least("groups", groups, 1)
    check_least("retries", retries, 0)
    check_timeout(timeout)
    dealt = plan.groups(groups)
    models = {"policy": policy, "scorer": scorer, "value": value, "judge": judge}
    if journal is None:  # which may have all the answers
        check_models(strategy, models)
    with ExitStack() as stack:
        kept = None
        if journal is not None:
            kept = stack.enter_context(Journal(journal, plan.identity()))
        driver = Driver(models, kept, retries=retries, timeout=timeout, progress=progress)
        driver.run(dealt)
    results, trees = _results(dealt, plan.choice)
    calls = {model: driver.calls[model] for model in models if models[model] is not None}
    return SearchResult(plan.strategy, results, trees, calls, time.monotonic() - began)


def _results(
    groups: Sequence[Group], choice: Choice
) -> tuple[list[ProblemResult], list[tuple[Tree, int]]]:
    """What each problem's candidates chose, and its tree, in the order of the problems."""
    rows: dict[int, tuple[ProblemResult, tuple[Tree, int]]] = {}
    for group in groups:
        tree, engine = group.tree, group.tree.engine
        spent = (engine.samples_used, engine.tokens_used, engine.prm_tokens_used, group.seconds)
        costs = [ProblemCosts(*row) for row in zip(*(c.tolist() for c in spent), strict=True)]
        for problem, elected in enumerate(elect(tree, group.candidates, choice)):
            result = ProblemResult(
                tree.problems[problem],
                elected.answer,
                elected.text,
                elected.winner,
                group.status(problem),
                elected.traces,
                costs[problem],
            )
            rows[int(group.members[problem])] = result, (tree, problem)
    ordered = [rows[i] for i in range(len(rows))]
    return [result for result, _ in ordered], [tree for _, tree in ordered]
