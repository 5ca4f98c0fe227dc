"""What Parea's client writes into texts is read back, and nothing that merely resembles it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dialects.parea.messages import read
from proxy.models import Json

CALL = {"id": "abc", "type": "function", "function": {"name": "look", "arguments": '{"city":"Paris"}'}}


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([{**CALL, "function": {"name": "look", "arguments": {"city": "Paris"}}}], indent=4),
        '[{"id": "abc", "name": "look", "arguments": {"city": "Paris"}}]',
        '```\n{"id": "abc", "name": "look", "arguments": {"city": "Paris"}}\n```',
        '```json\n[{"id": "abc", "name": "look", "arguments": "{\\"city\\":\\"Paris\\"}"}]\n```',
    ],
)
@pytest.mark.parametrize("role", ["assistant", "example_assistant"])
def test_calls(role: str, content: str) -> None:
    assert read(role, content, {}) == {"role": "assistant", "content": None, "tool_calls": [CALL]}


def test_a_call_of_the_gateways_own_answers_has_no_id() -> None:
    (call,) = read("assistant", '```{"name":"look","arguments":{}}```', {})["tool_calls"]
    assert call == {"id": "", "type": "function", "function": {"name": "look", "arguments": "{}"}}


@pytest.mark.parametrize("role", ["tool", "function"])
def test_results(role: str) -> None:
    read_back = read(role, '{"tool_call_id": "abc", "content": "sunny"}', {"name": "look"})
    assert read_back == {"role": role, "tool_call_id": "abc", "content": "sunny", "name": "look"}


@pytest.mark.parametrize(
    "content",
    [
        "[1, 2]",
        "[]",
        '[{"name": "look"}]',
        '{"name": "a", "arguments": {}}',
        "[not json",
        '[{"name": "a", "arguments": {}, "x": 1}]',
        '{"tool_call_id": "abc"}',
        '{"tool_call_id": "", "content": "x"}',
    ],
)
@pytest.mark.parametrize("role", ["assistant", "tool", "user", "system"])
def test_text_that_merely_resembles_them_stays(role: str, content: str) -> None:
    assert read(role, content, {}) == {"role": role, "content": content}


def test_a_message_that_has_the_fields_stays() -> None:
    calls: Json = {"tool_calls": [CALL]}
    written = '[{"name": "a", "arguments": {}}]'
    assert read("assistant", written, calls) == {"role": "assistant", "content": written, **calls}
    result = '{"tool_call_id": "abc", "content": "sunny"}'
    assert read("tool", result, {"tool_call_id": "z"}) == {"role": "tool", "content": result, "tool_call_id": "z"}


def test_parts() -> None:
    parts = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    assert read("user", json.dumps(parts), {})["content"] == parts
    assert read("user", '[{"type": "other"}]', {})["content"] == '[{"type": "other"}]'
    assert read("example_user", None, {}) == {"role": "user", "content": ""}


@given(st.sampled_from(["user", "system", "assistant", "tool", "function"]), st.text(max_size=20))
def test_plain_text_is_left_alone(role: str, text: str) -> None:
    if "{" not in text:
        assert read(role, text, {}) == {"role": role, "content": text}
