"""Our own routes: the bits of direct calls, and errors that name the field."""

from __future__ import annotations

import json
import math
import random

import numpy as np
import pytest
from lab_requests import drawn

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient

from stepscore.server import Settings, create_app

PROBLEM = "85+95-16+20+11-30=?"


@pytest.fixture(scope="module")
def client(lab):
    with TestClient(create_app(lab, Settings(latency=0.0))) as client:
        yield client


def bits(result):
    return np.array(result["step_scores"], dtype=np.float32).tobytes()


# --- scores -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_step_scores_are_those_of_score(seed, lab, client):
    asked = drawn(random.Random(seed))
    body = {"problems": asked.problem, "solutions": asked.candidates, "how": ["min", "prod"]}
    answer = client.post("/v1/step_scores", json=body)
    assert answer.status_code == 200
    scores = lab.score(asked.problem, asked.candidates)
    totals = scores.aggregate(["min", "prod"])
    for index, result in enumerate(answer.json()["results"]):
        assert result["index"] == index
        assert bits(result) == scores[index].tobytes()
        assert result["aggregates"] == dict(zip(["min", "prod"], totals[index], strict=True))
    assert answer.json()["usage"]["prompt_tokens"] > 0
    each = {"problems": asked.problems, "solutions": asked.texts}
    assert client.post("/v1/step_scores", json=each).status_code == 200


def test_what_has_no_score_says_why(client):
    body = {
        "problems": PROBLEM,
        "solutions": [["85+95=180"], [" "], ["1+2=3"] * 400, "85+95=180<eos>"],
        "how": "min",
        "truncation": "steps",
        "on_bad": "keep",
    }
    whole, skipped, cut, ended = client.post("/v1/step_scores", json=body).json()["results"]
    assert whole.keys() == {"index", "step_scores", "aggregates"}
    assert skipped["step_scores"] == []
    assert skipped["skipped"]["field"] == "solutions[1][0]"
    assert skipped["aggregates"] == {"min": None}
    assert skipped["aggregates_reason"] == "it was skipped"
    assert cut["step_scores"][-1] is None
    assert cut["truncated"] == len(cut["missing"])
    assert cut["missing"][-1] == {"step": 399, "reason": "truncation left it out"}
    assert cut["aggregates_reason"] == "truncation left steps out"
    assert ended["stripped"] == 1


def test_a_score_that_is_none_is_null_with_a_reason_or_an_error(damaged):
    body = {"problems": "1+2=?", "solutions": [["1+2=3", "1*2=3"], ["1+2=3"]], "how": ["last"]}
    with TestClient(create_app(damaged)) as client:
        refused = client.post("/v1/step_scores", json=body)
        assert refused.status_code == 422
        assert refused.json()["error"]["field"] == "solutions[0][1]"
        assert '"nan": "propagate"' in refused.json()["error"]["advice"]
        bad, good = client.post("/v1/step_scores", json=body | {"nan": "propagate"}).json()[
            "results"
        ]
        assert bad["step_scores"][1] is None
        assert bad["missing"] == [{"step": 1, "reason": "the model gave nan"}]
        assert bad["aggregates"] == {"last": None}
        assert "missing" not in good
        del body["how"]
        body |= {"problem": body.pop("problems"), "candidates": body.pop("solutions")}
        first, last = client.post("/v1/rank", json=body | {"nan": "propagate"}).json()["results"]
        assert (first["index"], last["index"]) == (1, 0)
        assert (last["score"], last["score_reason"]) == (None, "it is no finite number")


def test_rank_is_that_of_rank(lab, client):
    asked = drawn(random.Random(9), candidates=6)
    for options in ({}, {"how": "min", "top_k": 2}, {"how": "mean"}):
        body = {"problem": asked.problem, "candidates": asked.candidates, **options}
        answer = client.post("/v1/rank", json=body).json()["results"]
        expected = lab.rank(asked.problem, asked.candidates, **options)
        assert [each["index"] for each in answer] == [each.index for each in expected]
        assert [each["score"] for each in answer] == [each.score for each in expected]
        for each, truth in zip(answer, expected, strict=True):
            assert bits(each) == np.array(truth.step_scores, dtype=np.float32).tobytes()


