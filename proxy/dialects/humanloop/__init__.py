"""Humanloop's six completion routes, as its last clients of version 4 know them (`humanloop` 0.7.35).

    POST /v4/completion-deployed, /v4/chat-deployed            what a project has deployed in an environment
    POST /v4/completion-model-config, /v4/chat-model-config    a model configuration by its id
    POST /v4/completion, /v4/chat                              a model configuration that comes with its request

What must stay true:

* A stream is `data: {...}` and an empty line, nothing else, and ends where the body ends.
* A body that does not fit is refused with FastAPI's list, everything else with `{type, message, code, origin}`, where
  `origin` says whose failure it was.
* A stream that fails is cut: the client passes over whatever it cannot read, so it would take an error for a good end.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from proxy.body import MAX_DEPTH, loads, validated
from proxy.dialects.humanloop import schema as schema
from proxy.dialects.humanloop.answer import endings, pieces, whole
from proxy.dialects.humanloop.request import call_of
from proxy.errors import GatewayError, MissingInputs, Unprocessable, UpstreamError
from proxy.models import Call, Chunk, Completion, Event
from proxy.protocols import Answer, Operation, Surface, detailed

PREFIX = "/v4"

TYPES = {
    400: "bad_request_error",
    401: "authentication_error",
    402: "payment_required_error",
    403: "permission_error",
    404: "not_found_error",
    405: "method_not_allowed_error",
    413: "payload_too_large_error",
    415: "unsupported_media_type_error",
    422: "unprocessable_entity_error",
    429: "rate_limit_error",
    502: "bad_gateway_error",
    503: "service_unavailable_error",
    504: "timeout_error",
}
"""The word for each status; every other one is an `internal_server_error`."""

ORIGINS = {
    "openai": "OpenAI",
    "azure": "OpenAI Azure",
    "anthropic": "Anthropic",
    "aws_bedrock": "Bedrock",
    "cohere": "Cohere",
    "groq": "Groq",
    "vertexai": "Google",
}
"""Who a provider is to a reader; the others go by the gateway's own names."""


class Humanloop:
    """The dialect of one of the routes, whose body is a `body`."""

    name = "humanloop"

    def __init__(self, body: type[schema.Asked], max_depth: int = MAX_DEPTH) -> None:
        self._body = body
        self._chat = issubclass(body, schema.Chat)
        self._max_depth = max_depth

    def decode(self, body: bytes, headers: Mapping[bytes, bytes]) -> Call:
        value = loads(body, self._max_depth)
        return call_of(validated(self._body, value), headers, value)

    def encode(self, call: Call, completion: Completion) -> Answer:
        return Answer(200, whole(call, completion, chat=self._chat))

    def encode_event(self, call: Call, event: Event) -> list[bytes]:
        if isinstance(event, Chunk):
            return list(pieces(call, event, chat=self._chat))
        return list(endings(call, event, chat=self._chat))

    def encode_error(self, call: Call | None, error: GatewayError, *, stream: bool) -> Answer:
        return refuse(error)

    def encode_failure(self, call: Call, error: GatewayError) -> list[bytes]:
        return []


def surface(max_depth: int) -> Surface:
    """The six routes, and how anything under their prefix is refused."""
    routes: dict[str, tuple[type[schema.Asked], str]] = {
        "completion-deployed": (schema.CompletionDeployed, "Complete with what a project has deployed"),
        "completion": (schema.CompletionInline, "Complete with a model configuration of the request's own"),
        "completion-model-config": (schema.CompletionConfigured, "Complete with a model configuration by its id"),
        "chat-deployed": (schema.ChatDeployed, "Chat with what a project has deployed"),
        "chat": (schema.ChatInline, "Chat with a model configuration of the request's own"),
        "chat-model-config": (schema.ChatConfigured, "Chat with a model configuration by its id"),
    }
    operations = tuple(
        Operation(f"{PREFIX}/{path}", Humanloop(body, max_depth), summary=summary, schema=body)
        for path, (body, summary) in routes.items()
    )
    return Surface(prefixes=(PREFIX,), operations=operations, refuse=refuse)


def refuse(error: GatewayError) -> Answer:
    """Any failure before the first byte. What a provider will not process is a 422 here, as the API documents it."""
    if isinstance(error, Unprocessable):
        return detailed(error)
    foreign = isinstance(error, UpstreamError)
    status = 422 if foreign and error.status == 400 else error.status
    message = error.message
    if isinstance(error, MissingInputs):
        message = f"Missing input variables: {', '.join(error.names)}"
    detail = {
        "type": TYPES.get(status, "internal_server_error"),
        "message": message,
        "code": status,
        "origin": ORIGINS.get(error.provider, error.provider) if isinstance(error, UpstreamError) else "Humanloop",
    }
    return Answer(status, orjson.dumps({"detail": detail}))
