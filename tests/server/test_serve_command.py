"""``stepscore serve`` as a process: where it listens, who may ask, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest

pytest.importorskip("fastapi")

from stepscore.cli import serve
from stepscore.cli.main import main
from stepscore.server import Settings
from stepscore.server.listening import listening

PATIENCE = 300  # seconds of a machine that others use too
KEY = "a-key-of-this-server-0123456789"


@contextmanager
def started(*options, environment=None):
    """Run the command; gives the process and the URL that it said."""
    process = subprocess.Popen(
        [sys.executable, "-m", "stepscore", "serve", "lab", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_WAIT_POLICY": "passive", **(environment or {})},
    )
    try:
        line = process.stdout.readline()
        assert " is served at http://" in line, process.communicate()
        yield process, line.split()[-1]
    finally:
        process.kill()
        process.communicate()


def ask(url, body=None, headers=None):
    data = None if body is None else json.dumps(body).encode()
    head = {"Content-Type": "application/json", **(headers or {})}
    with urllib.request.urlopen(urllib.request.Request(url, data, head), timeout=PATIENCE) as got:
        return json.loads(got.read())


def test_it_serves_and_a_signal_ends_it_when_all_is_answered(lab):
    problem, candidates = "85+95-16+20+11-30=?", [["85+95=180", "180-16=164"]] * 3
    body = {"problems": problem, "solutions": candidates}
    expected = lab.score(problem, candidates).to_list()
    with started("--latency-ms", "1500") as (process, url):
        tried = process.stdout.readline()
        assert tried.startswith(f"try: curl {url}/v1/step_scores -H 'Content-Type")
        answers = []

        def client():
            answers.append(ask(f"{url}/v1/step_scores", body))

        clients = [threading.Thread(target=client) for _ in range(5)]
        for each in clients:
            each.start()
        time.sleep(0.7)  # they wait for others to go with
        process.send_signal(signal.SIGTERM)
        for each in clients:
            each.join(PATIENCE)
        assert len(answers) == 5
        for answer in answers:
            assert [each["step_scores"] for each in answer["results"]] == expected
        assert process.wait(PATIENCE) == 0
        with pytest.raises(urllib.error.URLError):
            ask(f"{url}/health")
        shown = process.stdout.read() + process.stderr.read()
        assert "Traceback" not in shown


def test_a_key_of_the_environment_is_asked_for_and_shown_nowhere():
    options = ("--host", "0.0.0.0")
    with started(*options, environment={serve.KEY_VARIABLE: KEY}) as (process, url):
        assert "$KEY" in process.stdout.readline()
        url = url.replace("0.0.0.0", "127.0.0.1")
        assert ask(f"{url}/health") == {"status": "ready"}
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask(f"{url}/v1/models")
        assert ask(f"{url}/k/{KEY}/v1/models")["data"][0]["id"] == "lab"
        with open(f"/proc/{process.pid}/cmdline") as file:
            assert KEY not in file.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        assert KEY not in process.stdout.read() + process.stderr.read()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("serve lab --host 0.0.0.0", "--host 0.0.0.0: expected a key for a server that others can"),
        ("serve lab --host 0.0.0.0", "--api-key-file FILE"),
        ("serve lab --host 0.0.0.0", "--no-key"),
        (
            "serve lab --api-key-file nothing",
            "--api-key-file: expected a file of keys; got No such",
        ),
        ("serve lab --no-key --api-key-file x", "--no-key: expected no file of keys beside it"),
        ("serve nothing-like-it --port 0", "nothing-like-it"),
        ("serve lab --host 192.0.2.1 --no-key", "--host 192.0.2.1: expected an address of this"),
        ("serve lab --host no.such.name.invalid --no-key", "--host no.such.name.invalid: expected"),
    ],
)
def test_what_cannot_be_served_is_said_at_once(arguments, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(serve.KEY_VARIABLE, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main(arguments.split()) == 2
    assert message in capsys.readouterr().err


def test_a_port_in_use_is_named(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "lab", "--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert f"--port {port}: expected a free port; got one at which another process listens" in said
    assert "--port 0 for any that is free" in said


def test_what_is_not_installed_is_named(capsys, monkeypatch):
    monkeypatch.setattr(serve, "find_spec", lambda name: None if name == "uvicorn" else object())
    assert main(["serve", "lab"]) == 2
    assert 'got no uvicorn; type: pip install "stepscore[serve]"' in capsys.readouterr().err


def test_the_limits_of_the_help_are_those_of_the_settings():
    settings = Settings()
    assert {name: default for name, default, _ in serve.LIMITS}
    for name, default, _ in serve.LIMITS:
        assert getattr(settings, name) == default, name
    assert settings.latency == 0.005


@pytest.mark.parametrize("typed", ["nan", "inf", "1e999", "", "x"])
def test_what_is_no_bad_reward(typed, capsys):
    with pytest.raises(SystemExit):
        main(["serve", "lab", "--bad-reward", typed])
    assert f"--bad-reward: must be a finite number; got '{typed}'" in capsys.readouterr().err


def test_a_bad_reward_is_none_unless_it_is_typed():
    with started("--bad-reward", "-1") as (_, url):
        assert ask(f"{url}/slime/reward", {"prompt": "1+2=?", "response": ""}) == -1.0
    with started() as (_, url), pytest.raises(urllib.error.HTTPError, match="422"):
        ask(f"{url}/slime/reward", {"prompt": "1+2=?", "response": ""})


def test_sockets_are_closed_whatever_happens():
    with pytest.raises(KeyError), listening("127.0.0.1", 0) as sockets:
        raise KeyError
    assert all(each.fileno() == -1 for each in sockets)
