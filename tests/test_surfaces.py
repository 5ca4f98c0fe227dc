"""The APIs side by side: each path answers and refuses in its own API's words, and a new one is one file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.app import Gateway
from proxy.config import load
from proxy.errors import ConfigError
from tests.gateway import Local, rows, written

KEY = "the-gateways-own-key-0123456789"
ECHO = {"model_name": "echo", "litellm_params": {"model": "echo/echo"}}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    hello = {"model": "echo", "messages": [{"role": "user", "content": "Hello {{name}}"}]}
    config = {
        "model_list": [ECHO],
        "deployments": {"p-hello": hello},
        "general_settings": {"master_key": KEY},
        "server": {"max_body": 10_000},
    }
    with Local(tmp_path_factory.mktemp("gateway"), config) as running:
        yield running


def openai(answer: dict[str, Any]) -> bool:
    error = answer["error"]
    return error.keys() == {"message", "type", "param", "code"} and isinstance(error["message"], str)


def anthropic(answer: dict[str, Any]) -> bool:
    return bool(answer["type"] == "error" and answer["error"].keys() >= {"type", "message"})


def detail(answer: dict[str, Any]) -> bool:
    return answer.keys() == {"detail"}


PATHS: list[tuple[str, Callable[[dict[str, Any]], bool]]] = [
    ("/api/parea/v1/completion", detail),
    ("/v1/chat/completions", openai),
    ("/v1/completions", openai),
    ("/v1/embeddings", openai),
    ("/v1/responses", openai),
    ("/v1/messages", anthropic),
    ("/v4/completion-deployed", detail),
    ("/v4/chat", detail),
    ("/v4/beta/completions", detail),
    ("/v4/beta/chat/completions", detail),
    ("/v5/completions", detail),
    ("/v5/chat/completions", detail),
]
paths = pytest.mark.parametrize(("path", "shape"), PATHS, ids=[path for path, _ in PATHS])
SENT = {"x-api-key": KEY, "content-type": "application/json"}


@paths
def test_a_missing_key(gateway: Local, path: str, shape: Callable[[dict[str, Any]], bool]) -> None:
    response = httpx.post(gateway.url + path, json={})
    assert response.status_code == 401
    assert shape(response.json())
    assert response.headers["x-should-retry"] == "false"


@paths
def test_a_body_that_is_no_json(gateway: Local, path: str, shape: Callable[[dict[str, Any]], bool]) -> None:
    response = httpx.post(gateway.url + path, content=b'{"x": ', headers=SENT)
    assert response.status_code == 400
    assert shape(response.json())
    assert "JSON" in response.text


@paths
def test_a_body_of_another_type(gateway: Local, path: str, shape: Callable[[dict[str, Any]], bool]) -> None:
    response = httpx.post(gateway.url + path, content=b"{}", headers={"x-api-key": KEY, "content-type": "text/plain"})
    assert response.status_code == 415
    assert shape(response.json())


@pytest.mark.parametrize("chunked", [False, True])
@paths
def test_a_body_that_is_too_large(
    gateway: Local, path: str, shape: Callable[[dict[str, Any]], bool], chunked: bool
) -> None:
    body = json.dumps({"x": "x" * 20_000}).encode()
    response = httpx.post(gateway.url + path, content=iter([body]) if chunked else body, headers=SENT)
    assert response.status_code == 413
    assert shape(response.json())


@paths
def test_a_method_that_is_not_served(gateway: Local, path: str, shape: Callable[[dict[str, Any]], bool]) -> None:
    response = httpx.delete(gateway.url + path, headers=SENT)
    assert response.status_code == 405
    assert shape(response.json())
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/v1/nothing", openai),
        ("/v1/audio/transcriptions", openai),
        ("/v1", openai),
        ("/v1/messages/batches", anthropic),
        ("/v4/nothing", detail),
        ("/v4/beta/nothing", detail),
        ("/v5/nothing", detail),
        ("/api/parea/v1/nothing", detail),
        ("/nothing", detail),
    ],
)
def test_a_path_that_is_not_served(
    gateway: Local, method: str, path: str, shape: Callable[[dict[str, Any]], bool]
) -> None:
    response = httpx.request(method, gateway.url + path, headers=SENT, content=b"{}" if method == "POST" else None)
    assert response.status_code == 404
    assert shape(response.json())


@paths
def test_an_unknown_model(gateway: Local, path: str, shape: Callable[[dict[str, Any]], bool]) -> None:
    body: dict[str, Any] = {"model": "no-such-model", "max_tokens": 5, "input": "x", "project": "no-such-project"}
    body |= {"prompt": "x"} if path.endswith("completions") else {}
    body |= {"messages": [{"role": "user", "content": "x"}]}
    body |= {"model_config": {"model": "no-such-model"}, "llm_configuration": body.copy()}
    response = httpx.post(gateway.url + path, json=body, headers=SENT)
    assert response.status_code == 404
    assert shape(response.json())
    assert re.search("no-such-model|no such project", response.text)


# a deployment, by the clients that cannot leave messages out

DEPLOYED: list[tuple[str, dict[str, Any], Callable[[dict[str, Any]], str]]] = [
    ("/v1/chat/completions", {"messages": []}, lambda answer: str(answer["choices"][0]["message"]["content"])),
    ("/v1/completions", {"prompt": ""}, lambda answer: str(answer["choices"][0]["text"])),
    ("/v1/responses", {"input": ""}, lambda answer: str(answer["output"][0]["content"][0]["text"])),
    ("/v1/messages", {"messages": [], "max_tokens": 5}, lambda answer: str(answer["content"][0]["text"])),
    ("/v4/beta/completions", {"prompt": ""}, lambda answer: str(answer["choices"][0]["text"])),
    ("/v4/beta/chat/completions", {"messages": []}, lambda answer: str(answer["choices"][0]["message"]["content"])),
    ("/v5/completions", {"prompt": ""}, lambda answer: str(answer["choices"][0]["text"])),
    ("/v5/chat/completions", {"messages": []}, lambda answer: str(answer["choices"][0]["message"]["content"])),
]


@pytest.mark.parametrize(("path", "body", "read"), DEPLOYED, ids=[path for path, _, _ in DEPLOYED])
def test_a_deployed_prompt_by_every_api(
    gateway: Local, path: str, body: dict[str, Any], read: Callable[[dict[str, Any]], str]
) -> None:
    asked = {"model": "deployment/p-hello", "inputs": {"name": "Ada"}, **body}
    response = httpx.post(gateway.url + path, json=asked, headers=SENT)
    assert response.status_code == 200, response.text
    assert read(response.json()) == "You said: Hello Ada"
    missing = httpx.post(gateway.url + path, json={**asked, "inputs": {}}, headers=SENT)
    assert missing.status_code == 400
    assert "name" in missing.text


# a new API


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    config = {"model_list": [ECHO], "server": {"dialects": ["parea", "tests.toy:surface"]}}
    with Local(tmp_path_factory.mktemp("toy"), config) as running:
        yield running


def test_a_dialect_is_one_file(toy: Local) -> None:
    response = httpx.post(f"{toy.url}/toy/say", json={"say": "hello", "to": "echo", "trace_id": "t-1"})
    assert response.json() == {"said": "You said: hello"}
    assert toy.row("t-1")["notes"]["dialect"] == "toy"


def test_it_streams_caches_omits_and_joins_a_tree_like_all_others(toy: Local) -> None:
    body = {"say": "again", "to": "echo", "stream": True, "cache": True}
    first = httpx.post(f"{toy.url}/toy/say", json=body)
    second = httpx.post(f"{toy.url}/toy/say", json=body, headers={"x-log-omit": "all", "x-parent-trace-id": "trunk"})
    assert first.text == second.text == "You said: again"
    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("miss", "hit")
    (row,) = rows(toy.data, "root_trace_id = ?", "trunk")
    assert (row["output"], row["inputs"], row["parent_trace_id"]) == (None, None, "trunk")


@pytest.mark.parametrize(("path", "status"), [("/toy/say", 400), ("/toy/sing", 404)])
def test_it_refuses_in_its_own_words(toy: Local, path: str, status: int) -> None:
    response = httpx.post(toy.url + path, json={})
    assert response.status_code == status
    assert response.json().keys() == {"sorry"}


def test_an_api_that_is_left_out_is_not_served(toy: Local) -> None:
    assert httpx.post(f"{toy.url}/v1/chat/completions", json={}).status_code == 404


def test_two_dialects_cannot_share_a_path(tmp_path: Path) -> None:
    config = {"server": {"dialects": ["tests.toy:surface", "tests.toy:rival"]}}
    with pytest.raises(ConfigError, match=r"server\.dialects: two of them serve /toy/say"):
        Gateway(load(written(tmp_path, config), {}), tmp_path / "data")


def test_a_dialect_that_is_not_there_is_told_at_the_start(tmp_path: Path) -> None:
    config = {"server": {"dialects": ["tests.toy:nothing"]}}
    with pytest.raises(ConfigError, match="has no 'nothing'"):
        Gateway(load(written(tmp_path, config), {}), tmp_path / "data")
