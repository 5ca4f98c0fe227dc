"""A dialect in one file, as somebody who needs one would write it: `POST /toy/say`, plain text in JSON.

{"say": "text", "to": "model", "stream": false}   ->   {"said": "text"}
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from proxy.body import loads
from proxy.dialects.controls import Controls
from proxy.errors import BadRequest, GatewayError
from proxy.models import Call, Chunk, Completion, CompletionRequest, Event
from proxy.protocols import Answer, Operation, Surface


class Toy:
    name = "toy"

    def __init__(self, max_depth: int) -> None:
        self._max_depth = max_depth

    def decode(self, body: bytes, headers: Mapping[bytes, bytes]) -> Call:
        asked = loads(body, self._max_depth)
        if not isinstance(asked, dict) or not isinstance(asked.get("say"), str):
            raise BadRequest("say: should be text", param="say")
        controls = Controls.of(headers, asked)
        request = CompletionRequest(
            dialect=self.name,
            trace=controls.trace,
            model=asked.get("to"),
            messages=[{"role": "user", "content": asked["say"]}],
            policy=controls.policy,
            cache=controls.cache,
            stream=bool(asked.get("stream")),
        )
        return Call(request=request)

    def encode(self, call: Call, completion: Completion) -> Answer:
        return Answer(200, orjson.dumps({"said": completion.text}))

    def encode_event(self, call: Call, event: Event) -> list[bytes]:
        return [event.text.encode()] if isinstance(event, Chunk) else []

    def encode_error(self, call: Call | None, error: GatewayError, *, stream: bool) -> Answer:
        return refuse(error)

    def encode_failure(self, call: Call, error: GatewayError) -> list[bytes]:
        return []


def refuse(error: GatewayError) -> Answer:
    return Answer(error.status, orjson.dumps({"sorry": error.message}))


def surface(max_depth: int) -> Surface:
    return Surface(("/toy",), (Operation("/toy/say", Toy(max_depth)),), refuse)


def rival(max_depth: int) -> Surface:
    """Another one that wants the same path."""
    return Surface(("/toy",), (Operation("/toy/say", Toy(max_depth)),), refuse)
