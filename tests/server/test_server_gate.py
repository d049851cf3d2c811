"""What a request passes before a route: keys, bodies, time, logs, and clients that go."""

from __future__ import annotations

import asyncio
import gzip
import logging
import re
import threading
import time
from contextlib import contextmanager

import pytest

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient

from stepscore.errors import InputError
from stepscore.server import Settings, create_app
from stepscore.server.security import Keys, keys_in

KEY = "a-key-of-this-server-0123456789"
SECRET = "a problem that nobody else may read"
BODY = {"problems": "85+95-16+20+11-30=?", "solutions": [["85+95=180"]]}


@contextmanager
def serving(lab, keys=(), **settings):
    with TestClient(create_app(lab, Settings(latency=0.0, **settings), keys=keys)) as client:
        yield client


# --- keys -------------------------------------------------------------------------------------


def test_a_key_is_taken_from_either_header_or_the_path(lab):
    with serving(lab, [KEY, "another-key-of-this-server"]) as client:
        for headers, prefix in (
            ({"Authorization": f"Bearer {KEY}"}, ""),
            ({"Authorization": f"bearer  {KEY}"}, ""),
            ({"X-API-Key": KEY}, ""),
            ({"X-API-Key": "another-key-of-this-server"}, ""),
            ({}, f"/k/{KEY}"),
        ):
            answer = client.post(f"{prefix}/v1/step_scores", json=BODY, headers=headers)
            assert answer.status_code == 200, (headers, prefix)
        assert client.get("/health").status_code == 200  # for what watches the server


@pytest.mark.parametrize(
    ("headers", "prefix"),
    [
        ({}, ""),
        ({"X-API-Key": KEY[:-1]}, ""),
        ({"X-API-Key": KEY + "x"}, ""),
        ({"X-API-Key": ""}, ""),
        ({"X-API-Key": "schlüssel"}, ""),
        ({"Authorization": f"Basic {KEY}"}, ""),
        ({"Authorization": "Bearer"}, ""),
        ({}, f"/k/{KEY[:-1]}"),
        ({}, f"/K/{KEY}"),
        ({}, f"/k//{KEY}"),
        ({}, f"/k/{KEY}/k/{KEY}"),
        ({"X-API-Key": KEY}, "/k/wrong"),  # what stands in the path counts
    ],
)
def test_without_the_key_nothing_is_told(headers, prefix, lab):
    raw = {name: value.encode() for name, value in headers.items()}
    with serving(lab, [KEY]) as client:
        for path in ("/v1/step_scores", "/metrics", "/v1/models", "/nothing"):
            answer = client.request("POST", prefix + path, content=b"{}", headers=raw)
            if prefix == f"/k/{KEY}/k/{KEY}":
                assert answer.status_code == 404
                continue
            assert answer.status_code == 401, (path, answer.text)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert KEY not in answer.text


def test_keys_are_compared_as_wholes(monkeypatch, lab):
    import hmac

    from stepscore.server import security

    compared = []
    stock = hmac.compare_digest

    def compare(a, b):
        compared.append((type(a), type(b)))
        return stock(a, b)

    monkeypatch.setattr(security.hmac, "compare_digest", compare)
    with serving(lab, [KEY, "another-key-of-this-server"]) as client:
        client.get("/v1/models", headers={"X-API-Key": KEY})
    assert compared == [(bytes, bytes)] * 2  # both, whichever it is


def test_keys_in_a_file(tmp_path):
    file = tmp_path / "keys"
    file.write_text(f"# of the trainers\n{KEY}\n\n  another-key-of-this-server \n")
    assert keys_in(file) == [KEY, "another-key-of-this-server"]
    file.write_text("# none\n")
    with pytest.raises(InputError, match="at least one key"):
        keys_in(file)
    with pytest.raises(InputError, match="a file of keys; got No such file"):
        keys_in(tmp_path / "nothing")
    for bad in ("short", "with a blank in it at all", "with/slash/in/it/at/all", "schlüssel" * 3):
        with pytest.raises(InputError, match="16 to 256 letters") as refused:
            Keys([KEY, bad])
        assert bad not in str(refused.value)


