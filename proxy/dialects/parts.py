"""Content of OpenAI's messages, put together from what other APIs write as blocks or items."""

from __future__ import annotations

from proxy.models import Json, Message

Part = dict[str, Json]
"""`{"type": "text", "text": ...}`, an `image_url`, a `file`."""


def text(said: str) -> Part:
    return {"type": "text", "text": said}


def content(parts: list[Part]) -> Json:
    """Plain text where that says it all, which is what every provider takes; else the parts."""
    if not parts:
        return ""
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        return parts[0]["text"]
    return parts


def result(call: str, parts: list[Part]) -> tuple[Message, list[Part]]:
    """A tool's answer, and what of it a tool's message cannot hold: pictures and files, for the user to say."""
    texts = [part for part in parts if part["type"] == "text"]
    others = [part for part in parts if part["type"] != "text"]
    if others:
        others.insert(0, text(f"Result of the tool call {call}:"))
    return {"role": "tool", "tool_call_id": call, "content": content(texts)}, others
