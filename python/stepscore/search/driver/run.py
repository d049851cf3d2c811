"""Search over many problems at once: asks the strategy, the policy and the scorer in turn."""

from __future__ import annotations

import hashlib
import inspect
import os
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from stepscore.ops import TreeSearch, aggregate, vote
from stepscore.ops.tree_search import MODES, EvaluateRequests, ExpandRequests
from stepscore.policies.requests import Expand, Mode, Policy, Score, Scorer
from stepscore.search.driver.calls import (
    Failure,
    call_model,
    check_expand,
    check_judge,
    check_score,
)
from stepscore.search.driver.journal import Journal, Place
from stepscore.search.result import Costs, Found, SearchResult, choose
from stepscore.search.strategies import RULES, STRATEGIES
from stepscore.search.tree import Ids, Sampling, Steps, Tree

Strategy = Callable[..., Steps]
Judge = Callable[[Sequence[Score]], Sequence[bool]]

_ALL = 2**31 - 1
_MODES = cast("tuple[Mode, ...]", MODES)
_CHECKS: dict[str, Callable[[Any, Any], Any]] = {
    "policy": check_expand,
    "scorer": check_score,
    "value": check_score,
    "judge": check_judge,
}


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
    rule: str | None = None,
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
            that returns `Steps`.
        policy: list of `Expand` -> as many lists of `Continuation`.
        scorer: list of `Score` -> as many scores, or lists of the scores of all steps.
        value: a second scorer, of the outcome, for strategies that know two.
        judge: list of `Score` -> as many bools: whether the response is right.
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
        rule: name of `stepscore.vote` by which the candidates choose the answer; None: the
            strategy's own.
        groups: 1: all problems in one call. More: the problems are dealt into groups, and while the
            policy works for one the scorer works for another; each has calls of its own.
        retries: how often a call that failed is repeated, before the request at fault is given up.
        timeout: seconds a call may take; then it is abandoned and counts as failed. The model
            goes on in a thread that nobody waits for. To find the request at fault, a call that
            hangs is repeated in halves: one request among 1,000 costs about 10 times as long.
        journal: a file that keeps every answer. The same search begun again takes them from there,
            and asks the models only for what is missing. Of the models it knows nothing: they have
            to be the same.
        progress: is told the counts of calls and answers after every call.
        parameters: of the strategy.

    Raises:
        ValueError: an unknown strategy or parameter, a number out of its range, a journal of
            another search.
        TypeError: problems that are not texts.
    """
    began = time.monotonic()
    name, function = _strategy(strategy)
    bound = _bind(name, function, how, parameters)
    how, rule = how or bound.get("how", "last"), rule or RULES.get(name, "best_of_n")
    # What they have to say against their names is said before any model works.
    aggregate([0.5], [0, 1], how)
    vote([0], [0.5], [0, 1], rule)
    problems = _problems(problems)
    given = {"samples": samples, "tokens": tokens, "prm_tokens": prm_tokens}
    budgets = {what: _budget(what, one, len(problems)) for what, one in given.items()}
    most_samples = budgets["samples"]
    if max_nodes is None:
        max_nodes = 2048 if most_samples is None else int(most_samples.max()) + 1
    may_fill_up = most_samples is None or int(most_samples.max()) >= max_nodes
    for what, number, least in (
        ("max_nodes", max_nodes, 2),
        ("max_tokens", max_tokens, 1),
        ("max_step_tokens", max_step_tokens, 1),
        ("groups", groups, 1),
        ("retries", retries, 0),
        ("seed", seed, 0),
    ):
        if number < least:
            raise ValueError(f"search: {what} must be at least {least}; got {number}")
    if temperature < 0 or (timeout is not None and timeout <= 0):
        raise ValueError(
            f"search: temperature must be 0 or more and timeout above 0; got {temperature} and "
            f"{timeout}"
        )
    if isinstance(stop, str):
        raise TypeError("search: stop must be a list of texts; got str; put it into a list")
    sampling = Sampling(temperature, max_tokens, max_step_tokens, tuple(stop))
    keys = problem_keys(problems)
    made = []
    for first in range(min(groups, len(problems))):
        own = np.arange(first, len(problems), groups)
        engine = TreeSearch(
            len(own),
            max_nodes=max_nodes,
            seed=seed,
            keys=keys[own],
            samples=_of(budgets["samples"], own),
            tokens=_of(budgets["tokens"], own),
            prm_tokens=_of(budgets["prm_tokens"], own),
        )
        tree = Tree([problems[i] for i in own], keys[own], engine, sampling, seed)
        steps = function(tree, **bound)
        made.append(
            _Group(tree, own, steps, seed, has_value=value is not None, may_fill_up=may_fill_up)
        )
    models: dict[str, Any] = {"policy": policy, "scorer": scorer, "value": value, "judge": judge}
    with ExitStack() as stack:
        kept = None
        if journal is not None:
            described = {
                "problems": problems,
                "strategy": name,
                "parameters": bound,
                "seed": seed,
                "sampling": repr(sampling),
                "max_nodes": max_nodes,
                "value": value is not None,
                **{what: None if b is None else b.tolist() for what, b in budgets.items()},
            }
            kept = stack.enter_context(Journal(journal, described))
        driver = _Driver(models, kept, retries, timeout, progress)
        driver.run(made)
    found, trees = _collect(made, len(problems), how, rule)
    calls = {kind: driver.calls[kind] for kind in models if models[kind] is not None}
    return SearchResult(name, found, trees, calls, time.monotonic() - began)


def problem_keys(problems: Sequence[str]) -> Ids:
    """A number for each problem: a function of its text and of how often it stood there before."""
    seen: Counter[str] = Counter()
    keys = []
    for problem in problems:
        text = f"{seen[problem]}/{problem}".encode("utf-8", "surrogatepass")
        seen[problem] += 1
        keys.append(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1)
    return np.array(keys, np.int64)


def sample_seeds(seed: int, keys: Any, numbers: Any) -> list[int]:
    """The seed of each sample, in [0, 2^63), by its problem's key and its node's number there.

    SplitMix64 over the three. `keys` and `numbers` are arrays, or one key for all.
    """
    mixed = _mix(_mix(np.uint64(seed % 2**64)) ^ np.asarray(keys, np.uint64))
    seeds = _mix(mixed ^ np.asarray(numbers, np.uint64)) >> np.uint64(1)
    found: list[int] = seeds.tolist()
    return found


def _mix(state: Any) -> Any:
    with np.errstate(over="ignore"):
        state = np.asarray(state + np.uint64(0x9E3779B97F4A7C15))
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return state ^ (state >> np.uint64(31))


@dataclass(eq=False)
class _Asked:
    """Requests of one group that one model has to answer together."""

    model: str
    group: _Group
    tickets: Ids
    problems: Ids
    nodes: Ids  # to continue, to score or to judge
    requests: list[Any]
    places: list[Place]
    answers: list[Any]  # None where it is missing
    seconds: float = 0.0

    def missing(self) -> list[int]:
        return [i for i, answer in enumerate(self.answers) if answer is None]


class _Group:
    """Problems that one run of a strategy goes through, and what they wait for."""

    def __init__(
        self,
        tree: Tree,
        own: Ids,
        strategy: Steps,
        seed: int,
        *,
        has_value: bool,
        may_fill_up: bool,
    ) -> None:
        self.tree, self.own, self.strategy, self.seed = tree, own, strategy, seed
        self.has_value, self.may_fill_up = has_value, may_fill_up
        self.candidates = np.empty(0, np.int64)
        self.waiting: list[_Asked] = []
        self.calls_open = 0
        self.reasons: dict[int, str] = {}
        self.seconds = np.zeros(len(own))
        self._drawn = tree.roots + 1  # the number of the next request's first sample

    def resume(self) -> bool:
        """Let the strategy go on; False: it has ended."""
        try:
            next(self.strategy)
        except StopIteration as end:
            self.candidates = np.asarray(end.value, np.int64)
            return False
        return True

    def status(self, problem: int) -> str:
        """What `Found.status` says."""
        engine = self.tree.engine
        if problem in self.reasons:
            return f"failed: {self.reasons[problem]}"
        if self.may_fill_up and engine.node_count[problem] == engine.max_nodes:
            return f"cut: its tree has {engine.max_nodes} nodes; pass a larger max_nodes"
        return "done"

    def ask(self, journal: Journal | None) -> list[_Asked]:
        """Take what the trees ask for; answers that are known stand there already."""
        expand, score, judge = self.tree.engine.ask(_ALL, _ALL, max_judge=_ALL)
        asked = []
        if len(expand.tickets):
            asked.append(self._expand(expand))
        if len(score.tickets):
            asked.append(self._evaluate("scorer", score, self.tree.engine.value))
            if self.has_value:
                asked.append(self._evaluate("value", score, self.tree.outcome))
        if len(judge.tickets):
            asked.append(self._evaluate("judge", judge, None))
        if journal is not None:
            for one in asked:
                for i in one.missing():
                    one.answers[i] = journal.get(one.places[i])
        self.waiting = asked
        return asked

    def tell(self) -> None:
        """Give the trees the answers to all that was asked."""
        asked, self.waiting = self.waiting, []
        told = {one.model: one for one in asked}
        for one in asked:
            np.add.at(self.seconds, one.problems, one.seconds / max(len(one.requests), 1))
            for problem, answer in zip(one.problems.tolist(), one.answers, strict=True):
                if isinstance(answer, Failure):
                    self.reasons.setdefault(problem, answer.reason)
        if "policy" in told:
            self._tell_expand(told["policy"])
        if "scorer" in told:
            self._tell_score(told["scorer"], told.get("value"))
        if "judge" in told:
            one = told["judge"]
            good = self._close_failures(one)
            self.tree.engine.tell_judge(
                one.tickets[good], np.array([one.answers[i] for i in good], bool)
            )

    def _expand(self, asked: ExpandRequests) -> _Asked:
        tree, sampling = self.tree, self.tree.sampling
        keys, size = tree.keys.tolist(), tree.engine.max_nodes
        left = (sampling.max_tokens - tree.engine.path_tokens[asked.nodes]).tolist()
        begins, requests, places = [], [], []
        columns = (asked.nodes, asked.problems, asked.samples, asked.modes)
        rows = zip(*(column.tolist() for column in columns), left, strict=True)
        for node, problem, samples, mode, most in rows:
            begin = int(self._drawn[problem])
            self._drawn[problem] += samples
            begins.append(begin - problem * size)
            places.append(("policy", keys[problem], begins[-1]))
            requests.append(
                Expand(
                    tree.problems[problem],
                    tree.steps(node),
                    samples,
                    _MODES[mode],
                    most if _MODES[mode] == "rollout" else min(most, sampling.max_step_tokens),
                    sampling.temperature,
                    sampling.stop,
                    [],
                )
            )
        counts = asked.samples
        numbers = np.repeat(np.array(begins) - np.cumsum(counts) + counts, counts)
        numbers += np.arange(len(numbers))
        seeds = sample_seeds(self.seed, np.repeat(tree.keys[asked.problems], counts), numbers)
        for request, end in zip(requests, np.cumsum(counts).tolist(), strict=True):
            request.seeds.extend(seeds[end - request.samples : end])
        return _Asked(
            "policy", self, asked.tickets, asked.problems, asked.nodes, requests, places,
            [None] * len(requests),
        )  # fmt: skip

    def _evaluate(
        self, model: str, asked: EvaluateRequests, known: NDArray[np.float64] | None
    ) -> _Asked:
        """Requests for scores or judgements; `known` are the scores that there are."""
        tree, engine = self.tree, self.tree.engine
        keys, size = tree.keys.tolist(), engine.max_nodes
        parents = engine.parent[asked.nodes].tolist()
        requests, places, answers = [], [], []
        rows = zip(asked.nodes.tolist(), asked.problems.tolist(), parents, strict=True)
        for node, problem, parent in rows:
            requests.append(Score(tree.problems[problem], tree.steps(node), node, parent))
            places.append((model, keys[problem], node - problem * size))
            nothing_new = known is not None and not tree.own_text.get(node)
            answers.append(self._before(parent, known) if nothing_new else None)
        return _Asked(
            model, self, asked.tickets, asked.problems, asked.nodes, requests, places, answers
        )

    def _before(self, node: int, known: Any) -> list[float]:
        """The score of the last node that has one: an end without words adds nothing to it.

        Of a root, which has no step to score, it is 0.
        """
        while node >= 0 and np.isnan(known[node]):
            node = int(self.tree.engine.parent[node])
        return [float(known[node]) if node >= 0 else 0.0]

    def _tell_expand(self, one: _Asked) -> None:
        tree, engine = self.tree, self.tree.engine
        good = self._close_failures(one)
        told = [one.answers[i] for i in good]
        samples = [sample for answer in told for sample in answer]
        sizes = np.array([len(answer) for answer in told], np.int64)
        counts = np.array([sample.tokens for sample in samples], np.int64)
        ended = np.array([sample.terminal for sample in samples], bool)
        before = np.repeat(engine.path_tokens[one.nodes[good]], sizes)
        children = engine.tell_expand(
            one.tickets[good],
            np.concatenate([[0], np.cumsum(sizes)]),
            texts=[sample.text for sample in samples],
            token_counts=counts,
            logprob=np.array([sample.logprob for sample in samples], float),
            terminal=ended | (before + counts >= tree.sampling.max_tokens),
        ).tolist()
        modes = [one.requests[i].mode for i in good for _ in one.answers[i]]
        for node, sample, mode in zip(children, samples, modes, strict=True):
            tree.own_text[node] = sample.text
            if mode == "rollout" or not sample.text:
                tree.own_steps[node] = split_steps(sample.text, tree.sampling.stop)
            if sample.answer is not None:
                tree.answers_told[node] = sample.answer

    def _tell_score(self, one: _Asked, value: _Asked | None) -> None:
        tree = self.tree
        if value is not None:  # both scorers answer the same requests: one that failed closes them
            for i, answer in enumerate(value.answers):
                if isinstance(answer, Failure):
                    one.answers[i] = answer
        good = self._close_failures(one)
        scores = [one.answers[i] for i in good]
        tree.engine.tell_score(one.tickets[good], np.array([own[-1] for own in scores], float))
        for i, node, all_scores in zip(
            good.tolist(), one.nodes[good].tolist(), scores, strict=True
        ):
            if node in tree.own_steps:
                own = len(tree.own_steps[node])
                whole = len(all_scores) == len(one.requests[i].steps)
                new = own if whole else min(own, 1)
                tree.own_scores[node] = all_scores[len(all_scores) - new :]
        if value is not None:
            tree.outcome[one.nodes[good]] = [value.answers[i][-1] for i in good]

    def _close_failures(self, one: _Asked) -> Ids:
        """Close the requests without an answer; gives the places of the others."""
        failed = np.array([isinstance(answer, Failure) for answer in one.answers], bool)
        if failed.any():
            self.tree.engine.fail(one.tickets[failed], retry=False)
        return np.flatnonzero(~failed)


class _Driver:
    """Takes requests from groups to models and answers back; a model answers one call at a time."""

    def __init__(
        self,
        models: dict[str, Any],
        journal: Journal | None,
        retries: int,
        timeout: float | None,
        progress: Callable[[dict[str, int]], None] | None,
    ) -> None:
        self.models, self.journal, self.progress = models, journal, progress
        self.retries, self.timeout = retries, timeout
        self.calls: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self._waiting: dict[str, deque[_Asked]] = {model: deque() for model in models}
        self._busy: set[str] = set()
        self._done: SimpleQueue[tuple[_Asked, BaseException | None]] = SimpleQueue()

    def run(self, groups: Sequence[_Group]) -> None:
        """Run the strategies of all groups to their ends."""
        for group in groups:
            self._go_on(group)
        while self._busy:
            asked, error = self._done.get()
            self._busy.remove(asked.model)
            if error is not None:
                raise error
            self.answered[asked.model] += len(asked.requests)
            if self.progress is not None:
                counts = {f"{model}_calls": count for model, count in self.calls.items()}
                self.progress({**counts, **self.answered})
            self._begin(asked.model)
            asked.group.calls_open -= 1
            if not asked.group.calls_open:
                asked.group.tell()
                self._go_on(asked.group)

    def _go_on(self, group: _Group) -> None:
        """Run a group until it waits for a model, or has ended."""
        while True:
            asked = group.ask(self.journal)
            if not asked and not group.resume():
                return
            missing = [one for one in asked if one.missing()]
            if missing:
                break
            group.tell()
        group.calls_open = len(missing)
        for one in missing:
            self._waiting[one.model].append(one)
            self._begin(one.model)

    def _begin(self, model: str) -> None:
        """Begin the next call of a model, unless it is at one."""
        if self._waiting[model] and model not in self._busy:
            if self.models[model] is None:
                raise ValueError(f"search: the strategy needs a {model}; pass {model}=")
            self._busy.add(model)
            asked = self._waiting[model].popleft()
            threading.Thread(target=self._answer, args=(asked,), daemon=True).start()

    def _answer(self, asked: _Asked) -> None:
        try:
            began = time.monotonic()
            places = asked.missing()

            def record(which: list[int], answers: list[Any]) -> None:
                if self.journal is not None:
                    self.journal.write([asked.places[places[i]] for i in which], answers)
                for i, answer in zip(which, answers, strict=True):
                    asked.answers[places[i]] = answer

            call_model(
                "second scorer" if asked.model == "value" else asked.model,
                self.models[asked.model],
                [asked.requests[i] for i in places],
                _CHECKS[asked.model],
                retries=self.retries,
                timeout=self.timeout,
                record=record,
                count=lambda: self.calls.update([asked.model]),
            )
            asked.seconds = time.monotonic() - began
            self._done.put((asked, None))
        except BaseException as error:  # raised where the search was called
            self._done.put((asked, error))


def split_steps(text: str, stop: Sequence[str]) -> list[str]:
    """The steps of a response, each with the text that ended it; joined they are the response.

    Args:
        text: the response.
        stop: what ends a step; empty: blank lines, where there are none the ends of lines.
    """
    ends = [re.escape(end) for end in stop] or [r"\n\n+" if "\n\n" in text.strip() else r"\n+"]
    pieces = re.split(f"((?:{'|'.join(ends)})+)", text)
    steps = [body + end for body, end in zip(pieces[::2], [*pieces[1::2], ""], strict=True)]
    if len(steps) > 1 and not steps[-1].strip():
        steps[-2:] = [steps[-2] + steps[-1]]
    return [step for step in steps if step]


def _collect(
    groups: Sequence[_Group], count: int, how: str, rule: str
) -> tuple[list[Found], list[tuple[Tree, int]]]:
    """Let every problem's candidates choose, and put the problems in their order."""
    found: dict[int, Found] = {}
    trees: dict[int, tuple[Tree, int]] = {}
    for group in groups:
        tree, engine = group.tree, group.tree.engine
        spent = (engine.samples_used, engine.tokens_used, engine.prm_tokens_used)
        costs = zip(*(column.tolist() for column in (*spent, group.seconds)), strict=True)
        chosen = choose(tree, group.candidates, how, rule)
        rows = zip(group.own.tolist(), tree.problems, chosen, costs, strict=True)
        for local, (index, problem, (traces, winner, answer), cost) in enumerate(rows):
            found[index] = Found(
                problem,
                answer,
                traces[winner].text if winner >= 0 else "",
                winner,
                group.status(local),
                traces,
                Costs(*cost),
            )
            trees[index] = tree, local
    return [found[i] for i in range(count)], [trees[i] for i in range(count)]