# --- votes ------------------------------------------------------------------------------------


def test_votes(client):
    body = {
        "texts": ["So \\boxed{12}", "The answer is 12", "\\boxed{13}", "nothing"],
        "scores": [0.2, 0.3, 0.9, 1.0],
        "rules": ["majority", "weighted", "best_of_n", "softmax_weighted:temperature=0.1"],
    }
    answer = client.post("/v1/vote", json=body).json()
    assert answer["answers"] == ["12", "12", "13", None]
    assert answer["answer_ids"] == [0, 0, 1, -1]
    majority, weighted, best, softmax = answer["results"]
    assert (majority["rule"], majority["answer"], majority["score"]) == ("majority", "12", 2.0)
    assert (weighted["answer"], weighted["winner"]) == ("13", 2)
    assert math.isclose(weighted["margin"], 0.4)
    assert best["winner"] == 2
    assert softmax["rule"] == "softmax_weighted:temperature=0.1"


def test_votes_without_scores_count_answers(client):
    [result] = client.post("/v1/vote", json={"answers": ["1/2", "0.5", "3", None]}).json()[
        "results"
    ]
    assert (result["rule"], result["winner"], result["tied"]) == ("majority", 0, False)
    alone = client.post("/v1/vote", json={"answers": ["7"], "scores": [None]}).json()["results"]
    assert alone[0]["winner"] == 0
    assert (alone[0]["margin"], alone[0]["reason"]) == (None, "no other answer: there is no margin")
    assert alone[1]["winner"] is None
    assert alone[1]["reason"].startswith("no candidate takes part")
    unfit = {"answers": ["7", "8"], "scores": [-3.0, 2.0], "rules": ["logodds_weighted"]}
    [result] = client.post("/v1/vote", json=unfit).json()["results"]
    assert result["reason"] == "the scores are not what the rule reads"


# --- status -----------------------------------------------------------------------------------


def test_status(lab, client):
    assert client.get("/health").json() == {"status": "ready"}
    models = client.get("/v1/models").json()
    assert models["object"] == "list"
    assert models["data"][0]["id"] == "lab"
    assert models["data"][0]["object"] == "model"
    assert "stepscore_requests_total" in client.get("/metrics").text
    app = create_app(lab)
    assert TestClient(app).get("/health").status_code == 503  # not entered: loading
    assert TestClient(app).get("/health").json() == {"status": "loading"}


def test_the_name_of_a_model(lab):
    with TestClient(create_app(lab, name="prm")) as client:
        body = {"problems": PROBLEM, "solutions": [["85+95=180"]]}
        assert client.post("/v1/step_scores", json=body | {"model": "prm"}).status_code == 200
        wrong = client.post("/v1/step_scores", json=body | {"model": "gpt"})
        assert wrong.status_code == 404
        assert wrong.json()["error"]["field"] == "model"


# --- errors -----------------------------------------------------------------------------------

