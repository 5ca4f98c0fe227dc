"""What is fuzzed: for each parser of bytes from outside a function that takes any bytes and knows what must be true.

They fail by raising. Atheris calls them by the million (`fuzz.py`), the tests with their seeds and with what was found.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import orjson

from proxy import plugins
from proxy.asgi import Receive, Scope, Send, answer, read
from proxy.body import loads
from proxy.config.settings import ServerSettings
from proxy.errors import BadRequest, GatewayError
from proxy.http.connection import Connection
from proxy.http.door import Door
from proxy.http.guard import LOOPBACK, hostname
from proxy.middleware.render import fill, render
from proxy.protocols import Answer, Filter, Operation, TraceQuery
from proxy.providers.wire.events import Events, Lines
from proxy.providers.wire.exchange import Malformed, Truncated
from proxy.providers.wire.frames import Frames
from proxy.record import Record
from proxy.stores.log.reader import Reader
from proxy.stores.log.sqlite import SQLiteLog
from tests.canary.question import question
from tests.spoken import SPOKEN
from tests.upstreams.bedrock import event


@dataclass(frozen=True)
class Target:
    """`run` takes any bytes; `seeds` are inputs that reach far, `words` what to put into them."""

    run: Callable[[bytes], None]
    seeds: Sequence[bytes]
    words: Sequence[bytes] = ()


def pieces(cuts: bytes, body: bytes) -> list[bytes]:
    """The body cut after so many bytes each time."""
    cut = []
    for size in cuts:
        cut.append(body[:size])
        body = body[size:]
    return [*cut, body]


# bodies: what a dialect makes of one, or its refusal


@cache
def operations() -> list[Operation]:
    settings = ServerSettings()
    surfaces = [plugins.make("dialects", name, "surface", settings.max_depth) for name in settings.dialects]
    return [one for surface in surfaces for one in surface.operations]


def body(data: bytes) -> None:
    """The first byte chooses the route. Whatever is wrong is the request's fault."""
    known = operations()
    dialect = known[data[0] % len(known)].dialect if data else known[0].dialect
    try:
        call = dialect.decode(data[1:], {})
        render(call)
    except GatewayError as error:
        refused = error
    else:
        assert loads(data[1:]) is not None
        return
    assert 400 <= refused.status < 500
    assert orjson.loads(dialect.encode_error(None, refused, stream=False).body)


def _bodies() -> list[bytes]:
    asked = {one.path: question(one, "said", stream=False) for one in SPOKEN}
    return [
        bytes([number]) + orjson.dumps(asked[one.path]) for number, one in enumerate(operations()) if one.path in asked
    ]


# events: a stream reads alike however it is cut


def events(data: bytes) -> None:
    """The first byte chooses the reader, the next four where the rest is cut."""
    make = READERS[data[0] % len(READERS)] if data else READERS[0]
    cuts, stream = data[1:5], data[5:]
    assert _payloads(make(), [stream]) == _payloads(make(), pieces(cuts, stream))


def _payloads(reader: Any, cut: list[bytes]) -> tuple[bytes, str]:
    """What comes out, or which failure: what came out before that may have come in the same piece."""
    found: list[bytes] = []
    try:
        for piece in cut:
            found += reader.feed(piece)
        found += reader.end()
    except (Malformed, Truncated) as error:
        return b"", type(error).__name__
    return b"\n\n".join(found), ""


def _frames() -> Frames:
    # LiteLLM's own decoder is asked for failures only; this one knows none.
    return Frames(SimpleNamespace(_parse_message_from_event=lambda event: None))


READERS: list[Callable[[], Any]] = [lambda: Events(1000), lambda: Lines(1000), _frames]
FRAME = event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "a"}}).data


# templates: one pass, and nothing of a value is a template


def template(data: bytes) -> None:
    """A text, a name and its value, with NULs between them."""
    text, name, value = (data.decode("utf-8", "replace").split("\0") + ["", ""])[:3]
    assert fill(text, {}, {}) == text
    missing: dict[str, None] = {}
    filled = fill(text, {name: value}, missing)
    parts = re.split(r"(\{\{ ?\w+ ?\}\})", text)
    assert filled == "".join(value if part.strip("{} ") == name and at % 2 else part for at, part in enumerate(parts))
    assert name not in missing
    assert all(f"{{{{{one}" in text or f"{{{{ {one}" in text for one in missing)


# queries: values of SQL, never SQL


@cache
def reader() -> Reader:
    """A log of three rows, for as long as the process lives."""
    path = Path(tempfile.mkdtemp(prefix="fuzz")) / "traces.db"

    async def write() -> None:
        log = SQLiteLog(path)
        for number in range(ROWS):
            start = f"2026-01-0{number + 1}T00:00:00.000000+00:00"
            kept = Record(
                trace_id=f"t{number}", root_trace_id=f"t{number}", start_timestamp=start, tags=["a"], cost=0.5
            )
            kept.metadata = {"k": str(number)}
            assert await log.append(kept)
        await log.close()

    asyncio.run(write())
    return Reader(path, lambda: datetime(2026, 1, 4, tzinfo=UTC))


ROWS = 3


def query(data: bytes) -> None:
    """A JSON list: field, operator, value, key, project, status, range."""
    try:
        asked = orjson.loads(data)
    except orjson.JSONDecodeError:
        return
    given = [*asked, *[None] * 7][:7] if isinstance(asked, list) else [None] * 7
    field, operator, value, key, project, status, span = given
    texts = [one if isinstance(one, str) else None for one in (field, operator, key, project, status, span)]
    field, operator, key, project, status, span = texts
    filters = (Filter(field, operator, value, key),) if field and operator else ()
    try:
        for more in ({"filter_field": field, "filter_operator": operator, "filter_key": key}, {"filters": filters}):
            asking: dict[str, Any] = {**more, "filter_value": value} if "filter_field" in more else more
            page = reader().search(TraceQuery(project_name=project, status=status, time_range=span, **asking))
            assert page.total == len(page.roots) <= ROWS
    except BadRequest:
        pass
    assert reader().rows() == ROWS


