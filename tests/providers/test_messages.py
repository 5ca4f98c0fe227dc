"""Conversations: what comes out is valid for every provider, whatever went in."""

from __future__ import annotations

import copy
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import UpstreamError
from proxy.models import Json, Message
from proxy.providers.translation.messages import NO_RESULT, OPENING, prepare
from proxy.vendors import VENDORS

NAMES = [name for name in VENDORS if name != "echo"]
USER = {"role": "user", "content": "Weather?"}


def call(identity: str, name: str = "look", arguments: str = '{"city": "Paris"}') -> dict[str, Json]:
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def asked(*calls: dict[str, Json]) -> Message:
    return {"role": "assistant", "content": None, "tool_calls": list(calls)}


def answer(identity: str, content: str = "sunny") -> Message:
    return {"role": "tool", "tool_call_id": identity, "content": content}


def test_a_good_conversation_stays() -> None:
    given_: list[Message] = [
        {"role": "system", "content": "s"},
        USER,
        asked(call("abc")),
        answer("abc"),
        {"role": "user", "content": "and?"},
    ]
    assert prepare(given_, "openai") == given_


def test_older_words_for_calls() -> None:
    old: list[Message] = [
        USER,
        {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "{}"}},
        {"role": "function", "name": "look", "content": "sunny"},
    ]
    assert prepare(old, "openai") == [USER, asked(call("call00001", arguments="{}")), answer("call00001")]


def test_results_without_ids_answer_the_oldest_call_of_their_name() -> None:
    sent = [
        asked(call("a", "one"), call("b", "two"), call("c", "one")),
        {"role": "tool", "name": "two", "content": "2"},
        {"role": "tool", "content": "1"},
        {"role": "tool", "name": "one", "content": "3"},
    ]
    assert prepare(sent, "openai")[1:] == [answer("b", "2"), answer("a", "1"), answer("c", "3")]


def test_orphans_become_the_users_words() -> None:
    orphan = {"role": "tool", "name": "look", "tool_call_id": "zzz", "content": "sunny"}
    assert prepare([USER, orphan], "openai") == [USER, {"role": "user", "content": "Result of look: sunny"}]


def test_calls_without_results_are_answered() -> None:
    assert prepare([asked(call("a")), USER], "openai") == [asked(call("a")), answer("a", NO_RESULT), USER]


@pytest.mark.parametrize(
    ("role", "provider", "meant"),
    [
        ("developer", "openai", "developer"),
        ("developer", "anthropic", "system"),
        ("System", "groq", "system"),
    ],
)
def test_roles(role: str, provider: str, meant: str) -> None:
    assert prepare([{"role": role, "content": "x"}, USER], provider)[0] == {"role": meant, "content": "x"}


def test_only_known_fields_pass() -> None:
    loud = {"role": "user", "content": "x", "name": "Ann", "cache_control": {}, "extra": 1}
    assert prepare([loud], "openai") == [{"role": "user", "content": "x", "name": "Ann"}]
    assert prepare([loud], "mistral") == [{"role": "user", "content": "x"}]


MARK = {"type": "ephemeral"}


@pytest.mark.parametrize(
    ("provider", "claude", "kept"),
    [
        ("anthropic", True, True),
        ("aws_bedrock", True, True),
        ("vertexai", True, True),
        ("openrouter", False, True),
        ("litellm", False, True),
        ("openai", False, False),
        ("vertexai", False, False),
        ("aws_bedrock", False, False),
    ],
)
def test_marks_of_the_cache_are_claudes(provider: str, claude: bool, kept: bool) -> None:
    part = {"type": "text", "text": "x", "cache_control": MARK}
    sent: list[Message] = [{"role": role, "content": [part]} for role in ("system", "user", "assistant", "user")]
    for message in prepare(sent, provider, claude=claude):
        assert message["content"] == [part if kept else {"type": "text", "text": "x"}]
    assert sent[0]["content"] == [part], "the input was changed in place"


def test_thoughts_are_claudes() -> None:
    block = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    thought: Message = {"role": "assistant", "content": "", "thinking_blocks": [block]}
    assert prepare([USER, thought, USER], "anthropic", claude=True)[1] == thought
    assert prepare([USER, thought, USER], "anthropic") == [USER, USER]
    assert "thinking_blocks" not in prepare([USER, thought, USER], "openai")[1]


