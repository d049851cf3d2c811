"""The process around the application: sockets, uvicorn, and an end that finishes what it began."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI

from stepscore.errors import Argument, InputError
from stepscore.server.connections import impatient
from stepscore.server.service import Service

# Connections that wait to be accepted: as many clients may come in one moment.
_BACKLOG = 4096
# Seconds that a thread which wants the interpreter waits for one that holds it. Forward passes of
# small models give it back and want it again for every operation, while requests are read.
_SWITCH_INTERVAL = 0.0005
# Seconds that a connection without a request stays open.
_KEEP_ALIVE = 75


@contextmanager
def listening(host: str, port: int) -> Iterator[list[socket.socket]]:
    """Take the addresses of a host, before anything takes long.

    Raises:
        InputError: no such host, or a port that is in use or not for everybody.
    """
    sockets: list[socket.socket] = []
    try:
        for family, address in _addresses(host, port):
            each = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(each)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                each.bind(address)
            except OSError as error:
                raise _not_bound(error, host, port) from error
        yield sockets
    finally:
        for each in sockets:
            each.close()


def serve(app: FastAPI, sockets: Sequence[socket.socket], on_start: Callable[[], object]) -> None:
    """Answer requests until a signal comes; then finish what was accepted.

    Args:
        app: what `create_app` gives.
        sockets: what `listening` gives.
        on_start: is called once requests are taken.

    Raises:
        InputError: another process has begun to listen at the port meanwhile.
    """
    service: Service = app.state.service
    settings = service.settings
    config = uvicorn.Config(
        app,
        http=impatient(settings.body_timeout),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=int(settings.drain_timeout) + 1,
    )
    # One thread tokenises; what a tokenizer hands to others for a few texts takes longer.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_INTERVAL)
    try:
        _Server(config, service, on_start).run(list(sockets))
    except OSError as error:
        host, port = sockets[0].getsockname()[:2]
        raise _not_bound(error, host, port) from error
    finally:
        sys.setswitchinterval(before)


class _Server(uvicorn.Server):
    """Says when it has begun, and refuses requests from the signal on that ends it."""

    def __init__(
        self, config: uvicorn.Config, service: Service, on_start: Callable[[], object]
    ) -> None:
        super().__init__(config)
        self._service = service
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_start()

    def handle_exit(self, sig: int, frame: Any) -> None:
        self._service.batcher.state = "draining"
        super().handle_exit(sig, frame)
        # An end that was asked for is none of a fault: the process does not die of the signal.
        self._captured_signals.clear()


def _addresses(host: str, port: int) -> list[tuple[int, Any]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise InputError(
            "the name or the address of this machine",
            got=getattr(error, "strerror", None) or "no such name",
            argument=Argument("host", host),
        ) from error
    if port == 0:  # each would get another one
        found = found[:1]
    return list(dict.fromkeys((int(family), address) for family, *_, address in found))


def _not_bound(error: OSError, host: str, port: int) -> InputError:
    if error.errno == errno.EADDRINUSE:
        return InputError(
            "a free port",
            got="one at which another process listens",
            advice=("pass another one, or ", Argument("port", 0), " for any that is free"),
            argument=Argument("port", port),
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return InputError(
            "an address of this machine", got="another", argument=Argument("host", host)
        )
    reason = error.strerror or os.strerror(error.errno or 0)
    return InputError("a port that may be used", got=reason, argument=Argument("port", port))
