"""Chat completions as OpenAI, Azure, Anyscale, a LiteLLM proxy, OpenRouter, Groq, Fireworks and Mistral serve them, and
the texts and embeddings of those who have them.

One format in eight variations. What differs is in the table at the end: path, key header, accepted fields, the body of
an error, where usage is told in a stream, what a reasoning is called.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from pydantic import BaseModel

from tests.upstreams import completions, embeddings
from tests.upstreams.chat import FireworksChat, GroqChat, LiteLLMChat, MistralChat, OpenAIChat
from tests.upstreams.completions import FireworksText, OpenAIText
from tests.upstreams.connection import Json, Request
from tests.upstreams.embeddings import FireworksEmbedding, MistralEmbedding, OpenAIEmbedding
from tests.upstreams.openai_errors import (
    CONTEXT,
    FILTER,
    WORDS,
    azure_error,
    fireworks_error,
    groq_error,
    mistral_error,
    openai_error,
    openrouter_error,
)
from tests.upstreams.scenario import Reply
from tests.upstreams.schema import Flaw, flaw
from tests.upstreams.server import Frame, Refusal, Upstream, halves, sse

CREATED = 1_700_000_000
STRAY_RESULT = (
    "Invalid parameter: messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
)
MISSING_RESULT = (
    "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'."
)

Fault = Callable[[int, str, str], Json]


@dataclass(frozen=True)
class Variation:
    """How one vendor of the family differs from the others. `usage` is told in a stream when asked, or always.

    `path` is what the paths begin with; a schema of `None` takes every field; `lacks` are the kinds not served.
    """

    path: str
    error: Fault
    schema: type[BaseModel] | None = OpenAIChat
    text: type[BaseModel] | None = OpenAIText
    embedding: type[BaseModel] | None = OpenAIEmbedding
    lacks: tuple[str, ...] = ()
    unknown: Callable[[Flaw], tuple[int, str]] = lambda flaw: (
        400,
        f"Unrecognized request argument supplied: {flaw.dotted}",
    )
    header: str = "authorization"
    usage_always: bool = False
    reasoning: str = ""
    mode: str = ""


ENDINGS = {"/chat/completions": "chat", "/completions": "text", "/embeddings": "embedding"}


class Chat(Upstream):
    """One vendor of the family."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.variation = VARIATIONS[name]

    def refusal(self, status: int, reason: str = "", message: str = "") -> Refusal:
        words = message or {"context_length": CONTEXT, "content_filter": FILTER}.get(
            reason, WORDS.get(status, "Error.")
        )
        return Refusal(status, self.variation.error(status, reason, words))

    def model_of(self, request: Request) -> str:
        if self.name == "azure" and (match := re.match(self.variation.path, request.path)):
            return match[1]
        return super().model_of(request)

    def kind_of(self, request: Request) -> str | None:
        """What a request's path asks for."""
        match = re.match(self.variation.path, request.path)
        kind = ENDINGS.get(request.path[match.end() :]) if match else None
        return None if kind in self.variation.lacks else kind

    def check(self, request: Request) -> None:
        expected = self.key if self.variation.header == "api-key" else f"Bearer {self.key}"
        if request.headers.get(self.variation.header) != expected:
            raise self.refusal(401)
        kind = self.kind_of(request)
        if request.method != "POST" or kind is None:
            raise self.refusal(404, message=f"Unknown request URL: {request.method} {request.path}.")
        if self.name == "azure" and not request.query.get("api-version"):
            raise Refusal(404, {"error": {"code": "404", "message": "Resource not found"}})
        if not isinstance(request.json, dict):
            raise self.refusal(400, message="We could not parse the JSON body of your request.")
        request.kind = kind
        self._check_fields(request)
        if kind == "chat":
            self._check_turns(request.json["messages"])
        self._check_combinations(request.json)
        request.stream = bool(request.json.get("stream"))

    def _check_fields(self, request: Request) -> None:
        variation = self.variation
        schema = {"chat": variation.schema, "text": variation.text, "embedding": variation.embedding}[request.kind]
        if schema is None:
            needed = {"chat": "messages", "text": "prompt", "embedding": "input"}[request.kind]
            if not request.json.get(needed):
                raise self.refusal(400, message=f"Input required: specify {needed}")
            return
        wrong = flaw(schema, request.body)
        if wrong is None:
            return
        if self.name == "mistral":
            entry = {"type": wrong.kind, "loc": ["body", *wrong.loc], "msg": wrong.message, "input": wrong.input}
            raise Refusal(422, {"object": "error", "message": {"detail": [entry]}, "type": "invalid_request_error"})
        if wrong.unknown:
            status, message = self.variation.unknown(wrong)
            raise self.refusal(status, message=message)
        raise self.refusal(400, message=f"Invalid value for '{wrong.dotted}': {wrong.message}")

    def _check_turns(self, messages: list[Json]) -> None:
        """Every tool call is answered, and every tool message answers one."""
        open_calls: list[str] = []
        for number, message in enumerate(messages):
            if message["role"] == "tool":
                if message.get("tool_call_id") not in open_calls:
                    raise self.refusal(400, message=STRAY_RESULT)
                open_calls.remove(message["tool_call_id"])
            elif open_calls:
                raise self.refusal(400, message=f"{MISSING_RESULT} (messages.[{number}])")
            else:
                open_calls = [call["id"] for call in message.get("tool_calls") or ()]
        if open_calls:
            raise self.refusal(400, message=MISSING_RESULT)
        last = messages[-1]
        if self.name == "mistral":
            if last["role"] not in ("user", "tool") and not last.get("prefix"):
                raise self.refusal(
                    400,
                    message="Expected last role User or Tool (or Assistant with prefix True) for serving but got "
                    + last["role"],
                )
            for call in (call for message in messages for call in message.get("tool_calls") or ()):
                if not re.fullmatch(r"[a-zA-Z0-9]{9}", call["id"]):
                    raise self.refusal(
                        400, message=f"Tool call id was {call['id']} but must be a-z, A-Z, 0-9, with a length of 9."
                    )

    def _check_combinations(self, body: Json) -> None:
        if body.get("stream_options") and not body.get("stream"):
            raise self.refusal(400, message="The 'stream_options' parameter is only allowed when 'stream' is enabled.")
        if body.get("tool_choice") and not body.get("tools"):
            raise self.refusal(400, message="'tool_choice' is only allowed when 'tools' are specified.")
        if (body.get("best_of") or 1) < (body.get("n") or 1) and "best_of" in body:
            raise self.refusal(400, message="'best_of' must be greater than or equal to 'n'.")
        if body.get("top_logprobs") is not None and not body.get("logprobs"):
            raise self.refusal(400, message="The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.")
        if re.match(r"o\d|gpt-5", body.get("model", "")) and body.get("max_tokens") is not None:
            raise self.refusal(
                400,
                message="Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                "'max_completion_tokens' instead.",
            )
        wanted = (body.get("response_format") or {}).get("type")
        if (
            wanted == "json_object"
            and self.variation.schema is OpenAIChat
            and "json" not in str(body["messages"]).lower()
        ):
            raise self.refusal(
                400,
                message="'messages' must contain the word 'json' in some form, to use 'response_format' of type "
                "'json_object'.",
            )

    # the answer

    def whole(self, request: Request, reply: Reply) -> Json:
        if request.kind == "embedding":
            return embeddings.embedded({**request.json, "model": self.model_of(request)}, reply.usage)
        if request.kind == "text":
            body = self._envelope(request, "text_completion") | {"choices": completions.choices(request.json, reply)}
            return body | ({"usage": self._usage(reply)} if reply.usage is not None else {})
        silent = reply.tools or reply.extra
        message: dict[str, Json] = {"role": "assistant", "content": reply.text or (None if silent else "")}
        message |= reply.extra
        if reply.tools:
            message["tool_calls"] = [self._call(reply, number, whole=True) for number in range(len(reply.tools))]
        if reply.reasoning:
            message |= self._reasoning(reply)
        body = self._envelope(request, "chat.completion") | {
            "choices": [
                {
                    "index": index,
                    "message": message,
                    "logprobs": self._logprobs(request.json, reply.pieces),
                    "finish_reason": reply.finish,
                }
                for index in range(request.json.get("n") or 1)
            ]
        }
        if reply.usage is not None:
            body["usage"] = self._usage(reply)
        if self.name == "groq":
            body |= {"x_groq": {"id": "req_1"}, "service_tier": "on_demand"}
        return body

    def frames(self, request: Request, reply: Reply) -> list[Frame]:
        asked = (request.json.get("stream_options") or {}).get("include_usage", False)
        usage = self._usage(reply) if reply.usage is not None else None
        if request.kind == "text":
            return self._text_frames(request, reply, usage if asked else None)
        head = self._envelope(request, "chat.completion.chunk")
        if self.name == "groq":
            head["x_groq"] = {"id": "req_1"}

        def chunk(
            delta: Json, finish: str | None = None, *, gain: bool = False, logprobs: Json = None, **more: Json
        ) -> list[Frame]:
            choice = {"delta": delta, "logprobs": logprobs, "finish_reason": finish}
            choices = range(request.json.get("n") or 1)
            return [sse(head | {"choices": [{"index": index, **choice}]} | more, delta=gain) for index in choices]

        frames: list[Frame] = []
        if self.name == "azure":
            safe = {"hate": {"filtered": False, "severity": "safe"}}
            results = [{"prompt_index": 0, "content_filter_results": safe}]
            frames.append(sse(head | {"choices": [], "prompt_filter_results": results, "model": ""}))
        frames += chunk({"role": "assistant", "content": ""})
        if reply.reasoning:
            frames += chunk(self._reasoning(replace(reply, pieces=())))
        for piece in reply.pieces:
            frames += chunk({"content": piece}, gain=True, logprobs=self._logprobs(request.json, (piece,)))
        for name, value in reply.extra.items():
            for part in halves(value) if isinstance(value, str) else (value,):
                frames += chunk({name: part}, gain=True)
        for number, tool in enumerate(reply.tools):
            frames += chunk({"tool_calls": [self._call(reply, number, whole=self.name == "mistral")]}, gain=True)
            for part in halves(_arguments(tool.arguments)) if self.name != "mistral" else ():
                frames += chunk({"tool_calls": [{"index": number, "function": {"arguments": part}}]}, gain=True)
        if usage and self.variation.usage_always:
            frames += chunk({}, reply.finish, usage=usage)
        else:
            frames += chunk({}, reply.finish)
        if usage and asked and not self.variation.usage_always:
            frames.append(sse(head | {"choices": [], "usage": usage}))
        return [*frames, Frame(b"data: [DONE]\n\n")]

    def _text_frames(self, request: Request, reply: Reply, usage: Json) -> list[Frame]:
        head, offset = self._envelope(request, "text_completion"), 0
        frames: list[Frame] = []

        def chunk(text: str, finish: str | None = None) -> None:
            logprobs = completions.logprobs(request.json, [text] if text else [], offset)
            choice = {"text": text, "logprobs": logprobs, "finish_reason": finish}
            for index in range(request.json.get("n") or 1):
                frames.append(sse(head | {"choices": [{"index": index, **choice}]}, delta=bool(text)))

        for piece in (str(request.json["prompt"]) if request.json.get("echo") else "", *reply.pieces):
            if piece:
                chunk(piece)
                offset += len(piece)
        chunk("", reply.finish)
        if usage:
            frames.append(sse(head | {"choices": [], "usage": usage}))
        return [*frames, Frame(b"data: [DONE]\n\n")]

    def error_frame(self) -> Frame:
        if self.name == "openrouter":
            error = {"code": 502, "message": "Provider disconnected"}
            choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
            return sse({"id": "gen-1", "object": "chat.completion.chunk", "error": error, "choices": [choice]})
        error = self.variation.error(503 if self.name == "groq" else 500, "", WORDS[500])
        return Frame((b"event: error\n" if self.name == "groq" else b"") + sse(error).data)

    def comment(self) -> bytes:
        return b": OPENROUTER PROCESSING\n\n" if self.name == "openrouter" else super().comment()

    def _envelope(self, request: Request, kind: str) -> dict[str, Json]:
        model = f"{request.json['model']}" if "model" in request.json else self.model_of(request)
        if self.name == "azure":
            model = "gpt-4o-mini-2024-07-18"
        envelope = {"id": "chatcmpl-1", "object": kind, "created": CREATED, "model": model}
        return envelope | ({"system_fingerprint": "fp_1"} if self.name in ("openai", "azure") else {})

    def _logprobs(self, body: Json, pieces: tuple[str, ...]) -> Json:
        """Each piece a token. Only what was asked for is told."""
        if not body.get("logprobs"):
            return None
        top = body.get("top_logprobs") or 0
        told = [{"token": piece, "logprob": -0.25, "bytes": list(piece.encode())} for piece in pieces]
        return {"content": [{**each, "top_logprobs": [each] if top else []} for each in told], "refusal": None}

    def _call(self, reply: Reply, number: int, *, whole: bool) -> Json:
        tool = reply.tools[number]
        function = {"name": tool.name, "arguments": _arguments(tool.arguments) if whole else ""}
        call = {"id": tool.id, "type": "function", "function": function}
        return call if whole and self.name != "mistral" else call | {"index": number}

    def _reasoning(self, reply: Reply) -> dict[str, Json]:
        if self.name == "mistral":
            thinking = {"type": "thinking", "thinking": [{"type": "text", "text": reply.reasoning}]}
            return {"content": [thinking, *([{"type": "text", "text": reply.text}] if reply.text else [])]}
        return {self.variation.reasoning: reply.reasoning} if self.variation.reasoning else {}

    def _usage(self, reply: Reply) -> dict[str, Json]:
        prompt, said = reply.usage or (0, 0)
        body: dict[str, Json] = {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said}
        if reply.cached:
            body["prompt_tokens_details"] = {"cached_tokens": reply.cached}
        if reply.thought:
            body["completion_tokens_details"] = {"reasoning_tokens": reply.thought}
        if self.name == "openrouter":
            body |= {"cost": 0.00042, "cost_details": {"upstream_inference_cost": None}, "is_byok": False}
        return body


