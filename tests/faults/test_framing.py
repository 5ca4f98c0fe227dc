"""Requests that are framed wrongly, byte by byte on a socket.

Behind each of them stands a completion, whole. Where two readers could disagree on where the request ends, it would be
a second answer, and a row of the log: there must be neither.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Iterator

import pytest

from tests.faults.plugin import Figure
from tests.gateway import Local, rows

pytestmark = pytest.mark.fault("P1")

ASKED = json.dumps(
    {"llm_configuration": {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}, "cache": False}
).encode()
HOST = b"Host: localhost\r\n"
GET = b"GET /health HTTP/1.1\r\n"
POST = b"POST /api/parea/v1/completion HTTP/1.1\r\nContent-Type: application/json\r\n" + HOST
LENGTH = b"Content-Length: %d\r\n" % len(ASKED)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
BEHIND = POST + LENGTH + b"Connection: close\r\n\r\n" + ASKED
LAST = b"\r\n0\r\n\r\n"


def sized(how: bytes) -> bytes:
    """A completion whose length is told as `how` says."""
    return POST + how.replace(b"N", b"%d" % len(ASKED)) + b"\r\n\r\n" + ASKED


def coded(how: bytes) -> bytes:
    """A completion in one chunk, under the header `how`."""
    return POST + how + b"\r\n\r\n%x\r\n" % len(ASKED) + ASKED + LAST


def chunk(size: bytes, after: bytes = LAST) -> bytes:
    """A completion whose one chunk begins and ends so."""
    return POST + CHUNKED + b"\r\n" + size.replace(b"N", b"%x" % len(ASKED)) + ASKED + after


def headed(*lines: bytes) -> bytes:
    """A GET with these lines, whose ends they bring."""
    return GET + HOST + b"".join(lines) + b"\r\n"


def hosted(host: bytes) -> bytes:
    return GET + b"Host: " + host + b"\r\n\r\n"


def line(first: bytes) -> bytes:
    """A request that begins with `first`."""
    return first + b"\r\n" + HOST + b"\r\n"


WRONG = {
    "a length and chunks": coded(LENGTH + b"Transfer-Encoding: chunked"),
    "chunks and a length": coded(CHUNKED + LENGTH[:-2]),
    "chunks and the length 0": coded(CHUNKED + b"Content-Length: 0"),
    "chunks in HTTP/1.0": coded(CHUNKED[:-2]).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "two lengths": sized(LENGTH + b"Content-Length: 0"),
    "the same length twice": sized(LENGTH + b"Content-Length: N"),
    "a list of lengths": sized(b"Content-Length: N, N"),
    "a length with +": sized(b"Content-Length: +N"),
    "a length with -": sized(b"Content-Length: -1"),
    "a length in hexadecimal": sized(b"Content-Length: 0xN"),
    "a length with a space in it": sized(b"Content-Length: 1 1"),
    "an underscore in a length": sized(b"Content-Length: 1_1"),
    "a length in other digits": sized("Content-Length: \u0661".encode()),
    "no length": sized(b"Content-Length: "),
    "a length beyond 64 bits": sized(b"Content-Length: 18446744073709551616"),
    "a space before the colon of a length": sized(b"Content-Length : N"),
    "a space before the colon of an encoding": coded(b"Transfer-Encoding : chunked"),
    "an unknown encoding": coded(b"Transfer-Encoding: xchunked"),
    "identity": coded(b"Transfer-Encoding: identity"),
    "identity and a length": sized(b"Transfer-Encoding: identity\r\nContent-Length: N"),
    "gzip and chunks": coded(b"Transfer-Encoding: gzip, chunked"),
    "gzip and chunks on two lines": coded(b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked"),
    "chunks and gzip": coded(b"Transfer-Encoding: chunked, gzip"),
    "chunks twice": coded(b"Transfer-Encoding: chunked, chunked"),
    "chunks twice on two lines": coded(CHUNKED + CHUNKED[:-2]),
    "chunks, then identity": coded(CHUNKED + b"Transfer-Encoding: identity"),
    "a comma before chunks": coded(b"Transfer-Encoding: ,chunked"),
    "a parameter of chunks": coded(b"Transfer-Encoding: chunked;a=b"),
    "chunks in quotes": coded(b'Transfer-Encoding: "chunked"'),
    "a vertical tab before chunks": coded(b"Transfer-Encoding: \x0bchunked"),
    "no encoding": coded(b"Transfer-Encoding: "),
    "a folded encoding": coded(b"Transfer-Encoding:\r\n chunked"),
    "a NUL in an encoding": coded(b"Transfer-Encoding: chunked\0"),
    "a folded line": headed(b"X-A: a\r\n b\r\n"),
    "a line folded with a tab": headed(b"X-A: a\r\n\tb\r\n"),
    "a folded first line": GET + b" X-A: a\r\n" + HOST + b"\r\n",
    "a folded Host": GET + b"Host:\r\n localhost\r\n\r\n",
    "bare LF": headed().replace(b"\r", b""),
    "a bare LF after a header": headed(b"X-A: a\n"),
    "a bare LF at the end": headed()[:-2] + b"\n",
    "a bare CR": headed(b"X-A: a\rb\r\n"),
    "a CR in a name": headed(b"X\r-A: a\r\n"),
    "CR CR LF": headed(b"X-A: a\r\r\n"),
    "a NUL in a value": headed(b"X-A: a\0b\r\n"),
    "a NUL in a name": headed(b"X\0A: a\r\n"),
    "a NUL in the path": line(b"GET /health\0 HTTP/1.1"),
    "a control character": headed(b"X-A: a\x01b\r\n"),
    "DEL": headed(b"X-A: a\x7fb\r\n"),
    "a space in a name": headed(b"X A: b\r\n"),
    "no name": headed(b": b\r\n"),
    "no colon": headed(b"X-A\r\n"),
    "a name in UTF-8": headed("X-\u00e9: b\r\n".encode()),
    "a bracket in a name": headed(b"X(A): b\r\n"),
    "Host twice": headed(HOST),
    "two Hosts": headed(b"Host: evil.com\r\n"),
    "no Host": GET + b"\r\n",
    "an empty Host": hosted(b""),
    "another Host": hosted(b"evil.com"),
    "a path in Host": hosted(b"a/.."),
    "a path behind the port of Host": hosted(b"localhost:80/.."),
    "a user in Host": hosted(b"localhost:x@evil.com"),
    "a query in Host": hosted(b"localhost:?x"),
    "a port of letters": hosted(b"localhost:abc"),
    "a long port": hosted(b"localhost:999999"),
    "a name behind an address": hosted(b"[::1].evil.com"),
    "half an address": hosted(b"[::1"),
    "a list of Hosts": hosted(b"localhost, evil.com"),
    "a space before the colon of Host": GET + b"Host : localhost\r\n\r\n",
    "a header of 100 KB": headed(b"X-A: " + b"a" * 100_000 + b"\r\n"),
    "2000 headers": headed(*(b"X-%d: a\r\n" % number for number in range(2000))),
    "a path of 100 KB": line(b"GET /" + b"a" * 100_000 + b" HTTP/1.1"),
    "a megabyte of empty lines": b"\r\n" * 2**19 + headed(),
    "a flood of chunk extensions": chunk(b"N;" + b"a" * 2**20 + b"\r\n"),
    "a flood of zeros before a chunk's size": chunk(b"0" * 2**20 + b"N\r\n"),
    "a flood of trailers": chunk(b"N\r\n", b"\r\n0\r\n" + b"X-T: a\r\n" * 2**17 + b"\r\n"),
    "a length as a trailer": chunk(b"N\r\n", b"\r\n0\r\nContent-Length: 5\r\n\r\n"),
    "a bare LF in a chunk extension": chunk(b"N;\n"),
    "CR LF in a quoted chunk extension": chunk(b'N;a="b\r\nc"\r\n'),
    "a chunk's size with -": chunk(b"-1\r\n"),
    "a chunk's size with +": chunk(b"+N\r\n"),
    "a chunk's size with 0x": chunk(b"0xN\r\n"),
    "a chunk's size beyond 64 bits": chunk(b"10000000000000000\r\n"),
    "a chunk without a size": chunk(b"\r\n"),
    "a space behind a chunk's size": chunk(b"N \r\n"),
    "a bare LF behind a chunk's size": chunk(b"N\n"),
    "a bare LF behind a chunk": chunk(b"N\r\n", b"\n0\r\n\r\n"),
    "nothing behind a chunk": chunk(b"N\r\n", b"0\r\n\r\n"),
    "a chunk that is longer than it says": chunk(b"N\r\n", b"XX" + LAST),
    "an upgrade with a wrong encoding": coded(b"Connection: upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: gzip"),
    "an upgrade with an encoding and a length": coded(LENGTH + CHUNKED + b"Connection: upgrade\r\nUpgrade: h2c"),
    "an absolute target": line(b"GET http://localhost/health HTTP/1.1"),
    "an absolute target elsewhere": line(b"GET http://evil.com/health HTTP/1.1"),
    "a user in an absolute target": line(b"GET http://localhost@evil.com/health HTTP/1.1"),
    "a port beyond 16 bits": line(b"GET http://localhost:999999/health HTTP/1.1"),
    "the target *": line(b"GET * HTTP/1.1"),
    "a target for CONNECT": line(b"CONNECT localhost:80 HTTP/1.1"),
    "a target without a slash": line(b"GET health HTTP/1.1"),
    "a backslash": line(b"GET \\health HTTP/1.1"),
    "a fragment": line(b"GET /health#x HTTP/1.1"),
    "a space in the target": line(b"GET /hea lth HTTP/1.1"),
    "bytes beyond ASCII in the target": line(b"GET /\xff HTTP/1.1"),
    "a tab behind the method": line(b"GET\t/health HTTP/1.1"),
    "a space behind the version": line(b"GET /health HTTP/1.1 "),
    "a small method": line(b"get /health HTTP/1.1"),
    "an unknown method": line(b"FOO /health HTTP/1.1"),
    "HTTP/0.9": line(b"GET /health HTTP/0.9"),
    "no version": line(b"GET /health"),
    "HTTP/1.2": line(b"GET /health HTTP/1.2"),
    "HTTP/1.10": line(b"GET /health HTTP/1.10"),
    "HTTP/2.0": line(b"GET /health HTTP/2.0"),
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a small version": line(b"GET /health http/1.1"),
    "RTSP": line(b"OPTIONS /health RTSP/1.0"),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
}
"""What may not be understood in any way."""

RIGHT = {
    "requests behind each other": (headed() * 3, [200, 200, 200]),
    "spaces around a length": (sized(b"Content-Length: \t N \t"), [200]),
    "zeros before a length": (sized(b"Content-Length: 000N"), [200]),
    "an encoding in capitals": (coded(b"transfer-encoding:\tCHUNKED"), [200]),
    "a chunk extension": (chunk(b"N;a=b\r\n"), [200]),
    "a trailer": (chunk(b"N\r\n", b"\r\n0\r\nHost: evil.com\r\nX-User-Id: b\r\n\r\n"), [200]),
    "a body that GET does not need": (GET + HOST + LENGTH + b"\r\n" + ASKED, [200]),
    "empty lines": (b"\r\n\r\n" + headed(), [200]),
    "other headers that tell a length": (
        sized(b"Content_Length: 0\r\nX-Content-Length: 0\r\nContent-Length: N"),
        [200],
    ),
    "another method by a header": (headed(b"X-HTTP-Method-Override: DELETE\r\n"), [200]),
    "an upgrade with a body": (sized(b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: N"), [200]),
    "an upgrade without a body": (headed(b"Connection: upgrade\r\nUpgrade: websocket\r\n"), [200]),
    "a refused type": (POST.replace(b"application/json", b"text/plain") + LENGTH + b"\r\n" + ASKED, [415]),
}
"""What may look wrong: the statuses of its answers, before that of the completion behind."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    config = {"model_list": [{"model_name": "echo", "litellm_params": {"model": "echo/echo"}}]}
    with Local(tmp_path_factory.mktemp("gateway"), config) as running:
        running.wait_until_ready()
        yield running


