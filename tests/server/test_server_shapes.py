"""The shapes of other servers: the client's body in, exactly the answer's fields out, one score."""

from __future__ import annotations

import base64
import random

import numpy as np
import pytest
from lab_requests import AFTER, BEFORE, BETWEEN, PROBLEM, PROMPT, TEMPLATE, TEXT, WHOLE, drawn

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient

from stepscore.server import Settings, create_app


@pytest.fixture(scope="module")
def client(lab):
    settings = Settings(latency=0.0, template=TEMPLATE)
    with TestClient(create_app(lab, settings, name="prm")) as client:
        yield client


@pytest.fixture(scope="module")
def plain(lab):
    """A server without a template."""
    with TestClient(create_app(lab, Settings(latency=0.0))) as client:
        yield client


def total(lab, solution=TEXT, how=None):
    return float(lab.score(PROBLEM, [solution]).totals(how)[0])


def ok(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()


# --- vLLM -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked",
    [
        {"input": WHOLE},
        {"input": [WHOLE]},
        {
            "messages": [
                {"role": "user", "content": PROBLEM},
                {"role": "assistant", "content": TEXT},
            ]
        },
    ],
    ids=["text", "list", "messages"],
)
def test_vllm_pooling(asked, lab, client):
    body = {"model": "prm", "task": "token_classify", **asked}
    answer = ok(client.post("/pooling", json=body))
    assert answer.keys() == {"id", "object", "created", "model", "data", "usage"}
    assert answer["id"].startswith("pool-")
    assert (answer["object"], answer["model"]) == ("list", "prm")
    [data] = answer["data"]
    assert data.keys() == {"index", "object", "data"}
    assert (data["index"], data["object"]) == (0, "pooling")
    expected = lab.score(PROBLEM, [TEXT])[0]
    assert [row[1] for row in data["data"]] == expected.tolist()
    assert [row[0] for row in data["data"]] == [1.0 - score for score in expected.tolist()]
    assert answer["usage"]["prompt_tokens"] == answer["usage"]["total_tokens"] > 0
    packed = ok(client.post("/pooling", json=body | {"encoding_format": "base64"}))
    read = np.frombuffer(base64.b64decode(packed["data"][0]["data"]), dtype=np.float32)
    assert read.reshape(-1, 2)[:, 1].tobytes() == expected.tobytes()
    big = body | {"encoding_format": "base64", "endianness": "big"}
    swapped = ok(client.post("/pooling", json=big))["data"][0]["data"]
    assert np.frombuffer(base64.b64decode(swapped), dtype=">f4").tolist() == read.tolist()


@pytest.mark.parametrize("path", ["/score", "/v1/score"])
@pytest.mark.parametrize(
    ("asked", "given"),
    [("queries", "documents"), ("queries", "items"), ("data_1", "data_2"), ("text_1", "text_2")],
)
def test_vllm_score(asked, given, path, lab, client):
    other = "85+95=170"
    body = {"model": "prm", asked: PROBLEM, given: [TEXT, other]}
    answer = ok(client.post(path, json=body))
    assert answer.keys() == {"id", "object", "created", "model", "data", "usage"}
    assert answer["data"] == [
        {"index": 0, "object": "score", "score": total(lab)},
        {"index": 1, "object": "score", "score": total(lab, other)},
    ]
    each = ok(client.post(path, json={asked: [PROBLEM] * 2, given: [TEXT, other]}))
    one = ok(client.post(path, json={asked: [PROBLEM], given: TEXT}))
    assert each["data"] == answer["data"]
    assert one["data"] == answer["data"][:1]


# --- rerankers --------------------------------------------------------------------------------

CANDIDATES = ["85+95=170", TEXT, "85+95=180\n180-16=154"]


def order(lab):
    totals = lab.score(PROBLEM, CANDIDATES).totals()
    return [(i, float(totals[i])) for i in np.argsort(-totals, kind="stable").tolist()]


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
def test_coheres_shape(path, lab, client):
    body = {"model": "prm", "query": PROBLEM, "documents": CANDIDATES}
    answer = ok(client.post(path, json=body))
    assert answer.keys() == {"id", "model", "usage", "results"}
    assert answer["usage"].keys() == {"prompt_tokens", "total_tokens"}
    assert answer["results"] == [
        {"index": index, "document": {"text": CANDIDATES[index]}, "relevance_score": score}
        for index, score in order(lab)
    ]
    objects = body | {"documents": [{"text": text} for text in CANDIDATES], "top_n": 2}
    assert ok(client.post(path, json=objects))["results"] == answer["results"][:2]
    bare = ok(client.post(path, json=body | {"return_documents": False, "top_n": 0}))
    assert [each.keys() for each in bare["results"]] == [{"index", "relevance_score"}] * 3


