"""Nobody: what stands in the place of every vendor while recorded calls are replayed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Self

from proxy.errors import NotRecorded
from proxy.models import Call, Event, Json
from proxy.target import Target

REFUSAL = "nobody is called with --mode replay"


class Silent:
    """A `Provider` that calls nobody."""

    def __init__(self, **options: Any) -> None:
        """`options` are those of a provider that calls."""

    def under(self, **options: Any) -> Self:
        return self

    def complete(self, call: Call, target: Target) -> AsyncGenerator[Event, None]:
        raise NotRecorded(REFUSAL)

    async def explain(self, call: Call, target: Target) -> dict[str, Json]:
        raise NotRecorded(REFUSAL)

    async def warm(self, call: Call, target: Target) -> None:
        return None

    def start(self) -> None:
        return None

    async def ready(self) -> str | None:
        return None

    async def close(self) -> None:
        return None


provider = Silent