def said(gateway: Local, *pieces: bytes) -> tuple[list[int], bytes]:
    """The statuses of all answers until the gateway ends the connection, and everything that it said."""
    with socket.create_connection(("127.0.0.1", int(gateway.url.rpartition(":")[2])), timeout=10) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        told = b""
        try:
            for piece in pieces:
                client.sendall(piece)
            while more := client.recv(2**16):
                told += more
        except (BrokenPipeError, ConnectionResetError):
            # the connection may end while the rest is still being said; what was answered before can be read
            assert len(pieces) > 1
            with contextlib.suppress(ConnectionResetError):
                while more := client.recv(2**16):
                    told += more
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", told)], told


@pytest.mark.parametrize("name", WRONG)
def test_p1_what_is_framed_wrongly_is_refused_and_the_connection_ends(gateway: Local, name: str) -> None:
    before = len(rows(gateway.data))
    statuses, told = said(gateway, WRONG[name] + BEHIND)
    assert len(statuses) == 1, told
    assert 400 <= statuses[0] < 500 or statuses[0] == 505, told
    assert b"\r\nconnection: close\r\n" in told
    assert len(rows(gateway.data)) == before


@pytest.mark.parametrize("name", RIGHT)
def test_p1_what_only_looks_wrong_is_answered(gateway: Local, name: str) -> None:
    request, expected = RIGHT[name]
    assert said(gateway, request + BEHIND)[0] == [*expected, 200]


def test_p1_it_does_not_matter_how_the_bytes_arrive(gateway: Local, full: bool, figure: Figure) -> None:
    """Each piece a packet of its own, as far as the system lets it; the refusals are those of the whole."""
    short = {name: request for name, request in WRONG.items() if len(request) < 1000}
    step = 1 if full else 31
    for name, request in short.items():
        whole = request + BEHIND
        pieces = [whole[at : at + step] for at in range(0, len(whole), step)]
        statuses, told = said(gateway, *pieces)
        assert len(statuses) == 1, (name, told)
        assert statuses == said(gateway, whole)[0], name
    figure(
        "wrongly framed requests refused, with one answer, and the connection closed", f"{len(WRONG)} of {len(WRONG)}"
    )
    figure(
        "the same, cut into pieces of a byte" if full else "the same, cut into pieces", f"{len(short)} of {len(short)}"
    )
