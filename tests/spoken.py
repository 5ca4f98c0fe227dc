"""Every API that the gateway speaks, reduced to what a test needs: how to ask, and how to read what comes back.

One `Spoken` per completion route. The readers look at the bytes as the API's clients do, and at nothing of ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Body = dict[str, Any]
Event = tuple[str, Any]
"""The name and the data of a server-sent event; the data is None for `[DONE]`."""

SCHEMA: Body = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER: Body = {"name": "get_weather", "description": "The weather of a city", "parameters": SCHEMA}
LIMIT = 50


def events(body: str) -> Iterator[Event]:
    """The events of a stream, in any of the separators that the clients read."""
    for block in body.replace("\r\n", "\n").split("\n\n"):
        lines = [line for line in block.split("\n") if line]
        if not lines:
            continue
        name = next((line.removeprefix("event: ") for line in lines if line.startswith("event: ")), "")
        data = "".join(line.removeprefix("data: ") for line in lines if line.startswith("data: "))
        yield name, None if data == "[DONE]" else json.loads(data)


@dataclass(frozen=True)
class Spoken:
    """One completion route.

    `ask(model, text)` is the body of a request, and `streams_at` the route of streams where that is another. `tools`
    adds the function `get_weather` to a body, and is None where the API has none. `text` and `arguments` read an
    answer; `pieces` and `called` put a stream together. `refused` reads an error's message.
    """

    name: str
    path: str
    ask: Callable[[str, str], Body]
    text: Callable[[Body], str]
    pieces: Callable[[list[Event]], str]
    refused: Callable[[Body], str]
    tools: Callable[[Body], Body] | None = None
    arguments: Callable[[Body], Any] = lambda answer: None
    called: Callable[[list[Event]], Any] = lambda told: None
    streams_at: str | None = None
    done: bool = False
    """Whether a stream ends with `[DONE]`."""
    told: Callable[[Event], bool] = lambda event: False
    """Whether an event tells of a failure in mid-stream."""
    always_200: bool = False
    """Whether a whole answer tells an upstream's failure in a body of status 200."""

    def body(self, model: str, text: str = "hi", *, stream: bool = False, tools: bool = False) -> Body:
        asked = self.ask(model, text)
        if tools and self.tools:
            asked = self.tools(asked)
        return {**asked, **({"stream": True} if stream and not self.streams_at else {})}

    @property
    def dialect(self) -> str:
        return self.name.partition("-")[0]

    def route(self, *, stream: bool) -> str:
        return self.streams_at or self.path if stream else self.path


def _messages(text: str) -> list[Body]:
    return [{"role": "user", "content": text}]


def _chat(model: str, text: str) -> Body:
    return {"model": f"openai/{model}", "messages": _messages(text), "max_tokens": LIMIT}


def _prompt(model: str, text: str) -> Body:
    return {"model": f"openai/{model}", "prompt": text, "max_tokens": LIMIT}


def _envelope(answer: Body) -> str:
    return str(answer["error"]["message"])


def _detail(answer: Body) -> str:
    detail = answer["detail"]
    return str(detail["message"] if isinstance(detail, dict) else detail)


def _chat_arguments(answer: Body) -> Any:
    (call,) = answer["choices"][0]["message"]["tool_calls"]
    return [call["function"]["name"], json.loads(call["function"]["arguments"])]


def _deltas(told: list[Event]) -> list[Body]:
    return [choice["delta"] for _, data in told if data and "error" not in data for choice in data["choices"]]


def _chat_called(told: list[Event]) -> Any:
    calls = [call["function"] for delta in _deltas(told) for call in delta.get("tool_calls") or ()]
    name = "".join(call.get("name") or "" for call in calls)
    return [name, json.loads("".join(call.get("arguments") or "" for call in calls))]


def _chat_pieces(told: list[Event]) -> str:
    return "".join(delta.get("content") or "" for delta in _deltas(told))


def _text_pieces(told: list[Event]) -> str:
    return "".join(choice["text"] for _, data in told if data and "error" not in data for choice in data["choices"])


def _chat_like(name: str, path: str, refused: Callable[[Body], str], *, done: bool) -> Spoken:
    return Spoken(
        name,
        path,
        _chat,
        lambda answer: str(answer["choices"][0]["message"]["content"]),
        _chat_pieces,
        refused,
        tools=lambda body: {**body, "tools": [{"type": "function", "function": WEATHER}]},
        arguments=_chat_arguments,
        called=_chat_called,
        done=done,
        told=lambda event: bool(event[1] and "error" in event[1]),
    )


def _text_like(name: str, path: str, refused: Callable[[Body], str], *, done: bool) -> Spoken:
    return Spoken(
        name,
        path,
        _prompt,
        lambda answer: str(answer["choices"][0]["text"]),
        _text_pieces,
        refused,
        done=done,
        told=lambda event: bool(event[1] and "error" in event[1]),
    )


