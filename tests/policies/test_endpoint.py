"""A completions endpoint as a policy, against servers in a thread that fail in every way."""

from __future__ import annotations

import asyncio
import json
import math
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from stepscore.policies import EndpointPolicy
from stepscore.policies.endpoint import EndpointError
from stepscore.policies.requests import Continuation, ExpandRequest

Reply = tuple[int, Any] | tuple[int, Any, dict[str, str]]


class Server:
    """Answers POST requests by a function; remembers bodies and headers."""

    def __init__(self) -> None:
        self.reply: Callable[[dict[str, Any]], Reply] = lambda body: (200, completion("x = 7"))
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.busy = self.most_busy = 0
        self.released = threading.Event()
        lock, outer = threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    outer.bodies.append(body)
                    outer.headers.append(dict(self.headers) | {"path": self.path})
                    outer.busy += 1
                    outer.most_busy = max(outer.most_busy, outer.busy)
                status, answer, *more = outer.reply(body)
                content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                with lock:
                    outer.busy -= 1
                try:
                    self.send_response(status)
                    for name, value in (more[0] if more else {}).items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:
                    pass  # the client has hung up

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.released.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    opened = Server()
    yield opened
    opened.close()


def completion(text: str, reason: str = "stop", **more: Any) -> dict[str, Any]:
    choice = {"text": text, "index": 0, "finish_reason": reason, **more}
    return {"choices": [choice], "usage": {"completion_tokens": 4}}


def request(problem: str = "Find x.", **changes: Any) -> ExpandRequest:
    plain = ExpandRequest(problem, ["We add.\n\n"], 2, "step", 50, 0.8, (), [3, 2**40 + 5])
    return replace(plain, **changes)


def policy(server: Server, **options: Any) -> EndpointPolicy:
    return EndpointPolicy(server.url, "m", **{"backoff": 0.0, "timeout": 5.0, **options})


def test_a_request_says_all_that_was_asked_for(server: Server) -> None:
    ask = policy(server, extra={"top_p": 0.9}, prompt="Q: {}\nA: ".format, concurrency=1)
    samples = ask([request(), request("Find y.", mode="rollout", seeds=[9], samples=1)])
    assert [len(own) for own in samples] == [2, 1]
    first, second, third = server.bodies
    assert first == {
        "model": "m",
        "prompt": "Q: Find x.\nA: We add.\n\n",
        "max_tokens": 50,
        "temperature": 0.8,
        "n": 1,
        "seed": 3,
        "stop": ["\n\n"],
        "logprobs": 1,
        "top_p": 0.9,
    }
    assert second["seed"] == (2**40 + 5) % 2**31
    assert "stop" not in third
    assert server.headers[0]["path"] == "/v1/completions"
    assert "Authorization" not in server.headers[0]


@pytest.mark.parametrize(
    ("answer", "mode", "expected"),
    [
        # As vLLM says it: the stop text, or null at the end of the solution.
        (completion("a", stop_reason="\n\n"), "step", ("a\n\n", False)),
        (completion("a", stop_reason=None), "step", ("a", True)),
        (completion("\\boxed{7}", stop_reason="\n\n"), "step", ("\\boxed{7}\n\n", True)),
        (completion("a\n\n", stop_reason="\n\n"), "step", ("a\n\n", False)),
        # As SGLang does.
        (completion("a", matched_stop="\n\n"), "step", ("a\n\n", False)),
        (completion("a", matched_stop=151643), "step", ("a", True)),
        # A server that does not tell one from the other.
        (completion("a"), "step", ("a\n\n", False)),
        (completion("\\boxed{7}"), "step", ("\\boxed{7}", True)),
        (completion(""), "step", ("", True)),
        # The limit of tokens.
        (completion("a", "length"), "step", ("a", True)),
        (completion("a", "length"), "partial", ("a", False)),
        (completion("a", "length"), "block", ("a", False)),
        (completion("a", "length"), "rollout", ("a", True)),
        (completion("a", "max_tokens"), "partial", ("a", False)),
        (completion("a", "model_length"), "block", ("a", False)),
        (completion("a"), "block", ("a", True)),
        (completion("a"), "rollout", ("a", True)),
    ],
)
def test_how_a_continuation_ended(server: Server, answer, mode, expected) -> None:
    server.reply = lambda body: (200, answer)
    ((one, _),) = policy(server)([request(mode=mode)])
    assert (one.text, one.terminal) == expected
    assert one.tokens == 4


