"""TreeSearch against its specification, and its promises: any order, any batch, any failure."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweep import SWEEP

import stepscore
from stepscore import TreeSearch
from stepscore.ops.tree_search_rules import SELECTION_RULES
from stepscore.reference import TreeSearch as Specification

MAX_NODES = 400
COMPARED = 255  # the public flags


# --- a world that answers, whatever the order -----------------------------------------------


class World:
    """What policy and scorer say of a node is a function of the problem's key and its number."""

    def __init__(
        self,
        keys: list[int],
        *,
        rewards: bool = False,
        terminals: float = 0.1,
        broken: float = 0.0,  # share of the nodes that never get their answer
    ) -> None:
        self.keys, self.rewards, self.terminals, self.broken = keys, rewards, terminals, broken

    def draw(self, node: int, what: str) -> random.Random:
        problem, number = divmod(int(node), MAX_NODES)
        return random.Random(f"{self.keys[problem]} {number} {what}")

    def expand(self, tree: Any, tickets: list[int], nodes: Any, samples: Any) -> Any:
        columns: dict[str, list[Any]] = {
            name: [] for name in ("texts", "logprob", "terminal", "answer_id", "token_counts")
        }
        offsets = [0]
        for node, most in zip(nodes, samples, strict=True):
            rng = self.draw(node, "children")
            told = most if rng.random() < 0.7 else rng.randint(0, most)
            for _ in range(told):
                ends = rng.random() < self.terminals
                columns["texts"].append(rng.choice("abcdefgh") * rng.randint(0, 3))
                columns["logprob"].append(rng.gauss(0, 1))
                columns["terminal"].append(ends)
                columns["answer_id"].append(rng.randint(0, 5) if ends else -1)
                columns["token_counts"].append(rng.randint(0, 9))
            offsets.append(offsets[-1] + told)
        return tree.tell_expand(tickets, np.array(offsets), **columns)

    def score(self, tree: Any, tickets: list[int], nodes: Any) -> None:
        values = [self.draw(node, "value").random() for node in nodes]
        rewards = [self.draw(node, "reward").gauss(0, 0.1) for node in nodes]
        outcomes = [self.draw(node, "outcome").random() for node in nodes]
        tree.tell_score(tickets, values, rewards if self.rewards else None, outcomes=outcomes)


Step = Callable[[Any], int]


def drive(
    tree: Any, world: World, step: Step, *, order: int | None = None, failing: float = 0.0
) -> None:
    """Select, ask and tell until nothing is left; with `order` in random portions and orders."""
    rng = random.Random(order)
    expand: list[tuple[int, ...]] = []
    score: list[tuple[int, ...]] = []
    while True:
        if not step(tree) and not expand and not score and not waiting_in(tree):
            break
        limits = (1 << 20, 1 << 20) if order is None else (rng.randint(0, 5), rng.randint(0, 9))
        each = None if order is None else rng.choice([None, 1, 2])
        asked = tree.ask(*limits, per_problem=each)
        expand += zip(*(column.tolist() for column in asked.expand), strict=True)
        score += zip(*(column.tolist() for column in asked.score), strict=True)
        if order is not None:
            rng.shuffle(expand)
            rng.shuffle(score)
        for waiting, answer in ((expand, world.expand), (score, world.score)):
            count = len(waiting) if order is None else rng.randint(0, len(waiting))
            told, waiting[:] = waiting[:count], waiting[count:]
            failed = [t for t in told if rng.random() < failing]
            tree.fail([t[0] for t in failed], retry=True)
            told = [t for t in told if t not in failed]
            lost = [t for t in told if world.draw(t[1], answer.__name__).random() < world.broken]
            tree.fail([t[0] for t in lost], retry=False)
            told = [t for t in told if t not in lost]
            if told:
                tickets, nodes, _, samples = (list(c) for c in list(zip(*told, strict=True))[:4])
                answer(tree, tickets, nodes, *([samples] if answer == world.expand else []))


def waiting_in(tree: Any) -> bool:
    if isinstance(tree, TreeSearch):
        return tree.open_requests > 0
    return any(ticket.state in ("queued", "asked") for ticket in tree.tickets)


def state(tree: Any, problem: int | None = None) -> list[Any]:
    """Every node's fields; of one problem, with numbers from its root on."""
    if isinstance(tree, Specification):
        everything = [
            (number, fields["links"], {**fields, "flags": fields["flags"] & COMPARED})
            for number, fields in tree.fields()
        ]
    else:
        everything = []
        for number in np.flatnonzero(tree.flags & TreeSearch.EXISTS).tolist():
            names = ("visits", "in_flight", "depth", "answer_id", "path_tokens", "flags")
            names += ("value_sum", "value", "reward", "logprob", "outcome")
            links = [int(tree.parent[number]), *tree.children(number).tolist()]
            fields = {name: getattr(tree, name)[number].item() for name in names}
            fields["flags"] &= COMPARED
            everything.append((number, links, fields))
    size = tree.max_nodes
    return [
        (n - base, [link - base if link >= 0 else -1 for link in links],
         [repr(fields[key]) for key in sorted(fields) if key != "links"])
        for n, links, fields in everything
        for base in [0 if problem is None else problem * size]
        if problem is None or n // size == problem
    ]  # fmt: skip


