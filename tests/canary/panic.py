"""A dialect that has bugs: `POST /panic/<where>` raises there, with the request's own text in the exception."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.models import Call, Completion, Event
from proxy.protocols import Answer, Operation, Surface
from tests.toy import Toy, refuse


class Panic(Toy):
    """Raises in the step that `where` names."""

    def __init__(self, max_depth: int, where: str) -> None:
        super().__init__(max_depth)
        self._where = where

    def _raise(self, where: str, said: object) -> None:
        if where == self._where:
            raise RuntimeError(f"cannot do with {said!r}")

    def decode(self, body: bytes, headers: Mapping[bytes, bytes]) -> Call:
        self._raise("decode", (body, headers))
        return super().decode(body, headers)

    def encode(self, call: Call, completion: Completion) -> Answer:
        self._raise("encode", completion)
        return super().encode(call, completion)

    def encode_event(self, call: Call, event: Event) -> list[bytes]:
        self._raise("event", event)
        return super().encode_event(call, event)


STEPS = ("decode", "encode", "event")


def surface(max_depth: int) -> Surface:
    return Surface(("/panic",), tuple(Operation(f"/panic/{one}", Panic(max_depth, one)) for one in STEPS), refuse)
