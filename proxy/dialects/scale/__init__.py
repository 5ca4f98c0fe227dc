"""Scale's completion API: `/v4/beta/completions` and `/v5/completions`, and their `chat/completions`.

Facts of its clients that must stay true (`scale-gp` 0.1.0a58 and `scale-gp-beta` 0.7.0, observed):

* A stream ends with its body. `[DONE]`, which OpenAI's clients know, is an error to these.
* All events are unnamed: the newer client skips every other, even one called `error`. A failure in mid-stream is a
  chunk without choices that has an `error`, and then the connection breaks off.
* Errors are FastAPI's, `{"detail": ...}`.
* A field that nobody knows is ignored; the row tells of it.

The model is passed on as it was written, since a name of the config may look like `vendor/model_name`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import SecretStr

from proxy.body import MAX_DEPTH, loads, validated
from proxy.dialects.controls import Controls
from proxy.dialects.openai import chat as openai_chat
from proxy.dialects.openai.frame import event as framed
from proxy.dialects.openai.frame import head
from proxy.dialects.scale import text as scale_text
from proxy.dialects.scale.extras import PARAMS, Extras, extras, lift, short
from proxy.dialects.scale.messages import conversation
from proxy.dialects.scale.schema import (
    ChatSchema,
    CountedTextSchema,
    FlaggedSchema,
    PromptSchema,
    RequestSchema,
    TextSchema,
)
from proxy.errors import GatewayError, Unprocessable
from proxy.functions import as_tools
from proxy.models import Call, Completion, CompletionRequest, Event, Json, Kind, Message
from proxy.protocols import Answer, Operation, Surface, detailed

SAME = (
    "temperature",
    "presence_penalty",
    "frequency_penalty",
    "top_p",
    "top_k",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "best_of",
    "echo",
    "stop",
    "seed",
    "suffix",
    "response_format",
    "user",
    "modalities",
    "prediction",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning_effort",
    "store",
)
"""Parameters that mean here what they mean everywhere."""

VLLM = (
    "guided_choice",
    "guided_grammar",
    "guided_json",
    "guided_regex",
    "guided_decoding_backend",
    "guided_whitespace_pattern",
    "include_stop_str_in_output",
    "chat_template",
    "chat_template_kwargs",
)
"""Parameters of the servers that Scale runs its own models on; any other vendor may know them or not."""

LENGTHS = ("max_tokens", "max_completion_tokens")

UNKNOWN = 50
"""Unknown fields that a row names."""


class Scale:
    """The dialect of the routes that take a body of `schema`."""

    name = "scale"

    def __init__(self, schema: type[RequestSchema], max_depth: int = MAX_DEPTH) -> None:
        self.schema = schema
        self._max_depth = max_depth
        self._kind: Kind = "text" if issubclass(schema, PromptSchema) else "chat"

    def decode(self, body: bytes, headers: Mapping[bytes, bytes]) -> Call:
        sent = loads(body, self._max_depth)
        if not isinstance(sent, dict):
            raise Unprocessable([{"type": "dict_type", "loc": ["body"], "msg": "Input should be a JSON object"}])
        user = sent.get("user")
        controls = Controls.of(headers, sent, end_user=user if isinstance(user, str) else None)
        sent.pop("metadata", None)
        wire = _validated(self.schema, sent)
        further = extras(wire.inference_extra_params, wire.inference_extra_headers)
        if (account := headers.get(b"x-selected-account-id")) is not None:
            controls.trace.extra["account_id"] = account.decode("utf-8", "replace")[:200]
        request = CompletionRequest(
            dialect=self.name,
            trace=controls.trace,
            kind=self._kind,
            model=wire.model,
            messages=_messages(wire) or None,
            params={**_params(wire), **_further(wire, further)},
            inputs=controls.inputs,
            policy=controls.policy,
            stream=bool(wire.stream),
            cache=controls.cache,
            resume=controls.resume,
            timeout=wire.inference_timeout,
        )
        return Call(request, api_keys=_keys(headers), dropped=_dropped(wire, further), told=_told(wire))

    def encode(self, call: Call, completion: Completion) -> Answer:
        if self._kind == "chat":
            return Answer(200, orjson.dumps(openai_chat.whole(call, completion)))
        return Answer(200, orjson.dumps(scale_text.whole(call, completion, content=self._content)))

    def encode_event(self, call: Call, event: Event) -> list[bytes]:
        if self._kind == "chat":
            return [framed(chunk) for chunk in openai_chat.chunks(call, event)]
        return [framed(chunk) for chunk in scale_text.chunks(call, event, content=self._content)]

    def encode_error(self, call: Call | None, error: GatewayError, *, stream: bool) -> Answer:
        return detailed(error)

    def encode_failure(self, call: Call, error: GatewayError) -> list[bytes]:
        begun = head(call, None, "chat.completion.chunk" if self._kind == "chat" else "text_completion")
        told = {"message": error.message, "status_code": error.status}
        return [framed({**begun, "choices": [], "error": told, "chunk_type": "error"})]

    @property
    def _content(self) -> bool:
        """Whether a text's log probabilities have a conversation's shape: where a flag asks for them."""
        return issubclass(self.schema, FlaggedSchema)


def surface(max_depth: int) -> Surface:
    """Scale's four completion routes; the lists of models beside them are FastAPI's."""
    chat = Scale(ChatSchema, max_depth)
    return Surface(
        prefixes=("/v4/beta", "/v5"),
        operations=(
            Operation(
                "/v4/beta/completions",
                Scale(TextSchema, max_depth),
                summary="Scale: complete a text (scale-gp)",
                schema=TextSchema,
            ),
            Operation(
                "/v5/completions",
                Scale(CountedTextSchema, max_depth),
                summary="Scale: complete a text (scale-gp-beta)",
                schema=CountedTextSchema,
            ),
            Operation("/v4/beta/chat/completions", chat, summary="Scale: go on with a conversation", schema=ChatSchema),
            Operation("/v5/chat/completions", chat, summary="Scale: go on with a conversation", schema=ChatSchema),
        ),
        refuse=detailed,
    )


def _validated(schema: type[RequestSchema], sent: dict[str, Any]) -> RequestSchema:
    lifted = lift(sent, schema.model_fields)
    try:
        wire = validated(schema, sent)
        if (wrong := wire.contradiction()) is not None:
            raise Unprocessable([{"type": "value_error", "loc": ["body", wrong[0]], "msg": wrong[1]}])
    except Unprocessable as error:
        # A field is named where the client wrote it.
        detail = [
            {**item, "loc": ["body", PARAMS, *item["loc"][1:]]} if not lifted.isdisjoint(item["loc"][1:2]) else item
            for item in error.detail
        ]
        raise Unprocessable(detail) from None
    return wire


def _messages(wire: RequestSchema) -> list[Message]:
    if isinstance(wire, ChatSchema):
        return conversation(wire.messages, wire.memory_strategy.k if wire.memory_strategy else None)
    assert isinstance(wire, PromptSchema)
    prompts = [wire.prompt] if isinstance(wire.prompt, str) else wire.prompt
    # The clients cannot leave the prompt out: an empty one is that of the deployment.
    return [{"role": "user", "content": prompt} for prompt in prompts if prompt or not wire.deployed]


def _params(wire: RequestSchema) -> dict[str, Json]:
    """The parameters that were sent, by OpenAI's names."""
    params = _sent(wire, SAME)
    if isinstance(wire, FlaggedSchema) and wire.flag is not None:
        params["logprobs"] = wire.flag
    if wire.max_new_tokens is not None and params.keys().isdisjoint(LENGTHS):
        params["max_tokens"] = wire.max_new_tokens
    if wire.stop_sequences:
        stops = [wire.stop] if isinstance(wire.stop, str) else wire.stop or []
        params["stop"] = list(dict.fromkeys([*stops, *wire.stop_sequences]))
    if wire.audio is not None:
        params["audio"] = wire.audio.model_dump(exclude_unset=True)
    if wire.tools:
        params["tools"] = [{"type": "function", **tool.model_dump(exclude_unset=True)} for tool in wire.tools]
    elif isinstance(wire, ChatSchema) and wire.functions:
        params.update(as_tools(wire.functions, wire.function_call))
    return params


