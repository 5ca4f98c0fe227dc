"""One gateway for all clients, as one that serves several teams would be configured, before the loopback vendors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.gateway import Local
from tests.upstreams.fleet import Fleet

KEY = "the-key-of-this-gateway"


def prompt(text: str) -> dict[str, Any]:
    return {"model": "echo", "version": "7", "messages": [{"role": "user", "content": text}]}


def config(fleet: Fleet) -> dict[str, Any]:
    experiment = {"p-a": 90, "p-b": 10}
    return {
        "model_list": [
            {"model_name": "echo", "litellm_params": {"model": "echo/echo"}},
            {"model_name": "claude-haiku-4-5", "litellm_params": {"model": "anthropic/claude-haiku-4-5"}},
        ],
        "providers": fleet.providers,
        "deployments": {
            "p-hello": prompt("Hello {{name}}"),
            "p-a": prompt("A {{name}}"),
            "p-b": prompt("B {{name}}"),
            "p-vendor": {**prompt("Hello {{name}}"), "model": "openai/gpt-4o-mini"},
        },
        "projects": {
            "support": {"environments": {"production": "p-hello", "staging": {"experiment": experiment}}},
            "vendor": {"environments": {"production": "p-vendor"}},
        },
    }


def as_openai(gateway: Local) -> dict[str, str]:
    """What users of OpenAI's clients set."""
    return {"OPENAI_BASE_URL": f"{gateway.url}/v1", "OPENAI_API_KEY": "anything"}


@pytest.fixture(scope="module", autouse=True)
def _as_new(_fleet: Fleet) -> None:
    """The vendors answer as they do by themselves, whatever another file's tests made them say."""
    _fleet.reset()


@pytest.fixture(scope="session")
def gateway(_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    with Local(tmp_path_factory.mktemp("gateway"), config(_fleet)) as running:
        yield running


@pytest.fixture(scope="session")
def guarded(_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    """The same with a key that clients must send."""
    with Local(
        tmp_path_factory.mktemp("guarded"), {**config(_fleet), "general_settings": {"master_key": KEY}}
    ) as running:
        yield running
