"""What a capture remembers of LiteLLM's translations; tests/providers/test_parity.py captures the real ones."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from proxy.providers.engine.capture import Capture, Transform, capture, catch, recorded

Json = Any

MESSAGES = [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]


class Vendor:
    """A translation that changes whatever it is given, as some of LiteLLM's do."""

    @recorded
    def translate(self, *, messages: Json, optional_params: Json, litellm_params: Json, headers: Json) -> Json:
        messages[0]["content"].append("more")
        litellm_params["noted"] = True
        return {"messages": messages, "tools": optional_params["tools"].pop()}


async def captured() -> Capture:
    """A call of the vendor's, up to where it would be sent."""

    async def ask() -> None:
        body = Vendor().translate(
            messages=json.loads(json.dumps(MESSAGES)),
            optional_params={"tools": ["a", "b"]},
            litellm_params={"api_key": "sk-secret", "drop_params": True},
            headers={"X-Api-Key": "sk-secret", "anthropic-beta": "b"},
        )
        await catch(httpx.Request("POST", "http://upstream/chat", json=body))
        pytest.fail("a captured request goes no further")

    return await capture(ask, stream=False)


async def remembered() -> Transform:
    found = await captured()
    assert found.transform is not None
    return found.transform


async def test_a_captured_request_is_told_and_not_sent() -> None:
    found = await captured()
    assert found.url == "http://upstream/chat"
    assert json.loads(found.body)["tools"] == "b"


async def test_the_next_call_is_translated_as_the_first_one_was() -> None:
    transform = await remembered()
    before = json.dumps(MESSAGES)
    bodies = [transform(MESSAGES)[0] for _ in range(3)]
    assert (
        bodies == [{"messages": [{"role": "user", "content": [MESSAGES[0]["content"][0], "more"]}], "tools": "b"}] * 3
    )
    assert json.dumps(MESSAGES) == before
    assert transform(MESSAGES)[1] == {"drop_params": True, "noted": True}


async def test_no_secret_is_remembered() -> None:
    transform = await remembered()
    assert "sk-secret" not in str(transform.named)
    assert transform.named["headers"] == {"anthropic-beta": "b"}


async def test_outside_of_a_capture_nothing_is_remembered_and_nothing_held_up() -> None:
    await catch(httpx.Request("POST", "http://upstream/chat"))
    body = Vendor().translate(
        messages=json.loads(json.dumps(MESSAGES)), optional_params={"tools": ["a"]}, litellm_params={}, headers={}
    )
    assert body["tools"] == "a"


async def test_a_refusal_before_anything_is_sent_is_raised() -> None:
    async def ask() -> None:
        raise ValueError("no such model")

    with pytest.raises(ValueError, match="no such model"):
        await capture(ask, stream=False)
