"""OpenAI's own client, as LiteLLM makes and keeps it for conversations, for what LiteLLM itself asks badly.

LiteLLM streams texts through a client without the guard, takes a text that breaks off for a whole one, and repeats
failed embeddings whatever it is told. Its client under these has none of it.

What must stay true: the key and the address are the target's own, never the environment's; nothing is repeated.
"""

from __future__ import annotations

from typing import Any

from proxy.config.targets import UNCHANGED
from proxy.providers import credentials
from proxy.target import Target

BASES = {
    "openai": "https://api.openai.com/v1",
    "openrouter": "https://openrouter.ai/api/v1",
    "fireworks": "https://api.fireworks.ai/inference/v1",
    "mistral": "https://api.mistral.ai/v1",
}
"""Where a provider is when the config does not say."""

COMPATIBLE = frozenset({*BASES, "azure", "anyscale", "litellm"})
"""Providers with endpoints of OpenAI's form."""


def reaches(target: Target) -> bool:
    """Whether the client can be used; what only LiteLLM knows has addresses that only LiteLLM knows."""
    return target.provider in COMPATIBLE and not target.settings.get(UNCHANGED)


def client(litellm: Any, target: Target, timeout: float) -> Any:
    """The client for a target, made once for each key and address; it waits `timeout` for each piece of an answer."""
    found = credentials.arguments(target)
    if target.provider == "azure":
        token = found.get("azure_ad_token")
        made = litellm.main.azure_text_completions.get_azure_openai_client(
            api_key=found.get("api_key"),
            api_base=found["api_base"],
            api_version=found.get("api_version") or litellm.AZURE_DEFAULT_API_VERSION,
            litellm_params={"azure_ad_token": token} if token else {},
            model=target.model,
            _is_async=True,
        )
    else:
        made = litellm.main.openai_chat_completions.get_openai_client(
            is_async=True,
            api_key=found["api_key"],
            api_base=found.get("api_base") or BASES[target.provider],
            organization=found.get("organization"),
            max_retries=0,
        )
    return made.with_options(timeout=timeout, max_retries=0)


async def close(litellm: Any) -> None:
    """Let go of every connection that LiteLLM keeps, so that the loop can be closed that they belong to."""
    await litellm.close_litellm_async_clients()
    # Claude's streams have a client that is in that cache only until it is flushed once. What it holds is closed, not
    # the client itself: the next gateway of this process opens it again.
    await litellm.module_level_aclient.client._transport.aclose()
    litellm.in_memory_llm_clients_cache.flush_cache()
