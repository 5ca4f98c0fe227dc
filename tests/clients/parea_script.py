"""What a user of parea-ai writes. Run with PAREA_BASE_URL set; prints one JSON object of what it saw."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from parea import Parea
from parea import trace as untyped_trace
from parea.schemas import Completion, LLMInputs, Message, ModelParams, Role, UseDeployedPrompt
from parea.utils.trace_utils import get_current_trace_id

logging.disable(logging.CRITICAL)
Function = TypeVar("Function", bound=Callable[..., Any])
client = Parea(api_key="anything", project_name="client-test")
seen: dict[str, Any] = {}


def trace(function: Function) -> Function:
    traced: Function = untyped_trace(function)
    return traced


def asking(text: str, **fields: Any) -> Completion:
    inputs = LLMInputs(model="echo", messages=[Message(content=text, role=Role.user)])
    return Completion(llm_configuration=inputs, **fields)


def vendor(model: str, **fields: Any) -> LLMInputs:
    return LLMInputs(model=model, provider="openai", messages=[Message(content="hi", role=Role.user)], **fields)


def calls() -> None:
    answer = client.completion(asking("Hello {{name}}", llm_inputs={"name": "Ada"}, metadata={"n": 1}, tags=["t"]))
    seen["completion"] = [answer.content, answer.status, answer.provider, answer.cost, answer.error]
    seen["again"] = client.completion(asking("Hello {{name}}", llm_inputs={"name": "Ada"})).cache_hit
    seen["stream"] = "".join(client.stream(asking("data: one two")))
    params = ModelParams(temp=0.5, max_length=20)
    answer = client.completion(Completion(llm_configuration=vendor("gpt-4o-mini", model_params=params)))
    seen["vendor"] = [answer.content, answer.input_tokens, answer.output_tokens, answer.cost > 0]
    function = {"name": "get_weather", "description": "d", "parameters": {"type": "object", "properties": {}}}
    called = vendor("gpt-4o-mini~tool", functions=[function], function_call="auto")
    content = client.completion(Completion(llm_configuration=called)).content
    seen["function"] = json.loads(content.replace("```", "")).get("arguments")
    failed = client.completion(Completion(llm_configuration=vendor("gpt-4o-mini~e401")))
    seen["failed"] = [failed.status, failed.content, bool(failed.error)]
    prompt = client.get_prompt(UseDeployedPrompt(deployment_id="p-hello", llm_inputs={"name": "Ada"}))
    assert prompt.prompt is not None
    seen["prompt"] = [prompt.prompt.messages, prompt.version_number]
    deployed = client.completion(Completion(deployment_id="p-hello", llm_inputs={"name": "Bob"}))
    seen["deployed"] = deployed.content


async def async_calls() -> None:
    answer = await client.acompletion(asking("async"))
    seen["acompletion"] = answer.content
    seen["astream"] = "".join([piece async for piece in client.astream(asking("async stream"))])
    with contextlib.suppress(Exception):
        [piece async for piece in client.astream(Completion(deployment_id="p-none"))]
        seen["astream_error"] = "none"


@trace
def leaf(number: int) -> str:
    return str(client.completion(asking(f"leaf {number}")).content)


@trace
async def async_leaf(number: int) -> str:
    return str((await client.acompletion(asking(f"async leaf {number}"))).content)


@trace
def trunk() -> str:
    seen["trunk"] = get_current_trace_id()
    return leaf(1) + leaf(2)


@trace
async def async_trunk() -> list[str]:
    seen["async_trunk"] = get_current_trace_id()
    return list(await asyncio.gather(*(async_leaf(number) for number in range(3))))


@trace
def broken() -> None:
    seen["broken"] = get_current_trace_id()
    raise ValueError("on purpose")


async def main() -> None:
    await async_calls()
    await async_trunk()


calls()
trunk()
with ThreadPoolExecutor(2) as pool:
    list(pool.map(lambda _: trunk(), range(2)))
with contextlib.suppress(ValueError):
    broken()
asyncio.run(main())
try:
    "".join(client.stream(Completion(deployment_id="p-none")))
except Exception as error:  # what the client raises is its own affair; which it is, is the finding
    seen["stream_error"] = [type(error).__name__, getattr(getattr(error, "response", None), "status_code", None)]
json.dump(seen, sys.stdout)