def searching(rule: str, **parameters: Any) -> Step:
    defaults = {"simulations": 30, "samples": 3}
    return lambda tree: tree.select(rule, **{**defaults, **parameters})


VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *[(rule, {}) for rule in SELECTION_RULES],
    ("puct", {"unvisited": "parent", "c_base": 10.0, "discount": 0.9}),
    ("puct", {"unvisited": "least", "backup": "max"}),
    ("puct", {"prior": "softmax_of_value", "unvisited": "value", "evaluate": "leaf"}),
    ("puct", {"prior": "one", "terminals": "once", "evaluate": "leaf"}),
    ("puct", {"backup_from": "children", "terminals": "once"}),
    ("puct", {"backup_from": "best_child", "terminals": "once", "max_depth": 3}),
    ("uct", {"unvisited": "zero", "max_depth": 2}),
    ("uct", {"unvisited": "parent", "backup_from": "children"}),
    ("uct", {"unvisited": "least", "value_count": 0.5}),
    ("rest_mcts", {"terminals": "once"}),
    ("muzero", {"discount": 0.8}),
    ("muzero", {"evaluate": "children"}),
    ("gumbel", {"considered": 2}),
    ("gumbel", {"considered": 1, "gumbel_scale": 0.0, "evaluate": "children"}),
    ("gumbel", {"terminals": "once"}),
    ("puct", {"backup_from": "rollout", "max_depth": 5, "terminals": "once"}),
    ("llm_reasoners", {"max_depth": 4}),
    ("alphamath", {"max_depth": 3}),
    ("alphamath", {"exhausted": "elsewhere", "depth_value": 0.25, "max_depth": 2}),
    ("masprm", {"ends": "score", "max_depth": 5}),
    ("openr", {"prior": "exp_of_mean", "duplicates": "keep"}),
    ("rest_mcts", {"roll_steps": 0}),
    ("rest_mcts", {"gate": 0.99, "roll_steps": 3, "roll_samples": 2, "roll_weight": 0.25}),
    ("rest_mcts", {"gate": float("inf"), "max_depth": 3, "root": "before"}),
    ("uct", {"count_offset": 0.5, "unvisited": "zero", "gate": 0.95}),
    ("puct", {"exhausted": "stop", "terminals": "once", "duplicates": "merge"}),
]


# --- the specification ----------------------------------------------------------------------


@pytest.mark.parametrize(("leaves", "loss"), [(1, "count"), (3, "count"), (3, "constant")])
@pytest.mark.parametrize(("rule", "parameters"), VARIANTS, ids=str)
def test_every_rule_is_the_specification(
    rule: str, parameters: dict[str, Any], loss: str, leaves: int
) -> None:
    step = searching(rule, leaves=leaves, virtual_loss=loss, **parameters)
    for seed in range(4 if SWEEP else 2):
        options = {"max_nodes": MAX_NODES, "seed": seed, "keys": [5 * seed, 5 * seed + 1]}
        world = World(options["keys"], rewards=seed % 2 == 1)
        ours, theirs = TreeSearch(2, **options), Specification(2, **options)
        for tree in (ours, theirs):
            drive(tree, world, step)
        assert state(ours) == state(theirs)
        for by in ("visits", "value", "gumbel"):
            assert ours.best(by).tolist() == theirs.best(by).tolist(), by
        assert ours.found.tolist() == theirs.found.tolist()
        assert not ours.in_flight.any()


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("duplicates", ["keep", "merge"])
def test_budgets_orders_and_duplicates_are_the_specification(
    deterministic: bool, duplicates: str
) -> None:
    for seed in range(12):
        options = {
            "max_nodes": 60 if seed % 4 == 0 else MAX_NODES,
            "samples": [40, 10**9, 17] if seed % 3 else None,
            "tokens": 60 if seed % 2 else None,
            "prm_tokens": [30, 10**9, 200] if seed % 5 == 1 else None,
            "deterministic": deterministic,
            "duplicates": duplicates,
        }
        step = searching("puct", leaves=1 + seed % 4)
        trees = [TreeSearch(3, **options), Specification(3, **options)]
        for tree in trees:
            drive(tree, World([0, 1, 2], broken=0.1 * (seed % 3)), step, order=seed)
        assert state(trees[0]) == state(trees[1]), seed


