"""A model that writes its verdicts has the limits of every other model."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

import pytest
from lab_requests import ARGUMENTS

from stepscore.policies.texts import GeneratedText, TextRequest, Turn
from stepscore.scoring import verdicts
from stepscore.scoring.score_options import ScoreOptions
from stepscore.server.batching import Batcher
from stepscore.server.errors import TooLargeError
from stepscore.server.settings import Settings


class Agrees:
    """A policy that finds everything right, and counts what it was asked."""

    name = "agrees"

    def __init__(self) -> None:
        self.asked = 0

    def generate(self, requests: Sequence[TextRequest]) -> list[GeneratedText | Exception]:
        self.asked += len(requests)
        return [GeneratedText("+", False, None, (), 1) for _ in requests]

    def check_logprobs(self, count: int, prompt: str | tuple[Turn, ...]) -> None:
        pass


def judge(policy: Agrees) -> verdicts.GenerativeRewardModel:
    recipe = verdicts.verdict_recipe(
        "agrees", confidence="author", source="this test", separator="\n"
    )
    verifier = verdicts.WordVerdict(
        recipe,
        lambda problem, steps: verdicts.Opening(problem + "\n".join(steps)),
        ("+", "-"),
        (1.0, 0.0),
        verdicts.Sampling(1),
        pattern=re.compile("([+-])"),
        by="text",
    )
    return verdicts.GenerativeRewardModel(policy, verifier)


@pytest.mark.parametrize("long", ["a\nb\nc", ["a", "b", "c"]])
@pytest.mark.parametrize("on_bad", ["error", "keep"])
def test_a_text_has_no_more_steps_than_a_list(long: str | list[str], on_bad: str) -> None:
    policy = Agrees()
    options = ScoreOptions(on_bad=on_bad, nan="propagate")

    async def body() -> None:
        async with Batcher(judge(policy), Settings(max_steps=2)) as batcher:
            answer = await batcher.score(ARGUMENTS, ["1"], ["a\nb\n"], options)
            assert answer.scores.to_list() == [[1.0, 1.0]]
            asked = policy.asked
            with pytest.raises(TooLargeError) as refused:
                await batcher.score(ARGUMENTS, ["1", "1"], ["a", long], options)
            said = str(refused.value)
            assert "candidates[1][2]: expected at most 2 (max steps); got 3" in said
            assert policy.asked == asked
            assert batcher.requests.taken == batcher.tokens.taken == 0

    asyncio.run(asyncio.wait_for(body(), 60))
