"""Trainers' clients: their bodies and answers, a wait for room, what has no score."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
from lab_requests import AFTER, PROBLEM, PROMPT, TEMPLATE, TEXT, WHOLE

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient

from stepscore.errors import InputError
from stepscore.server import Settings, create_app

BAD = -0.75


@pytest.fixture(scope="module")
def client(lab):
    settings = Settings(latency=0.0, template=TEMPLATE)
    with TestClient(create_app(lab, settings, name="prm")) as client:
        yield client


@pytest.fixture(scope="module")
def forgiving(lab):
    """A server with a reward for what cannot be scored."""
    settings = Settings(latency=0.0, template=TEMPLATE, bad_reward=BAD, max_steps=4)
    with TestClient(create_app(lab, settings)) as client:
        yield client


@pytest.fixture(scope="module")
def plain(lab):
    """A server without a template."""
    with TestClient(create_app(lab, Settings(latency=0.0))) as client:
        yield client


def total(lab, how=None):
    return float(lab.score(PROBLEM, [TEXT]).totals(how)[0])


def ok(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_body_of_verl(lab, client):
    body = {"model": "prm", "input": WHOLE, "use_activation": False}
    answer = ok(client.post("/classify", json=body))
    assert answer.keys() == {"id", "object", "created", "model", "data", "usage"}
    assert answer["data"][-1].keys() == {"index", "label", "probs", "num_classes"}
    assert answer["data"][-1]["probs"][-1] == total(lab)
    assert (answer["data"][-1]["num_classes"], answer["data"][-1]["label"]) == (1, "last")
    least = ok(client.post("/classify?how=min", json=body))
    assert least["data"][-1]["probs"] == [total(lab, how="min")]


def test_the_body_of_verl_with_sglang(lab, client):
    body = {"model": "prm", "input": WHOLE}
    answer = ok(client.post("/v1/embeddings", json=body))
    assert answer.keys() == {"data", "model", "object", "usage"}
    assert (answer["object"], answer["model"]) == ("list", "prm")
    # The one number, as on every route: SGLang's vector of a reward model has as many.
    assert answer["data"] == [{"embedding": [total(lab)], "index": 0, "object": "embedding"}]
    assert answer["usage"]["prompt_tokens"] == answer["usage"]["total_tokens"] > 0
    least = ok(client.post("/v1/embeddings?how=min", json={"input": [WHOLE, WHOLE]}))
    assert [each["embedding"] for each in least["data"]] == [[total(lab, "min")]] * 2
    assert client.post("/v1/embeddings", json=body | {"model": "other"}).status_code == 404


def test_the_body_of_openrlhf(lab, client):
    body = {"query": [PROMPT + TEXT + "<|im_end|>"], "prompts": [PROMPT], "labels": ["164"]}
    answer = ok(client.post("/get_reward", json=body))
    assert answer.keys() == {"rewards", "scores", "extra_logs"}
    assert answer["rewards"] == answer["scores"] == [total(lab)]
    assert all(len(values) == 1 for values in answer["extra_logs"].values())
    assert answer["extra_logs"]["steps"] == [2]
    assert answer["extra_logs"]["step_score_min"] == [total(lab, how="min")]
    least = ok(client.post("/get_reward?how=min", json=body))
    assert least["rewards"] == [total(lab, how="min")]
    del body["prompts"]
    assert ok(client.post("/get_reward", json=body))["rewards"] == answer["rewards"]


def test_the_body_of_slime(lab, client, plain):
    body = {"prompt": PROMPT, "response": TEXT + "<|im_end|>", "label": {"any": 1}}
    answer = client.post("/slime/reward", json=body)
    assert ok(answer) == total(lab)
    keyed = ok(client.post("/slime/reward?reward_key=score&how=min", json=body))
    assert keyed["score"] == total(lab, how="min")
    assert keyed["step_scores"] == lab.score(PROBLEM, [TEXT])[0].tolist()
    turns = body | {"prompt": [{"role": "user", "content": PROBLEM}]}
    assert ok(client.post("/slime/reward", json=turns)) == total(lab)
    # A prompt without marks is a problem, where no template says otherwise.
    assert ok(plain.post("/slime/reward", json=body | {"prompt": PROBLEM})) == total(lab)


# --- no room ----------------------------------------------------------------------------------

WAITING = [
    ("/get_reward", {"query": [PROMPT + TEXT], "prompts": [PROMPT]}),
    ("/slime/reward", {"prompt": PROMPT, "response": TEXT}),
    ("/classify", {"input": WHOLE}),
    ("/v1/embeddings", {"input": WHOLE}),
]


@pytest.mark.parametrize(("path", "body"), WAITING)
def test_clients_that_take_a_refusal_for_a_reward_wait_for_room(path, body, lab):
    settings = Settings(latency=0.0, template=TEMPLATE, max_requests=1, hold_timeout=60.0)
    app = create_app(lab, settings)
    with TestClient(app) as client, ThreadPoolExecutor(1) as others:
        room = app.state.service.batcher.requests
        taken = room.taken_for(1, None, ValueError)
        client.portal.call(taken.__aenter__)
        refused = client.post("/score", json={"queries": PROBLEM, "documents": TEXT})
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        asked = others.submit(client.post, path, json=body)
        while not room.waiting:
            assert not asked.done()
        client.portal.call(taken.__aexit__, None, None, None)
        assert ok(asked.result(60))


@pytest.mark.parametrize(("path", "body"), WAITING)
def test_a_wait_for_room_has_an_end(path, body, lab):
    settings = Settings(latency=0.0, template=TEMPLATE, max_requests=1, hold_timeout=0.1)
    app = create_app(lab, settings)
    with TestClient(app) as client:
        taken = app.state.service.batcher.requests.taken_for(1, None, ValueError)
        client.portal.call(taken.__aenter__)
        answer = client.post(path, json=body)
        client.portal.call(taken.__aexit__, None, None, None)
    assert answer.status_code == 503
    assert "room within 1 s" in answer.json()["error"]["message"]
    assert int(answer.headers["retry-after"]) >= 1


# --- what has no score ------------------------------------------------------------------------

UNSCORED = {
    "empty": "",
    "blank": " \n",
    "a mark": "85+95=180<|im_start|>user\n1",
    "what the tokenizer does not know": "85+95=180\n180-16=\u00fc",
    "too long": "+".join(["85"] * 3000),
    "too many steps": "1+2=3\n" * 5,
}


def figure(client, route):
    name = f'stepscore_bad_rewards_total{{route="{route}"}} '
    found = [line for line in client.get("/metrics").text.splitlines() if line.startswith(name)]
    return float(found[0].removeprefix(name)) if found else 0.0


@pytest.mark.parametrize("response", UNSCORED.values(), ids=UNSCORED)
def test_what_has_no_score_is_worth_what_was_typed(response, lab, client, forgiving, caplog):
    caplog.set_level(logging.INFO)
    queries = {"query": [PROMPT + TEXT, PROMPT + response], "prompts": [PROMPT] * 2}
    whole = {"input": [WHOLE, PROMPT + response + AFTER]}
    sample = {"prompt": PROMPT, "response": response}
    routes = ("/get_reward", "/slime/reward", "/classify", "/v1/embeddings")
    before = [figure(forgiving, route) for route in routes]
    if response.count("\n") < 5:  # the other server takes more steps
        for path, body in zip(routes, (queries, sample, whole, whole), strict=True):
            assert client.post(path, json=body).status_code == 422
    answer = ok(forgiving.post("/get_reward", json=queries))
    assert answer["rewards"] == answer["scores"] == [total(lab), BAD]
    assert answer["extra_logs"] == {
        "step_score_min": [total(lab, "min"), BAD],
        "step_score_last": [total(lab, "last"), BAD],
        "steps": [2, 0],
        "bad_reward": [0, 1],
    }
    assert ok(forgiving.post("/slime/reward", json=sample)) == BAD
    keyed = ok(forgiving.post("/slime/reward?reward_key=score", json=sample))
    assert keyed == {"step_scores": [], "score": BAD}
    classes = ok(forgiving.post("/classify", json=whole))["data"]
    assert [(each["label"], each["probs"]) for each in classes] == [
        ("last", [total(lab)]),
        ("bad_reward", [BAD]),
    ]
    vectors = ok(forgiving.post("/v1/embeddings", json=whole))["data"]
    assert [each["embedding"] for each in vectors] == [[total(lab)], [BAD]]
    after = [figure(forgiving, route) for route in routes]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 2, 1, 1]
    told = [record.getMessage() for record in caplog.records if "bad reward" in record.getMessage()]
    assert told[0] == "/get_reward gave 1 of 2 texts the bad reward"
    assert len(told) == 5


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/get_reward", {"query": [TEXT], "prompts": [PROMPT]}, "query[0]"),
        ("/get_reward", {"query": [PROMPT + TEXT], "prompts": [PROMPT] * 2}, "prompts"),
        ("/get_reward", {"query": [PROMPT], "prompts": [PROBLEM]}, "query[0]"),
        ("/slime/reward", {"prompt": PROBLEM, "response": ""}, "prompt"),
        ("/classify", {"input": TEXT}, "input"),
        ("/classify", {"input": WHOLE + WHOLE}, "input"),
        ("/v1/embeddings", {"input": [7]}, "input[0]"),
        # The words of other clients know no bad reward.
        ("/pooling", {"input": PROMPT + AFTER}, "input"),
        ("/score", {"queries": PROBLEM, "documents": [""]}, "documents[0]"),
        ("/predict", {"inputs": [PROBLEM, ""]}, "inputs[1]"),
    ],
)
def test_what_is_no_fault_of_a_solution_stays_an_error(path, body, field, forgiving):
    answer = forgiving.post(path, json=body)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)


def test_scores_that_are_no_numbers_stay_an_error(damaged):
    settings = Settings(latency=0.0, template=TEMPLATE, bad_reward=BAD)
    body = {"query": [PROMPT + "85*95=180"], "prompts": [PROMPT]}
    with TestClient(create_app(damaged, settings)) as client:
        assert client.post("/get_reward", json=body).status_code == 422


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "0"])
def test_what_is_no_reward(value):
    with pytest.raises(InputError, match="bad_reward: expected a finite number"):
        Settings(bad_reward=value)
