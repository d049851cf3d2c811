"""Sessions over HTTP: the bits of whole traces, names that tell nothing, and an end."""

from __future__ import annotations

import time

import numpy as np
import pytest

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient

from stepscore.server import Settings, create_app

PROBLEM = "85+95-16+20+11-30=?"


def serving(lab, **settings):
    return TestClient(create_app(lab, Settings(latency=0.0, **settings)))


def test_a_search_over_http(lab):
    with serving(lab) as client:
        opened = client.post("/v1/sessions", json={"problems": [PROBLEM, "1+2=?"]})
        assert opened.status_code == 201
        at = f"/v1/sessions/{opened.json()['id']}"
        root, other = opened.json()["roots"]
        steps = ["85+95=180", ["85+95=170", "170-16=154"], "1+2=3"]
        answer = client.post(f"{at}/extend", json={"nodes": [root, root, other], "steps": steps})
        first, second, third = answer.json()["results"]
        assert len({root, other, first["node"], second["node"], third["node"]}) == 5
        for result, problem, trace in (
            (first, PROBLEM, ["85+95=180"]),
            (second, PROBLEM, steps[1]),
            (third, "1+2=?", ["1+2=3"]),
        ):
            whole = lab.score(problem, [trace])[0]
            assert np.array(result["step_scores"], np.float32).tobytes() == whole.tobytes()
        forked = {"nodes": [first["node"]] * 2, "steps": ["180-16=164", "180-16=154"]}
        right, wrong = client.post(f"{at}/extend", json=forked).json()["results"]
        assert right["step_scores"][0] > 0.5 > wrong["step_scores"][0]
        # Two roots, one node that is kept, and the one that it continues.
        assert client.post(f"{at}/keep", json={"nodes": [right["node"]]}).json()["nodes"] == 4
        gone = client.post(f"{at}/extend", json={"nodes": [wrong["node"]], "steps": ["1+2=3"]})
        assert (gone.status_code, gone.json()["error"]["field"]) == (404, "nodes[0]")
        again = {"nodes": [right["node"]], "steps": ["164+20=184"]}
        assert client.post(f"{at}/extend", json=again).status_code == 200
        assert client.delete(at).status_code == 200
        assert client.delete(at).status_code == 404
        assert client.post(f"{at}/extend", json=again).json()["error"]["field"] == "session"
        text = client.get("/metrics").text
        assert "stepscore_sessions 0.0" in text
        assert 'route="/v1/sessions/{session}/extend",status="200"' in text


def test_what_is_wrong_names_the_field_and_changes_nothing(lab):
    with serving(lab) as client:
        opened = client.post("/v1/sessions", json={"problems": PROBLEM}).json()
        at, [root] = f"/v1/sessions/{opened['id']}/extend", opened["roots"]
        for body, status, field in (
            ({"nodes": [root], "steps": [" "]}, 422, "steps[0]"),
            ({"nodes": [root, root], "steps": ["1+2=3"]}, 422, "steps"),
            ({"nodes": [root], "steps": [["1+2=3", "a b"]]}, 422, "steps[0][1]"),
            ({"nodes": [root], "steps": [["1+2=3"] * 400]}, 422, "steps[0]"),
            ({"nodes": [0], "steps": ["1+2=3"]}, 422, "nodes[0]"),
            ({"nodes": ["../etc"], "steps": ["1+2=3"]}, 404, "nodes[0]"),
        ):
            answer = client.post(at, json=body)
            assert (answer.status_code, answer.json()["error"]["field"]) == (status, field), body
        assert client.post(at, json={"nodes": [root], "steps": ["85+95=180"]}).status_code == 200
        wrong = client.post("/v1/sessions", json={"problems": ["1+2=?", "<pad>"]})
        assert wrong.json()["error"]["field"] == "problems[1]"


def test_sessions_are_bounded_in_number_size_and_time(lab):
    settings = {"max_sessions": 2, "session_timeout": 0.4, "max_session_nodes": 3}
    with serving(lab, **settings, max_session_characters=60) as client:
        names = []
        for _ in range(2):
            opened = client.post("/v1/sessions", json={"problems": PROBLEM}).json()
            names.append((f"/v1/sessions/{opened['id']}/extend", opened["roots"][0]))
        full = client.post("/v1/sessions", json={"problems": PROBLEM})
        assert full.status_code == 429
        assert int(full.headers["Retry-After"]) >= 1
        at, root = names[0]
        many = client.post(at, json={"nodes": [root] * 3, "steps": ["1+2=3"] * 3})
        assert (many.status_code, "max session nodes" in many.text) == (413, True)
        long = client.post(at, json={"nodes": [root], "steps": [["1+2=3"] * 9]})
        assert (long.status_code, "max session characters" in long.text) == (413, True)
        time.sleep(0.6)
        assert "stepscore_sessions 0.0" in client.get("/metrics").text  # nobody had to ask for it
        assert client.post(at, json={"nodes": [root], "steps": ["1+2=3"]}).status_code == 404
        assert client.post("/v1/sessions", json={"problems": PROBLEM}).status_code == 201


def test_memory_that_is_too_small_is_told(lab):
    with serving(lab, session_memory=100, max_sessions=1) as client:
        opened = client.post("/v1/sessions", json={"problems": PROBLEM}).json()
        body = {"nodes": opened["roots"], "steps": ["85+95=180"]}
        answer = client.post(f"/v1/sessions/{opened['id']}/extend", json=body)
        assert (answer.status_code, answer.json()["error"]["field"]) == (413, "steps[0]")
