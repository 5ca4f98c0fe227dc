"""Anthropic's conversation as OpenAI's: turns of content blocks become messages, tools become functions.

What must stay true:

* A tool's results come directly after the turn that called for them, before anything else that their turn says.
* The marks of the prompt cache stay on their parts, and signed thoughts on their message, for whoever knows them.
* What cannot be translated is refused by its name; nothing of a conversation is left out in silence.
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from proxy.dialects.anthropic.schema import Turn
from proxy.dialects.node import Node, wrong
from proxy.dialects.parts import Part, content, result, text
from proxy.models import Json, Message

HERE = "is not served here: it can only be translated for Anthropic itself"


def messages(system: Json, turns: Iterable[Turn]) -> list[Message]:
    """The conversation. Raises `BadRequest`."""
    found: list[Message] = []
    if system:
        found.append({"role": "system", "content": _texts(system, "system")})
    for index, turn in enumerate(turns):
        place = f"messages.{index}.content"
        if turn.role == "system":
            found.append({"role": "system", "content": _texts(turn.content, place)})
        elif isinstance(turn.content, str):
            found.append({"role": turn.role, "content": turn.content})
        elif turn.role == "assistant":
            found.append(_assistant(_blocks(turn.content, place)))
        else:
            found += _user(_blocks(turn.content, place))
    return found


def tools(offered: list[dict[str, Json]]) -> list[dict[str, Json]]:
    """The client's own tools as OpenAI's functions; those that Anthropic runs itself are refused."""
    found = []
    for tool in Node.each(offered, "tools"):
        if tool.kind not in ("", "custom"):
            raise tool.unknown("tools are run by Anthropic itself: only tools of type custom are served here")
        function: dict[str, Json] = {"name": tool.text("name"), **tool.kept("description")}
        function["parameters"] = tool.child("input_schema").value
        found.append({"type": "function", "function": function | tool.kept("strict"), **tool.kept("cache_control")})
    return found


def tool_choice(choice: dict[str, Json]) -> dict[str, Json]:
    """`tool_choice` and `parallel_tool_calls` as OpenAI's parameters."""
    node = Node(choice, "tool_choice")
    params: dict[str, Json] = {}
    match node.kind:
        case "auto" | "none":
            params["tool_choice"] = node.kind
        case "any":
            params["tool_choice"] = "required"
        case "tool":
            params["tool_choice"] = {"type": "function", "function": {"name": node.text("name")}}
        case _:
            raise wrong("tool_choice.type", "should be auto, any, tool or none")
    if node.get("disable_parallel_tool_use") is True:
        params["parallel_tool_calls"] = False
    return params


def _blocks(said: Json, place: str) -> list[Node]:
    if not isinstance(said, list):
        raise wrong(place, "should be text or a list of content blocks")
    return list(Node.each(said, place))


def _texts(said: Json, place: str) -> Json:
    if isinstance(said, str):
        return said
    blocks = _blocks(said, place)
    for block in blocks:
        if block.kind != "text":
            raise block.unknown("should be text")
    return content([part for block in blocks for part in _parts(block)])


def _assistant(blocks: list[Node]) -> Message:
    parts: list[Part] = []
    thoughts: list[Part] = []
    calls: list[Part] = []
    for block in blocks:
        match block.kind:
            case "thinking":
                # Without a signature it is no thought of Anthropic's: another model's, which nobody takes back.
                if block.optional("signature"):
                    thoughts.append({"type": "thinking", "thinking": block.text("thinking"), **block.kept("signature")})
            case "redacted_thinking":
                thoughts.append({"type": "redacted_thinking", "data": block.text("data")})
            case "tool_use":
                arguments = orjson.dumps(block.child("input").value).decode()
                function = {"name": block.text("name"), "arguments": arguments}
                calls.append({"id": block.text("id"), "type": "function", "function": function})
            case _:
                parts += _parts(block)
    message: Message = {"role": "assistant", "content": content(parts) if parts or not calls else None}
    if thoughts:
        message["thinking_blocks"] = thoughts
    if calls:
        message["tool_calls"] = calls
    return message


def _user(blocks: list[Node]) -> list[Message]:
    results: list[Message] = []
    shown: list[Part] = []
    said: list[Part] = []
    for block in blocks:
        if block.kind == "tool_result":
            message, others = _result(block)
            results.append(message)
            shown += others
        else:
            said += _parts(block)
    parts = [*shown, *said]
    return [*results, {"role": "user", "content": content(parts)}] if parts or not results else results


def _result(block: Node) -> tuple[Message, list[Part]]:
    said = block.get("content")
    parts = [text(said)] if isinstance(said, str) else []
    if said is not None and not parts:
        parts = [part for inner in _blocks(said, block.where("content")) for part in _parts(inner)]
    message, others = result(block.text("tool_use_id"), parts)
    if block.get("is_error") is True:
        message["content"] = _failed(message["content"])
    return message, others


def _failed(said: Json) -> Json:
    """A tool's failure, in the only way that OpenAI's messages have: in words."""
    if isinstance(said, str):
        return f"Error: {said}" if said else "Error"
    return [text("Error:"), *said]


def _parts(block: Node) -> list[Part]:
    """The parts of one block that is no call, no result and no thought."""
    match block.kind:
        case "text":
            return [_marked(text(block.text("text")), block)]
        case "image":
            return [_marked({"type": "image_url", "image_url": {"url": _picture(block.child("source"))}}, block)]
        case "document":
            *parts, last = _document(block)
            return [*parts, _marked(last, block)]
        case "search_result":
            head = f"{block.text('title')}\n{block.text('source')}"
            *parts, last = [text(head), *(text(inner.text("text")) for inner in block.children("content"))]
            return [*parts, _marked(last, block)]
        case _:
            raise block.unknown(f"{HERE}, or has no place in this turn")


def _picture(source: Node) -> str:
    match source.kind:
        case "base64":
            return f"data:{source.text('media_type')};base64,{source.text('data')}"
        case "url":
            return source.text("url")
        case _:
            raise source.unknown(f"{HERE}: send the image as base64 or url")


def _document(block: Node) -> list[Part]:
    source = block.child("source")
    title, context = block.optional("title"), block.optional("context")
    head = [text(said) for said in (title, context) if said]
    match source.kind:
        case "base64":
            data = f"data:{source.text('media_type')};base64,{source.text('data')}"
            file: Part = {"type": "file", "file": {"filename": title or "document.pdf", "file_data": data}}
            return [*([text(context)] if context else []), file]
        case "text":
            return [*head, text(source.text("data"))]
        case "content":
            inner = source.get("content")
            blocks = [] if isinstance(inner, str) else _blocks(inner, source.where("content"))
            parts = [text(inner)] if isinstance(inner, str) else [part for one in blocks for part in _parts(one)]
            return [*head, *parts] or [text("")]
        case _:
            raise source.unknown(f"{HERE}: send the document as base64, text or content")


def _marked(part: Part, block: Node) -> Part:
    return {**part, **block.kept("cache_control")}
