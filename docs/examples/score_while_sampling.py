"""Candidates are scored while others are still sampled: an asynchronous best of N.

`ascore_stream` takes what gives candidates in ``async for``, such as the answers of a server, and
gives each with its scores, in their order. Forward passes run in a thread beside the event loop,
one at a time; whatever has come meanwhile goes into the next one together.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import stepscore
from stepscore import lab

[problem] = lab.generate(1, seed=3, split="eval")
[texts] = lab.load_policy().sample([problem], 16, seed=0)
prm = stepscore.load("lab")


async def sampled() -> AsyncIterator[str]:
    """As an endpoint would give them, one after the other."""
    for text in texts:
        await asyncio.sleep(0.01)
        yield text


async def main() -> None:
    """Stop at the first candidate all of whose steps are likely right."""
    seen = 0
    async for scored in prm.ascore_stream(problem, sampled()):
        seen += 1
        if min(scored.step_scores) > 0.9:
            print(f"candidate {scored.index} will do, after {seen} of {len(texts)}")
            break
    # Or all of them, ranked: as rank gives them, once the last one has come.
    best, *_ = await prm.arank(problem, sampled(), how="min")
    print(f"best of {len(texts)}: candidate {best.index}, its weakest step {best.score:.3f}")


asyncio.run(main())
