"""Requests in one forward pass: none lost, none answered twice or with another's scores."""

from __future__ import annotations

import asyncio
import random
import re
from dataclasses import replace

import numpy as np
import pytest
from lab_requests import ARGUMENTS, Asked, drawn

from stepscore.errors import Argument, InputError
from stepscore.scoring.forward.plan import ForwardCosts
from stepscore.scoring.score_options import ScoreOptions
from stepscore.scoring.together import Call, Part, PreparedScores, read_together
from stepscore.server.batching import Batcher
from stepscore.server.errors import OverloadedError, TooLargeError, UnavailableError
from stepscore.server.settings import Settings

# Whatever is shared is worth it.
FREE = ForwardCosts(token=1.0, fork=0.0)


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 300))


def direct(prm, asked, **options):
    return prm.score(asked.problem, asked.candidates, **options)


def same(answer, expected):
    """Whether an answer has the bits of a direct call."""
    scores = answer.scores
    assert scores.values.tobytes() == expected.values.tobytes()
    assert scores.offsets.tolist() == expected.offsets.tolist()
    assert scores.truncated.tolist() == expected.truncated.tolist()
    assert scores.skipped.keys() == expected.skipped.keys()
    return True


def ask(batcher, asked, options=None, **how):
    return batcher.score(ARGUMENTS, asked.problems, asked.candidates, options, **how)


# --- prepared, read together, answered alone --------------------------------------------------


def prepared(prm, asked, options=None):
    return PreparedScores.of(prm, call_of(asked, options))


def call_of(asked, options=None):
    return Call(ARGUMENTS, asked.problems, asked.candidates, options or ScoreOptions())


def test_calls_that_are_read_together_have_the_bits_of_calls_alone(lab):
    draw = random.Random(1)
    every = [drawn(draw) for _ in range(20)]
    sharing = replace(lab, costs=FREE)
    calls = [prepared(sharing, asked) for asked in every]
    plans = []
    parts = [Part(call, 0, len(call.lengths)) for call in calls]
    assert read_together(sharing.engine, parts, plans.append) == [None] * 20
    for call, asked in zip(calls, every, strict=True):
        assert call.scores().values.tobytes() == direct(lab, asked).values.tobytes()
    # They share across calls, too.
    assert sum(plan.forwarded for plan in plans) < sum(call.new_tokens.sum() for call in calls)


def test_a_call_in_parts_has_the_bits_of_a_whole_one(lab):
    asked = drawn(random.Random(2), candidates=9)
    call = prepared(lab, asked)
    for begin, end in ((0, 1), (1, 5), (5, 9)):
        assert read_together(lab.engine, [Part(call, begin, end)]) == [None]
    assert call.scores().values.tobytes() == direct(lab, asked).values.tobytes()


def test_new_tokens_count_what_no_trace_before_begins_with(lab):
    problem = "85+95-16+20+11-30=?"
    call = prepared(lab, Asked(problem, [["1+2=3"], ["1+2=3", "3+4=7"], ["1+2=3"], ["1+2=4"]]))
    first, second, third, fourth = call.new_tokens.tolist()
    assert first == call.lengths[0]
    assert second == call.lengths[1] - call.lengths[0]
    assert third == 0
    assert fourth == 2  # the digit, and the end of the step
    alone = prepared(replace(lab, costs=None), Asked(problem, [["1+2=3"], ["1+2=3"]]))
    assert alone.new_tokens.tolist() == alone.lengths.tolist()


def test_calls_that_are_tokenised_together_are_those_of_each_alone(lab):
    sharing, draw = replace(lab, costs=FREE), random.Random(3)
    long = "1+" * sharing.renderer.max_length + "1=2"
    kept = [ScoreOptions(truncation=name, on_bad="keep") for name in ("error", "steps")]
    calls = [call_of(drawn(draw), kept[number % 2]) for number in range(5)]
    apart = [
        call_of(Asked("1+2=?", [["1+2=3"], []])),  # refused before it is tokenised
        call_of(Asked("1+2=?", [["1+2=3"], []]), kept[0]),
        call_of(Asked("1+2=?", [[""]]), kept[0]),  # nothing is left of it
        call_of(Asked("1+2=?", [["1+2=3"], ["1+2=3", long]])),  # refused once it is tokenised
        call_of(Asked("1+2=?", [["1+2=3"], ["1+2=3", long]]), kept[0]),
        call_of(Asked("1+2=?", [["1+2=3", long]]), kept[1]),
        call_of(Asked("1+2=?", [["1+2=3"]]), ScoreOptions(truncation="middle")),
    ]
    for every, expected in ((calls, 0), (calls + apart, 3), (apart, 3), (calls + apart[5:6], 0)):
        faults = 0
        for call, given in zip(every, PreparedScores.of_many(sharing, every), strict=True):
            if isinstance(given, Exception):
                with pytest.raises(type(given), match=f"^{re.escape(str(given))}$"):
                    PreparedScores.of(sharing, call)
                faults += 1
                continue
            alone = PreparedScores.of(sharing, call)
            assert given.lengths.tolist() == alone.lengths.tolist()
            assert given.new_tokens.tolist() == alone.new_tokens.tolist()
            mine, its = read(lab, given), read(lab, alone)
            assert mine.values.tobytes() == its.values.tobytes()
            assert mine.truncated.tolist() == its.truncated.tolist()
            assert list(map(str, mine.skipped.values())) == list(map(str, its.skipped.values()))
        assert faults == expected


