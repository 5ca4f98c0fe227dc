"""What a user of openai writes, in the words that version 1.109 and version 3 share. Run with OPENAI_BASE_URL and
OPENAI_API_KEY set; prints one JSON object of what it saw.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import openai
from openai import AsyncOpenAI, OpenAI, pydantic_function_tool
from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionMessageParam
from pydantic import BaseModel

client = OpenAI()
impatient = OpenAI(max_retries=0)
seen: dict[str, Any] = {"version": openai.__version__}

MODEL = "gpt-4o-mini"
HI: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hi"}]
WEATHER: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="


class City(BaseModel):
    city: str


class Weather(BaseModel):
    city: str


class Time(BaseModel):
    zone: str


TOOLS = [pydantic_function_tool(Weather, name="get_weather"), pydantic_function_tool(Time, name="get_time")]


def flow(function: Callable[[], Any]) -> None:
    try:
        seen[function.__name__] = function()
    except Exception as error:  # which it is, is the finding
        seen[function.__name__] = f"{type(error).__name__}: {error}"


@flow
def chat() -> list[Any]:
    answer = client.chat.completions.create(model=MODEL, messages=HI)
    choice, usage = answer.choices[0], answer.usage
    assert usage is not None
    counts = [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens]
    return [answer.object, choice.message.role, choice.message.content, choice.finish_reason, *counts]


@flow
def stream() -> list[Any]:
    asked = client.chat.completions.create(
        model=MODEL, messages=HI, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(asked)
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    finishes = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    last = chunks[-1]
    return [text, finishes, len({chunk.id for chunk in chunks}), last.choices, last.usage and last.usage.total_tokens]


@flow
def stream_without_usage() -> list[Any]:
    chunks = list(client.chat.completions.create(model="echo", messages=HI, stream=True))
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    return [text, all(chunk.choices for chunk in chunks), [chunk.usage for chunk in chunks if chunk.usage]]


@flow
def tools() -> list[Any]:
    answer = client.chat.completions.create(
        model=f"{MODEL}~tool2", messages=HI, tools=[WEATHER], tool_choice="auto", parallel_tool_calls=True
    )
    choice = answer.choices[0]
    functions = [call.function for call in choice.message.tool_calls or [] if call.type == "function"]
    return [choice.finish_reason, [[one.name, json.loads(one.arguments)] for one in functions]]


@flow
def tools_stream() -> list[Any]:
    """Put together, and read into models, by the client itself."""
    with client.chat.completions.stream(model=f"{MODEL}~tool2", messages=HI, tools=TOOLS) as asked:
        kinds = {event.type for event in asked}
        choice = asked.get_final_completion().choices[0]
    parsed = [repr(call.function.parsed_arguments) for call in choice.message.tool_calls or []]
    return [choice.finish_reason, parsed, "tool_calls.function.arguments.done" in kinds]


@flow
def text_stream() -> list[Any]:
    with client.chat.completions.stream(model=MODEL, messages=HI, stream_options={"include_usage": True}) as asked:
        deltas = [event.delta for event in asked if event.type == "content.delta"]
        final = asked.get_final_completion()
    return ["".join(deltas), final.choices[0].message.content, final.usage and final.usage.total_tokens]


@flow
def tool_result() -> Any:
    conversation: list[ChatCompletionMessageParam] = [
        *HI,
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "call00001", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "call00001", "content": "sunny"},
    ]
    answer = client.chat.completions.create(model=MODEL, messages=conversation, tools=[WEATHER])
    return answer.choices[0].message.content


@flow
def samples() -> Any:
    answer = client.chat.completions.create(model="anthropic/claude-haiku-4-5", messages=HI, n=2)
    return [[choice.index, choice.message.content] for choice in answer.choices]


@flow
def samples_stream() -> Any:
    texts = {0: "", 1: ""}
    for chunk in client.chat.completions.create(model=MODEL, messages=HI, n=2, stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    return [texts[0], texts[1]]


@flow
def logprobs() -> Any:
    answer = client.chat.completions.create(model=MODEL, messages=HI, logprobs=True, top_logprobs=2)
    found = answer.choices[0].logprobs
    assert found is not None
    assert found.content is not None
    return [
        "".join(one.token for one in found.content),
        found.content[0].logprob <= 0,
        len(found.content[0].top_logprobs) > 0,
    ]


@flow
def structured() -> Any:
    answer = client.chat.completions.parse(model=f"{MODEL}~json", messages=HI, response_format=City)
    return repr(answer.choices[0].message.parsed)


@flow
def image() -> Any:
    parts: list[Any] = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    answer = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": parts}])
    return answer.choices[0].message.content


@flow
def every_parameter() -> Any:
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "developer", "content": "Answer in JSON."}, *HI],
        temperature=0.5,
        top_p=0.9,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        max_completion_tokens=20,
        stop=["END"],
        seed=7,
        logit_bias={"50256": -100},
        user="user-1",
        response_format={"type": "json_object"},
        metadata={"trace_name": "named"},
        service_tier="auto",
        store=False,
        extra_body={"prompt_cache_key": "k"},
    )
    return answer.choices[0].message.content


@flow
def completions() -> Any:
    answer = client.completions.create(
        model="openai/gpt-3.5-turbo-instruct", prompt="Once", max_tokens=9, suffix=" end"
    )
    return [answer.object, answer.choices[0].text, answer.choices[0].finish_reason]


@flow
def completions_stream() -> Any:
    chunks = list(client.completions.create(model="echo", prompt="Once", stream=True))
    return ["".join(choice.text for chunk in chunks for choice in chunk.choices), chunks[0].object]


@flow
def embeddings() -> Any:
    answer = client.embeddings.create(model="openai/text-embedding-3-small", input=["one", "two"])
    return [[one.index, len(one.embedding) > 0, type(one.embedding[0]).__name__] for one in answer.data]


@flow
def models() -> Any:
    return [model.id for model in client.models.list()]


@flow
def model() -> Any:
    found = client.models.retrieve("echo")
    return [found.id, found.object]


@flow
def responses() -> Any:
    answer = client.responses.create(model=MODEL, input="hi", instructions="Be brief.")
    return [answer.object, answer.status, answer.output_text, answer.usage and answer.usage.total_tokens]


@flow
def responses_stream() -> Any:
    events = list(client.responses.create(model=MODEL, input="hi", stream=True))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    last = events[-1]
    return [events[0].type, "".join(deltas), last.type, last.type == "response.completed" and last.response.output_text]


@flow
def responses_tools() -> Any:
    tool: Any = {"type": "function", **WEATHER["function"], "strict": False}
    answer = client.responses.create(model=f"{MODEL}~tool", input="hi", tools=[tool])
    return [[one.name, json.loads(one.arguments)] for one in answer.output if one.type == "function_call"]


@flow
def deployment() -> Any:
    answer = client.chat.completions.create(
        model="deployment/p-hello", messages=[], extra_body={"inputs": {"name": "Ada"}}
    )
    return answer.choices[0].message.content


@flow
def headers() -> Any:
    headers = {"x-trace-id": f"openai-{openai.__version__}", "x-tags": "a,b"}
    raw = client.chat.completions.with_raw_response.create(model="echo", messages=HI, extra_headers=headers)
    names = ("x-trace-id", "x-cache", "x-cache-reason")
    return [
        *(raw.headers.get(name) for name in names),
        "server-timing" in raw.headers,
        raw.parse().choices[0].message.content,
    ]


@flow
def cache() -> Any:
    text = f"What is new in {openai.__version__}?"
    found = []
    for _ in range(2):
        raw = client.chat.completions.with_raw_response.create(
            model="echo", messages=[{"role": "user", "content": text}], extra_body={"cache": True}
        )
        found.append([raw.headers["x-cache"], raw.parse().choices[0].message.content == f"You said: {text}"])
    return found


def refused(create: Callable[[], Any]) -> list[Any]:
    try:
        create()
    except openai.APIStatusError as error:
        again = error.response.headers["x-should-retry"]
        return [type(error).__name__, error.status_code, error.type, error.code, error.param, again]
    return ["no error"]


def ask(model: str, of: OpenAI = impatient, **fields: Any) -> Callable[[], Any]:
    return lambda: of.chat.completions.create(model=model, messages=HI, **fields)


@flow
def unknown_model() -> Any:
    return refused(ask("no-such-model"))


@flow
def unknown_path() -> Any:
    return refused(lambda: impatient.files.list())


@flow
def unknown_name() -> Any:
    return refused(lambda: impatient.models.retrieve("no-such-model"))


@flow
def wrong_key() -> Any:
    return refused(ask("echo", OpenAI(base_url=os.environ["GUARDED"])))


@flow
def right_key() -> Any:
    keyed = OpenAI(base_url=os.environ["GUARDED"], api_key=os.environ["GUARD"])
    return keyed.chat.completions.create(model="echo", messages=HI).choices[0].message.content


@flow
def wrong_upstream_key() -> Any:
    return refused(ask(f"{MODEL}~e401"))


@flow
def wrong_field() -> Any:
    return refused(ask(MODEL, temperature="hot"))


@flow
def limited() -> Any:
    try:
        ask(f"{MODEL}~e429after")()
    except openai.RateLimitError as error:
        return [error.status_code, error.code, error.response.headers["retry-after"]]
    return ["no error"]


@flow
def tried_again() -> Any:
    """The vendor asks for a second's patience, once; the client has it."""
    start = time.monotonic()
    answer = OpenAI(max_retries=1).chat.completions.create(model="groq/openai/gpt-oss-20b", messages=HI)
    return [answer.choices[0].message.content, time.monotonic() - start >= 1]


@flow
def too_long() -> Any:
    return refused(ask(f"{MODEL}~context"))


@flow
def failing_stream() -> Any:
    text = ""
    try:
        for chunk in client.chat.completions.create(model=f"{MODEL}~serr", messages=HI, stream=True):
            text += chunk.choices[0].delta.content or ""
    except openai.APIError as error:
        return [text, type(error).__name__, bool(error.message)]
    return [text, "no error"]


@flow
def cut_stream() -> Any:
    text = ""
    try:
        for chunk in client.chat.completions.create(model=f"{MODEL}~cut", messages=HI, stream=True):
            text += chunk.choices[0].delta.content or ""
    except openai.APIError as error:
        return [text, type(error).__name__]
    return [text, "no error"]


async def gathered() -> list[Any]:
    async with AsyncOpenAI() as asynchronous:
        answer = await asynchronous.chat.completions.create(model="echo", messages=HI)
        asked = await asynchronous.chat.completions.create(model=MODEL, messages=HI, stream=True)
        pieces = [choice.delta.content or "" async for chunk in asked for choice in chunk.choices]
    return [answer.choices[0].message.content, "".join(pieces)]


@flow
def concurrent() -> Any:
    return asyncio.run(gathered())


json.dump(seen, sys.stdout)
