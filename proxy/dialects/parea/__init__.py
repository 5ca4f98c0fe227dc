"""Parea's completion API: `POST /completion` and `POST /completion/stream`.

Facts of its clients that must stay true (`parea-ai` 0.2.220, observed):

* Every number of the answer is a number (never null), `content` and `provider` are strings; a null becomes the word
  None.
* A streamed piece is one event, `data: {"chunk": "..."}` and an empty line, and one HTTP body message: of two events
  that are read together the second is lost, as is one that is cut in two. So pieces are small and sent apart (see
  `endpoint`).
* The client deletes every `data: ` from what it read, inside the JSON as well; it is escaped there. ASCII only,
  because each read is decoded by itself. No comments, no `[DONE]`.
* A function call is JSON between triple backticks, the arguments an object.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from pydantic import SecretStr

from proxy import timestamps
from proxy.body import MAX_DEPTH, loads, validated
from proxy.crowd import crowded
from proxy.dialects.parea import messages as parea_messages
from proxy.dialects.parea.schema import CompletionsSchema, MessageSchema, ModelParamsSchema
from proxy.dialects.sse import written
from proxy.errors import GatewayError, UpstreamError
from proxy.functions import as_tools
from proxy.ids import new_id
from proxy.models import (
    ALL,
    Call,
    Chunk,
    Completion,
    CompletionRequest,
    Event,
    Json,
    LogPolicy,
    Message,
    ToolCall,
    TraceContext,
)
from proxy.protocols import Answer, Operation, Surface, detailed

PREFIX = "/api/parea/v1"

PIECE = 1000
"""Characters in one streamed event: about 1 kB on the wire, a packet of a network; at most 12 kB of escapes."""

NEUTRAL = {"temperature": 1.0, "top_p": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0}
"""What the client sends when its user set nothing."""

PARAMS = {
    "temp": "temperature",
    "top_p": "top_p",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "max_length": "max_tokens",
    "response_format": "response_format",
    "safe_prompt": "safe_prompt",
}


class Parea:
    """The dialect of Parea's completion routes."""

    name = "parea"

    def __init__(self, max_depth: int = MAX_DEPTH) -> None:
        self._max_depth = max_depth

    def decode(self, body: bytes, headers: Mapping[bytes, bytes]) -> Call:
        wire = validated(CompletionsSchema, loads(body, self._max_depth))
        asked = wire.llm_configuration
        params = _params(asked.model_params, deployed=wire.deployment_id is not None)
        params.update(as_tools(asked.functions or (), asked.function_call))
        request = CompletionRequest(
            dialect=self.name,
            trace=_place(wire),
            model=asked.model or (asked.model_params.model if asked.model_params else None) or None,
            provider=asked.provider.value if asked.provider else None,
            deployment_id=wire.deployment_id or None,
            messages=[_message(message) for message in asked.messages] if asked.messages else None,
            history=[_message(message) for message in asked.history or ()],
            params=params,
            inputs=wire.llm_inputs if wire.llm_inputs is not None else wire.inputs or {},
            templates=True,
            policy=_policy(wire),
            stream=wire.stream,
            cache=wire.cache,
            retry=wire.retry,
            fallbacks=wire.fallback_strategy or [],
        )
        keys = {"": SecretStr(wire.provider_api_key)} if wire.provider_api_key else {}
        return Call(request=request, api_keys=keys)

    def encode(self, call: Call, completion: Completion) -> Answer:
        usage = completion.usage
        return self._answer(
            call,
            content=content(completion),
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            total_tokens=usage.total_tokens,
            cost=completion.cost or 0.0,
            model=completion.model,
            provider=completion.provider,
            cache_hit=completion.cache_hit,
            status="success",
            error=None,
        )

    def encode_event(self, call: Call, event: Event) -> list[bytes]:
        # Calls are told whole, at the end: half a fence is of no use to anybody.
        text = event.text if isinstance(event, Chunk) else _fence(event.tool_calls)
        return [_event(text[at : at + PIECE]) for at in range(0, len(text), PIECE)]

    def encode_error(self, call: Call | None, error: GatewayError, *, stream: bool) -> Answer:
        if call is not None and not stream and isinstance(error, UpstreamError):
            # What `status` and `error` are for; an HTTP error would make the client repeat the call three times over
            # 8 s.
            target = call.target
            return self._answer(
                call,
                content="",
                input_tokens=0,
                output_tokens=0,
                total_tokens=0,
                cost=0.0,
                model=(target.model if target else call.request.model) or "",
                provider=error.provider,
                cache_hit=False,
                status="error",
                error=error.message,
            )
        return detailed(error)

    def encode_failure(self, call: Call, error: GatewayError) -> list[bytes]:
        # The client has no event for a failure: that the connection breaks off is all it can notice.
        return []

    def _answer(self, call: Call, **fields: Json) -> Answer:
        latency = call.elapsed()
        body = {
            "inference_id": call.request.trace.trace_id,
            "trace_id": call.request.trace.trace_id,
            "latency": round(latency, 6),
            "start_timestamp": timestamps.at(call.started_at),
            "end_timestamp": timestamps.at(call.started_at + latency),
            **fields,
        }
        return Answer(200, orjson.dumps(body))