def test_no_key_and_no_prompt_comes_into_a_log(lab, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    bad = {"problems": SECRET, "solutions": [[SECRET + " <pad>"]]}
    with serving(lab, [KEY]) as client:
        client.post(f"/k/{KEY}/v1/step_scores?key={KEY}", json=BODY)
        client.post(f"/k/{KEY}/v1/step_scores", json=bad)
        client.post(f"/k/{KEY}/v1/nothing/{SECRET}", json=bad)
        client.post("/k/a-wrong-key-of-somebody/v1/rank", json=bad)
        client.get(f"/v1/models?key={KEY}", headers={"Authorization": f"Bearer {KEY}"})
    shown = capfd.readouterr()
    logged = [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith(("stepscore", "uvicorn", "fastapi", "starlette"))
    ]
    access = [line for line in logged if re.match(r"[A-Z]+ \S+ \d+ [\d.]+ ms$", line)]
    assert [line.split()[:3] for line in access] == [
        ["POST", "/v1/step_scores", "200"],
        ["POST", "/v1/step_scores", "422"],
        ["POST", "other", "404"],
        ["POST", "/v1/rank", "401"],
        ["GET", "/v1/models", "200"],
    ]
    for text in (*logged, shown.out, shown.err):
        assert KEY not in text
        assert SECRET not in text
        assert "a-wrong-key" not in text


# --- bodies and times -------------------------------------------------------------------------


def in_pieces(body, size=100, pause=0.0):
    for begin in range(0, len(body), size):
        time.sleep(pause)
        yield body[begin : begin + size]


def test_a_body_without_a_length_is_limited_too(lab):
    with serving(lab, max_body_bytes=1000) as client:
        small = client.post("/v1/vote", content=in_pieces(b'{"answers": ["1", "2"]}', 5))
        assert small.status_code == 400  # without a type it is no JSON, but it was read
        headers = {"Content-Type": "application/json"}
        small = client.post(
            "/v1/vote", content=in_pieces(b'{"answers": ["1", "2"]}', 5), headers=headers
        )
        assert small.status_code == 200
        large = client.post("/v1/vote", content=in_pieces(b"x" * 5000), headers=headers)
        assert large.status_code == 413
        assert large.headers["connection"] == "close"
        told = client.post("/v1/vote", content=b"x" * 5000, headers=headers)
        assert told.status_code == 413


@pytest.mark.parametrize(
    ("content", "headers", "told"),
    [
        (b"{", {"Content-Type": "application/json"}, "got something else; send a JSON object"),
        (b"", {"Content-Type": "application/json"}, "a body of JSON; got none"),
        (b"null", {"Content-Type": "application/json"}, "a body of JSON; got none"),
        (b"", {}, "a body of JSON; got none"),
        (b'{"answers": ["1"]}', {}, 'send the header "Content-Type: application/json"'),
        (
            b'{"answers": ["1"]}',  # what curl sends with -d
            {"Content-Type": "application/x-www-form-urlencoded"},
            'send the header "Content-Type: application/json"',
        ),
        (
            gzip.compress(b'{"answers": ["1"]}', mtime=0),
            {"Content-Type": "application/json", "Content-Encoding": "gzip"},
            "got a compressed one; send it without Content-Encoding",
        ),
        (
            b'{"answers": ["1"]}',
            {
                "Content-Type": "application/json",
                "Content-Length": "18",
                "Transfer-Encoding": "chunked",
            },
            "expected one end of the body; got Content-Length and Transfer-Encoding",
        ),
    ],
)
@pytest.mark.parametrize("path", ["/v1/vote", "/rerank"])
def test_what_is_no_body_of_json_says_what_to_send(content, headers, told, path, lab):
    with serving(lab) as client:
        answer = client.post(path, content=content, headers=headers)
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert told in error["message"]
        assert error["field"] is None
        plain = {"Content-Type": "application/json", "Content-Encoding": "identity"}
        body = b'{"answers": ["1"]}'
        assert client.post("/v1/vote", content=body, headers=plain).status_code == 200


def test_a_slash_too_much_is_no_way_around_the_key(lab):
    with serving(lab, [KEY]) as client:
        answer = client.post(f"/k/{KEY}/v1/vote/", json={"answers": ["1"]}, follow_redirects=False)
        assert answer.status_code == 404
        assert "location" not in answer.headers


def asgi(app, path, messages, headers=(), method="POST"):
    """Ask an application by hand: gives the messages that it sent."""
    sent = []

    async def body():
        given = iter(messages)

        async def receive():
            message = next(given, None)
            if message is None:
                await asyncio.Event().wait()
            if isinstance(message, float):
                await asyncio.sleep(message)
                return await receive()
            return message

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "headers": [(b"host", b"here"), (b"content-type", b"application/json"), *headers],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        async with app.router.lifespan_context(app):
            await asyncio.wait_for(app(scope, receive, send), 60)
        return app.state.service.metrics.text()[0].decode()

    return sent, asyncio.run(body())


def piece(body=b"", more=False):
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_slow_body_times_out(lab):
    app = create_app(lab, Settings(body_timeout=0.1))
    sent, metrics = asgi(app, "/v1/vote", [piece(b"{", True), 0.05, piece(b"}", True), 5.0])
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]
    assert 'route="/v1/vote",status="408"} 1.0' in metrics


