"""What each vendor must be sent for a request, written down from the vendors' API references.

A row is one request in the gateway's words. `body` says by vendor, or by family of vendors, what it adds to the body of
`plain`; a vendor that is not named gets the plain one. `dropped` names what the vendor has no word for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.upstreams.fleet import MODELS

Json = Any
Bodies = dict[str, dict[str, Json]]

FAMILY: dict[str, str] = dict.fromkeys(MODELS, "chat") | {
    name: name for name in ("anthropic", "vertexai", "aws_bedrock", "cohere", "mistral")
}
"""Whose words a vendor speaks: OpenAI's (`chat`) or its own. Mistral's are OpenAI's but for the choice of a tool."""

HELLO: list[Json] = [{"role": "user", "content": "Hello"}]
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "get_weather", "description": "The weather of a city.", "parameters": CITY}
TOOL: Json = {"type": "function", "function": FUNCTION}
CLOCK: Json = {"type": "function", "function": {"name": "get_time", "description": "The time.", "parameters": CITY}}


def plain(name: str, stream: bool, model: str | None = None) -> dict[str, Json]:
    """The body that says hello and nothing else."""
    model = model or MODELS[name]
    match FAMILY[name]:
        case "anthropic":
            said = [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]
            # the API demands a limit; the gateway's is 4096
            body = {"model": model, "messages": said, "max_tokens": 4096}
            return body | ({"stream": True} if stream else {})
        case "vertexai":
            return {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
        case "aws_bedrock":
            return {"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}
        case "cohere" | "mistral":
            return {"model": model, "messages": HELLO} | ({"stream": True} if stream else {})
    body = {"model": model, "messages": HELLO}
    if name == "openrouter":
        body["usage"] = {"include": True}
    return body | ({"stream": True, "stream_options": {"include_usage": True}} if stream else {})


@dataclass(frozen=True)
class Row:
    id: str
    params: Mapping[str, Json] = field(default_factory=dict)
    messages: list[Json] = field(default_factory=lambda: HELLO)
    script: str = "ok"
    body: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    dropped: Mapping[str, set[str]] = field(default_factory=dict)

    def expected(self, name: str, stream: bool) -> dict[str, Json]:
        body = self.body.get(name, self.body.get(FAMILY[name]))
        if body is None:
            body = self.body.get("chat", {}) if name == "mistral" else {}
        return plain(name, stream) | dict(body)


def same(names: str, value: Any) -> dict[str, Any]:
    return dict.fromkeys(names.split(), value)


# tools

OFFER: Bodies = {
    "chat": {"tools": [TOOL, CLOCK]},
    "cohere": {"tools": [TOOL, CLOCK]},
    "anthropic": {
        "tools": [
            {
                "type": "custom",
                "name": each["function"]["name"],
                "description": each["function"]["description"],
                "input_schema": CITY,
            }
            for each in (TOOL, CLOCK)
        ]
    },
    "vertexai": {"tools": [{"functionDeclarations": [FUNCTION, CLOCK["function"]]}]},
    "aws_bedrock": {
        "toolConfig": {
            "tools": [
                {
                    "toolSpec": {
                        "name": each["function"]["name"],
                        "description": each["function"]["description"],
                        "inputSchema": {"json": CITY},
                    }
                }
                for each in (TOOL, CLOCK)
            ]
        }
    },
}


def offered(**choice: Json) -> Bodies:
    """Both tools, and by family what is said about the choice among them."""
    body: Bodies = {family: dict(tools) for family, tools in OFFER.items()}
    for name in ("fireworks", "mistral"):
        if name in choice:
            body[name] = dict(body["chat"])
    for family, value in choice.items():
        match family:
            case "vertexai":
                body[family]["toolConfig"] = {"functionCallingConfig": value}
            case "aws_bedrock":
                body[family]["toolConfig"] = {**body[family]["toolConfig"], "toolChoice": value}
            case _:
                body[family]["tool_choice"] = value
    return dict(body)


NAMED = {"type": "function", "function": {"name": "get_weather"}}
ONLY: Bodies = {
    "mistral": {"tools": [TOOL], "tool_choice": "any"},
    "fireworks": {"tools": [TOOL], "tool_choice": "required"},
    "cohere": {"tools": [TOOL], "tool_choice": "REQUIRED"},
}
"""A named choice for vendors that take no names: only that tool, and it is required."""
CHOSEN = (
    offered(
        chat=NAMED,
        anthropic={"type": "tool", "name": "get_weather"},
        vertexai={"mode": "ANY", "allowedFunctionNames": ["get_weather"]},
        aws_bedrock={"tool": {"name": "get_weather"}},
    )
    | ONLY
)
NONE = offered(chat="none", anthropic={"type": "none"}, vertexai={"mode": "NONE"}, cohere="NONE") | {"aws_bedrock": {}}
REQUIRED = offered(
    chat="required",
    mistral="any",
    anthropic={"type": "any"},
    vertexai={"mode": "ANY"},
    aws_bedrock={"any": {}},
    cohere="REQUIRED",
)

# a conversation with a tool's result in it

CALL = {"id": "call00001", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
ASKED = {"role": "user", "content": "Weather in Paris?"}
RESULT = {"role": "tool", "tool_call_id": "call00001", "content": "sunny"}
HISTORY = [ASKED, {"role": "assistant", "tool_calls": [CALL]}, RESULT]
NAMELESS = [
    ASKED,
    {"role": "assistant", "content": None, "function_call": {"name": "get_weather", "arguments": '{"city": "Paris"}'}},
    {"role": "function", "name": "get_weather", "content": "sunny"},
]
"""The same in OpenAI's older words, in which calls have no ids."""
REMEMBERED: Bodies = {
    "chat": OFFER["chat"] | {"messages": HISTORY},
    "cohere": OFFER["cohere"] | {"messages": HISTORY},
    "anthropic": OFFER["anthropic"]
    | {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Weather in Paris?"}]},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "call00001", "name": "get_weather", "input": {"city": "Paris"}}],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call00001", "content": "sunny"}]},
        ]
    },
    "vertexai": OFFER["vertexai"]
    | {
        "contents": [
            {"role": "user", "parts": [{"text": "Weather in Paris?"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "get_weather", "args": {"city": "Paris"}}}]},
            {
                "role": "user",
                "parts": [{"functionResponse": {"name": "get_weather", "response": {"content": "sunny"}}}],
            },
        ]
    },
    "aws_bedrock": OFFER["aws_bedrock"]
    | {
        "messages": [
            {"role": "user", "content": [{"text": "Weather in Paris?"}]},
            {
                "role": "assistant",
                "content": [{"toolUse": {"toolUseId": "call00001", "name": "get_weather", "input": {"city": "Paris"}}}],
            },
            {"role": "user", "content": [{"toolResult": {"toolUseId": "call00001", "content": [{"text": "sunny"}]}}]},
        ]
    },
}

