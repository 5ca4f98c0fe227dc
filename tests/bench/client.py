"""A keep-alive HTTP connection of a client, as lean as Python goes: one request at a time, answers by callback."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import NamedTuple, cast

from httptools import HttpParserError, HttpResponseParser

from tests.bench.server import HOST


class Answer(NamedTuple):
    """What came back; times by `perf_counter`. Status 0: the connection broke off, `pieces` are what had arrived."""

    status: int
    pieces: list[tuple[float, bytes]]
    """The body, each part with the time when it arrived."""
    started: float
    ended: float

    @property
    def body(self) -> bytes:
        return b"".join(piece for _, piece in self.pieces)

    @property
    def first(self) -> float:
        """When the first byte of the body arrived."""
        return self.pieces[0][0] if self.pieces else self.ended


class Connection(asyncio.Protocol):
    """`send` a request and have the callback called with its answer, or `ask` and wait for it."""

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self._done: Callable[[Answer], None] | None = None
        self._pieces: list[tuple[float, bytes]] = []
        self._started = 0.0

    @classmethod
    async def open(cls, port: int) -> Connection:
        """Raises `OSError` when nobody listens."""
        return (await asyncio.get_running_loop().create_connection(cls, HOST, port))[1]

    def send(self, request: bytes, done: Callable[[Answer], None]) -> None:
        self._done = done
        self._pieces = []
        self._started = perf_counter()
        if self._transport.is_closing():
            self.connection_lost(None)
        else:
            self._transport.write(request)

    async def ask(self, request: bytes) -> Answer:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.send(request, lambda answer: None if future.done() else future.set_result(answer))
        return await future

    def close(self) -> None:
        self._done = None
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except HttpParserError:
            self._transport.abort()

    def on_body(self, body: bytes) -> None:
        self._pieces.append((perf_counter(), body))

    def on_message_complete(self) -> None:
        self._finish(self._parser.get_status_code())

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(0)

    def _finish(self, status: int) -> None:
        if self._done is not None:
            done, self._done = self._done, None
            done(Answer(status, self._pieces, self._started, perf_counter()))


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: {HOST}\r\n\r\n".encode()


def post(path: str, body: bytes, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    more = "".join(f"{name}: {value}\r\n" for name, value in headers)
    head = f"POST {path} HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\n{more}"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
