"""The whole gateway over real sockets, with the offline provider and one vendor's upstream."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.gateway import Local, rows
from tests.upstreams.fleet import Fleet
from tests.upstreams.scenario import SCENARIOS, Reply, Scenario


@pytest.fixture(scope="module")
def gateway(_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    config = {
        "model_list": [{"model_name": "echo", "litellm_params": {"model": "echo/echo"}}],
        "providers": _fleet.providers,
        "deployments": {
            "p-poem": {
                "model": "gpt-4o-mini",
                "provider": "openai",
                "version": "3",
                "messages": [{"role": "user", "content": "A poem about {{what}} for {{whom}}"}],
                "params": {"temperature": 0.3, "max_tokens": 50},
                "functions": [{"name": "rhyme", "parameters": {"type": "object", "properties": {}}}],
            }
        },
    }
    with Local(tmp_path_factory.mktemp("gateway"), config) as running:
        yield running


def asked(text: str | None = None, model: str = "echo", provider: str | None = None, **fields: Any) -> dict[str, Any]:
    """A request with a prompt of its own, unless one is given."""
    messages = [{"role": "user", "content": text or f"say {uuid.uuid4()}"}]
    return {"llm_configuration": {"model": model, "provider": provider, "messages": messages}, **fields}


def openai(text: str | None = None, **fields: Any) -> dict[str, Any]:
    return asked(text, model="gpt-4o-mini", provider="openai", **fields)


START = """
import json, os, sys
from pathlib import Path
from proxy.app import Gateway
from proxy.config import load
from proxy.process import prepare
prepare()
gateway = Gateway(load(None, {}), Path(sys.argv[1]))
from proxy.dialects.humanloop.schema import ChatConfig
heavy = {"litellm", "httpx", "aiohttp", "rich", "fastapi", "starlette", "openai", "difflib"}
print(json.dumps([sorted(heavy & set(sys.modules)), ChatConfig.__pydantic_complete__]))
"""


def test_a_start_brings_nothing_that_the_first_answer_does_not_need(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", START, str(tmp_path)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[], False]


def test_a_completion_and_its_row(gateway: Local) -> None:
    body = asked(
        "Hello {{name}}", llm_inputs={"name": "Ada"}, tags=["t"], metadata={"k": "v"}, target="You said: Hello Ada"
    )
    answered = gateway.complete(body | {"end_user_identifier": "u-1", "eval_metric_ids": [1, 2]})
    assert answered["content"] == "You said: Hello Ada"
    assert answered["provider"] == "echo"
    row = gateway.row(answered["inference_id"])
    assert row["output"] == "You said: Hello Ada"
    assert row["inputs"] == {"name": "Ada"}
    assert row["configuration"]["messages"] == [{"role": "user", "content": "Hello Ada"}]
    assert (row["tags"], row["metadata"], row["target"]) == (["t"], {"k": "v"}, "You said: Hello Ada")
    assert (row["end_user"], row["eval_metric_ids"], row["status"]) == ("u-1", [1, 2], "success")
    assert row["total_tokens"] == answered["total_tokens"]


def test_the_published_example_with_inputs(gateway: Local) -> None:
    assert gateway.complete(asked("In {{city}}", inputs={"city": "New York"}))["content"] == "You said: In New York"


def test_the_doubled_path_of_the_published_curl(gateway: Local) -> None:
    response = gateway.client.post("/api/parea/v1/completion", json=asked("twice"))
    assert response.json()["content"] == "You said: twice"


def test_ids_are_the_clients(gateway: Local) -> None:
    one = str(uuid.uuid4())
    assert gateway.complete(asked(inference_id=one, parent_trace_id=one, root_trace_id=""))["inference_id"] == one
    assert (gateway.row(one)["root_trace_id"], gateway.row(one)["parent_trace_id"]) == (one, None)
    two = str(uuid.uuid4())
    assert (
        gateway.complete(asked(trace_id=two, inference_id=one, parent_trace_id=one, root_trace_id=one))["trace_id"]
        == two
    )
    assert (gateway.row(two)["root_trace_id"], gateway.row(two)["parent_trace_id"]) == (one, one)


def test_a_repeated_request_is_a_hit_with_ids_of_its_own(gateway: Local, fleet: Fleet) -> None:
    body = openai()
    first, second = gateway.complete(body), gateway.complete(body)
    assert len(fleet["openai"].requests) == 1
    assert (first["cache_hit"], second["cache_hit"]) == (False, True)
    assert first["inference_id"] != second["inference_id"]
    assert (first["content"], first["cost"], first["total_tokens"]) == (
        second["content"],
        second["cost"],
        second["total_tokens"],
    )
    assert first["cost"] > 0
    assert gateway.row(second["inference_id"])["cache_hit"] == 1
    assert second["latency"] < first["latency"]


def test_a_streamed_answer_serves_a_whole_one_and_the_other_way(gateway: Local, fleet: Fleet) -> None:
    body = openai()
    assert gateway.stream(body) == gateway.complete(body)["content"] == "Hello from openai"
    body = openai()
    assert gateway.complete(body)["content"] == gateway.stream(body) == "Hello from openai"
    assert len(fleet["openai"].requests) == 2


def test_without_the_cache_every_request_is_sent(gateway: Local, fleet: Fleet) -> None:
    body = openai(cache=False)
    gateway.complete(body)
    response = gateway.client.post("/completion", json=body)
    assert response.headers["x-cache"] == "bypass"
    assert len(fleet["openai"].requests) == 2
    gateway.complete(body | {"cache": True})
    assert len(fleet["openai"].requests) == 3


@pytest.mark.fault("U7")
def test_equal_requests_at_once_are_one_call(gateway: Local, fleet: Fleet) -> None:
    fleet["openai"].script = Scenario(delay=0.3)
    body = openai()
    with ThreadPoolExecutor(8) as pool:
        whole = [pool.submit(gateway.complete, body) for _ in range(4)]
        streamed = [pool.submit(gateway.stream, body) for _ in range(4)]
        assert {each.result()["content"] for each in whole} | {each.result() for each in streamed} == {
            "Hello from openai"
        }
    assert len(fleet["openai"].requests) == 1


@pytest.mark.fault("U7")
def test_a_key_in_the_request_is_used_and_shares_no_answer(gateway: Local, fleet: Fleet) -> None:
    body = openai()
    gateway.complete(body)
    refused = gateway.complete(body | {"provider_api_key": "sk-of-the-request"})
    assert (refused["status"], refused["cache_hit"]) == ("error", False)
    assert fleet["openai"].requests[-1].headers["authorization"] == "Bearer sk-of-the-request"
    assert "sk-of-the-request" not in json.dumps(refused)


def test_a_deployment_gives_what_the_request_leaves_out(gateway: Local, fleet: Fleet) -> None:
    neutral = {"temp": 1.0, "top_p": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0}
    answered = gateway.complete(
        {
            "deployment_id": "p-poem",
            "llm_inputs": {"what": "{{whom}}", "whom": "Ada"},
            "llm_configuration": {"model": None, "messages": None, "model_params": neutral},
        }
    )
    sent = fleet["openai"].requests[-1].json
    assert sent["messages"] == [{"role": "user", "content": "A poem about {{whom}} for Ada"}]
    assert (sent["temperature"], sent["max_tokens"], sent["model"]) == (0.3, 50, "gpt-4o-mini")
    assert sent["tools"][0]["function"]["name"] == "rhyme"
    row = gateway.row(answered["trace_id"])
    assert (row["deployment_id"], row["deployment_version"]) == ("p-poem", "3")


def test_the_requests_own_fields_win_over_the_deployments(gateway: Local, fleet: Fleet) -> None:
    configuration = {"messages": [{"role": "user", "content": f"{uuid.uuid4()}"}], "model_params": {"temp": 0.9}}
    gateway.complete({"deployment_id": "p-poem", "llm_configuration": configuration})
    sent = fleet["openai"].requests[-1].json
    assert sent["messages"] == configuration["messages"]
    assert (sent["temperature"], sent["max_tokens"]) == (0.9, 50)


def test_inputs_that_a_deployment_lacks_are_named(gateway: Local) -> None:
    response = gateway.client.post("/completion", json={"deployment_id": "p-poem", "llm_inputs": {"what": "x"}})
    assert response.status_code == 400
    assert response.json()["detail"].endswith("missing: whom")


def test_an_unknown_name_inline_stays_and_is_noted(gateway: Local) -> None:
    answered = gateway.complete(asked("Hello {{who}}"))
    assert answered["content"] == "You said: Hello {{who}}"
    assert gateway.row(answered["trace_id"])["notes"]["unfilled"] == ["who"]


@pytest.mark.parametrize(
    ("body", "status", "names"),
    [
        ({"deployment_id": "p-none"}, 404, "p-poem"),
        ({"llm_configuration": {"model": "echo"}}, 400, "messages"),
        ({"llm_configuration": {"messages": [{"content": "x"}]}}, 400, "model"),
        ({"llm_configuration": {"model": "who-knows", "messages": [{"content": "x"}]}}, 404, "echo"),
        ({"llm_configuration": {"provider": "nobody", "messages": [{"content": "x"}]}}, 422, "provider"),
    ],
)
def test_a_refusal_names_the_field(gateway: Local, body: dict[str, Any], status: int, names: str) -> None:
    response = gateway.client.post("/completion", json=body)
    assert response.status_code == status
    assert names in response.text


def test_a_refused_request_leaves_a_row(gateway: Local) -> None:
    one = str(uuid.uuid4())
    gateway.client.post("/completion", json={"deployment_id": "p-none", "trace_id": one})
    assert gateway.row(one)["status"] == "error"
    assert gateway.row(one)["notes"]["failure"] == "not_found"


@pytest.mark.fault("U2")
def test_a_providers_failure_is_told_and_logged_and_not_cached(gateway: Local, fleet: Fleet) -> None:
    fleet["openai"].script = [SCENARIOS["e503"], Scenario()]
    body = openai(trace_id=str(uuid.uuid4()))
    failed = gateway.complete(body)
    assert (failed["status"], failed["content"], failed["provider"]) == ("error", "", "openai")
    row = gateway.row(body["trace_id"])
    assert (row["status"], row["error"]) == ("error", failed["error"])
    assert gateway.complete(body)["content"] == "Hello from openai"
    assert gateway.row(body["trace_id"])["status"] == "success"


@pytest.mark.fault("U3")
def test_a_cut_stream_is_cut_for_the_client_and_an_error_in_the_log(gateway: Local, fleet: Fleet) -> None:
    fleet["openai"].script = [SCENARIOS["fin"], Scenario()]
    body = openai(trace_id=str(uuid.uuid4()))
    with pytest.raises(httpx.RemoteProtocolError):
        gateway.stream(body)
    row = gateway.row(body["trace_id"])
    assert row["status"] == "error"
    assert "Hello" in row["output"]
    assert gateway.stream(body) == "Hello from openai"


@pytest.mark.fault("U6")
def test_a_client_that_leaves_closes_the_upstream_and_is_cancelled_in_the_log(gateway: Local, fleet: Fleet) -> None:
    fleet["openai"].script = SCENARIOS["stall"]
    body = openai(trace_id=str(uuid.uuid4()))
    with pytest.raises(httpx.ReadTimeout):
        gateway.client.post("/completion/stream", json=body, timeout=0.5)
    left = time.monotonic()
    assert fleet["openai"].requests[0].abandoned.wait(1.5)
    while not (found := rows(gateway.data, "trace_id = ?", body["trace_id"])) and time.monotonic() < left + 3:
        time.sleep(0.01)
    assert found[0]["status"] == "cancelled"
    assert found[0]["output"] == "Hello from"


def test_a_long_cached_answer_arrives_whole_in_small_events(gateway: Local, fleet: Fleet) -> None:
    text = "é data: 😀 " * 20_000
    fleet["openai"].script = Scenario(Reply((text,)))
    body = openai()
    gateway.complete(body)
    assert gateway.stream(body) == text


def test_a_function_call(gateway: Local, fleet: Fleet) -> None:
    fleet["openai"].script = SCENARIOS["tool"]
    body = openai()
    body["llm_configuration"] |= {"functions": [{"name": "get_weather", "parameters": {"type": "object"}}]}
    content = gateway.complete(body)["content"]
    assert json.loads(content.replace("```", "")) == {"name": "get_weather", "arguments": {"city": "Paris"}}
    assert gateway.stream(body) == content


@pytest.mark.fault("D11")
def test_sampling_counts_what_it_does_not_keep(gateway: Local) -> None:
    one = str(uuid.uuid4())
    gateway.complete(asked(trace_id=one, log_sample_rate=0.0))
    assert rows(gateway.data, "trace_id = ?", one) == []


@pytest.mark.fault("D11")
@pytest.mark.parametrize("field", ["log_omit", "log_omit_inputs", "log_omit_outputs"])
def test_omission(gateway: Local, field: str) -> None:
    one = str(uuid.uuid4())
    gateway.complete(asked("secret {{a}}", llm_inputs={"a": "b"}, trace_id=one) | {field: True})
    row = gateway.row(one)
    assert (row["output"] is None) == (field != "log_omit_inputs")
    assert (row["inputs"] is None) == (field != "log_omit_outputs")
    assert ("messages" in row["configuration"]) == (field == "log_omit_outputs")
    assert row["total_tokens"] > 0


def test_fallbacks_are_asked_in_order(gateway: Local, fleet: Fleet) -> None:
    fleet["openai"].script = SCENARIOS["e500"]
    answered = gateway.complete(openai(fallback_strategy=["echo"]))
    assert answered["provider"] == "echo"
    assert len(fleet["openai"].requests) == 1


def test_methods_and_paths_that_are_not_there(gateway: Local) -> None:
    refused = gateway.client.get("/completion")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert gateway.client.get("/nothing").status_code == 404


def test_bodies_are_read_strictly_on_every_route(gateway: Local) -> None:
    json_type = {"content-type": "application/json"}
    for path in (
        "/completion",
        "/completion/stream",
        "/project",
        "/trace_log",
        "/get_trace_logs",
        "/feedback",
        "/deployed-prompt",
    ):
        for body in (b'{"a": NaN}', b'"\xff"', b'"\\ud800"', b"[" * 5000, b'{"a": 1e999}'):
            assert gateway.client.post(path, content=body, headers=json_type).status_code == 400, (path, body[:10])


def test_ready_says_that_it_is(gateway: Local) -> None:
    gateway.wait_until_ready()
    told = httpx.get(f"{gateway.url}/ready").json()
    assert (told["status"], told["reasons"], told["config"]["problem"]) == ("ready", {}, None)
    assert httpx.get(f"{gateway.url}/health").json()["log"]["writable"] is True


def test_the_address_itself_says_what_it_is(gateway: Local) -> None:
    assert httpx.get(gateway.url).json()["docs"] == "/docs"


@pytest.mark.parametrize("trace_id", ["a/b/c", "../x", "a\0b", "😀", "x" * 5000])
def test_whatever_id_is_accepted_can_be_asked_for(gateway: Local, trace_id: str) -> None:
    trace_id += str(uuid.uuid4())
    gateway.complete(asked(trace_id=trace_id))
    found = gateway.client.get(f"/trace_log/{quote(trace_id, safe='')}")
    assert found.status_code == 200
    assert found.json()["output"].startswith("You said")


def test_a_deployed_prompt(gateway: Local) -> None:
    body = {"deployment_id": "p-poem", "llm_inputs": {"what": "rain"}}
    prompt = gateway.client.post("/deployed-prompt", json=body).json()
    assert prompt["version_number"] == 3.0
    assert prompt["prompt"]["messages"] == [{"role": "user", "content": "A poem about rain for {{whom}}"}]
    assert prompt["prompt"]["raw_messages"] == [{"role": "user", "content": "A poem about {{what}} for {{whom}}"}]
    assert prompt["model_params"] == {"temp": 0.3, "max_length": 50}
    assert json.loads(prompt["functions"][0])["name"] == "rhyme"
    assert gateway.client.post("/deployed-prompt", json={"deployment_id": "p-none"}).status_code == 404


def test_many_at_once(gateway: Local) -> None:
    async def run() -> list[int]:
        async with httpx.AsyncClient(timeout=20) as client:
            posts = [client.post(f"{gateway.parea}/completion", json=asked()) for _ in range(100)]
            return [response.status_code for response in await asyncio.gather(*posts)]

    before = threading.active_count()
    assert asyncio.run(run()) == [200] * 100
    assert threading.active_count() <= before + 10
