"""Answers as servers send them, good and bad, over real sockets, on both event loops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.providers.wire.connection import HEAD
from proxy.providers.wire.exchange import Broken, Exchange, Malformed, Refused, TimedOut, TransportError, Truncated
from proxy.providers.wire.pool import Pool
from proxy.providers.wire.reply import BEHIND, Reply
from tests.upstreams.raw import CLOSE, HOLD, RESET, Raw, Script, Step, chunked, raw, whole

pytestmark = pytest.mark.fault("U2", "U3")

LIMIT = 2**20
OK = whole(b"{}")


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    pool = Pool()
    yield pool
    await pool.close()


async def post(pool: Pool, server: Raw, body: bytes = b"{}", **known: float) -> Reply:
    exchange = Exchange(int(known.get("limit", LIMIT)))
    return await pool.post(server.url, {}, body, exchange=exchange, timeout=known.get("timeout", 5))


async def read(pool: Pool, server: Raw, timeout: float = 5) -> bytes:  # noqa: ASYNC109
    reply = await post(pool, server, timeout=timeout)
    try:
        return await reply.read()
    finally:
        reply.close()


async def gone(pool: Pool) -> None:
    """Wait until the pool has seen that every server has left."""
    async with asyncio.timeout(5):
        while pool._open:  # noqa: ASYNC110
            await asyncio.sleep(0)


@asynccontextmanager
async def begun(pool: Pool, *scripts: Script) -> AsyncIterator[tuple[Reply, Raw]]:
    async with raw(*scripts) as server:
        reply = await post(pool, server)
        try:
            yield reply, server
        finally:
            reply.close()


GOOD = {
    "length": (whole(b"answer"), True),
    "empty": (whole(b""), True),
    "chunked": (chunked(b"ans", b"wer"), True),
    "trailers": (chunked(b"answer", end=b"0\r\nx-sum: 1\r\n\r\n"), True),
    "extensions": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6;a=b\r\nanswer\r\n0\r\n\r\n", True),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", True),
    "close": (whole(b"answer", "connection: close"), False),
    "1.0": (b"HTTP/1.0 200 OK\r\ncontent-length: 6\r\n\r\nanswer", False),
    "1.0 kept": (b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 6\r\n\r\nanswer", True),
    "continue": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\n" + whole(b"answer"), True),
}


@pytest.mark.parametrize("case", GOOD)
async def test_an_answer_is_read_whole_and_its_connection_kept(pool: Pool, case: str) -> None:
    answer, kept = GOOD[case]
    expected = b"" if case in ("empty", "no content") else b"answer"
    async with raw(answer) as server:
        assert [await read(pool, server) for _ in range(3)] == [expected] * 3
        assert server.connections == (1 if kept else 3)


@pytest.mark.parametrize(
    "head", ["HTTP/1.1 200 OK\r\n", "HTTP/1.0 200 OK\r\n", "HTTP/1.1 200 OK\r\nconnection: close\r\n"]
)
async def test_an_answer_without_a_length_lasts_until_the_end_of_the_connection(pool: Pool, head: str) -> None:
    async with raw([f"{head}\r\n".encode(), b"ans", b"wer", CLOSE]) as server:
        assert [await read(pool, server) for _ in range(2)] == [b"answer"] * 2


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=st.sampled_from(sorted(GOOD)), cuts=st.lists(st.integers(0, 200), max_size=6))
async def test_the_framing_may_be_cut_anywhere(pool: Pool, case: str, cuts: list[int]) -> None:
    answer, _ = GOOD[case]
    places = [0, *sorted(cut % (len(answer) + 1) for cut in cuts), len(answer)]
    pieces = [answer[start:end] for start, end in zip(places, places[1:], strict=False)]
    async with raw(pieces) as server:
        assert await read(pool, server) == (b"" if case in ("empty", "no content") else b"answer")


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=st.sampled_from(["length", "chunked", "trailers", "extensions", "continue"]), data=st.data())
async def test_an_answer_that_ends_early_never_looks_whole(pool: Pool, case: str, data: st.DataObject) -> None:
    answer, _ = GOOD[case]
    cut = data.draw(st.integers(0, len(answer) - 1))
    ending: Step = data.draw(st.sampled_from([CLOSE, RESET]))
    async with raw([answer[:cut], ending]) as server:
        with pytest.raises((Broken, Truncated)):
            await read(pool, server)
        assert server.connections == 1, "it was asked for once"


@pytest.mark.parametrize("ending", [CLOSE, RESET])
async def test_what_came_before_the_end_is_given_out_before_it_is_told(pool: Pool, ending: Step) -> None:
    ready = asyncio.Event()
    async with begun(pool, [chunked(b"one", end=b""), ready, ending]) as (reply, _):
        assert await anext(reply) == b"one"
        ready.set()
        with pytest.raises(Truncated):
            await anext(reply)
        with pytest.raises(Truncated):
            await anext(reply)


async def test_an_unfinished_answer_until_the_end_of_the_connection_is_told_by_a_reset(pool: Pool) -> None:
    ready = asyncio.Event()
    async with begun(pool, [b"HTTP/1.1 200 OK\r\n\r\none", ready, RESET]) as (reply, _):
        assert await anext(reply) == b"one"
        ready.set()
        with pytest.raises(Truncated):
            await anext(reply)


HEADED = b"HTTP/1.1 200 OK\r\n"
BAD = {
    "no http": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "two lengths": HEADED + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    "length and chunks": HEADED + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "negative length": HEADED + b"content-length: -2\r\n\r\n",
    "huge length": HEADED + b"content-length: 99999999999999999999999\r\n\r\n",
    "bad chunk": HEADED + b"transfer-encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n",
    "chunk without end": HEADED + b"transfer-encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n",
    "header without colon": HEADED + b"nothing\r\n\r\n",
    "switching": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
    "line break in a header": HEADED + b"x: a\rb\r\ncontent-length: 0\r\n\r\n",
    "large header": HEADED + b"x: " + b"y" * (2 * HEAD) + b"\r\ncontent-length: 0\r\n\r\n",
    "many headers": HEADED + b"x: y\r\n" * HEAD + b"content-length: 0\r\n\r\n",
    "endless header": HEADED + b"x: " + b"y" * (16 * HEAD),
    "many hints": b"HTTP/1.1 103 Hints\r\nx: y\r\n\r\n" * HEAD,
    "large trailer": chunked(b"{}", end=b"0\r\nx: " + b"y" * (16 * HEAD)),
    "large extension": HEADED + b"transfer-encoding: chunked\r\n\r\n2;" + b"y" * (16 * HEAD),
}


@pytest.mark.parametrize("case", BAD)
async def test_what_is_not_http_is_refused_and_its_connection_closed(pool: Pool, case: str) -> None:
    async with raw([BAD[case], HOLD]) as server:
        with pytest.raises(Malformed):
            await read(pool, server)
        await asyncio.wait_for(server.left.wait(), 5)


async def test_an_answer_to_no_request_ends_the_connection(pool: Pool) -> None:
    late = asyncio.Event()
    async with raw([OK, late, OK, HOLD], OK) as server:
        assert await read(pool, server) == b"{}"
        late.set()
        await asyncio.wait_for(server.left.wait(), 5)
        assert await read(pool, server) == b"{}"
        assert server.connections == 2


@pytest.mark.parametrize("more", [whole(b"forged"), b"\r\nforged", b"HTTP/1.1 200", b"0"])
async def test_what_follows_an_answer_at_once_is_nobody_s_answer(pool: Pool, more: bytes) -> None:
    async with raw([OK + more, HOLD], OK) as server:
        assert await read(pool, server) == b"{}"
        assert await read(pool, server) == b"{}"
        assert server.connections == 2


async def test_a_connection_that_the_server_closed_is_not_used(pool: Pool) -> None:
    async with raw([OK, CLOSE]) as server:
        for calls in range(1, 4):
            assert await read(pool, server) == b"{}"
            await asyncio.wait_for(server.left.wait(), 5)
            server.left.clear()
            await gone(pool)
            assert server.connections == calls


async def test_a_request_is_written_once_even_if_a_kept_connection_breaks(pool: Pool) -> None:
    async with raw(OK, [RESET], OK) as server:
        await read(pool, server)
        with pytest.raises(Broken):
            await read(pool, server)
        assert len(server.heads) == 2
        assert server.connections == 1


@pytest.mark.parametrize("script", [[HOLD], [chunked(b"one", end=b""), HOLD]], ids=["head", "body"])
async def test_silence_is_told_in_time(pool: Pool, script: Script) -> None:
    async with raw(script) as server:
        with pytest.raises(TimedOut) as caught:
            await read(pool, server, 0.05)
        assert isinstance(caught.value, TimeoutError)
        await asyncio.wait_for(server.left.wait(), 5)


async def test_each_piece_has_the_whole_time(pool: Pool) -> None:
    class Slow(asyncio.Event):
        async def wait(self) -> bool:  # type: ignore[override]
            await asyncio.sleep(0.08)
            return True

    pieces: list[Step] = [b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n", Slow(), b"a", Slow(), b"b", Slow(), b"cd"]
    async with raw(pieces) as server:
        reply = await post(pool, server, timeout=0.2)
        assert await reply.read() == b"abcd"
        reply = await post(pool, server, timeout=0.02)
        with pytest.raises(TimedOut):
            await reply.read()


@pytest.mark.parametrize("script", [[HOLD], [chunked(b"one", end=b""), HOLD]], ids=["head", "body"])
async def test_a_cancelled_call_closes_its_connection_at_once(pool: Pool, script: Script) -> None:
    async with raw(script) as server:
        task = asyncio.create_task(read(pool, server))
        await asyncio.wait_for(server.asked.wait(), 5)
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(server.left.wait(), 5)
        assert server.open == 0


async def test_close_aborts_what_is_unfinished_and_keeps_what_is_whole(pool: Pool) -> None:
    async with raw([chunked(b"one", end=b""), HOLD], OK) as server:
        reply = await post(pool, server)
        reply.close()
        reply.close()
        await asyncio.wait_for(server.left.wait(), 5)
        with pytest.raises(TransportError):
            await reply.read()
        reply = await post(pool, server)
        reply.close()
        reply.close()
        assert await read(pool, server) == b"{}"
        assert server.connections == 2


async def test_a_slow_reader_holds_the_server_up(pool: Pool) -> None:
    piece = b"x" * 2**16
    many = [b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (2**16 * 640), *[piece] * 640]
    async with raw(many) as server:
        reply = await post(pool, server, limit=2**30)
        first = await anext(reply)
        before = -1
        while before != server.sent:
            before = server.sent
            await asyncio.sleep(0.1)
        assert server.sent < 2**16 * 320, "the kernel's buffers and the reply's are full"
        assert reply._size <= BEHIND + 2**18
        assert len(first) + len(await reply.read()) == 2**16 * 640
        assert server.connections == 1
        reply = await post(pool, server, limit=2**30)
        assert len(await reply.read()) == 2**16 * 640
        assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        whole(b"x" * 101),
        chunked(b"x" * 50, b"x" * 51),
        [b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 101, CLOSE],
        [whole(b"x" * 101)[:-10], HOLD],
    ],
    ids=["length", "chunks", "close", "announced"],
)
async def test_an_answer_larger_than_allowed_is_cut(pool: Pool, answer: Script) -> None:
    async with raw(answer) as server:
        exchange = Exchange(100)
        with pytest.raises(Refused, match="larger than allowed"):
            await (await pool.post(server.url, {}, b"", exchange=exchange, timeout=5)).read()
        assert exchange.refusal == "size"
        await asyncio.wait_for(server.left.wait(), 5)
        reply = await pool.post(server.url, {}, b"", exchange=(larger := Exchange(101)), timeout=5)
        reply.close()
        assert larger.refusal is None


async def test_an_early_answer_to_a_large_request_is_read_and_its_connection_not_kept(pool: Pool) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(whole(b"no", status=413))
        await done.wait()
        writer.close()

    done = asyncio.Event()
    listening = await asyncio.start_server(refuse, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    reply = await pool.post(url, {}, b"x" * 2**25, exchange=Exchange(LIMIT), timeout=5)
    assert (reply.status, await reply.read()) == (413, b"no")
    assert not any(pool._kept.values())
    done.set()
    listening.close()