@pytest.mark.parametrize("rule", SELECTION_RULES)
def test_a_root_that_was_expanded_by_hand_is_searched_on(rule: str) -> None:
    trees = [TreeSearch(2, max_nodes=MAX_NODES), Specification(2, max_nodes=MAX_NODES)]
    world = World([0, 1], terminals=0.0)
    for tree in trees:
        tree.request_expand([0, MAX_NODES], 7)
        drive(tree, world, lambda _: 0)
        children = [child for child in range(1, 8) if child in state_numbers(tree)]
        tree.request_score(children)
        drive(tree, world, lambda _: 0)
        tree.prune(children[1:3])
        # Without a gate: a child of the root may pass it at once.
        drive(tree, world, searching(rule, leaves=2, gate=float("inf")))
    assert state(trees[0]) == state(trees[1])
    assert 10 <= trees[0].visits[0] <= 30  # rollouts use all nodes up
    assert not trees[0].visits[children[1:3]].any()


def test_the_gate_ends_the_search_of_its_problem_alone() -> None:
    tree = TreeSearch(2, max_nodes=50)
    tree.request_expand(tree.roots, 2)
    tickets = tree.ask().expand.tickets
    children = tree.tell_expand(tickets, [0, 2, 4])
    tree.request_score(children)
    tree.tell_score(tree.ask().score.tickets, [0.5, 0.9, 0.5, 0.875])
    begun = tree.select("rest_mcts", simulations=5, samples=2)
    assert (begun, tree.found.tolist()) == (1, [2, -1])  # the best child of each is looked at
    assert tree.select("rest_mcts", simulations=5, samples=2) == 0
    assert tree.visits[: tree.max_nodes].sum() == 0


def test_a_roll_forward_stays_outside_the_tree() -> None:
    tree = TreeSearch(1, max_nodes=50, samples=20)
    while tree.select("rest_mcts", simulations=1, samples=2, gate=2.0, roll_samples=3):
        while tree.open_requests:
            asked = tree.ask()
            if len(asked.expand.tickets):
                counts = np.append(0, np.cumsum(asked.expand.samples))
                tree.tell_expand(asked.expand.tickets, counts, texts=list("abcdef")[: counts[-1]])
            values = {1: 0.25, 2: 0.5, 3: 0.75, 4: 0.875, 5: 0.125, 6: 0.25, 7: 0.375, 8: 1.0}
            tree.tell_score(asked.score.tickets, [values[n] for n in asked.score.nodes.tolist()])
    # 2 is the better child; 4 the best step after it, and 8 after that.
    assert tree.visits[:9].tolist() == [1, 0, 1, 0, 0, 0, 0, 0, 0]
    assert tree.value_sum[2] == tree.value_sum[0] == 0.5 * 0.5 + 0.5 * 1.0
    assert tree.children(0).tolist() == [1, 2]
    assert [tree.child_count[n] for n in (2, 4)] == [0, 0]
    assert tree.parent[[3, 8]].tolist() == [2, 4]
    rolled = tree.flags[3:9] & TreeSearch.PRUNED
    assert (rolled != 0).all()
    assert 2 in tree.frontier()[0].tolist()
    assert tree.samples_used.tolist() == [8]


def state_numbers(tree: Any) -> set[int]:
    return {number for number, _, _ in state(tree)}


# --- promises -------------------------------------------------------------------------------

SOME = [VARIANTS[i] for i in (0, 1, 2, 3, 5, 6, -1)]


@pytest.mark.parametrize(("rule", "parameters"), SOME, ids=str)
def test_a_batch_is_its_single_runs(rule: str, parameters: dict[str, Any]) -> None:
    step = searching(rule, leaves=2, **parameters)
    keys = list(range(7))
    batch = TreeSearch(7, max_nodes=MAX_NODES, keys=keys)
    drive(batch, World(keys), step)
    for key in keys:
        single = TreeSearch(1, max_nodes=MAX_NODES, keys=[key])
        drive(single, World([key]), step)
        assert state(batch, key) == state(single), key


@pytest.mark.parametrize("broken", [0.0, 0.1])
@pytest.mark.parametrize(("rule", "parameters"), SOME, ids=str)
def test_the_order_of_answers_changes_nothing(
    rule: str, parameters: dict[str, Any], broken: float
) -> None:
    step, world = searching(rule, leaves=4, **parameters), World([0, 1, 2, 3], broken=broken)
    trees = [TreeSearch(4, max_nodes=MAX_NODES) for _ in range(5)]
    for order, tree in enumerate(trees):
        drive(tree, world, step, order=order or None, failing=0.2 if order else 0.0)
    assert trees[0].visits.max() > 10
    assert all(state(tree) == state(trees[0]) for tree in trees)


