"""A request of each API with a text in every place that holds content, and each API's own ways to have it omitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.spoken import Spoken

Body = dict[str, Any]
Way = tuple[Body, dict[str, str], bool, bool]
"""Fields of the body, headers, and whether they omit inputs and outputs."""

MODEL = "gpt-4o-mini"

HEADERS: Mapping[str, Way] = {
    "header": ({}, {"x-log-omit": "all"}, True, True),
    "header of inputs": ({}, {"x-log-omit": "inputs"}, True, False),
    "header of outputs": ({}, {"x-log-omit": "outputs"}, False, True),
}
FIELDS: Mapping[str, Way] = {
    "field": ({"log_omit": True}, {}, True, True),
    "field of inputs": ({"log_omit_inputs": True}, {}, True, False),
    "field of outputs": ({"log_omit_outputs": True}, {}, False, True),
    "metadata": ({"metadata": {"log_omit": "all"}}, {}, True, True),
}
SAVE: Mapping[str, Way] = {"save": ({"save": False}, {}, True, True)}


def ways(one: Spoken) -> Mapping[str, Way]:
    """How a client of the API says that a call is to be left out of the log."""
    return {**HEADERS, **(SAVE if one.dialect == "humanloop" else FIELDS)}


def question(one: Spoken, said: str, *, stream: bool) -> Body:
    """A request with `said` in every place that holds content."""
    match one.name:
        case "humanloop":
            body = _humanloop(said, {"prompt_template": f'{said} "é" in {{{{city}}}}'})
        case "humanloop-chat":
            template = [{"role": "system", "content": f"{said} of {{{{city}}}}"}]
            body = _humanloop(said, {"chat_template": template, "tools": [_function(said)]})
            body |= {"messages": _conversation(said), "response_format": _format(said)}
        case "responses":
            body = _responses(said)
        case "anthropic":
            body = _anthropic(said)
        case _ if one.tools is None:
            body = {"prompt": f'{said} "é" in {{{{city}}}}', "stop": [said]}
        case _:
            body = _chat(said)
    if one.dialect != "humanloop":
        body |= {"model": f"openai/{MODEL}", "inputs": {"city": f"{said} Rome", f"{said} key": "x"}}
        body |= {"a_field_that_nobody_knows": {said: [said]}}
    if one.dialect == "scale":
        body |= {"inference_extra_params": {"prompt_cache_key": said}, "inference_extra_headers": {"x-note": said}}
    return {**body, **({"stream": True} if stream else {})}


def _schema(said: str) -> Body:
    return {"type": "object", "properties": {f"{said}-property": {"type": "string", "description": said}}}


def _function(said: str) -> Body:
    return {"name": said, "description": f"{said} described", "parameters": _schema(said)}


def _format(said: str) -> Body:
    return {"type": "json_schema", "json_schema": {"name": said, "schema": _schema(said)}}


def _conversation(said: str) -> list[Body]:
    function = {"name": said, "arguments": f'{{"{said}": 1}}'}
    return [
        {"role": "user", "content": f'{said} "é" in {{{{city}}}}'},
        {
            "role": "assistant",
            "content": f"{said} then",
            "tool_calls": [{"id": "call00001", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "call00001", "content": f"{said} found"},
    ]


def _chat(said: str) -> Body:
    return {
        "messages": [{"role": "system", "content": said}, *_conversation(said)],
        "tools": [{"type": "function", "function": _function(said)}],
        "tool_choice": {"type": "function", "function": {"name": said}},
        "response_format": _format(said),
        "stop": [said],
        "max_tokens": 50,
    }


def _humanloop(said: str, template: Body) -> Body:
    config = {
        "model": MODEL,
        "provider": "openai",
        "name": f"{said} name",
        "description": f"{said} description",
        "stop": [said],
        "max_tokens": 50,
        "other": {"prompt_cache_key": said},
    }
    return {
        "project": "canaries",
        "inputs": {"city": f"{said} Rome", f"{said} key": "x"},
        "source": said,
        "model_config": config | template,
        "a_field_that_nobody_knows": {said: [said]},
    }


def _responses(said: str) -> Body:
    return {
        "instructions": said,
        "input": [
            {"role": "user", "content": f'{said} "é" in {{{{city}}}}'},
            {"role": "assistant", "content": f"{said} then"},
            {"type": "function_call", "call_id": "call00001", "name": said, "arguments": f'{{"{said}": 1}}'},
            {"type": "function_call_output", "call_id": "call00001", "output": f"{said} found"},
        ],
        "tools": [{"type": "function", **_function(said)}],
        "tool_choice": {"type": "function", "name": said},
        "text": {"format": {"type": "json_schema", "name": said, "schema": _schema(said)}},
        "max_output_tokens": 50,
    }


def _anthropic(said: str) -> Body:
    return {
        "system": [{"type": "text", "text": said}],
        "messages": [
            {"role": "user", "content": f'{said} "é" in {{{{city}}}}'},
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": f"{said} then"},
                    {"type": "tool_use", "id": "call00001", "name": said, "input": {said: 1}},
                ],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "call00001", "content": f"{said} found"}],
            },
        ],
        "tools": [{"name": said, "description": f"{said} described", "input_schema": _schema(said)}],
        "tool_choice": {"type": "tool", "name": said},
        "stop_sequences": [said],
        "max_tokens": 50,
    }