@pytest.mark.parametrize("reason", ["abort", "content_filter", "error"])
def test_a_continuation_that_the_server_gave_up_is_no_end_of_a_solution(server, reason) -> None:
    server.reply = lambda body: (200, completion("a", reason))
    (failed,) = policy(server, retries=0)([request()])
    assert isinstance(failed, EndpointError)
    assert f"finish_reason '{reason}'" in str(failed)


def test_logprobs_are_summed_where_the_server_offers_them(server: Server) -> None:
    told = {"tokens": ["a", "b", "c"], "token_logprobs": [None, -0.5, -1.25]}
    server.reply = lambda body: (200, {"choices": [{"text": "a", "logprobs": told}]})
    ((one, _),) = policy(server)([request(mode="rollout")])
    assert one == Continuation("a", 2, -1.75, True)
    policy(server, logprobs=False)([request()])
    assert "logprobs" not in server.bodies[-1]


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_what_may_pass_is_tried_again(server: Server, status: int) -> None:
    failing = iter([status, status])
    server.reply = lambda body: (next(failing, 200), completion("a"))
    ((one,),) = policy(server)([request(seeds=[1], samples=1)])
    assert one.text == "a\n\n"
    assert len(server.bodies) == 3
    assert server.bodies[0] == server.bodies[2]  # the seed too


def test_a_server_says_how_long_to_wait(server: Server) -> None:
    answers = iter([(429, b"slow down", {"Retry-After": "0.3"}), (200, completion("a"))])
    server.reply = lambda body: next(answers)
    begin = time.monotonic()
    policy(server)([request(seeds=[1], samples=1)])
    assert time.monotonic() - begin >= 0.3


def error_of(server: Server, **options: Any) -> str:
    (error,) = policy(server, **options)([request()])
    assert isinstance(error, EndpointError)
    return str(error)


def test_what_will_not_pass_is_an_error_at_once(server: Server) -> None:
    server.reply = lambda body: (404, b'{"error": "no model m"}\nmore')
    assert error_of(server, concurrency=1) == (
        f'POST {server.url}/completions: status 404: {{"error": "no model m"}}'
    )
    assert len(server.bodies) == 1  # the second sample is given up


def test_what_does_not_pass_is_an_error_after_the_retries(server: Server) -> None:
    server.reply = lambda body: (503, b"")
    assert error_of(server, concurrency=1, retries=2) == (
        f"POST {server.url}/completions: status 503: an empty answer (3 attempts)"
    )
    assert len(server.bodies) == 2 * 3


@pytest.mark.parametrize(
    "garbage",
    [b"", b"<html>busy</html>", b"[]", b"3", b'{"choices": []}', b'{"choices": [{"text": 3}]}',
     b'{"choices": [{"text": "a"}], "usage": [1]}', b"\xff\xfe", b'{"choices": [{"text": "a"'],
)  # fmt: skip
def test_garbage_is_quoted(server: Server, garbage: bytes) -> None:
    server.reply = lambda body: (200, garbage)
    message = error_of(server, retries=1)
    assert re.search("expected a completion( with [^;]*)?; got: ", message)
    assert message.endswith("(2 attempts)")


