"""`model_config.other`: parameters become parameters, and nothing else gets through."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from proxy.dialects.humanloop import refuse
from proxy.dialects.humanloop.extras import completed
from proxy.dialects.humanloop.schema import PARAMETERS, Other
from proxy.errors import Unprocessable
from proxy.models import Call
from proxy.providers.translation.parameters import KNOWN
from tests.dialects.test_humanloop import decoded
from tests.dialects.test_humanloop_live import answered, config, post
from tests.gateway import Local
from tests.upstreams.fleet import Fleet


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, _fleet: Fleet) -> Iterator[Local]:
    served = {"server": {"dialects": ["humanloop"]}, "providers": _fleet.providers}
    with Local(tmp_path_factory.mktemp("gateway"), served) as gateway:
        gateway.wait_until_ready()
        yield gateway


def asked(other: Any, route: str = "completion", **more: Any) -> Call:
    config = {"model": "m", "prompt_template": "x", **more.pop("config", {}), "other": other}
    return decoded(route, {"model_config": config, "messages": [], **more})


def test_every_parameter_of_the_gateway_is_known() -> None:
    assert KNOWN - {"extra_body", "extra_headers"} - {"functions", "function_call"} == PARAMETERS


@pytest.mark.parametrize(
    ("more", "other", "name", "value"),
    [
        ({}, {"n": 3}, "n", 3),
        ({"num_samples": 1}, {"n": 3}, "n", 1),
        ({"seed": 2}, {"seed": 3}, "seed", 2),
        ({"config": {"temperature": 0}}, {"temperature": 1}, "temperature", 0),
        ({"config": {"max_tokens": 5}}, {"max_tokens": 6}, "max_tokens", 5),
        ({"config": {"max_tokens": -1}}, {"max_tokens": 6}, "max_tokens", 6),
        ({"config": {"max_tokens": 5}}, {"max_completion_tokens": 6}, "max_completion_tokens", None),
        ({"logprobs": 2}, {"logprobs": 3}, "logprobs", 2),
        ({"logprobs": 2}, {"top_logprobs": 3}, "top_logprobs", None),
        ({"route": "chat", "tool_choice": "none"}, {"tool_choice": "auto"}, "tool_choice", "none"),
        (
            {"route": "chat"},
            {"tool_choice": {"name": "f"}},
            "tool_choice",
            {"type": "function", "function": {"name": "f"}},
        ),
        ({}, {"n": None}, "n", None),
        ({}, {"thinking": {"type": "disabled"}}, "thinking", {"type": "disabled"}),
        ({}, {"min_p": 0.1}, "extra_body", {"min_p": 0.1}),
        ({}, {"prompt_cache_key": "k"}, "prompt_cache_key", "k"),
    ],
)
def test_the_request_s_own_fields_are_heard_first(more: dict[str, Any], other: Any, name: str, value: Any) -> None:
    call = asked(other, **more)
    assert call.request.params.get(name) == value
    (field,) = other
    passed = field == name and value == other[field]
    told = passed or name == "extra_body" or other[field] in (None, {"name": "f"})
    assert list(call.dropped) == ([] if told else [f"model_config.other.{field}"])


def test_a_user_is_the_end_user() -> None:
    assert asked({"user": "ann"}).request.trace.end_user == "ann"
    assert asked({"user": "ann"}, user="bob").request.trace.end_user == "bob"


@pytest.mark.parametrize(
    "name", ["model", "messages", "prompt", "stream", "api_base", "api_key", "headers", "extra_headers", "fallbacks"]
)
def test_what_a_client_does_not_choose_is_dropped_by_name(name: str) -> None:
    params, dropped = completed({}, Other.model_validate({name: "sk-canary"}))
    assert (params, list(dropped)) == ({}, [f"model_config.other.{name}"])
    assert "canary" not in str(dropped)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_tokens", "a"),
        ("max_tokens", 0),
        ("n", 0),
        ("n", 129),
        ("best_of", 1.5),
        ("temperature", []),
        ("tools", [{"name": "f"}]),
        ("tool_choice", "whatever"),
        ("response_format", {}),
        ("stop", 1),
        ("logit_bias", {"a": "b"}),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(name: str, value: Any) -> None:
    with pytest.raises(Unprocessable) as caught:
        asked({name: value})
    answer = refuse(caught.value)
    details = json.loads(answer.body)["detail"]
    assert answer.status == 422
    assert {tuple(one["loc"][:4]) for one in details} == {("body", "model_config", "other", name)}


@pytest.mark.parametrize("model", ["gpt-4o-mini", "claude-haiku-4-5"])
@pytest.mark.parametrize(("more", "count"), [({}, 3), ({"num_samples": 2}, 2), ({"num_samples": 1}, 1)])
def test_n_counts_wherever_it_stands(gateway: Local, model: str, more: dict[str, Any], count: int) -> None:
    asked = {"model": model, "prompt_template": "hi", "other": {"n": 3, "stream": True}}
    answer = answered(gateway, "completion", model_config=asked, **more)
    assert [sample["index"] for sample in answer["data"]] == list(range(count))
    assert answer["num_samples"] == count
    dropped = gateway.row(answer["data"][0]["id"])["notes"]["dropped"]
    assert dropped.keys() == {"model_config.other.stream", *(["model_config.other.n"] if more else [])}


def test_best_of_is_not_passed_over_where_it_cannot_be(gateway: Local) -> None:
    asked = {"model": "claude-haiku-4-5", "prompt_template": "hi", "other": {"best_of": 2}}
    response = post(gateway, "completion", model_config=asked)
    assert (response.status_code, response.json()["detail"]["message"].partition(":")[0]) == (400, "best_of")


def test_what_a_client_does_not_choose_is_neither_sent_nor_kept(gateway: Local, fleet: Fleet) -> None:
    other = {"api_base": "http://canary", "api_key": "sk-canary", "seed": 7}
    asked = config("gpt-4o-mini", prompt_template="hi", other=other)
    response = post(gateway, "completion", model_config=asked)
    (received,) = fleet["openai"].requests
    assert (received.json["seed"], received.headers["authorization"] != "Bearer sk-canary") == (7, True)
    row = gateway.row(response.headers["x-trace-id"])
    assert row["notes"]["dropped"].keys() == {"model_config.other.api_base", "model_config.other.api_key"}
    assert "canary" not in response.text + json.dumps([row, received.json])