def test_what_was_said_aloud_or_refused_is_openais() -> None:
    aloud: Message = {"role": "assistant", "content": "", "audio": {"id": "a"}, "refusal": "no"}
    assert prepare([USER, aloud, USER], "openai")[1] == aloud
    assert prepare([USER, aloud, USER], "groq")[1] == {"role": "assistant", "content": ""}


@pytest.mark.parametrize("provider", ["anthropic", "aws_bedrock", "vertexai"])
def test_system_messages_alone(provider: str) -> None:
    sent = [{"role": "system", "content": "a"}, {"role": "system", "content": "b"}]
    assert [message["role"] for message in prepare(sent, provider)] == ["system", "user"]
    assert prepare(sent, "openai") == sent


def test_bedrock_begins_with_the_user() -> None:
    sent = [{"role": "system", "content": "s"}, {"role": "assistant", "content": "hello"}, USER]
    assert prepare(sent, "aws_bedrock")[1] == {"role": "user", "content": OPENING}
    assert prepare(sent, "openai") == sent


def test_mistral_continues_an_assistants_message() -> None:
    assert prepare([USER, {"role": "assistant", "content": "It is"}], "mistral")[-1]["prefix"] is True


def test_mistral_takes_ids_of_nine_letters() -> None:
    first, second = prepare([asked(call("call_abcdef")), answer("call_abcdef")], "mistral")
    identity = first["tool_calls"][0]["id"]
    assert re.fullmatch("[A-Za-z0-9]{9}", identity)
    assert second["tool_call_id"] == identity
    assert prepare([asked(call("abcdefghi"))], "mistral")[0]["tool_calls"][0]["id"] == "abcdefghi"


@pytest.mark.parametrize("provider", ["anthropic", "aws_bedrock", "mistral"])
def test_empty_messages_go_where_they_are_refused(provider: str) -> None:
    assert prepare([{"role": "user", "content": " "}, USER], provider) == [USER]
    with pytest.raises(UpstreamError, match="nothing to say"):
        prepare([{"role": "user", "content": ""}], provider)


texts = st.text(max_size=12) | st.sampled_from(
    ['[{"name": "f", "arguments": {}}]', '{"tool_call_id": "a", "content": "x"}', "```\n[]\n```", "null"]
)
ids = st.sampled_from(["a", "b", "a_", "", "call00001"])
calls = st.builds(call, ids, st.sampled_from(["f", "g"]), st.sampled_from(["{}", "", '{"x": 1}']))
conversations = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["system", "user", "assistant", "tool", "function", "developer"]),
            "content": texts
            | st.none()
            | st.lists(st.builds(lambda text: {"type": "text", "text": text}, texts), max_size=2),
        },
        optional={"tool_calls": st.lists(calls, max_size=3), "tool_call_id": ids, "name": st.sampled_from(["f", "g"])},
    ),
    min_size=1,
    max_size=8,
)


@given(conversations, st.sampled_from(NAMES))
def test_every_conversation_comes_out_valid(messages: list[Message], provider: str) -> None:
    before = copy.deepcopy(messages)
    try:
        prepared = prepare(messages, provider)
    except UpstreamError:
        assert provider in ("anthropic", "aws_bedrock", "mistral")
        return
    assert messages == before, "the input was changed in place"
    waiting: list[str] = []
    taken: set[str] = set()
    for message in prepared:
        assert message["role"] in ("system", "developer", "user", "assistant", "tool")
        if message["role"] == "tool":
            assert isinstance(message["content"], str)
            waiting.remove(message["tool_call_id"])
            continue
        assert waiting == [], "a call was left unanswered"
        for each in message.get("tool_calls", ()):
            assert each["id"] not in taken, "an id was used twice"
            json.loads(each["function"]["arguments"])
            taken.add(each["id"])
            waiting.append(each["id"])
    assert waiting == []
    check_vendor(prepared, provider)


def check_vendor(prepared: list[Message], provider: str) -> None:
    roles = [message["role"] for message in prepared if message["role"] not in ("system", "developer")]
    if provider in ("anthropic", "aws_bedrock", "vertexai"):
        assert roles, "nothing but system messages"
    if provider == "aws_bedrock":
        assert roles[0] == "user"
    if provider == "mistral" and prepared[-1]["role"] == "assistant":
        assert prepared[-1]["prefix"] is True
    if provider not in ("openai", "azure", "openrouter", "litellm"):
        assert all(message["role"] != "developer" for message in prepared)