@pytest.mark.parametrize(
    ("odd", "expected"),
    [
        (b"[" * 200_000, "whose JSON nests less deeply"),
        (b'{"choices":' * 100_000, "whose JSON nests less deeply"),
        ({"text": ["a", "b"]}, "with choices[0].text a text, not a list"),
        ({"text": None}, "with choices[0].text a text, not null"),
        ({"text": "a", "logprobs": "none"}, "with choices[0].logprobs an object, not a text"),
        ({"text": "a", "logprobs": {"token_logprobs": "-1"}}, "a list of finite numbers"),
        ({"text": "a", "logprobs": {"token_logprobs": [-1, "b"]}}, "a list of finite numbers"),
        ({"text": "a", "logprobs": {"token_logprobs": [math.nan]}}, "a list of finite numbers"),
        ({"text": "a", "logprobs": {"token_logprobs": [-math.inf]}}, "a list of finite numbers"),
        ({"text": "a", "logprobs": {"token_logprobs": [10**400]}}, ""),
        ({"text": "a", "usage": {"completion_tokens": math.nan}}, "a count, not nan"),
        ({"text": "a", "usage": {"completion_tokens": -3}}, "a count, not -3"),
        ({"text": "a", "usage": {"completion_tokens": "many"}}, "a count, not 'many'"),
        ({"text": "a", "usage": {"completion_tokens": True}}, "a count, not True"),
        ({}, ""),
        (b'{"choices": [[]]}', ""),
        (b'{"choices": {"0": 1}}', ""),
        (b'"' + b"a" * 1000 + b'"', ""),
        (b"1" * 5000, ""),
    ],
)
def test_odd_json_is_one_failure_that_says_what_is_odd(
    server: Server, odd: Any, expected: str
) -> None:
    answer: Any = odd
    if isinstance(odd, dict):
        usage = {"usage": odd.pop("usage")} if "usage" in odd else {}
        answer = json.dumps({"choices": [odd], **usage}).encode()
    server.reply = lambda body: (200, answer if body["prompt"].startswith("odd") else other)
    other = completion("x = 7")
    failed, drawn = policy(server, retries=0)([request("odd"), request("even")])
    assert isinstance(failed, EndpointError)
    assert "expected a completion" in str(failed)
    assert expected in str(failed)
    assert len(str(failed)) < 500
    assert not isinstance(drawn, EndpointError)
    assert len(drawn) == 2


def test_what_a_server_need_not_say(server: Server) -> None:
    answer = {"choices": [{"text": "a", "finish_reason": None, "logprobs": None}], "usage": None}
    server.reply = lambda body: (200, answer)
    assert policy(server)([request()]) == [[Continuation("a", 0, 0.0, True)] * 2]
    answer["usage"] = {}
    answer["choices"] = [{"text": "a", "logprobs": {"token_logprobs": [None, -1]}}]
    assert policy(server)([request()]) == [[Continuation("a", 1, -1.0, True)] * 2]


def test_half_of_a_surrogate_pair_is_replaced_when_it_arrives(server: Server) -> None:
    text = rb'{"choices": [{"text": "a\ud83d b \ud83d\ude00 \ude00", "finish_reason": "stop"}]}'
    server.reply = lambda body: (200, text)
    (samples,) = policy(server)([request(mode="rollout")])
    assert not isinstance(samples, EndpointError)
    assert {sample.text for sample in samples} == {"a\ufffd b \U0001f600 \ufffd"}


def test_a_server_that_hangs_costs_the_timeout(server: Server) -> None:
    def hang(body: dict[str, Any]) -> Reply:
        server.released.wait(10)
        return 200, completion("a")

    server.reply = hang
    begin = time.monotonic()
    assert error_of(server, timeout=0.2, retries=1).endswith("no answer within 0.2 s (2 attempts)")
    assert time.monotonic() - begin < 3


