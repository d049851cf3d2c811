"""Real clients, where they are installed: LiteLLM's rerankers, and OpenAI's list of models.

They want other versions of what the tests need, so that they run in an environment of their own:
``STEPSCORE_CLIENTS=PYTHON`` is the interpreter of one that has litellm and openai.
"""

from __future__ import annotations

import json
import os
import subprocess

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
from served import served

from stepscore.server import Settings, create_app

PYTHON = os.environ.get("STEPSCORE_CLIENTS")
pytestmark = pytest.mark.skipif(
    PYTHON is None, reason="STEPSCORE_CLIENTS names no Python that has litellm and openai"
)
KEY = "the-key-of-real-clients"
PROBLEM = "85+95-16+20+11-30=?"
CANDIDATES = ["85+95=170", "85+95=180\n180-16=164", "85+95=180\n180-16=154"]
RERANK = """
import json, sys
import litellm
url, key, provider, problem, documents, more = json.loads(sys.argv[1])
given = litellm.rerank(
    model=provider + "/prm", query=problem, documents=documents, api_base=url, api_key=key, **more
)
print(json.dumps([[each["index"], each["relevance_score"], each.get("document")]
                  for each in given.results]))
"""
MODELS = """
import json, sys
import openai
url, key = json.loads(sys.argv[1])
print(json.dumps([each.id for each in openai.OpenAI(base_url=url, api_key=key).models.list()]))
"""


@pytest.fixture(scope="module")
def url(lab):
    with served(create_app(lab, Settings(latency=0.0), keys=[KEY], name="prm")) as url:
        yield url


def run(script, *arguments):
    done = subprocess.run(
        [PYTHON, "-c", script, json.dumps(arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize(
    ("provider", "path"),
    [("hosted_vllm", ""), ("cohere", ""), ("jina_ai", ""), ("infinity", "/infinity")],
)
def test_litellm_reranks(provider, path, url, lab):
    given = run(RERANK, url + path, KEY, provider, PROBLEM, CANDIDATES, {"top_n": 2})
    totals = lab.score(PROBLEM, CANDIDATES).totals()
    best = np.argsort(-totals, kind="stable")[:2].tolist()
    assert [index for index, _, _ in given] == best
    assert [score for _, score, _ in given] == totals[best].tolist()
    for index, _, document in given:
        assert document in (None, {"text": CANDIDATES[index]}), document


def test_openai_lists_the_model(url):
    assert run(MODELS, url + "/v1", KEY) == ["prm"]
