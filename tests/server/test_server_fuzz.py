"""Bodies that nobody would send: each is answered, none by an error that nobody foresaw."""

from __future__ import annotations

import json
import random

import pytest

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient

from stepscore.server import Settings, create_app

PROBLEM = "85+95-16+20+11-30=?"
GOOD = {
    "/v1/step_scores": {"problems": PROBLEM, "solutions": [["85+95=180"], "85+95=170\n170-16=154"]},
    "/v1/rank": {"problem": PROBLEM, "candidates": [["85+95=180"]], "how": "min", "top_k": 1},
    "/v1/vote": {"answers": ["1", "2", None], "scores": [0.1, 0.2, None], "rules": ["weighted"]},
    "/v1/sessions": {"problems": [PROBLEM], "nan": "error"},
    "/v1/sessions/x/extend": {"nodes": ["a"], "steps": ["1+2=3"]},
    "/v1/sessions/x/keep": {"nodes": ["a"]},
}
ODD = [
    None, True, 0, -1, 1e308, 10**400, "", " ", "\x00", "\ud800", "é", "<pad>", "<eos>", "\n" * 50,
    [], [[]], [[[]]], [None], [""], ["\ud83d"], {}, {"a": {}}, "1+2=3" * 300, ["1+2=3"] * 70,
    "\\boxed{" * 500, "NaN", float("nan"), float("inf"), "rm -rf", "../../etc/passwd",
    "weighted:a=b", "softmax_weighted:temperature=0", "pareto", "drop", "propagate", "keep",
    "steps", "prod",
]  # fmt: skip


def changed(value, draw):
    """Put something odd somewhere into a body."""
    kind = draw.random()
    if isinstance(value, dict) and value and kind < 0.8:
        key = draw.choice([*value, "more", "truncation", "on_bad", "nan", "special_tokens"])
        return {**value, key: changed(value.get(key), draw)}
    if isinstance(value, list) and value and kind < 0.7:
        place = draw.randrange(len(value))
        return [*value[:place], changed(value[place], draw), *value[place + 1 :]]
    if isinstance(value, str) and kind < 0.3:
        cut = draw.randrange(len(value) + 1)
        return value[:cut] + draw.choice([each for each in ODD if isinstance(each, str)])
    return draw.choice(ODD)


@pytest.mark.parametrize("seed", range(4))
def test_odd_bodies(seed, lab, caplog):
    draw = random.Random(seed)
    statuses = set()
    with TestClient(create_app(lab, Settings(latency=0.0))) as client:
        for _ in range(150):
            route = draw.choice(list(GOOD))
            body = GOOD[route]
            for _ in range(draw.randrange(1, 4)):
                body = changed(body, draw) if draw.random() < 0.8 else body
            content = json.dumps(body).encode()
            if draw.random() < 0.1:
                content = content[: draw.randrange(len(content) + 1)]
            answer = client.post(
                route, content=content, headers={"Content-Type": "application/json"}
            )
            statuses.add(answer.status_code)
            assert answer.status_code < 500, (route, body, caplog.messages)
            if answer.status_code >= 400:
                assert answer.json()["error"]["message"]
            else:
                json.loads(answer.text, parse_constant=lambda name: pytest.fail(name))
    assert {200, 422} <= statuses
