"""The HTTP of our own on a live server, spoken to byte by byte."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from proxy.asgi import Receive, Scope, Send, answer, read
from proxy.http.connection import Connection
from proxy.http.door import MOST_WAITING, SETTLED, Door, Limits
from proxy.http.head import LARGEST, MOST
from proxy.protocols import Answer
from tests.live import Server

HOST = b"host: localhost\r\n"


class App:
    """Does what the path says, and notes what became of it."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.sent = 0
        self.go = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        self.begun.append(scope["path"])
        try:
            await getattr(self, scope["path"].strip("/").split("/")[0] or "echo")(scope, receive, send)
        finally:
            self.ended.append(scope["path"])

    async def echo(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read(receive)
        if body is None:
            return
        seen = {key: scope[key] for key in ("method", "path", "http_version", "scheme", "root_path")}
        seen |= {"raw": scope["raw_path"].decode(), "query": scope["query_string"].decode(), "size": len(body)}
        seen |= {"body": body[:50].decode(), "headers": [[a.decode(), b.decode()] for a, b in scope["headers"]]}
        seen |= {"client": scope["client"][0], "server": scope["server"]}
        await answer(send, Answer(200, json.dumps(seen).encode()))

    async def slow(self, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.to_thread(self.go.wait, 10)
        await self.echo(scope, receive, send)

    async def stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in (b"one ", b"", b"two"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    async def cut(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    async def waiting(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.cut(scope, receive, send)
        while (await receive())["type"] != "http.disconnect":
            continue
        self.ended.append("told")

    async def flood(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(400):
            await send({"type": "http.response.body", "body": bytes(2**16), "more_body": True})
            self.sent += 1
        await send({"type": "http.response.body"})

    async def unread(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, Answer(200, b"early"))

    async def closing(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, Answer(200, b"early"), [(b"connection", b"close")])

    async def later(self, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(1.5)
        await self.echo(scope, receive, send)

    async def bug(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise KeyError("secret")

    async def nothing(self, scope: Scope, receive: Receive, send: Send) -> None:
        pass

    async def injected(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, Answer(200, b"{}"), [(b"x-trace-id", b"a\r\nset-cookie: b")])

    async def short(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, Answer(200, b"", {}), [(b"content-length", b"7")])

    async def empty(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Server, App]]:
    app = App()
    with Server(lambda: app) as server:
        yield server, app


@pytest.fixture
def app(served: tuple[Server, App]) -> App:
    app = served[1]
    app.begun, app.ended, app.sent = [], [], 0
    app.go.clear()
    return app


@pytest.fixture
def line(served: tuple[Server, App]) -> Iterator[Line]:
    with Line(served[0].port) as line:
        yield line


@pytest.fixture(scope="module")
def hurried() -> Iterator[tuple[Server, App]]:
    """A server whose clients have 0.4 s for anything."""
    app = App()
    with Server(lambda: app, http=partial(Connection, door=Door(Limits(receive=0.4, send=0.4, idle=0.4)))) as server:
        yield server, app


class Line:
    """A client's connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.read = b""

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> Line:
        self.socket.sendall(data)
        return self

    def get(self, path: str, more: bytes = b"", version: bytes = b"1.1") -> Line:
        return self.send(b"GET %b HTTP/%b\r\n%b%b\r\n" % (path.encode(), version, HOST, more))

    def head(self) -> tuple[int, dict[bytes, bytes]]:
        while b"\r\n\r\n" not in self.read:
            self._more()
        head, _, self.read = self.read.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        return int(first.split()[1]), dict(one.lower().split(b": ", 1) for one in lines)

    def take(self, size: int) -> bytes:
        while len(self.read) < size:
            self._more()
        taken, self.read = self.read[:size], self.read[size:]
        return taken

    def answer(self) -> tuple[int, bytes]:
        status, headers = self.head()
        return status, self.take(int(headers[b"content-length"]))

    def echoed(self) -> dict[str, Any]:
        status, body = self.answer()
        assert status == 200
        seen: dict[str, Any] = json.loads(body)
        return seen

    def rest(self) -> bytes:
        """Everything until the server ends the connection."""
        while piece := self.socket.recv(2**16):
            self.read += piece
        return self.read

    def _more(self) -> None:
        piece = self.socket.recv(2**16)
        assert piece, f"the connection ended after {self.read!r}"
        self.read += piece


def until(condition: Any) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def post(path: str, body: bytes, more: bytes = b"") -> bytes:
    return b"POST %b HTTP/1.1\r\n%bcontent-length: %d\r\n%b\r\n%b" % (path.encode(), HOST, len(body), more, body)


def test_the_application_sees_the_request(line: Line) -> None:
    found = line.send(post("/echo/a%20b?c=%64", b"hi", b"X-Y:  z\r\n")).echoed()
    assert (found["method"], found["path"], found["raw"]) == ("POST", "/echo/a b", "/echo/a%20b")
    assert (found["query"], found["http_version"], found["scheme"]) == ("c=%64", "1.1", "http")
    assert (found["body"], found["root_path"], found["client"]) == ("hi", "", "127.0.0.1")
    assert ["x-y", "z"] in found["headers"]


def test_a_connection_is_kept_for_the_next_request(line: Line) -> None:
    for number in range(3):
        assert line.get(f"/echo/{number}").echoed()["path"] == f"/echo/{number}"


def test_pipelined_requests_are_answered_in_their_order(line: Line, app: App) -> None:
    line.send(b"".join(post(path, b"x") for path in ("/slow", "/echo/1", "/slow/2", "/echo/3")))
    until(lambda: app.begun)
    assert app.begun == ["/slow"]
    app.go.set()
    assert [line.echoed()["path"] for _ in range(4)] == ["/slow", "/echo/1", "/slow/2", "/echo/3"]
    assert line.get("/echo/after").echoed()["path"] == "/echo/after"


def test_a_small_body_is_waited_for(line: Line, app: App) -> None:
    whole = post("/echo", b"x" * 100)
    line.send(whole[:40]).send(whole[40:120])
    time.sleep(0.02)
    assert app.begun == []
    assert line.send(whole[120:]).echoed()["size"] == 100


@pytest.mark.parametrize("size", [2**16 + 1, 3 * 2**20])
def test_a_large_body_arrives_whole(line: Line, app: App, size: int) -> None:
    whole = post("/echo", b"x" * size)
    line.send(whole[:200])
    until(lambda: app.begun)
    assert line.send(whole[200:]).echoed()["size"] == size


def test_chunks_of_a_request_are_joined(line: Line) -> None:
    line.send(b"POST /echo HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
    assert line.send(b"2\r\nde\r\n0\r\n\r\n").echoed()["body"] == "abcde"
    assert line.get("/echo/after").echoed()["path"] == "/echo/after"


def test_a_client_that_asks_first_is_told_to_continue(line: Line) -> None:
    line.send(post("/echo", b"", b"").replace(b"length: 0\r\n", b"length: 5\r\nexpect: 100-continue\r\n"))
    assert line.head() == (100, {})
    assert line.send(b"hello").echoed()["body"] == "hello"


def test_a_body_that_is_not_wanted_is_read_past(line: Line) -> None:
    big = post("/unread", b"x" * 2**20)
    assert line.send(big[:1000]).answer() == (200, b"early")
    assert line.send(big[1000:]).get("/echo/after").echoed()["path"] == "/echo/after"


def test_head_has_no_body(line: Line) -> None:
    status, headers = line.send(b"HEAD /echo HTTP/1.1\r\n" + HOST + b"\r\n").head()
    assert status == 200
    assert int(headers[b"content-length"]) > 100
    assert line.send(b"HEAD /stream HTTP/1.1\r\n" + HOST + b"\r\n").head()[0] == 200
    assert line.get("/echo/after").echoed()["path"] == "/echo/after"


def test_an_answer_without_a_body_ends_with_its_head(line: Line) -> None:
    status, headers = line.get("/empty").head()
    assert (status, headers.keys() & {b"content-length", b"transfer-encoding"}) == (204, set())
    assert line.get("/echo/after").echoed()["path"] == "/echo/after"


def test_a_stream_is_chunked(line: Line) -> None:
    status, headers = line.get("/stream").head()
    assert (status, headers[b"transfer-encoding"]) == (200, b"chunked")
    assert line.take(22) == b"4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n"
    assert b"date" in headers


@pytest.mark.parametrize(("version", "more"), [(b"1.0", b""), (b"1.0", b"connection: keep-alive\r\n")])
def test_http_1_0_knows_no_chunks(line: Line, version: bytes, more: bytes) -> None:
    assert line.get("/stream", more, version).head()[1][b"connection"] == b"close"
    assert line.rest() == b"one two"


def test_a_connection_ends_when_the_client_wants_it(line: Line) -> None:
    status, headers = line.get("/echo", b"connection: close\r\n").head()
    assert (status, headers[b"connection"]) == (200, b"close")
    assert len(line.rest()) == int(headers[b"content-length"])


UPGRADE = b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\n"


def test_an_upgrade_is_declined_by_an_answer(line: Line) -> None:
    assert line.get("/echo/as/usual", UPGRADE).echoed()["path"] == "/echo/as/usual"
    assert line.get("/echo/after").echoed()["path"] == "/echo/after"


@pytest.mark.parametrize("body", [b"x", b"x" * 2**18])
@pytest.mark.parametrize("cut", [None, 60, -1])
def test_what_asks_for_an_upgrade_keeps_its_body(line: Line, body: bytes, cut: int | None) -> None:
    whole = post("/echo", body, UPGRADE)
    at = None if cut is None else cut % len(whole)
    line.send(whole[:at])
    if at is not None:
        time.sleep(0.02)
        line.send(whole[at:])
    assert line.echoed()["size"] == len(body)
    chunked = b"POST /echo HTTP/1.1\r\n" + HOST + UPGRADE + b"transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    line.send(chunked + post("/echo/behind", b"abc"))
    assert [line.echoed()["size"] for _ in range(2)] == [2, 3]


@pytest.mark.parametrize("path", ["/bug", "/nothing", "/injected"])
def test_an_application_that_fails_is_a_500(line: Line, path: str) -> None:
    status, headers = line.get(path).head()
    assert (status, headers[b"connection"]) == (500, b"close")
    assert line.rest() == b"Internal Server Error"


def test_an_answer_that_breaks_off_is_cut(line: Line) -> None:
    line.get("/cut").head()
    assert line.rest() == b"4\r\nhalf\r\n"


def test_an_answer_that_is_not_as_long_as_announced_ends_the_connection(line: Line) -> None:
    assert line.get("/short").rest().endswith(b"content-length: 7\r\n\r\n")


def test_a_client_that_leaves_in_mid_body_begins_nothing(served: tuple[Server, App], app: App) -> None:
    with Line(served[0].port) as line:
        line.send(post("/echo/never", b"x" * 100)[:-1])
    with Line(served[0].port) as line:
        line.get("/echo/after").echoed()
    assert app.begun == ["/echo/after"]


def test_a_client_that_leaves_in_mid_answer_is_told_of(served: tuple[Server, App], app: App) -> None:
    with Line(served[0].port) as line:
        line.get("/waiting").head()
    until(lambda: "told" in app.ended)


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        b"GET /echo HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /echo HTTP/1.1\r\n" + HOST + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"POST /echo HTTP/1.1\r\n" + HOST + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n",
        b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"POST /echo HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\nnot a size\r\n",
        b"GET http://localhost/echo HTTP/1.1\r\n" + HOST + b"\r\n",
        b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /echo HTTP/1.1\r\n" + HOST + b"connection: upgrade\r\nupgrade: h2c\r\ntransfer-encoding: gzip\r\n\r\n",
        b"GET /echo#here HTTP/1.1\r\n" + HOST + b"\r\n",
    ],
)
def test_what_is_no_request_is_a_400_and_the_end(line: Line, app: App, request_: bytes) -> None:
    status, headers = line.send(request_).head()
    assert (status, headers[b"connection"]) == (400, b"close")
    assert line.rest() == b"Invalid HTTP request received."
    assert app.ended == app.begun


def test_garbage_behind_a_request_does_not_disturb_its_answer(line: Line, app: App) -> None:
    line.send(post("/slow", b"x") + b"garbage\r\n\r\n")
    until(lambda: app.begun)
    app.go.set()
    status, headers = line.head()
    assert (status, headers[b"connection"]) == (200, b"close")
    assert len(line.rest()) == int(headers[b"content-length"])


def test_a_broken_chunk_ends_the_request_that_it_belongs_to(line: Line, app: App) -> None:
    line.send(b"POST /echo HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
    until(lambda: app.begun)
    assert line.send(b"zzz\r\n").head()[0] == 400
    until(lambda: app.ended)


def test_a_head_is_at_most_so_large(line: Line, app: App) -> None:
    line.send(b"GET /echo HTTP/1.1\r\n" + HOST + b"x-filler: y\r\n" * 2_000_000)
    assert line.head()[0] == 431
    assert app.begun == []


def test_a_large_head_is_refused_with_a_word(line: Line) -> None:
    line.send(b"GET /echo HTTP/1.1\r\n" + HOST + b"x-filler: %b" % (b"x" * LARGEST))
    assert line.head()[0] == 431


def test_a_head_has_at_most_so_many_headers(line: Line, app: App) -> None:
    line.get("/echo/full", b"x: y\r\n" * (MOST - 1)).echoed()
    assert line.get("/echo/never", b"x: y\r\n" * MOST).head()[0] == 431
    assert app.begun == ["/echo/full"]


@pytest.mark.parametrize("version", [b"0.9", b"2.0"])
def test_other_versions_are_not_spoken(line: Line, version: bytes) -> None:
    assert line.get("/echo", version=version).head()[0] == 505
    assert line.rest() == b"HTTP/1.1 is spoken here."


def test_a_trailer_is_no_header(line: Line) -> None:
    line.send(
        b"POST /echo HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-late: 1\r\n\r\n"
    )
    found = line.echoed()
    assert found["body"] == "hi"
    assert "x-late" not in dict(found["headers"])


@pytest.mark.parametrize("start", [b"2;%b\r\nhi\r\n0\r\n\r\n", b"0\r\nx-late: %b\r\n\r\n"])
def test_what_frames_a_body_is_at_most_so_large(line: Line, start: bytes) -> None:
    before, after = start.split(b"%b")
    line.send(b"POST /echo HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n" + before)
    assert line.send(b"x" * 2**20 + after).head()[0] == 400


@pytest.mark.parametrize("more", [b"", b"connection: upgrade\r\nupgrade: h2c\r\n"])
def test_so_many_requests_wait_for_the_first(line: Line, app: App, more: bytes) -> None:
    line.send(post("/slow", b"x") + post("/echo", b"x", more) * 1000)
    until(lambda: app.begun)
    app.go.set()
    for _ in range(MOST_WAITING + 1):
        line.echoed()
    assert line.rest() == b""


def test_a_body_that_is_not_wanted_brings_no_second_answer(line: Line) -> None:
    line.send(b"POST /unread HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n1\r\nx\r\n")
    assert line.answer() == (200, b"early")
    assert line.send(b"no size\r\n").rest() == b""


def test_a_body_that_is_not_wanted_has_its_time(hurried: tuple[Server, App]) -> None:
    with Line(hurried[0].port) as line:
        line.send(b"POST /unread HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n100000\r\n")
        assert line.answer() == (200, b"early")
        assert line.send(b"x" * 2**19).rest() == b""


def test_a_client_that_still_sends_is_answered_before_the_connection_ends(line: Line) -> None:
    whole = post("/closing", b"x" * 2**24)
    assert line.send(whole).head()[1][b"connection"] == b"close"
    assert line.rest() == b"early"


@pytest.mark.parametrize(
    "begun", [b"", b"G", b"GET /echo HTTP/1.1\r\nhost", post("/echo", b"xyz")[:-1], post("/echo", b"x" * 2**17)[:200]]
)
def test_a_request_that_takes_too_long_is_refused(hurried: tuple[Server, App], begun: bytes) -> None:
    with Line(hurried[0].port) as line:
        if begun:
            assert line.send(begun).head()[0] == 408
        assert line.rest() == (b"The request took too long to arrive." if begun else b"")


class Watched(Door):
    """A door that remembers who came last, and where."""

    def enter(self, caller: Any) -> bool:
        self.caller, self.loop = caller, asyncio.get_running_loop()
        return super().enter(caller)


@pytest.mark.fault("P2")
@pytest.mark.parametrize(("early", "status"), [(1.0, 200), (-1.0, 408)])
def test_a_request_has_the_seconds_that_are_said_and_no_more(early: float, status: int) -> None:
    """The connection is looked at as if that time had come: a limit of another length fails on any machine."""
    door = Watched(Limits(receive=40.0))
    with Server(App, http=partial(Connection, door=door)) as server, Line(server.port) as line:
        # the second request has begun when the first one is answered
        line.send(post("/echo", b"x") + b"GET /echo HTTP/1.1\r\n").echoed()
        looked = threading.Event()

        def look() -> None:
            door.caller.look(door.caller.since + 40.0 + door.step - early)
            looked.set()

        door.loop.call_soon_threadsafe(look)
        assert looked.wait(10)
        assert line.send(HOST + b"\r\n").head()[0] == status


def test_a_request_may_take_as_long_as_its_length_needs(hurried: tuple[Server, App]) -> None:
    whole = post("/echo", b"x" * 16_000)
    with Line(hurried[0].port) as line:
        for start in range(0, len(whole), 1000):
            time.sleep(0.05)
            line.send(whole[start : start + 1000])
        assert line.echoed()["size"] == 16_000


def test_who_waits_for_an_answer_is_not_slow(hurried: tuple[Server, App]) -> None:
    with Line(hurried[0].port) as line:
        line.send(post("/later", b"x") + b"GET /echo HTTP/1.1\r\n")
        assert line.echoed()["path"] == "/later"
        assert line.send(HOST + b"\r\n").echoed()["path"] == "/echo"


def test_a_client_that_does_not_read_is_dropped(hurried: tuple[Server, App]) -> None:
    with Line(hurried[0].port) as line:
        line.get("/flood")
        until(lambda: "/flood" in hurried[1].ended)
        assert not line.rest().endswith(b"0\r\n\r\n")


def test_a_full_house_lets_nobody_in_but_for_who_is_idle() -> None:
    app = App()
    with (
        Server(lambda: app, http=partial(Connection, door=Door(Limits(connections=2)))) as server,
        Line(server.port) as busy,
        Line(server.port) as idle,
    ):
        busy.get("/waiting").head()
        idle.get("/echo").echoed()
        with Line(server.port) as early:
            assert early.head()[0] == 503
            assert early.rest() == b"Too many connections are open."
        time.sleep(SETTLED + 0.1)
        with Line(server.port) as late:
            assert late.get("/echo").echoed()["path"] == "/echo"
            assert idle.rest() == b""
    assert "/waiting" in app.begun


def test_a_client_that_does_not_read_is_waited_for(line: Line, app: App) -> None:
    line.get("/flood")
    until(lambda: app.sent > 0)
    before = -1
    while before != app.sent:
        before = app.sent
        time.sleep(0.1)
    assert before < 400
    line.head()
    while not line.read.endswith(b"0\r\n\r\n"):
        line.read = line.read[-5:]
        line._more()
    assert app.sent == 400


def test_a_client_that_does_not_read_and_leaves_ends_the_answer(served: tuple[Server, App], app: App) -> None:
    with Line(served[0].port) as line:
        line.get("/flood")
        until(lambda: app.sent > 0)
    until(lambda: app.ended == ["/flood"])


def test_an_idle_connection_is_closed_after_a_while() -> None:
    with Server(App, http=partial(Connection, door=Door(Limits(idle=0.1)))) as server, Line(server.port) as line:
        for _ in range(3):
            line.get("/echo").echoed()
            time.sleep(0.05)
        assert line.rest() == b""


@pytest.mark.fault("D10")
def test_a_server_that_ends_answers_what_has_begun() -> None:
    app = App()
    server = Server(lambda: app)
    with server:
        busy, idle, behind = Line(server.port), Line(server.port), Line(server.port)
        idle.get("/echo").echoed()
        busy.send(post("/slow", b"x"))
        behind.send(post("/slow/1", b"x") + post("/echo/2", b"x"))
        until(lambda: len(app.begun) == 3)
        ending = threading.Thread(target=server.__exit__, args=(None, None, None))
        ending.start()
        assert idle.rest() == b""
        app.go.set()
        assert busy.echoed()["path"] == "/slow"
        assert [behind.echoed()["path"] for _ in range(2)] == ["/slow/1", "/echo/2"]
        assert busy.rest() == behind.rest() == b""
        ending.join(20)
    for line in (busy, idle, behind):
        line.socket.close()


def test_the_application_is_served_by_uvicorns_own_http_as_well() -> None:
    with Server(App, http="httptools") as server:
        assert httpx.post(f"{server.url}/echo", content=b"x").json()["size"] == 1
