"""Anthropic's API: `POST /v1/messages`.

Translation only, in both directions and for streams: a request becomes OpenAI's conversation and parameters, an
answer a message of content blocks. Fields that are not known are accepted, since the API gains some every month;
their names are kept with the row and go to no provider.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from proxy.body import MAX_DEPTH, loads, validated
from proxy.dialects.anthropic import answer as anthropic_answer
from proxy.dialects.anthropic.error import envelope, refuse
from proxy.dialects.anthropic.messages import messages, tool_choice, tools
from proxy.dialects.anthropic.schema import CreateMessage, Format
from proxy.dialects.controls import Controls
from proxy.dialects.node import Node, unheard
from proxy.errors import GatewayError
from proxy.models import Call, Completion, CompletionRequest, Event, Json
from proxy.protocols import Answer, Operation, Surface

PREFIX = "/v1/messages"
SAME = ("max_tokens", "temperature", "top_p", "top_k")
"""Parameters that OpenAI, or this gateway, calls the same."""


class Anthropic:
    """The dialect of Anthropic's messages."""

    name = "anthropic"

    def __init__(self, max_depth: int = MAX_DEPTH) -> None:
        self._max_depth = max_depth

    def decode(self, body: bytes, headers: Mapping[bytes, bytes]) -> Call:
        sent = Node.of(loads(body, self._max_depth), "body").value
        user = _end_user(sent)
        controls = Controls.of(headers, sent, end_user=user)
        wire = validated(CreateMessage, sent)
        request = CompletionRequest(
            dialect=self.name,
            trace=controls.trace,
            model=wire.model,
            messages=messages(wire.system, wire.messages) or None,
            params=_params(wire) | ({"user": user} if user else {}),
            inputs=controls.inputs,
            policy=controls.policy,
            stream=bool(wire.stream),
            cache=controls.cache,
            resume=controls.resume,
        )
        return Call(request, dropped=unheard(wire))

    def encode(self, call: Call, completion: Completion) -> Answer:
        return Answer(200, orjson.dumps(anthropic_answer.whole(call, completion)))

    def encode_event(self, call: Call, event: Event) -> list[bytes]:
        return list(anthropic_answer.events(call, event))

    def encode_error(self, call: Call | None, error: GatewayError, *, stream: bool) -> Answer:
        return refuse(error)

    def encode_failure(self, call: Call, error: GatewayError) -> list[bytes]:
        return [anthropic_answer.failure(envelope(error))]


def surface(max_depth: int) -> Surface:
    """Anthropic's one completion route."""
    return Surface(
        prefixes=(PREFIX,),
        operations=(
            Operation(PREFIX, Anthropic(max_depth), summary="A message, as Anthropic answers", schema=CreateMessage),
        ),
        refuse=refuse,
    )


def _end_user(sent: dict[str, Json]) -> str | None:
    """`metadata.user_id`, which is no label of the row then. Raises `BadRequest`."""
    if not isinstance(sent.get("metadata"), dict):
        return None
    metadata = Node(dict(sent["metadata"]), "metadata")
    user = metadata.optional("user_id")
    sent["metadata"] = {name: value for name, value in metadata.value.items() if name != "user_id"}
    return user


def _params(wire: CreateMessage) -> dict[str, Json]:
    """The parameters that were sent, by OpenAI's names."""
    params: dict[str, Json] = {name: value for name in SAME if (value := getattr(wire, name)) is not None}
    if wire.stop_sequences:
        params["stop"] = wire.stop_sequences
    if wire.tools:
        params["tools"] = tools(wire.tools)
    if wire.tool_choice is not None:
        params |= tool_choice(wire.tool_choice)
    if wire.thinking is not None:
        params["thinking"] = wire.thinking.model_dump(exclude_none=True)
    if wire.service_tier is not None:
        params["service_tier"] = "auto" if wire.service_tier == "auto" else "default"
    config = wire.output_config
    if config is not None and config.effort is not None:
        params["reasoning_effort"] = config.effort
    wanted = (config.format if config else None) or wire.output_format
    if wanted is not None:
        params["response_format"] = _response_format(wanted)
    return params


def _response_format(wanted: Format) -> dict[str, Json]:
    described = {"name": "structured_output", "schema": wanted.schema_}
    return {"type": "json_schema", "json_schema": described | ({"strict": True} if _closed(wanted.schema_) else {})}


def _closed(schema: Json) -> bool:
    """Whether every object in a schema has the fields that it names and no others: OpenAI refuses to be strict with
    anything else, where Anthropic is.
    """
    if isinstance(schema, list):
        return all(map(_closed, schema))
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object":
        names, required = schema.get("properties"), schema.get("required")
        whole = isinstance(names, dict) and isinstance(required, list) and all(name in required for name in names)
        if not whole or schema.get("additionalProperties") is not False:
            return False
    return all(map(_closed, schema.values()))