def read(prm, call):
    if len(call.lengths):
        assert read_together(prm.engine, [Part(call, 0, len(call.lengths))]) == [None]
    return call.scores()


def test_one_that_cannot_be_forwarded_costs_no_other(lab, monkeypatch):
    engine = lab.engine
    every = [drawn(random.Random(seed)) for seed in range(7)]
    every[4] = Asked("1+2=?", [["1*2=3"]])
    calls = [prepared(lab, asked) for asked in every]
    star = lab.tokenizer.encode("*", add_special_tokens=False)[-1]
    stock = type(engine).read

    def read(self, call, traces, **how):
        if star in traces.token_ids:
            raise RuntimeError("a kernel that does not start")
        return stock(self, call, traces, **how)

    monkeypatch.setattr(type(engine), "read", read)
    faults = read_together(engine, [Part(call, 0, len(call.lengths)) for call in calls])
    assert [type(fault) for fault in faults] == [type(None)] * 4 + [RuntimeError] + [type(None)] * 2
    monkeypatch.undo()
    for number in (0, 1, 2, 3, 5, 6):
        expected = direct(lab, every[number])
        assert calls[number].scores().values.tobytes() == expected.values.tobytes()


# --- the batcher ------------------------------------------------------------------------------

FAULTS = ("none", "empty step", "sign", "too long", "nan", "gone")


def spoilt(asked, fault, draw):
    """Make a request that is at fault."""
    candidates = [list(each) if isinstance(each, list) else each for each in asked.candidates]
    place = draw.randrange(len(candidates))
    if fault == "empty step":
        candidates[place] = ["1+2=3", " "]
    elif fault == "sign":
        candidates[place] = ["1+2=3", "one more"]
    elif fault == "too long":
        candidates[place] = ["1+2=3"] * 400
    elif fault == "nan":
        candidates[place] = ["1*2=3"]
    return Asked(asked.problem, candidates)


@pytest.mark.parametrize("seed", range(12))
def test_random_arrivals_faults_and_clients_that_go(seed, damaged):
    draw = random.Random(seed)
    settings = Settings(
        token_budget=draw.choice([1, 60, 300, 4000]),
        batch_requests=draw.choice([1, 3, 1000]),
        latency=draw.choice([0.0, 0.003]),
    )
    every = []
    for _ in range(40):
        fault = draw.choice(FAULTS) if draw.random() < 0.5 else "none"
        every.append((spoilt(drawn(draw), fault, draw), fault))
    expected = []
    for asked, _ in every:
        try:
            expected.append(direct(damaged, asked))
        except ValueError as error:
            expected.append(error)
    kinds = [isinstance(each, Exception) for each in expected]
    assert kinds == [fault not in ("none", "gone") for _, fault in every]
    batches = []

    async def client(batcher, asked, fault):
        asking = asyncio.create_task(ask(batcher, asked))
        if fault == "gone":
            await asyncio.sleep(draw.random() * 0.02)
            asking.cancel()
        return await asking

    async def body():
        async with Batcher(damaged, settings, batches.append) as batcher:
            clients = []
            for asked, fault in every:
                clients.append(asyncio.create_task(client(batcher, asked, fault)))
                if draw.random() < 0.5:
                    await asyncio.sleep(draw.random() * 0.004)
            answers = await asyncio.gather(*clients, return_exceptions=True)
            assert len(batcher.line) == batcher.line.tokens == 0
            assert batcher.requests.taken == batcher.tokens.taken == 0
            return answers

    answers = run(body())
    for (_, fault), answer, truth in zip(every, answers, expected, strict=True):
        if isinstance(truth, Exception):
            assert type(answer) is type(truth)
            assert answer.clauses(str) == truth.clauses(str)
            assert answer.argument.index == truth.argument.index
            assert answer.argument.name in ("candidates", "problem")
        elif isinstance(answer, asyncio.CancelledError):
            assert fault == "gone"
        else:
            assert same(answer, truth)
    assert all(batch.requests <= settings.batch_requests for batch in batches)


