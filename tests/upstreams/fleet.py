"""All twelve vendors at once, on loopback: the targets that reach them, and the `providers:` block of a config."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from pydantic import SecretStr

from proxy.target import Target
from tests.upstreams.anthropic import Anthropic
from tests.upstreams.bedrock import ACCESS_KEY, REGION, Bedrock
from tests.upstreams.cohere import Cohere
from tests.upstreams.connection import Thread
from tests.upstreams.openai import VARIATIONS, Chat
from tests.upstreams.server import Upstream
from tests.upstreams.vertex import LOCATION, PROJECT, Vertex

MODELS: dict[str, str] = {
    "openai": "gpt-4o-mini",
    "azure": "chat-deployment",
    "anthropic": "claude-haiku-4-5",
    "anyscale": "mistralai/Mixtral-8x7B-Instruct-v0.1",
    "vertexai": "gemini-2.5-flash",
    "aws_bedrock": "anthropic.claude-haiku-4-5-20251001-v1:0",
    "openrouter": "openai/gpt-4o-mini",
    "mistral": "mistral-small-latest",
    "litellm": "gpt-4o-mini",
    "groq": "openai/gpt-oss-20b",
    "fireworks": "accounts/fireworks/models/llama-v3p3-70b-instruct",
    "cohere": "command-r-08-2024",
}
"""A model of each vendor, one with a known price where the vendor has any."""

BASES: dict[str, str] = {
    "openai": "/v1",
    "anyscale": "/v1",
    "openrouter": "/api/v1",
    "mistral": "/v1",
    "litellm": "/v1",
    "groq": "/openai/v1",
    "fireworks": "/inference/v1",
}
"""What follows the host in the base URL that each vendor's documentation gives; nothing for the others."""


class Fleet:
    """Twelve upstreams on ports of their own, as a context manager."""

    def __init__(self) -> None:
        upstreams: list[Upstream] = [*map(Chat, VARIATIONS), Anthropic(), Vertex(), Bedrock(), Cohere()]
        self.upstreams = {upstream.name: upstream for upstream in upstreams}
        self._thread = Thread()

    def __enter__(self) -> Fleet:
        for upstream in self.upstreams.values():
            upstream.start(self._thread)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for upstream in self.upstreams.values():
            upstream.stop(self._thread)
        self._thread.stop()

    def __getitem__(self, name: str) -> Upstream:
        return self.upstreams[name]

    def reset(self) -> None:
        for upstream in self.upstreams.values():
            upstream.reset()

    @property
    def providers(self) -> dict[str, dict[str, Any]]:
        """The `providers:` block of a config."""
        return {name: self._entry(upstream) for name, upstream in self.upstreams.items()}

    @property
    def targets(self) -> dict[str, Target]:
        """A target for each vendor, as the config would make it."""
        return {name: self.target(name) for name in self.upstreams}

    def target(self, name: str, model: str | None = None) -> Target:
        settings = dict(self.providers[name])
        key = settings.pop("api_key", None)
        base = settings.pop("api_base")
        return Target(name, model or MODELS[name], SecretStr(key) if key else None, base, settings=settings)

    def _entry(self, upstream: Upstream) -> dict[str, Any]:
        base = {"api_base": upstream.url + BASES.get(upstream.name, "")}
        match upstream:
            case Vertex():
                return base | {
                    "vertex_project": PROJECT,
                    "vertex_location": LOCATION,
                    "vertex_credentials": upstream.credentials,
                }
            case Bedrock():
                return base | {
                    "aws_access_key_id": ACCESS_KEY,
                    "aws_secret_access_key": upstream.secret,
                    "aws_region_name": REGION,
                }
            case Upstream(name="azure"):
                return base | {"api_key": upstream.key, "api_version": "2024-10-21"}
            case _:
                return base | {"api_key": upstream.key}
