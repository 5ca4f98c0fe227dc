"""The client as a whole: what it sends, what it refuses, what it keeps, whom it trusts, and through whom it goes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from proxy import __version__
from proxy.providers.wire.exchange import Exchange, Refused, TimedOut, TransportError, Unreachable, Unsendable
from proxy.providers.wire.pool import Pool
from tests.upstreams.authority import Authority
from tests.upstreams.forward import forward
from tests.upstreams.raw import HOLD, Raw, Script, chunked, raw, whole

OK = whole(b"{}")
SECRET = "sk-secret"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_VERIFY", "SSL_CERT_FILE", "SSL_SECURITY_LEVEL")


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    pool = Pool()
    yield pool
    await pool.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    return authority


async def ask(pool: Pool, url: str, seconds: float = 5, **headers: str) -> bytes:
    reply = await pool.post(url, headers, b'{"a": 1}', exchange=Exchange(2**20), timeout=seconds)
    try:
        return await reply.read()
    finally:
        reply.close()


async def leave(*servers: Raw) -> None:
    """Wait until no client is connected any more."""
    async with asyncio.timeout(5):
        for server in servers:
            while server.open:
                server.left.clear()
                await server.left.wait()


async def closing(before: int) -> None:
    """Wait, for less than a handshake may take, until no more is open than `before`, and what the loop has opened."""
    async with asyncio.timeout(2):
        while descriptors() > before + 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@contextlib.contextmanager
def deaf() -> Iterator[str]:
    """The address of a server that takes connections and never says a word, not even of TLS."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def closed() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


# what is sent


async def test_a_request_reads_as_http(pool: Pool) -> None:
    async with raw(OK) as server:
        headers = {"Authorization": "Bearer k", "Accept-Encoding": "gzip", "Connection": "close", "Content-Length": "9"}
        url = f"{server.url}/ü x?key=a b&c=%20/?#part"
        await pool.post(url, headers, b"body", exchange=Exchange(100), timeout=5)
        assert server.heads == [
            b"POST /v1/chat/%C3%BC%20x?key=a%20b&c=%20/? HTTP/1.1\r\n"
            b"host: 127.0.0.1:" + str(server.port).encode() + b"\r\n"
            b"user-agent: parea-proxy/" + __version__.encode() + b"\r\n"
            b"authorization: Bearer k\r\n"
            b"accept-encoding: identity\r\n"
            b"content-length: 4\r\n\r\n"
        ]
        assert server.bodies == [b"body"]


async def test_the_caller_names_itself_and_the_host(pool: Pool) -> None:
    async with raw(OK) as server:
        headers = {"User-Agent": "me", "Host": "signed.example"}
        await pool.post(server.url, headers, b"", exchange=Exchange(100), timeout=5)
        assert b"\r\nhost: signed.example\r\nuser-agent: me\r\n" in server.heads[0]


async def test_headers_of_one_request_stand_in_that_one_alone(pool: Pool) -> None:
    async with raw(OK) as server:
        for once in ({"X-Signature": "one", "date": "now"}, None):
            await pool.post(server.url, {"kept": "1"}, b"{}", once=once, exchange=Exchange(100), timeout=5)
        signed, plain = server.heads
        assert signed.endswith(b"content-length: 2\r\nx-signature: one\r\ndate: now\r\n\r\n")
        assert b"x-signature" not in plain


async def test_a_large_body_is_sent_whole(pool: Pool) -> None:
    async with raw(OK) as server:
        body = os.urandom(2**20) * 5
        await pool.post(server.url, {}, body, exchange=Exchange(100), timeout=5)
        assert server.bodies == [body]


async def test_a_name_and_a_password_in_an_address_become_a_header(pool: Pool) -> None:
    async with raw(OK) as server:
        await ask(pool, server.url.replace("://", "://me:p%40ss@"), authorization="Bearer x")
        assert b"\r\nauthorization: Basic bWU6cEBzcw==\r\n" in server.heads[0]
        assert b"me:" not in server.heads[0]


@pytest.mark.parametrize(("organization", "sent"), [(None, False), ("org-1", True), ("org-2", False)])
async def test_only_the_target_s_own_organization_is_told(pool: Pool, organization: str | None, sent: bool) -> None:
    async with raw(OK) as server:
        exchange = Exchange(100, organization)
        headers = {"OpenAI-Organization": "org-1", "OpenAI-Project": "p"}
        await pool.post(server.url, headers, b"", exchange=exchange, timeout=5)
        assert (b"openai-organization: org-1" in server.heads[0]) is sent
        assert b"openai-project" not in server.heads[0]


