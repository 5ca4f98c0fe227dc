"""A key is told to its vendor and to nobody else, whichever API brings it, and wherever else a client puts one.

Some APIs have a place for the vendor's keys; all have one for the gateway's own. And there are the places where a key
has no business: further parameters, further headers, addresses. Those go nowhere, the vendor included.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.canary.asking import CACHED, OTHERS, ask, streams
from tests.canary.bunch import echoing, own_key, secret
from tests.canary.question import MODEL
from tests.canary.search import MASTER, finish, numbers, search
from tests.faults.plugin import Figure
from tests.gateway import Process
from tests.spoken import Spoken
from tests.upstreams.fleet import MODELS, Fleet
from tests.upstreams.scenario import Scenario
from tests.upstreams.server import Upstream

pytestmark = pytest.mark.fault("S1")

Body = dict[str, Any]

every = pytest.mark.parametrize("one", OTHERS, ids=[one.name for one in OTHERS])
BRINGING = tuple(one for one in OTHERS if one.dialect in ("humanloop", "scale"))
"""The APIs that have a place for a vendor's key."""


def asked(one: Spoken, *, stream: bool, vendor: str = "openai") -> Body:
    body = one.body(MODEL, f"question {next(numbers)}", stream=stream)
    if vendor != "openai" and one.dialect == "humanloop":
        body["model_config"] |= {"model": MODELS[vendor], "provider": vendor}
    elif vendor != "openai":
        body["model"] = f"{vendor}/{MODELS[vendor]}"
    return body


def brought(one: Spoken, key: str) -> tuple[Body, dict[str, str]]:
    """A vendor's key in the API's own place for it: fields and headers."""
    if one.dialect == "humanloop":
        return {"provider_api_keys": {"openai": key}}, {}
    return {}, {"x-openai-api-key": key}


def scenarios(upstream: Upstream) -> Iterator[tuple[str, Scenario]]:
    yield "success", Scenario()
    yield "refused", echoing(upstream, secret(upstream))
    yield "cut", Scenario(fault="fin")
    yield "garbage", Scenario(raw=b'{"key": "%b' % secret(upstream).encode())
    # as long as what is passed on of a message, so that the key is cut in two
    for length in (1900, 1950):
        yield f"refused at length {length}", echoing(upstream, "w" * length + " " + secret(upstream))


@streams
@every
def test_the_configured_key_is_told_to_its_vendor_only(
    logging: Process, vendors: Fleet, one: Spoken, stream: bool
) -> None:
    for name, scenario in scenarios(vendors["openai"]):
        vendors["openai"].script = scenario
        _, row = ask(logging, f"{one.name} {name}", one, asked(one, stream=stream), CACHED, stream=stream)
        assert (row["status"] == "success") == (name == "success"), name
    assert search.leaks(logging) == []


@pytest.mark.usefixtures("restored")
@streams
@pytest.mark.parametrize("one", BRINGING, ids=[one.name for one in BRINGING])
def test_a_key_that_is_brought_is_told_to_its_vendor_only(
    logging: Process, vendors: Fleet, one: Spoken, stream: bool
) -> None:
    fields, headers = brought(one, own_key(vendors["openai"]))
    for name, scenario in scenarios(vendors["openai"]):
        vendors["openai"].script = scenario
        body = asked(one, stream=stream) | fields
        for _ in range(2 if name == "success" else 1):
            _, row = ask(logging, f"{one.name} brings {name}", one, body, headers | CACHED, stream=stream)
            assert (row["status"] == "success") == (name == "success"), name
    assert search.leaks(logging) == []


@streams
@pytest.mark.parametrize("one", BRINGING, ids=[one.name for one in BRINGING])
def test_a_wrong_key_is_told_to_nobody_else(logging: Process, vendors: Fleet, one: Spoken, stream: bool) -> None:
    fields, headers = brought(one, search.marked("wrong"))
    refused, row = ask(logging, "wrong key", one, asked(one, stream=stream) | fields, headers, stream=stream)
    assert refused is not None
    assert (refused.status_code, row["notes"]["failure"]) == (401, "authentication")
    assert search.leaks(logging) == []


