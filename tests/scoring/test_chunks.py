"""Chunks: many traces in parts, the next of which is tokenised while the model runs."""

from __future__ import annotations

import random
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepscore.scoring import score_traces
from stepscore.scoring.arguments import Traces
from stepscore.scoring.chunks import chunk_traces, prefetched

any_traces = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.lists(st.text("xy", max_size=9), max_size=4)),
    max_size=30,
)


def as_traces(pairs) -> Traces:
    return Traces([problem for problem, _ in pairs], [steps for _, steps in pairs])


@given(any_traces, st.integers(0, 60))
def test_every_trace_is_in_one_chunk_and_a_problem_is_never_cut(pairs, characters):
    cut = chunk_traces(as_traces(pairs), characters)
    assert sorted(index for chunk in cut for index in chunk) == list(range(len(pairs)))
    problems = [{pairs[index][0] for index in chunk} for chunk in cut]
    assert sum(map(len, problems)) == len({problem for problem, _ in pairs})
    for chunk in cut:
        assert chunk.dtype == np.int64
        assert chunk.tolist() == sorted(chunk), "the caller's order"


@given(any_traces, st.integers(0, 60))
def test_a_chunk_ends_when_it_is_full(pairs, characters):
    def size(chunk):
        return sum(len(problem) + sum(map(len, steps)) for problem, steps in chunk)

    for chunk in chunk_traces(as_traces(pairs), characters)[:-1]:
        inside = [pairs[index] for index in chunk]
        last = max(problem for problem, _ in inside)
        assert size(inside) > characters
        assert size([pair for pair in inside if pair[0] != last]) <= characters


@given(any_traces, st.integers(0, 60), st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(pairs, characters, rng):
    shuffled = rng.sample(pairs, len(pairs))
    cuts = [
        [
            sorted(order[index] for index in chunk)
            for chunk in chunk_traces(as_traces(order), characters)
        ]
        for order in (pairs, shuffled)
    ]
    assert cuts[0] == cuts[1]


def test_a_few_traces_are_one_chunk():
    assert [
        chunk.tolist() for chunk in chunk_traces(as_traces([("b", ["x"]), ("a", ["y"])] * 50))
    ] == [list(range(100))]


def three() -> list[np.ndarray]:
    return [np.array([index]) for index in range(3)]


def test_the_next_chunk_is_prepared_while_one_is_used():
    threads = []

    def prepare(chunk):
        threads.append(threading.current_thread())
        return int(chunk[0])

    second = threading.Event()

    def prepare_and_say(chunk):
        if chunk[0] == 1:
            second.set()
        return prepare(chunk)

    cut = three()
    for number, (chunk, prepared) in enumerate(prefetched(prepare_and_say, cut)):
        assert chunk is cut[number]
        assert prepared == number
        assert second.wait(10), "prepared before it is asked for"
    assert threading.current_thread() not in threads


def test_one_chunk_needs_no_thread():
    [(_, thread)] = prefetched(lambda _: threading.current_thread(), [np.array([0])])
    assert thread is threading.current_thread()


def test_an_error_in_a_later_chunk_is_raised_before_the_chunk_is_used():
    failed = threading.Event()

    def prepare(chunk):
        if chunk[0] == 2:
            failed.set()
            raise ValueError("chunk 2")
        return chunk

    steps = prefetched(prepare, three())
    assert next(steps)[0] == 0
    assert failed.wait(10)
    time.sleep(0.05)  # the future is told after the event
    with pytest.raises(ValueError, match="chunk 2"):
        next(steps)


def test_who_stops_early_leaves_no_thread():
    before = threading.active_count()
    steps = prefetched(lambda chunk: chunk, three())
    next(steps)
    steps.close()
    assert threading.active_count() == before


@pytest.fixture
def short_chunks(monkeypatch):
    """Waves of a problem each; the cuts that were made."""
    cuts = []

    def cut(traces):
        cuts.append(chunk_traces(traces, characters=0))
        return cuts[-1]

    monkeypatch.setattr(score_traces, "chunk_traces", cut)
    return cuts


@pytest.mark.parametrize("kind", ["qwen", "shepherd", "skywork", "trl"])
def test_scores_of_many_chunks_are_in_order(kind, tiny, loaded, mixed, short_chunks):
    problems, solutions = mixed
    scores = loaded(kind).score(problems, solutions)
    assert len(short_chunks[0]) == 3
    expected = [tiny(kind).read(*trace) for trace in zip(problems, solutions, strict=True)]
    assert [len(values) for values in scores] == [len(steps) for steps in solutions]
    np.testing.assert_allclose(scores.values, np.concatenate(expected), rtol=0, atol=1e-5)


def test_an_error_names_the_callers_own_place(loaded, mixed, short_chunks):
    problems, solutions = mixed
    order = list(range(len(problems)))
    random.Random(0).shuffle(order)
    problems, solutions = [problems[i] for i in order], [solutions[i] for i in order]
    # The last problem by the alphabet is the last chunk.
    last = max(index for index, problem in enumerate(problems) if problem == max(problems))
    solutions[last] = ["We add 3 and 4."] * 200
    with pytest.raises(ValueError, match=rf"score: solutions\[{last}\]: expected at most"):
        loaded("trl").score(problems, solutions)
    assert short_chunks[0][-1][-1] == last
    candidates = [[["So."]], [["So."], ["We add 3 and 4."] * 200], [["So."]]]
    with pytest.raises(ValueError, match=r"rank_many: candidates\[1\]\[1\]: expected at most"):
        loaded("trl").rank_many(["A", "Z", "B"], candidates)


def test_steps_left_out_are_counted_where_they_belong(loaded, mixed, short_chunks):
    problems, solutions = (list(texts) for texts in mixed)
    limited = loaded("trl")
    whole = limited.score(problems, solutions)
    for place in (4, 11):
        solutions[place] = solutions[place] + ["We add 3 and 4."] * 120
    with pytest.warns(UserWarning, match="steps of 2 solutions end past") as record:
        scores = limited.score(problems, solutions, truncation="steps")
    assert len(record) == 1
    assert np.flatnonzero(scores.truncated).tolist() == [4, 11]
    for index, values in enumerate(whole):
        np.testing.assert_allclose(scores[index][: len(values)], values, rtol=0, atol=3e-6)
        assert np.isnan(scores[index]).sum() == scores.truncated[index]
        assert not np.isnan(scores[index][: len(scores[index]) - scores.truncated[index]]).any()