def test_threads_change_nothing() -> None:
    found = []
    for threads in (1, 4):
        stepscore.set_num_threads(threads)
        tree = TreeSearch(600, max_nodes=40)
        world_of_numbers(tree, simulations=9, samples=4)
        found.append([tree.visits.tobytes(), tree.value_sum.tobytes(), tree.parent.tobytes()])
    assert found[0] == found[1]


def world_of_numbers(tree: TreeSearch, **select: Any) -> None:
    """Answers by arithmetic on node numbers, for large batches."""
    while tree.select("puct", **select):
        asked = tree.ask(1 << 20, 0).expand
        offsets = np.concatenate([[0], np.cumsum(asked.samples)])
        children = tree.tell_expand(asked.tickets, offsets)
        values = children * 7919 % 1009 / 1009
        score = tree.ask(0, 1 << 20).score
        assert np.array_equal(score.nodes, children)
        tree.tell_score(score.tickets, values)


@pytest.mark.parametrize("leaves", [1, 5])
@pytest.mark.parametrize("rule", SELECTION_RULES)
def test_visits_add_up(rule: str, leaves: int) -> None:
    tree = TreeSearch(4, max_nodes=MAX_NODES)
    drive(tree, World([0, 1, 2, 3]), searching(rule, leaves=leaves))
    assert not tree.in_flight.any()
    for node in np.flatnonzero(tree.flags & TreeSearch.EXISTS):
        assert tree.visits[tree.children(node)].sum() <= tree.visits[node]
    assert (tree.visits[tree.roots] > 0).all()
    assert (tree.simulations <= 30).all()


def expanded(**options: Any) -> TreeSearch:
    """A root with four scored children, of which one has four itself."""
    tree = TreeSearch(1, max_nodes=100, **options)
    world_of_numbers(tree, simulations=1, samples=4)
    assert tree.node_count.tolist() == [9]
    return tree


def test_a_leaf_that_waits_is_passed_over() -> None:
    tree = expanded()
    assert tree.select("puct", simulations=50, samples=4, leaves=99) == 7
    nodes = tree.ask().expand.nodes.tolist()
    assert sorted(nodes) == [2, 3, 4, 5, 6, 7, 8]  # every leaf, each once
    assert tree.in_flight[0] == 7
    assert tree.select("puct", simulations=50, samples=4, leaves=99) == 0


def test_without_determinism_a_simulation_begins_while_others_wait() -> None:
    tree = expanded(deterministic=False)
    assert tree.select("puct", simulations=50, samples=4, leaves=2) == 2
    tree.tell_expand(tree.ask(1).expand.tickets, [0, 4])
    scores = tree.ask(0).score
    tree.tell_score(scores.tickets[::-1], [0.1, 0.2, 0.3, 0.4])
    assert tree.visits[0] == 3
    assert tree.in_flight[0] == 1
    assert tree.select("puct", simulations=50, samples=4, leaves=2) == 1


# --- requests -------------------------------------------------------------------------------


def test_problems_share_evenly_and_take_turns() -> None:
    tree = TreeSearch(4, max_nodes=50)
    for problem, requests in enumerate([5, 1, 0, 9]):
        for _ in range(requests):
            tree.request_expand([tree.roots[problem]])

    def problems(*most: int, **options: Any) -> list[int]:
        return tree.ask(*most, **options).expand.problems.tolist()

    assert problems(6) == [0, 0, 0, 1, 3, 3]
    assert problems(3) == [3, 3, 0]  # problem 3 got less: it comes first
    assert problems(100, per_problem=2) == [0, 3, 3]
    assert problems(0) == []
    assert problems() == [3, 3, 3]
    assert problems() == []


def test_a_node_is_expanded_several_times() -> None:
    tree = TreeSearch(1, max_nodes=20)
    assert tree.request_expand([0, 0, 0], [2, 1, 3]).tolist() == [2, 1, 3]
    first, second, third = tree.ask().expand.tickets.tolist()
    told = tree.tell_expand([third, first], [0, 2, 4], texts=["e", "f", "a", "b"])
    assert told.tolist() == [4, 5, 1, 2]
    assert tree.tell_expand([second], [0, 1], texts=["c"]).tolist() == [3]
    assert tree.children(0).tolist() == [1, 2, 3, 4, 5]  # 6 was granted and not told
    assert tree.text([5, 0, 3]) == ["f", "", "c"]
    assert tree.node_count.tolist() == [7]
    assert tree.child_count[0] == 5
    assert tree.flags[6] == 0


