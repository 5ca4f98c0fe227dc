"""What a user of scale-gp (0.1.0a58) or scale-gp-beta writes. Run with SGP_CLIENT_BASE_URL set and the client's name as
the argument; prints one JSON object of what it saw. The two have the same ancestry, so most of it reads the same.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

package = importlib.import_module(sys.argv[1])
beta = sys.argv[1] == "scale_gp_beta"
client = package.SGPClient(api_key="anything", account_id="account")
impatient = package.SGPClient(api_key="anything", account_id="account", max_retries=0)
asynchronous = package.AsyncSGPClient(api_key="anything", account_id="account")
seen: dict[str, Any] = {}

OPENAI = "openai/gpt-4o-mini"
HI = [{"role": "user", "content": "hi"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def completions(of: Any) -> Any:
    return of.completions if beta else of.beta.completions


def chats(of: Any) -> Any:
    return of.chat.completions if beta else of.beta.chat.completions


def plain(value: Any) -> Any:
    """As JSON: 0.1.0a58 leaves the choices of a chat as dictionaries, the other has objects."""
    if isinstance(value, dict | list | str | int | float | None):
        return value
    return value.model_dump()


def flow(function: Callable[[], Any]) -> None:
    try:
        seen[function.__name__] = function()
    except Exception as error:  # which it is, is the finding
        seen[function.__name__] = f"{type(error).__name__}: {error}"


@flow
def whole() -> list[Any]:
    answer = completions(client).create(model="echo", prompt="What is the capital of France?")
    choice = plain(answer.choices[0])
    return [answer.object, answer.model, len(answer.choices), choice["index"], choice["text"], choice["finish_reason"]]


@flow
def whole_vendor() -> list[Any]:
    answer = completions(client).create(model=OPENAI, prompt="hi")
    usage = plain(answer.usage)
    counts = [usage[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")]
    return [plain(answer.choices[0])["text"], bool(answer.id), answer.created > 0, *counts]


@flow
def stream() -> list[Any]:
    asked = completions(client).create(model=OPENAI, prompt="hi", stream=True, stream_options={"include_usage": True})
    chunks = [plain(chunk) for chunk in asked]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    text = "".join(choice["text"] for choice in choices)
    finishes = [choice["finish_reason"] for choice in choices if choice["finish_reason"]]
    return [
        text,
        finishes,
        {chunk["object"] for chunk in chunks} == {"text_completion"},
        chunks[-1]["usage"]["total_tokens"],
    ]


@flow
def samples() -> list[Any]:
    answer = completions(client).create(model="anthropic/claude-haiku-4-5", prompt="hi", n=3)
    return [[plain(choice)["index"], plain(choice)["text"]] for choice in answer.choices]


@flow
def deployment() -> Any:
    answer = completions(client).create(model="azure/gpt-4o-mini/chat-deployment", prompt="hi")
    return plain(answer.choices[0])["text"]


@flow
def chat() -> list[Any]:
    answer = chats(client).create(model=OPENAI, messages=HI)
    choice = plain(answer.choices[0])
    return [answer.object, choice["message"]["role"], choice["message"]["content"], choice["finish_reason"]]


@flow
def chat_stream() -> list[Any]:
    asked = chats(client).create(model=OPENAI, messages=HI, stream=True, stream_options={"include_usage": True})
    chunks = [plain(chunk) for chunk in asked]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    finishes = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
    return [text, finishes, chunks[0]["object"], chunks[-1]["usage"]["total_tokens"]]


@flow
def tools() -> list[Any]:
    answer = chats(client).create(
        model=f"{OPENAI}~tool2", messages=HI, tools=[TOOL], tool_choice="auto", parallel_tool_calls=True
    )
    choice = plain(answer.choices[0])
    calls = [call["function"] for call in choice["message"]["tool_calls"]]
    return [choice["finish_reason"], [[call["name"], json.loads(call["arguments"])] for call in calls]]


@flow
def tools_stream() -> list[Any]:
    calls: dict[int, list[str]] = {}
    for chunk in chats(client).create(model=f"{OPENAI}~tool2", messages=HI, tools=[TOOL], stream=True):
        for choice in map(plain, chunk.choices):
            for call in choice["delta"].get("tool_calls") or []:
                name, arguments = calls.get(call["index"], ["", ""])
                function = call["function"]
                calls[call["index"]] = [
                    name + (function.get("name") or ""),
                    arguments + (function.get("arguments") or ""),
                ]
    return [[name, json.loads(arguments)] for name, arguments in calls.values()]


@flow
def every_parameter() -> Any:
    """All that the document and the client's signature know and that can stand beside each other."""
    shared = {
        "model": OPENAI,
        "prompt": "hi",
        "frequency_penalty": 0.1,
        "logit_bias": {"50256": -100},
        "max_tokens": 20,
        "n": 2,
        "presence_penalty": 0.2,
        "seed": 7,
        "stop": ["END"],
        "temperature": 0.5,
        "top_p": 0.9,
        "user": "user-1",
    }
    more = {
        "inference_extra_headers": {"x-extra": "sent", "authorization": "Bearer stolen"},
        "inference_extra_params": {"prompt_cache_key": "k"},
        "inference_timeout": "30",
        "logprobs": True,
        "modalities": ["text"],
        "parallel_tool_calls": False,
        "prediction": {"type": "content", "content": "Hello"},
        "response_format": {"type": "text"},
        "tool_choice": "auto",
        "tools": [{**TOOL, "cache_control": {"type": "ephemeral"}}],
        "top_k": 5,
        "top_logprobs": 2,
    }
    answer = completions(client).create(**shared, **({} if beta else more))
    return [plain(choice)["text"] for choice in answer.choices]


