"""What a user of instructor writes. Run with OPENAI_BASE_URL and OPENAI_API_KEY set; prints one JSON object of what it
saw.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import instructor
from instructor.core import InstructorRetryException
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel, Field

seen: dict[str, Any] = {}
HI: Any = [{"role": "user", "content": "hi"}]


class get_weather(BaseModel):  # instructor calls the tool by the name of the class
    """The weather of a city."""

    city: str


class City(BaseModel):
    city: str


class Impossible(BaseModel):
    city: str = Field(max_length=1)


def flow(function: Callable[[], Any]) -> None:
    try:
        seen[function.__name__] = function()
    except Exception as error:  # which it is, is the finding
        seen[function.__name__] = f"{type(error).__name__}: {error}"


@flow
def tools() -> Any:
    client = instructor.from_openai(OpenAI())
    return repr(client.chat.completions.create(model="gpt-4o-mini~tool", messages=HI, response_model=get_weather))


@flow
def json_schema() -> Any:
    client = instructor.from_openai(OpenAI(), mode=instructor.Mode.JSON_SCHEMA)
    made, raw = client.chat.completions.create_with_completion(
        model="gpt-4o-mini~json", messages=HI, response_model=City
    )
    return [repr(made), raw.usage.total_tokens]


@flow
def partial() -> Any:
    client = instructor.from_openai(OpenAI(), mode=instructor.Mode.JSON)
    found = client.chat.completions.create_partial(model="gpt-4o-mini~json", messages=HI, response_model=City)
    return [made.city for made in found][-1]


@flow
def asynchronous() -> Any:
    client = instructor.from_openai(AsyncOpenAI())
    asked = client.chat.completions.create(model="gpt-4o-mini~tool", messages=HI, response_model=get_weather)
    return repr(asyncio.run(asked))


@flow
def asked_again() -> Any:
    """An answer that does not fit is sent back with what is wrong with it."""
    client = instructor.from_openai(OpenAI(), mode=instructor.Mode.JSON)
    try:
        client.chat.completions.create(model="gpt-4o-mini~json", messages=HI, response_model=Impossible, max_retries=2)
    except InstructorRetryException as error:
        return error.n_attempts
    return "no error"


json.dump(seen, sys.stdout)
