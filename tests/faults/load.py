"""Clients that keep a gateway busy while something befalls it, and remember what they were told.

An answer that has arrived in full is an acknowledgement: unless it says otherwise, its row is on disk by then. A stream
says nothing of its row, whose head had left before; it counts as said where no disk fails.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from proxy.app import PAREA

ECHO = {"model_list": [{"model_name": "echo", "litellm_params": {"model": "echo/echo"}}]}
"""A config whose only model needs nobody else."""

KINDS = ("whole", "stream", "posted", "edited")
"""A completion, a streamed one, a row that a client logs, and feedback on a row that was acknowledged before."""

Head = Mapping[bytes, bytes]


@dataclass
class Load:
    """What clients of one or several gateways asked, and what they were told.

    `said` holds the ids of rows that are on disk by the gateway's word, with their output; `edited` those whose
    feedback is; `unsaid` those answered with the word that they are not. `wrong` are answers to another question.
    """

    kinds: tuple[str, ...] = KINDS
    size: int = 0
    """Characters that every prompt is made longer by."""
    repeat: int = 0
    """So many different prompts are asked again and again, and answered from the cache; 0: never the same twice."""
    said: dict[str, str] = field(default_factory=dict)
    edited: set[str] = field(default_factory=set)
    unsaid: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    slowest: float = 0.0
    """Seconds of the answer that took longest."""
    cut: int = 0
    """Connections that broke off, or were refused."""
    hits: int = 0
    stopped: bool = False

    def __post_init__(self) -> None:
        self._numbers = itertools.count()
        self.begun = asyncio.Event()
        """Set by the first answer."""

    @property
    def answers(self) -> int:
        return sum(self.statuses.values())

    def ask(self, *ports: int, clients: int = 8, requests: int = 100, seconds: float | None = None) -> Load:
        """Ask from outside any event loop; see `run`."""
        asyncio.run(self.run(*ports, clients=clients, requests=requests, seconds=seconds))
        return self

    async def run(self, *ports: int, clients: int = 8, requests: int = 100, seconds: float | None = None) -> None:
        """Ask so many `requests` all in all, or for so many `seconds`, until `stopped`, or until the connections break.

        The clients are spread over the `ports`.
        """
        end = None if seconds is None else time.monotonic() + seconds
        left = itertools.repeat(None) if end is not None else itertools.repeat(None, requests)

        async def client(port: int) -> None:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
            except OSError:
                self.cut += 1
                return
            try:
                for _ in left:
                    if self.stopped or (end is not None and time.monotonic() >= end):
                        return
                    await self._one(reader, writer)
            except (OSError, asyncio.IncompleteReadError):
                self.cut += 1
            finally:
                writer.close()

        await asyncio.gather(*[client(port) for _, port in zip(range(clients), itertools.cycle(ports), strict=False)])

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = next(self._numbers)
        kind = self.kinds[number % len(self.kinds)]
        if kind == "edited" and not self.said:
            kind = "whole"
        trace_id, prompt = str(uuid.uuid4()), f"{self._name(number)} {'x' * self.size}".strip()
        began = time.monotonic()
        match kind:
            case "whole":
                body: dict[str, Any] = {"trace_id": trace_id, "cache": bool(self.repeat), **_asked(prompt)}
                status, head, answer = await post(reader, writer, f"{PAREA}/completion", body)
            case "stream":
                chat = {"model": "echo", "stream": True, **_messages(prompt)}
                status, head, answer = await post(reader, writer, "/v1/chat/completions", chat, trace_id)
            case "posted":
                row = {"trace_id": trace_id, "trace_name": "f", "output": prompt}
                status, head, answer = await post(reader, writer, f"{PAREA}/trace_log", row)
            case _:
                trace_id = next(reversed(self.said))
                score = {"trace_id": trace_id, "score": 0.5}
                status, head, answer = await post(reader, writer, f"{PAREA}/feedback", score)
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.begun.set()
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if status == 200:
            self._note(kind, trace_id, prompt, head, answer)

    def _name(self, number: int) -> str:
        return f"question {number % self.repeat}" if self.repeat else str(uuid.uuid4())

    def _note(self, kind: str, trace_id: str, prompt: str, head: Head, answer: bytes) -> None:
        text = prompt if kind == "posted" else f"You said: {prompt}"
        if kind in ("posted", "edited"):
            kept = json.loads(answer)["logged"]
        else:
            kept = head.get(b"x-logged") != b"false"
            self.hits += head.get(b"x-cache") == b"hit"
            if (told := _text(kind, answer)) != text:
                self.wrong.append(f"{prompt[:60]!r} was answered {told[:60]!r}")
        if kind == "edited":
            if kept:
                self.edited.add(trace_id)
        elif kept:
            self.said[trace_id] = text
        else:
            self.unsaid.add(trace_id)


def _messages(prompt: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": prompt}]}


def _asked(prompt: str) -> dict[str, Any]:
    return {"llm_configuration": {"model": "echo", **_messages(prompt)}}


def _text(kind: str, answer: bytes) -> str:
    if kind == "whole":
        return str(json.loads(answer)["content"])
    events = [event.removeprefix(b"data: ") for event in answer.split(b"\n\n") if event.startswith(b"data: {")]
    pieces = [choice["delta"].get("content") or "" for event in events for choice in json.loads(event)["choices"]]
    return "".join(pieces)


async def post(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, body: dict[str, Any], trace_id: str = ""
) -> tuple[int, Head, bytes]:
    """Status, headers and body of an answer that has arrived in full. Raises when the connection breaks before that."""
    sent = json.dumps(body).encode()
    name = f"x-trace-id: {trace_id}\r\n" if trace_id else ""
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n{name}"
    writer.write(f"{head}content-length: {len(sent)}\r\n\r\n".encode() + sent)
    first, *lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
    headers = {key.lower(): value.strip() for key, _, value in (line.partition(b":") for line in lines)}
    return int(first.split()[1]), headers, await _body(reader, headers)


async def _body(reader: asyncio.StreamReader, headers: Head) -> bytes:
    if b"content-length" in headers:
        return await reader.readexactly(int(headers[b"content-length"]))
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return body
