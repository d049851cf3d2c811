"""Scores over HTTP: ``stepscore serve``, or `create_app` in a server of one's own.

- ``app``: the application; ``routes``: what is answered, a file per family of clients; ``page``
- ``rewards``, ``templates``: what other servers' clients send, as pairs of problem and solution
- ``connections``, ``gate``, ``security``: what every request passes; ``errors``: what is told of
  a fault
- ``batching``, ``line``, ``room``: requests of many clients in one forward pass
- ``sessions``: search over HTTP; ``metrics``: what Prometheus reads; ``settings``: the limits
"""

from stepscore.server.app import create_app
from stepscore.server.settings import Settings

__all__ = ["Settings", "create_app"]
