from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import httpx
import pytest

from proxy.asgi import Receive, Scope, Send, answer
from proxy.dialects.parea import Parea
from proxy.endpoint import Endpoint
from proxy.errors import NotFound, UpstreamError
from proxy.models import Call, Choice, Chunk, Completion, Event, Usage
from proxy.protocols import Answer
from proxy.target import Attempt, Target
from tests.live import Server

CLOSED = threading.Event()


def done(text: str) -> Completion:
    return Completion([Choice(text=text)], Usage(1, 1), model="m", provider="openai", cost=0.0)


async def handler(call: Call) -> AsyncGenerator[Event, None]:
    """Plays what the request's model names."""
    call.cache_status = "miss"
    match call.request.model:
        case "text":
            for piece in ("Hel", "lo ", "data: x", " é😀"):
                yield Chunk(piece)
                await asyncio.sleep(0.005)
            yield done("Hello data: x é😀")
        case "burst":
            for number in range(500):
                yield Chunk(f"{number} ")
            yield done("")
        case "early":
            call.asked = call.started
            raise UpstreamError("the model is busy", code="overloaded", provider="openai", retry_after=1.2)
        case "routed":
            call.current = Target("openai", "m", id="second\u20ac")
            passed, failed = Attempt("zeroth", "m", "limited"), Attempt("first", "m", "timeout")
            call.attempts += passed, failed, Attempt("second", "m")
            yield done("")
        case "missing":
            raise NotFound("no such deployment")
        case "broken":
            yield Chunk("part")
            raise UpstreamError("broke off", code="truncated", provider="openai")
        case "bug":
            raise KeyError("secret")
        case "long":
            try:
                yield Chunk("first")
                await asyncio.Event().wait()
            finally:
                CLOSED.set()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    def make() -> Any:
        whole, stream = Endpoint(Parea(), handler), Endpoint(Parea(), handler, stream=True, paced=True)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "lifespan":
                while (await receive())["type"] != "lifespan.shutdown":
                    await send({"type": "lifespan.startup.complete"})
                await send({"type": "lifespan.shutdown.complete"})
            elif scope["path"] == "/ping":
                await answer(send, Answer(200, b"{}"))
            else:
                await (stream if scope["path"] == "/stream" else whole)(scope, receive, send)

        return app

    with Server(make) as server:
        yield server.url


def body(model: str) -> dict[str, Any]:
    return {"llm_configuration": {"model": model, "messages": [{"role": "user", "content": "x"}]}, "trace_id": "t-1"}


def pieces(response: httpx.Response) -> list[str]:
    return [json.loads(event.removeprefix("data: "))["chunk"] for event in response.text.split("\r\n\r\n") if event]


@pytest.mark.parametrize("path", ["/", "/stream"])
def test_the_target_and_how_many_were_asked_are_told_where_any_was(url: str, path: str) -> None:
    told = httpx.post(f"{url}{path}", json=body("routed")).headers
    assert (told["x-target"], told["x-attempts"]) == ("second", "2")
    assert not {"x-target", "x-attempts"} & httpx.post(f"{url}{path}", json=body("text")).headers.keys()


def test_a_whole_answer(url: str) -> None:
    response = httpx.post(f"{url}/", json=body("text"))
    assert response.status_code == 200
    assert response.json()["content"] == "Hello data: x é😀"
    assert response.headers["x-trace-id"] == "t-1"
    assert response.headers["x-cache"] == "miss"


def test_a_streamed_answer(url: str) -> None:
    response = httpx.post(f"{url}/stream", json=body("text"))
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert "".join(pieces(response)) == "Hello data: x é😀"


def test_the_field_stream_streams_too(url: str) -> None:
    response = httpx.post(f"{url}/", json={**body("text"), "stream": True})
    assert "".join(pieces(response)) == "Hello data: x é😀"


def test_a_burst_is_merged(url: str) -> None:
    response = httpx.post(f"{url}/stream", json=body("burst"))
    got = pieces(response)
    assert "".join(got) == "".join(f"{number} " for number in range(500))
    assert len(got) < 50


@pytest.mark.parametrize(("model", "status"), [("early", 503), ("missing", 404), ("bug", 500)])
def test_a_failure_before_the_first_event_is_a_status(url: str, model: str, status: int) -> None:
    response = httpx.post(f"{url}/stream", json=body(model))
    assert response.status_code == status
    assert "secret" not in response.text


@pytest.mark.parametrize(
    ("model", "again", "after"), [("early", "true", "2"), ("missing", "false", None), ("bug", "false", None)]
)
@pytest.mark.parametrize("path", ["/", "/stream"])
def test_a_failure_says_whether_and_when_to_come_back(
    url: str, path: str, model: str, again: str, after: str | None
) -> None:
    headers = httpx.post(f"{url}{path}", json=body(model)).headers
    # Parea's whole answers tell an upstream's failure in a 200, which nobody repeats
    assert headers["x-should-retry"] == again
    assert headers.get("retry-after") == after


def test_a_body_that_does_not_fit_need_not_come_back(url: str) -> None:
    assert httpx.post(f"{url}/", content=b"{").headers["x-should-retry"] == "false"


def test_an_answer_tells_where_its_time_went(url: str) -> None:
    timing = httpx.post(f"{url}/stream", json=body("early")).headers["server-timing"]
    found = re.fullmatch(r"gateway;dur=(\d+\.\d{3}), upstream;dur=(\d+\.\d{3})", timing)
    assert found is not None
    assert found[1] == "0.000"
    timing = httpx.post(f"{url}/", json=body("text")).headers["server-timing"]
    assert timing.endswith("upstream;dur=0.000")


def test_a_failure_after_the_first_event_cuts_the_connection(url: str) -> None:
    got = bytearray()

    def receive() -> None:
        with httpx.stream("POST", f"{url}/stream", json=body("broken")) as response:
            for piece in response.iter_bytes():
                got.extend(piece)

    with pytest.raises(httpx.RemoteProtocolError):
        receive()
    assert got == b'data: {"chunk": "part"}\r\n\r\n'


def test_bodies_that_do_not_fit_are_refused(url: str) -> None:
    for content, status in ((b"{", 400), (b"[]", 422), (b'{"cache": "perhaps"}', 422)):
        response = httpx.post(f"{url}/", content=content)
        assert response.status_code == status
        assert "perhaps" not in response.text


@pytest.mark.fault("U6")
@pytest.mark.parametrize("path", ["/", "/stream"])
def test_a_client_that_leaves_closes_its_call(url: str, path: str) -> None:
    CLOSED.clear()
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{url}{path}", json=body("long"), timeout=0.2)
    assert CLOSED.wait(1.5)
    assert httpx.get(f"{url}/ping").status_code == 200