def _fenced(content: str) -> Any:
    call = json.loads(content.replace("```", ""))
    return [call["name"], call["arguments"]]


PAREA = Spoken(
    "parea",
    "/api/parea/v1/completion",
    lambda model, text: {
        "llm_configuration": {
            "model": model,
            "provider": "openai",
            "messages": _messages(text),
            "model_params": {"max_length": LIMIT},
        },
        "cache": False,
    },
    lambda answer: str(answer["content"]),
    lambda told: "".join(data["chunk"] for _, data in told),
    lambda answer: str(answer["error"] if "error" in answer else answer["detail"]),
    tools=lambda body: {**body, "llm_configuration": {**body["llm_configuration"], "functions": [WEATHER]}},
    arguments=lambda answer: _fenced(answer["content"]),
    called=lambda told: _fenced("".join(data["chunk"] for _, data in told)),
    streams_at="/api/parea/v1/completion/stream",
    always_200=True,
)

ANTHROPIC = Spoken(
    "anthropic",
    "/v1/messages",
    _chat,
    lambda answer: "".join(block["text"] for block in answer["content"] if block["type"] == "text"),
    lambda told: "".join(data["delta"].get("text", "") for name, data in told if name == "content_block_delta"),
    _envelope,
    tools=lambda body: {**body, "tools": [{"name": "get_weather", "description": "d", "input_schema": SCHEMA}]},
    arguments=lambda answer: next(
        [block["name"], block["input"]] for block in answer["content"] if block["type"] == "tool_use"
    ),
    called=lambda told: [
        next(
            data["content_block"]["name"]
            for name, data in told
            if name == "content_block_start" and data["content_block"]["type"] == "tool_use"
        ),
        json.loads(
            "".join(data["delta"].get("partial_json", "") for name, data in told if name == "content_block_delta")
        ),
    ],
    told=lambda event: event[0] == "error",
)

RESPONSES = Spoken(
    "responses",
    "/v1/responses",
    lambda model, text: {"model": f"openai/{model}", "input": text, "max_output_tokens": LIMIT},
    lambda answer: "".join(
        part["text"] for item in answer["output"] if item["type"] == "message" for part in item["content"]
    ),
    lambda told: "".join(data["delta"] for name, data in told if name == "response.output_text.delta"),
    _envelope,
    tools=lambda body: {**body, "tools": [{"type": "function", **WEATHER}]},
    arguments=lambda answer: next(
        [item["name"], json.loads(item["arguments"])] for item in answer["output"] if item["type"] == "function_call"
    ),
    called=lambda told: next(
        [data["item"]["name"], json.loads(data["item"]["arguments"])]
        for name, data in told
        if name == "response.output_item.done" and data["item"]["type"] == "function_call"
    ),
    told=lambda event: event[0] in ("error", "response.failed"),
)


def _humanloop_pieces(told: list[Event]) -> str:
    return "".join(data["data"][0]["output"] or "" for _, data in told)


HUMANLOOP = Spoken(
    "humanloop",
    "/v4/completion",
    lambda model, text: {
        "project": "table",
        "inputs": {},
        "model_config": {"model": model, "provider": "openai", "prompt_template": text, "max_tokens": LIMIT},
    },
    lambda answer: str(answer["data"][0]["output"]),
    _humanloop_pieces,
    _detail,
)

HUMANLOOP_CHAT = Spoken(
    "humanloop-chat",
    "/v4/chat",
    lambda model, text: {
        "project": "table",
        "messages": _messages(text),
        "model_config": {"model": model, "provider": "openai", "max_tokens": LIMIT},
    },
    lambda answer: str(answer["data"][0]["output"]),
    _humanloop_pieces,
    _detail,
    tools=lambda body: {**body, "model_config": {**body["model_config"], "tools": [WEATHER]}},
    arguments=lambda answer: _chat_arguments({"choices": [{"message": answer["data"][0]["output_message"]}]}),
    called=lambda told: next(
        [call["function"]["name"], json.loads(call["function"]["arguments"])]
        for _, data in told
        for call in data["data"][0].get("tool_calls") or ()
    ),
)

SPOKEN = (
    PAREA,
    _chat_like("openai", "/v1/chat/completions", _envelope, done=True),
    _text_like("openai-text", "/v1/completions", _envelope, done=True),
    RESPONSES,
    ANTHROPIC,
    HUMANLOOP,
    HUMANLOOP_CHAT,
    _text_like("scale-v4", "/v4/beta/completions", _detail, done=False),
    _chat_like("scale-v4-chat", "/v4/beta/chat/completions", _detail, done=False),
    _text_like("scale-v5", "/v5/completions", _detail, done=False),
    _chat_like("scale-v5-chat", "/v5/chat/completions", _detail, done=False),
)
