"""The page about the server: requests are answered as it says, and limits are those there are."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient

from stepscore.server import Settings, create_app

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "server.md").read_text()
ASKED = re.compile(r"```http\n([A-Z]+) (\S+)\n(.*?)```\n```json\n(.*?)```", re.DOTALL)


def agrees(answer, written):
    """Whether an answer is what is written; "..." stands for any text, and a number is rounded."""
    if isinstance(written, dict):
        assert list(answer) == list(written)
        return all(agrees(answer[key], written[key]) for key in written)
    if isinstance(written, list):
        assert len(answer) == len(written)
        return all(agrees(*pair) for pair in zip(answer, written, strict=True))
    if isinstance(written, float):
        assert answer == pytest.approx(written, abs=6e-4)
    elif written == "...":
        assert isinstance(answer, str)
        assert answer
    else:
        assert answer == written
    return True


def test_every_request_is_answered_as_it_is_written(lab):
    asked = ASKED.findall(PAGE)
    assert len(asked) == PAGE.count("```http") >= 9
    known = {}
    with TestClient(create_app(lab)) as client:
        for method, path, body, written in asked:
            for name, value in known.items():
                path, body = path.replace(f"${name}", value), body.replace(f"${name}", value)
            answer = client.request(method, path, json=json.loads(body) if body else None).json()
            assert agrees(answer, json.loads(written)), path
            known |= {"id": answer["id"]} if "id" in answer else {}
            known |= {"root": answer["roots"][0]} if "roots" in answer else {}
            if answer.get("object") == "branches":
                known["node"] = answer["results"][0]["node"]


def test_the_limits_are_those_of_the_settings():
    written = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", PAGE, re.MULTILINE))
    settings = {each.name: each.default for each in dataclasses.fields(Settings)}
    for name in ("token_budget", "how", "bad_reward", "template"):
        assert settings.pop(name) is None
    assert written == {name: str(default) for name, default in settings.items()}
