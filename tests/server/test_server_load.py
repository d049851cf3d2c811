"""The load test in small: real connections, every answer checked, figures that agree."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def bench():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        patch.setenv("OMP_WAIT_POLICY", "passive")
        yield importlib.import_module("bench_server")


@pytest.fixture(scope="module")
def asked(bench):
    return bench.questions(5 * bench.GROUP)


def test_under_load_no_answer_is_lost_or_another_clients(bench, asked):
    load = bench.run(asked, clients=20, seconds=3)
    assert load.wrong == load.lost == 0
    assert set(load.statuses) == {200}
    assert load.statuses[200] >= 20
    assert load.counted == load.statuses
    batches = load.figures["stepscore_batch_requests_count"]
    assert load.figures["stepscore_batch_requests_sum"] > 2 * batches
    assert load.figures["stepscore_shared_tokens_total"] > 0
    assert load.figures["stepscore_requests_in_progress"] == 1  # the one that asks for the figures


def test_a_full_server_refuses_and_serves_the_rest_right(bench, asked):
    load = bench.run(asked, clients=20, seconds=3, settings={"max_requests": 4})
    assert load.wrong == load.lost == 0
    assert set(load.statuses) == {200, 429}
    assert load.counted == load.statuses
    assert len(load.retry_after) == load.statuses[429]
    assert min(load.retry_after) >= 1


def test_the_load_speaks_in_a_line(bench):
    load = bench.Load(seconds=2.0, latencies=[0.1, 0.2], memory=[2**20] * 3)
    load.figures = dict.fromkeys(
        ["stepscore_batch_requests_sum", "stepscore_forward_seconds_sum"], 1.0
    )
    assert "1 answers/s" in bench.told("run", load)
    assert os.environ  # in this process nothing was changed
