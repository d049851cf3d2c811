from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_model import FakeModel

import stepscore


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """Put a fake behind stepscore.load."""
    model = FakeModel()
    monkeypatch.setitem(stepscore.__dict__, "load", lambda name, **options: model)
    return model


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Write records (or raw lines) into a file."""

    def write_lines(*lines: Any, name: str = "in.jsonl") -> str:
        path = tmp_path / name
        raw = [
            line
            if isinstance(line, bytes)
            else (line if isinstance(line, str) else json.dumps(line)).encode()
            for line in lines
        ]
        path.write_bytes(b"\n".join(raw) + b"\n")
        return str(path)

    return write_lines