# Host: no name of this machine that another reader takes for another


def host(data: bytes) -> None:
    text = data.decode("latin-1")
    name = hostname(text)
    if name in LOOPBACK:
        seen = urlsplit(f"//{text}")
        assert seen.hostname == name
        assert seen.username is seen.password is None
        assert (seen.path, seen.query, seen.fragment) == ("", "", "")


# the wire: the same answers however a request is cut


class Wire(asyncio.Transport):
    """A connection without a socket."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        assert not self.closed
        self.written += data

    def close(self) -> None:
        self.closed = True

    def write_eof(self) -> None:
        self.closed = True

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that answers with what it was asked."""
    found = await read(receive)
    seen = [scope["method"], scope["path"], sorted(scope["headers"]), found]
    await answer(send, Answer(200, repr(seen).encode()))


CONFIG = SimpleNamespace(loaded=True, loaded_app=echo)
LOOP: list[asyncio.AbstractEventLoop] = []


def wire(data: bytes) -> None:
    """The first four bytes say where the rest is cut."""
    if not LOOP:
        LOOP.append(asyncio.new_event_loop())
    cuts, said = data[:4], data[4:]
    whole, cut = LOOP[0].run_until_complete(_told([said])), LOOP[0].run_until_complete(_told(pieces(cuts, said)))
    assert whole == cut, (whole, cut)


async def _told(cut: list[bytes]) -> tuple[bytes, bool]:
    """What a connection answers, and whether it has ended. Nothing is answered before all was said."""
    state = SimpleNamespace(connections=set(), tasks=set(), total_requests=0, default_headers=[])
    line, connection = Wire(), Connection(CONFIG, state, {}, door=Door())
    connection.connection_made(line)
    for piece in cut:
        connection.data_received(piece)
    for _ in range(200):
        await asyncio.sleep(0)
        if not state.tasks:
            break
    connection.connection_lost(None)
    for task in list(state.tasks):
        await task
    connection.look(0.0)
    return line.written, line.closed


POST = b"POST /a?b=%20c HTTP/1.1\r\nHost: localhost\r\n"
REQUESTS = [
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3,
    POST + b"Content-Length: 5\r\n\r\nhello" + POST + b"Content-Length: 0\r\nConnection: close\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\nX-T: a\r\n\r\n",
    POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
    b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\nrest",
    POST + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi" + POST + b"\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
]
STREAMS = [
    b"data: {}\n\ndata: [DONE]\n\n",
    b'\xef\xbb\xbfevent: a\r\ndata: {"a":\r\ndata: 1}\r\n\r\n: comment\r\rid: 1\n\n',
    b'{"a": 1}\n\n{"b": 2}',
    FRAME + FRAME,
]

TARGETS: dict[str, Target] = {
    "body": Target(
        body,
        _bodies(),
        [
            b"null",
            b"true",
            b"1e9",
            b'""',
            b"[]",
            b"{}",
            b'{"type":"text"}',
            b'"role"',
            b'"content"',
            b'"\\ud83d\\ude00"',
        ],
    ),
    "events": Target(
        events,
        [
            bytes([kind]) + cuts + stream
            for kind, _ in enumerate(READERS)
            for stream in STREAMS
            for cuts in (b"\1\2\3\4",)
        ],
        [b"data:", b"event: ", b"\r\n\r\n", b"\n\n", b"\r", b"\xef\xbb\xbf", b"[DONE]"],
    ),
    "template": Target(
        template,
        [b"Hello {{name}}, {{ name }} {{other}}\0name\0{{name}} {{other}}", b"{{{{a}}}}\0a\0{{a}}", b"{{a}}"],
        [b"{{", b"}}", b"{{name}}", b"\0", b"{%", b"\xc3\xa9"],
    ),
    "query": Target(
        query,
        [
            orjson.dumps(["tags", "in", "a,b", None, "default", "success", "7d"]),
            orjson.dumps(["metadata", "greater_than", "1", "k"]),
            orjson.dumps(["cost", "less_than_or_equal", 0.5]),
            orjson.dumps(["content", "like", "a%'; DROP TABLE traces; --"]),
            orjson.dumps(["start_timestamp", "in", '["2026-01-01", "2026-01-02T03:04:05Z"]']),
            orjson.dumps(["scores", "not_equals", [1], "quality"]),
        ],
        [
            f'"{word}"'.encode()
            for word in ("equals", "like", "in", "is_null", "exists", "inputs", "cache_hit", "latency")
        ],
    ),
    "host": Target(
        host,
        [b"localhost:4000", b"[::1]:80", b"127.0.0.1", b"user@localhost", b"localhost/..", b"[::1%25lo]"],
        [b"localhost", b"127.0.0.1", b"[::1]", b":80", b"@", b"?", b"#", b"\\"],
    ),
    "wire": Target(
        wire,
        [b"\1\20\40\3" + request for request in REQUESTS],
        [
            b"\r\n",
            b"Content-Length: ",
            b"Transfer-Encoding: chunked\r\n",
            b"HTTP/1.1",
            b"Expect: 100-continue",
            b"\r\n0\r\n\r\n",
        ],
    ),
}
