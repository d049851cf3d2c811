"""Bodies, paths and headers that nobody should send: an answer or a named error, and no trace."""

from __future__ import annotations

import json
import logging
import math
import os

import pytest

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from stepscore.server import Settings, create_app

REQUESTS = 10_000 if os.environ.get("STEPSCORE_HYPOTHESIS") == "explore" else 150
TEMPLATE = "U:{problem}A:{solution}"
PROBLEM = "85+95-16+20+11-30=?"
SECRET = "85+95=180"  # of every good body: no log may have it
KEY = "the-key-that-is-in-no-log"
TEXT = f"{SECRET}\n180-16=164"
WHOLE = f"U:{PROBLEM}A:{TEXT}"
MESSAGES = [{"role": "user", "content": PROBLEM}, {"role": "assistant", "content": TEXT}]
BODIES = {
    "/v1/step_scores": {"problems": PROBLEM, "solutions": [TEXT, [SECRET]], "how": ["min"]},
    "/v1/rank": {"problem": PROBLEM, "candidates": [TEXT], "how": "min", "top_k": 1},
    "/v1/vote": {"texts": [TEXT, "1"], "scores": [0.5, None], "rules": ["majority"]},
    "/v1/sessions": {"problems": [PROBLEM]},
    "/v1/sessions/{name}/extend": {"nodes": ["{root}"], "steps": [[SECRET]]},
    "/v1/sessions/{name}/keep": {"nodes": ["{root}"]},
    "/pooling": {"input": WHOLE, "task": "token_classify", "encoding_format": "base64"},
    "/classify": {"messages": MESSAGES, "use_activation": False},
    "/score": {"queries": [PROBLEM], "documents": [TEXT], "truncate_prompt_tokens": -1},
    "/v1/score": {"text_1": PROBLEM, "text_2": TEXT},
    "/rerank": {"query": PROBLEM, "texts": [TEXT], "return_text": True},
    "/v1/rerank": {"query": PROBLEM, "documents": [TEXT, {"text": "1+2=3"}], "top_n": 1},
    "/v2/rerank": {"query": PROBLEM, "documents": [TEXT], "return_documents": False},
    "/infinity/rerank": {"query": PROBLEM, "documents": [TEXT], "raw_scores": False},
    "/predict": {"inputs": [[PROBLEM, TEXT], [WHOLE]]},
    "/sglang/v1/score": {
        "query": f"U:{PROBLEM}A:",
        "items": [f"{SECRET}#"],
        "score_extraction_token": "#",
        "apply_softmax": True,
    },
    "/get_reward": {"query": [WHOLE], "prompts": [f"U:{PROBLEM}A:"], "labels": ["1"]},
    "/v1/embeddings": {"input": [WHOLE], "model": "default", "encoding_format": "float"},
    "/slime/reward": {"prompt": f"U:{PROBLEM}A:", "response": TEXT, "label": None},
}
# What the model knows, what it does not, and what no text should be.
texts = st.one_of(
    st.text("0123456789+-=?\n ", max_size=12),
    st.text(max_size=8),
    st.sampled_from(["", " ", "\x00", "\ud800", "<eos>", "<pad>", WHOLE, "A:", "#", "1" * 3000]),
    st.sampled_from(["\n" * 50, "1+2=3" * 300, "\\boxed{" * 500, "NaN", "../../etc/passwd"]),
    # Words of options, and rules with arguments.
    st.sampled_from(["prod", "steps", "drop", "keep", "propagate", "pareto", "weighted:a=b"]),
    st.sampled_from(["softmax_weighted:temperature=0", "softmax_weighted:temperature=nan"]),
)
fields_of_others = st.sampled_from(["truncation", "on_bad", "nan", "special_tokens", "how"])
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 1, 2**63, -(2**70), 10**400, 1e308, -0.0, math.nan, math.inf]),
    st.floats(),
    texts,
)
junk = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=6,
)
segments = st.one_of(
    st.sampled_from(["..", ".", "%2e%2e", "%2f", "%00", "a%0d%0aX: y", "{name}", "k", "~", "*"]),
    st.text("abcXYZ-_.~%!$&'()*+,;=:@é", max_size=12),
)


