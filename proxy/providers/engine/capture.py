"""What LiteLLM would send, caught before it leaves: its translation of one call, whole and as it is.

LiteLLM's wrapper costs milliseconds a call, but what it writes depends only on the target, the parameters and the form
of the conversation. So it is asked once for each of these (`providers/wires.py`). What must stay true: a captured call
sends nothing, and nothing that another call holds is changed by it.
"""

from __future__ import annotations

import asyncio
import copy
import functools
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from proxy.models import Json

if TYPE_CHECKING:
    import httpx

SECRETS = frozenset(
    {
        "api_key",
        "azure_ad_token",
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_session_token",
        "vertex_credentials",
        "authorization",
        "x-api-key",
        "api-key",
    }
)
"""What LiteLLM notes about a call, or puts into its headers, and no translation needs."""


@dataclass(slots=True)
class Capture:
    """One request as LiteLLM writes it; `url` is empty until it was caught. `transform` is the method of LiteLLM's
    that made its body.
    """

    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    transform: Transform | None = None
    caught: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True, frozen=True)
class Transform:
    """A method of LiteLLM's that translates conversations, with the arguments that it got besides; `owner` is what it
    belongs to, None for a function.
    """

    function: Callable[..., Any]
    owner: Any
    named: Mapping[str, Any] = field(repr=False)

    def __call__(self, messages: list[Json]) -> tuple[Any, Mapping[str, Any]]:
        """The body for other messages, and LiteLLM's notes about it; neither they nor the arguments are changed."""
        named = _fresh({**self.named, "messages": messages})
        owner = () if self.owner is None else (self.owner,)
        return self.function(*owner, **named), named.get("litellm_params") or {}


def _public(argument: Any) -> Any:
    """LiteLLM's notes about a call, or its headers, without what is secret."""
    if not isinstance(argument, dict):
        return argument
    return {name: value for name, value in argument.items() if str(name).lower() not in SECRETS}


NESTED = (dict, list)


def _fresh(value: Any) -> Any:
    """A copy of JSON as deep as it goes, with all else in it as it is; `deepcopy` takes four times as long."""
    if isinstance(value, dict):
        return {name: _fresh(each) if isinstance(each, NESTED) else each for name, each in value.items()}
    return [_fresh(each) if isinstance(each, NESTED) else each for each in value]


_capture: ContextVar[Capture | None] = ContextVar("proxy_capture", default=None)


async def capture(ask: Callable[[], Awaitable[Any]], *, stream: bool) -> Capture:
    """What `ask` sends first. Raises what LiteLLM raises where it refuses before anything is sent."""
    found = Capture()
    task = asyncio.create_task(_attempt(found, ask, stream))
    caught = asyncio.ensure_future(found.caught.wait())
    try:
        await asyncio.wait({task, caught}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        caught.cancel()
        task.cancel()
    if not found.url and (error := task.exception()) is not None:
        raise error
    return found


async def _attempt(found: Capture, ask: Callable[[], Awaitable[Any]], stream: bool) -> None:
    """In a task, whose context is its own: until the request is caught, where it stays."""
    _capture.set(found)
    answer = await ask()
    if stream:
        await anext(aiter(answer))


async def catch(request: httpx.Request) -> None:
    """For the guard: a request that is being captured goes no further, and waits for its task to be cancelled."""
    found = _capture.get()
    if found is None:
        return
    found.body = await request.aread()
    found.headers = dict(request.headers)
    found.url = str(request.url)
    found.caught.set()
    await asyncio.Event().wait()


def recorded(method: Callable[..., Any], again: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """A method of LiteLLM's that translates conversations, or a function, which a capture remembers; the outermost of
    one call. `again` is what does the same in its stead for the calls that follow, where it is a coroutine itself.
    """

    @functools.wraps(method)
    def transform(*owner: Any, **named: Any) -> Any:
        found = _capture.get()
        if found is not None and found.transform is None and len(owner) < 2:
            kept = copy.deepcopy({name: _public(value) for name, value in named.items() if name != "messages"})
            found.transform = Transform(again or method, owner[0] if owner else None, kept)
        return method(*owner, **named)

    return transform
