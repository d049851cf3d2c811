"""The page at ``/``: paste a problem and candidates, and see the score of every step."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files

from fastapi import APIRouter
from starlette.responses import Response

from stepscore.server.service import Service


def routes(service: Service) -> APIRouter:
    """``/``."""
    router = APIRouter()
    text = (files("stepscore.server") / "page" / "index.html").read_text(encoding="utf-8")
    headers = {
        "Content-Security-Policy": _policy(text),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }

    @router.get("/")
    async def page() -> Response:
        """Give the page, which asks the other routes with the key that somebody types into it."""
        return Response(text, media_type="text/html", headers=headers)

    return router


def _policy(page: str) -> str:
    """Let the page run its own style and its own script, and ask this server; nothing else."""
    style, script = (_digest(page, tag) for tag in ("style", "script"))
    return (
        f"default-src 'none'; style-src '{style}'; script-src '{script}'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _digest(page: str, tag: str) -> str:
    [inside] = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    return "sha256-" + base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
