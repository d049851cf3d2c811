"""A server of OpenAI's completions and chat completions in a thread, which answers by a script."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Said:
    """What the server answers: pieces, one per token, and what might have stood in their place.

    Attributes:
        pieces: token texts.
        likely: place of a piece -> text and log-probability of the likeliest tokens.
        reason: ``finish_reason``.
        stop: the stop text that ended it, as vLLM names it; "" leaves the field out.
        status: of HTTP.
    """

    pieces: Sequence[str]
    likely: dict[int, dict[str, float]] = field(default_factory=dict)
    reason: str = "stop"
    stop: str | None = None
    status: int = 200


Script = Callable[[dict[str, Any]], Said]


class TextServer:
    """Remembers the bodies and paths of what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.script: Script = lambda body: Said(["7"])
        self.logprobs = True
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        self.paths.append(path)
        self.bodies.append(body)
        # A probe asks for one token, to see what comes with it.
        text = body.get("prompt") or body["messages"][-1]["content"]
        probe = body["max_tokens"] == 1 and "1" in text and len(text) < 30
        said = self.script(body)
        said = Said(["7"]) if probe and said.status == 200 else said
        if said.status != 200:
            return said.status, {"error": "no"}
        text = "".join(said.pieces)
        choice: dict[str, Any] = {"index": 0, "finish_reason": said.reason}
        if said.stop != "":
            choice["stop_reason"] = said.stop
        asked = body.get("logprobs")
        if path.endswith("/chat/completions"):
            choice["message"] = {"role": "assistant", "content": text}
            if asked and self.logprobs:
                choice["logprobs"] = {
                    "content": [self._entry(said, i) for i in range(len(said.pieces))]
                }
        else:
            choice["text"] = text
            if asked and self.logprobs:
                choice["logprobs"] = {
                    "tokens": list(said.pieces),
                    "token_logprobs": [self._own(said, i) for i in range(len(said.pieces))],
                    "top_logprobs": [self._top(said, i) for i in range(len(said.pieces))],
                }
        return 200, {"choices": [choice], "usage": {"completion_tokens": len(said.pieces)}}

    def _top(self, said: Said, place: int) -> dict[str, float]:
        # A probe of one token wants as many likely ones as it asks for.
        filler = {f"~{n}": -9.0 - n for n in range(20)}
        return said.likely.get(place, {said.pieces[place]: -0.1, **filler})

    def _own(self, said: Said, place: int) -> float:
        return self._top(said, place).get(said.pieces[place], -3.0)

    def _entry(self, said: Said, place: int) -> dict[str, Any]:
        top = [{"token": t, "logprob": v} for t, v in self._top(said, place).items()]
        return {"token": said.pieces[place], "logprob": self._own(said, place), "top_logprobs": top}


@contextmanager
def text_server() -> Iterator[TextServer]:
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                status, answer = served.answer(self.path, body)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    served = TextServer(f"http://127.0.0.1:{http.server_port}/v1")
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
