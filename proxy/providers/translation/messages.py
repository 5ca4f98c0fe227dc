"""Conversations that every provider accepts, from what clients send.

Every message gets a role and the fields that are known, every call is answered and every answer belongs to a call,
whatever was sent, because all providers refuse the rest. At the end come the few things that single providers insist
on. What Claude alone has, its thoughts and the marks of its cache, goes to Claude alone.

What must stay true of the result:

* A tool message directly follows the assistant's calls (or other answers to them) and names one of them; each call
  has one answer.
* Nothing of the input is changed in place, and every text that was sent is still there, in the same order.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence

from proxy.errors import UpstreamError
from proxy.models import Json, Message
from proxy.providers.translation import parts

NO_RESULT = "(no result)"
"""What answers a call that the conversation left unanswered."""

OPENING = "(the conversation begins)"
"""The user's turn that Bedrock needs before an assistant's."""

DEVELOPER = frozenset({"openai", "azure", "openrouter", "litellm"})
"""Providers that know all of OpenAI's words: the developer's role, and what an assistant said aloud or refused."""

NAMED = frozenset({"openai", "azure", "anyscale", "openrouter", "litellm", "groq", "fireworks"})
"""Providers whose messages may carry a name."""

MARKED = frozenset({"openrouter", "litellm"})
"""Providers that pass the marks of Claude's cache on, or leave them out by themselves."""

NEED_USER = frozenset({"anthropic", "aws_bedrock", "vertexai"})
"""Providers that refuse a conversation of system messages only."""

NEED_TEXT = frozenset({"anthropic", "aws_bedrock", "mistral"})
"""Providers that refuse, or replace, an empty message."""

Calls = list[dict[str, Json]]


def prepare(messages: Sequence[Message], provider: str, *, claude: bool = False) -> list[Message]:
    """The conversation in the form that `provider` accepts; `claude` says that its model is spoken to in Claude's
    words. Raises `UpstreamError` when there is nothing to say, or a part of it that nobody could be told.
    """
    parts.check(messages, provider)
    marked = claude or provider in MARKED
    plain = [_plain(message, provider, claude=claude, marked=marked) for message in messages]
    return _suited(_paired(plain), provider)


def _plain(message: Message, provider: str, *, claude: bool, marked: bool) -> Message:
    """One message with a known role and only known fields."""
    role = str(message.get("role") or "user").lower()
    if role == "developer" and provider not in DEVELOPER:
        role = "system"
    if role == "assistant":
        return _assistant(message, provider, claude=claude, marked=marked)
    if role in ("tool", "function"):
        return _result(message)
    found: Message = {"role": role, "content": _content(message.get("content"), marked=marked)}
    if message.get("name") and provider in NAMED:
        found["name"] = message["name"]
    return found


def _content(content: Json, *, marked: bool) -> Json:
    """Text, or a list of parts."""
    if content is None:
        return ""
    if isinstance(content, list):
        return content if marked else [_unmarked(part) for part in content]
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def _unmarked(part: Json) -> Json:
    """A part without the mark of Claude's cache, which others refuse."""
    if not isinstance(part, dict) or "cache_control" not in part:
        return part
    return {name: value for name, value in part.items() if name != "cache_control"}


def _assistant(message: Message, provider: str, *, claude: bool, marked: bool) -> Message:
    calls = _calls(message.get("tool_calls")) or _calls([message.get("function_call")])
    found: Message = {"role": "assistant", "content": _content(message.get("content"), marked=marked)}
    if calls:
        found |= {"content": found["content"] or None, "tool_calls": calls}
    if provider in DEVELOPER:
        found |= {name: message[name] for name in ("audio", "refusal") if message.get(name)}
    if claude and isinstance(message.get("thinking_blocks"), list) and message["thinking_blocks"]:
        found["thinking_blocks"] = message["thinking_blocks"]
    return found


def _calls(listed: Json) -> Calls:
    """Tool calls in OpenAI's shape; empty unless every item is a call."""
    if isinstance(listed, dict):
        listed = [listed]
    if not isinstance(listed, list):
        return []
    calls = [_call(item) for item in listed]
    return [call for call in calls if call is not None] if None not in calls else []


def _call(item: Json) -> dict[str, Json] | None:
    """`{id, type, function: {name, arguments}}` or the bare `{name, arguments}`."""
    function = item.get("function", item) if isinstance(item, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        return None
    arguments = function.get("arguments")
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {}, ensure_ascii=False)
    return {
        "id": str(item.get("id") or ""),
        "type": "function",
        "function": {"name": function["name"], "arguments": text or "{}"},
    }