def test_options_are_those_of_score(lab):
    asked = Asked("85+95-16=?", [["85+95=180"], [" "], ["1+2=3"] * 400, ["85+95=170<eos>"]])
    options = {"truncation": "steps", "on_bad": "keep"}
    with pytest.warns(UserWarning, match="were not scored"):
        expected = direct(lab, asked, **options)

    async def body():
        async with Batcher(lab) as batcher:
            return await ask(batcher, asked, ScoreOptions(**options))

    answer = run(body())
    same(answer, expected)
    assert np.isnan(answer.scores.values).any()
    assert answer.scores.stripped == expected.stripped


def test_nothing_to_forward_is_answered(lab):
    async def body():
        async with Batcher(lab) as batcher:
            nothing = await batcher.score(ARGUMENTS, [], [])
            skipped = await ask(batcher, Asked("1+2=?", [[" "]]), ScoreOptions(on_bad="keep"))
            return nothing, skipped

    nothing, skipped = run(body())
    assert len(nothing.scores) == 0
    assert list(skipped.scores.skipped) == [0]


def test_requests_that_come_together_are_forwarded_together(lab):
    every = [drawn(random.Random(seed)) for seed in range(12)]
    batches = []

    async def body():
        settings = Settings(token_budget=100_000, latency=0.2)
        async with Batcher(lab, settings, batches.append) as batcher:
            return await asyncio.gather(*(ask(batcher, asked) for asked in every))

    for answer, asked in zip(run(body()), every, strict=True):
        same(answer, direct(lab, asked))
    [batch] = batches
    assert batch.requests == 12
    assert max(batch.forwarded, batch.tokens) < batch.given


def test_a_request_over_the_budget_is_cut_and_answered_whole_in_its_turn(lab):
    large = drawn(random.Random(3), candidates=40)
    small = [drawn(random.Random(seed), candidates=1) for seed in range(3)]
    batches, order = [], []

    async def client(batcher, name, asked):
        answer = await ask(batcher, asked)
        order.append(name)
        return answer

    async def body():
        settings = Settings(token_budget=60, latency=0.05)
        async with Batcher(lab, settings, batches.append) as batcher:
            named = [("small 0", small[0]), ("large", large), ("small 1", small[1])]
            tasks = [client(batcher, *each) for each in [*named, ("small 2", small[2])]]
            return await asyncio.gather(*tasks)

    answers = run(body())
    for answer, asked in zip(answers, [small[0], large, *small[1:]], strict=True):
        same(answer, direct(lab, asked))
    assert order == ["small 0", "large", "small 1", "small 2"]
    assert len(batches) > 4
    assert max(batch.tokens for batch in batches) <= 60


def test_a_full_house_refuses_and_says_when_to_come_again(lab):
    every = [drawn(random.Random(seed)) for seed in range(6)]

    async def body():
        settings = Settings(max_requests=3, latency=0.1, token_budget=10**6)
        async with Batcher(lab, settings) as batcher:
            asking = (ask(batcher, asked) for asked in every)
            return await asyncio.gather(*asking, return_exceptions=True)

    answers = run(body())
    assert [type(answer).__name__ for answer in answers] == ["Answer"] * 3 + ["OverloadedError"] * 3
    assert answers[3].retry_after >= 1
    assert "at most 3 requests" in str(answers[3])
    for answer, asked in zip(answers[:3], every, strict=False):
        same(answer, direct(lab, asked))


def test_tokens_that_wait_are_bounded_but_one_request_is_always_taken(lab):
    every = [drawn(random.Random(seed), candidates=8) for seed in range(4)]

    async def body():
        settings = Settings(max_waiting_tokens=1, latency=0.05)
        async with Batcher(lab, settings) as batcher:
            asking = (ask(batcher, asked) for asked in every)
            return await asyncio.gather(*asking, return_exceptions=True)

    answers = run(body())
    same(answers[0], direct(lab, every[0]))
    assert all(isinstance(answer, OverloadedError) for answer in answers[1:])


