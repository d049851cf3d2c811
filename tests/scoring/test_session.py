"""Sessions: only new tokens are forwarded, and the scores are those of whole traces."""

from __future__ import annotations

import gc
import random
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from models import PROBLEMS, STEPS

from stepscore.scoring.forward.key_values import Segment
from stepscore.scoring.forward.memory import token_bytes
from stepscore.scoring.session import MemoryLimitError

KINDS = ["qwen", "shepherd", "skywork", "trl", "trl-llama"]


def grow(prm, opened, rounds, draw, check=True):
    """Extend random nodes by random steps; compare each with the whole trace scored at once."""
    problem_of = dict(zip(opened.roots, PROBLEMS, strict=False))
    nodes = list(opened.roots)
    for _ in range(rounds):
        parents = [draw.choice(nodes) for _ in range(draw.randrange(1, 8))]
        steps = [draw.choice([[draw.choice(STEPS)], draw.sample(STEPS, 2)]) for _ in parents]
        grown = opened.extend(parents, steps)
        assert [len(values) for values in grown.scores] == [len(values) for values in steps]
        for node, parent, added, scores in zip(
            grown.nodes, parents, steps, grown.scores, strict=True
        ):
            problem_of[node] = problem_of[parent]
            assert opened.steps(node) == opened.steps(parent) + added
            if check:
                whole = prm.score(problem_of[node], [opened.steps(node)])[0]
                np.testing.assert_allclose(scores, whole[-len(added) :], rtol=0, atol=1e-5)
                np.testing.assert_allclose(opened.scores(node), whole, rtol=0, atol=1e-5)
        nodes += grown.nodes
    return nodes


@pytest.mark.parametrize("kind", KINDS)
def test_a_trace_that_grows_has_the_scores_of_the_whole(kind, loaded):
    prm = loaded(kind)
    with prm.session(PROBLEMS) as opened:
        grow(prm, opened, 6, random.Random(0))
        assert opened.stats.forwarded < opened.stats.given / 2


@pytest.mark.parametrize("kind", ["qwen", "shepherd"])
def test_under_a_memory_limit_what_was_dropped_is_computed_again(kind, loaded):
    prm = loaded(kind)
    limit = 300 * token_bytes(prm.backbone)
    with prm.session(PROBLEMS, memory_limit=limit) as opened:
        grow(prm, opened, 8, random.Random(1))
        assert opened.stats.dropped > 0
        assert opened.stats.peak_bytes <= limit


def test_a_model_that_shares_nothing_has_the_same_sessions(loaded):
    prm = replace(loaded("qwen"), costs=None)
    with prm.session(PROBLEMS) as opened:
        grow(prm, opened, 3, random.Random(2))
        assert opened.stats.forwarded == opened.stats.given


@pytest.mark.parametrize("budget", [16, 50, 4096])
def test_batches_of_any_size_give_the_scores_of_the_whole(budget, loaded):
    prm = replace(loaded("trl"), token_budget=budget)
    with prm.session(PROBLEMS) as opened:
        grow(prm, opened, 4, random.Random(3))


def test_only_the_new_tokens_are_forwarded(loaded, monkeypatch):
    prm = loaded("qwen")
    forwarded = []
    original = type(prm.backbone).forward

    def forward(self, input_ids, **options):
        forwarded.append(input_ids.numel())
        return original(self, input_ids=input_ids, **options)

    monkeypatch.setattr(type(prm.backbone), "forward", forward)
    with prm.session(PROBLEMS[0]) as opened:
        first = opened.extend(opened.roots[0], STEPS[:3])
        assert sum(forwarded) == opened.stats.forwarded
        forwarded.clear()
        second = opened.extend(first.nodes, [STEPS[4]] * 3)
        whole = prm.engine  # the tokens of a step alone, with its separator
        step = len(prm.tokenizer(STEPS[4] + "<extra_0>", add_special_tokens=False)["input_ids"])
        assert whole is not None
        assert sum(forwarded) == 3 * step
        forwarded.clear()
        # A root that is extended again finds its problem among what its children keep.
        opened.extend(opened.roots[0], [STEPS[3]])
        step = len(prm.tokenizer(STEPS[3] + "<extra_0>", add_special_tokens=False)["input_ids"])
        assert step <= sum(forwarded) <= step + 1
        assert second.nodes


