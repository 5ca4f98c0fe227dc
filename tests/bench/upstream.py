"""A loopback upstream in OpenAI's chat format that answers as fast as Python goes: fixed answers, no thought.

    python -m tests.bench.upstream PORT

A streamed answer has `CHUNKS` pieces of text, each sent in a turn of the loop of its own, then the finish reason, the
usage and `[DONE]`. Every answer's text ends with `ENDING`. `GET` tells how many completions were asked for so far,
which is how a hit is known to be one.
"""

from __future__ import annotations

import asyncio
import json
import sys
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
STREAM = (
    HEAD + _delta({"role": "assistant", "content": TEXT[0]}),
    *(_delta({"content": text}) for text in TEXT[1:]),
    _delta({}, "stop") + _event(choices=[], usage=USAGE) + _frame(b"data: [DONE]\n\n") + b"0\r\n\r\n",
)


class Upstream(asyncio.Protocol):
    """One connection."""

    asked = 0
    """Completions that all connections were asked for."""

    def __init__(self) -> None:
        self._parser = HttpRequestParser(self)
        self._body = b""

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
            self._send(0)
        else:
            self._transport.write(WHOLE)

    def _send(self, number: int) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(STREAM[number])
        if number + 1 < len(STREAM):
            asyncio.get_running_loop().call_soon(self._send, number + 1)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, HOST, port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
