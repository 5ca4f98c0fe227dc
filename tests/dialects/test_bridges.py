"""LiteLLM's own bridges as a yardstick: it translates the golden requests too, and the chat requests that come out are
compared, field by field.

Where the two differ, `ANTHROPIC` and `RESPONSES` say in which fields and why; a field that is listed and does not
differ fails as well, so the lists stay true.
"""

from __future__ import annotations

import asyncio
import copy
import json
from pathlib import Path
from typing import Any

import pytest

from proxy.dialects.anthropic import Anthropic
from proxy.dialects.responses import Responses
from proxy.models import Call, Json
from proxy.providers.litellm import LiteLLM

GOLDEN = Path(__file__).parents[1] / "golden"

ANTHROPIC: dict[str, dict[str, str]] = {
    "client-beta": {
        "reasoning_effort": "LiteLLM loses output_config.effort",
        "context_management": "LiteLLM passes what only Anthropic knows on to everybody; here it is noted",
    },
    "client-cached": {
        "messages": "LiteLLM makes a system message in the middle the user's; here the provider's room decides"
    },
    "client-documents": {
        "messages": "LiteLLM loses documents of text and of content, search results, and a document's context"
    },
    "client-text": {"service_tier": "LiteLLM keeps standard_only, which is no tier of OpenAI's; it means default"},
    "client-thinking": {
        "messages": "LiteLLM keeps thoughts without a signature, which Anthropic refuses, and adds reasoning_content"
    },
    "client-tools": {
        "messages": "LiteLLM puts pictures into a tool's message, which OpenAI refuses, and loses that a tool failed",
        "parallel_tool_calls": "LiteLLM loses disable_parallel_tool_use",
    },
}
"""By golden file and field of the chat request, why Anthropic's messages are translated otherwise."""

RESPONSES: dict[str, dict[str, str]] = {
    "client-allowed-tools": {
        "tool_choice": "LiteLLM passes allowed_tools as responses write it, which no chat model takes",
        "tools": "here the tools that are not allowed are not offered",
    },
    "client-reasoning": {
        "messages": "each side seals a thought in its own way; LiteLLM also adds reasoning_content",
        "logprobs": "LiteLLM loses include=message.output_text.logprobs",
        "top_logprobs": "LiteLLM loses top_logprobs",
    },
    "client-text": {
        "verbosity": "LiteLLM loses text.verbosity",
        "parallel_tool_calls": "LiteLLM leaves it out where there are no tools",
    },
    "client-tools": {"messages": "LiteLLM puts pictures into a tool's message, which OpenAI refuses"},
}
"""The same for OpenAI's responses."""

SILENT = frozenset(
    {"model", "stream", "stream_options", "metadata", "cache", "inputs", "log_omit", "tags", "custom_llm_provider"}
)
"""What says nothing of the translation: names, and what the gateway reads for itself."""


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    """LiteLLM as the gateway loads it: whoever loads it first sets it up for the whole process."""

    async def load() -> None:
        provider = LiteLLM(timeout=10, max_response=2**20)
        await provider.start()
        await provider.close()

    asyncio.run(load())


def plain(request: dict[str, Any]) -> dict[str, Json]:
    """A chat request without what is written in more than one way: nulls, JSON in JSON, a text as a list of one."""
    found = {name: value for name, value in request.items() if value is not None and name not in SILENT}
    found["messages"] = [message(one) for one in found["messages"]]
    tools = found.get("tools", [])
    found["tools"] = [{**tool, "function": present(tool["function"])} for tool in tools if "function" in tool]
    said: dict[str, Json] = json.loads(json.dumps(found))
    return said


def message(given: dict[str, Any]) -> dict[str, Any]:
    found = copy.deepcopy(present(given))
    match found.get("content"):
        case [{"type": "text", "text": text, **more}] if not more:
            found["content"] = text
        case "":
            del found["content"]
    for call in found.get("tool_calls", []):
        call["function"]["arguments"] = json.loads(call["function"]["arguments"])
        call.pop("index", None)
    return found


def present(holder: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in holder.items() if value is not None}


def ours(call: Call) -> dict[str, Json]:
    return plain({"messages": json.loads(json.dumps(call.request.messages)), **call.request.params})


def golden(folder: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDEN / folder / f"{name}.json").read_text())["request"]
    return found


def differing(one: dict[str, Json], other: dict[str, Json]) -> set[str]:
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}


def test_the_lists_name_golden_files() -> None:
    assert ANTHROPIC.keys() <= {path.stem for path in (GOLDEN / "anthropic").glob("*.json")}
    assert RESPONSES.keys() <= {path.stem for path in (GOLDEN / "responses").glob("*.json")}


@pytest.mark.parametrize("name", sorted(path.stem for path in (GOLDEN / "anthropic").glob("*.json")))
def test_anthropics_messages(name: str) -> None:
    from litellm.llms.anthropic.messages.adapters.transformation import LiteLLMAnthropicMessagesAdapter

    request = golden("anthropic", name)
    theirs, _ = LiteLLMAnthropicMessagesAdapter().translate_anthropic_to_openai(json.loads(json.dumps(request)))
    mine = ours(Anthropic().decode(json.dumps(request).encode(), {}))
    assert differing(mine, plain(dict(theirs))) == ANTHROPIC.get(name, {}).keys()


@pytest.mark.parametrize("name", sorted(path.stem for path in (GOLDEN / "responses").glob("*.json")))
def test_openais_responses(name: str) -> None:
    from litellm.responses.litellm_completion_transformation.transformation import LiteLLMCompletionResponsesConfig

    request = golden("responses", name)
    options = {key: value for key, value in request.items() if key not in ("model", "input")}
    theirs = LiteLLMCompletionResponsesConfig.transform_responses_api_request_to_chat_completion_request(
        model=request["model"], input=request["input"], responses_api_request=options, custom_llm_provider="openai"
    )
    mine = ours(Responses().decode(json.dumps(request).encode(), {}))
    assert differing(mine, plain(dict(theirs))) == RESPONSES.get(name, {}).keys()
