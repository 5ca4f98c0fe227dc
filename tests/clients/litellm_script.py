"""What a user writes who has litellm call this gateway: the argument is its address. Prints one JSON object of what it
saw.
"""

from __future__ import annotations

import asyncio
import json
import sys
import warnings
from collections.abc import Callable
from typing import Any

warnings.simplefilter("ignore")

import litellm  # noqa: E402, TID253

seen: dict[str, Any] = {}
HI = [{"role": "user", "content": "hi"}]
REACHED: dict[str, Any] = {"api_base": f"{sys.argv[1]}/v1", "api_key": "anything", "messages": HI}
TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "description": "d", "parameters": {"type": "object", "properties": {}}},
}
MODEL = "openai/gpt-4o-mini"


def flow(function: Callable[[], Any]) -> None:
    try:
        seen[function.__name__] = function()
    except Exception as error:  # which it is, is the finding
        seen[function.__name__] = f"{type(error).__name__}: {error}"


@flow
def whole() -> Any:
    answer = litellm.completion(model=MODEL, **REACHED)
    return [answer.choices[0].message.content, answer.choices[0].finish_reason, answer.usage.total_tokens]


@flow
def config_name() -> Any:
    return litellm.completion(model="openai/echo", **REACHED).choices[0].message.content


@flow
def stream() -> Any:
    chunks = list(litellm.completion(model=MODEL, stream=True, stream_options={"include_usage": True}, **REACHED))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    return [text, [chunk.usage.total_tokens for chunk in chunks if getattr(chunk, "usage", None)]]


@flow
def tools() -> Any:
    answer = litellm.completion(model=f"{MODEL}~tool2", tools=[TOOL], **REACHED)
    calls = [call.function for call in answer.choices[0].message.tool_calls]
    return [[call.name, json.loads(call.arguments)] for call in calls]


@flow
def text() -> Any:
    fields = {name: value for name, value in REACHED.items() if name != "messages"}
    answer = litellm.text_completion(model="text-completion-openai/echo", prompt="Once", **fields)
    return answer.choices[0].text


@flow
def as_a_proxy() -> Any:
    """The provider that litellm has for a LiteLLM proxy."""
    return litellm.completion(model="litellm_proxy/echo", **REACHED).choices[0].message.content


@flow
def asynchronous() -> Any:
    return asyncio.run(litellm.acompletion(model="openai/echo", **REACHED)).choices[0].message.content


@flow
def anthropic() -> Any:
    return litellm.completion(model="anthropic/echo", **{**REACHED, "api_base": sys.argv[1]}).choices[0].message.content


def refused(model: str) -> Any:
    try:
        litellm.completion(model=model, num_retries=0, max_retries=0, **REACHED)
    except Exception as error:
        return [type(error).__name__, getattr(error, "status_code", None)]
    return ["no error"]


@flow
def unknown_model() -> Any:
    return refused("openai/no-such-model")


@flow
def limited() -> Any:
    return refused(f"{MODEL}~e429after")


@flow
def too_long() -> Any:
    return refused(f"{MODEL}~context")


json.dump(seen, sys.stdout)