def _arguments(arguments: Json) -> str:
    return str(sse(arguments).data[6:-2], "utf-8")


VARIATIONS: dict[str, Variation] = {
    "openai": Variation("/v1", openai_error),
    "azure": Variation("/openai/deployments/([^/]+)", azure_error, header="api-key"),
    "anyscale": Variation("/v1", openai_error),
    "litellm": Variation("/v1", openai_error, schema=LiteLLMChat, reasoning="reasoning_content"),
    "openrouter": Variation("/api/v1", openrouter_error, schema=None, text=None, embedding=None, reasoning="reasoning"),
    "groq": Variation(
        "/openai/v1",
        groq_error,
        schema=GroqChat,
        lacks=("text", "embedding"),
        unknown=lambda flaw: (400, f"property '{flaw.dotted}' is unsupported"),
        reasoning="reasoning",
    ),
    "fireworks": Variation(
        "/inference/v1",
        fireworks_error,
        schema=FireworksChat,
        text=FireworksText,
        embedding=FireworksEmbedding,
        unknown=lambda flaw: (400, f"Extra inputs are not permitted, field: '{flaw.dotted}', value: {flaw.input!r}"),
        usage_always=True,
        reasoning="reasoning_content",
    ),
    "mistral": Variation(
        "/v1", mistral_error, schema=MistralChat, embedding=MistralEmbedding, lacks=("text",), usage_always=True
    ),
}