def test_requests_say_what_they_need() -> None:
    tree = TreeSearch(2, max_nodes=20)
    tree.request_expand([20], 2, mode="rollout")
    asked = tree.ask().expand
    assert [column.tolist() for column in asked] == [[0], [20], [1], [2], [3]]
    tokens, offsets = np.arange(5, dtype=np.int32), [0, 3, 5]
    children = tree.tell_expand(asked.tickets, [0, 2], tokens=tokens, token_offsets=offsets)
    tree.request_expand(children[:1])
    told = tree.tell_expand(tree.ask().expand.tickets, [0, 1], tokens=[7, 8], token_offsets=[0, 2])
    tree.request_score([*told, 20])
    score = tree.ask().score
    assert score.parent_tokens.tolist() == [3, 0]
    tree.tell_score(score.tickets, [0.5, 0.25], rewards=[1.0, 2.0])
    assert tree.prm_tokens_used.tolist() == [0, 2]
    assert tree.tokens_used.tolist() == [0, 7]
    packed, path_offsets = tree.tokens([*told, 20, children[1]])
    assert packed.tolist() == [0, 1, 2, 7, 8, 3, 4]
    assert path_offsets.tolist() == [0, 5, 5, 7]
    nodes, node_offsets = tree.path(told)
    assert nodes.tolist() == [20, 21, 23]
    assert node_offsets.tolist() == [0, 3]
    tree.request_judge(told)
    judge = tree.ask().judge
    tree.tell_judge(judge.tickets, [True])
    assert tree.flags[told[0]] & TreeSearch.CORRECT
    assert not tree.flags[children[0]] & TreeSearch.JUDGED


def test_the_frontier_and_pruning() -> None:
    tree = TreeSearch(2, max_nodes=20)
    assert tree.frontier()[0].tolist() == [0, 20]
    tree.request_expand([0], 4)
    assert tree.frontier()[0].tolist() == [20]
    tree.tell_expand(tree.ask().expand.tickets, [0, 4], terminal=[False, True, False, False])
    tree.prune([3])
    nodes, offsets = tree.frontier()
    assert nodes.tolist() == [1, 4, 20]
    assert offsets.tolist() == [0, 2, 3]


def test_budgets_end_a_search() -> None:
    tree = TreeSearch(3, max_nodes=10, samples=[3, 100, 100], tokens=[100, 5, 100])
    granted = tree.request_expand([0, 0, 10, 20], [2, 2, 4, 100])
    assert granted.tolist() == [2, 1, 4, 9]  # 3 samples; 4; what 10 nodes leave
    asked = tree.ask().expand
    offsets = np.concatenate([[0], np.cumsum(asked.samples)])
    counts = np.ones(offsets[-1], np.int64) * 2
    tree.tell_expand(asked.tickets, offsets, token_counts=counts)
    assert tree.request_expand([1, 11, 21]).tolist() == [0, 0, 0]
    assert tree.samples_used.tolist() == [3, 4, 9]
    assert tree.open_requests == 0


# --- failures -------------------------------------------------------------------------------


def test_a_failure_without_retry_leaves_no_trace() -> None:
    tree = expanded()
    before = [tree.visits.copy(), tree.value_sum.copy()]
    assert tree.select("puct", simulations=9, samples=4, leaves=2) == 2
    asked = tree.ask().expand
    tree.fail(asked.tickets, retry=False)
    assert not tree.in_flight.any()
    assert np.array_equal(tree.visits, before[0])
    assert np.array_equal(tree.value_sum, before[1])
    assert (tree.flags[asked.nodes] & TreeSearch.PRUNED).all()
    world_of_numbers(tree, simulations=9, samples=4)
    assert tree.visits[0] > before[0][0]
    assert (tree.visits[asked.nodes] == 0).all()


def test_a_problem_whose_policy_fails_stops_alone() -> None:
    keys = [0, 1]
    alone = TreeSearch(1, max_nodes=MAX_NODES, keys=[1])
    drive(alone, World([1]), searching("puct"))
    tree = TreeSearch(2, max_nodes=MAX_NODES, keys=keys)
    searching("puct")(tree)
    asked = tree.ask().expand
    tree.fail(asked.tickets[:1], retry=False)
    World(keys).expand(tree, [asked.tickets[1]], asked.nodes[1:], asked.samples[1:])
    drive(tree, World(keys), searching("puct"))
    assert state(tree, 1) == state(alone)
    assert tree.best().tolist()[0] == -1


def test_an_expansion_without_children_ends_a_node() -> None:
    tree = TreeSearch(1, max_nodes=10)
    tree.request_expand([0, 0])
    tickets = tree.ask().expand.tickets
    tree.tell_expand(tickets[:1], [0, 0])
    assert not tree.flags[0] & TreeSearch.TERMINAL  # the other may still bring some
    tree.fail(tickets[1:], retry=False)
    assert tree.flags[0] & TreeSearch.TERMINAL


