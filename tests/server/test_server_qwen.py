"""A model with a chat template and a separator of its own, asked as clients of vLLM and verl do."""

from __future__ import annotations

import models
import pytest

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient

import stepscore
from stepscore.server import Settings, create_app

SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."
# What the template of Qwen2.5-Math's tokenizer does, as far as turns of texts go.
TEMPLATE = (
    "{%- if messages[0]['role'] != 'system' %}{{- '<|im_start|>system\n"
    + SYSTEM.replace("\\", "\\\\")
    + "<|im_end|>\n' }}{%- endif %}{%- for message in messages %}"
    "{{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{%- endfor %}"
)
PROBLEM = "Sue has 2 pink flamingos.\n\nShe buys 3. How many?"
STEPS = ["She has 2.", "2 + 3 = 5.\nSo \\boxed{5}."]


@pytest.fixture(scope="module")
def prm(tmp_path_factory):
    prm = stepscore.load(models.qwen_prm(tmp_path_factory.mktemp("qwen")).folder)
    prm.tokenizer.chat_template = TEMPLATE
    return prm


@pytest.fixture(scope="module")
def client(prm):
    with TestClient(create_app(prm, Settings(latency=0.0), name="qwen")) as client:
        yield client


def chat(prm, solution, *more):
    turns = [*more, {"role": "user", "content": PROBLEM}]
    turns.append({"role": "assistant", "content": solution})
    return turns, prm.tokenizer.apply_chat_template(turns, tokenize=False)


@pytest.mark.parametrize(
    "solution",
    ["".join(f"{step}<extra_0>" for step in STEPS), "\n\n".join(STEPS)],
    ids=["separators", "text"],
)
def test_texts_in_the_models_own_chat(solution, prm, client):
    expected = prm.score(PROBLEM, [STEPS])
    turns, text = chat(prm, solution)
    with_system, _ = chat(prm, solution, {"role": "system", "content": SYSTEM})
    assert SYSTEM in text
    for asked in ({"input": text}, {"messages": turns}, {"messages": with_system}):
        answer = client.post("/pooling", json={"model": "qwen", **asked})
        assert answer.status_code == 200, answer.text
        [data] = answer.json()["data"]
        assert [row[1] for row in data["data"]] == expected[0].tolist()
        answer = client.post("/classify", json={"model": "qwen", **asked}).json()
        assert answer["data"][-1]["probs"][-1] == expected.totals()[0]


def test_another_system_is_refused(prm, client):
    other = {"role": "system", "content": "You are a helpful assistant."}
    turns, text = chat(prm, STEPS[0], other)
    for asked, field in (({"input": text}, "input"), ({"messages": turns}, "messages[0]")):
        answer = client.post("/pooling", json=asked)
        assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)


def test_sglangs_separators_are_the_models_own(prm, client):
    _, text = chat(prm, "")
    body = {
        "query": text.removesuffix("<|im_end|>\n"),
        "items": ["".join(f"{step}<extra_0>" for step in STEPS) + "<|im_end|>\n"],
        "score_extraction_token": "<extra_0>",
        "apply_softmax": True,
    }
    answer = client.post("/sglang/v1/score", json=body).json()
    assert [row[1] for row in answer["scores"][0]] == prm.score(PROBLEM, [STEPS])[0].tolist()


def test_trainers_prompts_need_no_setting(prm, client):
    _, text = chat(prm, "")
    prompt = text.removesuffix("<|im_end|>\n")
    solution = "\n\n".join(STEPS)
    expected = prm.score(PROBLEM, [STEPS]).totals().tolist()
    body = {"query": [prompt + solution + "<|im_end|>"], "prompts": [prompt], "labels": ["5"]}
    assert client.post("/get_reward", json=body).json()["rewards"] == expected
    asked = {"prompt": prompt, "response": solution + "<|endoftext|>", "label": "5"}
    assert client.post("/slime/reward", json=asked).json() == expected[0]
