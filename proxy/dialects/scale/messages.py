"""Conversations as Scale's clients write them, in OpenAI's words.

A message may leave its role out, hold one part where OpenAI wants a list, and give an image as bare base64 with its
media type beside it. A memory strategy keeps the last messages and all of the system's.
"""

from __future__ import annotations

from collections.abc import Sequence

from proxy.dialects.scale.schema import ScaleMessageSchema
from proxy.models import Json, Message

SYSTEM = ("system", "developer")


def conversation(sent: Sequence[ScaleMessageSchema], last: int | None) -> list[Message]:
    """The messages to send, only the `last` ones if that is not None."""
    messages = [_message(message) for message in sent]
    if last is None:
        return messages
    kept = [index for index, message in enumerate(messages) if message["role"] not in SYSTEM][-last:]
    # An answer of a tool says nothing without the call that it answers.
    while len(kept) > 1 and messages[kept[0]]["role"] in ("tool", "function"):
        del kept[0]
    return [message for index, message in enumerate(messages) if message["role"] in SYSTEM or index in kept]


def _message(sent: ScaleMessageSchema) -> Message:
    said = {name: value for name, value in sent if value is not None}
    content = said.get("content")
    parts = [content] if isinstance(content, dict) else content
    if isinstance(parts, list):
        parts = [_part(part) for part in parts]
    return {**said, "role": _role(sent), "content": parts}


def _role(sent: ScaleMessageSchema) -> str:
    if sent.role is not None:
        return sent.role
    return "tool" if sent.tool_call_id else "assistant" if sent.tool_calls else "user"


def _part(part: dict[str, Json]) -> dict[str, Json]:
    image = part.get("image_url")
    if not isinstance(image, dict) or "media_type" not in image:
        return part
    image = dict(image)
    kind, url = image.pop("media_type"), image.get("url")
    if isinstance(url, str) and isinstance(kind, str) and ":" not in url:
        image["url"] = f"data:{kind};base64,{url}"
    return {**part, "image_url": image}
