"""What a user of langchain-openai writes. Run with OPENAI_BASE_URL and OPENAI_API_KEY set; prints one JSON object of
what it saw.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings
from pydantic import BaseModel

seen: dict[str, Any] = {}
MODEL = "gpt-4o-mini"


class City(BaseModel):
    """A city."""

    city: str


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


WEATHER = tool(get_weather)


def flow(function: Callable[[], Any]) -> None:
    try:
        seen[function.__name__] = function()
    except Exception as error:  # which it is, is the finding
        seen[function.__name__] = f"{type(error).__name__}: {error}"


@flow
def invoke() -> Any:
    answer = ChatOpenAI(model=MODEL, temperature=0).invoke("hi")
    return [answer.content, answer.usage_metadata["total_tokens"], answer.response_metadata["finish_reason"]]


@flow
def stream() -> Any:
    chunks = list(ChatOpenAI(model=MODEL, stream_usage=True).stream("hi"))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return [whole.content, whole.usage_metadata["total_tokens"], len(chunks) > 2]


@flow
def bind_tools() -> Any:
    """A round trip: the model asks, the tool answers, the model goes on."""
    asked: Any = [HumanMessage("hi")]
    answer = ChatOpenAI(model=f"{MODEL}~tool").bind_tools([WEATHER]).invoke(asked)
    (call,) = answer.tool_calls
    result = WEATHER.invoke(call)
    final = ChatOpenAI(model=MODEL).bind_tools([WEATHER]).invoke([*asked, answer, result])
    return [call["name"], call["args"], isinstance(result, ToolMessage) and result.content, final.content]


@flow
def bind_tools_stream() -> Any:
    chunks = list(ChatOpenAI(model=f"{MODEL}~tool2").bind_tools([WEATHER]).stream("hi"))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return [[call["name"], call["args"]] for call in whole.tool_calls]


@flow
def structured() -> Any:
    asked = ChatOpenAI(model=f"{MODEL}~json").with_structured_output(City, method="json_schema")
    return repr(asked.invoke("hi"))


@flow
def batch() -> Any:
    return [answer.content for answer in ChatOpenAI(model="echo").batch(["one", "two"])]


@flow
def asynchronous() -> Any:
    return asyncio.run(ChatOpenAI(model="echo").ainvoke("hi")).content


@flow
def responses() -> Any:
    return ChatOpenAI(model=MODEL, use_responses_api=True).invoke("hi").text


@flow
def text() -> Any:
    return OpenAI(model="openai/gpt-3.5-turbo-instruct").invoke("Once")


@flow
def embeddings() -> Any:
    made = OpenAIEmbeddings(model="openai/text-embedding-3-small", check_embedding_ctx_length=False)
    return [len(vector) > 0 for vector in made.embed_documents(["one", "two"])]


@flow
def refused() -> Any:
    try:
        ChatOpenAI(model="no-such-model", max_retries=0).invoke("hi")
    except Exception as error:
        return [type(error).__name__, getattr(error, "code", None)]
    return ["no error"]


json.dump(seen, sys.stdout)