@st.composite
def spoiled(draw, value):
    """Draw a value near a good one: some places of it are replaced, missing or doubled."""
    action = draw(st.integers(0, 9))
    if action == 0:
        return draw(junk)
    if isinstance(value, dict):
        fields = {name: draw(spoiled(each)) for name, each in value.items()}
        if action == 1 and fields:
            del fields[draw(st.sampled_from(sorted(fields)))]
        if action == 2:
            fields[draw(texts | fields_of_others)] = draw(junk)
        return fields
    if isinstance(value, list):
        items = [draw(spoiled(each)) for each in value]
        return items * draw(st.sampled_from([0, 2, 3, 70])) if action == 1 else items
    if isinstance(value, str) and action == 1:
        return value + draw(texts)
    return value


@st.composite
def requests(draw):
    """Draw a method, a path, a query, headers and a body."""
    path = draw(st.sampled_from(sorted(BODIES)))
    kind = draw(st.integers(0, 19))
    body = draw(spoiled(BODIES[path]))
    content = json.dumps(body).encode()
    method, query, headers = "POST", "", {"Content-Type": "application/json"}
    if kind == 0:
        content = draw(st.binary(max_size=60))
    elif kind == 1:
        content = content[: draw(st.integers(0, len(content)))]
    elif kind == 2:
        headers["Content-Type"] = draw(
            st.sampled_from(["text/plain", "application/x-www-form-urlencoded", "é", ""])
        ).encode("latin-1")
    elif kind == 3:
        method = draw(st.sampled_from(["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]))
    elif kind == 4:
        path = "/" + "/".join(draw(st.lists(segments, max_size=4)))
    elif kind == 5:
        tricks = draw(st.lists(segments, min_size=1, max_size=2))
        tail = draw(st.sampled_from(["/extend", "/keep", ""]))
        path = "/v1/sessions/" + "/".join(tricks) + tail
    elif kind == 6:
        query = draw(
            st.sampled_from(
                ["how=min", "how=prod", "how=", "how=x&how=y", "how=%00", "reward_key="]
            )
            | st.text("howreward_key=&%é", max_size=12).map(lambda text: "reward_key=" + text)
        )
    key = draw(st.sampled_from([KEY] * 12 + [KEY[:-1], "", "é", f"/k/{KEY}"]))
    if key.startswith("/k/"):
        path = key + path
    else:
        headers["X-API-Key"] = key.encode("latin-1")
    return method, path, query, headers, content


@pytest.fixture(scope="module")
def client(lab):
    limits = Settings(latency=0.0, template=TEMPLATE, max_sessions=8, hold_timeout=1.0)
    with TestClient(create_app(lab, limits, keys=[KEY]), raise_server_exceptions=False) as client:
        yield client


def no_constant(name):
    raise AssertionError(f"{name} is none of JSON's numbers")


@given(request_=requests())
@settings(
    max_examples=REQUESTS,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_every_request_has_an_answer_or_a_named_error(client, caplog, request_):
    caplog.set_level(logging.DEBUG)
    caplog.clear()
    method, path, query, headers, content = request_
    sessions = client.app.state.service.sessions
    if "{name}" in path:
        good = {"X-API-Key": KEY}
        opened = client.post("/v1/sessions", json={"problems": [PROBLEM]}, headers=good).json()
        path = path.replace("{name}", opened["id"])
        content = content.replace(b"{root}", opened["roots"][0].encode())
    try:
        # With its host: a path that begins with two slashes would be read as one.
        url = f"http://testserver{path}" + (f"?{query}" if query else "")
        answer = client.request(method, url, content=content, headers=headers)
    finally:
        for name in list(sessions._open):
            sessions._open.pop(name).session.close()
    event(f"status {answer.status_code}")
    assert answer.status_code < 500, answer.text
    if answer.headers.get("content-type") == "application/json" and method != "HEAD":
        given = json.loads(answer.text, parse_constant=no_constant)
        if answer.status_code >= 400:
            error = given["error"]
            assert error["message"]
            assert error["type"] != "unexpected"
            if answer.status_code == 422:
                assert "field" in error
    else:
        assert path in ("/", f"/k/{KEY}/") or method == "HEAD" or path.endswith("/metrics")
    told = "\n".join(
        record.getMessage() for record in caplog.records if not record.name.startswith("httpx")
    )
    assert SECRET not in told
    assert KEY not in told