def test_a_fork_copies_nothing(loaded):
    prm = loaded("qwen")
    with prm.session(PROBLEMS[0]) as opened:
        [node] = opened.extend(opened.roots[0], [STEPS[3]]).nodes
        before = opened.stats.kept_bytes
        opened.extend(node, [STEPS[0], STEPS[1], STEPS[2]])
        new = opened.stats.kept_bytes - before
        tokens = [
            len(prm.tokenizer(s + "<extra_0>", add_special_tokens=False)["input_ids"])
            for s in STEPS[:3]
        ]
        assert new <= sum(tokens) * token_bytes(prm.backbone)


def test_a_trace_that_grows_alone_stays_in_one_segment(loaded):
    prm = loaded("trl")
    with prm.session(PROBLEMS[0]) as opened:
        [node] = opened.extend(opened.roots[0], [STEPS[0]]).nodes
        for step in STEPS * 3:
            [node] = opened.extend(node, [step]).nodes
        assert len(opened._nodes[node].prefix.parts) <= 3


def test_what_is_freed_is_gone(loaded, monkeypatch):
    alive = weakref.WeakSet()
    original = Segment.__init__

    def init(self, *arguments):
        original(self, *arguments)
        alive.add(self)

    monkeypatch.setattr(Segment, "__init__", init)
    prm = loaded("qwen")
    opened = prm.session(PROBLEMS[0])
    first = opened.extend(opened.roots[0], STEPS[:4])
    second = opened.extend(first.nodes, STEPS[:4])
    full = opened.stats.kept_bytes
    opened.free(first.nodes[0])  # and what continues it
    assert opened.stats.kept_bytes < full
    opened.keep([second.nodes[2]])
    assert len(opened) == 3
    assert opened.steps(second.nodes[2]) == [STEPS[2], STEPS[2]]
    kept = opened.stats.kept_bytes
    opened.close()
    assert opened.stats.kept_bytes == 0 < kept
    gc.collect()
    assert not list(alive)


def test_branches_in_another_order_get_the_same_bits(loaded):
    prm = loaded("skywork")
    results = []
    for order in ([0, 1, 2, 3, 4], [3, 1, 4, 0, 2]):
        with prm.session(PROBLEMS[:1]) as opened:
            grown = opened.extend([opened.roots[0]] * 5, [STEPS[i] for i in order])
            results.append({order[i]: grown.scores[i].tobytes() for i in range(5)})
    assert results[0] == results[1]


def test_equal_branches_get_equal_scores_and_own_nodes(loaded):
    with loaded("qwen").session(PROBLEMS[0]) as opened:
        grown = opened.extend(opened.roots[0], [STEPS[0]] * 3)
        assert len(set(grown.nodes)) == 3
        assert len({scores.tobytes() for scores in grown.scores}) == 1
        again = opened.extend(opened.roots[0], [STEPS[0]])
        np.testing.assert_allclose(again.scores[0], grown.scores[0], rtol=0, atol=1e-6)


def test_out_of_memory_makes_the_batches_smaller(loaded, monkeypatch):
    prm = replace(loaded("qwen"), token_budget=400)
    with prm.session(PROBLEMS) as opened:
        expected = opened.extend(opened.roots, STEPS[:3]).scores.values
    original = type(prm.backbone).forward

    def forward(self, input_ids, **options):
        if input_ids.numel() > 64:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(self, input_ids=input_ids, **options)

    monkeypatch.setattr(type(prm.backbone), "forward", forward)
    with prm.session(PROBLEMS) as opened:
        with pytest.warns(UserWarning, match=r"extend: batches of 400 tokens did not fit"):
            first = opened.extend(opened.roots, STEPS[:3])
        np.testing.assert_allclose(first.scores.values, expected, rtol=0, atol=1e-5)


def test_nothing_to_extend_is_nothing(loaded):
    with loaded("qwen").session(PROBLEMS) as opened:
        grown = opened.extend([], [])
        assert grown.nodes == []
        assert len(grown.scores) == 0


@pytest.fixture
def opened(loaded):
    with loaded("qwen").session(PROBLEMS) as made:
        yield made


def test_a_closed_session_refuses(loaded):
    opened = loaded("qwen").session(PROBLEMS)
    opened.close()
    with pytest.raises(ValueError, match="session: expected an open session"):
        opened.extend(opened.roots, STEPS[:3])
    with pytest.raises(ValueError, match="session: expected an open session"):
        opened.scores(0)
    opened.close()  # twice does no harm
    assert "closed" in repr(opened)


