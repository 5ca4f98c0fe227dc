"""The models of the config, as OpenAI's client and Anthropic's read them."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import httpx
import openai
import pytest

from tests.gateway import Local

NAMES = ["echo", "team/echo", "deployment/p-hello", "deployment/p-other"]
CONFIG = {
    "model_list": [{"model_name": name, "litellm_params": {"model": "echo/echo"}} for name in NAMES[:2]],
    "deployments": {
        "p-hello": {"model": "echo", "messages": [{"role": "user", "content": "Hello"}]},
        "p-other": {"messages": [{"role": "user", "content": "Hello"}]},
    },
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    with Local(tmp_path_factory.mktemp("gateway"), CONFIG) as running:
        yield running


@pytest.fixture
def client(gateway: Local) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture
def other(gateway: Local) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=gateway.url, api_key="none", max_retries=0) as made:
        yield made


def test_openais_list(client: openai.OpenAI) -> None:
    found = list(client.models.list())
    assert [model.id for model in found] == NAMES
    assert {model.object for model in found} == {"model"}
    assert [model.owned_by for model in found] == ["echo", "echo", "echo", "config"]
    assert all(model.created > 1_700_000_000 for model in found)


@pytest.mark.parametrize("name", NAMES)
def test_one_of_openais(client: openai.OpenAI, name: str) -> None:
    assert client.models.retrieve(name).id == name


def test_an_unknown_model(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("nope")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert "team/echo" in str(caught.value)


def test_anthropics_list(other: anthropic.Anthropic) -> None:
    page = other.models.list()
    assert [model.id for model in page.data] == NAMES
    assert (page.first_id, page.last_id, page.has_more) == (NAMES[0], NAMES[-1], False)
    assert {(model.type, model.created_at.tzinfo is not None) for model in page.data} == {("model", True)}


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_anthropics_pages_are_the_list(other: anthropic.Anthropic, limit: int) -> None:
    assert [model.id for model in other.models.list(limit=limit)] == NAMES


def test_anthropics_pages_backwards(other: anthropic.Anthropic) -> None:
    page = other.models.list(limit=2, before_id=NAMES[3])
    assert ([model.id for model in page.data], page.has_more) == (NAMES[1:3], True)
    assert [model.id for model in other.models.list(limit=2, before_id=NAMES[1]).data] == NAMES[:1]


def test_one_of_anthropics(other: anthropic.Anthropic) -> None:
    assert other.models.retrieve("deployment/p-hello").display_name == "deployment/p-hello"
    with pytest.raises(anthropic.NotFoundError):
        other.models.retrieve("nope")


@pytest.mark.parametrize(("query", "param"), [("after_id=nope", "after_id"), ("limit=0", "query.limit")])
def test_a_page_that_is_none(gateway: Local, query: str, param: str) -> None:
    refused = httpx.get(f"{gateway.url}/v1/models?{query}", headers={"anthropic-version": "2023-06-01"})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == param


def test_another_method_is_refused_in_openais_words(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.post("/models", body={}, cast_to=object)
    assert (caught.value.status_code, caught.value.code) == (405, "method_not_allowed")
