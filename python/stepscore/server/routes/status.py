"""Whether the server is there, what it serves, and its figures."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from stepscore.scoring.scores import default_aggregate
from stepscore.server.json_answers import answer, numbers
from stepscore.server.service import Service


def routes(service: Service) -> APIRouter:
    """``/health``, ``/v1/models``, ``/metrics``."""
    router = APIRouter()

    @router.get("/health")
    async def health() -> Response:
        """Tell whether requests are taken: ready, loading or draining."""
        state = service.batcher.state
        return answer({"status": state}, 200 if state == "ready" else 503)

    @router.get("/v1/models")
    async def models() -> Response:
        """Name the model, in OpenAI's shape, and say how its scores are read."""
        recipe = service.prm.recipe
        model = {
            "id": service.name,
            "object": "model",
            "created": service.since,
            "owned_by": "stepscore",
            "recipe": recipe.name,
            "max_model_len": service.prm.max_length,
            "aggregation": service.settings.how or default_aggregate(recipe),
            "score_range": numbers(recipe.score_range),
            "higher_is_better": recipe.readings[0].higher_is_better,
        }
        return answer({"object": "list", "data": [model]})

    @router.get("/metrics")
    async def metrics() -> Response:
        """Give the figures that Prometheus reads."""
        text, kind = service.metrics.text()
        return Response(text, media_type=kind)

    return router
