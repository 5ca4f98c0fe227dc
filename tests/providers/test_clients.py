"""OpenAI's client for what LiteLLM asks badly: whose key and address it has, and that it repeats nothing."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from proxy.config.targets import UNCHANGED
from proxy.errors import UpstreamError
from proxy.providers.engine import clients
from proxy.providers.litellm import LiteLLM
from proxy.target import Target

KEY = SecretStr("key-of-the-target")


@pytest.fixture
async def litellm(provider: LiteLLM) -> Any:
    return await provider.start()


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("openai", "https://api.openai.com/v1/"),
        ("openrouter", "https://openrouter.ai/api/v1/"),
        ("fireworks", "https://api.fireworks.ai/inference/v1/"),
        ("mistral", "https://api.mistral.ai/v1/"),
        ("anyscale", "https://api.endpoints.anyscale.com/v1/"),
    ],
)
async def test_the_environment_names_no_address(
    litellm: Any, monkeypatch: pytest.MonkeyPatch, name: str, base: str
) -> None:
    for variable in ("OPENAI_BASE_URL", "OPENAI_API_BASE", f"{name.upper()}_API_BASE"):
        monkeypatch.setenv(variable, "http://elsewhere.invalid/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-the-environment")
    client = clients.client(litellm, Target(name, "m", KEY), 5.0)
    assert (str(client.base_url), client.api_key) == (base, KEY.get_secret_value())
    assert (client.max_retries, client.timeout) == (0, 5.0)


async def test_without_a_key_there_is_none(litellm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-the-environment")
    for name in clients.COMPATIBLE:
        with pytest.raises(UpstreamError) as caught:
            clients.client(litellm, Target(name, "m", api_base="http://h/v1"), 5.0)
        assert caught.value.code == "authentication"


async def test_it_is_made_once_for_a_key_and_address(litellm: Any) -> None:
    def made(key: str, base: str) -> Any:
        return clients.client(litellm, Target("openai", "m", SecretStr(key), base), 5.0)._client

    assert made("one", "http://h/v1") is made("one", "http://h/v1")
    assert made("one", "http://h/v1") is not made("one", "http://other/v1")


def test_whom_it_reaches() -> None:
    assert clients.reaches(Target("openai", "m"))
    assert not clients.reaches(Target("cohere", "m"))
    assert not clients.reaches(Target("litellm", "deepseek/m", settings={UNCHANGED: True}))