def _result(message: Message) -> Message:
    """A tool's answer: the id of its call if it has one, the function's name for pairing, and text."""
    found: Message = {"role": "tool", "content": _text(message.get("content"))}
    if message.get("tool_call_id"):
        found["tool_call_id"] = str(message["tool_call_id"])
    if message.get("name"):
        found["name"] = message["name"]
    return found


def _text(content: Json) -> str:
    """A result as text: the text of its parts, or JSON."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(
        isinstance(part, dict) and isinstance(part.get("text"), str) for part in content
    ):
        return "".join(part["text"] for part in content)
    return json.dumps(content, ensure_ascii=False)


def _paired(messages: Sequence[Message]) -> list[Message]:
    """Every result beside its call, every call with a result; results of no call become the user's words."""
    paired: list[Message] = []
    open_calls: Calls = []
    taken: set[str] = set()
    for message in messages:
        if message["role"] == "tool":
            call = _answered(message, open_calls)
            if call is None:
                paired += [_unanswered(call) for call in open_calls]
                open_calls = []
                paired.append(_orphan(message))
            else:
                open_calls.remove(call)
                paired.append({"role": "tool", "tool_call_id": call["id"], "content": message["content"]})
            continue
        paired += [_unanswered(call) for call in open_calls]
        open_calls = []
        if message.get("tool_calls"):
            open_calls = _identified(message["tool_calls"], taken)
            message = {**message, "tool_calls": list(open_calls)}
        paired.append(message)
    return paired + [_unanswered(call) for call in open_calls]


def _identified(calls: Calls, taken: set[str]) -> Calls:
    """The calls with ids that are all different; `given` keeps the client's own, by which its results come."""
    found = []
    for call in calls:
        identity = call["id"]
        while not identity or identity in taken:
            identity = f"{identity}_" if identity else f"call{len(taken) + 1:05d}"
        taken.add(identity)
        found.append({**call, "id": identity})
    return found


def _answered(message: Message, open_calls: Calls) -> dict[str, Json] | None:
    """The open call that a result belongs to: by id, else the oldest of its name, else the oldest."""
    identity, name = message.get("tool_call_id"), message.get("name")
    if identity:
        return next((call for call in open_calls if call["id"].rstrip("_") == identity.rstrip("_")), None)
    same = [call for call in open_calls if call["function"]["name"] == name]
    return next(iter(same or open_calls), None)


def _unanswered(call: dict[str, Json]) -> Message:
    return {"role": "tool", "tool_call_id": call["id"], "content": NO_RESULT}


def _orphan(message: Message) -> Message:
    """A result without a call, said by the user."""
    name = f" of {message['name']}" if message.get("name") else ""
    return {"role": "user", "content": f"Result{name}: {message['content']}"}


def _suited(messages: list[Message], provider: str) -> list[Message]:
    """What single providers insist on."""
    if provider in NEED_TEXT:
        messages = [
            message
            for message in messages
            if message.get("tool_calls")
            or message.get("thinking_blocks")
            or message["role"] == "tool"
            or _said(message)
        ]
    if not messages:
        raise UpstreamError("messages: there is nothing to say", code="invalid_request", provider=provider)
    if provider in NEED_USER and all(message["role"] == "system" for message in messages):
        messages = [*messages[:-1], {**messages[-1], "role": "user"}]
    if provider == "aws_bedrock":
        messages = _opened(messages)
    if provider == "mistral":
        messages = [_mistral(message) for message in messages]
        if messages[-1]["role"] == "assistant":
            messages = [*messages[:-1], {**messages[-1], "prefix": True}]
    return messages


def _said(message: Message) -> bool:
    content = message.get("content")
    return bool(content.strip()) if isinstance(content, str) else bool(content)


def _opened(messages: list[Message]) -> list[Message]:
    """With a user's turn before the first turn that is not a system message."""
    first = next((index for index, message in enumerate(messages) if message["role"] != "system"), None)
    if first is None or messages[first]["role"] != "assistant":
        return messages
    return [*messages[:first], {"role": "user", "content": OPENING}, *messages[first:]]


def _mistral(message: Message) -> Message:
    """Mistral takes ids of nine letters and digits only."""
    if message["role"] == "tool":
        return {**message, "tool_call_id": _nine(message["tool_call_id"])}
    if message.get("tool_calls"):
        return {**message, "tool_calls": [{**call, "id": _nine(call["id"])} for call in message["tool_calls"]]}
    return message


def _nine(identity: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9]{9}", identity):
        return identity
    return hashlib.sha256(identity.encode()).hexdigest()[:9]
