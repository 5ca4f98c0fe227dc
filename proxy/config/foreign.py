"""The keys of LiteLLM's blocks that have no effect here: those that LiteLLM knows are told, all others are mistakes.

What must stay true: a key that is misspelt is an error, since a wrong key, address or limit would cost money; a config
that LiteLLM takes is taken here as well.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from proxy.config import settings
from proxy.config.document import Document, Place
from proxy.config.hint import OTHER_WORDS, closest

KEYS = Path(__file__).with_name("litellm.keys.json")
"""LiteLLM's keys by block, as `make keys` finds them in the LiteLLM that is installed."""

BLOCKS: dict[str, type[BaseModel]] = {
    "router_settings": settings.RouterKeys,
    "litellm_settings": settings.LiteLLMKeys,
    "general_settings": settings.GeneralSettings,
    "model_list": settings.ModelEntry,
    "litellm_params": settings.LiteLLMParams,
    "model_info": settings.ModelInfo,
}


IGNORED = frozenset(
    {
        "agent_list",
        "agents",
        "assistant_settings",
        "cache_params",
        "callback_settings",
        "credential_list",
        "default_vertex_config",
        "environment_variables",
        "files_settings",
        "finetune_settings",
        "guardrails",
        "include",
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


@functools.cache
def known() -> dict[str, frozenset[str]]:
    """LiteLLM's keys, by block."""
    return {block: frozenset(keys) for block, keys in json.loads(KEYS.read_text("utf-8")).items()}


def unused(document: Document) -> dict[Place, str]:
    """The keys that have no effect, each with what to say about it. Mistakes go to the document's problems."""
    data = document.data
    found: dict[Place, str] = {}
    if not isinstance(data, dict):
        return found
    for key in sorted(IGNORED & data.keys()):
        found[(key,)] = "is a block of LiteLLM's that is not supported; ignored"
    mistakes: dict[Place, str] = {}
    for name, place, block in _blocks(data):
        for key in block.keys() - BLOCKS[name].model_fields.keys() if isinstance(block, dict) else ():
            mistake = _mistake(name, key)
            (found if mistake is None else mistakes)[(*place, key)] = mistake or "is LiteLLM's; not supported here"
    below = [*found, *mistakes]
    document.problems = [one for one in document.problems if not any(one.place[: len(top)] == top for top in below)]
    for place, text in mistakes.items():
        document.problem(place, text)
    return found


def _blocks(data: dict[str, Any]) -> Iterator[tuple[str, Place, Any]]:
    """Each block of LiteLLM's format: its name, where it stands, what is in it."""
    for name in ("router_settings", "litellm_settings", "general_settings"):
        yield name, (name,), data.get(name)
    entries = data.get("model_list")
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        place: Place = ("model_list", index)
        yield "model_list", place, entry
        for name in ("litellm_params", "model_info") if isinstance(entry, dict) else ():
            yield name, (*place, name), entry.get(name)


def _mistake(name: str, key: str) -> str | None:
    """What is wrong with an unknown key; None if it is one of LiteLLM's."""
    theirs = known()[name]
    if key in theirs and OTHER_WORDS.get(key) not in BLOCKS[name].model_fields:
        return None
    meant = closest(key, BLOCKS[name].model_fields)
    if meant:
        return f'unknown key; did you mean "{meant}"?'
    if name == "model_info":  # which may hold anything in LiteLLM's format
        return None
    meant = closest(key, theirs)
    if meant:
        return f'unknown key; did you mean LiteLLM\'s "{meant}", which is not supported here?'
    more = "; a provider's own parameters can stand nowhere in the config" if name == "litellm_params" else ""
    return f"unknown key, also to LiteLLM{more}"