def test_a_client_that_goes_before_its_body_is_there_is_counted(lab):
    sent, metrics = asgi(
        create_app(lab), "/v1/vote", [piece(b"{", True), {"type": "http.disconnect"}]
    )
    assert sent == []
    assert 'route="/v1/vote",status="499"} 1.0' in metrics


def test_a_client_that_goes_leaves_the_line(lab):
    app = create_app(lab, Settings(latency=30.0))
    body = b'{"problems": "1+2=?", "solutions": [["1+2=3"]]}'
    begin = time.monotonic()
    sent, metrics = asgi(app, "/v1/step_scores", [piece(body), 0.3, {"type": "http.disconnect"}])
    assert time.monotonic() - begin < 20
    assert sent == []
    assert 'route="/v1/step_scores",status="499"} 1.0' in metrics
    assert "stepscore_waiting_requests 0.0" in metrics
    assert "stepscore_forward_seconds_count 0.0" in metrics


def test_an_answer_that_takes_too_long_is_given_up(lab):
    app = create_app(lab, Settings(latency=30.0, request_timeout=0.2))
    body = b'{"problems": "1+2=?", "solutions": [["1+2=3"]]}'
    sent, _ = asgi(app, "/v1/step_scores", [piece(body)])
    assert sent[0]["status"] == 503
    assert any(name == b"retry-after" for name, _ in sent[0]["headers"])
    assert b"an answer within 0.2 s" in sent[1]["body"]


def test_pages_of_other_hosts_are_refused(lab):
    with serving(lab) as client:
        for origin, status in (
            ("http://testserver", 200),
            ("https://testserver", 200),
            ("http://evil.example", 403),
            ("null", 403),
            ("http://[", 403),
        ):
            answer = client.post("/v1/step_scores", json=BODY, headers={"Origin": origin})
            assert answer.status_code == status, origin


# --- what nobody foresaw ----------------------------------------------------------------------


def test_an_unexpected_error_is_told_by_a_number_and_logged_without_the_prompt(
    lab, monkeypatch, caplog
):
    from stepscore.scoring import together

    def fail(engine, parts, on_plan=len):
        try:
            raise KeyError(SECRET)
        except KeyError as error:
            raise RuntimeError(f"cannot read {SECRET}") from error

    monkeypatch.setattr("stepscore.server.batching.read_together", fail)
    assert together.read_together is not fail
    with serving(lab) as client:
        answer = client.post("/v1/step_scores", json=BODY)
        assert client.get("/health").status_code == 200
        again = client.post("/v1/step_scores", json=BODY)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (500, "unexpected")
    assert again.json()["error"]["cause"] != error["cause"]
    assert SECRET not in answer.text
    [logged] = [each for each in caplog.messages if error["cause"] in each]
    assert "RuntimeError" in logged
    assert "KeyError" in logged
    assert "in fail" in logged
    assert SECRET not in logged


def test_figures_agree_with_what_clients_saw(lab):
    with serving(lab, max_candidates=3, max_requests=2) as client:
        seen = {}

        def ask(route, **how):
            status = client.request(**({"method": "POST", "url": route} | how)).status_code
            seen[route, status] = seen.get((route, status), 0) + 1

        for _ in range(3):
            ask("/v1/step_scores", json=BODY)
        ask("/v1/step_scores", json={})
        ask("/v1/rank", json={"problem": "1+2=?", "candidates": ["1+2=3"] * 4})
        ask("/v1/rank", content=b"{", headers={"Content-Type": "application/json"})
        ask("/v1/vote", json={"answers": ["1"]})
        ask("/v1/vote", method="GET")
        together = threading.Barrier(12)

        def crowd():
            together.wait()
            ask("/v1/step_scores", json=BODY | {"solutions": [["85+95=180"]] * 3})

        threads = [threading.Thread(target=crowd) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        text = client.get("/metrics").text
    counted = {
        (route, int(status)): int(float(count))
        for route, status, count in re.findall(
            r'stepscore_requests_total\{route="([^"]+)",status="(\d+)"\} (\S+)', text
        )
    }
    assert counted == seen
    assert {status for _, status in seen} >= {200, 400, 405, 413, 422}
    given, forwarded, shared = (
        float(re.search(rf"^stepscore_{name}_tokens_total (\S+)", text, re.MULTILINE)[1])
        for name in ("given", "forwarded", "shared")
    )
    assert given == forwarded + shared
    assert shared > 0
