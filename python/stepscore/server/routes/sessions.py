"""Search over HTTP: traces that grow and fork, of which only new tokens are forwarded."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from stepscore.scoring.score_options import NonFinite, SpecialTokens
from stepscore.server.json_answers import answer
from stepscore.server.routes.bodies import Body, SolutionText
from stepscore.server.routes.scores import results
from stepscore.server.service import Service


class OpenBody(Body):
    """What ``/v1/sessions`` reads; as the arguments of `ProcessRewardModel.session`."""

    model: str | None = None
    problems: str | list[str]
    special_tokens: SpecialTokens = "strip_end"
    nan: NonFinite = "error"


class ExtendBody(Body):
    """What ``/extend`` reads: one node for each step, or list of steps."""

    nodes: list[str] = Field(description="what extend gave, or the session's roots")
    steps: list[SolutionText] = Field(description="for each node a step, or a list of them")


class KeepBody(Body):
    """What ``/keep`` reads."""

    nodes: list[str]


def routes(service: Service) -> APIRouter:
    """``/v1/sessions`` and what stands below."""
    router = APIRouter(prefix="/v1/sessions")
    sessions = service.sessions

    @router.post("")
    async def open_session(body: OpenBody) -> Response:
        """Open a session over problems; their nodes are the roots."""
        service.check_model(body.model)
        problems = [body.problems] if isinstance(body.problems, str) else body.problems
        options = {"special_tokens": body.special_tokens, "nan": body.nan}
        opened = await sessions.open(problems, options)
        content = {
            "object": "session",
            "id": opened.name,
            "model": service.name,
            "roots": opened.roots,
            "expires_after": service.settings.session_timeout,
        }
        return answer(content, 201)

    @router.post("/{session}/extend")
    async def extend(session: str, body: ExtendBody) -> Response:
        """Continue nodes by steps, and score these; a node may be named several times."""
        made = await sessions.extend(session, body.nodes, body.steps)
        each = zip(made.nodes, results(made.scores, []), strict=True)
        content = [{"node": node, **result} for node, result in each]
        return answer({"object": "branches", "results": content})

    @router.post("/{session}/keep")
    async def keep(session: str, body: KeepBody) -> Response:
        """Release all nodes but these, their ancestors and the roots."""
        return answer({"object": "kept", "nodes": await sessions.keep(session, body.nodes)})

    @router.delete("/{session}")
    async def close(session: str) -> Response:
        """Close a session."""
        await sessions.close(session)
        return answer({"object": "closed", "id": session})

    return router
