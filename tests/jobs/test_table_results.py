"""Tables that hold results of an earlier call."""

from __future__ import annotations

import pytest
from fake_model import FakeModel

from stepscore import jobs
from stepscore.errors import InputError

ROWS = [{"problem": "one", "candidates": ["x @0.9\nThe answer is 1. @0.4", "y @0.8"]}]


@pytest.mark.parametrize("dropped", [["truncated"], ["step_scores"]])
def test_a_part_of_a_result_is_not_voted_on(fake: FakeModel, dropped: list[str]) -> None:
    """Without its scores the candidates would vote as if they had none, beside the old columns."""
    (row,) = jobs.rerank(ROWS, fake)
    part = {name: value for name, value in row.items() if name[10:] not in dropped}
    with pytest.raises(InputError, match="vote: table: expected no columns yet that results"):
        jobs.vote([part])
    assert jobs.vote([row])[0]["stepscore_rank"] == row["stepscore_rank"]


def test_no_error_of_an_earlier_call_stays() -> None:
    rows = [{"candidates": ["The answer is 1"]}, {"candidates": []}]
    left_out = jobs.vote(rows, on_error="skip")
    assert left_out[0]["stepscore_error"] is None
    left_out[1]["candidates"] = ["The answer is 2"]
    assert [row["stepscore_error"] for row in jobs.vote(left_out)] == [None, None]
    left_out[0]["candidates"] = []
    again = [row["stepscore_error"] for row in jobs.vote(left_out, on_error="skip")]
    assert again[0] is not None
    assert again[1] is None
