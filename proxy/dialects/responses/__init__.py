"""OpenAI's API of responses: `POST /v1/responses`.

Translation only, in both directions and for streams: a request becomes a conversation and the parameters of chat
completions, an answer a `Response`. Nothing is kept between requests, so whatever names an earlier one is refused.
Fields that are not known are accepted, since the API gains some every month; their names are kept with the row and go
to no provider.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from proxy.body import MAX_DEPTH, loads, validated
from proxy.dialects.controls import Controls
from proxy.dialects.node import Node, unheard, wrong
from proxy.dialects.openai.error import envelope, refuse
from proxy.dialects.responses import answer as responses_answer
from proxy.dialects.responses.input import messages, response_format, tool_choice, tools
from proxy.dialects.responses.schema import CreateResponse
from proxy.errors import GatewayError
from proxy.models import Call, Completion, CompletionRequest, Event, Json
from proxy.protocols import Answer, Operation, Surface

PREFIX = "/v1/responses"
SAME = ("temperature", "top_p", "parallel_tool_calls", "user", "service_tier", "top_logprobs")
"""Parameters that chat completions call the same."""

LOGPROBS = "message.output_text.logprobs"
STATEFUL = {
    "previous_response_id": "is not served: nothing is stored here; send the whole conversation as input",
    "conversation": "is not served: nothing is stored here; send the whole conversation as input",
    "prompt": "is not served: name a deployment of this gateway as the model, deployment/<id>, and give its inputs",
    "background": "is not served: ask without it, or with stream",
}


class Responses:
    """The dialect of OpenAI's responses."""

    name = "responses"

    def __init__(self, max_depth: int = MAX_DEPTH) -> None:
        self._max_depth = max_depth

    def decode(self, body: bytes, headers: Mapping[bytes, bytes]) -> Call:
        sent = Node.of(loads(body, self._max_depth), "body").value
        user = sent.get("user")
        controls = Controls.of(headers, sent, end_user=user if isinstance(user, str) else None)
        wire = validated(CreateResponse, sent)
        for name, why in STATEFUL.items():
            if getattr(wire, name):
                raise wrong(name, why)
        request = CompletionRequest(
            dialect=self.name,
            trace=controls.trace,
            model=wire.model,
            messages=messages(wire.instructions, wire.input) or None,
            params=_params(wire),
            inputs=controls.inputs,
            policy=controls.policy,
            stream=bool(wire.stream),
            cache=controls.cache,
            resume=controls.resume,
        )
        dropped = unheard(wire)
        if wire.truncation == "auto":
            dropped["truncation"] = "no conversation is shortened here"
        return Call(request, dropped=dropped, told={"asked": _asked(wire), "include": wire.include or []})

    def encode(self, call: Call, completion: Completion) -> Answer:
        return Answer(200, orjson.dumps(responses_answer.whole(call, completion)))

    def encode_event(self, call: Call, event: Event) -> list[bytes]:
        return responses_answer.events(call, event)

    def encode_error(self, call: Call | None, error: GatewayError, *, stream: bool) -> Answer:
        return refuse(error)

    def encode_failure(self, call: Call, error: GatewayError) -> list[bytes]:
        return responses_answer.failure(call, envelope(error)["error"])


def surface(max_depth: int) -> Surface:
    """The one route of OpenAI's responses."""
    return Surface(
        prefixes=(PREFIX,),
        operations=(
            Operation(PREFIX, Responses(max_depth), summary="A response, as OpenAI answers", schema=CreateResponse),
        ),
        refuse=refuse,
    )


def _params(wire: CreateResponse) -> dict[str, Json]:
    """The parameters that were sent, by the names of chat completions."""
    params: dict[str, Json] = {name: value for name in SAME if (value := getattr(wire, name)) is not None}
    if wire.max_output_tokens is not None:
        params["max_tokens"] = wire.max_output_tokens
    if wire.top_logprobs or LOGPROBS in (wire.include or ()):
        params["logprobs"] = True
    if wire.tools:
        params["tools"] = tools(wire.tools)
    if wire.tool_choice is not None:
        params |= tool_choice(wire.tool_choice, params.get("tools", []))
    if wire.reasoning is not None and wire.reasoning.effort is not None:
        params["reasoning_effort"] = wire.reasoning.effort
    if wire.text is not None and wire.text.verbosity is not None:
        params["verbosity"] = wire.text.verbosity
    if wire.text is not None and wire.text.format is not None and (wanted := response_format(wire.text.format)):
        params["response_format"] = wanted
    return params


def _asked(wire: CreateResponse) -> dict[str, Json]:
    """What a response repeats of its request, with the API's defaults for what was not said."""
    reasoning, text = wire.reasoning, wire.text
    return {
        "instructions": wire.instructions,
        "max_output_tokens": wire.max_output_tokens,
        "metadata": wire.metadata or {},
        "parallel_tool_calls": wire.parallel_tool_calls is not False,
        "previous_response_id": None,
        "reasoning": {"effort": reasoning and reasoning.effort, "summary": reasoning and reasoning.summary},
        "service_tier": wire.service_tier or "default",
        "store": False,
        "temperature": 1.0 if wire.temperature is None else wire.temperature,
        "text": {
            "format": (text and text.format) or {"type": "text"},
            **({"verbosity": text.verbosity} if text else {}),
        },
        "tool_choice": "auto" if wire.tool_choice is None else wire.tool_choice,
        "tools": wire.tools or [],
        "top_logprobs": wire.top_logprobs or 0,
        "top_p": 1.0 if wire.top_p is None else wire.top_p,
        "truncation": "disabled",
        "user": wire.user,
    }