def _further(wire: RequestSchema, further: Extras) -> dict[str, Json]:
    """What goes into the vendor's request besides parameters."""
    body = {**_sent(wire, VLLM), **further.body}
    found: dict[str, Json] = dict(further.params)
    if body:
        found["extra_body"] = body
    if further.headers:
        found["extra_headers"] = further.headers
    return found


def _dropped(wire: RequestSchema, further: Extras) -> dict[str, str]:
    """What was sent and is not sent on, with the reason."""
    unknown = list(wire.model_extra or ())[:UNKNOWN]
    dropped = {short(name): "not a parameter of this API" for name in unknown} | further.dropped
    if wire.max_new_tokens is not None and not (wire.max_tokens is None and wire.max_completion_tokens is None):
        dropped["max_new_tokens"] = "another limit was given too"
    return dropped


def _told(wire: RequestSchema) -> dict[str, Json]:
    """What the encoders need to know of the request."""
    told: dict[str, Json] = {}
    if wire.stream_options is not None and wire.stream_options.include_usage:
        told["usage"] = True
    if isinstance(wire, ChatSchema) and wire.functions and not wire.tools:
        told["functions"] = True
    return told


def _keys(headers: Mapping[bytes, bytes]) -> dict[str, SecretStr]:
    key = headers.get(b"x-openai-api-key", b"").decode("latin-1").strip()
    return {"openai": SecretStr(key)} if key else {}


def _sent(wire: RequestSchema, names: tuple[str, ...]) -> dict[str, Json]:
    own = type(wire).model_fields
    return {name: value for name in names if name in own and (value := getattr(wire, name)) is not None}
