"""How calls are written for the wire without LiteLLM's wrapper: once captured, then repeated with other words.

A `Wire` is what LiteLLM sends for one target, one set of parameters and one form of conversation. Its URL, its headers
and its body besides the conversation are the same for all calls that have these in common. The conversation goes
as it is, where LiteLLM sends it so, or through LiteLLM's own method.

What must stay true: a wire is believed only if it makes the captured body again, field by field; what cannot be
repeated so takes LiteLLM's wrapper (`None`). No key is kept in a wire, only the places where it stands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from proxy.models import Json, Message
from proxy.providers import signature
from proxy.providers.engine.capture import Capture, Transform
from proxy.providers.standins import Place, fill, places

SLOT = "\x00"
"""Stands in a header for the key: no header can hold it."""

KEYED = frozenset({"authorization", "api-key", "x-api-key"})
"""Headers that a key stands in: alone, or after a scheme. In others the same letters are none of its."""

OPENAI = "/chat/completions"
"""How the address ends of an endpoint whose answers have OpenAI's form."""

DROPPED = frozenset({"host", "connection", "content-length", "accept-encoding", "transfer-encoding", *signature.MADE})
"""Headers that belong to the connection, or to one body; the client's own fingerprint, `x-stainless-*`, is none of ours
either.
"""


@dataclass(slots=True, frozen=True)
class Wire:
    """One way to write calls. `transform` is None where the messages go as they are; `settings` are LiteLLM's own notes
    about such calls. `developer` says whether the model has that role, `places` where values of the call's own stand
    (`standins.py`). Answers have OpenAI's form where `direct`.
    """

    url: str
    headers: Mapping[str, str]
    fields: Mapping[str, Json]
    direct: bool
    developer: bool = True
    places: Sequence[tuple[Place, str]] = ()
    transform: Transform | None = field(default=None, repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def body(self, messages: Sequence[Message], own: Mapping[str, Json]) -> dict[str, Json]:
        """The body of a call with these messages, and its own values for the stand-ins."""
        told = bare(messages) if self.developer else undeveloped(bare(messages))
        if self.transform is None:
            made = {**self.fields, "messages": told}
        else:
            made = {**self.transform(told)[0], **self.fields}
        if self.places:
            fill(made, self.places, own)
        return made

    def keyed(self, key: str) -> dict[str, str]:
        """The headers with a key in them."""
        return {name: value.replace(SLOT, key) for name, value in self.headers.items()}


def wire(
    found: Capture, messages: Sequence[Message], own: Mapping[str, Json], key: str, *, stream: bool
) -> Wire | None:
    """The wire of a captured call with these messages, stand-ins for `own` values, and this key; None where it cannot
    be repeated.
    """
    try:
        body = orjson.loads(found.body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(body, dict):
        return None
    direct = found.url.partition("?")[0].endswith(OPENAI)
    if direct and stream and body.get("stream") is not True:
        return None  # LiteLLM means to fake the stream
    made = _made(body, bare(messages), found.transform, direct=direct)
    if made is None:
        return None
    own_places = places(body, own)
    if len({name for _, name in own_places}) < len(own_places):
        return None  # which of them is the call's own, nobody can tell
    headers = {
        name: _slotted(value, key) if name in KEYED else value
        for name, value in found.headers.items()
        if name not in DROPPED and not name.startswith("x-stainless-") and not value.startswith(signature.SCHEME)
    }
    if key and not any(value.endswith(SLOT) for value in headers.values()):
        return None
    return Wire(found.url, headers, direct=direct, places=own_places, **made)


def _slotted(value: str, key: str) -> str:
    """A header's value with the slot in place of the key."""
    return value.removesuffix(key) + SLOT if key and (value == key or value.endswith(f" {key}")) else value


def _made(
    body: Mapping[str, Json], messages: list[Message], transform: Transform | None, *, direct: bool
) -> dict[str, Any] | None:
    """The fields besides the conversation, and what makes that, if it is not just the messages."""
    if direct and body.get("messages") in (messages, undeveloped(messages)):
        fields = {name: value for name, value in body.items() if name != "messages"}
        return {"fields": fields, "developer": body["messages"] == messages}
    if transform is None:
        return None
    again, settings = transform(messages)
    if not isinstance(again, dict):
        return None
    again = orjson.loads(orjson.dumps(again))
    if any(name not in body or body[name] != value for name, value in again.items()):
        return None
    rest = {name: value for name, value in body.items() if name not in again}
    return {"fields": rest, "transform": transform, "settings": settings}


def bare(messages: Sequence[Message]) -> list[Message]:
    """Messages without the fields that are null, which LiteLLM leaves out."""
    return [
        {name: value for name, value in message.items() if value is not None} if None in message.values() else message
        for message in messages
    ]


def undeveloped(messages: Sequence[Message]) -> list[Message]:
    """Messages for models that do not know the developer's role: LiteLLM makes it the system's."""
    return [{**message, "role": "system"} if message.get("role") == "developer" else message for message in messages]


def form(messages: Sequence[Message]) -> list[Json]:
    """What LiteLLM's translation of a conversation may depend on besides its words: the roles and the fields of its
    messages, the kinds and the fields of their parts, which texts are blank, and who begins and ends.
    """
    kinds = {_kind(message) for message in messages}
    ends = [str(messages[0].get("role")), str(messages[-1].get("role"))] if messages else []
    return [sorted(kinds), ends]


def _kind(message: Message) -> str:
    content = message.get("content")
    if isinstance(content, list):
        said = " ".join(sorted({f"{part.get('type')}{_shape(part)}" for part in content if isinstance(part, dict)}))
    else:
        said = _shape(content)
    if len(message) == 2:
        return f"{message.get('role')}:{said}"
    return f"{message.get('role')}:{said}:{','.join(sorted(message))}"


def _shape(value: Json) -> str:
    """A value without its words."""
    if isinstance(value, dict):
        fields = sorted([f"{name}:{_shape(each)}" for name, each in value.items()])
        return f"({','.join(fields)})"
    if isinstance(value, str) and not value.strip():
        return "blank" if value else "empty"
    return type(value).__name__


def name(place: Mapping[str, Any], arguments: Mapping[str, Any], messages: Sequence[Message]) -> bytes:
    """By what a wire is kept: where it leads, the parameters, and the form of the conversation."""
    said = orjson.dumps([place, arguments, form(messages)], option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(said, digest_size=16).digest()
