from __future__ import annotations

import pytest

from tests.config.test_validation import refusal, warnings


@pytest.mark.parametrize(
    ("prompt", "line"),
    [
        ("messages: []", "messages: needs a message; without this key, requests bring their own"),
        ("messages: [hi]", "messages[0]: should be a mapping (key: value)"),
        ("messages: [{role: user}]",
         "messages[0]: needs content; only an assistant's message with tool_calls may do without"),
        ("messages: [{role: user, content: null}]",
         "messages[0]: needs content; only an assistant's message with tool_calls may do without"),
        ("messages: [{content: x}]", "messages[0].role: is missing"),
        ("messages: [{rol: user, content: x}]", 'messages[0].rol: unknown key; did you mean "role"?'),
        ("messages: [{role: usr, content: x}]",
         "messages[0].role: should be 'system', 'developer', 'user', 'assistant', 'tool' or 'function'"
         '; did you mean "user"?'),
        ("messages: [{role: user, contnt: x}]", 'messages[0].contnt: unknown key; did you mean "content"?'),
        ("messages: [{role: user, content: 5}]",
         "messages[0].content: should be text, a list of parts, or null; put a number in quotes"),
        ("messages: [{role: user, content: [{text: x}]}]", "messages[0].content[0].type: is missing"),
        ("messages: [{role: user, content: [{type: text}]}]", "messages[0].content[0]: a part of type text needs text"),
        ("messages: [{role: user, content: [x]}]", "messages[0].content[0]: should be a mapping (key: value)"),
        ("prompt: 5", "prompt: should be text; put it in quotes"),
        ("prompt: a, messages: [{role: user, content: b}]",
         "prompt: stands beside messages: a deployment has one or the other"),
        ("functions: [{nam: x}]", 'functions[0].nam: unknown key; did you mean "name"?'),
        ("functions: [{description: x}]", "functions[0].name: is missing"),
        ("functions: [{type: function, function: {name: f, paramters: {}}}]",
         'functions[0].function.paramters: unknown key; did you mean "parameters"?'),
        ("functions: [{type: function, functon: {name: f}}]",
         'functions[0].functon: unknown key; did you mean "function"?'),
        ("function_call: zork", "function_call: should be auto, none, required, or the name of one of the functions"),
        ("functions: [{name: look}], function_call: lok",
         'function_call: should be auto, none, required, or the name of one of the functions; did you mean "look"?'),
        ("functions: [{name: look}], function_call: {name: 3}",
         "function_call: should be auto, none, required, or the name of one of the functions"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_deployed_prompt(prompt: str, line: str) -> None:
    assert refusal(f"deployments:\n  p: {{{prompt}}}") == [f"line 2: deployments.p.{line}"]


def test_two_mistakes_in_one_message_stand_at_their_lines() -> None:
    text = "deployments:\n  p:\n    messages:\n      - role: usr\n        contnt: hi\n"
    assert [line.partition(": ")[0] for line in refusal(text)] == ["line 4", "line 5"]


@pytest.mark.parametrize(
    "prompt",
    [
        "model: gpt-4o",
        "messages: [{role: user, content: [{type: text, text: a}, {type: image_url, image_url: {url: b}}]}]",
        "messages: [{role: assistant, content: null, tool_calls: [{}]}, {role: tool, content: b, tool_call_id: a}]",
        "messages: [{role: developer, content: '', name: x}]",
        "function_call: auto",
        "functions: [{name: f}, {type: function, function: {name: g}}], function_call: g",
        "functions: [{name: f}], function_call: {type: function, function: {name: f}}",
    ],
)
def test_prompts_that_are_right(prompt: str) -> None:
    assert warnings(f"deployments: {{p: {{{prompt}}}}}") == []