def prepared() -> tuple[TreeSearch, Any, Any]:
    """Tickets 0 (told), 1 (expand, asked), 2 (score, asked), 3 (expand, queued), 4 (failed)."""
    tree = TreeSearch(1, max_nodes=100)
    tree.request_expand([0], 2)
    tree.tell_expand(tree.ask().expand.tickets, [0, 2])
    tree.request_expand([1], 2)
    tree.request_score([1])
    asked = tree.ask()
    tree.request_expand([2], 2)
    tree.request_judge([2])
    tree.fail(tree.ask(0, 0).judge.tickets, retry=False)
    return tree, asked.expand.tickets, asked.score.tickets


WRONG: list[tuple[Callable[[TreeSearch], Any], str]] = [
    (lambda t: t.tell_expand([7], [0, 1]), "tell_expand: ticket 7 was never asked"),
    (lambda t: t.tell_expand([-1], [0, 1]), "ticket -1 was never asked"),
    (lambda t: t.tell_expand([3], [0, 1]), "ticket 3 was never asked"),
    (lambda t: t.tell_expand([0], [0, 1]), "ticket 0 was told before"),
    (lambda t: t.tell_expand([1, 1], [0, 1, 2]), "ticket 1 was told before"),
    (lambda t: t.tell_expand([1, 0], [0, 1, 2]), "ticket 0 was told before"),
    (lambda t: t.tell_judge([4], [True]), "ticket 4 was closed by fail"),
    (lambda t: t.tell_expand([2], [0, 1]), "ticket 2 is answered by tell_score"),
    (lambda t: t.tell_score([1], [0.5]), "ticket 1 is answered by tell_expand"),
    (lambda t: t.tell_expand([1], [0, 3]), "ticket 1 asks for 2 children at most; got 3"),
    (lambda t: t.tell_expand([1], [0]), "child_offsets must have shape \\[2\\]"),
    (lambda t: t.tell_expand([1], [1, 2]), "child_offsets must begin at 0"),
    (lambda t: t.tell_expand([1], [0, -1]), "child_offsets must not decrease"),
    (
        lambda t: t.tell_expand([1], [0, 2], texts=["a"]),
        "texts must have a step for each of 2 children; got 1",
    ),
    (
        lambda t: t.tell_expand([1], [0, 1], tokens=[2**40], token_offsets=[0, 1]),
        "tokens must fit int32; got 1099511627776",
    ),
    (
        lambda t: t.tell_expand([1], [0, 1], tokens=[5, 6], token_offsets=[0, 1]),
        "token_offsets must end at 2; got 1",
    ),
    (lambda t: t.tell_expand([1], [0, 2], logprob=[1.0]), "logprob must have shape \\[2\\]"),
    (
        lambda t: t.tell_expand([1], [0, 2], logprob=[0.0, float("nan")]),
        "logprob\\[1\\] is nan",
    ),
    (lambda t: t.tell_expand([1], [0, 1], answer_id=[-2]), "answer_id\\[0\\] is -2"),
    (lambda t: t.tell_expand([1], [0, 1], token_counts=[-2]), "token_counts\\[0\\] is -2"),
    (lambda t: t.tell_expand([1], [0, 1], token_counts=[2**31]), "a path have fewer than 2\\^31"),
    (lambda t: t.tell_score([2], [float("nan")]), "values\\[0\\] is nan \\(ticket 2\\)"),
    (lambda t: t.tell_score([2], [float("inf")]), "values\\[0\\] is inf"),
    (lambda t: t.tell_score([2], [0.5], [float("nan")]), "rewards\\[0\\] is nan"),
    (lambda t: t.tell_score([2], [0.5, 0.5]), "values must have shape \\[1\\]"),
    (lambda t: t.fail([3]), "fail: ticket 3 was never asked"),
    (lambda t: t.fail([2, 2]), "ticket 2 was told before"),
    (lambda t: t.request_score([2, 1]), "node 1 is asked for already"),
    (lambda t: t.request_score([2, 2]), "node 2 is asked for already"),
    (lambda t: t.request_score([50]), "request_score: there is no node 50"),
    (lambda t: t.request_expand([0, 100]), "there is no node 100"),
    (lambda t: t.request_expand([0], 0), "samples\\[0\\] must be 1 or more; got 0"),
    (
        lambda t: t.request_expand([0], mode="word"),
        "request_expand: unknown mode 'word'; choose from step, block",
    ),
    (lambda t: t.prune([-1]), "prune: there is no node -1"),
    (lambda t: t.path([9]), "path: there is no node 9"),
    (lambda t: t.uniform([100]), "uniform: there is no node 100"),
    (lambda t: t.uniform([1], -1), "draws\\[0\\] must be 0 or more"),
    (lambda t: t.ask(-1), "ask: the greatest number of requests"),
    (lambda t: t.ask(per_problem=0), "per_problem must be 1 or more"),
    (lambda t: t.select("ucb", simulations=1, samples=1), "unknown rule 'ucb'; choose from puct"),
    (lambda t: t.select("uct", simulations=1, samples=1, e=1), "unknown parameter 'e'"),
    (
        lambda t: t.select("uct", simulations=1, samples=1, prior="flat"),
        "select: unknown prior 'flat'; choose from one, exp, softmax",
    ),
    (lambda t: t.select("uct", simulations=0, samples=1), "simulations must be 1 or more"),
    (lambda t: t.select("uct", simulations=1, samples=0), "samples must be 1 or more"),
    (lambda t: t.select("uct", simulations=1, samples=1, leaves=0), "leaves must be 1 or more"),
    (
        lambda t: t.select("muzero", simulations=1, samples=1, backup_from="rollout"),
        "backup_from='rollout' follows the best child and needs evaluate='children'",
    ),
    (lambda t: t.best("luck"), "best: unknown by 'luck'; choose from visits, value, gumbel"),
]


