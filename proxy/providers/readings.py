"""How answers are read: those of OpenAI's form as they come, each other vendor's by LiteLLM's own classes.

What must stay true: a reading belongs to one answer; it does no I/O; what it gives has OpenAI's form.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from proxy.models import Json
from proxy.providers.engine import wrapper
from proxy.providers.translation import choices, values
from proxy.providers.translation.parameters import Plan
from proxy.providers.wire.events import Events, Lines
from proxy.providers.wire.frames import Frames
from proxy.providers.wire.reply import Reply
from proxy.providers.wires import Wire

if TYPE_CHECKING:
    import httpx

Cutter = Events | Lines | Frames
"""What cuts a stream into events."""


class Reading(Protocol):
    """Reads one answer."""

    def whole(self, reply: Reply, body: bytes) -> Mapping[str, Any]:
        """A whole answer. Raises what is wrong with it."""
        ...

    def part(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        """The chunk of one event of a stream."""
        ...

    def events(self, reply: Reply) -> Cutter:
        """What cuts a stream into events."""
        ...


class Direct:
    """Answers that have OpenAI's form already."""

    def whole(self, reply: Reply, body: bytes) -> Mapping[str, Any]:
        return loaded(body)

    def part(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        return event

    def events(self, reply: Reply) -> Cutter:
        return Events()


def _response(reply: Reply, body: bytes) -> httpx.Response:
    """An answer as LiteLLM's classes want it. httpx is there when LiteLLM is, and no start waits for it."""
    import httpx

    return httpx.Response(reply.status, headers=dict(reply.headers), content=body)


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
        answer = self.config().transform_response(
            model=self._plan.model,
            raw_response=_response(reply, body),
            model_response=self._litellm.ModelResponse(),
            logging_obj=self.log(),
            api_key=None,
            request_data=self._sent,
            messages=self._plan.messages,
            optional_params=self.params(),
            litellm_params=self._wire.settings,
            encoding=self._litellm.encoding,
            json_mode=False,
        )
        return wrapper.plain(answer)

    def config(self) -> Any:
        """LiteLLM's class of the vendor."""
        assert self._wire.transform is not None
        return self._wire.transform.owner

    def params(self) -> dict[str, Any]:
        """The parameters by the vendor's names."""
        assert self._wire.transform is not None
        return dict(self._wire.transform.named["optional_params"])

    def log(self) -> Silent:
        return Silent(self.params(), self._wire.settings)

    def part(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        assert self._parser is not None
        found = self._parser.chunk_parser(event)
        return generic(found) if isinstance(found, dict) else wrapper.plain(found)

    def events(self, reply: Reply) -> Cutter:
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
        return self.config().get_model_response_iterator(streaming_response=None, sync_stream=False)

    def events(self, reply: Reply) -> Cutter:
        """Its server writes one JSON object a line where a client accepts JSON, as LiteLLM does."""
        return Events() if "event-stream" in reply.headers.get("content-type", "") else Lines()


class Gemini(Translated):
    """Gemini's contents, by Vertex AI."""

    def parser(self) -> Any:
        from_class = self._litellm.llms.vertex_ai.gemini.vertex_and_google_ai_studio_gemini.ModelResponseIterator
        return from_class(streaming_response=None, sync_stream=False, logging_obj=self.log())

    def config(self) -> Any:
        return self._litellm.VertexGeminiConfig()

    def part(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        """Without the finish reasons that LiteLLM makes up for pieces that have none."""
        part = super().part(event)
        if "promptFeedback" in event:
            return part
        candidates = [values.fields(each) for each in choices.items(event.get("candidates"))]
        ended = {each.get("index", position) for position, each in enumerate(candidates) if each.get("finishReason")}
        kept = [each if each["index"] in ended else {**each, "finish_reason": None} for each in part["choices"]]
        return {**part, "choices": kept}


class Converse(Translated):
    """Bedrock's conversations."""

    def parser(self) -> Any:
        return self._litellm.llms.bedrock.chat.invoke_handler.AWSEventStreamDecoder(
            model=self._plan.model, json_mode=self.params().get("json_mode")
        )

    def whole(self, reply: Reply, body: bytes) -> Mapping[str, Any]:
        loaded(body)
        answer = self.config()._transform_response(
            model=self._plan.model,
            response=_response(reply, body),
            model_response=self._litellm.ModelResponse(),
            stream=False,
            logging_obj=self.log(),
            optional_params=self.params(),
            api_key="",
            data="",
            messages=self._plan.messages,
            encoding=self._litellm.encoding,
        )
        return wrapper.plain(answer)

    def events(self, reply: Reply) -> Cutter:
        return Frames(self._parser)


class Silent:
    """In place of LiteLLM's log of a call, of which some classes ask what the call was."""

    def __init__(self, params: dict[str, Any], settings: Mapping[str, Any]) -> None:
        self.model_call_details: dict[str, Any] = {}
        self.optional_params = params
        self.litellm_params = settings

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
    "vertexai": Gemini,
    "aws_bedrock": Converse,
}
"""The vendors whose answers have a form of their own."""

ENDS: Mapping[str, tuple[str, ...]] = {
    "vertexai": (":generateContent", ":streamGenerateContent"),
    "aws_bedrock": ("/converse", "/converse-stream"),
}
"""How the addresses end whose answers have it; these vendors have further models, which speak otherwise."""


def readable(provider: str, wire: Wire) -> bool:
    """Whether there is a reading for a vendor's answers to such calls."""
    ends = ENDS.get(provider)
    if ends is None:
        return wire.direct or provider in READINGS
    return wire.transform is not None and wire.url.partition("?")[0].endswith(ends)
