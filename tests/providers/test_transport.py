"""What the guard refuses, for every vendor against a server that misbehaves, and its streams by themselves."""

from __future__ import annotations

import asyncio
import gzip
import resource
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import UpstreamError
from proxy.models import Call, CompletionRequest, Event, TraceContext
from proxy.providers.engine.transport import CappedStream, CappedSyncStream, EventStream, SyncGuard
from proxy.providers.litellm import LiteLLM
from proxy.providers.wire.exchange import Exchange
from proxy.target import Target
from tests.upstreams.fleet import MODELS, Fleet

LIMIT = 2**20
vendors = pytest.mark.parametrize("name", MODELS)
ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture(scope="module")
async def provider(anyio_backend: str) -> AsyncIterator[LiteLLM]:
    provider = LiteLLM(timeout=10, max_response=LIMIT)
    await provider.start()
    yield provider
    await provider.close()


@dataclass
class Server:
    """A server that says the same head and as much body as it can get rid of, whatever it is asked."""

    head: bytes
    body: bytes = b""
    times: int = 1
    url: str = ""
    connections: int = 0
    asked: bytes = b""
    sent: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            self.asked = await reader.readuntil(b"\r\n\r\n")
            writer.write(self.head)
            for _ in range(self.times):
                writer.write(self.body)
                await writer.drain()
                self.sent += len(self.body)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[Server]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()


async def fail(provider: LiteLLM, target: Target, stream: bool) -> UpstreamError:
    request = CompletionRequest(
        "parea", TraceContext("t", "t"), messages=[{"role": "user", "content": "secret prompt"}], stream=stream
    )
    events: list[Event] = []
    with pytest.raises(UpstreamError) as caught:
        async with aclosing(provider.complete(Call(request), target)) as answer:
            events += [event async for event in answer]
    assert events == []
    return caught.value


@pytest.mark.fault("U5")
@vendors
@ways
@pytest.mark.parametrize("status", [302, 307])
async def test_redirects_are_not_followed(
    fleet: Fleet, provider: LiteLLM, name: str, stream: bool, status: int
) -> None:
    async with serving(Server(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")) as second:
        head = f"HTTP/1.1 {status} Moved\r\nlocation: {second.url}/elsewhere\r\ncontent-length: 0\r\n\r\n".encode()
        async with serving(Server(head)) as first:
            error = await fail(provider, replace(fleet.target(name), api_base=first.url), stream)
        assert (error.code, error.upstream_status) == ("redirected", status)
        assert not error.retryable
        assert "redirect" in error.message
        assert first.connections == 1
        assert second.connections == 0


@pytest.mark.fault("U4")
@vendors
@ways
async def test_compressed_answers_are_refused(fleet: Fleet, provider: LiteLLM, name: str, stream: bool) -> None:
    bomb = gzip.compress(b" " * (64 * LIMIT))
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n"
    async with serving(Server(head, bomb)) as server:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        error = await fail(provider, replace(fleet.target(name), api_base=server.url), stream)
    assert error.code == "bad_answer"
    assert "compressed" in error.message
    assert b"accept-encoding: identity\r\n" in server.asked.lower()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024


@pytest.mark.fault("U4")
@vendors
@ways
@pytest.mark.parametrize("announced", [True, False], ids=["announced", "unannounced"])
async def test_endless_answers_are_cut(
    fleet: Fleet, provider: LiteLLM, name: str, stream: bool, announced: bool
) -> None:
    total = 200 * LIMIT
    length = b"content-length: %d\r\n" % total if announced else b""
    kind = b"text/event-stream" if stream else b"application/json"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: " + kind + b"\r\n" + length + b"connection: close\r\n\r\n"
    async with serving(Server(head, b" " * 2**16, total // 2**16)) as server:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        error = await fail(provider, replace(fleet.target(name), api_base=server.url), stream)
    assert error.code == "bad_answer"
    if not (name == "aws_bedrock" and stream):  # whose frames have checksums: this body is refused earlier
        assert "larger than allowed" in error.message
    assert server.sent < 32 * LIMIT, "most of it must not have left the server"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 48 * 1024


class Pieces(httpx.AsyncByteStream, httpx.SyncByteStream):
    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self.pieces)


REQUEST = httpx.Request("POST", "http://upstream")


async def test_the_cap_counts_bytes() -> None:
    assert [
        piece async for piece in CappedStream(httpx.Response(200, stream=Pieces([b"ab", b"cd"])), Exchange(4), REQUEST)
    ] == [b"ab", b"cd"]
    exchange = Exchange(3)
    with pytest.raises(httpx.ReadError):
        [piece async for piece in CappedStream(httpx.Response(200, stream=Pieces([b"ab", b"cd"])), exchange, REQUEST)]
    assert exchange.refusal == "size"
    with pytest.raises(httpx.ReadError):
        list(CappedSyncStream(Pieces([b"ab", b"cd"]), Exchange(3), REQUEST))


lines = st.lists(
    st.sampled_from([b"data: {}", b": a comment", b":", b"", b"data: a:b", b"event: x", b" : no"]), max_size=8
)


@given(lines, st.sampled_from([b"\n", b"\r\n"]), st.lists(st.integers(1, 12), max_size=20))
async def test_events_lose_their_comments_and_nothing_else(parts: list[bytes], end: bytes, cuts: list[int]) -> None:
    body = end.join(parts)
    pieces, rest = [], body
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    received = b"".join([piece async for piece in EventStream(Pieces([*pieces, rest]), Exchange(0), REQUEST)])
    kept = [line for line in body.split(b"\n") if not line.startswith(b":")]
    assert received.split(b"\n")[: len(kept)] == kept or received == b"\n".join(kept)


@pytest.mark.fault("U2")
@pytest.mark.parametrize("cut", range(8))
async def test_events_are_text(cut: int) -> None:
    good = "data: é€\n\n".encode()
    exchange = Exchange(0)
    assert [piece async for piece in EventStream(Pieces([good[:cut], good[cut:]]), exchange, REQUEST)]
    assert exchange.refusal is None
    with pytest.raises(httpx.ReadError):
        [piece async for piece in EventStream(Pieces([good[:cut], good[cut:], b"data: \xff\n\n"]), exchange, REQUEST)]
    assert exchange.refusal == "text"


@pytest.mark.fault("U5")
async def test_requests_from_threads_are_guarded_too() -> None:
    async with serving(
        Server(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n")
    ) as server:

        def fetch() -> None:
            with httpx.Client(transport=SyncGuard(), follow_redirects=True) as client:
                client.get(server.url)

        with pytest.raises(httpx.ReadError, match="redirect"):
            await asyncio.to_thread(fetch)
        assert b"accept-encoding: identity\r\n" in server.asked.lower()