BAD_HEADERS = [
    {"x": f"{SECRET}\r\nx-more: 1"},
    {"x": f"{SECRET}\n"},
    {"x": f"{SECRET}\r"},
    {"x": f"{SECRET}\0"},
    {"x": f"{SECRET}\u2028"},
    {"x: y\r\nz": SECRET},
    {"": SECRET},
    {"x y": SECRET},
]


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize("headers", BAD_HEADERS, ids=repr)
async def test_a_header_that_would_end_its_line_is_not_sent(pool: Pool, headers: dict[str, str], once: bool) -> None:
    async with raw(OK) as server:
        exchange = Exchange(1, sent=False)
        kept, alone = ({}, headers) if once else (headers, {})
        with pytest.raises(Unsendable) as caught:
            await pool.post(server.url, kept, b"", once=alone, exchange=exchange, timeout=5)
        assert SECRET not in str(caught.value)
        assert not exchange.sent
        assert server.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/x",
        "//host/x",
        "http:///x",
        "http://ho st/x",
        "http://host:99999/x",
        "http://host:0/x",
        "http://[::1/x",
        "http://host/x\r\ny: z",
        "http://" + "ü" * 99,
    ],
)
async def test_what_is_no_address_is_not_asked(pool: Pool, url: str) -> None:
    with pytest.raises(Unsendable):
        await ask(pool, url)


# what is refused


async def test_the_exchange_has_what_the_wire_said(pool: Pool) -> None:
    async with raw(whole(b"no", "Retry-After: 7", "x: a", "X: b", status=429)) as server:
        exchange = Exchange(100, sent=False)
        reply = await pool.post(server.url, {}, b"", exchange=exchange, timeout=5)
        assert (exchange.sent, exchange.status, exchange.refusal) == (True, 429, None)
        assert dict(exchange.headers) == {"retry-after": "7", "x": "a, b", "content-length": "2"}
        assert (reply.status, reply.headers) == (429, exchange.headers)


@pytest.mark.fault("U5")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(pool: Pool, status: int) -> None:
    async with raw(OK) as second, raw(whole(b"", f"location: {second.url}", status=status)) as first:
        exchange = Exchange(100)
        with pytest.raises(Refused, match="redirect") as caught:
            await pool.post(first.url, {}, b"", exchange=exchange, timeout=5)
        assert (exchange.refusal, exchange.status, caught.value.code) == ("redirect", status, "redirected")
        assert (first.connections, second.connections) == (1, 0)


@pytest.mark.fault("U4")
@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip"])
async def test_compressed_answers_are_refused(pool: Pool, coding: str) -> None:
    async with raw([whole(b"x" * 9, f"content-encoding: {coding}")[:-1], HOLD]) as server:
        with pytest.raises(Refused, match="compressed"):
            await ask(pool, server.url)
        await asyncio.wait_for(server.left.wait(), 5)


async def test_an_answer_that_says_it_is_not_compressed_is_read(pool: Pool) -> None:
    async with raw(whole(b"{}", "content-encoding: identity")) as server:
        assert await ask(pool, server.url) == b"{}"


# what is kept


async def test_calls_at_a_time_have_connections_of_their_own_and_share_them_afterwards(pool: Pool) -> None:
    async with raw(OK) as server:
        for _ in range(3):
            assert await asyncio.gather(*(ask(pool, server.url) for _ in range(20))) == [b"{}"] * 20
        assert server.connections == 20


async def test_no_more_than_the_spare_connections_are_kept() -> None:
    pool = Pool(spare=3)
    async with raw(OK) as server:
        await asyncio.gather(*(ask(pool, server.url) for _ in range(20)))
        while server.open > 3:
            server.left.clear()
            await asyncio.wait_for(server.left.wait(), 5)
        assert len(pool._open) == 3
        await pool.close()


async def test_an_unused_connection_is_closed_in_time() -> None:
    pool = Pool(idle=0.05)
    async with raw(OK) as server:
        await asyncio.gather(ask(pool, server.url), ask(pool, server.url))
        await ask(pool, server.url)
        await leave(server)
        assert await ask(pool, server.url) == b"{}"
        assert server.connections == 3
        await pool.close()


async def test_closing_ends_what_is_kept_and_what_is_under_way(pool: Pool) -> None:
    async with raw(OK, [chunked(b"one", end=b""), HOLD]) as server:
        await ask(pool, server.url)
        task = asyncio.create_task(ask(pool, server.url))
        while len(server.heads) < 2:
            server.asked.clear()
            await asyncio.wait_for(server.asked.wait(), 5)
        await pool.close()
        with pytest.raises(TransportError):
            await task
        assert not pool._open
        with pytest.raises(Unreachable):
            await ask(pool, server.url)


