"""Nothing of an answer is printed, whatever types its fields have: not by LiteLLM, pydantic, nor asyncio.

The gateway is a process of its own, since pytest takes warnings and logs away from the program that it tests.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from proxy.providers.engine.silence import placed
from tests.gateway import Process
from tests.upstreams.connection import Json
from tests.upstreams.fleet import MODELS, Fleet
from tests.upstreams.scenario import SCENARIOS, Scenario
from tests.upstreams.server import Upstream

CANARY = "canary0odd9Answer"
ODD: tuple[Json, ...] = (CANARY, {"x": CANARY}, [CANARY, {"type": "text", "text": {"x": CANARY}}])
"""What is put in the place of each field, of which most hold something else."""

ABSENT: dict[str, Json] = {
    "logprobs": None,
    "refusal": None,
    "annotations": [],
    "audio": None,
    "images": [],
    "function_call": None,
    "reasoning_content": None,
    "provider_specific_fields": {},
}
"""Fields that the upstreams leave out and LiteLLM reads."""

Path = tuple[str | int, ...]


@pytest.fixture(scope="module")
def gateway(_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with Process(tmp_path_factory.mktemp("silence"), {"providers": _fleet.providers}) as process:
        process.wait_for("/ready")
        yield process


def paths(value: Json) -> Iterator[Path]:
    """The way to every field."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (key,)
        yield from ((key, *rest) for rest in paths(inner))


def replaced(value: Json, path: Path, odd: Json) -> Json:
    """A copy of `value` with `odd` at the end of the path."""
    copy: Json = json.loads(json.dumps(value))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = odd
    return copy


def full(body: Json) -> Json:
    """An answer of the OpenAI family with the fields that may be there too; any other as it is."""
    for choice in body.get("choices", ()):
        choice["logprobs"] = None
        choice["message" if "message" in choice else "delta"] |= ABSENT
    return body


def odd_answers(upstream: Upstream, stream: bool) -> Iterator[Scenario]:
    """The vendor's usual answer with a tool call, each time with another field that holds something else."""
    (request,) = upstream.requests
    reply = SCENARIOS["texttool"].reply
    assert reply is not None
    if not stream:
        body = full(upstream.whole(request, reply))
        for path in paths(body):
            yield from (Scenario(raw=json.dumps(replaced(body, path, odd)).encode()) for odd in ODD)
        return
    events = [frame.data.partition(b"data: ") for frame in upstream.frames(request, reply)]
    seen = set()
    for number, (head, _, data) in enumerate(events):
        body = full(json.loads(data)) if data.startswith(b"{") else {}
        for path in paths(body):
            if (body.get("type"), path) in seen:
                continue
            seen.add((body.get("type"), path))
            for odd in ODD:
                changed = list(events)
                changed[number] = head, b"data: ", json.dumps(replaced(body, path, odd)).encode() + b"\n\n"
                yield Scenario(raw=b"".join(map(b"".join, changed)), raw_type="text/event-stream")


def question(vendor: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": "hi"}]
    configuration = {"model": MODELS[vendor], "provider": vendor, "messages": messages}
    return {"llm_configuration": configuration, "log_omit": True, "cache": False}


def status(client: httpx.Client, url: str, vendor: str) -> int:
    """The status of a completion; an answer that breaks off after it began has one too."""
    with client.stream("POST", url, json=question(vendor)) as response:
        with suppress(httpx.RemoteProtocolError):
            response.read()
        return response.status_code


VENDORS = ("openai", "mistral", "fireworks", "anthropic", "vertexai", "cohere")
CASES = [*((vendor, stream) for vendor in VENDORS for stream in (False, True)), ("aws_bedrock", False)]
"""Each way in which LiteLLM reads answers; Bedrock's stream is no JSON that could be changed here."""


@pytest.mark.fault("U2")
@pytest.mark.parametrize(("vendor", "stream"), CASES)
def test_odd_answers_are_printed_nowhere(gateway: Process, fleet: Fleet, vendor: str, stream: bool) -> None:
    url = f"{gateway.parea}/completion{'/stream' if stream else ''}"
    with httpx.Client(timeout=20) as client:
        assert client.post(url, json=question(vendor)).status_code == 200
        odd = list(odd_answers(fleet[vendor], stream))
        fleet[vendor].script = odd
        statuses = [status(client, url, vendor) for _ in odd]
    assert len(statuses) > 50
    assert set(statuses) <= {200, 502}, "an answer or a failure of the provider"
    assert gateway.output.read_text().count(CANARY) == 0, gateway.output.read_text()[:2000]
    for path in gateway.data.rglob("*"):
        if path.is_file():
            assert CANARY.encode() not in path.read_bytes()


async def test_asyncio_tells_the_place_of_a_failure_and_not_its_words(caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> None:
        raise ValueError(CANARY)

    task = asyncio.create_task(fails(), name=CANARY)
    (failure,) = await asyncio.gather(task, return_exceptions=True)
    logger = logging.getLogger("asyncio")
    logger.addFilter(placed)
    try:
        for message in ("Task exception was never retrieved", f"Exception in callback f({CANARY!r})"):
            context = {"message": message, "exception": failure, "future": task}
            asyncio.get_running_loop().default_exception_handler(context)
    finally:
        logger.removeFilter(placed)
    assert "Task exception was never retrieved\nValueError\n" in caplog.text
    assert "Exception in callback f\nValueError\n" in caplog.text
    assert "in fails" in caplog.text
    assert CANARY not in caplog.text
