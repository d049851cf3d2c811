"""What a connection may send before it is answered, whoever parses it."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

pytest.importorskip("fastapi")
import uvicorn

from stepscore.server import create_app
from stepscore.server.connections import impatient
from stepscore.server.listening import listening

HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST /v1/vote HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(params=["h11", "httptools"])
def protocol(request):
    if request.param == "h11":
        from uvicorn.protocols.http.h11_impl import H11Protocol

        return H11Protocol
    pytest.importorskip("httptools")
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    return HttpToolsProtocol


@asynccontextmanager
async def served_by(protocol, lab, seconds):
    """Serve the lab's model over a protocol of uvicorn; gives the port."""
    http = impatient(seconds, protocol)
    config = uvicorn.Config(create_app(lab), http=http, lifespan="on", log_config=None)
    server = uvicorn.Server(config)
    with listening("127.0.0.1", 0) as sockets:
        running = asyncio.create_task(server._serve(list(sockets)))
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield sockets[0].getsockname()[1]
        finally:
            server.should_exit = True
            await running


def test_a_connection_without_a_request_is_closed(protocol, lab):
    async def body():
        async with served_by(protocol, lab, 0.3) as port:
            slow, writer = await asyncio.open_connection("127.0.0.1", port)
            quick, other = await asyncio.open_connection("127.0.0.1", port)
            other.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            begin = time.monotonic()
            for byte in b"GET /h":  # one at a time, and never a whole head
                writer.write(bytes([byte]))
                await asyncio.sleep(0.02)
            assert await asyncio.wait_for(slow.read(), 10) == b""
            assert time.monotonic() - begin < 5
            assert (await quick.readline()).startswith(b"HTTP/1.1 200")
            # After an answer, too, the next head has to come.
            other.write(b"GET /health HT")
            assert b"HTTP/1.1" not in await asyncio.wait_for(quick.read(), 10)
            writer.close()
            other.close()

    asyncio.run(asyncio.wait_for(body(), 60))


async def poured(writer, piece, size):
    """Write a piece again and again."""
    for _ in range(size // len(piece)):
        writer.write(piece)
        await writer.drain()


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        (b"GET /", b"a" * 65536),
        (b"GET /health HTTP/1.1\r\nX: ", b"a" * 65536),
        (b"GET /health HTTP/1.1\r\n", b"X: a\r\n" * 10000),
        (CHUNKED + b"1;", b"a" * 65536),
        (CHUNKED + b"1\r\n{\r\n0\r\n", b"X: a\r\n" * 10000),
        (b"", HEALTH * 2000),
    ],
    ids=["path", "header", "headers", "chunk", "trailers", "requests"],
)
def test_nobody_fills_the_memory_without_a_request(first, piece, protocol, lab):
    async def body():
        async with served_by(protocol, lab, 60.0) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(first)
            with pytest.raises(ConnectionError):
                await poured(writer, piece, 64 << 20)
            other, asking = await asyncio.open_connection("127.0.0.1", port)
            asking.write(HEALTH)
            assert (await other.readline()).startswith(b"HTTP/1.1 200")
            asking.close()

    asyncio.run(asyncio.wait_for(body(), 60))


def test_a_body_may_be_long_and_some_requests_may_come_at_once(protocol, lab):
    texts = b'{"answers": ["1"]' + b" " * 2_000_000 + b"}"
    head = b"POST /v1/vote HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    post = head + b"Content-Length: %d\r\n\r\n" % len(texts) + texts

    async def body():
        async with served_by(protocol, lab, 60.0) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(post + HEALTH * 20 + HEALTH[:-2] + b"Connection: close\r\n\r\n")
            read = await reader.read()
            writer.close()
            assert read.count(b"HTTP/1.1 200 OK") == 22

    asyncio.run(asyncio.wait_for(body(), 60))