class Dripping:
    """Sends some bytes at once, then a blank every few milliseconds, for ever."""

    def __init__(self, begin: bytes) -> None:
        self.begin, self.connections, self.over = begin, 0, threading.Event()
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}/v1"
        self.threads = [threading.Thread(target=self.accept, daemon=True)]
        self.threads[0].start()

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            self.connections += 1
            self.threads.append(threading.Thread(target=self.drip, args=(connection,), daemon=True))
            self.threads[-1].start()

    def drip(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.sendall(self.begin)
                while not self.over.wait(0.02):
                    connection.sendall(b" ")
            except OSError:
                pass  # the client has hung up

    def close(self) -> None:
        self.over.set()
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        for thread in self.threads:
            thread.join(5)
            assert not thread.is_alive()


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("begin", "reason"),
    [
        (b"HTTP/1.1", "no answer within 0.3 s"),
        (OK + b"X-Endless: ", "no answer within 0.3 s"),
        (OK + b"Content-Length: 1000000\r\n\r\n", "had not ended within 0.3 s, after [0-9]+ bytes"),
        (OK + b"\r\n{", "an answer that had not ended within 0.3 s, after [0-9]+ bytes"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 1000000\r\n\r\nfull", "status 503: full"),
    ],
    ids=["status", "header", "body of a length", "body", "fault"],
)
def test_a_server_that_drips_costs_the_timeout(begin: bytes, reason: str) -> None:
    dripping = Dripping(begin)
    ask = EndpointPolicy(dripping.url, "m", timeout=0.3, retries=1, backoff=0.0)
    began = time.monotonic()
    (error,) = ask([request()])
    seconds = time.monotonic() - began
    dripping.close()
    wanted = rf"POST {re.escape(dripping.url)}/completions: .*{reason} *\(2 attempts\)"
    assert re.fullmatch(wanted, str(error))
    assert dripping.connections == 2 * 2
    assert seconds < 2


def test_a_fault_that_drips_is_still_the_fault() -> None:
    dripping = Dripping(b"HTTP/1.1 401 No\r\nContent-Length: 1000000\r\n\r\nbad key")
    ask = EndpointPolicy(dripping.url, "m", timeout=0.3, retries=3, backoff=0.0, concurrency=1)
    errors = ask([request(), request()])
    dripping.close()
    assert "status 401: bad key" in str(errors[0])
    assert "attempts" not in str(errors[0])
    assert dripping.connections == 1  # no other request would pass


def test_a_lookup_that_hangs_costs_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    over, real = threading.Event(), socket.getaddrinfo

    def hang(host: Any, *given: Any, **options: Any) -> Any:
        if host in ("slow.test", b"slow.test"):
            over.wait(60)
        return real(host, *given, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    began = time.monotonic()
    (error,) = EndpointPolicy("http://slow.test/v1", "m", timeout=0.3, retries=0)([request()])
    assert time.monotonic() - began < 20
    assert str(error).endswith("completions: no address of slow.test within 0.3 s")
    over.set()


def test_a_name_is_looked_up(server: Server) -> None:
    url = server.url.replace("127.0.0.1", "localhost")
    (samples,) = EndpointPolicy(url, "m", timeout=5, retries=0)([request()])
    assert not isinstance(samples, EndpointError)
    (error,) = EndpointPolicy("http://nowhere.invalid/v1", "m", retries=0)([request()])
    assert re.search("nowhere.invalid/v1/completions: (gaierror|ConnectError): ", str(error))


def test_a_caller_may_run_a_loop_of_its_own(server: Server) -> None:
    async def ask() -> Any:
        return policy(server)([request()])

    assert len(asyncio.run(ask())[0]) == 2


INTERRUPTED = """
import os, signal, sys, threading
from stepscore.policies import EndpointPolicy
from stepscore.policies.requests import ExpandRequest

threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
request = ExpandRequest("p", [], 40, "step", 50, 0.8, (), list(range(40)))
try:
    EndpointPolicy(sys.argv[1], "m", concurrency=4)([request])
except KeyboardInterrupt:
    print("interrupted")
"""


def test_an_interrupt_ends_the_requests(server: Server) -> None:
    def hang(body: dict[str, Any]) -> Reply:
        server.released.wait(60)
        return 200, completion("a")

    server.reply = hang
    began = time.monotonic()
    run = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, server.url],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert (run.stdout, run.stderr) == ("interrupted\n", "")
    assert time.monotonic() - began < 30
    assert len(server.bodies) <= 4


def test_without_httpx_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['httpx'] = None; from stepscore.policies import EndpointPolicy"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stderr.strip().endswith(
        'ModuleNotFoundError: EndpointPolicy needs httpx; type: pip install "stepscore[hf]"'
    )


def test_a_server_that_is_not_there_is_named() -> None:
    (error,) = EndpointPolicy("http://127.0.0.1:9/v1", "m", retries=0)([request()])
    assert str(error).startswith("POST http://127.0.0.1:9/v1/completions: Connect")


def test_at_most_so_many_at_a_time(server: Server) -> None:
    def slow(body: dict[str, Any]) -> Reply:
        time.sleep(0.02)
        return 200, completion(f"{body['seed']}")

    server.reply = slow
    seeds = list(range(40))
    ((*samples,),) = policy(server, concurrency=5)([request(seeds=seeds, samples=40)])
    assert [one.text for one in samples] == [f"{seed}\n\n" for seed in seeds]  # in order
    assert 1 < server.most_busy <= 5