def test_infinitys_shape(lab, client):
    body = {"query": PROBLEM, "documents": CANDIDATES, "return_documents": True}
    answer = ok(client.post("/infinity/rerank", json=body))
    assert answer.keys() == {"object", "results", "model", "usage", "id", "created"}
    assert answer["object"] == "rerank"
    assert answer["results"] == [
        {"relevance_score": score, "index": index, "document": CANDIDATES[index]}
        for index, score in order(lab)
    ]


def test_tei_rerank_and_predict(lab, client):
    body = {"query": PROBLEM, "texts": CANDIDATES, "return_text": True, "truncate": True}
    assert ok(client.post("/rerank", json=body)) == [
        {"index": index, "text": CANDIDATES[index], "score": score} for index, score in order(lab)
    ]
    bare = ok(client.post("/rerank", json={"query": PROBLEM, "texts": CANDIDATES}))
    assert bare == [{"index": index, "score": score} for index, score in order(lab)]
    one = [{"score": total(lab), "label": "last"}]
    assert ok(client.post("/predict", json={"inputs": [PROBLEM, TEXT]})) == one
    assert ok(client.post("/predict", json={"inputs": WHOLE})) == one
    assert ok(client.post("/predict", json={"inputs": [WHOLE]})) == one
    both = ok(client.post("/predict", json={"inputs": [[PROBLEM, TEXT], [WHOLE]]}))
    assert both == [one, one]


def test_what_tells_tei_from_cohere(client):
    for body in ({"query": PROBLEM}, {"query": PROBLEM, "texts": ["1"], "documents": ["1"]}):
        answer = client.post("/rerank", json=body)
        assert (answer.status_code, answer.json()["error"]["field"]) == (422, "documents")
        assert "either documents" in answer.json()["error"]["message"]
    wrong = client.post("/rerank", json={"query": 7, "texts": ["1"]})
    assert (wrong.status_code, wrong.json()["error"]["field"]) == (422, "query")


# --- SGLang -----------------------------------------------------------------------------------


def test_sglang_score(lab, client):
    items = ["85+95=180#180-16=164#", "85+95=170#<|im_end|>\n"]
    body = {
        "query": PROMPT,
        "items": items,
        "score_extraction_token": "#",
        "apply_softmax": True,
        "model": "default",
    }
    answer = ok(client.post("/sglang/v1/score", json=body))
    assert answer.keys() == {
        "scores",
        "pooled_hidden_states",
        "token_logprobs",
        "model",
        "usage",
        "object",
    }
    assert (answer["object"], answer["model"]) == ("scoring", "default")
    first, second = lab.score(PROBLEM, [TEXT.split("\n"), ["85+95=170"]])
    assert [row[1] for row in answer["scores"][0]] == first.tolist()
    assert [row[1] for row in answer["scores"][1]] == second.tolist()
    assert [len(row) for item in answer["scores"] for row in item] == [2, 2, 2]


