from __future__ import annotations

from typing import Any

import pytest

from proxy.dialects.scale.messages import conversation
from proxy.dialects.scale.schema import ScaleMessageSchema
from proxy.models import Message


def said(*messages: dict[str, Any], last: int | None = None) -> list[Message]:
    return conversation([ScaleMessageSchema.model_validate(message) for message in messages], last)


CALL = {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f"}}]}
RESULT = {"role": "tool", "tool_call_id": "c", "content": "sunny"}


@pytest.mark.parametrize(
    ("message", "role"),
    [
        ({"content": "hi"}, "user"),
        ({"content": "sunny", "tool_call_id": "c"}, "tool"),
        ({"tool_calls": CALL["tool_calls"]}, "assistant"),
        ({"role": "developer", "content": "hi"}, "developer"),
    ],
)
def test_a_role_may_be_left_out(message: dict[str, Any], role: str) -> None:
    assert said(message)[0]["role"] == role


def test_a_single_part_becomes_a_list() -> None:
    part = {"type": "text", "text": "hi"}
    assert said({"content": part}) == [{"role": "user", "content": [part]}]


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("iVBORw0KGgo=", "data:image/png;base64,iVBORw0KGgo="),
        ("data:image/png;base64,iVBORw0KGgo=", "data:image/png;base64,iVBORw0KGgo="),
        ("https://example.org/x.png", "https://example.org/x.png"),
    ],
)
def test_an_image_with_a_media_type_is_an_address(url: str, sent: str) -> None:
    image = {"url": url, "media_type": "image/png", "detail": "low"}
    (message,) = said({"content": [{"type": "image_url", "image_url": image}]})
    assert message["content"] == [{"type": "image_url", "image_url": {"url": sent, "detail": "low"}}]


def test_memory_keeps_the_last_messages_and_the_systems() -> None:
    system, *turns = ({"role": "system", "content": "s"}, *({"role": "user", "content": str(i)} for i in range(4)))
    assert [message["content"] for message in said(system, *turns, last=2)] == ["s", "2", "3"]
    assert len(said(system, *turns, last=9)) == 5


def test_memory_does_not_begin_with_the_answer_to_a_call_that_is_gone() -> None:
    kept = said({"content": "Weather?"}, CALL, RESULT, {"content": "Thanks"}, last=2)
    assert [message["role"] for message in kept] == ["user"]
    assert [message["role"] for message in said({"content": "Weather?"}, CALL, RESULT, last=2)] == ["assistant", "tool"]