def test_a_freed_node_refuses(opened):
    grown = opened.extend(opened.roots[0], [STEPS[0]])
    opened.free(grown.nodes)
    for call in (
        lambda: opened.extend(grown.nodes, [STEPS[1]]),
        lambda: opened.free(grown.nodes),
        lambda: opened.keep(grown.nodes),
        lambda: opened.steps(grown.nodes[0]),
    ):
        with pytest.raises(ValueError, match=f"session: .* node {grown.nodes[0]}, which was freed"):
            call()
    with pytest.raises(ValueError, match="node 99, which does not exist"):
        opened.extend([99], [STEPS[0]])


@pytest.mark.parametrize(
    ("nodes", "steps", "error", "message"),
    [
        ([0, 1], ["a"], ValueError, r"extend: steps: expected one item per node \(2\); got 1"),
        ([0], "a", TypeError, "extend: steps: expected a list"),
        (0, 3, TypeError, "extend: steps: expected a list"),
        ("0", ["a"], TypeError, "extend: nodes: expected a node, which is a whole number.*got str"),
        (None, ["a"], TypeError, "extend: nodes: expected a node, .*; got NoneType"),
        (True, ["a"], TypeError, "extend: nodes: expected a node, .*; got bool"),
        (0.0, ["a"], TypeError, "extend: nodes: expected a node, .*; got float"),
        ([True], ["a"], TypeError, "a node, which is a whole number; got bool"),
        ([0], [[]], ValueError, r"extend: steps\[0\]: expected a step, or a list of at least one"),
        ([0, 1], ["fine.", ""], ValueError, r"extend: steps\[1\]: expected a step with text"),
        ([0], ["a <extra_0> b"], ValueError, r"extend: steps\[0\]"),
        ([0], [[1]], TypeError, r"extend: steps\[0\]\[0\]: expected a text; got int"),
        (
            [0],
            ["word " * 600],
            ValueError,
            r"extend: steps\[0\]: expected at most 512 tokens .*; got 3053 tokens; leave it out$",
        ),
    ],
)
def test_bad_input_names_the_place_and_changes_nothing(nodes, steps, error, message, opened):
    before = len(opened)
    with pytest.raises(error, match=message):
        opened.extend(nodes, steps)
    assert len(opened) == before
    assert opened.extend(0, ["We add 3 and 4."]).nodes == [before]


def test_a_branch_beyond_the_memory_limit_is_named(loaded):
    prm = loaded("qwen")
    with prm.session(PROBLEMS, memory_limit=1000) as opened:
        with pytest.raises(
            MemoryLimitError, match=r"extend: steps\[0\]: .* fit the limit of 0.001 MB"
        ):
            opened.extend(opened.roots, STEPS[:3])
        assert len(opened) == 3


@pytest.mark.parametrize(
    ("problems", "options", "error", "message"),
    [
        (3, {}, TypeError, "session: problems: expected a list"),
        (["a", 3], {}, TypeError, r"session: problems\[1\]: expected a text"),
        (["a"], {"memory_limit": 0}, ValueError, "session: memory_limit: expected at least 1 byte"),
    ],
)
def test_a_session_of_nothing_sensible_is_refused(problems, options, error, message, loaded):
    with pytest.raises(error, match=message):
        loaded("qwen").session(problems, **options)


def test_a_session_takes_more_problems_in(loaded):
    prm = loaded("trl")
    with prm.session(PROBLEMS[:1]) as opened:
        opened.extend(opened.roots[0], STEPS[:1])
        (root,) = opened.begin(PROBLEMS[1:2])
        assert opened.roots == [0, root]
        values = opened.extend([opened.roots[0], root], [STEPS[1], STEPS[1]]).scores.values
        whole = prm.score(PROBLEMS[:2], [[STEPS[1]], [STEPS[1]]]).values
        np.testing.assert_allclose(values, whole, atol=1e-5)
        with pytest.raises(TypeError, match=r"session: problems\[1\]: expected a text; got int"):
            opened.begin([PROBLEMS[2], 3])
        assert len(opened.roots) == 2
    with pytest.raises(ValueError, match="session: expected an open session"):
        opened.begin(PROBLEMS)
