"""Every strategy in the driver: batches, groups, budgets, faults, and taking up again."""

from __future__ import annotations

import inspect
import json
import math
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from sweep import SWEEP
from tables import SETTINGS, Tables

from stepscore import Rule, TreeSearch
from stepscore.errors import InputError
from stepscore.search import (
    STRATEGIES,
    Continuation,
    ExpandRequest,
    ScoreRequest,
    SearchResult,
    Tree,
    plan,
    search,
)
from stepscore.search.driver.seeds import problem_keys, sample_seeds
from stepscore.search.driver.split import split_steps
from stepscore.search.driver.threads import THREAD_NAME

PROBLEMS = [f"problem {i}" for i in range(6)]
EVERY = pytest.mark.parametrize("strategy", STRATEGIES)


def run(strategy: str, problems: Sequence[str] = PROBLEMS, **changes: Any) -> SearchResult:
    arguments = {**Tables().arguments(strategy), **changes}
    return search(problems, strategy, **arguments)


def same(a: SearchResult, b: SearchResult, problems: Sequence[int] | None = None) -> None:
    """Everything about the problems is equal: results, trees, costs; times aside."""
    for i in range(len(a)) if problems is None else problems:
        assert repr(a[i].traces) == repr(b[i].traces)  # NaN scores included
        assert (a[i].answer, a[i].text, a[i].winner) == (b[i].answer, b[i].text, b[i].winner)
        assert (a[i].status, a[i].costs) == (b[i].status, b[i].costs)
        assert a.tree(i) == b.tree(i)


def test_every_strategy_has_settings() -> None:
    assert STRATEGIES.keys() == SETTINGS.keys()


# --- what a result may depend on --------------------------------------------------------------


@EVERY
def test_a_batch_equals_its_problems_alone(strategy: str) -> None:
    together = run(strategy)
    assert sum(one.answer is not None for one in together) > 0
    assert len({one.text for one in together}) > 1
    for i, problem in enumerate(PROBLEMS):
        alone = run(strategy, [problem])
        assert repr(alone[0].traces) == repr(together[i].traces)
        assert (alone[0].answer, alone[0].costs) == (together[i].answer, together[i].costs)
        assert alone.tree(0) == together.tree(i)


@EVERY
@pytest.mark.parametrize("groups", [2, 3, 100])
def test_groups_change_nothing(strategy: str, groups: int) -> None:
    same(run(strategy), run(strategy, groups=groups))


@EVERY
def test_the_seed_changes_the_samples(strategy: str) -> None:
    assert run(strategy).to_list() != run(strategy, seed=1).to_list()


@EVERY
def test_order_of_the_problems_changes_nothing(strategy: str) -> None:
    forth, back = run(strategy), run(strategy, PROBLEMS[::-1])
    for one, other in zip(forth, list(back)[::-1], strict=True):
        assert repr(one.traces) == repr(other.traces)


def test_a_repeated_problem_has_samples_of_its_own() -> None:
    result = run("best_of_n", ["same", "same", "other"])
    assert result[0].traces != result[1].traces
    assert repr(result[0].traces) == repr(run("best_of_n", ["same"])[0].traces)


def test_seeds_tell_samples_apart() -> None:
    tables = Tables()
    run("beam", policy=tables.policy)
    seeds = [seed for request in tables.expanded for seed in request.seeds]
    assert len(set(seeds)) == len(seeds) > 100
    assert all(0 <= seed < 2**63 for seed in seeds)
    key = int(problem_keys(PROBLEMS)[0])
    first = next(r for r in tables.expanded if r.problem == PROBLEMS[0])
    assert first.seeds == sample_seeds(0, key, [1])
    assert sample_seeds(3, np.array([5, 6]), [1, 2]) == [
        sample_seeds(3, 5, 1),
        sample_seeds(3, 6, 2),
    ]


def test_seeds_are_those_of_splitmix64() -> None:
    def mix(state: int) -> int:
        z = (state + 0x9E3779B97F4A7C15) % 2**64
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return z ^ (z >> 31)

    for seed in (0, 3, 2**63, 2**64 - 1):
        keys, numbers = problem_keys(PROBLEMS).tolist(), [1, 2, 500, 2047, 2**31, 2**62]
        expected = [
            mix(mix(mix(seed) ^ key) ^ number) >> 1
            for key, number in zip(keys, numbers, strict=True)
        ]
        assert sample_seeds(seed, keys, numbers) == expected
    assert sample_seeds(7, 5, [1])[0] == 779239371806173588


