"""How answers are read: those of OpenAI's form as they come, each other vendor's by LiteLLM's own classes.

What must stay true: a reading belongs to one answer; it does no I/O; what it gives has OpenAI's form.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import httpx
import orjson

from proxy.models import Json
from proxy.providers import values, wrapper
from proxy.providers.events import Events, Lines
from proxy.providers.parameters import Plan
from proxy.providers.reply import Reply
from proxy.providers.wires import Wire


class Reading(Protocol):
    """Reads one answer."""

    def whole(self, reply: Reply, body: bytes) -> Mapping[str, Any]:
        """A whole answer. Raises what is wrong with it."""
        ...

    def part(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        """The chunk of one event of a stream."""
        ...

    def events(self, reply: Reply) -> Events | Lines:
        """What cuts a stream into events."""
        ...


class Direct:
    """Answers that have OpenAI's form already."""

    def whole(self, reply: Reply, body: bytes) -> Mapping[str, Any]:
        return loaded(body)

    def part(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        return event

    def events(self, reply: Reply) -> Events | Lines:
        return Events()


class Translated:
    """Answers that LiteLLM's class of the vendor translates. `parser` makes one for a stream's events."""

    def __init__(self, litellm: Any, wire: Wire, plan: Plan, sent: Mapping[str, Json]) -> None:
        self._litellm = litellm
        self._wire = wire
        self._plan = plan
        self._sent = sent
        self._parser = self.parser() if plan.stream else None

    def parser(self) -> Any:
        raise NotImplementedError

    def whole(self, reply: Reply, body: bytes) -> Mapping[str, Any]:
        loaded(body)
        assert self._wire.transform is not None
        answer = self._wire.transform.owner.transform_response(
            model=self._plan.model,
            raw_response=httpx.Response(reply.status, headers=dict(reply.headers), content=body),
            model_response=self._litellm.ModelResponse(),
            logging_obj=Silent(),
            api_key=None,
            request_data=self._sent,
            messages=self._plan.messages,
            optional_params=dict(self._wire.transform.named["optional_params"]),
            litellm_params=self._wire.settings,
            encoding=self._litellm.encoding,
            json_mode=False,
        )
        return wrapper.plain(answer)

    def part(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        assert self._parser is not None
        found = self._parser.chunk_parser(event)
        return generic(found) if isinstance(found, dict) else wrapper.plain(found)

    def events(self, reply: Reply) -> Events | Lines:
        return Events()


class Claude(Translated):
    """Anthropic's messages."""

    def parser(self) -> Any:
        from_class = self._litellm.llms.anthropic.chat.handler.ModelResponseIterator
        names = self._wire.settings.get("_anthropic_tool_name_reverse_map")
        return from_class(streaming_response=None, sync_stream=False, json_mode=False, tool_name_reverse_map=names)


class Cohere(Translated):
    """Cohere's chats, version 2."""

    def parser(self) -> Any:
        assert self._wire.transform is not None
        return self._wire.transform.owner.get_model_response_iterator(streaming_response=None, sync_stream=False)

    def events(self, reply: Reply) -> Events | Lines:
        """Its server writes one JSON object a line where a client accepts JSON, as LiteLLM does."""
        return Events() if "event-stream" in reply.headers.get("content-type", "") else Lines()


class Silent:
    """In place of LiteLLM's log of a call."""

    def __init__(self) -> None:
        self.model_call_details: dict[str, Any] = {}

    def post_call(self, *_: Any, **__: Any) -> None:
        """Nothing is logged."""


def generic(chunk: Mapping[str, Any]) -> Mapping[str, Any]:
    """LiteLLM's generic chunk, which is of the one choice that there is, in OpenAI's form."""
    call = chunk.get("tool_use")
    delta = {
        "content": chunk.get("text"),
        "tool_calls": [call] if call else None,
        "provider_specific_fields": chunk.get("provider_specific_fields"),
    }
    reason = chunk.get("finish_reason") if chunk.get("is_finished") else None
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"choices": [choice], "usage": chunk.get("usage")}


def loaded(payload: bytes) -> Mapping[str, Any]:
    """The object in a payload. Raises `Unreadable`.

    Half of a surrogate pair, which is no JSON to orjson, is left to be mended where text is read.
    """
    try:
        found = orjson.loads(payload)
    except orjson.JSONDecodeError:
        if b"\\ud" not in payload.lower():
            raise values.Unreadable from None
        found = _lenient(payload)
    if not isinstance(found, dict):
        raise values.Unreadable
    return found


def _lenient(payload: bytes) -> Any:
    def constant(_: str) -> None:
        raise values.Unreadable

    try:
        return json.loads(payload, parse_constant=constant)
    except (ValueError, RecursionError):
        raise values.Unreadable from None


READINGS: Mapping[str, Callable[[Any, Wire, Plan, Mapping[str, Json]], Reading]] = {
    "anthropic": Claude,
    "cohere": Cohere,
}
"""The vendors whose answers have a form of their own."""
