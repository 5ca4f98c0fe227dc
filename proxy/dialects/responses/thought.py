"""Thoughts that must come back as they were, on their way through a client: `encrypted_content` of reasoning items.

Claude signs its thoughts and wants them back beside the calls that they led to. OpenAI's clients keep what they cannot
read if they asked for it, so the blocks travel there. They are not encrypted by the gateway; whoever may read the
answer may read them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable

import orjson

from proxy.models import Json

MARK = "thinking_blocks."
"""How ours begin; what another server sealed is not taken for one."""

Thoughts = list[dict[str, Json]]


def sealed(thoughts: Thoughts) -> str:
    """The blocks as one word."""
    return MARK + base64.urlsafe_b64encode(orjson.dumps(thoughts)).decode()


def opened(text: str) -> Thoughts:
    """The blocks that `sealed` made `text` of; none if it was not."""
    if not text.startswith(MARK):
        return []
    try:
        listed = orjson.loads(base64.b64decode(text.removeprefix(MARK), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        return []
    return list(_blocks(listed)) if isinstance(listed, list) else []


def _blocks(listed: list[Json]) -> Iterable[dict[str, Json]]:
    """Those that have what such a block has, and nothing else of them."""
    for block in listed:
        if not isinstance(block, dict):
            continue
        names = ("data",) if block.get("type") == "redacted_thinking" else ("thinking", "signature")
        if block.get("type") in ("thinking", "redacted_thinking") and all(
            isinstance(block.get(name), str) for name in names
        ):
            yield {"type": block["type"], **{name: block[name] for name in names}}
