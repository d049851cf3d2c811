"""The page: what it may load, and what somebody sees in a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
import chromium
from fastapi.testclient import TestClient
from served import served

from stepscore.server import Settings, create_app

KEY = "the-key-of-the-page-test"
PROBLEM = "91+19+82-80+55+10=?"
WRONG = "91+19=100\n100+82=182\n182-80=102\n102+55=157\n157+10=167"
RIGHT = "91+19=110\n110+82=192\n192-80=112\n112+55=167\n167+10=177"


# --- without a browser ------------------------------------------------------------------------


def test_the_page_loads_nothing_else(lab):
    with TestClient(create_app(lab, keys=[KEY])) as client:
        answer = client.get("/")
        assert client.get("/v1/models").status_code == 401
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        [inside] = re.findall(f"<{tag}>(.*?)</{tag}>", answer.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not re.search(r"https?://|//[a-z]|innerHTML|insertAdjacent|\beval\b", answer.text)
    assert not re.search(r"localStorage|sessionStorage|document\.cookie|\son[a-z]+=", answer.text)
    script = answer.text.split("<script>")[1].split("</script>")[0]
    assert script.count("\n") <= 250


def test_the_steps_that_are_scored(lab):
    body = {
        "problems": PROBLEM,
        "solutions": [RIGHT + "<eos>", ["91+19=110"], " "],
        "return_steps": True,
        "on_bad": "keep",
    }
    with TestClient(create_app(lab, Settings(latency=0.0))) as client:
        first, second, skipped = client.post("/v1/step_scores", json=body).json()["results"]
        [model] = client.get("/v1/models").json()["data"]
    assert first["steps"] == RIGHT.split("\n")
    assert second["steps"] == ["91+19=110"]
    assert "steps" not in skipped
    assert (model["aggregation"], model["score_range"]) == ("last", [0.0, 1.0])
    assert model["higher_is_better"] is True


# --- in a browser -----------------------------------------------------------------------------

needs_browser = pytest.mark.skipif(
    chromium.found() is None, reason=f"no browser: none of {', '.join(chromium.BROWSERS)}"
)


@pytest.fixture(scope="module")
def url(lab):
    with served(create_app(lab, Settings(latency=0.0), keys=[KEY], name="the lab")) as url:
        yield url


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with chromium.browser(str(tmp_path_factory.mktemp("browser"))) as page:
        yield page


def fill(page, candidates, problem=PROBLEM, key=KEY):
    page.run(f"at('problem').value = {json.dumps(problem)}; at('key').value = {json.dumps(key)}")
    page.run("at('candidates').replaceChildren()")
    page.run(f"{json.dumps(candidates)}.forEach(text => addCandidate(text))")


def send(page):
    page.run("at('send').click()")
    page.until("!at('send').disabled")


@needs_browser
def test_what_somebody_sees(url, page, lab):
    page.open(url + "/")
    fill(page, [WRONG, RIGHT, WRONG])
    send(page)
    page.until("document.querySelectorAll('article').length === 3")
    assert "the lab" in page.run("at('model').textContent")
    heads = page.run("[...document.querySelectorAll('article h2')].map(e => e.textContent)")
    assert heads == ["1. Candidate 2", "2. Candidate 1", "3. Candidate 3"]
    texts = page.run(
        "[...document.querySelectorAll('article:first-of-type .text')].map(e => e.textContent)"
    )
    assert texts == RIGHT.split("\n")
    shown = "[...document.querySelectorAll('article .number')].map(e => Number(e.title))"
    scores = lab.score(PROBLEM, [RIGHT, WRONG, WRONG])
    assert page.run(shown) == scores.values.tolist()
    hues = page.run(
        "[...document.querySelectorAll('article li')].map(e => e.style.getPropertyValue('--hue'))"
    )
    by_score = sorted(zip(scores.values.tolist(), map(int, hues), strict=True))
    assert [hue for _, hue in by_score] == sorted(map(int, hues))
    rows = page.run(
        "[...document.querySelectorAll('tbody tr')]"
        ".map(row => [...row.cells].map(cell => cell.textContent).slice(0, 3))"
    )
    assert rows == [
        ["majority", "167", "candidate 1"],
        ["weighted", "177", "candidate 2"],
        ["best of n", "177", "candidate 2"],
    ]
    colours = page.run(
        "[...document.querySelectorAll('article li')].map(e => getComputedStyle(e).backgroundColor)"
    )
    assert len(set(colours)) > 1  # the style is taken, and so are the steps' own colours


@needs_browser
def test_the_keyboard(url, page):
    page.open(url + "/")
    fill(page, [RIGHT])
    page.run("at('candidate-0').focus()")
    page.press("Enter", modifiers=2)
    page.until("document.querySelectorAll('article').length === 1")
    page.run("at('problem').focus()")
    reached = set()
    for _ in range(8):
        page.press("Tab")
        reached.add(page.run("document.activeElement.id"))
    assert {"candidate-0", "add", "example", "how", "key", "send"} <= reached


@needs_browser
def test_what_a_model_wrote_is_text(url, page):
    page.open(url + "/")
    evil = "<img src=x onerror=\"document.title='taken'\">"
    fill(page, [f"91+19=110\n{evil}"])
    page.run("at('candidate-0').value = '91+19=110'")
    send(page)
    page.until("document.querySelectorAll('article').length === 1")
    page.run(f"at('results').replaceChildren(stepRow({json.dumps(evil)}, 0.5, 0))")
    assert page.run("document.querySelector('#results .text').textContent") == evil
    assert page.run("document.querySelectorAll('img').length") == 0
    # The policy holds even for what the page itself would put there.
    page.run(f"document.body.insertAdjacentHTML('beforeend', {json.dumps(evil)})")
    page.run("new Promise(done => setTimeout(done, 200))")
    assert page.run("document.title") == "stepscore"


@needs_browser
def test_faults_are_shown_with_their_field(url, page):
    page.open(url + "/")
    assert "type a key" in page.run(
        "new Promise(done => setTimeout(() => done(at('model').textContent), 300))"
    )
    fill(page, [RIGHT], key="another-key-altogether")
    send(page)
    assert "a key of this server" in page.run("at('fault').textContent")
    fill(page, [RIGHT, " \n", "91+19=110\nnot in the vocabulary: Ω"])
    page.run("document.querySelectorAll('textarea')[2].required = false")
    send(page)
    page.until("document.querySelectorAll('article').length === 3")
    assert page.run("at('fault').hidden")
    reasons = page.run("[...document.querySelectorAll('article .hint')].map(e => e.textContent)")
    assert len(reasons) == 2
    assert all("expected" in reason for reason in reasons)
    fill(page, [RIGHT], problem="1+2=?<eos>")
    send(page)
    assert page.run("document.querySelector('#fault b').textContent") == "problems"
    assert page.run("document.activeElement.id") == "problem"
    fill(page, [RIGHT])
    send(page)
    assert page.run("at('fault').hidden")


@needs_browser
def test_a_key_in_front_of_the_path_and_pasted_candidates(url, page):
    page.open(f"{url}/k/{KEY}/")
    page.until("at('model').textContent.includes('the lab')")
    fill(page, [""], key="")
    page.run(
        "{const data = new DataTransfer();"
        f"data.setData('text', {json.dumps(WRONG + chr(10) + '---' + chr(10) + RIGHT)});"
        "at('candidate-0').dispatchEvent("
        "new ClipboardEvent('paste', {clipboardData: data, cancelable: true}))}"
    )
    values = page.run("[...document.querySelectorAll('.candidate textarea')].map(e => e.value)")
    assert values == [WRONG, RIGHT]
    send(page)
    page.until("document.querySelectorAll('article').length === 2")
