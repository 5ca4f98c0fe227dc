"""Anthropic's Messages API: `x-api-key`, `anthropic-version`, content blocks, and a stream of named events."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field

from tests.upstreams.connection import Json, Request
from tests.upstreams.scenario import Reply
from tests.upstreams.schema import Strict, flaw
from tests.upstreams.server import Frame, Refusal, Upstream, dump, halves, sse

Data = dict[str, Any]
Share = Annotated[float, Field(ge=0, le=1)]


class Cached(Strict):
    cache_control: Data | None = None


class Text(Cached):
    type: Literal["text"]
    text: Annotated[str, Field(min_length=1)]
    citations: list[Data] | None = None


class Base64(Strict):
    type: Literal["base64"]
    media_type: Literal["image/png", "image/jpeg", "image/gif", "image/webp"]
    data: str


class Url(Strict):
    type: Literal["url"]
    url: str


class Image(Cached):
    type: Literal["image"]
    source: Annotated[Base64 | Url, Field(discriminator="type")]


class ToolUse(Cached):
    type: Literal["tool_use"]
    id: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]+$")]
    name: str
    input: Data


class ToolResult(Cached):
    type: Literal["tool_result"]
    tool_use_id: str
    content: str | list[Annotated[Text | Image, Field(discriminator="type")]] | None = None
    is_error: bool | None = None


class Thinking(Strict):
    type: Literal["thinking"]
    thinking: str
    signature: str


Block = Annotated[Text | Image | ToolUse | ToolResult | Thinking, Field(discriminator="type")]


class Message(Strict):
    role: Literal["user", "assistant"]
    content: Annotated[str, Field(min_length=1)] | Annotated[list[Block], Field(min_length=1)]


class Tool(Cached):
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
    description: str | None = None
    input_schema: Data
    type: Literal["custom"] | None = None
    strict: bool | None = None


class Choice(Strict):
    type: Literal["auto", "any", "none"]
    disable_parallel_tool_use: bool | None = None


class NamedChoice(Strict):
    type: Literal["tool"]
    name: str
    disable_parallel_tool_use: bool | None = None


class Metadata(Strict):
    user_id: str | None = None


class Body(Strict):
    model: str
    messages: Annotated[list[Message], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1)]
    system: str | list[Text] | None = None
    metadata: Metadata | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    tools: list[Tool] | None = None
    tool_choice: Annotated[Choice | NamedChoice, Field(discriminator="type")] | None = None
    thinking: Data | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    output_config: Data | None = None
    output_format: Data | None = None
    context_management: Data | None = None
    container: str | None = None
    mcp_servers: list[Data] | None = None


class Sampled(Body):
    """The first version's body, with the sampling parameters that the second one refuses even at their defaults."""

    temperature: Share | None = None
    top_k: int | None = None
    top_p: Share | None = None


VERSIONS: dict[str, type[Body]] = {"2023-06-01": Sampled, "2026-10-21": Body}
"""What a body may hold by the version that a request names. Clients of the newer one send their key as a Bearer."""

STRUCTURED = "structured-outputs-2025-11-13"
"""The beta under which `output_format` is known; since then it is `output_config.format`."""

KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}
WORDS = {
    401: "invalid x-api-key",
    402: "Your credit balance is too low to access the Anthropic API.",
    404: "model: claude-none",
    429: "This request would exceed your organization's rate limit.",
    500: "Internal server error",
    529: "Overloaded",
}
REASONS = {
    "context_length": "prompt is too long: 208310 tokens > 200000 maximum",
    "content_filter": "Output blocked by content filtering policy",
}
FINISH = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


