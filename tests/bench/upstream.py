"""A loopback upstream in OpenAI's chat format: fixed answers, no thought. upstream.c where there is a compiler.

    python -m tests.bench.upstream PORT

A streamed answer has as many pieces of text as the request says (`chunks=N`), so many a second (`pace=N`; 0: each in
the next turn of the loop), then the finish reason, the usage and `[DONE]`. A piece's text holds `@` and the moment it
was sent, by the monotonic clock in nanoseconds. Every answer's text ends with `ENDING`. `GET` tells how many
completions were asked for so far, which is how a hit is known to be one.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from typing import cast

import uvloop
from httptools import HttpRequestParser

from tests.bench.server import HOST

CHUNKS = 100
ENDING = "the end."

USAGE = {"prompt_tokens": 42, "completion_tokens": CHUNKS, "total_tokens": 42 + CHUNKS}
TEXT = [f"word{number} " for number in range(CHUNKS - 1)] + [ENDING]


def _whole() -> bytes:
    message = {"role": "assistant", "content": "".join(TEXT)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {"id": "chatcmpl-bench", "object": "chat.completion", "created": 1, "model": "bench", "choices": [choice]}
    return _answer(body | {"usage": USAGE})


def _answer(value: object) -> bytes:
    body = json.dumps(value).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def _event(**fields: object) -> bytes:
    chunk = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1, "model": "bench"} | fields
    return _frame(b"data: %b\n\n" % json.dumps(chunk).encode())


def _frame(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def _delta(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
    return _event(choices=[{"index": 0, "delta": delta, "finish_reason": finish_reason}])


WHOLE = _whole()
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END = _delta({}, "stop") + _event(choices=[], usage=USAGE) + _frame(b"data: [DONE]\n\n") + b"0\r\n\r\n"
CLOCK = "@" + "0" * 19
PIECES = [
    HEAD + _delta({"role": "assistant", "content": f"{CLOCK} word "}),
    _delta({"content": f"{CLOCK} word "}),
    _delta({"content": f"{CLOCK} {ENDING}"}) + END,
]
"""The first piece of a stream, those between, and the last."""
STREAM = (PIECES[0], *[PIECES[1]] * (CHUNKS - 2), PIECES[2])
"""A whole stream, for those who send it at a pace of their own."""
WANTED = re.compile(rb"pace=(\d+) chunks=(\d+)")


class Upstream(asyncio.Protocol):
    """One connection."""

    asked = 0
    """Completions that all connections were asked for."""

    def __init__(self) -> None:
        self._parser = HttpRequestParser(self)
        self._body = b""
        self._chunks = CHUNKS
        self._pause = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._body = b""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._parser.get_method() == b"GET":
            self._transport.write(_answer(Upstream.asked))
            return
        Upstream.asked += 1
        if b'"stream":true' in self._body or b'"stream": true' in self._body:
            wanted = WANTED.search(self._body)
            pace, self._chunks = map(int, wanted.groups()) if wanted else (0, CHUNKS)
            self._pause = 1 / pace if pace else 0.0
            self._send(0, asyncio.get_running_loop().time())
        else:
            self._transport.write(WHOLE)

    def _send(self, number: int, due: float) -> None:
        if self._transport.is_closing():
            return
        piece = PIECES[0 if number == 0 else 2 if number + 1 == self._chunks else 1]
        self._transport.write(piece.replace(CLOCK.encode(), b"@%019d" % time.monotonic_ns()))
        if number + 1 < self._chunks:
            due += self._pause
            asyncio.get_running_loop().call_at(due, self._send, number + 1, due)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, HOST, port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
