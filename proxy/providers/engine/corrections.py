"""Corrects how LiteLLM reads answers, until it does so itself: two vendors', content that comes in parts, refusals.

The classes are LiteLLM's own, which are handed in: only `providers/engine/` imports it. What must stay true: a
stream that breaks off never looks like a whole one, no piece of an answer is lost without a word, and finish reasons
and usage are the vendor's.
"""

from __future__ import annotations

import functools
import json
from typing import Any

import httpx

from proxy.providers.translation import values

COHERE_REASONS = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filter",
}
COHERE_FAILED = frozenset({"ERROR", "ERROR_LIMIT", "USER_CANCEL", "TIMEOUT"})


def cohere(config: Any, iterator: Any) -> Any:
    """LiteLLM's configuration class for Cohere v2; `iterator` is its stream parser.

    LiteLLM says `stop` whatever the finish reason was, drops the text beside tool calls and the thinking, and needs
    `usage`.
    """
    events = _cohere_events(iterator)

    class Config(config):  # type: ignore[misc]
        def transform_response(
            self, model: str, raw_response: Any, model_response: Any, *rest: Any, **named: Any
        ) -> Any:
            body = raw_response.json()
            if "usage" not in body:
                raw_response = httpx.Response(200, json={**body, "usage": {}})
            answer = super().transform_response(model, raw_response, model_response, *rest, **named)
            choice = answer.choices[0]
            choice.finish_reason = COHERE_REASONS.get(body.get("finish_reason"), "stop")
            parts = [part for part in body["message"].get("content") or () if isinstance(part, dict)]
            choice.message.content = "".join(part.get("text") or "" for part in parts)
            choice.message.reasoning_content = "".join(part.get("thinking") or "" for part in parts)
            return answer

        def get_model_response_iterator(
            self, streaming_response: Any, sync_stream: bool, json_mode: Any = False
        ) -> Any:
            return events(streaming_response=streaming_response, sync_stream=sync_stream, json_mode=json_mode)

    return Config


def _cohere_events(iterator: Any) -> Any:
    """LiteLLM's parser with the end of the stream where the API puts it, for lines of JSON and server-sent events
    alike.
    """

    class Events(iterator):  # type: ignore[misc]
        def convert_str_chunk_to_generic_chunk(self, chunk: str | bytes) -> Any:
            line = chunk.decode() if isinstance(chunk, bytes) else chunk
            line = line.strip().removeprefix("data:").strip()
            return self.chunk_parser(json.loads(line) if line.startswith("{") else {})

        def chunk_parser(self, chunk: dict[str, Any]) -> Any:
            kind = chunk.get("type", "")
            if kind == "error" or (not kind and "message" in chunk):
                raise ValueError(json.dumps(chunk))
            if kind != "message-end":
                parsed = super().chunk_parser(chunk)
                thinking = _content(chunk).get("thinking")
                return {**parsed, "provider_specific_fields": {"thinking": thinking}} if thinking else parsed
            delta = chunk.get("delta") or {}
            reason = delta.get("finish_reason", "COMPLETE")
            if reason in COHERE_FAILED:
                raise ValueError(json.dumps({"error": delta.get("error") or f"the stream ended with {reason}"}))
            end = super().chunk_parser({"event": "message-end", "data": chunk})
            end["finish_reason"] = COHERE_REASONS.get(reason, "stop")
            return end

    return Events


def _content(chunk: dict[str, Any]) -> dict[str, Any]:
    """What a `content-delta` brings."""
    found = (
        ((chunk.get("delta") or {}).get("message") or {}).get("content")
        if chunk.get("type") == "content-delta"
        else None
    )
    return found if isinstance(found, dict) else {}


def gemini(iterator: Any) -> Any:
    """LiteLLM's parser of Gemini's streams, which takes every end for a good one and makes up the `stop`."""

    class Events(iterator):  # type: ignore[misc]
        ended = False

        def chunk_parser(self, chunk: dict[str, Any]) -> Any:
            candidates = chunk.get("candidates") or ()
            self.ended |= any(candidate.get("finishReason") for candidate in candidates) or "promptFeedback" in chunk
            return super().chunk_parser(chunk)

        async def __anext__(self) -> Any:
            try:
                return await super().__anext__()
            except StopAsyncIteration:
                if not self.ended:
                    request = httpx.Request("POST", "http://upstream")  # LiteLLM asks the error for one
                    raise httpx.RemoteProtocolError(
                        "the stream ended before its finish reason", request=request
                    ) from None
                raise

    return Events


def in_parts(message: Any, stream: Any) -> None:
    """Correct LiteLLM's class of messages, which refuses content in parts, and that of streams, which loses it, and
    loses the pieces of a refusal.
    """
    build, read, says = message.__init__, stream.chunk_creator, stream.is_chunk_non_empty

    @functools.wraps(build)
    def __init__(self: Any, content: Any = None, *rest: Any, **named: Any) -> None:
        if isinstance(content, list):
            content, thought = values.content(content)
            named["reasoning_content"] = named.get("reasoning_content") or thought or None
        build(self, values.encodable(content) if isinstance(content, str) else content, *rest, **named)

    @functools.wraps(read)
    def chunk_creator(self: Any, chunk: Any) -> Any:
        for choice in getattr(chunk, "choices", None) or ():
            delta: Any = getattr(choice, "delta", None)
            if not isinstance(getattr(delta, "content", None), str | None):
                delta.content, thought = values.content(delta.content)
                if thought:
                    delta.reasoning_content = thought
        return read(self, chunk)

    @functools.wraps(says)
    def is_chunk_non_empty(self: Any, completion_obj: Any, model_response: Any, response_obj: Any) -> bool:
        said = (getattr(choice, "delta", None) for choice in getattr(model_response, "choices", None) or ())
        refused = any(getattr(delta, "refusal", None) for delta in said)
        return refused or bool(says(self, completion_obj, model_response, response_obj))

    message.__init__, stream.chunk_creator, stream.is_chunk_non_empty = __init__, chunk_creator, is_chunk_non_empty
