"""Cohere's API, version 2: embeddings, and a chat with events from `message-start` to `message-end`, which carries the
usage.

Cohere streams server-sent events. `framing = "lines"` has it write one JSON object a line instead, which is what its
reference promises to clients that accept `application/json`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from tests.upstreams.connection import Json, Request
from tests.upstreams.embeddings import vector
from tests.upstreams.scenario import Reply
from tests.upstreams.schema import Strict, flaw
from tests.upstreams.server import Frame, Refusal, Upstream, dump, halves, sse

Data = dict[str, Any]
Share = Annotated[float, Field(ge=0, le=1)]


class Text(Strict):
    type: Literal["text"]
    text: str


class ImageUrl(Strict):
    url: str
    detail: Literal["auto", "low", "high"] | None = None


class Image(Strict):
    type: Literal["image_url"]
    image_url: ImageUrl


class Document(Strict):
    type: Literal["document"]
    document: Data


class Called(Strict):
    name: str
    arguments: str


class ToolCall(Strict):
    id: str
    type: Literal["function"]
    function: Called


class System(Strict):
    role: Literal["system"]
    content: str | list[Text]


class User(Strict):
    role: Literal["user"]
    content: str | list[Annotated[Text | Image, Field(discriminator="type")]]


class Assistant(Strict):
    role: Literal["assistant"]
    content: str | list[Text] | None = None
    tool_plan: str | None = None
    tool_calls: list[ToolCall] | None = None
    citations: list[Data] | None = None


class Tool(Strict):
    role: Literal["tool"]
    tool_call_id: str
    content: str | list[Annotated[Text | Document, Field(discriminator="type")]]


class Function(Strict):
    name: str
    description: str | None = None
    parameters: Data


class ToolOffer(Strict):
    type: Literal["function"]
    function: Function


class ResponseFormat(Strict):
    type: Literal["text", "json_object"]
    json_schema: Data | None = None


class Body(Strict):
    model: str
    messages: Annotated[
        list[Annotated[System | User | Assistant | Tool, Field(discriminator="role")]], Field(min_length=1)
    ]
    stream: bool | None = None
    tools: list[ToolOffer] | None = None
    strict_tools: bool | None = None
    documents: list[Any] | None = None
    citation_options: Data | None = None
    response_format: ResponseFormat | None = None
    safety_mode: Literal["CONTEXTUAL", "STRICT", "OFF"] | None = None
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    stop_sequences: Annotated[list[str], Field(max_length=5)] | None = None
    temperature: Annotated[float, Field(ge=0)] | None = None
    seed: Annotated[int, Field(ge=0)] | None = None
    frequency_penalty: Share | None = None
    presence_penalty: Share | None = None
    k: Annotated[int, Field(ge=0, le=500)] | None = None
    p: Annotated[float, Field(ge=0.01, le=0.99)] | None = None
    logprobs: bool | None = None
    tool_choice: Literal["REQUIRED", "NONE"] | None = None
    thinking: Data | None = None
    priority: int | None = None


class Embed(Strict):
    model: str
    input_type: Literal["search_document", "search_query", "classification", "clustering", "image"]
    texts: Annotated[list[str], Field(min_length=1, max_length=96)] | None = None
    embedding_types: list[Literal["float", "int8", "uint8", "binary", "ubinary", "base64"]] | None = None
    output_dimension: Literal[256, 512, 1024, 1536] | None = None
    truncate: Literal["NONE", "START", "END"] | None = None
    max_tokens: int | None = None


WORDS = {
    401: "invalid api token",
    404: "model 'command-none' not found",
    429: "You are using a Trial key, which is limited to 10 API calls / minute.",
    500: "internal server error",
    503: "Service unavailable",
}
REASONS = {
    "context_length": "too many tokens: total number of tokens in this request cannot exceed 128000 tokens",
    "content_filter": "your request was blocked by our content policy",
}
FINISH = {"stop": "COMPLETE", "length": "MAX_TOKENS", "tool_calls": "TOOL_CALL", "content_filter": "ERROR_TOXIC"}


class Cohere(Upstream):
    """`POST /v2/chat` and `POST /v2/embed`."""

    framing: Literal["events", "lines"] = "events"

    def __init__(self, name: str = "cohere") -> None:
        super().__init__(name)

    @property
    def stream_type(self) -> str:
        return "text/event-stream" if self.framing == "events" else "application/stream+json"

    def reset(self) -> None:
        super().reset()
        self.framing = "events"

    def refusal(self, status: int, reason: str = "", message: str = "") -> Refusal:
        words = message or REASONS.get(reason) or WORDS.get(status, "The request failed.")
        return Refusal(status, {"id": "f1e2d3", "message": words})

    def check(self, request: Request) -> None:
        if request.headers.get("authorization", "").lower() != f"bearer {self.key}".lower():
            raise self.refusal(401)
        if request.method != "POST" or request.path not in ("/v2/chat", "/v2/embed"):
            raise Refusal(404, {"message": "page not found"})
        request.kind = "chat" if request.path == "/v2/chat" else "embedding"
        wrong = flaw(Body if request.kind == "chat" else Embed, request.body)
        if wrong is not None and wrong.unknown:
            raise self.refusal(422, message=f"unknown field: parameter '{wrong.dotted}' is not a valid field")
        if wrong is not None:
            raise self.refusal(400, message=f"invalid request: {wrong.dotted}: {wrong.message}")
        if request.kind == "embedding":
            return
        body = request.json
        if body.get("tool_choice") and not body.get("tools"):
            raise self.refusal(400, message="invalid request: tool_choice requires tools.")
        if body.get("tools") and body.get("response_format", {}).get("type") == "json_object":
            raise self.refusal(400, message="invalid request: response_format is not supported with tools.")
        self._check_turns(body["messages"])
        request.stream = bool(body.get("stream"))

    def _check_turns(self, messages: list[Json]) -> None:
        open_calls: list[str] = []
        for message in messages:
            if message["role"] == "tool":
                if message["tool_call_id"] not in open_calls:
                    raise self.refusal(400, message="invalid request: tool message has no matching tool call")
                open_calls.remove(message["tool_call_id"])
            elif open_calls:
                raise self.refusal(400, message="invalid request: all tool calls must have a tool message")
            else:
                open_calls = [call["id"] for call in message.get("tool_calls") or ()]
        if messages[-1]["role"] == "assistant":
            raise self.refusal(400, message="invalid request: the last message must be from the user or a tool")

    # the answer

    def whole(self, request: Request, reply: Reply) -> Json:
        if request.kind == "embedding":
            return _embedded(request.json, reply)
        message: dict[str, Json] = {"role": "assistant"}
        content = [{"type": "thinking", "thinking": reply.reasoning}] if reply.reasoning else []
        if reply.text or not reply.tools:
            content.append({"type": "text", "text": reply.text})
        if reply.tools:
            message |= {"tool_plan": "I will use a tool.", "tool_calls": [_call(tool) for tool in reply.tools]}
        if content:
            message["content"] = content
        body = {"id": "c1", "finish_reason": FINISH[reply.finish], "message": message}
        return body | _usage(reply)

    def frames(self, request: Request, reply: Reply) -> list[Frame]:
        message = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        frames = [self._event("message-start", id="c1", delta={"message": message})]
        index = 0
        for kind, pieces in (("thinking", (reply.reasoning,) if reply.reasoning else ()), ("text", reply.pieces)):
            if pieces:
                frames.append(self._content("content-start", index, {"type": kind, kind: ""}))
                frames += [self._content("content-delta", index, {kind: piece}, gain=True) for piece in pieces]
                frames.append(self._event("content-end", index=index))
                index += 1
        if reply.tools:
            frames.append(self._event("tool-plan-delta", delta={"message": {"tool_plan": "I will use a tool."}}))
        for number, tool in enumerate(reply.tools):
            start = _call(tool)
            start["function"]["arguments"] = ""
            frames.append(self._tool("tool-call-start", number, start))
            for part in halves(dump(tool.arguments).decode()):
                frames.append(self._tool("tool-call-delta", number, {"function": {"arguments": part}}, gain=True))
            frames.append(self._event("tool-call-end", index=number))
        end = {"finish_reason": FINISH[reply.finish], **_usage(reply)}
        frames.append(self._event("message-end", id="c1", delta=end))
        return frames if self.framing == "lines" else [*frames, Frame(b"data: [DONE]\n\n")]

    def error_frame(self) -> Frame:
        return self._event("message-end", id="c1", delta={"error": WORDS[500], "finish_reason": "ERROR"})

    def comment(self) -> bytes:
        return super().comment() if self.framing == "events" else b"\n"

    def _content(self, kind: str, index: int, content: Json, *, gain: bool = False) -> Frame:
        return self._event(kind, gain=gain, index=index, delta={"message": {"content": content}})

    def _tool(self, kind: str, index: int, call: Json, *, gain: bool = False) -> Frame:
        return self._event(kind, gain=gain, index=index, delta={"message": {"tool_calls": call}})

    def _event(self, kind: str, *, gain: bool = False, **data: Json) -> Frame:
        body = {"type": kind, **data}
        return sse(body, event=kind, delta=gain) if self.framing == "events" else Frame(dump(body) + b"\n", gain)


def _call(tool: Any) -> dict[str, Json]:
    function = {"name": tool.name, "arguments": dump(tool.arguments).decode()}
    return {"id": tool.id, "type": "function", "function": function}


def _embedded(body: Json, reply: Reply) -> Json:
    vectors = [vector(text, body.get("output_dimension")) for text in body["texts"]]
    billed = {"billed_units": {"input_tokens": reply.usage[0]}} if reply.usage else {}
    told = dict.fromkeys(body.get("embedding_types") or ("float",), vectors)
    return {"id": "e1", "embeddings": told, "texts": body["texts"], "meta": {"api_version": {"version": "2"}, **billed}}


def _usage(reply: Reply) -> dict[str, Json]:
    if reply.usage is None:
        return {}
    tokens = {"input_tokens": reply.usage[0], "output_tokens": reply.usage[1]}
    return {"usage": {"billed_units": dict(tokens), "tokens": dict(tokens)}}