GOOD = {"problems": PROBLEM, "solutions": [["85+95=180"]]}
WRONG = [
    ("/v1/step_scores", GOOD | {"solution": []}, 422, "solution", "expected no such field"),
    ("/v1/step_scores", {"problems": PROBLEM}, 422, "solutions", "expected this field; got none"),
    ("/v1/step_scores", GOOD | {"solutions": "85"}, 422, "solutions", "valid list; got str"),
    ("/v1/step_scores", GOOD | {"problems": 7}, 422, "problems", "got int"),
    ("/v1/step_scores", GOOD | {"problems": [PROBLEM] * 2}, 422, "problems", "got 2"),
    ("/v1/step_scores", GOOD | {"solutions": [["1", 2]]}, 422, "solutions[0][1]", "got int"),
    (
        "/v1/step_scores",
        GOOD | {"solutions": [["1"], []]},
        422,
        "solutions[1]",
        "at least one step",
    ),
    ("/v1/step_scores", GOOD | {"solutions": [["1", " "]]}, 422, "solutions[0][1]", "expected"),
    ("/v1/step_scores", GOOD | {"solutions": [["1", "x y"]]}, 422, "solutions[0][1]", "expected"),
    ("/v1/step_scores", GOOD | {"how": ["min", "median"]}, 422, "how[1]", "got 'median'"),
    ("/v1/step_scores", GOOD | {"truncation": "left"}, 422, "truncation", "got str"),
    ("/v1/step_scores", GOOD | {"solutions": [["\ud800"]]}, 422, "solutions[0][0]", "UTF-8"),
    ("/v1/rank", {"problem": PROBLEM, "candidates": []}, 422, "candidates", "at least one"),
    ("/v1/rank", {"problem": PROBLEM, "candidates": ["1"], "top_k": 0}, 422, "top_k", "at least 1"),
    ("/v1/rank", {"problem": PROBLEM, "candidates": ["1"], "how": "x"}, 422, "how", "got 'x'"),
    ("/v1/vote", {"answers": ["1", "\ud800"]}, 422, "answers[1]", "UTF-8"),
    ("/v1/vote", {}, 422, "answers", "either answers or texts; got none"),
    ("/v1/vote", {"answers": []}, 422, "answers", "at least one candidate"),
    ("/v1/vote", {"answers": ["1"], "scores": [1, 2]}, 422, "scores", "one score for each"),
    ("/v1/vote", {"answers": ["1"], "rules": ["majorty"]}, 422, "rules[0]", "majority"),
]


@pytest.mark.parametrize(("route", "body", "status", "field", "words"), WRONG)
def test_an_error_names_the_field(route, body, status, field, words, client):
    text = json.dumps(body)
    answer = client.post(route, content=text, headers={"Content-Type": "application/json"})
    error = answer.json()["error"]
    assert (answer.status_code, error["field"]) == (status, field)
    assert words in error["message"]
    assert error["message"].startswith(field)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b"[" * 100_000, b'{"problems": 1' + b"0" * 5000 + b"}", b"nul"],
    ids=["nothing", "half", "no text", "deep", "long number", "word"],
)
def test_what_is_no_json(content, client):
    answer = client.post(
        "/v1/step_scores", content=content, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in (400, 422)
    assert answer.json()["error"]["message"]


def test_numbers_that_json_does_not_have_are_refused(client):
    answer = client.post(
        "/v1/vote",
        content=b'{"answers": ["1"], "scores": [NaN]}',
        headers={"Content-Type": "application/json"},
    )
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "scores[0]")


def test_other_paths_and_methods(client):
    missing = client.get("/v1/nothing/at/all")
    assert (missing.status_code, missing.json()["error"]["type"]) == (404, "not_found")
    wrong = client.get("/v1/rank")
    assert (wrong.status_code, wrong.json()["error"]["type"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "POST"
    assert client.get("/docs").status_code == 404  # its page loads scripts of other hosts
    assert client.get("/openapi.json").status_code == 200


def test_more_than_a_limit_is_told_with_its_name(lab):
    settings = Settings(max_candidates=2, max_body_bytes=500)
    with TestClient(create_app(lab, settings)) as client:
        body = {"problem": "1+2=?", "candidates": ["1+2=3"] * 3}
        many = client.post("/v1/rank", json=body)
        assert (many.status_code, many.json()["error"]["field"]) == (413, "candidates[2]")
        assert "at most 2 (max candidates); got 3" in many.json()["error"]["message"]
        body = {"problem": "1" * 600, "candidates": ["1+2=3"]}
        large = client.post("/v1/rank", json=body)
        assert (large.status_code, large.json()["error"]["type"]) == (413, "too_large")
        assert "500 (max body bytes)" in large.json()["error"]["message"]