@pytest.mark.parametrize(("call", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_is_wrong_is_named_and_changes_nothing(
    call: Callable[[TreeSearch], Any], message: str
) -> None:
    tree, expand, score = prepared()
    before = tree._core.snapshot()
    with pytest.raises(ValueError, match=message):
        call(tree)
    assert tree._core.snapshot() == before
    tree.tell_expand(expand, [0, 2])
    tree.tell_score(score, [0.5])


def test_types_are_checked() -> None:
    tree, expand, _ = prepared()
    with pytest.raises(TypeError, match="tell_expand: tickets must hold integers"):
        tree.tell_expand([0.5], [0, 1])
    with pytest.raises(TypeError, match="terminal must hold bools"):
        tree.tell_expand(expand, [0, 2], terminal=[0, 1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 0}, "samples\\[0\\] must be 1 or more; got 0"),
        ({"tokens": [5, 0]}, "tokens\\[1\\] must be 1 or more; got 0"),
        ({"prm_tokens": -1}, "prm_tokens\\[0\\] must be 1 or more; got -1"),
        ({"max_nodes": 0}, "max_nodes must be 1 or more"),
        ({"max_nodes": 2**31}, "problems \\* max_nodes must be below 2\\^31"),
        ({"keys": [1]}, "keys must have shape \\[2\\]"),
        ({"duplicates": "drop"}, 'duplicates must be "keep" or "merge"'),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TreeSearch(2, **{"max_nodes": 5, **options})


def test_tokens_with_a_budget_must_be_counted() -> None:
    tree = TreeSearch(1, max_nodes=5, tokens=10)
    tree.request_expand([0])
    with pytest.raises(ValueError, match="token_counts must be given where tokens have a budget"):
        tree.tell_expand(tree.ask().expand.tickets, [0, 1])


def test_the_rule_stays_while_simulations_wait() -> None:
    tree = TreeSearch(1, max_nodes=50)
    tree.select("puct", simulations=5, samples=2)
    with pytest.raises(ValueError, match="the rule must not change while simulations wait"):
        tree.select("uct", simulations=5, samples=2)


def test_wrong_tickets_never_harm_the_tree() -> None:
    rng = random.Random(0)
    expected = TreeSearch(2, max_nodes=MAX_NODES)
    drive(expected, World([0, 1]), searching("puct", leaves=3))
    tree = TreeSearch(2, max_nodes=MAX_NODES)

    def step(tree: Any) -> int:
        known = tree._core.snapshot()
        for _ in range(5):
            tickets = [rng.randint(-2, 400), 10**12]
            with pytest.raises(ValueError, match="ticket"):
                rng.choice([
                    lambda tickets=tickets: tree.tell_expand(tickets, [0, 1, 2]),
                    lambda tickets=tickets: tree.tell_score(tickets, [0.5, 0.5]),
                    lambda tickets=tickets: tree.tell_judge(tickets, [True, False]),
                    lambda tickets=tickets: tree.fail(tickets),
                ])()  # fmt: skip
        assert tree._core.snapshot() == known
        begun = searching("puct", leaves=3)(tree)
        return int(begun)

    drive(tree, World([0, 1]), step)
    assert state(tree) == state(expected)


# --- random numbers -------------------------------------------------------------------------


def test_random_numbers_are_those_of_the_specification() -> None:
    options = {"max_nodes": MAX_NODES, "seed": 2**64 - 3, "keys": [0, -1, 2**40]}
    ours, theirs = TreeSearch(3, **options), Specification(3, **options)
    for tree in (ours, theirs):
        drive(tree, World([0, 1, 2]), searching("puct"))
    nodes = np.flatnonzero(ours.flags & 1)
    for draw in (0, 5, 2**32 - 2):
        assert ours.uniform(nodes, draw).tolist() == theirs.uniform(nodes, draw).tolist()
    numbers = ours.uniform(nodes)
    assert len(set(numbers.tolist())) == len(nodes)
    assert 0.4 < numbers.mean() < 0.6


def test_random_numbers_know_no_batch() -> None:
    batch = TreeSearch(3, max_nodes=10, seed=1, keys=[7, 8, 9])
    single = TreeSearch(1, max_nodes=99, seed=1, keys=[9])
    assert batch.uniform([20, 23], [4, 4]).tolist() == single.uniform([0, 3], [4, 4]).tolist()


# --- files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["puct", "gumbel", "rest_mcts"])
def test_a_loaded_search_goes_on_to_the_same_result(rule: str, tmp_path: Path) -> None:
    step, world = searching(rule, leaves=3), World([0, 1, 2])
    expected = TreeSearch(3, max_nodes=MAX_NODES, tokens=200)
    drive(expected, world, step)
    for stop in (1, 4, 9, 20):
        tree = TreeSearch(3, max_nodes=MAX_NODES, tokens=200)
        calls = 0

        def interrupted(tree: Any, stop: int = stop) -> int:
            nonlocal calls
            calls += 1
            if calls == stop:
                tree.ask(1, 1)  # answers that never come
                tree.save(tmp_path / "search")
                raise KeyboardInterrupt
            return int(step(tree))

        with pytest.raises(KeyboardInterrupt):
            drive(tree, world, interrupted, order=stop)
        again = TreeSearch.load(tmp_path / "search")
        assert [p.name for p in tmp_path.iterdir()] == ["search"]
        drive(again, world, step)
        assert state(again) == state(expected)
        assert again.text([3]) == expected.text([3])
        assert again.best("gumbel").tolist() == expected.best("gumbel").tolist()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "search"
    tree = TreeSearch(2, max_nodes=50)
    world_of_numbers(tree, simulations=5, samples=2)
    tree.save(path)
    whole = path.read_bytes()
    TreeSearch.load(path)
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 4
    other_version = bytearray(whole)
    other_version[8] = 99
    cases = [
        (b"", "no file of TreeSearch.save"),
        (b"PK" + whole[2:], "no file of TreeSearch.save"),
        (whole[:20], "no file of TreeSearch.save"),
        (whole[:-1], "truncated"),
        (whole + b" ", "truncated"),
        (bytes(damaged), "damaged"),
        (bytes(other_version), "version 99"),
    ]
    for content, message in cases:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"search: load: .*{message}"):
            TreeSearch.load(path)
    with pytest.raises(FileNotFoundError):
        TreeSearch.load(tmp_path / "nothing")


# --- arrays ---------------------------------------------------------------------------------


def test_fields_are_views_that_cannot_be_written() -> None:
    tree = TreeSearch(1, max_nodes=9)
    visits = tree.visits
    world_of_numbers(tree, simulations=3, samples=2)
    assert visits[0] == 4
    with pytest.raises(ValueError, match="read-only"):
        visits[0] = 1
    del tree
    assert visits[0] == 4  # the view keeps the memory


def test_nothing_to_search() -> None:
    tree = TreeSearch(0, max_nodes=5)
    assert tree.select("puct", simulations=1, samples=1) == 0
    assert [len(field) for field in tree.ask()[0]] == [0] * 5
    assert tree.best().tolist() == []
    assert repr(tree) == "TreeSearch(problems=0, max_nodes=0, nodes=0)"


def test_memory_of_a_large_search_is_small() -> None:
    tree = TreeSearch(10_000, max_nodes=200)
    size = sum(
        field.nbytes for field in tree._core.fields().values() if isinstance(field, np.ndarray)
    )
    assert size < 250e6


# --- threads --------------------------------------------------------------------------------


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_policy_and_a_scorer_tell_from_their_own_threads(deterministic: bool) -> None:
    world = World([0, 1, 2, 3])
    expected = TreeSearch(4, max_nodes=MAX_NODES)
    drive(expected, world, searching("muzero", leaves=3))
    tree = TreeSearch(4, max_nodes=MAX_NODES, deterministic=deterministic)
    over, errors = threading.Event(), []

    def policy() -> None:
        while not over.is_set():
            asked = tree.ask(3, 0).expand
            if len(asked.tickets):
                world.expand(tree, asked.tickets.tolist(), asked.nodes, asked.samples.tolist())

    def scorer() -> None:
        while not over.is_set():
            asked = tree.ask(0, 3).score
            if len(asked.tickets):
                world.score(tree, asked.tickets.tolist(), asked.nodes)

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in (policy, scorer)]
    for thread in threads:
        thread.start()
    step = searching("muzero", leaves=3)
    idle = False
    while not idle and not errors:
        waiting = tree.open_requests
        idle = not step(tree) and not waiting
    over.set()
    for thread in threads:
        thread.join(timeout=30)
        assert not thread.is_alive()
    assert not errors
    assert (tree.in_flight == 0).all()
    assert (tree.simulations == 30).all()
    if deterministic:
        assert state(tree) == state(expected)
