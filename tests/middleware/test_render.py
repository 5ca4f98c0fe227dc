from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import BadRequest
from proxy.middleware.render import fill, fill_messages, render
from proxy.models import Call, CompletionRequest, TraceContext

pytestmark = pytest.mark.fault("S6", "P6")

names = st.from_regex(r"\A[a-z_]\w{0,5}\Z")
pieces = st.lists(st.one_of(st.text(max_size=8), names.map(lambda name: "{{" + name + "}}")), max_size=8)


def call(messages: list[dict[str, Any]], inputs: dict[str, Any], template_of: str | None = None, **more: Any) -> Call:
    request = CompletionRequest("parea", TraceContext("t", "t"), messages=messages, inputs=inputs, **more)
    return Call(request, template_of=template_of)


@given(pieces, st.dictionaries(names, st.text(max_size=20)))
def test_one_pass_equals_a_split(parts: list[str], inputs: dict[str, str]) -> None:
    text = "".join(parts)
    expected = "".join(
        inputs.get(part, "{{" + part + "}}") if odd else part
        for part, odd in zip(re.split(r"\{\{(\w+)\}\}", text), [0, 1] * len(text), strict=False)
    )
    if not re.search(r"\{\{ | \}\}", text):
        assert fill(text, inputs, {}) == expected


@given(st.text(), st.text())
def test_an_input_is_never_a_template(name: str, secret: str) -> None:
    assert fill("{{a}}", {"a": "{{b}}" + name, "b": secret}, {}) == "{{b}}" + name


@pytest.mark.parametrize(
    "text",
    ["{a}", "{{}}", "{{a b}}", "{{ 7*7 }}x{{", "{% for x in y %}", "{{a.__class__}}", "{{a|upper}}", "{{  a  }}"],
)
def test_whatever_is_no_name_stays(text: str) -> None:
    assert fill(text, {"a": "!"}, {}) == text


def test_one_space_inside_the_braces_is_allowed() -> None:
    assert fill("{{ a }}", {"a": "x"}, {}) == "x"


@pytest.mark.parametrize(
    ("value", "text"), [("x", "x"), (3, "3"), (1.5, "1.5"), (True, "true"), ({"k": [1]}, '{"k":[1]}')]
)
def test_inputs_that_are_no_text_are_written_as_json(value: Any, text: str) -> None:
    assert fill("{{v}}", {"v": value}, {}) == text


def test_text_parts_are_filled_and_others_left() -> None:
    image = {"type": "image_url", "image_url": {"url": "{{a}}"}}
    messages, missing = fill_messages(
        [{"role": "user", "content": [{"type": "text", "text": "{{a}}"}, image]}], {"a": "x"}
    )
    assert messages[0]["content"] == [{"type": "text", "text": "x"}, image]
    assert missing == []


def test_inline_an_unknown_name_stays_and_is_noted() -> None:
    asked = call([{"role": "user", "content": "{{b}} {{a}}"}], {"a": "x"})
    render(asked)
    assert asked.request.messages == [{"role": "user", "content": "{{b}} x"}]
    assert asked.unfilled == ["b"]


TEXT: list[dict[str, Any]] = [
    {"role": "user", "content": "{{a}} {{ b }}"},
    {"role": "user", "content": [{"type": "text", "text": "{{a}}"}]},
]


@given(pieces)
def test_without_inputs_braces_are_the_clients_own_text(parts: list[str]) -> None:
    asked = call([{"role": "user", "content": "".join(parts)}], {})
    render(asked)
    assert (asked.request.messages, asked.unfilled) == ([{"role": "user", "content": "".join(parts)}], [])


@pytest.mark.parametrize(
    ("more", "unfilled"), [({}, []), ({"templates": True}, ["a", "b"]), ({"inputs": {"a": "x"}}, ["b"])]
)
def test_inline_messages_are_templates_with_inputs_or_in_an_api_made_for_them(
    more: dict[str, Any], unfilled: list[str]
) -> None:
    asked = call(TEXT, **{"inputs": {}, **more})
    render(asked)
    assert asked.unfilled == unfilled
    assert (asked.request.messages == TEXT) is ("inputs" not in more)


def test_turns_follow_the_messages_and_are_no_templates() -> None:
    asked = call([{"role": "user", "content": "{{a}}"}], {"a": "x"}, turns=TEXT)
    render(asked)
    assert asked.request.messages == [{"role": "user", "content": "x"}, *TEXT]
    assert asked.request.turns == []


@pytest.mark.parametrize("inputs", [{}, {"c": "x"}])
def test_strict_inputs_must_be_complete(inputs: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match=r"the template needs inputs that are missing: a, b$"):
        render(call([{"role": "user", "content": "{{b}} {{a}}"}], inputs, strict_inputs=True))


def test_a_deployment_that_lacks_inputs_is_refused_with_their_names() -> None:
    asked = call([{"role": "user", "content": "{{b}} {{c}} {{a}}"}], {"b": "secret"}, template_of="p-1")
    with pytest.raises(BadRequest, match=r"'p-1' needs inputs that are missing: a, c$") as caught:
        render(asked)
    assert "secret" not in caught.value.message


def test_the_clients_messages_are_not_changed() -> None:
    messages = [{"role": "user", "content": "{{a}}"}]
    render(call(messages, {"a": "x"}))
    assert messages == [{"role": "user", "content": "{{a}}"}]