@EVERY
@pytest.mark.parametrize("order", [1, 2])
def test_the_order_of_answers_changes_nothing(
    strategy: str, order: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run(strategy)
    rng = random.Random(order)

    class OneByOne(TreeSearch):
        """Is told every answer by itself, in any order."""

        def tell_expand(self, tickets: Any, child_offsets: Any, **columns: Any) -> Any:
            children = {}
            for i in rng.sample(range(len(tickets)), len(tickets)):
                own = slice(child_offsets[i], child_offsets[i + 1])
                told = {name: column[own] for name, column in columns.items()}
                count = child_offsets[i + 1] - child_offsets[i]
                children[i] = super().tell_expand(tickets[i : i + 1], [0, count], **told)
            return np.concatenate([children[i] for i in range(len(tickets))])

        def tell_score(
            self, tickets: Any, values: Any, rewards: Any = None, *, outcomes: Any = None
        ) -> None:
            for i in rng.sample(range(len(tickets)), len(tickets)):
                only = slice(i, i + 1)
                ends = None if outcomes is None else outcomes[only]
                super().tell_score(tickets[only], values[only], outcomes=ends)

    monkeypatch.setattr(plan, "TreeSearch", OneByOne)
    same(run(strategy), expected)


def test_answers_may_be_exceptions() -> None:
    tables = Tables()

    def policy(requests: Sequence[ExpandRequest]) -> list[Any]:
        answers: list[Any] = tables.policy(requests)
        bad = [i for i, request in enumerate(requests) if request.problem == PROBLEMS[2]]
        for i in bad:
            answers[i] = BrokenError("refused")
        return answers

    result = run("beam", policy=policy, retries=1)
    assert result[2].status == "failed: the policy raised BrokenError: refused"
    same(result, run("beam"), [0, 1, 3, 4, 5])
    assert result.calls["policy"] == run("beam").calls["policy"] + 1


# --- calls and budgets ------------------------------------------------------------------------

LEVELS = {  # strategy -> calls of the policy that its settings allow
    "best_of_n": 1,
    "beam": 5,
    "beam_with_finished": 6,
    "step_beam": 6,
    "outcome_beam": 5,
    "rebase": 6,
    "blocks": 5,
    "particles": 7,
    "reward_sampling": 6,
    "feynman_kac": 6,
}


@pytest.mark.parametrize("strategy", LEVELS)
def test_calls_are_levels_however_many_problems(strategy: str) -> None:
    result = run(strategy, [f"p{i}" for i in range(60)])
    assert 1 <= result.calls["policy"] <= LEVELS[strategy]
    assert result.calls["scorer"] <= LEVELS[strategy]


@EVERY
@pytest.mark.parametrize("samples", [1, 7])
def test_budget_of_samples(strategy: str, samples: int) -> None:
    result = run(strategy, samples=samples)
    assert all(0 < one.costs.samples <= samples for one in result)
    assert all(one.status == "done" for one in result)


@EVERY
def test_budget_of_tokens_and_its_problems_alone(strategy: str) -> None:
    budget = [3, 1000, 9, 14, 1000, 5]
    result, free = run(strategy, tokens=budget), run(strategy)
    for i in range(len(PROBLEMS)):
        if free[i].costs.tokens <= budget[i]:
            same(result, free, [i])
        else:
            assert result[i].costs.samples <= free[i].costs.samples
    if strategy not in ("best_of_n", "self_consistency"):  # one round can be all there is
        assert result[0].costs.samples < free[0].costs.samples


def test_a_full_tree_ends_a_problem_like_a_budget() -> None:
    result = run("beam", max_nodes=9)
    assert all(one.costs.samples == 8 for one in result)
    cut = "cut: its tree has 9 nodes; pass a larger max_nodes"
    assert {one.status for one in result} == {cut}
    within = run("beam", max_nodes=9, samples=8)
    assert {one.status for one in within} == {"done"}
    assert all(one.text for one in result)


def test_responses_end_at_max_tokens() -> None:
    result = run("particles", max_tokens=5, depth=50, n=8)
    for i in range(len(result)):
        assert all(trace.complete for trace in result[i].traces)
        ends = [node for node in result.tree(i) if node.terminal]
        assert any("answer" not in node.text for node in ends)
    asked: list[ExpandRequest] = []

    def policy(requests: Sequence[ExpandRequest]) -> Any:
        asked.extend(requests)
        return Tables(ends=0.0).policy(requests)

    run("beam", policy=policy, depth=2, max_tokens=20, max_step_tokens=4)
    assert {request.max_tokens for request in asked if request.mode == "step"} <= {1, 2, 3, 4}
    assert any(request.mode == "rollout" and request.max_tokens > 4 for request in asked)


def test_empty_end_has_the_score_before_it() -> None:
    def policy(requests: Sequence[ExpandRequest]) -> list[list[Continuation]]:
        return [
            [Continuation("", 1, 0.0, True) if r.steps else Continuation("The answer is 3.\n", 4)]
            * r.samples
            for r in requests
        ]

    asked = []

    def scorer(requests: Sequence[ScoreRequest]) -> list[float]:
        asked.extend(requests)
        return [0.25 for _ in requests]

    result = search(["p"], "beam", policy, scorer, n=2, m=2)
    assert result.answers == ["3"]
    assert result[0].status == "done"
    assert [trace.scores for trace in result[0].traces] == [[0.25], [0.25]]
    assert len(asked) == 2


def test_rollouts_are_scored_step_by_step() -> None:
    result = run("best_of_n", how="min")
    for one in result:
        for trace in one.traces:
            assert len(trace.scores) == len(trace.steps) == trace.text.count("\n")
            assert trace.score == min(trace.scores)
        assert one.traces[one.winner].score == max(t.score for t in one.traces if t.answer)
    last = run("best_of_n", scorer=lambda rs: [Tables().scorer([r])[0][-1] for r in rs])
    assert all(len(trace.scores) == 1 for one in last for trace in one.traces)


@pytest.mark.parametrize(
    ("text", "stop", "steps"),
    [
        ("a\nb\n", (), ["a\n", "b\n"]),
        ("a\nb\n\nc", (), ["a\nb\n\n", "c"]),
        ("a\nb\n\nc\n\n\n", (), ["a\nb\n\n", "c\n\n\n"]),
        ("a; b; c", ("; ",), ["a; ", "b; ", "c"]),
        ("a; ; \n", ("; ",), ["a; ; \n"]),
        ("one", (), ["one"]),
    ],
)
def test_split_steps(text: str, stop: tuple[str, ...], steps: list[str]) -> None:
    assert split_steps(text, stop) == steps


# --- models that fail -------------------------------------------------------------------------


class BrokenError(Exception):
    pass


@EVERY
@pytest.mark.parametrize("groups", [1, 2])
def test_calls_that_fail_are_repeated(strategy: str, groups: int) -> None:
    rng, tables = random.Random(1), Tables()

    def failing(model: Any) -> Any:
        def call(requests: Any) -> Any:
            if rng.random() < 0.1:
                raise BrokenError("out of order")
            return model(requests)

        return call

    models = {"policy": failing(tables.policy), "scorer": failing(tables.scorer)}
    same(run(strategy, groups=groups, retries=6, **models), run(strategy))


def spoiled(what: str, victims: set[str]) -> dict[str, Any]:
    """Models that spoil every request of some problems from their second step on."""
    tables = Tables()

    def policy(requests: Sequence[ExpandRequest]) -> Any:
        answers: list[Any] = tables.policy(requests)
        for i, request in enumerate(requests):
            if request.problem in victims and (request.steps or request.mode == "rollout"):
                if what == "raises":
                    raise BrokenError(f"cannot continue\n{request.steps}")
                if what == "hangs":
                    time.sleep(60)
                good = answers[i]
                answers[i] = {
                    "empty": [Continuation("", 0) for _ in good],
                    "endless": [Continuation("x" * 10**6, 10**6) for _ in good],
                    "liar": [Continuation("x" * 10**6, 1) for _ in good],
                    "too few": good[:-1],
                    "wrong type": None,
                    "no continuation": ["text" for _ in good],
                    "bad logprob": [Continuation("a\n", 1, math.nan) for _ in good],
                    "bad count": [Continuation("a\n", cast("int", math.nan)) for _ in good],
                    "no text": [Continuation(cast("str", ["a"])) for _ in good],
                }.get(what, good)
        return answers

    def scorer(requests: Sequence[ScoreRequest]) -> Any:
        answers: list[Any] = tables.scorer(requests)
        for i, request in enumerate(requests):
            if request.problem in victims and len(request.steps) > 1:
                count = len(request.steps)
                answers[i] = {
                    "nan": math.nan,
                    "inf": [math.inf] * count,
                    "wrong count": [0.5] * (count + 1),
                    "none": None,
                }.get(what, answers[i])
        return answers

    return {"policy": policy, "scorer": scorer}


REASONS = {
    "raises": "failed: the policy raised BrokenError: cannot continue",
    "hangs": "failed: the policy raised TimeoutError: no answer within 0.05 s",
    "empty": "failed: the policy gave an empty",
    "endless": "failed: the policy gave 1000000 tokens where max_tokens is",
    "liar": "failed: the policy gave 1000000 characters where max_tokens is",
    "too few": "failed: the policy gave",
    "wrong type": "failed: the policy raised TypeError",
    "no continuation": "failed: the policy gave str where a Continuation was expected",
    "bad logprob": "failed: the policy gave 1 tokens of log-probability nan",
    "bad count": "failed: the policy gave Continuation(text='a\\n', tokens=nan",
    "no text": "failed: the policy gave Continuation(text=['a']",
    "nan": "failed: the scorer gave a score of nan",
    "inf": "failed: the scorer gave a score of inf",
    "wrong count": "failed: the scorer gave",
    "none": "failed: the scorer gave None where scores were expected",
}


# Every strategy with some of the reasons, and every reason with some of the strategies.
SPOILED = [
    (strategy, what)
    for i, strategy in enumerate(STRATEGIES)
    for j, what in enumerate(REASONS)
    if what != "hangs" and (SWEEP or (i + j) % 3 == 0)
]


@cache
def unspoiled(strategy: str) -> SearchResult:
    return run(strategy, max_tokens=300)


@pytest.mark.parametrize(("strategy", "what"), SPOILED)
def test_a_spoiled_request_costs_its_problem_alone(strategy: str, what: str) -> None:
    victims = {PROBLEMS[1], PROBLEMS[4]}
    models = spoiled(what, victims)
    if strategy in ("self_consistency", "omega_prm") and REASONS[what].startswith(
        "failed: the scorer"
    ):
        pytest.skip("scores nothing")
    result, free = run(strategy, retries=1, max_tokens=300, **models), unspoiled(strategy)
    same(result, free, [0, 2, 3, 5])
    reached = 0
    for i in (1, 4):
        if result[i].status == "done":
            same(result, free, [i])  # it never came to a second step
        else:
            assert result[i].status.startswith(REASONS[what])
            assert "\n" not in result[i].status
            reached += 1
    assert reached > 0


def test_half_of_a_surrogate_pair_is_replaced_when_it_arrives(tmp_path: Path) -> None:
    def policy(requests: Sequence[ExpandRequest]) -> list[list[Continuation]]:
        half = Continuation("a\ud83d\n", 1, 0.0, terminal=True, answer="\ude003")
        return [[half for _ in request.seeds] for request in requests]

    def score(requests: Sequence[ScoreRequest]) -> list[float]:
        return [0.5] * len(requests)

    journal = tmp_path / "journal.jsonl"
    for _ in range(2):  # the second time out of the journal
        (found,) = search(["1+1"], "best_of_n", policy, score, n=2, journal=journal)
        assert found.text == "a\ufffd\n"
        assert found.answer == "\ufffd3"
        assert found.status == "done"


@pytest.mark.parametrize("strategy", ["beam", "mcts", "particles"])
def test_a_model_that_hangs(strategy: str) -> None:
    models = spoiled("hangs", {PROBLEMS[1]})
    began = time.monotonic()
    result = run(strategy, retries=0, timeout=0.05, **models)
    assert time.monotonic() - began < 20
    same(result, run(strategy), [0, 2, 3, 4, 5])
    assert result[1].status.startswith(REASONS["hangs"])


def test_the_second_scorer_fails() -> None:
    tables = Tables()

    def outcome(requests: Sequence[ScoreRequest]) -> list[float]:
        values = tables.outcome(requests)
        return [
            math.nan if r.problem == PROBLEMS[1] and len(r.steps) > 1 else value
            for r, value in zip(requests, values, strict=True)
        ]

    result, free = run("outcome_beam", value=outcome), run("outcome_beam")
    assert result[1].status == "failed: the second scorer gave a score of nan"
    same(result, free, [0, 2, 3, 4, 5])


def test_dvts_drops_a_beam_of_which_a_step_failed() -> None:
    def policy(requests: Sequence[ExpandRequest]) -> list[list[Continuation]]:
        return [
            [Continuation(f"{len(r.steps)} {i}\n", 1) for i in range(r.samples)] for r in requests
        ]

    def scorer(requests: Sequence[ScoreRequest]) -> list[float]:
        bad = [r for r in requests if len(r.steps) == 1]
        lost = max((r.node for r in bad), default=-1)  # the last step of the second beam
        return [math.nan if r.node == lost else 0.5 for r in requests]

    result = search(["p"], "dvts", policy, scorer, n=4, m=2, depth=3, retries=0)
    assert [trace.node for trace in result[0].traces] == [7, 8]
    assert {node.parent for node in result.tree(0) if node.number > 4} == {1, 5}


def test_a_policy_that_never_works_marks_every_problem() -> None:
    def policy(requests: Sequence[ExpandRequest]) -> Any:
        raise BrokenError

    result = run("beam", policy=policy, retries=1)
    assert [one.status for one in result] == ["failed: the policy raised BrokenError"] * len(
        PROBLEMS
    )
    assert result.answers == [None] * len(PROBLEMS)
    assert result.texts == [""] * len(PROBLEMS)


def test_only_the_requests_at_fault_are_asked_again() -> None:
    asked: Counter[str] = Counter()

    def scorer(requests: Sequence[ScoreRequest]) -> list[float]:
        asked.update(request.problem for request in requests)
        return [math.nan if r.problem == PROBLEMS[2] else 0.5 for r in requests]

    run("best_of_n", scorer=scorer, retries=3, n=2)
    assert asked == {problem: 8 if problem == PROBLEMS[2] else 2 for problem in PROBLEMS}


def test_splitting_finds_one_of_many() -> None:
    sizes = []

    def policy(requests: Sequence[ExpandRequest]) -> Any:
        sizes.append(len(requests))
        if any(request.problem == "p77" for request in requests):
            raise BrokenError
        return Tables().policy(requests)

    problems = [f"p{i}" for i in range(128)]
    result = search(problems, "best_of_n", policy, Tables().scorer, n=2, retries=1)
    assert [one.problem for one in result if one.status != "done"] == ["p77"]
    assert len(sizes) <= 2 + 2 * 7 + 1
    assert result.calls["policy"] == len(sizes)


# --- policy and scorer at the same time -------------------------------------------------------


def test_two_groups_overlap() -> None:
    tables, inside, most = Tables(), [], []
    lock = threading.Lock()

    def slow(name: str, model: Any) -> Any:
        def call(requests: Any) -> Any:
            with lock:
                assert name not in inside, "a model is called twice at once"
                inside.append(name)
                most.append(len(inside))
            time.sleep(0.01)
            answers = model(requests)
            with lock:
                inside.remove(name)
            return answers

        return call

    models = {"policy": slow("policy", tables.policy), "scorer": slow("scorer", tables.scorer)}
    same(run("beam", groups=2, **models), run("beam"))
    assert max(most) == 2
    most.clear()
    run("beam", groups=1, **models)
    assert max(most) == 1


def test_progress_counts() -> None:
    seen: list[dict[str, int]] = []
    result = run("beam", progress=lambda counts: seen.append(dict(counts)))
    assert seen[-1]["policy_calls"] == result.calls["policy"]
    assert seen[-1]["scorer_calls"] == result.calls["scorer"]
    assert len(seen) == sum(result.calls.values())
    left = [counts["problems_left"] for counts in seen]
    assert left[0] == len(PROBLEMS)
    assert left == sorted(left, reverse=True)


def answering(texts: Sequence[str], terminal: bool) -> Any:
    """A policy that gives the same samples to every request."""

    def policy(requests: Sequence[ExpandRequest]) -> list[list[Continuation]]:
        samples = [Continuation(text, 1, 0.0, terminal) for text in texts]
        return [samples[: len(request.seeds)] for request in requests]

    return policy


@pytest.mark.parametrize(
    ("policy", "options", "why"),
    [
        (
            answering(["I do not know.\n", "Nor do I.\n"], True),
            {},
            "none of its 2 traces that have ended states an answer",
        ),
        (
            answering(["First ...\n", "And first ...\n"], False),
            {"samples": 2},
            "none of its 2 traces has ended: the budget was spent, or the strategy takes no more "
            "steps",
        ),
        (
            lambda requests: [RuntimeError("no")] * len(requests),
            {},
            "failed: the policy raised RuntimeError: no; there is no trace",
        ),
        (answering(["The answer is 2.\n", "The answer is 3.\n"], True), {}, None),
    ],
)
def test_a_result_says_why_it_has_no_answer(policy: Any, options: Any, why: str | None) -> None:
    (found,) = search(
        ["1+1"], "beam", policy, lambda rs: [0.5] * len(rs), n=2, m=2, retries=0, **options
    )
    assert found.no_answer == why
    assert (found.answer is None) == (why is not None)


# --- killed and taken up again ----------------------------------------------------------------


class Killed(BaseException):
    pass


def killing(tables: Tables, strategy: str, after: int, seen: Counter[Any]) -> dict[str, Any]:
    """Models that count what they are asked, and die in call number `after`.

    The other model of a strategy may be at a call then. Its answer is kept first: one that is lost
    with the process is asked for again, and rightly.
    """
    left = [after]
    running = set(threading.enumerate())

    def wrap(model: Any) -> Any:
        def call(requests: Any) -> Any:
            if not left[0]:
                others = set(threading.enumerate()) - running - {threading.current_thread()}
                for thread in others:
                    if thread.name == THREAD_NAME:
                        thread.join(60)
                raise Killed
            left[0] -= 1
            seen.update(
                (r.problem, tuple(r.steps), tuple(r.seeds))
                if isinstance(r, ExpandRequest)
                else (model.__name__, r.problem, r.node)
                for r in requests
            )
            return model(requests)

        return call

    arguments = tables.arguments(strategy)
    return {
        name: wrap(arguments[name]) if callable(arguments[name]) else arguments[name]
        for name in arguments
    }


@EVERY
@pytest.mark.parametrize("every", [1, 3])
def test_killed_at_any_call_and_resumed(strategy: str, every: int, tmp_path: Path) -> None:
    expected = run(strategy)
    seen: Counter[Any] = Counter()
    kills = 0
    while True:
        models = killing(Tables(), strategy, every, seen)
        try:
            result = search(PROBLEMS, strategy, journal=tmp_path / "j.jsonl", **models)
            break
        except Killed:
            kills += 1
            with (tmp_path / "j.jsonl").open("ab") as file:  # torn by the kill
                file.write(b'["policy",123,4,[["half a li')
    assert kills >= sum(expected.calls.values()) // every - 1
    assert max(seen.values()) == 1
    same(result, expected)
    again = run(strategy, journal=tmp_path / "j.jsonl", policy=None, scorer=None)
    assert set(again.calls.values()) <= {0}
    same(again, expected)


SLOW = """
import sys, time
from tables import Tables
from stepscore.search import search

class Slow(Tables):
    def sample(self, request, seed):
        time.sleep(0.002)
        return super().sample(request, seed)

problems = [f"problem {i}" for i in range(6)]
search(problems, "beam", journal=sys.argv[1], groups=2, **Slow().arguments("beam"))
print("ended")
"""


def test_killed_by_the_system_at_any_moment(tmp_path: Path) -> None:
    path, kills = tmp_path / "j.jsonl", 0
    rng = random.Random(0)
    for _ in range(60):
        process = subprocess.Popen(
            [sys.executable, *sys.flags.no_site * ["-S"], "-c", SLOW, str(path)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        before = path.stat().st_size if path.exists() else 0
        while process.poll() is None and (path.stat().st_size if path.exists() else 0) == before:
            time.sleep(0.005)  # it has written something new
        time.sleep(rng.random() * 0.05)
        process.kill()
        output, _ = process.communicate()
        if b"ended" in output:
            break
        kills += 1
    assert kills >= 2
    same(run("beam", journal=path), run("beam"))


def test_failures_are_kept_in_the_journal(tmp_path: Path) -> None:
    models = spoiled("raises", {PROBLEMS[3]})
    first = run("beam", retries=0, journal=tmp_path / "j", **models)
    same(run("beam", journal=tmp_path / "j", policy=None, scorer=None), first)


FULL = """
import resource, sys
from stepscore.errors import InputError
from stepscore.search import Continuation, search

def policy(requests):
    return [[Continuation("a" * 40 + "\\n", 40) for _ in r.seeds] for r in requests]

limit = int(sys.argv[2])
if limit:  # a file that would be longer cannot be written, as on a full disk
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    search([f"{i}+1" for i in range(9)], "beam", policy, lambda rs: [0.5] * len(rs), n=4,
           max_tokens=200, journal=sys.argv[1], groups=3)
except InputError as error:
    print(error)
"""


@pytest.mark.parametrize("limit", [10, 150, 3000])
def test_a_full_disk_is_said_and_what_was_kept_stays_whole(limit: int, tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"

    def begin(size: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", FULL, str(journal), str(size)],
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    done = begin(limit)
    assert done.returncode == 0, done.stderr
    assert f"{journal}: expected a journal that can be written; got File too large" in done.stdout
    content = journal.read_bytes()
    assert content == b"" or content.endswith(b"\n")
    for line in content.splitlines():
        json.loads(line)
    done = begin(0)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert journal.read_bytes().startswith(content)


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"n": 9}, {"samples": 50}, {"temperature": 0.5}, {"problems": ["p"]}],
)
def test_the_journal_of_another_search(change: dict[str, Any], tmp_path: Path) -> None:
    run("beam", journal=tmp_path / "j")
    before = (tmp_path / "j").read_bytes()
    with pytest.raises(ValueError, match=r"j: expected the journal of this search; got that of"):
        run("beam", journal=tmp_path / "j", **change)
    assert (tmp_path / "j").read_bytes() == before


@pytest.mark.parametrize("line", [b"nonsense\n", b"[1]\n", b'["policy",1,2,{"x":1}]\n', b"\xff\n"])
def test_a_damaged_journal(line: bytes, tmp_path: Path) -> None:
    run("beam", journal=tmp_path / "j")
    lines = (tmp_path / "j").read_bytes().splitlines(keepends=True)
    (tmp_path / "j").write_bytes(b"".join([*lines[:3], line, *lines[3:]]))
    with pytest.raises(ValueError, match=r"j:4: expected a line of a search's journal; got"):
        run("beam", journal=tmp_path / "j")
    (tmp_path / "j").write_bytes(b'{"problem": "x"}\n')
    with pytest.raises(ValueError, match=r"j:1: expected a line of a search's journal"):
        run("beam", journal=tmp_path / "j")


# --- results ----------------------------------------------------------------------------------


@EVERY
def test_result_is_whole(strategy: str) -> None:
    result = run(strategy)
    rows = json.loads(json.dumps(result.to_list(), allow_nan=False))
    for i, (row, one) in enumerate(zip(rows, result, strict=True)):
        assert row["problem"] == one.problem == PROBLEMS[i]
        assert one.status == "done"
        assert one.traces[one.winner].text == one.text
        assert one.traces[one.winner].answer == one.answer
        nodes = {node.number: node for node in result.tree(i)}
        assert nodes[0].parent == -1
        assert nodes[0].chosen
        assert sum(node.terminal for node in nodes.values()) >= sum(
            len({t.node for t in one.traces if t.complete}) for _ in [0]
        )
        for trace in one.traces:
            number, text = trace.node, ""
            while number:
                text = nodes[number].text + text
                number = nodes[number].parent
            assert text == trace.text
        chosen = sorted(node.number for node in nodes.values() if node.chosen)
        assert chosen[-1] == one.traces[one.winner].node
        assert one.costs.samples >= len(nodes) - 1
        assert one.costs.seconds > 0
    assert "problems=6, failed=0" in repr(result)


def test_a_result_is_a_list_of_problems() -> None:
    result = run("beam")
    assert len(result) == len(list(result)) == len(PROBLEMS)
    assert result[1:3] == list(result)[1:3] == [result[1], result[-4]]
    assert result.answers == [problem.answer for problem in result]
    with pytest.raises(IndexError):
        _ = result[len(PROBLEMS)]


def test_votes_choose() -> None:
    answers = {"p": ["1", "2", "2"]}
    scores = {"1": 0.9, "2": 0.6}

    def policy(requests: Sequence[ExpandRequest]) -> list[list[Continuation]]:
        return [
            [Continuation(f"The answer is {a}", 3, 0.0, True) for a in answers[r.problem]]
            for r in requests
        ]

    def scorer(requests: Sequence[ScoreRequest]) -> list[float]:
        return [scores[r.steps[0][-1]] for r in requests]

    def found(**arguments: Any) -> str | None:
        return search(["p"], "best_of_n", policy, scorer, n=3, **arguments).answers[0]

    assert found() == "1"
    assert found(rule="weighted") == "2"
    assert found(rule="majority") == "2"


# --- wrong arguments --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "argument", "message"),
    [
        (
            {"problems": "text"},
            "problems",
            "a list, one text per problem; got str; put it into a list",
        ),
        ({"problems": []}, "problems", "at least one text; got none"),
        ({"problems": ["a", 3]}, "problems[1]", "str; got int"),
        (
            {"strategy": "beem"},
            "strategy",
            "one of best_of_n, .*, or a function; got 'beem'; did you mean 'beam'.",
        ),
        (
            {"widht": 3},
            "parameters.widht",
            "a parameter of beam: n, m, depth, how, duplicates; got 'widht'",
        ),
        ({"samples": 0}, "samples", "at least 1; got 0"),
        (
            {"tokens": [1, 2]},
            "tokens",
            r"a whole number, or one for each of the 6 problems; got \[1, 2\]",
        ),
        ({"prm_tokens": 1.5}, "prm_tokens", "a whole number, or one for each .*; got 1.5"),
        ({"max_nodes": 1}, "max_nodes", "at least 2; got 1"),
        ({"groups": 0}, "groups", "at least 1; got 0"),
        ({"retries": -1}, "retries", "at least 0; got -1"),
        ({"seed": -1}, "seed", "at least 0; got -1"),
        ({"timeout": 0}, "timeout", "a number above 0, or nothing for no limit; got 0"),
        ({"timeout": math.nan}, "timeout", "a number above 0, or nothing for no limit; got nan"),
        ({"temperature": -1.0}, "temperature", "0 or more; got -1.0"),
        ({"stop": "\n"}, "stop", "a list, the texts that end a step; got str; put it into a list"),
        ({"n": 5}, "parameters.n", "a multiple of m=3, and both at least 1; got 5"),
        (
            {"scorer": None},
            "scorer",
            "a model, because the strategy asks for one; got none; pass scorer",
        ),
        ({"how": "best"}, "how", "one of min, .*; got 'best'"),
        ({"rule": "best"}, "rule", "one of majority, .*; got 'best'"),
        ({"strategy": "greedy", "n": 1}, "parameters.n", "a parameter of greedy: .*; got 'n'"),
    ],
)
def test_wrong_arguments(change: dict[str, Any], argument: str, message: str) -> None:
    arguments = {"problems": PROBLEMS, "strategy": "beam", **Tables().arguments("beam"), **change}
    if arguments["strategy"] == "greedy":
        arguments = {k: v for k, v in arguments.items() if k not in ("m", "depth")}
    where = re.escape(f"search: {argument}: ")
    with pytest.raises(InputError, match=f"^{where}expected {message}$") as caught:
        search(**arguments)
    assert caught.value.where == "search"
    assert caught.value.argument is not None
    assert isinstance(caught.value, TypeError) == (message.startswith(("a list,", "str")))
    assert "--" not in str(caught.value)


@pytest.mark.parametrize(
    ("strategy", "name"),
    [
        (strategy, parameter.name)
        for strategy, function in STRATEGIES.items()
        for parameter in inspect.signature(function).parameters.values()
        if str(parameter.annotation).startswith("str")
    ],
)
def test_a_word_that_a_parameter_does_not_know_is_refused(strategy: str, name: str) -> None:
    with pytest.raises(ValueError, match="'no-such-word'"):
        run(strategy, **{name: "no-such-word"})


@EVERY
@pytest.mark.parametrize("model", ["policy", "scorer", "value", "judge"])
def test_a_model_that_is_missing_is_named_before_any_works(strategy: str, model: str) -> None:
    asked: list[str] = []

    def asks(name: str, answer: Any) -> Any:
        return None if answer is None else lambda requests: asked.append(name) or answer(requests)

    arguments = Tables().arguments(strategy)
    names = ("policy", "scorer", "value", "judge")
    models = {name: asks(name, arguments.get(name)) for name in names}
    search(PROBLEMS, strategy, **{**arguments, **models})
    # Only with `beta` does it ask for the second scorer, and learns late that there is none.
    by_parameter = (strategy, model) == ("best_first", "value")
    needs = model in asked and not by_parameter
    asked.clear()
    without = {**arguments, **models, model: None}
    if needs:
        with pytest.raises(InputError, match=f"search: {model}: expected .*, because the"):
            search(PROBLEMS, strategy, **without)
        assert not asked
    elif not by_parameter:
        search(PROBLEMS, strategy, **without)


@pytest.mark.parametrize(
    ("how", "rule", "message"),
    [
        ("prodd", None, "search: how: expected one of min, .*; got 'prodd'"),
        (None, "plurality", "search: rule: expected one of majority, .*; got 'plurality'"),
        (
            None,
            "softmax_weighted",
            r"search: rule.temperature: expected a finite number above 0; got nothing; for example "
            r"Rule\('softmax_weighted', temperature=0.1\)",
        ),
        (None, 3, "search: rule: expected a name or a Rule; got 3"),
        (
            None,
            Rule("pareto", columns=(0, 1)),
            r"search: rule: expected a rule for 1 column, the process score; got "
            r"Rule\('pareto', columns=\(0, 1\)\): ",
        ),
        (
            None,
            Rule("multi_objective", objective_weights=(0.5, 0.5), scale="none"),
            "search: rule: expected a rule for 1 column, the process score; got Rule",
        ),
    ],
)
@pytest.mark.parametrize("strategy", ["beam", "best_of_n"])
def test_what_the_end_cannot_use_is_said_at_the_beginning(
    strategy: str, how: str | None, rule: Any, message: str
) -> None:
    arguments = Tables().arguments(strategy)

    def never(requests: object) -> Any:
        raise AssertionError("a model was asked")

    with pytest.raises(InputError, match=message):
        search(PROBLEMS, strategy, **{**arguments, "policy": never, "how": how, "rule": rule})


def test_missing_parameters_and_models() -> None:
    tables = Tables()
    with pytest.raises(InputError) as caught:
        search(PROBLEMS, "greedy", tables.policy, tables.scorer)
    assert str(caught.value) == (
        "search: parameters.accept: expected a value, because greedy has no default for it; got "
        "none"
    )
    with pytest.raises(InputError) as caught:
        search(PROBLEMS, "outcome_beam", tables.policy, tables.scorer)
    assert str(caught.value) == (
        "search: value: expected a second scorer, of the outcome, because the strategy asks for "
        "one; got none; pass value"
    )
    for strategy, name, word in (
        ("feynman_kac", "potential", "diff, max, add, rt"),
        ("particle_gibbs", "weigh", "final, ahead"),
    ):
        with pytest.raises(InputError) as caught:
            run(strategy, **{name: "no"})
        assert str(caught.value) == (f"search: parameters.{name}: expected one of {word}; got 'no'")


@pytest.mark.parametrize("strategy", ["particles", "particle_gibbs", "adaptive_beam", "adaptive_n"])
def test_scores_that_are_no_probabilities(strategy: str) -> None:
    with pytest.raises(InputError) as caught:
        run(strategy, scorer=lambda requests: [3.0 for _ in requests])
    assert str(caught.value) == (
        "search: scorer: expected probabilities in [0, 1], which the strategy reckons with; got "
        "scores in [3, 3]; let it give their sigmoids"
    )


def test_a_strategy_of_ones_own() -> None:
    def twice(tree: Tree, *, n: int = 2) -> Any:
        nodes = yield from tree.grow(tree.roots, n)
        return (yield from tree.grow(nodes, n, mode="rollout"))

    tables = Tables(ends=0.0)

    def policy(requests: Sequence[ExpandRequest]) -> Any:
        return [
            [Continuation(f"{seed % 97}\n", 1, 0.0, bool(r.steps)) for seed in r.seeds]
            for r in requests
        ]

    result = search(PROBLEMS, twice, policy, tables.scorer, n=3)
    assert result.strategy == "twice"
    assert [len(one.traces) for one in result] == [9] * len(PROBLEMS)
    with pytest.raises(InputError, match="expected a parameter of twice: n; got 'm'"):
        search(PROBLEMS, twice, policy, tables.scorer, m=3)


def test_an_error_in_a_strategy_is_raised() -> None:
    def wrong(tree: Tree) -> Any:
        yield from tree.grow(tree.roots)
        raise BrokenError("here")

    with pytest.raises(BrokenError, match="here"):
        search(PROBLEMS, wrong, Tables().policy, Tables().scorer, groups=2)