class Anthropic(Upstream):
    """`POST /v1/messages`."""

    def __init__(self, name: str = "anthropic") -> None:
        super().__init__(name)

    def refusal(self, status: int, reason: str = "", message: str = "") -> Refusal:
        words = message or REASONS.get(reason) or WORDS.get(status, "The request failed.")
        error = {"type": KINDS.get(status, "api_error"), "message": words}
        return Refusal(status, {"type": "error", "error": error, "request_id": "req_1"}, {"request-id": "req_1"})

    def check(self, request: Request) -> None:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if request.headers.get("x-api-key", bearer) != self.key:
            raise self.refusal(401)
        if request.method != "POST" or request.path != "/v1/messages":
            raise self.refusal(404, message=f"Not found: {request.path}")
        schema = VERSIONS.get(request.headers.get("anthropic-version", ""))
        if schema is None:
            raise self.refusal(400, message="anthropic-version: header is required")
        wrong = flaw(schema, request.body)
        if wrong is not None:
            raise self.refusal(400, message=f"{wrong.dotted}: {wrong.message}")
        body = request.json
        if newer_claude(body["model"]) and "temperature" in body and "top_p" in body:
            raise self.refusal(
                400, message="`temperature` and `top_p` cannot both be specified for this model. Please use only one."
            )
        if "output_format" in body and STRUCTURED not in request.headers.get("anthropic-beta", ""):
            raise self.refusal(400, message="output_format: Extra inputs are not permitted")
        if body.get("tool_choice") and not body.get("tools"):
            raise self.refusal(400, message="tool_choice may only be specified while providing tools.")
        self._check_turns(body)
        request.stream = bool(body.get("stream"))

    def _check_turns(self, body: Json) -> None:
        used: list[str] = []
        turns = _joined(body["messages"])
        if not body.get("tools") and any(block["type"] == "tool_use" for _, blocks in turns for block in blocks):
            raise self.refusal(
                400, message="Requests which include `tool_use` or `tool_result` blocks must define tools"
            )
        for number, (_, blocks) in enumerate(turns):
            results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
            if missing := [each for each in used if each not in results]:
                raise self.refusal(
                    400,
                    message=f"messages.{number - 1}: `tool_use` ids were found without `tool_result` blocks "
                    f"immediately after: {', '.join(missing)}.",
                )
            if stray := [each for each in results if each not in used]:
                raise self.refusal(
                    400,
                    message=f"messages.{number}.content.0: unexpected `tool_use_id` found in `tool_result` blocks: "
                    f"{', '.join(stray)}.",
                )
            used = [block["id"] for block in blocks if block["type"] == "tool_use"]
        if turns[0][0] != "user":
            raise self.refusal(400, message='messages: first message must use the "user" role')

    # the answer

    def whole(self, request: Request, reply: Reply) -> Json:
        blocks: list[Json] = []
        if reply.reasoning:
            blocks.append({"type": "thinking", "thinking": reply.reasoning, "signature": "c2ln"})
        if reply.text:
            blocks.append({"type": "text", "text": reply.text})
        blocks += [{"type": "tool_use", "id": t.id, "name": t.name, "input": t.arguments} for t in reply.tools]
        body = self._message(request) | {"content": blocks, "stop_reason": FINISH[reply.finish]}
        if reply.usage is not None:
            body["usage"] = _usage(reply, reply.usage[1])
        return body

    def frames(self, request: Request, reply: Reply) -> list[Frame]:
        start = _usage(reply, 1 if reply.usage else 0)
        frames = [event("message_start", message=self._message(request) | {"usage": start})]
        frames.append(event("ping"))
        index = 0

        def block(content: Json, deltas: list[Json]) -> list[Frame]:
            return [
                event("content_block_start", index=index, content_block=content),
                *(event("content_block_delta", gain=True, index=index, delta=delta) for delta in deltas),
                event("content_block_stop", index=index),
            ]

        if reply.reasoning:
            empty = {"type": "thinking", "thinking": "", "signature": ""}
            thoughts = {"type": "thinking_delta", "thinking": reply.reasoning}
            frames += block(empty, [thoughts, {"type": "signature_delta", "signature": "c2ln"}])
            index += 1
        if reply.pieces:
            frames += block(
                {"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in reply.pieces]
            )
            index += 1
        for tool in reply.tools:
            parts = ("", *halves(dump(tool.arguments).decode()))
            frames += block(
                {"type": "tool_use", "id": tool.id, "name": tool.name, "input": {}},
                [{"type": "input_json_delta", "partial_json": part} for part in parts],
            )
            index += 1
        delta = {"stop_reason": FINISH[reply.finish], "stop_sequence": None}
        frames.append(event("message_delta", delta=delta, usage={"output_tokens": (reply.usage or (0, 0))[1]}))
        return [*frames, event("message_stop")]

    def error_frame(self) -> Frame:
        return event("error", error={"type": "overloaded_error", "message": "Overloaded"})

    def comment(self) -> bytes:
        return event("ping").data

    def _message(self, request: Request) -> dict[str, Json]:
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": request.json["model"],
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
        }


def _usage(reply: Reply, said: int) -> dict[str, Json]:
    """What was read from the cache is counted by itself."""
    prompt = (reply.usage or (0, 0))[0]
    cache = {"cache_read_input_tokens": reply.cached, "cache_creation_input_tokens": 0} if reply.cached else {}
    return {"input_tokens": prompt - reply.cached, **cache, "output_tokens": said}


def event(kind: str, *, gain: bool = False, **data: Json) -> Frame:
    return sse({"type": kind, **data}, event=kind, delta=gain)


def newer_claude(model: str) -> bool:
    """Claude models since 4.1, which take temperature or top_p but not both."""
    return bool(re.search(r"claude-(opus-4-1|(haiku|sonnet|opus)-(4-[5-9]|[5-9]))", model))


def _joined(messages: list[Json]) -> list[tuple[str, list[Json]]]:
    """The turns: consecutive messages of one role are one, text is a block."""
    turns: list[tuple[str, list[Json]]] = []
    for message in messages:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if turns and turns[-1][0] == message["role"]:
            turns[-1] = (message["role"], turns[-1][1] + blocks)
        else:
            turns.append((message["role"], blocks))
    return turns