def _strategy(strategy: str | Strategy) -> tuple[str, Strategy]:
    if callable(strategy):
        return getattr(strategy, "__name__", repr(strategy)), strategy
    if strategy not in STRATEGIES:
        raise ValueError(
            f"search: unknown strategy {strategy!r}; choose from {', '.join(STRATEGIES)}"
        )
    return strategy, STRATEGIES[strategy]


def _bind(
    name: str, function: Strategy, how: str | None, parameters: dict[str, Any]
) -> dict[str, Any]:
    """All parameters of a strategy, with its own defaults."""
    known = list(inspect.signature(function).parameters.values())[1:]
    names = [one.name for one in known if one.kind is not inspect.Parameter.VAR_KEYWORD]
    unknown = parameters.keys() - set(names)
    if unknown and len(names) == len(known):
        listed = ", ".join(names) or "none"
        raise ValueError(f"search: {name} has no parameter {min(unknown)!r}; choose from {listed}")
    if how is not None and "how" in names:
        parameters = {**parameters, "how": how}
    empty = inspect.Parameter.empty
    missing = [p.name for p in known if p.name in names and p.default is empty]
    missing = [one for one in missing if one not in parameters]
    if missing:
        raise ValueError(f"search: {name} needs a value for {missing[0]!r}; pass {missing[0]}=")
    return {**{p.name: p.default for p in known if p.default is not empty}, **parameters}


def _problems(problems: Sequence[str]) -> list[str]:
    if isinstance(problems, str):
        raise TypeError("search: problems must be a list of texts; got str; put it into a list")
    for i, problem in enumerate(problems):
        if not isinstance(problem, str):
            raise TypeError(f"search: problems[{i}] must be str; got {type(problem).__name__}")
    if not len(problems):
        raise ValueError("search: problems must hold at least one text; got none")
    return list(problems)


def _budget(what: str, given: Any, count: int) -> Ids | None:
    if given is None:
        return None
    numbers = np.asarray(given)
    if numbers.dtype.kind not in "iu" or numbers.shape not in ((), (count,)):
        raise ValueError(
            f"search: {what} must be a whole number, or one for each of the {count} problems; got "
            f"{given!r:.60}"
        )
    if (numbers < 1).any():
        raise ValueError(f"search: {what} must be at least 1; got {numbers.min()}")
    whole: Ids = np.broadcast_to(numbers.astype(np.int64), count).copy()
    return whole


def _of(budget: Ids | None, own: Ids) -> Ids | None:
    return None if budget is None else budget[own]
