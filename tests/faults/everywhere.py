"""A text in every place that comes to be logged, shown or told: what S8 fills with scripts and S9 with line breaks."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import httpx

Asked = tuple[str, str, Any, dict[str, str]]
"""Method, path, body and headers."""

JSON = {"content-type": "application/json"}
PAREA = "/api/parea/v1"

NAMES = ("session_id", "trace_name", "project_name", "project_uuid", "deployment_id", "experiment_uuid")
TEXTS = (*NAMES, "end_user_identifier", "target", "output", "status", "error")
"""The fields of a trace log that are texts."""


def log(trace_id: str, text: str) -> dict[str, Any]:
    """A trace log of Parea's, with the text in every field that takes one."""
    message = {"role": "user", "content": text}
    configuration = {
        "model": text,
        "provider": text,
        "messages": [message, {"role": text, "content": [{"type": "text", "text": text}]}],
        "functions": [{"name": text, "description": text}],
        "model_params": {text: text},
    }
    return {
        "trace_id": trace_id,
        **dict.fromkeys(TEXTS, text),
        "tags": [text],
        "metadata": {text: text},
        "inputs": {text: text},
        "configuration": configuration,
        "scores": [{"name": text, "score": 1, "reason": text}],
        f"a_field_of_nobody_{text}": text,
    }


def requests(trace_id: str, text: str) -> list[Asked]:
    """What a client with a bad mind sends: logs, calls, feedback, and requests that are refused for it."""
    chat = {"model": "echo", "messages": [{"role": "user", "content": text}]}
    controls = {
        "user": text,
        "metadata": {"trace_name": text, text[:60]: text, "tags": text},
        "tools": [{"type": "function", "function": {"name": text, "description": text, "parameters": {}}}],
    }
    parea = {"llm_configuration": {"model": "echo", "messages": chat["messages"]}, "llm_inputs": {text: text}}
    named = {"trace_name": text, "end_user_identifier": text, "tags": [text], "metadata": {text: text}}
    # whatever a header cannot carry is carried as a URL carries it
    header = text if text.isascii() and text.isprintable() else quote(text)
    told = dict.fromkeys(("x-trace-name", "x-end-user", "x-tags", "x-project", "x-session-id", "user-agent"), header)
    return [
        ("POST", f"{PAREA}/trace_log", log(trace_id, text), {}),
        ("POST", f"{PAREA}/project", {"name": text}, {}),
        ("POST", f"{PAREA}/feedback", {"trace_id": trace_id, "score": 1, "name": text, "comment": text}, {}),
        ("POST", f"{PAREA}/completion", parea | named | {"trace_id": f"c-{trace_id}", "target": text}, {}),
        ("POST", f"{PAREA}/completion/stream", parea | named, {}),
        ("POST", f"{PAREA}/completion", {"llm_configuration": {"model": text, "messages": chat["messages"]}}, {}),
        ("POST", "/v1/chat/completions", chat | controls, told),
        ("POST", "/v1/chat/completions", chat | {"stream": True}, told),
        ("POST", "/v1/chat/completions", chat | {"model": text}, {}),
        ("POST", "/v1/responses", {"model": "echo", "input": text, "instructions": text}, told),
        ("POST", "/v1/messages", chat | {"max_tokens": 9, "system": text}, told),
        ("POST", "/v4/logs", {"project": text, "inputs": {text: text}, "output": text, "user": text}, {}),
        ("POST", "/v4/completion", {"project": text, "model_config": {"model": text, "prompt_template": text}}, {}),
        ("POST", f"{PAREA}/get_trace_logs", {"filter_field": text, "filter_value": text}, {}),
        ("POST", f"{PAREA}/deployed-prompt", {"deployment_id": text}, {}),
        ("POST", "/v5/chat/completions", chat | {"model": text}, {}),
        ("GET", f"/nothing/{quote(text, safe='')}?{quote(text)}", None, {}),
        ("GET", f"/v1/models/{quote(text, safe='')}", None, {}),
        ("GET", f"{PAREA}/trace_log/{quote(text, safe='')}", None, {}),
        ("PATCH", f"/v4/logs/{quote(text, safe='')}", {"output": text}, {}),
    ]


def post(client: httpx.Client, url: str, asked: Asked) -> httpx.Response:
    """The answer to one of them; the body is written without a care for what it holds."""
    method, path, body, headers = asked
    content = None if body is None else json.dumps(body).encode()
    return client.request(method, url + path, content=content, headers=JSON | headers)
