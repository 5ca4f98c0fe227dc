"""Who answers instead of all vendors while the omission is proved, and how he is asked: within this process.

What must stay true: nobody is called, and nothing goes over a network.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from proxy.asgi import App
from proxy.errors import UpstreamError
from proxy.models import Call, Choice, Chunk, Completion, Event, Json, ToolCall, Usage
from proxy.providers.echo import Echo
from proxy.target import Target

Ending = Literal["answered", "refused", "broken off"]
ENDINGS: tuple[Ending, ...] = ("answered", "refused", "broken off")

PATIENCE = 30.0


class StandIn(Echo):
    """The offline provider with words of its own: it says `answer`, or fails in words that quote it and `said`."""

    ending: Ending = "answered"
    said = ""
    answer = ""

    def under(self, **options: Any) -> Self:
        return self

    async def complete(self, call: Call, target: Target) -> AsyncGenerator[Event, None]:
        if self.ending == "refused":
            raise self._failure()
        if call.request.kind == "embedding":
            async for event in super().complete(call, target):
                yield event
            return
        if call.request.stream or self.ending == "broken off":
            yield Chunk(text=self.answer)
        if self.ending == "broken off":
            raise self._failure()
        used = [ToolCall("call_1", self.answer, json.dumps({self.answer: 'a "quoted" \n line'}))]
        if call.request.stream:
            yield Chunk(tool_calls=used)
        called = [] if call.request.kind == "text" else used
        yield Completion(
            [Choice(text=self.answer, tool_calls=called)], Usage(1, 1), target.model, target.provider, cost=0.0
        )

    async def explain(self, call: Call, target: Target) -> dict[str, Json]:
        return {}

    async def warm(self, call: Call, target: Target) -> None:
        return None

    def _failure(self) -> UpstreamError:
        message = f"cannot answer {self.said!r} but with {self.answer!r}"
        return UpstreamError(message, code="invalid_request", provider="openai", upstream_status=400, quoted=True)


@dataclass(slots=True, frozen=True)
class Answered:
    status: int
    headers: Mapping[str, str]
    body: bytes


async def ask(app: App, path: str, body: Mapping[str, Json], headers: Mapping[str, str]) -> Answered:
    """One request to the gateway, and all of its answer."""
    content = json.dumps(body, ensure_ascii=False).encode()
    sent = {"host": "127.0.0.1", "content-type": "application/json", "content-length": str(len(content)), **headers}
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 0),
        "state": {},
    }
    waiting: list[dict[str, Any]] = [{"type": "http.request", "body": content, "more_body": False}]
    told: list[Any] = []

    async def receive() -> Any:
        if not waiting:
            await asyncio.Event().wait()  # the client stays
        return waiting.pop()

    async def send(message: Any) -> None:
        told.append(message)

    async with asyncio.timeout(PATIENCE):
        await app(scope, receive, send)
    start = told[0]
    given = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in start["headers"]}
    return Answered(start["status"], given, b"".join(one.get("body", b"") for one in told[1:]))
