"""Reading 512 records of 16 candidates with 8 step scores on one core, against JSON parsers.

The parsers stop at objects of Python; the columns would still have to be made of them.
"""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from typing import Any

import pytest

import stepscore

RECORDS, CANDIDATES, STEPS = 512, 16, 8


def lines_of(characters: int) -> list[bytes]:
    draw = random.Random(0)
    words = ["so", "we", "add", "$x = 3$", r"\frac{a}{b}", 'it "is"', "then\n"]
    lines = []
    for number in range(RECORDS):
        candidates = []
        for _ in range(CANDIDATES):
            candidate: dict[str, Any] = {
                "answer": str(draw.randrange(8)),
                "step_scores": [round(draw.random(), 4) for _ in range(STEPS)],
            }
            if characters:
                candidate["text"] = " ".join(draw.choices(words, k=characters // 5))
            candidates.append(candidate)
        lines.append(json.dumps({"id": number, "candidates": candidates}).encode() + b"\n")
    return lines


@pytest.mark.parametrize("characters", [0, 1000], ids=["no texts", "texts of 1 kB"])
@pytest.mark.benchmark(group="512 records x 16 candidates x 8 steps")
class TestReading:
    def test_scan_records(self, measure: Callable[..., Any], characters: int) -> None:
        lines = lines_of(characters)
        assert len(stepscore.scan_records(lines).ids) == RECORDS
        measure(stepscore.scan_records, [(lines,)])

    def test_json(self, measure: Callable[..., Any], characters: int) -> None:
        lines = lines_of(characters)
        measure(lambda: [json.loads(line) for line in lines], [()])

    def test_orjson(self, measure: Callable[..., Any], characters: int) -> None:
        orjson = pytest.importorskip("orjson")
        lines = lines_of(characters)
        measure(lambda: [orjson.loads(line) for line in lines], [()])

    def test_pyarrow(self, measure: Callable[..., Any], characters: int) -> None:
        reader = pytest.importorskip("pyarrow.json")
        block = b"".join(lines_of(characters))
        options = reader.ReadOptions(use_threads=False)
        measure(lambda: reader.read_json(io.BytesIO(block), read_options=options), [()])
