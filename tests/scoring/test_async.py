"""The asynchronous forms: the bits of the others, and an event loop that goes on."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from contextlib import aclosing
from dataclasses import replace

import numpy as np
import pytest

import stepscore
from stepscore.errors import InputError
from stepscore.scoring import asynchronous
from stepscore.scoring.forward import head
from stepscore.scoring.turns import in_turn

PROBLEM = "What is 3 + 4?"
CANDIDATES = [
    "We add 3 and 4.\nThe sum is 7.",
    ["She sells 9 eggs.", "So the answer is 9"],
    "Therefore, the total is 12.",
    "Half of 10 + 6 is 8.\nSo x is 3.\nThe value is x = 12.",
]


@pytest.fixture
def slow(monkeypatch):
    """Make every batch take a moment; gives the batches that were read, as thread and time."""
    read = []
    stock = head.read_steps

    def slowly(*arguments):
        begin = time.perf_counter()
        time.sleep(0.05)
        scores = stock(*arguments)
        read.append((threading.current_thread().name, begin, time.perf_counter()))
        return scores

    monkeypatch.setattr(head, "read_steps", slowly)
    return read


async def ticks(beats, every=0.002):
    """Note when the event loop came by."""
    while True:
        beats.append(time.perf_counter())
        await asyncio.sleep(every)


@pytest.mark.parametrize("kind", ["qwen", "shepherd", "skywork", "trl"])
@pytest.mark.parametrize("token_budget", [150, 1024])
def test_ascore_gives_the_bits_of_score(kind, token_budget, loaded, mixed):
    prm = replace(loaded(kind), token_budget=token_budget)
    expected = prm.score(*mixed)
    scores = asyncio.run(prm.ascore(*mixed))
    assert scores.values.tobytes() == expected.values.tobytes()
    assert scores.offsets.tolist() == expected.offsets.tolist()
    one = asyncio.run(prm.ascore(mixed[0][0], mixed[1][:2]))
    assert one.values.tobytes() == prm.score(mixed[0][0], mixed[1][:2]).values.tobytes()


def test_arank_gives_what_rank_gives(loaded):
    prm = loaded("trl")
    for options in ({}, {"how": "min", "top_k": 2}):
        expected = prm.rank(PROBLEM, CANDIDATES, **options)
        assert asyncio.run(prm.arank(PROBLEM, CANDIDATES, **options)) == expected


def test_the_event_loop_stays_alive(loaded, slow):
    prm = replace(loaded("trl"), costs=None, token_budget=1)

    async def run():
        beats = []
        beating = asyncio.create_task(ticks(beats))
        await asyncio.sleep(0)
        await prm.ascore(PROBLEM, CANDIDATES)
        beating.cancel()
        return np.array(beats)

    beats = asyncio.run(run())
    assert all(thread.startswith("stepscore-score") for thread, _, _ in slow)
    assert len(slow) == len(CANDIDATES)
    for _, begin, end in slow:
        assert np.count_nonzero((beats > begin) & (beats < end)) >= 1, "the loop stood still"


def test_one_forward_at_a_time_in_the_order_of_the_calls(loaded, slow):
    prm = replace(loaded("trl"), costs=None, token_budget=1)
    shares_its_backbone = replace(prm, max_length=100)
    ended = []

    async def call(model, name):
        await model.ascore(PROBLEM, CANDIDATES[:2])
        ended.append(name)

    async def run():
        await asyncio.gather(
            call(prm, "a"), call(shares_its_backbone, "b"), call(prm, "c"), call(prm, "d")
        )

    asyncio.run(run())
    assert ended == ["a", "b", "c", "d"]
    assert len(slow) == 8
    for (_, _, end), (_, begin, _) in itertools.pairwise(slow):
        assert end <= begin, "two forward passes at the same time"


def test_a_cancelled_call_ends_with_its_batch_and_one_in_line_does_nothing(loaded, slow):
    prm = replace(loaded("trl"), costs=None, token_budget=1)

    async def run():
        running = asyncio.create_task(prm.ascore(PROBLEM, CANDIDATES * 5))
        waiting = asyncio.create_task(prm.ascore(PROBLEM, CANDIDATES * 5))
        while not slow:
            await asyncio.sleep(0.001)
        running.cancel()
        waiting.cancel()
        done = await asyncio.gather(running, waiting, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in done)
        return await prm.ascore(PROBLEM, CANDIDATES)  # and the model is free again

    scores = asyncio.run(run())
    assert scores.values.tobytes() == prm.score(PROBLEM, CANDIDATES).values.tobytes()
    assert len(slow) - 2 * len(CANDIDATES) <= 3  # of 40 batches


def test_a_timeout_is_a_timeout(loaded, slow):
    prm = replace(loaded("trl"), costs=None, token_budget=1)
    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(asyncio.wait_for(prm.ascore(PROBLEM, CANDIDATES * 5), 0.08))


def test_errors_name_the_call_and_leave_the_model_usable(loaded):
    prm = loaded("qwen")

    async def run(call):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - what it is, is returned
            await call
        return caught.value

    bad = asyncio.run(run(prm.ascore(PROBLEM, ["fine", ["a", "b <extra_0>"]])))
    assert isinstance(bad, InputError)
    assert str(bad).startswith("ascore: solutions[1][1]: expected a step without '<extra_0>'")
    assert str(asyncio.run(run(prm.arank(PROBLEM, [])))).startswith("arank: candidates: expected")
    assert "arank: problem: " in str(asyncio.run(run(prm.arank(3, ["a"]))))
    assert "ascore_stream: problem: " in str(asyncio.run(run(anext(prm.ascore_stream(3, ["a"])))))
    assert "ascore: on_bad" in str(asyncio.run(run(prm.ascore(PROBLEM, ["a"], on_bad="skip"))))
    assert len(asyncio.run(prm.ascore(PROBLEM, ["a"]))) == 1


# --- candidates as they come --------------------------------------------------------------------


async def generated(candidates, every=0.0, noted=None):
    for candidate in candidates:
        await asyncio.sleep(every)
        if noted is not None:
            noted.append(time.perf_counter())
        yield candidate


def collected(stream):
    async def run():
        return [each async for each in stream]

    return asyncio.run(run())


@pytest.mark.parametrize("kind", ["qwen", "trl"])
@pytest.mark.parametrize("every", [0.0, 0.003])
def test_a_stream_gives_every_candidate_in_order(kind, every, loaded, mixed):
    prm = loaded(kind)
    problems, solutions = mixed
    expected = prm.score(problems, solutions)
    pairs = list(zip(problems, solutions, strict=True))
    scored = collected(prm.ascore_stream(None, generated(pairs, every)))
    assert [each.index for each in scored] == list(range(len(pairs)))
    assert [each.candidate for each in scored] == solutions
    for each, values in zip(scored, expected, strict=True):
        np.testing.assert_allclose(each.step_scores, values, rtol=0, atol=3e-6)


def test_a_stream_gives_the_bits_of_score_of_what_came_together(loaded, mixed, monkeypatch):
    prm = loaded("qwen")
    groups = []
    stock = type(prm)._score

    def noted(self, arguments, problems, solutions, options):
        groups.append((list(problems), list(solutions)))
        return stock(self, arguments, problems, solutions, options)

    monkeypatch.setattr(type(prm), "_score", noted)
    pairs = list(zip(*mixed, strict=True))
    scored = collected(prm.ascore_stream(None, generated(pairs, 0.001)))
    monkeypatch.undo()
    assert sum(len(solutions) for _, solutions in groups) == len(pairs)
    expected = [values for group in groups for values in prm.score(*group)]
    for each, values in zip(scored, expected, strict=True):
        assert each.scores.values.tobytes() == values.tobytes()


def test_scoring_runs_beside_what_makes_the_candidates(loaded, slow):
    prm = replace(loaded("trl"), costs=None, token_budget=1)
    made = []
    scored = collected(prm.ascore_stream(PROBLEM, generated(CANDIDATES * 3, 0.02, made)))
    assert len(scored) == len(made) == 12
    between = [t for t in made if any(begin < t < end for _, begin, end in slow)]
    assert between, "no candidate came while batches were read"
    assert slow[0][1] < made[-1], "scoring waited for the last candidate"


def test_arank_of_a_stream_ranks_all_that_came(loaded):
    prm = loaded("trl")
    expected = prm.rank(PROBLEM, CANDIDATES, how="mean", top_k=3)
    ranking = asyncio.run(prm.arank(PROBLEM, generated(CANDIDATES), how="mean", top_k=3))
    assert [each.index for each in ranking] == [each.index for each in expected]
    assert [each.text for each in ranking] == [each.text for each in expected]
    for each, other in zip(ranking, expected, strict=True):
        np.testing.assert_allclose(each.step_scores, other.step_scores, rtol=0, atol=3e-6)
    with pytest.raises(InputError, match="arank: candidates: expected at least one"):
        asyncio.run(prm.arank(PROBLEM, generated([])))


def test_a_candidate_at_fault_is_raised_in_its_turn(loaded):
    prm = loaded("qwen")
    candidates = ["fine", "good", "", "never"]

    async def run(candidates, problem=PROBLEM, **options):
        seen = []
        try:
            async for each in prm.ascore_stream(problem, candidates, **options):
                seen.append(each)
        except InputError as error:
            return seen, error
        return seen, None

    seen, error = asyncio.run(run(candidates))
    assert [each.candidate for each in seen] == ["fine", "good"]
    assert str(error).startswith("ascore_stream: candidates[2]: expected at least one step")
    seen, error = asyncio.run(run(candidates, on_bad="keep"))
    assert error is None
    assert [len(each.step_scores) for each in seen] == [1, 1, 0, 1]
    assert str(seen[2].scores.skipped[0]).startswith("ascore_stream: candidates[2]: ")
    pairs = [(PROBLEM, "fine"), ("a <extra_0>", "b"), (PROBLEM, "c")]
    seen, error = asyncio.run(run(pairs, None))
    assert [each.index for each in seen] == [0]
    assert str(error).startswith("ascore_stream: candidates[1]: expected a problem without")
    seen, error = asyncio.run(run([(PROBLEM, "fine"), "no pair"], None))
    assert [each.index for each in seen] == [0]
    assert "candidates[1]: expected a pair of problem and solution" in str(error)


def test_an_error_of_the_source_comes_after_what_it_gave(loaded):
    prm = loaded("trl")

    async def breaks():
        yield CANDIDATES[0]
        yield CANDIDATES[1]
        raise OSError("the server went away")

    async def run():
        seen = []
        try:
            async for each in prm.ascore_stream(PROBLEM, breaks()):
                seen.append(each.index)
        except OSError as error:
            return seen, str(error)
        return seen, ""

    assert asyncio.run(run()) == ([0, 1], "the server went away")


@pytest.mark.parametrize("given", [0, 2, 2000])
def test_a_source_that_was_cancelled_ends_the_stream(given, loaded, monkeypatch):
    prm = loaded("trl")
    if given > 1024:  # more than wait at a time
        monkeypatch.setattr(asynchronous, "_WAITING", 8)
        given = 20

    async def aborted():
        for _ in range(given):
            yield CANDIDATES[0]
        raise asyncio.CancelledError  # as a request to a server does that somebody aborted

    async def run():
        seen = []
        try:
            async for each in prm.ascore_stream(PROBLEM, aborted()):
                seen.append(each.index)
        except asyncio.CancelledError:
            return seen
        return None

    assert asyncio.run(asyncio.wait_for(run(), 60)) == list(range(given))


def test_leaving_a_stream_ends_the_scoring_and_closes_the_source(loaded, slow):
    prm = replace(loaded("trl"), costs=None, token_budget=1)
    closed = []

    async def endless():
        try:
            while True:
                await asyncio.sleep(0)
                yield CANDIDATES[0]
        finally:
            closed.append(True)

    async def run():
        async with aclosing(prm.ascore_stream(PROBLEM, endless())) as stream:
            async for _ in stream:
                break
        return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    assert asyncio.run(run()) == []
    assert closed == [True]
    assert len(slow) <= 3


def test_nan_of_one_candidate_costs_no_other(loaded, monkeypatch):
    prm = loaded("trl")
    stock = head.read_steps

    def sick(*arguments):
        scores = stock(*arguments).clone()
        scores[-1] = float("nan")
        return scores

    monkeypatch.setattr(head, "read_steps", sick)
    prm = replace(prm, costs=None, token_budget=100_000)

    async def run(**options):
        seen = []
        try:
            async for each in prm.ascore_stream(PROBLEM, ["a", "b", "c and d"], **options):
                seen.append(each.index)
        except InputError as error:
            return seen, str(error)
        return seen, ""

    seen, error = asyncio.run(run())
    assert "expected a finite score" in error
    assert f"candidates[{len(seen)}][0]" in error
    assert asyncio.run(run(nan="propagate")) == ([0, 1, 2], "")


def test_scores_of_parts_keep_what_was_skipped_and_removed():
    from stepscore.scoring.scores import joined, only

    prm = stepscore.load("lab")
    texts = ["85+95=180", "", "85+95=170\n170-16=154"]
    scores = prm.score("85+95-16+20+11-30=?", texts, on_bad="keep")
    again = joined([only(scores, candidate) for candidate in range(3)])
    assert again.to_list() == scores.to_list()
    assert list(again.skipped) == list(scores.skipped) == [1]
    assert again.stripped == scores.stripped


def test_work_of_others_takes_its_turn_too():
    class Backbone:
        pass

    order = []

    async def run():
        backbone = Backbone()
        await asyncio.gather(*(in_turn(backbone, lambda n=n: order.append(n)) for n in range(20)))

    asyncio.run(run())
    assert order == list(range(20))
