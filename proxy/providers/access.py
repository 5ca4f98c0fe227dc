"""What lets a call in: the secrets of one target, and the headers that they make for one call.

Most vendors want a key in a header; Google wants a token that ends within the hour, and AWS a signature of each body.
What must stay true: the secrets stay here. A wire (`wires.py`) holds none, and is found again without those of AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from proxy.providers import signature
from proxy.providers.engine import Engine
from proxy.providers.wires import Wire

FORMS: Mapping[str, tuple[str, ...]] = {"anthropic": ("sk-ant-oat", "sk-ant-", "Bearer ")}
"""How keys begin that LiteLLM puts into other headers than other keys, by provider."""


class Access(Protocol):
    """What one call needs. `key` stands in the headers of a captured call, empty where none does."""

    key: str

    def headers(self, wire: Wire, body: bytes) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """The headers of all calls of this kind, and those of a call with this body alone."""
        ...


class Key:
    """A key, or a token."""

    def __init__(self, key: str) -> None:
        self.key = key

    def headers(self, wire: Wire, body: bytes) -> tuple[Mapping[str, str], Mapping[str, str]]:
        return wire.keyed(self.key), {}


class Signed:
    """A pair of keys, with which each body is signed."""

    key = ""

    def __init__(self, pair: Mapping[str, str]) -> None:
        self._pair = pair

    def headers(self, wire: Wire, body: bytes) -> tuple[Mapping[str, str], Mapping[str, str]]:
        region = str(wire.settings["aws_region_name"])  # LiteLLM's own note, which a model's name may decide
        return wire.headers, signature.made(self._pair, region, wire.url, wire.headers, body)


async def access(engine: Engine, provider: str, place: dict[str, Any]) -> Access:
    """The access for a call there; its secrets leave `place`, but for those that say where the call goes.

    Raises what LiteLLM raises where a token cannot be had.
    """
    key = place.pop("api_key", None)
    if provider == "vertexai":
        return Key(await _token(await engine.loaded(), place))
    if provider == "aws_bedrock" and not key:
        pair = {name: place.pop(name, "") for name in signature.PAIR}
        place["signed"] = True  # else the wire of a bearer's key would be taken for this one
        return Signed(pair)
    token = place.pop("azure_ad_token", "")
    if token:
        place["token"] = True  # it stands in another header than a key
    if provider in FORMS:
        place["form"] = next((form for form in FORMS[provider] if key.startswith(form)), "")
    return Key(key or token)


async def _token(litellm: Any, place: Mapping[str, Any]) -> str:
    """Google's token. LiteLLM keeps it until shortly before its end: to ask costs 5 us."""
    token, _ = await litellm.main.vertex_chat_completion._ensure_access_token_async(
        credentials=place.get("vertex_credentials"),
        project_id=place.get("vertex_project"),
        custom_llm_provider="vertex_ai",
    )
    return str(token)
