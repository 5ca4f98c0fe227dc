"""instructor, unmodified, with nothing set but OPENAI_BASE_URL and OPENAI_API_KEY."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients import environment
from tests.clients.conftest import as_openai
from tests.gateway import Local


@pytest.fixture(scope="module")
def seen(gateway: Local, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("home")
    return environment.seen("tools", "instructor_script.py", home=home, **as_openai(gateway))


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("tools", "get_weather(city='Paris')"),
        ("json_schema", ["City(city='Paris')", 11]),
        ("partial", "Paris"),
        ("asynchronous", "get_weather(city='Paris')"),
        ("asked_again", 3),
    ],
)
def test_what_the_client_saw(seen: dict[str, Any], what: str, expected: Any) -> None:
    assert seen[what] == expected
