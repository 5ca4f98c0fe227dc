"""litellm 1.109.1 as a client of this gateway, unmodified, through the address alone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients import environment
from tests.gateway import Local


@pytest.fixture(scope="module")
def seen(gateway: Local, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("home")
    return environment.seen(
        environment.DEVELOPMENT, "litellm_script.py", gateway.url, home=home, LITELLM_LOCAL_MODEL_COST_MAP="True"
    )


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("whole", ["Hello from openai", "stop", 11]),
        ("config_name", "You said: hi"),
        ("stream", ["Hello from openai", [11]]),
        ("tools", [["get_weather", {"city": "Paris"}], ["get_time", {"zone": "Europe/Paris"}]]),
        ("text", "You said: Once"),
        ("as_a_proxy", "You said: hi"),
        ("asynchronous", "You said: hi"),
        ("anthropic", "You said: hi"),
        ("unknown_model", ["NotFoundError", 404]),
        ("limited", ["RateLimitError", 429]),
        ("too_long", ["ContextWindowExceededError", 400]),
    ],
)
def test_what_the_client_saw(seen: dict[str, Any], what: str, expected: Any) -> None:
    assert seen[what] == expected
