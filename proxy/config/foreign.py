"""The keys of LiteLLM's blocks that have no effect here. They are told, whether LiteLLM knows them or not.

What must stay true: a misspelt key that would have an effect is an error, since a key, an address or a limit that is
not heeded costs money or safety; a config that LiteLLM takes is taken here as well.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from proxy.config import reliability, settings
from proxy.config.document import Document, Place
from proxy.config.hint import OTHER_WORDS, closest
from proxy.config.missing import instead

KEYS = Path(__file__).with_name("litellm.keys.json")
"""LiteLLM's keys by block, as `make keys` finds them in the LiteLLM that is installed."""

BLOCKS: dict[str, type[BaseModel]] = {
    "router_settings": reliability.RouterKeys,
    "litellm_settings": reliability.LiteLLMKeys,
    "general_settings": settings.GeneralSettings,
    "model_list": settings.ModelEntry,
    "litellm_params": settings.LiteLLMParams,
    "model_info": settings.ModelInfo,
    "cache_params": reliability.CacheParams,
    "credential_values": settings.CredentialValues,
    "retry_policy": reliability.RetryPolicy,
}

ANYTHING = frozenset({"litellm_params", "model_info"})
"""Blocks that may hold anything in LiteLLM's format, of which a name tells nothing."""

PROVIDERS = frozenset({"api_type", "encoding_format", "speed"})
"""Parameters of providers that are near one of `litellm_params` and no misspelling of it."""

IGNORED = frozenset(
    {
        "agent_list",
        "agents",
        "assistant_settings",
        "cache_params",
        "callback_settings",
        "default_vertex_config",
        "files_settings",
        "finetune_settings",
        "guardrails",
        "mcp_servers",
        "mcp_tools",
        "pass_through_endpoints",
        "plugins",
        "policies",
        "policy_attachments",
        "prompts",
        "sandbox_tools",
        "search_tools",
        "vector_store_registry",
        "worker_registry",
    }
)
"""Top-level keys of LiteLLM's format that the gateway has no use for."""

UNKNOWN = "is an unknown key; it has no effect here"


@functools.cache
def known() -> dict[str, frozenset[str]]:
    """LiteLLM's keys, by block."""
    found = {block: frozenset(keys) for block, keys in json.loads(KEYS.read_text("utf-8")).items()}
    return {**found, "credential_values": found["litellm_params"]}


def unused(document: Document) -> dict[Place, str]:
    """The keys that have no effect, each with what to say about it. Mistakes go to the document's problems."""
    data = document.data
    found: dict[Place, str] = {}
    if not isinstance(data, dict):
        return found
    for key in sorted(IGNORED & data.keys()):
        found[(key,)] = f"is a block of LiteLLM's that is not supported; ignored{instead('', key)}"
    for key in data.keys() - IGNORED - settings.File.model_fields.keys():
        if closest(key, settings.File.model_fields.keys()) is None:
            found[(key,)] = UNKNOWN
    mistakes: dict[Place, str] = {}
    for name, place, block in _blocks(data):
        own = BLOCKS[name].model_fields
        for key in (key for key in block if key not in own) if isinstance(block, dict) else ():
            mistake = _mistake(name, key)
            (mistakes if mistake else found)[(*place, key)] = mistake or _told(name, key)
    below = [*found, *mistakes]
    document.problems = [one for one in document.problems if not any(one.place[: len(top)] == top for top in below)]
    for place, text in mistakes.items():
        document.problem(place, text)
    return found


def _blocks(data: dict[str, Any]) -> Iterator[tuple[str, Place, Any]]:
    """Each block of LiteLLM's format: its name, where it stands, what is in it."""
    for name in ("router_settings", "litellm_settings", "general_settings"):
        yield name, (name,), data.get(name)
    yield from _below(data, "cache_params", ("litellm_settings", "cache_params"))
    yield from _below(data, "retry_policy", ("router_settings", "retry_policy"))
    policies = _at(data, ("router_settings", "model_group_retry_policy"))
    for group in policies if isinstance(policies, dict) else ():
        yield from _below(data, "retry_policy", ("router_settings", "model_group_retry_policy", group))
    for index in range(_length(data, "credential_list")):
        yield from _below(data, "credential_values", ("credential_list", index, "credential_values"))
    for index in range(_length(data, "model_list")):
        yield from _below(data, "model_list", ("model_list", index))
        for name in ("litellm_params", "model_info"):
            yield from _below(data, name, ("model_list", index, name))


def _below(data: dict[str, Any], name: str, place: Place) -> Iterator[tuple[str, Place, Any]]:
    yield name, place, _at(data, place)


def _at(data: Any, place: Place) -> Any:
    """What stands at `place`, or None."""
    for part in place:
        if isinstance(part, int) and isinstance(data, list):
            data = data[part]
        else:
            data = data.get(part) if isinstance(data, dict) else None
    return data


def _length(data: dict[str, Any], key: str) -> int:
    return len(found) if isinstance(found := data.get(key), list) else 0


def _mistake(name: str, key: str) -> str | None:
    """What is wrong with a key that was to be one that has an effect; None if it is another."""
    own = BLOCKS[name].model_fields
    if key in known()[name] and OTHER_WORDS.get(key) not in own:
        return None
    if name == "litellm_params" and key in PROVIDERS:
        return None
    meant = closest(key, own)
    return f'unknown key; did you mean "{meant}"?' if meant else None


def _told(name: str, key: str) -> str:
    """What to say of a key that has no effect."""
    if key in known()[name]:
        return f"is LiteLLM's; not supported here{instead(name, key)}"
    return UNKNOWN if name in ANYTHING else f"{UNKNOWN}{instead(name, key)}"