def test_a_request_that_fails_costs_no_other(server: Server) -> None:
    server.reply = lambda body: (400, b"too long") if body["seed"] == 77 else (200, completion("a"))
    found = policy(server)([request(), request(seeds=[4, 77, 6], samples=3), request()])
    assert [len(own) for own in (found[0], found[2])] == [2, 2]
    assert str(found[1]) == f"POST {server.url}/completions: status 400: too long"


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_server_that_refuses_all_is_asked_no_more(server: Server, status: int) -> None:
    server.reply = lambda body: (status, b"no")
    found = policy(server, concurrency=2)([request(seeds=[n], samples=1) for n in range(500)])
    assert len(server.bodies) <= 4
    assert f"status {status}: no" in str(found[0])
    assert "given up, because another request found the server down" in str(found[499])


def test_a_server_that_is_down_is_given_up_soon() -> None:
    ask = EndpointPolicy("http://127.0.0.1:9/v1", "m", retries=2, backoff=0.05, concurrency=4)
    begin = time.monotonic()
    found = ask([request(seeds=list(range(1000)), samples=1000)])
    assert time.monotonic() - begin < 2
    assert "Connect" in str(found[0])


def test_the_key_is_sent_and_never_shown(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    policy(server, api_key="sk-one")([request()])
    assert server.headers[-1]["Authorization"] == "Bearer sk-one"
    monkeypatch.setenv("OPENAI_API_KEY", "sk-two")
    server.reply = lambda body: (401, b"bad key: sk-two")
    ask = policy(server)
    (error,) = ask([request()])
    assert server.headers[-1]["Authorization"] == "Bearer sk-two"
    assert str(error).endswith("status 401: bad key: ***")
    assert "sk-two" not in repr(ask)


def test_a_key_is_not_shown_in_parts_either(server: Server) -> None:
    key = "sk-" + "x" * 60
    server.reply = lambda body: (401, f"{'.' * 180}{key}".encode())
    message = error_of(server, api_key=key, concurrency=1)
    assert message.endswith("." * 180 + "***")


def test_a_key_that_no_header_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("sk-secret\n", " sk-secret", "sk-s\u00e9cret", "sk\0secret"):
        with pytest.raises(ValueError, match="api_key must be printable ASCII") as caught:
            EndpointPolicy("http://host/v1", "m", api_key=key)
        assert "cret" not in str(caught.value)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret\n")
    with pytest.raises(ValueError, match="OPENAI_API_KEY must be printable ASCII"):
        EndpointPolicy("http://host/v1", "m")
    wrong: Any = b"sk-secret"
    with pytest.raises(TypeError, match=r"api_key must be a str; got bytes$"):
        EndpointPolicy("http://host/v1", "m", api_key=wrong)


def test_the_key_follows_no_redirect(server: Server) -> None:
    server.reply = lambda body: (307, b"", {"Location": f"{server.url}/elsewhere"})
    assert "status 307" in error_of(server, api_key="sk-one", concurrency=1)
    assert {headers["path"] for headers in server.headers} == {"/v1/completions"}
    assert len(server.bodies) == 2


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        ("localhost:8000", {}, "url must begin with http:// or https://"),
        ("http://me:secret@host/v1", {}, "url must hold no user name, password or query"),
        ("http://host/v1?key=secret", {}, "url must hold no user name, password or query"),
        ("http://host:99999/v1", {}, "a port of 1 to 65535"),
        ("http://host:secret/v1", {}, "a port of 1 to 65535"),
        ("http://me:secret@ho\u2100st/v1", {}, "url must be one that can be read"),
        ("http://host", {"concurrency": 0}, "concurrency must be at least 1"),
        ("http://host", {"timeout": 0}, "timeout above 0"),
        ("http://host", {"timeout": math.nan}, "timeout above 0"),
        ("http://host", {"retries": 0.5}, "counts whole numbers"),
        ("http://host", {"retries": -1}, "retries and backoff at least 0"),
        ("http://host", {"stop": ("",)}, "stop must hold at least one text"),
    ],
)
def test_bad_arguments_are_named(url: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        EndpointPolicy(url, "m", **options)
    assert "secret" not in str(caught.value)


def test_no_requests_ask_nothing(server: Server) -> None:
    assert policy(server)([]) == []
    assert server.bodies == []
