"""One LiteLLM for each module: its clients belong to the event loop that they were made on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from proxy.providers.litellm import LiteLLM


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def provider(anyio_backend: str) -> AsyncIterator[LiteLLM]:
    provider = LiteLLM(timeout=10, max_response=2**20)
    await provider.start()
    yield provider
    await provider.close()