async def test_nothing_is_left_open_after_many_calls_of_every_kind(pool: Pool, trusted: Authority) -> None:
    async def cancelled(url: str, after: float) -> None:
        with pytest.raises((TimeoutError, asyncio.CancelledError)):
            async with asyncio.timeout(after):
                await ask(pool, url)

    before = descriptors()
    hold: Script = [chunked(b"one", end=b""), HOLD]
    context = trusted.server("127.0.0.1")
    async with raw(OK) as good, raw(hold) as slow, raw(OK, context=context) as safe, raw(hold, context=context) as late:
        for _ in range(25):
            calls = [ask(pool, url) for url in (good.url, safe.url) for _ in range(5)]
            stops = [cancelled(url, after) for url in (slow.url, late.url) for after in (0, 0.001, 0.002, 0.004, 0.008)]
            await asyncio.gather(*calls, *stops)
        await pool.close()
        await leave(good, slow, safe, late)
    await closing(before)


# who cannot be reached


async def test_nobody_listens(pool: Pool) -> None:
    exchange = Exchange(100, sent=False)
    with pytest.raises(Unreachable, match="it refused the connection"):
        await pool.post(f"http://127.0.0.1:{closed()}/?key={SECRET}", {}, b"", exchange=exchange, timeout=5)
    assert (exchange.sent, exchange.status) == (True, None)


async def test_a_name_that_does_not_exist(pool: Pool) -> None:
    with pytest.raises(Unreachable, match="cannot be resolved"):
        await ask(pool, "http://nobody.invalid/")


async def test_a_server_that_is_deaf_to_tls(pool: Pool) -> None:
    with deaf() as place, pytest.raises(TimedOut, match="no connection to .* in time"):
        await ask(pool, f"https://{place}/", 0.05)


async def test_a_call_that_is_cancelled_while_it_connects(pool: Pool) -> None:
    before = descriptors()
    with deaf() as place:
        task = asyncio.create_task(ask(pool, f"https://{place}/"))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await closing(before + 1)
    assert not pool._open


async def test_addresses_of_version_6(pool: Pool, trusted: Authority) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with raw(OK, host="::1") as server, raw(OK, host="::1", context=trusted.server("::1")) as secure:
        assert await ask(pool, server.url) == b"{}"
        assert f"\r\nhost: [::1]:{server.port}\r\n".encode() in server.heads[0]
        assert await ask(pool, secure.url) == b"{}"


# who is trusted


async def test_a_server_that_the_environment_s_authority_signed(pool: Pool, trusted: Authority) -> None:
    async with raw(OK, context=trusted.server("127.0.0.1")) as server:
        assert [await ask(pool, server.url) for _ in range(3)] == [b"{}"] * 3
        assert server.connections == 1


@pytest.mark.parametrize("variable", ["SSL_VERIFY", "SSL_CERT_FILE"])
async def test_both_variables_name_a_file(
    pool: Pool, authority: Authority, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(authority.file))
    async with raw(OK, context=authority.server("localhost")) as server:
        assert await ask(pool, server.url.replace("127.0.0.1", "localhost")) == b"{}"


async def test_names_are_told_to_the_server(pool: Pool, trusted: Authority) -> None:
    told: list[str | None] = []
    context = trusted.server("localhost")
    context.set_servername_callback(lambda _, name, __: told.append(name))
    async with raw(OK, context=context) as server:
        await ask(pool, server.url.replace("127.0.0.1", "localhost"))
    assert told == ["localhost"]


@pytest.mark.parametrize("trust", [False, True])
async def test_a_stranger_is_not_told_anything(
    pool: Pool, authority: Authority, monkeypatch: pytest.MonkeyPatch, trust: bool
) -> None:
    """Of an unknown authority; of the known one, but with another name or too old."""
    names: list[tuple[str, int]] = [("127.0.0.1", 1)]
    if trust:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
        names = [("127.0.0.2", 1), ("other.example", 1), ("127.0.0.1", -1)]
    for name, days in names:
        async with raw(OK, context=authority.server(name, days=days)) as server:
            with pytest.raises(Unreachable, match="certificate is not trusted"):
                await ask(pool, server.url, authorization=SECRET)
            assert server.heads == []