# --- one score --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_every_shape_gives_the_same_numbers(seed, lab, client):
    asked = drawn(random.Random(seed), candidates=4)
    texts = list(dict.fromkeys(asked.texts))
    scores = lab.score(asked.problem, texts)
    totals = scores.totals("prod").tolist()
    steps = scores.to_list()
    prompt = BEFORE + asked.problem + BETWEEN
    wholes = [prompt + text + AFTER for text in texts]

    def asks(path, body):
        return ok(client.post(f"{path}?how=prod", json=body))

    documents = {"query": asked.problem, "documents": texts}
    pairs = {"inputs": [[asked.problem, text] for text in texts]}
    own = asks("/v1/step_scores", {"problems": asked.problem, "solutions": texts, "how": "prod"})
    assert [each["aggregates"]["prod"] for each in own["results"]] == totals
    assert [each["step_scores"] for each in own["results"]] == steps
    rank = asks("/v1/rank", {"problem": asked.problem, "candidates": texts, "how": "prod"})
    numbers = {
        "rank": {each["index"]: each["score"] for each in rank["results"]},
        "infinity": {
            each["index"]: each["relevance_score"]
            for each in asks("/infinity/rerank", documents)["results"]
        },
        "tei": {
            each["index"]: each["score"]
            for each in asks("/rerank", {"query": asked.problem, "texts": texts})
        },
        "predict": dict(enumerate(each["score"] for [each] in asks("/predict", pairs))),
        "classify": {
            each["index"]: each["probs"][-1]
            for each in asks("/classify", {"input": wholes})["data"]
        },
        "embeddings": {
            each["index"]: each["embedding"][-1]
            for each in asks("/v1/embeddings", {"input": wholes})["data"]
        },
        "openrlhf": dict(
            enumerate(
                asks("/get_reward", {"query": wholes, "prompts": [prompt] * len(texts)})["rewards"]
            )
        ),
        "slime": {
            index: asks("/slime/reward", {"prompt": prompt, "response": text})
            for index, text in enumerate(texts)
        },
    }
    for path in ("/score", "/v1/score"):
        answer = asks(path, {"text_1": asked.problem, "text_2": texts})
        numbers[path] = {each["index"]: each["score"] for each in answer["data"]}
    for path in ("/rerank", "/v1/rerank", "/v2/rerank"):
        results = asks(path, documents)["results"]
        numbers[path] = {each["index"]: each["relevance_score"] for each in results}
    for shape, given in numbers.items():
        assert given == dict(enumerate(totals)), shape
    pooled = asks("/pooling", {"input": wholes})["data"]
    assert [[row[-1] for row in each["data"]] for each in pooled] == steps
    marked = ["".join(f"{step}#" for step in lab.reader.split(text)) for text in texts]
    body = {"query": prompt, "items": marked, "score_extraction_token": "#", "apply_softmax": True}
    assert [[row[-1] for row in each] for each in asks("/sglang/v1/score", body)["scores"]] == steps


# --- what cannot be read surely ---------------------------------------------------------------

