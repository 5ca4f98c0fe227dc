"""The part that every upstream shares: note the request, check it as its vendor does, play the script.

A subclass translates between a `Reply` and its vendor's words, and nothing else. It runs on a loop in a thread of its
own, so that blocking clients can be tested as well as asynchronous ones.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from tests.upstreams.connection import Connection, Json, Request, Thread
from tests.upstreams.scenario import SCENARIOS, Reply, Scenario


class Refusal(Exception):
    """The vendor says no: a status with the vendor's own body."""

    def __init__(self, status: int, body: Json, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


@dataclass(frozen=True)
class Frame:
    """One event of a stream. A `delta` carries a piece of the answer, the others are the vendor's bookkeeping."""

    data: bytes
    delta: bool = False


def dump(value: Json) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def sse(value: Json, *, event: str = "", delta: bool = False) -> Frame:
    """A server-sent event with a JSON payload."""
    head = f"event: {event}\n".encode() if event else b""
    return Frame(head + b"data: " + dump(value) + b"\n\n", delta)


def halves(text: str) -> tuple[str, str]:
    """Text in two pieces, as tool arguments are streamed."""
    return text[: len(text) // 2], text[len(text) // 2 :]


class Upstream:
    """One vendor's server. `script` is what the next requests get: one scenario, or one each with the last repeated.

    A model called `name~scenario` gets that scenario whatever the script says, for trying things by hand.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.key = f"key-of-{name}-0123456789"
        self.url = ""
        self.requests: list[Request] = []
        self.arrived = threading.Event()
        self._script: list[Scenario] = [Scenario()]
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    # what a vendor's file fills in

    @property
    def stream_type(self) -> str:
        return "text/event-stream"

    def route(self, request: Request) -> Json:
        """The answer of a route besides the model's own (a token endpoint), or None."""
        return None

    def check(self, request: Request) -> None:
        """Raise `Refusal` for whatever the vendor refuses; set `request.stream`."""
        raise NotImplementedError

    def whole(self, request: Request, reply: Reply) -> Json:
        raise NotImplementedError

    def frames(self, request: Request, reply: Reply) -> list[Frame]:
        raise NotImplementedError

    def refusal(self, status: int, reason: str = "", message: str = "") -> Refusal:
        """The vendor's error with that status."""
        raise NotImplementedError

    def error_frame(self) -> Frame:
        """How the vendor says in mid-stream that it failed."""
        raise NotImplementedError

    def comment(self) -> bytes:
        return b": keep-alive\n\n"

    def model_of(self, request: Request) -> str:
        return str((request.json or {}).get("model", ""))

    # the script

    @property
    def script(self) -> Scenario | Sequence[Scenario]:
        return self._script

    @script.setter
    def script(self, script: Scenario | Sequence[Scenario]) -> None:
        self._script = [script] if isinstance(script, Scenario) else list(script)

    def reset(self) -> None:
        """Forget what came, and greet again."""
        self.requests.clear()
        self.arrived.clear()
        self.script = Scenario()

    def _scenario(self, request: Request) -> Scenario:
        _, _, named = self.model_of(request).partition("~")
        if named in SCENARIOS:
            return SCENARIOS[named]
        return self._script.pop(0) if len(self._script) > 1 else self._script[0]

    def _reply(self, scenario: Scenario) -> Reply:
        reply = scenario.reply or Reply(("Hello", " from", f" {self.name}"))
        return replace(reply, pieces=(*reply.pieces, "x" * scenario.flood)) if scenario.flood else reply

    # the socket

    def start(self, thread: Thread, port: int = 0) -> None:
        async def listen() -> None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(
                lambda: Connection(self._answer, self._connections), "127.0.0.1", port
            )
            self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

        thread.run(listen())

    def stop(self, thread: Thread) -> None:
        async def close() -> None:
            if self._server is not None:
                self._server.close()
            connections = list(self._connections)
            for connection in connections:
                connection.transport.abort()
            await asyncio.gather(*(each.task for each in connections if each.task is not None), return_exceptions=True)

        thread.run(close())

    async def _answer(self, request: Request, line: Connection) -> None:
        try:
            if (routed := self.route(request)) is not None:
                await line.whole(200, dump(routed), {})
                return
            self.requests.append(request)
            self.arrived.set()
            self.check(request)
            await self._play(request, self._scenario(request), line)
        except Refusal as refusal:
            await line.whole(refusal.status, dump(refusal.body), refusal.headers)

    async def _play(self, request: Request, scenario: Scenario, line: Connection) -> None:
        match scenario.fault:
            case "reset":
                line.reset()
            case "close":
                line.close()
            case "hang":
                await line.hang()
            case "garbage":
                await line.send(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
                line.close()
            case _ if scenario.raw is not None:
                headers = {"content-type": scenario.raw_type, **scenario.headers}
                await line.whole(scenario.status or 200, scenario.raw, headers)
            case _ if scenario.status is not None:
                refusal = self.refusal(scenario.status, scenario.reason)
                refusal.headers.update(scenario.headers)
                raise refusal
            case _ if request.stream:
                await self._stream(request, scenario, line)
            case _:
                await self._whole(request, scenario, line)

    async def _whole(self, request: Request, scenario: Scenario, line: Connection) -> None:
        await line.pause(scenario.delay)
        body = dump(self.whole(request, self._reply(scenario)))
        headers = dict(scenario.headers)
        if scenario.gzip:
            body, headers["content-encoding"] = gzip.compress(body), "gzip"
        if not scenario.fault:
            await line.whole(200, body, headers, split=scenario.split, pause=scenario.pause)
            return
        await line.head(200, {"content-type": "application/json", **headers, "content-length": str(len(body))})
        await line.send(body[: len(body) // 2])
        await self._fail(scenario, line)

    async def _stream(self, request: Request, scenario: Scenario, line: Connection) -> None:
        squeeze = zlib.compressobj(wbits=31) if scenario.gzip else None
        headers = {"content-type": self.stream_type, "transfer-encoding": "chunked", **scenario.headers}
        await line.head(200, headers | ({"content-encoding": "gzip"} if squeeze else {}))
        await line.pause(scenario.delay)
        for data in self._pieces(request, scenario):
            if squeeze is not None:
                data = squeeze.compress(data) + squeeze.flush(zlib.Z_SYNC_FLUSH)
            for start in range(0, len(data), scenario.split or len(data)):
                await line.chunk(data[start : start + (scenario.split or len(data))])
                await line.pause(scenario.pause)
        if scenario.fault in ("", "no_end", "corrupt", "error"):
            await line.chunk(squeeze.flush() if squeeze else b"")
            await line.end()
        else:
            await self._fail(scenario, line)

    def _pieces(self, request: Request, scenario: Scenario) -> Iterator[bytes]:
        """What is written at a time: an event, or what stands between two of the scenario's cuts."""
        if not scenario.cuts:
            yield from self._events(request, scenario)
            return
        body = b"".join(frame.data for frame in self.frames(request, self._reply(scenario)))
        ends = scenario.cuts if scenario.fault else (*scenario.cuts, len(body))
        yield from (body[start:end] for start, end in pairwise((0, *ends)) if start < end)

    def _events(self, request: Request, scenario: Scenario) -> Iterator[bytes]:
        """The events of a stream, up to the scenario's fault."""
        left = scenario.after if scenario.fault else -1
        for frame in self.frames(request, self._reply(scenario)):
            if left == 0:
                middle = len(frame.data) // 2
                if scenario.fault == "half":
                    yield frame.data[:middle]
                if scenario.fault == "corrupt":
                    yield frame.data[:middle] + b"\xff" + frame.data[middle + 1 :]
                break
            left -= frame.delta
            if scenario.comments and (comment := self.comment()):
                yield comment
            yield frame.data
        if scenario.fault == "error":
            yield self.error_frame().data

    async def _fail(self, scenario: Scenario, line: Connection) -> None:
        match scenario.fault:
            case "cut":
                # what was written must have left: a reset drops what is still in the buffers of either side
                await asyncio.sleep(0.05)
                line.reset()
            case "stall":
                await line.hang()
            case _:
                line.close()