async def test_nobody_is_checked_where_the_environment_says_so(
    pool: Pool, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_VERIFY", "False")
    async with raw(OK, context=authority.server("other.example")) as server:
        assert await ask(pool, server.url) == b"{}"


async def test_a_server_without_tls(pool: Pool, trusted: Authority) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 no TLS here\r\n")
        writer.close()

    listening = await asyncio.start_server(greet, "127.0.0.1", 0)
    with contextlib.closing(listening), pytest.raises(Unreachable, match="TLS failed|spoke before"):
        await ask(pool, f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}")


async def test_a_file_without_certificates(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty.pem").write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "empty.pem"))
    with deaf() as place, pytest.raises(Unreachable, match="TLS failed"):
        await ask(pool, f"https://{place}/")


async def test_slow_readers_and_long_bodies_over_tls(pool: Pool, trusted: Authority) -> None:
    piece = b"x" * 2**16
    head = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"
    async with raw([head, *[piece] * 100, "close"], context=trusted.server("127.0.0.1")) as server:
        reply = await pool.post(server.url, {}, b"", exchange=Exchange(2**30), timeout=5)
        await asyncio.sleep(0.1)
        assert len(await reply.read()) == 100 * 2**16


# through whom


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_http_goes_through_the_proxy_by_its_absolute_address(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    async with raw(OK) as server, forward(user="me:p%40ss") as proxy:
        monkeypatch.setenv(variable, proxy.url)
        proxy.user = "me:p@ss"
        assert [await ask(pool, f"{server.url}?a=b", authorization="k") for _ in range(2)] == [b"{}"] * 2
        assert len(proxy.heads) == 1, "the connection is kept"
        assert proxy.heads[0].startswith(
            f"POST {server.url}?a=b HTTP/1.1\r\nhost: 127.0.0.1:{server.port}\r\n".encode()
        )
        assert b"proxy-authorization: Basic bWU6cEBzcw==\r\n" in proxy.heads[0]


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
@pytest.mark.parametrize("secure", [False, True], ids=["plain proxy", "proxy over TLS"])
async def test_https_goes_through_a_tunnel(
    pool: Pool, trusted: Authority, monkeypatch: pytest.MonkeyPatch, variable: str, secure: bool
) -> None:
    outer = trusted.server("127.0.0.1") if secure else None
    async with raw(OK, context=trusted.server("127.0.0.1")) as server, forward(user="me:pw", context=outer) as proxy:
        monkeypatch.setenv(variable, proxy.url)
        assert [await ask(pool, server.url, authorization=SECRET) for _ in range(2)] == [b"{}"] * 2
        place = f"127.0.0.1:{server.port}"
        assert proxy.heads == [
            f"CONNECT {place} HTTP/1.1\r\nhost: {place}\r\nproxy-authorization: Basic bWU6cHc=\r\n\r\n".encode()
        ]
        assert b"proxy-authorization" not in server.heads[0]
        assert server.heads[0].startswith(b"POST /v1/chat HTTP/1.1\r\n")


async def test_the_name_behind_a_tunnel_is_checked(
    pool: Pool, trusted: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with raw(OK, context=trusted.server("other.example")) as server, forward() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(Unreachable, match="certificate is not trusted"):
            await ask(pool, server.url)
        await asyncio.wait_for(proxy.left.wait(), 5)


async def test_hosts_that_need_no_proxy(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw(OK) as server, forward() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "other.example,127.0.0.1")
        assert await ask(pool, server.url) == b"{}"
        assert proxy.heads == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 407 Who?\r\n\r\n", "asks for other credentials"),
        (b"HTTP/1.1 403 No\r\n\r\n", "refused with status 403"),
        (b"HTTP/1.1 301 There\r\nlocation: http://127.0.0.1:1\r\n\r\n", "refused with status 301"),
        (b"SSH-2.0\r\n\r\n", "is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 2**20, "is too large"),
        (b"HTTP/1.1 200 OK\r\n\r\nmore than asked", "is more than a head"),
    ],
)
async def test_a_proxy_that_makes_no_tunnel(
    pool: Pool, trusted: Authority, monkeypatch: pytest.MonkeyPatch, answer: bytes, words: str
) -> None:
    async with forward(answer=answer) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("://", f"://me:{SECRET}@"))
        with pytest.raises(Unreachable, match=words) as caught:
            await ask(pool, "https://provider.example/")
        assert SECRET not in str(caught.value)
        await asyncio.wait_for(proxy.left.wait(), 5)


async def test_a_proxy_that_says_nothing_or_is_left(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    with deaf() as place:
        monkeypatch.setenv("HTTPS_PROXY", place)
        with pytest.raises(TimedOut, match=f"the proxy {place}"):
            await ask(pool, "https://provider.example/", 0.05)
    async with forward(answer=b"HTTP/1.1 100 Wait\r\n\r\n") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        task = asyncio.create_task(ask(pool, "https://another.example/"))
        await asyncio.wait_for(proxy.asked.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(proxy.left.wait(), 5)


@pytest.mark.parametrize("address", ["socks5://127.0.0.1:1", "http://", "http://a:b:c", "http://h o:1"])
async def test_a_proxy_that_is_none(pool: Pool, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", address)
    with pytest.raises(Unreachable, match="is not an HTTP proxy's address"):
        await ask(pool, "http://provider.example/")