MESSAGES = [{"role": "user", "content": PROBLEM}, {"role": "assistant", "content": TEXT}]
TOKEN = {"score_extraction_token": "#", "apply_softmax": True}
WRONG = [
    ("/pooling", {}, "input", "either input or messages; got none"),
    ("/pooling", {"input": WHOLE, "messages": MESSAGES}, "input", "got both"),
    ("/pooling", {"input": []}, "input", "at least one"),
    ("/pooling", {"input": WHOLE, "normalize": True}, "normalize", "use_activation"),
    ("/pooling", {"input": WHOLE, "normalize": False}, "normalize", "use_activation"),
    ("/pooling", {"input": WHOLE, "use_activation": False}, "use_activation", "expected true"),
    ("/pooling", {"input": WHOLE, "task": "embed"}, "task", "token_classify"),
    ("/pooling", {"input": WHOLE, "dimensions": 8}, "dimensions", "no such field"),
    ("/pooling", {"input": [[1, 2]]}, "input[0]", "token ids"),
    ("/pooling", {"input": [1, 2]}, "input[0]", "token ids"),
    ("/pooling", {"input": f"{PROBLEM}\n{TEXT}"}, "input", "chat template"),
    ("/pooling", {"input": [WHOLE, WHOLE + WHOLE]}, "input[1]", "chat template"),
    ("/pooling", {"input": WHOLE, "chat_template": "x"}, "chat_template", "recipe"),
    ("/pooling", {"input": WHOLE, "truncate_prompt_tokens": 9}, "truncate_prompt_tokens", "-1"),
    ("/pooling", {"messages": MESSAGES[:1]}, "messages", "got user"),
    ("/pooling", {"messages": MESSAGES * 2}, "messages", "got user assistant user assistant"),
    (
        "/pooling",
        {"messages": [{"role": "system", "content": "Be brief."}, *MESSAGES]},
        "messages[0]",
        "no message of the system",
    ),
    ("/classify", {"input": PROMPT + "\n" + AFTER}, "input", "at least one step"),
    ("/classify", {"input": PROMPT + "a<|im_start|>b"}, "input", "a mark of a chat template"),
    ("/classify", {"input": WHOLE, "inputs": "x"}, "inputs", "no such field"),
    ("/v1/embeddings", {"input": WHOLE, "encoding_format": "base64"}, "encoding_format", "float"),
    ("/v1/embeddings", {"input": WHOLE, "dimensions": 1}, "dimensions", "no such field"),
    ("/v1/embeddings", {"input": [[1, 2]]}, "input[0]", "token ids"),
    ("/v1/embeddings", {"input": TEXT}, "input", "chat template"),
    ("/score", {}, "queries", "queries and documents or queries and items or data_1"),
    ("/score", {"queries": "1", "text_2": "2"}, "queries", "got queries and text_2"),
    ("/score", {"queries": ["1"] * 2, "documents": ["1"] * 3}, "queries", "each of the 3"),
    ("/score", {"queries": PROBLEM, "documents": []}, "documents", "at least one"),
    ("/score", {"queries": "1", "documents": "2", "instruction": "x"}, "instruction", "recipe"),
    ("/v1/rerank", {"query": PROBLEM, "texts": [TEXT]}, "documents", "this field"),
    ("/v1/rerank", {"query": PROBLEM, "documents": [TEXT, " "]}, "documents[1]", "step"),
    (
        "/v1/rerank",
        {"query": PROBLEM, "documents": [TEXT], "max_tokens_per_doc": 5},
        "max_tokens_per_doc",
        "-1",
    ),
    ("/rerank", {"query": PROBLEM, "texts": [TEXT], "raw_scores": True}, "raw_scores", "false"),
    ("/predict", {"inputs": []}, "inputs", "at least one"),
    ("/predict", {"inputs": ["1", "2", "3"]}, "inputs", "got 3 texts"),
    ("/predict", {"inputs": [["1", "2"], []]}, "inputs[1]", "got 0 texts"),
    ("/sglang/v1/score", {"query": PROMPT, "items": "a#"}, "score_extraction_token", "this field"),
    ("/sglang/v1/score", {"query": PROMPT, "items": "a#b", **TOKEN}, "items", "ends without it"),
    ("/sglang/v1/score", {"query": PROMPT, "items": ["a#", "b"], **TOKEN}, "items[1]", "without"),
    ("/sglang/v1/score", {"query": PROMPT, "items": [], **TOKEN}, "items", "at least one"),
    (
        "/sglang/v1/score",
        {"query": PROMPT, "items": "a#", "score_extraction_token": "#"},
        "apply_softmax",
        "expected true; got false",
    ),
    ("/sglang/v1/score", {"query": PROBLEM, "items": "a#", **TOKEN}, "query", "the template"),
    ("/get_reward", {"query": []}, "query", "at least one"),
    (
        "/get_reward",
        {"query": [PROMPT + TEXT], "prompts": ["x"]},
        "query[0]",
        "begins with prompts[0]",
    ),
    ("/get_reward", {"query": [PROMPT + TEXT], "prompts": []}, "prompts", "got 0"),
    ("/get_reward", {"query": [PROBLEM + TEXT], "prompts": [PROBLEM]}, "prompts[0]", "template"),
    ("/get_reward", {"query": [PROMPT], "prompts": [PROMPT]}, "query[0]", "at least one step"),
    ("/slime/reward", {"prompt": [], "response": TEXT}, "prompt", "one message of the user"),
    ("/slime/reward", {"prompt": PROMPT, "response": " "}, "response", "at least one step"),
    ("/slime/reward", {"prompt": PROMPT}, "response", "this field"),
]


@pytest.mark.parametrize(("path", "body", "field", "words"), WRONG)
def test_an_error_names_the_field(path, body, field, words, client):
    answer = client.post(path, json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["field"]) == (422, field), error
    assert words in error["message"]


def test_without_a_template_nothing_is_guessed(plain):
    marked = {"query": [PROMPT + TEXT], "prompts": [PROMPT]}
    answer = plain.post("/get_reward", json=marked).json()["error"]
    assert answer["field"] == "prompts[0]"
    assert "'<|im_start|>', a mark of a chat template" in answer["message"]
    assert "give the server its template" in answer["message"]
    called = f"Question: {PROBLEM}\nAnswer:"
    answer = plain.post("/slime/reward", json={"prompt": called, "response": TEXT}).json()["error"]
    assert answer["field"] == "prompt"
    assert "nothing that calls for its solution" in answer["message"]
    answer = plain.post("/classify", json={"input": WHOLE}).json()["error"]
    assert (answer["field"], answer["got"]) == ("input", "a text, and no template")


def test_an_aggregation_that_there_is_not(lab, client):
    answer = client.post("/score?how=median", json={"queries": PROBLEM, "documents": [TEXT]})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "how")
    settings = Settings(latency=0.0, how="min")
    with TestClient(create_app(lab, settings)) as least:
        body = {"queries": PROBLEM, "documents": [TEXT]}
        assert ok(least.post("/score", json=body))["data"][0]["score"] == total(lab, how="min")