@flow
def best_of() -> Any:
    return [plain(c)["text"] for c in completions(client).create(model=OPENAI, prompt="hi", best_of=2).choices]


@flow
def text_model() -> Any:
    answer = completions(client).create(
        model="openai/gpt-3.5-turbo-instruct", prompt="Once", suffix=" end", max_tokens=9
    )
    return plain(answer.choices[0])["text"]


def refused(of: Any = impatient, **fields: Any) -> list[Any]:
    try:
        completions(of).create(**{"model": OPENAI, "prompt": "hi", **fields})
    except package.APIStatusError as error:
        return [type(error).__name__, error.status_code, sorted(error.body), error.response.headers["x-should-retry"]]
    return ["no error"]


@flow
def unknown_model() -> list[Any]:
    return refused(model="no-such-model")


@flow
def bad_key() -> list[Any]:
    return refused(model=f"{OPENAI}~e401")


@flow
def wrong_field() -> list[Any]:
    try:
        completions(impatient).create(model=OPENAI, prompt="hi", temperature="hot")
    except package.APIStatusError as error:
        return [type(error).__name__, "temperature" in json.dumps(error.body)]
    return ["no error"]


@flow
def limited() -> list[Any]:
    return refused(model=f"{OPENAI}~e429after")


@flow
def broken() -> list[Any]:
    return refused(model=f"{OPENAI}~e500")


@flow
def unguarded() -> list[Any]:
    return refused(package.SGPClient(api_key="wrong", account_id="a", base_url=os.environ["GUARDED"]))


@flow
def failing_stream() -> list[Any]:
    """A failure in mid-stream is an exception or a chunk with an error, never a quiet end."""
    texts: list[str] = []
    errors: list[Any] = []
    try:
        for chunk in completions(client).create(model=f"{OPENAI}~serr", prompt="hi", stream=True):
            texts += [plain(choice)["text"] for choice in chunk.choices]
            errors += [True] if getattr(chunk, "error", None) else []
    except Exception as error:
        errors += [type(error).__name__]
    return ["".join(texts), errors]


async def gathered() -> list[Any]:
    answer = await completions(asynchronous).create(model="echo", prompt="async")
    asked = await chats(asynchronous).create(model=OPENAI, messages=HI, stream=True)
    texts = [plain(c)["delta"].get("content") or "" async for chunk in asked for c in chunk.choices]
    return [plain(answer.choices[0])["text"], "".join(texts)]


@flow
def concurrent() -> list[Any]:
    return asyncio.run(gathered())


if beta:

    @flow
    def own_key() -> Any:
        """The vendor knows only the gateway's key."""
        try:
            impatient.chat.completions.create(model=OPENAI, messages=HI, x_openai_api_key="sk-own")
        except package.APIStatusError as error:
            return [type(error).__name__, error.status_code]
        return ["no error"]

    @flow
    def models() -> Any:
        return [plain(one)["name"] for one in client.models.list()]

    @flow
    def model() -> Any:
        found = plain(client.models.retrieve("echo"))
        return [found["id"], found["name"]]

    @flow
    def chat_models() -> Any:
        found = client.chat.completions.models(limit=100)
        return sorted(plain(one)["model_name"] for one in found.items)

    @flow
    def chat_models_of_a_vendor() -> Any:
        found = client.chat.completions.models(model_vendor="anthropic")
        return [[plain(one)["model_name"], plain(one)["model_vendor"], plain(one)["model_type"]] for one in found.items]


else:

    @flow
    def memory() -> Any:
        """Of the conversation only the last message is to be sent."""
        spoken = [{"role": role, "content": f"{role} speaks"} for role in ("user", "assistant", "user")]
        last = {"name": "last_k", "k": 1}
        answer = client.beta.chat.completions.create(model=OPENAI, messages=spoken, memory_strategy=last)
        return answer.choices[0]["message"]["content"]


json.dump(seen, sys.stdout)
