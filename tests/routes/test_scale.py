from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.gateway import Local

DEFINITIONS, MODELS = "/v5/chat/completions/models", "/v5/models"
LISTED = {
    "zoo/one": "anthropic/claude-haiku-4-5",
    "fast": "openai/gpt-4o-mini",
    "old": "openai/gpt-3.5-turbo-instruct",
    "google": "bedrock/anthropic.claude-haiku-4-5-20251001-v1:0",
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    models: list[dict[str, Any]] = [
        {"model_name": name, "litellm_params": {"model": model, "api_key": "k"}} for name, model in LISTED.items()
    ]
    models.append(
        {
            "model_name": "vectors",
            "litellm_params": {"model": "openai/text-embedding-3-small", "api_key": "k"},
            "model_info": {"mode": "embedding"},
        }
    )
    config = {"model_list": models, "server": {"dialects": ["scale"]}}
    with Local(tmp_path_factory.mktemp("models"), config) as served:
        yield served


def names(gateway: Local, path: str, **query: Any) -> list[str]:
    answer = httpx.get(gateway.url + path, params=query, timeout=20)
    assert answer.status_code == 200, answer.text
    assert answer.json()["object"] == "list"
    return [item.get("name") or item["model_name"] for item in answer.json()["items"]]


def test_definitions_say_vendor_and_type(gateway: Local) -> None:
    items = httpx.get(gateway.url + DEFINITIONS, timeout=20).json()["items"]
    assert [(item["model_name"], item["model_vendor"], item["model_type"]) for item in items] == [
        ("zoo/one", "anthropic", "chat_completion"),
        ("fast", "openai", "chat_completion"),
        ("old", "openai", "completion"),
        ("google", "bedrock", "chat_completion"),
        ("vectors", "openai", "generic"),
    ]
    assert {item["model_availability"] for item in items} == {"available"}


@pytest.mark.parametrize("path", [DEFINITIONS, MODELS])
def test_a_list_is_narrowed_and_paged(gateway: Local, path: str) -> None:
    assert names(gateway, path, model_vendor="openai") == ["fast", "old", "vectors"]
    assert names(gateway, path, model_vendor="nobody") == []
    assert names(gateway, path, limit=2) == ["zoo/one", "fast"]
    assert names(gateway, path, limit=2, starting_after="fast") == ["old", "google"]
    assert names(gateway, path, limit=2, ending_before="google") == ["fast", "old"]
    assert names(gateway, path, sort_by="name") == ["fast", "google", "old", "vectors", "zoo/one"]
    assert names(gateway, path, sort_by="name", sort_order="desc", limit=1) == ["zoo/one"]
    assert names(gateway, path, name="old") == ["old"]


def test_pages_say_whether_there_is_more(gateway: Local) -> None:
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = httpx.get(gateway.url + MODELS, params=query, timeout=20).json()
        seen += [item["id"] for item in page["items"]]
        if not page["has_more"]:
            break
        query["starting_after"] = seen[-1]
    assert seen == [*LISTED, "vectors"]


def test_a_model_is_found_by_its_name(gateway: Local) -> None:
    model = httpx.get(f"{gateway.url}{MODELS}/zoo/one", timeout=20).json()
    assert (model["id"], model["name"], model["status"], model["object"]) == ("zoo/one", "zoo/one", "ready", "model")
    assert {"created_at", "created_by_user_id", "created_by_identity_type"} <= model.keys()
    quoted = httpx.get(f"{gateway.url}{MODELS}/zoo%2Fone", timeout=20)
    assert quoted.json() == model


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{MODELS}/nobody", 404),
        (f"{MODELS}?starting_after=nobody", 400),
        (f"{DEFINITIONS}?ending_before=nobody", 400),
        (f"{MODELS}?limit=0", 422),
        (f"{MODELS}?sort_order=up", 422),
    ],
)
def test_what_is_not_there_is_refused(gateway: Local, path: str, status: int) -> None:
    answer = httpx.get(gateway.url + path, timeout=20)
    assert (answer.status_code, list(answer.json())) == (status, ["detail"])


def test_without_the_dialect_there_is_no_list(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Local(tmp_path_factory.mktemp("parea"), {"server": {"dialects": ["parea"]}}) as served:
        assert httpx.get(served.url + MODELS, timeout=20).status_code == 404
