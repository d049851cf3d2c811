"""Connections whose requests come whole, in time, and not far ahead of their answers."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

# Bytes that a client may send before anything can be made of them: a head, or what stands behind a
# chunked body; with h11 also requests behind the one that is at work.
_MOST_BYTES = 1 << 16
# Requests behind the one that is at work.
_MOST_REQUESTS = 128


def impatient(
    seconds: float, protocol: type[asyncio.Protocol] = AutoHTTPProtocol
) -> type[asyncio.Protocol]:
    """Give uvicorn's protocol of HTTP, which closes a connection whose request does not come.

    Args:
        seconds: for a head.
        protocol: of uvicorn, over h11 or httptools. Both keep whatever is sent, before anybody asks
            for a key: httptools heads of any length, and each of them requests without an end.
    """
    parses = _parsing_h11 if hasattr(protocol, "handle_events") else _parsing_httptools

    class Impatient(parses(protocol)):  # type: ignore[misc]
        _until: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            self._wait()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.is_ahead():
                self.transport.abort()
            if self.cycle is None or self.cycle.response_complete:
                self._wait()
            else:
                self._stop_waiting()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def _wait(self) -> None:
            if self._until is None:
                self._until = self.loop.call_later(seconds, self._close)

        def _stop_waiting(self) -> None:
            if self._until is not None:
                self._until.cancel()
                self._until = None

        def _close(self) -> None:
            self._until = None
            if not self.transport.is_closing():
                self.transport.close()

    return Impatient


def _parsing_h11(protocol: Any) -> Any:
    class Parsing(protocol):  # type: ignore[misc]
        def is_ahead(self) -> bool:
            """Whether there is more than one request can need; h11 itself refuses long heads."""
            return len(self.conn.trailing_data[0]) > _MOST_BYTES

    return Parsing


def _parsing_httptools(protocol: Any) -> Any:
    class Parsing(protocol):  # type: ignore[misc]
        _unread = 0  # bytes since the last ones of which something was made

        def data_received(self, data: bytes) -> None:
            self._unread += len(data)
            super().data_received(data)

        def on_headers_complete(self) -> None:
            self._unread = 0
            super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            self._unread = 0
            super().on_body(body)

        def is_ahead(self) -> bool:
            """Whether there is more than one request can need."""
            return self._unread > _MOST_BYTES or len(self.pipeline) > _MOST_REQUESTS

    return Parsing