def surface(max_depth: int) -> Surface:
    """Parea's two completion routes."""
    dialect = Parea(max_depth)
    return Surface(
        prefixes=(PREFIX,),
        operations=(
            Operation(f"{PREFIX}/completion", dialect, paced=True),
            Operation(f"{PREFIX}/completion/stream", dialect, stream=True, paced=True),
        ),
        refuse=detailed,
    )


def content(completion: Completion) -> str:
    """The one string that Parea has for an answer: its text, then its function calls between triple backticks."""
    fence = _fence(completion.tool_calls)
    return f"{completion.text}\n{fence}" if completion.text and fence else completion.text or fence


def _fence(calls: list[ToolCall]) -> str:
    if not calls:
        return ""
    named = [{"name": call.name, "arguments": _arguments(call.arguments)} for call in calls]
    return f"```{orjson.dumps(named[0] if len(named) == 1 else named).decode()}```"


def _arguments(text: str) -> Json:
    if crowded(text):
        return text
    try:
        return orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return text


def _event(text: str) -> bytes:
    return b'data: {"chunk": %b}\r\n\r\n' % written(text).replace(b"data: ", b"data:\\u0020")


def _policy(wire: CompletionsSchema) -> LogPolicy:
    inputs = not (wire.log_omit or wire.log_omit_inputs)
    outputs = not (wire.log_omit or wire.log_omit_outputs)
    rate = 1.0 if wire.log_sample_rate is None else wire.log_sample_rate
    return ALL if inputs and outputs and rate == 1.0 else LogPolicy(inputs, outputs, rate)


def _place(wire: CompletionsSchema) -> TraceContext:
    """Where the call stands. A parent that is the call itself, or none, makes it a root; an empty root is no root."""
    trace_id = wire.trace_id or wire.inference_id or new_id()
    parent = wire.parent_trace_id if wire.parent_trace_id not in ("", trace_id) else None
    return TraceContext(
        trace_id=trace_id,
        parent_trace_id=parent,
        root_trace_id=trace_id if parent is None else wire.root_trace_id or parent,
        rooted=bool(wire.root_trace_id or parent is None),
        repeated=bool(wire.trace_id or wire.inference_id),
        name=wire.trace_name or wire.name or None,
        project_name=wire.project_name or None,
        project_uuid=wire.project_uuid or None,
        experiment_uuid=wire.experiment_uuid or None,
        end_user=wire.end_user_identifier or None,
        tags=wire.tags or [],
        metadata=wire.metadata,
        target=wire.target,
        eval_metric_ids=wire.eval_metric_ids,
    )


def _params(wire: ModelParamsSchema | None, *, deployed: bool) -> dict[str, Json]:
    """The parameters that were sent, by OpenAI's names.

    The client always sends its neutral defaults. Beside a deployment they say nothing, so they do not override its own.
    """
    if wire is None:
        return {}
    said, values = wire.model_fields_set, wire.__dict__
    sent = {PARAMS[name]: values[name] for name in PARAMS if name in said and values[name] is not None}
    return {} if deployed and sent.items() <= NEUTRAL.items() else sent


def _message(wire: MessageSchema) -> Message:
    return parea_messages.read(wire.role.value, wire.content, wire.model_extra or {})
