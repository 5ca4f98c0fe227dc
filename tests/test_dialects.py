"""Every completion route, whole and streamed, in every way a call can go, over a live gateway and live upstreams.

Each cell looks at three places: what the client got, what the upstream was asked, and the one row that is left.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.gateway import Local, rows
from tests.spoken import SPOKEN, Event, Spoken, events
from tests.upstreams.fleet import Fleet

MODEL = "gpt-4o-mini"
GREETING = "Hello from openai"
CACHED = {"x-cache": "true"}


@pytest.fixture(scope="module")
def gateway(_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    config = {"providers": _fleet.providers}
    with Local(tmp_path_factory.mktemp("gateway"), config) as running:
        running.wait_until_ready()
        yield running


@dataclass(frozen=True)
class Told:
    """What a client got; `broken` says that the connection broke off."""

    status: int
    headers: httpx.Headers
    body: bytes
    broken: bool

    @property
    def json(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.body)
        return answer

    @property
    def events(self) -> list[Event]:
        return list(events(self.body.decode()))


def ask(
    gateway: Local, one: Spoken, body: dict[str, Any], *, stream: bool, headers: dict[str, str] | None = None
) -> Told:
    """Ask, and read to the end, whichever it is."""
    url = gateway.url + one.route(stream=stream)
    if one.name == "parea" and headers:
        body = {**body, "cache": True}
    got = bytearray()
    with httpx.stream("POST", url, json=body, headers=headers, timeout=20) as response:
        try:
            for piece in response.iter_raw():
                got.extend(piece)
        except httpx.RemoteProtocolError:
            return Told(response.status_code, response.headers, bytes(got), broken=True)
    return Told(response.status_code, response.headers, bytes(got), broken=False)


def row(gateway: Local, trace_id: str) -> dict[str, Any]:
    """The one row of a call, as soon as it is there: that of a caller who left is written after they left."""
    end = time.monotonic() + 5
    while not (found := rows(gateway.data, "trace_id = ?", trace_id)) and time.monotonic() < end:
        time.sleep(0.01)
    (one,) = found
    return one


def text(one: Spoken, told: Told, *, stream: bool) -> str:
    return one.pieces(told.events) if stream else one.text(told.json)


cells = pytest.mark.parametrize(
    ("one", "stream"),
    [(one, stream) for one in SPOKEN for stream in (False, True)],
    ids=[f"{one.name}-{kind}" for one in SPOKEN for kind in ("whole", "stream")],
)
tool_cells = pytest.mark.parametrize(
    ("one", "stream"),
    [(one, stream) for one in SPOKEN for stream in (False, True) if one.tools],
    ids=[f"{one.name}-{kind}" for one in SPOKEN for kind in ("whole", "stream") if one.tools],
)


@cells
def test_text(gateway: Local, fleet: Fleet, one: Spoken, stream: bool) -> None:
    told = ask(gateway, one, one.body(MODEL, stream=stream), stream=stream)
    assert (told.status, told.broken) == (200, False)
    assert text(one, told, stream=stream) == GREETING
    assert told.headers["x-cache"] == "bypass"
    (asked,) = fleet["openai"].requests
    assert asked.json["messages"] == [{"role": "user", "content": "hi"}]
    found = row(gateway, told.headers["x-trace-id"])
    assert (found["status"], found["output"], found["input_tokens"], found["output_tokens"]) == (
        "success",
        GREETING,
        6,
        5,
    )
    assert found["cost"] > 0
    assert found["notes"]["dialect"] == one.dialect


@cells
def test_only_where_a_client_waits_for_it_a_stream_says_that_it_is_done(
    gateway: Local, fleet: Fleet, one: Spoken, stream: bool
) -> None:
    told = ask(gateway, one, one.body(MODEL, stream=stream), stream=stream)
    assert told.body.endswith(b"data: [DONE]\n\n") == (stream and one.done)
    assert told.body.isascii() or not stream


@tool_cells
def test_a_tool_call(gateway: Local, fleet: Fleet, one: Spoken, stream: bool) -> None:
    told = ask(gateway, one, one.body(f"{MODEL}~tool", stream=stream, tools=True), stream=stream)
    called = one.called(told.events) if stream else one.arguments(told.json)
    assert called == ["get_weather", {"city": "Paris"}]
    (asked,) = fleet["openai"].requests
    assert [tool["function"]["name"] for tool in asked.json["tools"]] == ["get_weather"]
    found = row(gateway, told.headers["x-trace-id"])
    assert found["notes"]["finish_reason"] == "tool_calls"


@cells
def test_an_error_before_the_first_token(gateway: Local, fleet: Fleet, one: Spoken, stream: bool) -> None:
    told = ask(gateway, one, one.body(f"{MODEL}~e429after", stream=stream), stream=stream)
    assert told.status == (200 if one.always_200 and not stream else 429)
    assert "429" in one.refused(told.json) or "rate" in one.refused(told.json).lower()
    assert told.headers["x-should-retry"] == "true"
    assert told.headers["retry-after"] == "7"
    found = row(gateway, told.headers["x-trace-id"])
    assert (found["status"], found["notes"]["failure"]) == ("error", "rate_limited")


@pytest.mark.fault("U3")
@cells
def test_an_error_while_the_answer_comes(gateway: Local, fleet: Fleet, one: Spoken, stream: bool) -> None:
    scenario = "serr" if stream else "cutbody"
    told = ask(gateway, one, one.body(f"{MODEL}~{scenario}", stream=stream), stream=stream)
    found = row(gateway, told.headers["x-trace-id"])
    assert found["status"] == "error"
    if not stream:
        assert told.status == (200 if one.always_200 else 502)
        assert one.refused(told.json)
        return
    assert (told.status, told.broken) == (200, True)
    assert found["output"]
    failures = [event for event in told.events if one.told(event)]
    assert bool(failures) == (one.name not in QUIET)
    before = [event for event in told.events if not one.told(event)]
    assert one.pieces(before) == found["output"]


QUIET = {"parea", "humanloop", "humanloop-chat"}
"""Their clients have no event for a failure: that the connection breaks off is all they notice."""


@cells
def test_a_client_that_leaves(gateway: Local, fleet: Fleet, one: Spoken, stream: bool) -> None:
    url = gateway.url + one.route(stream=stream)
    body = one.body(f"{MODEL}~stall" if stream else f"{MODEL}~hang", stream=stream)
    before = {found["trace_id"] for found in rows(gateway.data)}
    with pytest.raises(httpx.ReadTimeout), httpx.stream("POST", url, json=body, timeout=0.5) as response:
        response.read()
    left = _new(gateway, before)
    assert left["status"] == "cancelled"
    assert bool(left["output"]) == stream
    (request,) = fleet["openai"].requests
    assert request.abandoned.wait(1.5)


def _new(gateway: Local, before: set[str]) -> dict[str, Any]:
    end = time.monotonic() + 5
    while time.monotonic() < end:
        found = [one for one in rows(gateway.data) if one["trace_id"] not in before]
        if found:
            (one,) = found
            return one
        time.sleep(0.01)
    raise AssertionError("no row")


@cells
def test_an_answer_from_the_cache(gateway: Local, fleet: Fleet, one: Spoken, stream: bool) -> None:
    body = one.body(MODEL, f"cached for {one.name} {stream}", stream=stream)
    first = ask(gateway, one, body, stream=stream, headers=CACHED)
    second = ask(gateway, one, body, stream=stream, headers=CACHED)
    assert [told.headers["x-cache"] for told in (first, second)] == ["miss", "hit"]
    assert text(one, first, stream=stream) == text(one, second, stream=stream) == GREETING
    assert len(fleet["openai"].requests) == 1
    assert row(gateway, second.headers["x-trace-id"])["cache_hit"] == 1


def test_one_cached_answer_serves_every_dialect(gateway: Local, fleet: Fleet) -> None:
    told = [
        ask(gateway, one, one.body(MODEL, "for all", stream=stream), stream=stream, headers=CACHED).headers["x-cache"]
        for stream in (False, True)
        for one in SPOKEN
    ]
    assert told == ["miss", *["hit"] * (2 * len(SPOKEN) - 1)]
    assert len(fleet["openai"].requests) == 1
