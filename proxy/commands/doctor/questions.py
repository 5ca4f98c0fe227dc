"""A request of each completion route with a word in every place that holds content."""

from __future__ import annotations

from typing import Any

Body = dict[str, Any]

PROJECT = "parea-proxy-doctor"


def question(path: str, model: str, said: str, *, stream: bool) -> Body | None:
    """A body for the route at `path`; None for one that is not known, or that needs a deployment."""
    made = _body(path, model, said)
    if made is None or path.endswith("/stream"):
        return made
    return {**made, "stream": True} if stream and not path.endswith("/embeddings") else made


def controls(path: str, flag: str | None, *, cache: bool) -> tuple[Body, dict[str, str]]:
    """What says in the body, and in the head, what the call omits, and whether its answer may be cached."""
    if not path.startswith("/api/parea/"):
        headers = {"x-project": PROJECT, "x-cache": str(cache).lower()}
        return {}, {**headers, "x-log-omit": flag} if flag else headers
    omitted = {f"log_omit{'' if flag == 'all' else f'_{flag}'}": True} if flag else {}
    return {"cache": cache, **omitted}, {}


def _body(path: str, model: str, said: str) -> Body | None:
    schema = {"type": "object", "properties": {f"{said}-property": {"type": "string", "description": said}}}
    function = {"name": said, "description": f"{said} described", "parameters": schema}
    inputs = {"city": f"{said} Rome", f"{said} key": "x"}
    asked = f'{said} "é" in {{{{city}}}}'
    conversation = [{"role": "system", "content": said}, {"role": "user", "content": asked}]
    match path.removeprefix("/"):
        case "api/parea/v1/completion" | "api/parea/v1/completion/stream":
            configuration = {"model": model, "messages": conversation, "functions": [function]}
            return {"llm_configuration": configuration, "llm_inputs": inputs, "project_name": PROJECT}
        case "v1/chat/completions" | "v4/beta/chat/completions" | "v5/chat/completions":
            tools = [{"type": "function", "function": function}]
            return {"model": model, "messages": conversation, "tools": tools, "stop": [said], "inputs": inputs}
        case "v1/completions" | "v4/beta/completions" | "v5/completions":
            return {"model": model, "prompt": asked, "stop": [said], "inputs": inputs}
        case "v1/embeddings":
            return {"model": model, "input": [said, f"{said} again"]}
        case "v1/messages":
            tool = {"name": said, "description": said, "input_schema": schema}
            turn = [{"role": "user", "content": asked}]
            return {
                "model": model,
                "system": said,
                "messages": turn,
                "tools": [tool],
                "max_tokens": 50,
                "inputs": inputs,
            }
        case "v1/responses":
            tools = [{"type": "function", **function}]
            return {"model": model, "instructions": said, "input": asked, "tools": tools, "inputs": inputs}
        case "v4/completion":
            filled: Body = {"model": model, "prompt_template": asked, "stop": [said]}
            return {"project": PROJECT, "inputs": inputs, "source": said, "model_config": filled}
        case "v4/chat":
            config: Body = {"model": model, "chat_template": conversation, "tools": [function]}
            turn = [{"role": "user", "content": said}]
            return {"project": PROJECT, "inputs": inputs, "messages": turn, "model_config": config}
    return None