def ways_in() -> Iterator[tuple[str, dict[str, str]]]:
    """The gateway's key in each place for it, with other keys in all others."""
    junk = {"x-api-key": search.marked("junk")}
    yield "x-api-key", {"x-api-key": MASTER}
    yield "x-user-id", junk | {"x-user-id": MASTER}
    yield "authorization", junk | {"authorization": f"Bearer {MASTER}"}


@every
def test_the_gateways_own_key_is_told_to_nobody(logging: Process, vendors: Fleet, one: Spoken) -> None:
    for name, headers in ways_in():
        response, _ = ask(logging, f"{one.name} {name}", one, asked(one, stream=False), headers, stream=False)
        assert response is not None
        assert response.status_code == 200
        search.note(f"{one.name} {name}", response)
    sent = b"".join(request.body + repr(request.headers).encode() for request in vendors["openai"].requests)
    assert MASTER.encode() not in sent
    assert b"junk" not in sent
    assert search.leaks(logging) == []


def misplaced(one: Spoken, vendor: str) -> tuple[Body, list[str]]:
    """Keys and addresses in places that are not for them, and their canaries."""
    made: list[str] = []

    def mark(label: str) -> str:
        made.append(search.marked(label))
        return made[-1]

    def parameters() -> Body:
        return {
            "api_key": mark("api-key"),
            "provider_api_key": mark("provider-api-key"),
            "api_base": f"http://{mark('api-base')}.example/v1",
            "base_url": f"http://{mark('user')}:{mark('password')}@127.0.0.1:9/v1",
            "aws_secret_access_key": mark("aws"),
            "vertex_credentials": {"private_key": mark("vertex")},
            "extra_headers": {"authorization": f"Bearer {mark('header')}", "x-api-key": mark("header")},
            "headers": {"authorization": f"Bearer {mark('header')}"},
        }

    body: Body = {**parameters(), "extra_body": parameters()}
    match one.dialect:
        case "humanloop":
            # its clients send every key that they know
            others = {"openai", "anthropic", "openai_azure", "openai_azure_endpoint", "ai21"} - {vendor}
            body["provider_api_keys"] = {name: mark(name) for name in others}
        case "scale":
            body["inference_extra_params"] = parameters()
            body["inference_extra_headers"] = {
                "Authorization": f"Bearer {mark('header')}",
                "x-api-key": mark("header"),
                "api-key": mark("header"),
                "cookie": mark("cookie"),
            }
    return body, made


@streams
@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
@every
def test_a_key_in_a_place_that_is_not_for_it_goes_nowhere(
    logging: Process, vendors: Fleet, one: Spoken, vendor: str, stream: bool
) -> None:
    body = asked(one, stream=stream, vendor=vendor)
    added, made = misplaced(one, vendor)
    if one.dialect == "humanloop":
        added |= {"model_config": {**body["model_config"], "other": added["extra_body"]}}
    response, row = ask(logging, f"{one.name} misplaced", one, body | added, CACHED, stream=stream)
    assert row["status"] == "success", response and response.text
    (request,) = vendors[vendor].requests
    sent = request.body + repr(request.headers).encode() + request.path.encode()
    assert [text for text in made if text.encode() in sent] == []
    assert search.leaks(logging) == []


@pytest.mark.parametrize("name", ["openai", "humanloop-chat", "scale-v5-chat"])
def test_a_token_that_the_vendor_needs_is_told_to_it_only(logging: Process, vendors: Fleet, name: str) -> None:
    """Of a server of tools, which the vendor calls by itself."""
    (one,) = (one for one in OTHERS if one.name == name)
    body = asked(one, stream=False, vendor="anthropic")
    token = search.marked("mcp")
    further = {"mcp_servers": [{"type": "url", "name": "n", "url": "https://x", "authorization_token": token}]}
    match one.dialect:
        case "humanloop":
            body["model_config"]["other"] = further
        case "scale":
            body["inference_extra_params"] = further
        case _:
            body["extra_body"] = further
    _, row = ask(logging, f"{name} mcp", one, body, CACHED, stream=False)
    assert token.encode() in vendors["anthropic"].requests[-1].body
    assert row["configuration"]["model_params"]["extra_body"]["mcp_servers"][0]["name"] == "n"
    assert search.leaks(logging) == []


def test_all_of_it(gateways: dict[str, Process], capsys: pytest.CaptureFixture[str], figure: Figure) -> None:
    finish(gateways, capsys, f"keys in {len(OTHERS)} routes", figure)
