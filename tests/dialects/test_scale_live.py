"""Scale's routes over a live server: the offline provider and the loopback vendors behind them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.gateway import Local, rows
from tests.upstreams.fleet import Fleet

INSTRUCT = "gpt-3.5-turbo-instruct"
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
PATHS = ("/v4/beta/completions", "/v5/completions", "/v4/beta/chat/completions", "/v5/chat/completions")


@pytest.fixture(scope="module")
def gateway(_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    models = [
        {"model_name": "echo", "litellm_params": {"model": "echo/echo"}},
        {"model_name": "xai/grok", "litellm_params": {"model": "openai/gpt-4o-mini"}},
        {"model_name": "fast", "litellm_params": {"model": "openai/gpt-4o-mini"}},
    ]
    config = {"model_list": models, "providers": _fleet.providers, "server": {"dialects": ["scale"]}}
    with Local(tmp_path_factory.mktemp("scale"), config) as served:
        served.wait_until_ready()
        yield served


def body(path: str, model: str = "echo", **more: Any) -> dict[str, Any]:
    said = {"messages": [{"role": "user", "content": "hi"}]} if "chat" in path else {"prompt": "hi"}
    return {"model": model, **said, **more}


def post(gateway: Local, path: str, model: str = "echo", **more: Any) -> httpx.Response:
    return httpx.post(gateway.url + path, json=body(path, model, **more), timeout=20)


def text(choice: dict[str, Any]) -> str:
    found: str = choice["text"] if "text" in choice else choice["message"]["content"]
    return found


def chunks(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.headers["content-type"].startswith("text/event-stream")
    return [json.loads(event.removeprefix("data: ")) for event in answer.text.split("\n\n") if event]


@pytest.mark.parametrize("path", PATHS)
def test_a_whole_answer(gateway: Local, path: str) -> None:
    answer = post(gateway, path)
    assert answer.status_code == 200
    assert text(answer.json()["choices"][0]) == "You said: hi"
    assert answer.json()["id"].endswith(answer.headers["x-trace-id"])
    row = gateway.row(answer.headers["x-trace-id"])
    assert (row["status"], row["notes"]["dialect"], row["notes"].get("kind")) == (
        "success",
        "scale",
        None if "chat" in path else "text",
    )


def test_several_prompts_to_the_newer_client(gateway: Local) -> None:
    asked: dict[str, Any] = {"prompt": ["a", "b"], "n": 2, "echo": True}
    expected = ["aYou said: a"] * 2 + ["bYou said: b"] * 2
    answer = post(gateway, "/v5/completions", **asked).json()
    assert [(choice["index"], choice["text"]) for choice in answer["choices"]] == list(enumerate(expected))
    told = [""] * 4
    for chunk in chunks(post(gateway, "/v5/completions", **asked, stream=True)):
        for choice in chunk["choices"]:
            told[choice["index"]] += choice["text"]
    assert told == expected
    refused = post(gateway, "/v4/beta/completions", **asked)
    assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["body", "prompt"])


@pytest.mark.parametrize("path", PATHS)
def test_a_stream_ends_with_its_body(gateway: Local, path: str) -> None:
    answer = post(gateway, path, stream=True, stream_options={"include_usage": True})
    assert "[DONE]" not in answer.text
    *told, usage = chunks(answer)
    pieces = [
        choice.get("text") or choice.get("delta", {}).get("content") or "" for one in told for choice in one["choices"]
    ]
    assert "".join(pieces) == "You said: hi"
    assert (usage["choices"], usage["usage"]["prompt_tokens"]) == ([], 1)


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize(
    ("model", "upstream", "asked_for"),
    [
        ("gpt-4o-mini", "openai", "gpt-4o-mini"),
        ("openai/gpt-4o-mini", "openai", "gpt-4o-mini"),
        ("openai/fast", "openai", "gpt-4o-mini"),
        ("xai/grok", "openai", "gpt-4o-mini"),
        ("azure/gpt-4o/chat-deployment", "azure", "chat-deployment"),
        ("anthropic/claude-haiku-4-5", "anthropic", "claude-haiku-4-5"),
        ("vertex_ai/gemini-2.5-flash", "vertexai", "gemini-2.5-flash"),
        ("gemini/gemini-2.5-flash", "vertexai", "gemini-2.5-flash"),
        ("bedrock/anthropic.claude-haiku-4-5-20251001-v1:0", "aws_bedrock", "anthropic.claude-haiku-4-5-20251001-v1:0"),
        ("cohere/command-r-08-2024", "cohere", "command-r-08-2024"),
        ("mistral/mistral-small-latest", "mistral", "mistral-small-latest"),
        ("groq/openai/gpt-oss-20b", "groq", "openai/gpt-oss-20b"),
        ("openrouter/openai/gpt-4o-mini", "openrouter", "openai/gpt-4o-mini"),
    ],
)
def test_a_model_is_named_by_its_vendor(gateway: Local, model: str, upstream: str, asked_for: str) -> None:
    answer = post(gateway, "/v4/beta/completions", model)
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["text"]
    row = gateway.row(answer.headers["x-trace-id"])
    assert (row["provider"], row["model"]) == (upstream, asked_for)


@pytest.mark.parametrize("model", ["launch/llama", "llmengine/llama", "model_zoo/llama", "xai/grok-4"])
def test_a_vendor_of_scales_own_is_there_only_if_the_config_says_so(gateway: Local, model: str) -> None:
    answer = post(gateway, "/v5/completions", model)
    assert answer.status_code == 404
    assert "model_list" in answer.json()["detail"]


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", f"openai/{INSTRUCT}"])
def test_log_probabilities_have_each_clients_own_shape(gateway: Local, model: str) -> None:
    flagged = post(gateway, PATHS[0], model, logprobs=True, top_logprobs=2).json()["choices"][0]["logprobs"]
    counted = post(gateway, PATHS[1], model, logprobs=2).json()["choices"][0]["logprobs"]
    assert [entry["token"] for entry in flagged["content"]] == counted["tokens"]
    assert all(entry["top_logprobs"] for entry in flagged["content"])
    assert all(counted["top_logprobs"])


@pytest.mark.parametrize("path", ["/v4/beta/completions", "/v5/completions"])
def test_a_completion_model_completes_and_a_chat_model_is_told(gateway: Local, fleet: Fleet, path: str) -> None:
    assert post(gateway, path, f"openai/{INSTRUCT}").status_code == 200
    assert post(gateway, path, "openai/gpt-4o-mini").status_code == 200
    completed, chatted = fleet["openai"].requests
    assert (completed.target, json.loads(completed.body)["prompt"]) == ("/v1/completions", "hi")
    assert chatted.target == "/v1/chat/completions"
    assert json.loads(chatted.body)["messages"] == [{"role": "user", "content": "hi"}]


def test_extras_reach_the_vendor_without_addresses_and_keys(gateway: Local, fleet: Fleet) -> None:
    answer = post(
        gateway,
        "/v4/beta/completions",
        "fireworks_ai/accounts/fireworks/models/llama-v3p3-70b-instruct",
        inference_extra_params={"min_p": 0.1, "temperature": 0.3, "api_base": "http://127.0.0.1:9"},
        inference_extra_headers={"X-Team": "search", "Authorization": "Bearer sk-canary", "Cookie": "sk-canary"},
        surprise="sk-canary",
    )
    assert answer.status_code == 200, answer.text
    (request,) = fleet["fireworks"].requests
    sent = json.loads(request.body)
    assert (sent["min_p"], sent["temperature"], sent.get("api_base")) == (0.1, 0.3, None)
    assert request.headers["x-team"] == "search"
    assert "canary" not in str(request.headers) + str(request.body)
    dropped = gateway.row(answer.headers["x-trace-id"])["notes"]["dropped"]
    assert set(dropped) == {
        "inference_extra_params.api_base",
        "inference_extra_headers.Authorization",
        "inference_extra_headers.Cookie",
        "surprise",
    }
    assert "canary" not in str(rows(gateway.data))


def test_the_clients_own_key_is_for_openai_alone(gateway: Local, fleet: Fleet) -> None:
    headers = {"x-openai-api-key": "sk-of-the-client"}
    for model in ("openai/gpt-4o-mini", "groq/openai/gpt-oss-20b"):
        httpx.post(gateway.url + PATHS[3], json=body(PATHS[3], model), headers=headers, timeout=20)
    (request,) = fleet["openai"].requests
    assert request.headers["authorization"] == "Bearer sk-of-the-client"
    (other,) = fleet["groq"].requests
    assert "sk-of-the-client" not in str(other.headers)


@pytest.mark.usefixtures("fleet")
def test_a_call_of_a_tool(gateway: Local) -> None:
    for path in PATHS:
        choice = post(gateway, path, "openai/gpt-4o-mini~tool", tools=[TOOL]).json()["choices"][0]
        called = choice.get("message", choice)["tool_calls"]
        assert (called[0]["function"]["name"], choice["finish_reason"]) == ("get_weather", "tool_calls")
        last = chunks(post(gateway, path, "openai/gpt-4o-mini~tool", tools=[TOOL], stream=True))[-1]
        assert last["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_before_the_answer_is_a_status(gateway: Local, path: str, stream: bool) -> None:
    answer = post(gateway, path, "openai/gpt-4o-mini~e429after", stream=stream)
    assert (answer.status_code, answer.headers["retry-after"], answer.headers["x-should-retry"]) == (429, "7", "true")
    assert isinstance(answer.json()["detail"], str)


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("path", PATHS)
def test_a_failure_in_the_stream_is_told_and_the_connection_cut(gateway: Local, path: str) -> None:
    told = b""
    sent = body(path, "openai/gpt-4o-mini~serr", stream=True)
    with httpx.stream("POST", gateway.url + path, json=sent, timeout=20) as answer:
        pieces = answer.iter_bytes()
        with suppress(httpx.RemoteProtocolError):
            while piece := next(pieces, b""):
                told += piece
            pytest.fail("the connection should break off")
    last = json.loads(told.strip().split(b"\n\n")[-1].removeprefix(b"data: "))
    assert (last["choices"], last["error"]["status_code"]) == ([], 502)


def test_a_refusal_names_the_field(gateway: Local) -> None:
    answer = post(gateway, "/v4/beta/completions", top_logprobs=3)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "top_logprobs"]
    assert answer.headers["x-should-retry"] == "false"


def test_other_paths_are_refused_in_the_same_shape(gateway: Local) -> None:
    assert httpx.get(f"{gateway.url}/v5/nowhere").json() == {"detail": "Not Found"}
    answer = httpx.get(f"{gateway.url}/v4/beta/completions")
    assert (answer.status_code, answer.json()) == (405, {"detail": "Method Not Allowed"})


def test_the_cache_answers_only_when_asked(gateway: Local) -> None:
    unasked = [post(gateway, path, prompt="again").headers["x-cache"] for path in PATHS[:2]]
    asked = [post(gateway, path, cache=True, seed=5).headers["x-cache"] for path in (*PATHS[:2], *PATHS[2:])]
    assert (unasked, asked[1:]) == (["bypass", "bypass"], ["hit", "hit", "hit"])


def test_where_a_call_stands_is_told_by_headers(gateway: Local) -> None:
    headers = {"x-trace-id": "scale-1", "x-parent-trace-id": "scale-0", "x-selected-account-id": "acc-1"}
    httpx.post(gateway.url + PATHS[0], json=body(PATHS[0], user="u1"), headers=headers, timeout=20)
    row = gateway.row("scale-1")
    assert (row["parent_trace_id"], row["end_user"], row["extra"]) == ("scale-0", "u1", {"account_id": "acc-1"})


def test_what_is_omitted_is_not_written_down(gateway: Local) -> None:
    sent = body(PATHS[1], prompt="canary in a mine", log_omit="all", trace_id="scale-2")
    assert "canary" in httpx.post(gateway.url + PATHS[1], json=sent, timeout=20).text
    assert "canary" not in str(gateway.row("scale-2"))