# images, JSON

PICTURE = [
    {"type": "text", "text": "What is this?"},
    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
]
SEEN: Bodies = {
    "chat": {"messages": [{"role": "user", "content": PICTURE}]},
    "cohere": {"messages": [{"role": "user", "content": PICTURE}]},
    "anthropic": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                ],
            }
        ]
    },
    "vertexai": {
        "contents": [
            {
                "role": "user",
                "parts": [{"text": "What is this?"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}],
            }
        ]
    },
    "aws_bedrock": {
        "messages": [
            {
                "role": "user",
                "content": [{"text": "What is this?"}, {"image": {"format": "png", "source": {"bytes": PNG}}}],
            }
        ]
    },
}
JSON_HELLO = [{"role": "user", "content": "Answer in json."}]
JSON_LINE = "Answer with one JSON object and nothing else."
OBJECT = {"type": "json_object"}
SCHEMED = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY, "strict": True}}
CLOSED = {**CITY, "additionalProperties": False}

SYSTEM = {"role": "system", "content": "Be brief."}

ROWS: tuple[Row, ...] = (
    Row("text"),
    Row(
        "defaults",
        # what Parea's client sends with every request
        params={"temperature": 1.0, "top_p": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0},
        # their default is not 1
        body=same("mistral cohere", {"temperature": 1.0}),
    ),
    Row(
        "sampling",
        params={"temperature": 0.25, "max_tokens": 50},
        body=same("chat anthropic cohere", {"temperature": 0.25, "max_tokens": 50})
        | {
            "vertexai": {"generationConfig": {"temperature": 0.25, "maxOutputTokens": 50}},
            "aws_bedrock": {"inferenceConfig": {"temperature": 0.25, "maxTokens": 50}},
        },
    ),
    Row(
        "both",
        params={"temperature": 0.25, "top_p": 0.5},
        body={
            "chat": {"temperature": 0.25, "top_p": 0.5},
            "cohere": {"temperature": 0.25, "p": 0.5},
            "vertexai": {"generationConfig": {"temperature": 0.25, "topP": 0.5}},
            # these models take one of them
            "anthropic": {"temperature": 0.25},
            "aws_bedrock": {"inferenceConfig": {"temperature": 0.25}},
        },
        dropped=same("anthropic aws_bedrock", {"top_p"}),
    ),
    Row(
        "top_p",
        params={"top_p": 0.5},
        body={
            "chat": {"top_p": 0.5},
            "cohere": {"p": 0.5},
            "vertexai": {"generationConfig": {"topP": 0.5}},
            "anthropic": {"top_p": 0.5},
            "aws_bedrock": {"inferenceConfig": {"topP": 0.5}},
        },
    ),
    Row(
        "penalties",
        params={"frequency_penalty": 0.5, "presence_penalty": 0.25},
        body=same("chat cohere", {"frequency_penalty": 0.5, "presence_penalty": 0.25})
        | {"vertexai": {"generationConfig": {"frequencyPenalty": 0.5, "presencePenalty": 0.25}}},
        dropped=same("anthropic aws_bedrock", {"frequency_penalty", "presence_penalty"}),
    ),
    Row(
        "safe_prompt",
        params={"safe_prompt": True},
        body={"mistral": {"safe_prompt": True}},
        dropped={name: {"safe_prompt"} for name in MODELS if name != "mistral"},
    ),
    Row(
        "stop",
        params={"stop": ["END"]},
        body={
            "chat": {"stop": ["END"]},
            "anthropic": {"stop_sequences": ["END"]},
            "cohere": {"stop_sequences": ["END"]},
            "vertexai": {"generationConfig": {"stopSequences": ["END"]}},
            "aws_bedrock": {"inferenceConfig": {"stopSequences": ["END"]}},
        },
    ),
    Row(
        "seed",
        params={"seed": 7},
        body={
            "chat": {"seed": 7},
            "mistral": {"random_seed": 7},
            "cohere": {"seed": 7},
            "vertexai": {"generationConfig": {"seed": 7}},
        },
        dropped=same("anthropic aws_bedrock", {"seed"}),
    ),
    Row(
        "system",
        messages=[SYSTEM, *HELLO],
        body=same("chat cohere", {"messages": [SYSTEM, *HELLO]})
        | {
            "anthropic": {"system": [{"type": "text", "text": "Be brief."}]},
            "vertexai": {"systemInstruction": {"parts": [{"text": "Be brief."}]}},
            "aws_bedrock": {"system": [{"text": "Be brief."}]},
        },
    ),
    Row("tools", params={"tools": [TOOL, CLOCK]}, script="tool", body=OFFER),
    Row(
        "tools_auto",
        params={"tools": [TOOL, CLOCK], "tool_choice": "auto"},
        script="tool2",
        body=offered(chat="auto", anthropic={"type": "auto"}, vertexai={"mode": "AUTO"}, aws_bedrock={"auto": {}}),
    ),
    Row("tools_named", params={"tools": [TOOL, CLOCK], "tool_choice": NAMED}, script="tool", body=CHOSEN),
    Row("tools_none", params={"tools": [TOOL, CLOCK], "tool_choice": "none"}, body=NONE),
    Row("tools_required", params={"tools": [TOOL, CLOCK], "tool_choice": "required"}, script="texttool", body=REQUIRED),
    Row(
        "functions",
        params={"functions": [FUNCTION, CLOCK["function"]], "function_call": {"name": "get_weather"}},
        script="tool",
        body=CHOSEN,
    ),
    Row("toolresult", params={"tools": [TOOL, CLOCK]}, messages=HISTORY, body=REMEMBERED),
    Row("toolresult_nameless", params={"functions": [FUNCTION, CLOCK["function"]]}, messages=NAMELESS, body=REMEMBERED),
    Row("image", messages=[{"role": "user", "content": PICTURE}], body=SEEN),
    Row(
        "json_object",
        params={"response_format": OBJECT},
        messages=JSON_HELLO,
        body=same("chat cohere", {"messages": JSON_HELLO, "response_format": OBJECT})
        | {
            "vertexai": {
                "contents": [{"role": "user", "parts": [{"text": "Answer in json."}]}],
                "generationConfig": {"responseMimeType": "application/json"},
            },
            # Claude has no such mode: it is asked
            "anthropic": {
                "system": [{"type": "text", "text": JSON_LINE}],
                "messages": [{"role": "user", "content": [{"type": "text", "text": "Answer in json."}]}],
            },
            "aws_bedrock": {
                "system": [{"text": JSON_LINE}],
                "messages": [{"role": "user", "content": [{"text": "Answer in json."}]}],
            },
        },
        dropped=same("anthropic aws_bedrock", {"response_format"}),
    ),
    Row(
        "json_schema",
        params={"response_format": SCHEMED},
        body={
            "chat": {"response_format": SCHEMED},
            "cohere": {"response_format": {"type": "json_object", "json_schema": CITY}},
            "vertexai": {"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": CITY}},
            # under the beta that is named in the head; its later name is `output_config.format`
            "anthropic": {"output_format": {"type": "json_schema", "schema": CLOSED}},
            "aws_bedrock": {
                "outputConfig": {
                    "textFormat": {
                        "type": "json_schema",
                        "structure": {"jsonSchema": {"name": "city", "schema": json.dumps(CLOSED)}},
                    }
                }
            },
        },
    ),
)
