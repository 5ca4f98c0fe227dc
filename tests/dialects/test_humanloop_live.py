"""Humanloop's completion routes on a live gateway: what its clients get, and what is left in the log and on disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from proxy.ids import derived_id, sample_id
from tests.gateway import Local, rows
from tests.upstreams.fleet import Fleet

CONFIG: dict[str, Any] = {
    "server": {"dialects": ["humanloop"]},
    "deployments": {
        "greet": {"model": "echo/echo", "prompt": "Greet {{name}}, {{ age }}."},
        "chat": {"model": "echo/echo", "messages": [{"role": "system", "content": "You help {{name}}."}]},
        "bare": {"model": "echo/echo"},
    },
    "projects": {"support": {"environments": {"production": "greet", "talk": "chat", "void": "bare"}}},
}
INPUTS = {"name": "Ada", "age": 36}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, _fleet: Fleet) -> Iterator[Local]:
    config = CONFIG | {"providers": _fleet.providers}
    with Local(tmp_path_factory.mktemp("gateway"), config) as gateway:
        gateway.wait_until_ready()
        yield gateway


def post(gateway: Local, route: str, **body: Any) -> httpx.Response:
    headers = body.pop("headers", {})
    return httpx.post(f"{gateway.url}/v4/{route}", json=body, headers=headers, timeout=20)


def answered(gateway: Local, route: str, **body: Any) -> dict[str, Any]:
    response = post(gateway, route, **body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def streamed(gateway: Local, route: str, **body: Any) -> list[dict[str, Any]]:
    response = post(gateway, route, stream=True, **body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    *events, rest = response.text.split("\n\n")
    assert rest == ""
    return [json.loads(event.removeprefix("data: ")) for event in events]


def config(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "provider": "openai", **more}


def test_what_is_deployed_answers_and_leaves_a_row_in_its_session(gateway: Local) -> None:
    answer = answered(
        gateway,
        "completion-deployed",
        project="support",
        inputs=INPUTS,
        session_reference_id="s-1",
        source="app",
        user="u",
        metadata={"k": "v"},
        later=1,
    )
    (sample,) = answer["data"]
    assert sample["output"] == "You said: Greet Ada, 36."
    assert (sample["inputs"], answer["metadata"], answer["user"]) == (INPUTS, {"k": "v"}, "u")
    session_id = derived_id("sesh", "s-1")
    assert answer["session_id"] == session_id
    row = gateway.row(sample["id"])
    assert (row["session_id"], row["root_trace_id"], row["parent_trace_id"]) == (session_id,) * 3
    assert (row["project_name"], row["project_uuid"]) == ("support", answer["project_id"])
    assert (row["deployment_id"], row["end_user"], row["inputs"]) == ("greet", "u", INPUTS)
    assert row["notes"]["environment"] == "production"
    assert row["extra"] == {"source": "app", "session_reference_id": "s-1", "unknown": ["later"]}


def test_a_stream_has_the_answer_in_pieces(gateway: Local) -> None:
    events = streamed(gateway, "completion-deployed", project="support", inputs=INPUTS)
    samples = [event["data"][0] for event in events]
    assert "".join(sample["output"] for sample in samples) == "You said: Greet Ada, 36."
    assert [sample["finish_reason"] for sample in samples] == [None] * (len(samples) - 1) + ["stop"]
    (id_,) = {sample["id"] for sample in samples}
    assert gateway.row(id_)["output"] == "You said: Greet Ada, 36."


@pytest.mark.parametrize("way", ["completion-deployed", "completion-model-config", "chat-model-config"])
def test_a_deployment_may_be_called_by_its_project_or_by_its_id(gateway: Local, way: str) -> None:
    config_id = answered(gateway, "completion-deployed", project="support", inputs=INPUTS)["data"][0]["model_config_id"]
    body: dict[str, Any] = {"project": "support"} if way.endswith("deployed") else {"model_config_id": config_id}
    if way.startswith("chat"):
        body["messages"] = [{"role": "user", "content": "And {{you}}?"}]
    (sample,) = answered(gateway, way, inputs=INPUTS, return_inputs=False, **body)["data"]
    said = "And {{you}}?" if way.startswith("chat") else "Greet Ada, 36."
    assert (sample["output"], sample["model_config_id"], sample["inputs"]) == (f"You said: {said}", config_id, {})


def test_the_messages_of_a_chat_follow_the_template_and_are_none(gateway: Local) -> None:
    (sample,) = answered(
        gateway,
        "chat-deployed",
        project="support",
        environment="talk",
        inputs=INPUTS,
        messages=[{"role": "user", "content": "I am {{name}}"}],
    )["data"]
    assert [message["content"] for message in sample["messages"]] == ["You help Ada.", "I am {{name}}"]
    assert [message["content"] for message in gateway.row(sample["id"])["configuration"]["messages"]] == [
        "You help Ada.",
        "I am {{name}}",
    ]


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("completion-deployed", {"project": "support"}),
        ("completion", {"model_config": {"model": "echo", "prompt_template": "{{name}} {{age}}"}}),
        (
            "chat",
            {"model_config": {"model": "echo", "chat_template": [{"role": "system", "content": "{{name}}{{age}}"}]}},
        ),
    ],
)
def test_missing_inputs_are_refused_by_name(gateway: Local, route: str, body: dict[str, Any]) -> None:
    response = post(gateway, route, messages=[{"role": "user", "content": "hi"}], inputs={"other": 1}, **body)
    assert response.status_code == 400
    assert response.json()["detail"] == {
        "type": "bad_request_error",
        "message": "Missing input variables: age, name",
        "code": 400,
        "origin": "Humanloop",
    }


def test_what_there_is_not_is_refused_with_what_there_is(gateway: Local) -> None:
    unknown = post(gateway, "completion-deployed", project="nope")
    assert (unknown.status_code, unknown.json()["detail"]["type"]) == (404, "not_found_error")
    assert "support" in unknown.json()["detail"]["message"]
    environment = post(gateway, "completion-deployed", project="support", environment="nope")
    assert "production, talk, void" in environment.json()["detail"]["message"]
    path = post(gateway, "completions-deployed")
    assert (path.status_code, path.json()["detail"]["code"]) == (404, 404)


@pytest.mark.parametrize("stream", [False, True])
def test_a_providers_refusal_is_told_with_its_origin(gateway: Local, stream: bool) -> None:
    body = {"stream": stream, "messages": [{"role": "user", "content": "hi"}]}
    limited = post(gateway, "chat", model_config=config("gpt-4o-mini~e429after"), **body)
    detail = limited.json()["detail"]
    assert (limited.status_code, detail["type"], detail["origin"]) == (429, "rate_limit_error", "OpenAI")
    assert (limited.headers["retry-after"], limited.headers["x-should-retry"]) == ("7", "true")
    long = post(gateway, "chat", model_config=config("gpt-4o-mini~context"), **body)
    assert (long.status_code, long.json()["detail"]["type"]) == (422, "unprocessable_entity_error")
    assert long.headers["x-should-retry"] == "false"


def test_a_stream_that_fails_is_cut(gateway: Local) -> None:
    body = {"model_config": config("gpt-4o-mini~serr", prompt_template="hi"), "stream": True}
    arrived: list[bytes] = []
    with (
        httpx.stream("POST", f"{gateway.url}/v4/completion", json=body, timeout=20) as response,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        arrived.extend(response.iter_raw())
    assert response.status_code == 200
    assert b"".join(arrived).startswith(b"data: ")
    assert b"error" not in b"".join(arrived)


TOOLS = [{"name": "get_weather", "description": "d", "parameters": {"type": "object", "properties": {}}}]


def test_tool_calls_are_told_whole(gateway: Local) -> None:
    body = {
        "model_config": config("gpt-4o-mini~texttool", tools=TOOLS),
        "messages": [{"role": "user", "content": "hi"}],
        "tool_choice": "auto",
    }
    (whole,) = answered(gateway, "chat", **body)["data"]
    assert (whole["finish_reason"], whole["output"]) == ("tool_call", "Let me look.")
    (call,) = whole["tool_calls"]
    assert (call["type"], call["function"]["name"]) == ("function", "get_weather")
    assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}
    assert whole["output_message"]["tool_calls"] == [call]
    samples = [event["data"][0] for event in streamed(gateway, "chat", **body)]
    assert "".join(sample["output"] for sample in samples) == "Let me look."
    (told,) = (sample["tool_calls"] for sample in samples if "tool_calls" in sample)
    assert told == [call]
    assert samples[-1]["finish_reason"] == "tool_call"


@pytest.mark.parametrize("model", ["echo", "gpt-4o-mini"])
def test_samples_have_ids_of_their_own(gateway: Local, model: str) -> None:
    provider = {"provider": "mock"} if model == "echo" else {}
    body = {"model_config": config(model, prompt_template="hi") | provider, "num_samples": 2}
    answer = answered(gateway, "completion", **body)
    first, second = answer["data"]
    assert (first["index"], second["index"], answer["num_samples"]) == (0, 1, 2)
    assert second["id"] == sample_id(first["id"], 1)
    samples = [event["data"][0] for event in streamed(gateway, "completion", **body)]
    for index, sample in enumerate(answer["data"]):
        mine = [one for one in samples if one["index"] == index]
        assert "".join(one["output"] for one in mine) == sample["output"]
        assert [one["finish_reason"] for one in mine if one["finish_reason"]] == ["stop"]


def test_what_is_not_saved_is_nowhere(gateway: Local) -> None:
    body = {"model_config": {"model": "echo", "prompt_template": "{{word}}"}, "inputs": {"word": "canary"}}
    headers = {"x-cache": "true"}
    (sample,) = answered(gateway, "completion", save=False, headers=headers, **body)["data"]
    assert (sample["output"], sample["inputs"]) == ("You said: canary", {"word": "canary"})
    row = gateway.row(sample["id"])
    assert (row["inputs"], row["output"], row["status"]) == (None, None, "success")
    assert not [file for file in gateway.data.rglob("*") if file.is_file() and b"canary" in file.read_bytes()]


def test_the_cache_answers_where_a_header_asks_for_it(gateway: Local) -> None:
    body = {"model_config": {"model": "echo", "prompt_template": "cached"}, "headers": {"x-cache": "true"}}
    first, second = (post(gateway, "completion", **body) for _ in range(2))
    assert [response.headers["x-cache"] for response in (first, second)] == ["miss", "hit"]
    assert first.json()["data"][0]["output"] == second.json()["data"][0]["output"]
    assert first.json()["data"][0]["id"] != second.json()["data"][0]["id"]
    samples = [event["data"][0] for event in streamed(gateway, "completion", **body)]
    assert "".join(sample["output"] for sample in samples) == "You said: cached"


def test_a_key_of_the_requests_reaches_its_provider_and_nothing_else(gateway: Local, fleet: Fleet) -> None:
    response = post(
        gateway,
        "completion",
        model_config=config("gpt-4o-mini", prompt_template="hi"),
        provider_api_keys={"openai": "sk-canary-1", "openai_azure_endpoint": "http://canary-2", "ai21": "sk-canary-3"},
    )
    (received,) = fleet["openai"].requests
    assert received.headers["authorization"] == "Bearer sk-canary-1"
    row = gateway.row(response.headers["x-trace-id"])
    assert row["notes"]["dropped"].keys() == {"provider_api_keys.openai_azure_endpoint", "provider_api_keys.ai21"}
    assert "canary" not in response.text
    assert not [row for row in rows(gateway.data) if "canary-" in json.dumps(row)]


def test_a_deployment_without_a_prompt_says_so(gateway: Local) -> None:
    response = post(gateway, "completion-deployed", project="support", environment="void")
    detail = response.json()["detail"]
    assert (response.status_code, detail["origin"]) == (400, "Humanloop")
    assert detail["message"] == "deployment 'bare' has no messages or prompt of its own, and the request gives none"
    said = [{"role": "user", "content": "hi"}]
    (sample,) = answered(gateway, "chat-deployed", project="support", environment="void", messages=said)["data"]
    assert sample["output"] == "You said: hi"


def test_parameters_reach_the_provider(gateway: Local, fleet: Fleet) -> None:
    answered(
        gateway,
        "completion",
        model_config=config(
            "gpt-4o-mini", prompt_template="hi", max_tokens=-1, stop=["x"], other={"logit_bias": {"1": 2}}
        ),
        seed=3,
        user="u",
        logprobs=2,
    )
    (received,) = fleet["openai"].requests
    sent = received.json
    assert (sent["messages"], sent["stop"], sent["seed"]) == ([{"role": "user", "content": "hi"}], ["x"], 3)
    assert (sent["logprobs"], sent["top_logprobs"], sent["logit_bias"]) == (True, 2, {"1": 2})
    assert sent["user"] == "u"
    assert "max_tokens" not in sent
