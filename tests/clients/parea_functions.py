"""What a user of parea-ai writes whose functions call models: `@trace` in threads and tasks, and one that raises.

Run with PAREA_BASE_URL set; prints one JSON object: how many rows it makes.
"""

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
from parea.schemas import Completion, LLMInputs, Message, Role

logging.disable(logging.CRITICAL)
Function = TypeVar("Function", bound=Callable[..., Any])
client = Parea(api_key="anything", project_name="client-test")


def trace(function: Function) -> Function:
    traced: Function = untyped_trace(function)
    return traced


def asking(text: str) -> Completion:
    return Completion(llm_configuration=LLMInputs(model="echo", messages=[Message(content=text, role=Role.user)]))


@trace
def leaf(number: int) -> str:
    return str(client.completion(asking(f"leaf {number}")).content)


@trace
def trunk() -> str:
    return leaf(1) + leaf(2)


@trace
async def async_leaf(number: int) -> str:
    return str((await client.acompletion(asking(f"async leaf {number}"))).content)


@trace
async def async_trunk() -> list[str]:
    return list(await asyncio.gather(*(async_leaf(number) for number in range(3))))


@trace
def broken() -> None:
    leaf(3)
    raise ValueError("on purpose")


trunk()
with ThreadPoolExecutor(2) as pool:
    list(pool.map(lambda _: trunk(), range(2)))
with contextlib.suppress(ValueError):
    broken()
asyncio.run(async_trunk())
json.dump({"rows": 3 * 5 + 3 + 7}, sys.stdout)
