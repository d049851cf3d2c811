"""Room: never more than there is, first come, first served, and nothing lost by who gives up."""

from __future__ import annotations

import asyncio
import random

import pytest

from stepscore.server.room import Room


class FullError(Exception):
    pass


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 60))


def test_who_does_not_wait_is_refused():
    async def body():
        room = Room(3)
        async with room.taken_for(2, None, FullError):
            assert room.has(1)
            assert not room.has(2)
            with pytest.raises(FullError):
                async with room.taken_for(2, None, FullError):
                    pass
        assert room.taken == 0

    run(body())


def test_the_first_of_all_is_let_in_whatever_it_needs():
    async def body():
        room = Room(3)
        async with room.taken_for(100, None, FullError):
            assert not room.has(1)
        assert room.taken == 0

    run(body())


def test_who_waits_too_long_is_refused_and_those_behind_it_go_on():
    async def body():
        room, loop = Room(2), asyncio.get_running_loop()
        order = []

        async def wait(name, amount, seconds):
            try:
                async with room.taken_for(amount, loop.time() + seconds, FullError):
                    order.append(name)
            except FullError:
                order.append(f"{name} refused")

        async with room.taken_for(1, None, FullError):
            large = asyncio.create_task(wait("large", 2, 0.05))
            small = asyncio.create_task(wait("small", 1, 60))
            await asyncio.sleep(0)
            assert room.waiting == 2  # the small one does not overtake
            await asyncio.gather(large, small)
        assert order == ["large refused", "small"]
        assert room.taken == room.waiting == 0

    run(body())


@pytest.mark.parametrize("seed", range(20))
def test_random_visitors(seed):
    draw = random.Random(seed)

    async def body():
        room, loop = Room(10), asyncio.get_running_loop()
        let_in, outcomes, inside = [], [], 0

        async def visit(number, amount, until):
            nonlocal inside
            try:
                # One whose time ends in the moment in which it is let in comes in a moment later.
                waits = until is not None and not room.has(amount) and until > loop.time() + 1
                async with room.taken_for(amount, until, FullError):
                    if waits:
                        let_in.append(number)
                    inside += amount
                    try:
                        assert inside <= room.taken  # who is let in comes in a moment later
                        assert room.taken <= 10 or room.taken == inside == amount
                        await asyncio.sleep(draw.random() * 0.004)
                    finally:
                        inside -= amount
                outcomes.append("in")
            except FullError:
                outcomes.append("refused")
            except asyncio.CancelledError:
                outcomes.append("gone")

        tasks = []
        for number in range(60):
            until = draw.choice([None, loop.time() + 60, loop.time() + 0.003])
            tasks.append(asyncio.create_task(visit(number, draw.randrange(1, 13), until)))
            await asyncio.sleep(draw.random() * 0.002)
            if draw.random() < 0.3:
                draw.choice(tasks).cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [each for each in ended if isinstance(each, AssertionError)]
        assert room.taken == room.waiting == inside == 0
        assert "in" in outcomes
        assert let_in == sorted(let_in)

    run(body())