def test_a_held_request_waits_in_place_of_being_refused(lab):
    every = [drawn(random.Random(seed)) for seed in range(30)]

    async def body():
        settings = Settings(max_requests=2, max_waiting_tokens=100, latency=0.0)
        async with Batcher(lab, settings) as batcher:
            return await asyncio.gather(*(ask(batcher, each, held=True) for each in every))

    for answer, asked in zip(run(body()), every, strict=True):
        same(answer, direct(lab, asked))


def test_a_held_request_is_refused_in_the_end(lab):
    async def body():
        settings = Settings(max_requests=1, hold_timeout=0.02, latency=0.3)
        async with Batcher(lab, settings) as batcher:
            first = asyncio.create_task(ask(batcher, drawn(random.Random(1))))
            await asyncio.sleep(0)
            with pytest.raises(OverloadedError):
                await ask(batcher, drawn(random.Random(2)), held=True)
            await first

    run(body())


def test_a_shutdown_finishes_what_was_accepted_and_refuses_the_rest(lab):
    every = [drawn(random.Random(seed)) for seed in range(10)]

    async def body():
        settings = Settings(max_requests=4, token_budget=100, latency=0.0)
        batcher = Batcher(lab, settings)
        assert batcher.state == "loading"
        with pytest.raises(UnavailableError, match="one that is loading"):
            await ask(batcher, every[0])
        async with batcher:
            asking = [asyncio.create_task(ask(batcher, each, held=True)) for each in every]
            await asyncio.sleep(0)
        assert batcher.state == "draining"
        assert all(each.done() for each in asking)
        with pytest.raises(UnavailableError, match="one that is draining"):
            await ask(batcher, every[0], held=True)
        return [each.result() for each in asking]

    for answer, asked in zip(run(body()), every, strict=True):
        same(answer, direct(lab, asked))


def test_a_shutdown_gives_up_what_takes_too_long(lab, monkeypatch):
    import threading

    go_on = threading.Event()

    async def body():
        settings = Settings(drain_timeout=0.05, latency=0.0)
        async with Batcher(lab, settings) as batcher:
            stuck = asyncio.create_task(batcher.run(go_on.wait, 1))
            await asyncio.sleep(0.02)
            behind = asyncio.create_task(ask(batcher, drawn(random.Random(1))))
            await asyncio.sleep(0.05)
            closing = asyncio.create_task(batcher.drain())
            with pytest.raises(UnavailableError):
                await behind
            go_on.set()
            await closing
            assert await stuck

    run(body())


def test_work_of_its_own_takes_its_turn(lab):
    order = []

    async def body():
        async with Batcher(lab, Settings(latency=0.02)) as batcher:
            first = ask(batcher, drawn(random.Random(1)))
            alone = batcher.run(lambda: order.append("alone") or 7, 10)

            async def last():
                await ask(batcher, drawn(random.Random(2)))
                order.append("last")

            return await asyncio.gather(first, alone, last())

    assert run(body())[1] == 7
    assert order == ["alone", "last"]


def test_what_work_raises_comes_to_who_asked(lab):
    async def body():
        async with Batcher(lab) as batcher:
            with pytest.raises(KeyError):
                await batcher.run(lambda: {}["nothing"], 1)
            return await ask(batcher, drawn(random.Random(1)))

    same(run(body()), direct(lab, drawn(random.Random(1))))


@pytest.mark.parametrize(
    ("limits", "candidates", "message"),
    [
        ({"max_candidates": 2}, [["1+2=3"]] * 3, "candidates[2]: expected at most 2 "),
        ({"max_steps": 2}, [["1+2=3"] * 3], "candidates[0][2]: expected at most 2 "),
        ({"max_steps": 2}, ["1+2=3\n" * 3], "candidates[0][2]: expected at most 2 "),
        ({"max_characters": 20}, [["1+2=3"] * 4], "candidates[0]: expected at most 20 "),
        ({"max_request_tokens": 9}, [["1+2=3"] * 4], "expected at most 9 (max request tokens)"),
    ],
)
def test_what_one_request_may_ask_is_limited(limits, candidates, message, lab):
    async def body():
        async with Batcher(lab, Settings(**limits)) as batcher:
            with pytest.raises(TooLargeError) as refused:
                await ask(batcher, Asked("1+2=?", candidates))
            assert message in str(refused.value)
            assert batcher.requests.taken == 0

    run(body())


def test_settings_are_checked():
    with pytest.raises(InputError, match="max_steps: expected a whole number of at least 1; got 0"):
        Settings(max_steps=0)
    with pytest.raises(InputError, match="latency: expected a number of at least 0; got nan"):
        Settings(latency=float("nan"))
    with pytest.raises(InputError) as refused:
        Settings(token_budget=True)
    assert refused.value.argument == Argument("token_budget")
