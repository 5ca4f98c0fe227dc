"""U6: clients that leave, at every stage of a call, by every API's route, whole and streamed: the upstream's connection
ends within 1.5 s, the log says `cancelled`, and whoever waits for the same answer gets it.
"""

from __future__ import annotations

import json
import socket
import struct
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import product
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.faults.plugin import Figure
from tests.faults.ways import WAYS, Client, Question, config
from tests.gateway import Local, rows
from tests.spoken import SPOKEN, Spoken
from tests.upstreams.fleet import MODELS, Fleet
from tests.upstreams.scenario import Reply, Scenario

pytestmark = pytest.mark.fault("U6")

LIMIT = 1.5
REPLY = Reply(("One", " two", " three", " four"))
STAGES: dict[str, Scenario] = {
    "waiting": Scenario(fault="hang"),
    "after the head": Scenario(REPLY, fault="stall", after=0),
    "after the first token": Scenario(REPLY, fault="stall", after=1),
    "in mid-stream": Scenario(REPLY, fault="stall", after=3),
    "after the last token": Scenario(REPLY, fault="stall", after=4),
}
"""What the upstream does: of a stream so many tokens, of a whole answer nothing or half, and then it waits."""


Closed = dict[tuple[str, str], tuple[int, float]]
"""By stage, and by what was gone through: how many upstreams were closed, and after how many seconds the last one."""


@dataclass(frozen=True)
class Route:
    """Where a client asks, and what; `vendor` is whose upstream hears of it."""

    path: str
    body: dict[str, Any]
    vendor: str
    stream: bool


def spoken(api: Spoken, *, stream: bool) -> Route:
    return Route(
        api.route(stream=stream), api.body("gpt-4o-mini", f"say {uuid.uuid4()}", stream=stream), "openai", stream
    )


def asked(vendor: str, way: str, *, stream: bool) -> Route:
    return Route("/v1/chat/completions", Question(vendor, way, stream).body, vendor, stream)


@pytest.fixture(scope="module")
def client(_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with Local(tmp_path_factory.mktemp("leaving"), config(_fleet)) as running, Client(running) as client:
        running.wait_until_ready()
        yield client


@pytest.fixture(scope="module")
def closed() -> Closed:
    return {}


def sent(client: Client, route: Route, cut: int = 0) -> socket.socket:
    """A connection with a request on it; without its last `cut` bytes."""
    address = urlsplit(client.gateway.url)
    body = json.dumps(route.body).encode()
    head = f"POST {route.path} HTTP/1.1\r\nhost: {address.netloc}\r\ncontent-type: application/json\r\n"
    head += f"x-cache: true\r\ncontent-length: {len(body)}\r\n\r\n"
    line = socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=10)
    line.sendall((head.encode() + body)[: -cut or None])
    return line


def go(line: socket.socket, *, reset: bool = False) -> None:
    """Leave: with TCP's goodbye, or by a reset."""
    if reset:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.close()


def heard(line: socket.socket, word: str) -> None:
    """Read until a word has come."""
    line.settimeout(5)
    said = b""
    while word.encode() not in said:
        piece = line.recv(65536)
        assert piece, said
        said += piece


def settled(done: Callable[[], bool], seconds: float) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"not in {seconds} s"
        time.sleep(0.005)


def leave(client: Client, fleet: Fleet, routes: list[Route], stage: str) -> float:
    """Have all ask, and leave at a stage. Seconds until the last of the upstreams' connections had ended."""
    fleet.reset()
    for upstream in fleet.upstreams.values():
        upstream.script = STAGES[stage]
    before = len(rows(client.gateway.data))
    with ExitStack() as stack:
        lines = [stack.enter_context(sent(client, route)) for route in routes]
        settled(lambda: sum(len(each.requests) for each in fleet.upstreams.values()) == len(routes), 10)
        told = REPLY.pieces[: STAGES[stage].after] if STAGES[stage].fault == "stall" else ()
        for line, route in zip(lines, routes, strict=True):
            if route.stream and told:
                heard(line, told[-1].strip())
        left = time.monotonic()
        for number, line in enumerate(lines):
            go(line, reset=number % 3 == 0)
        requests = [request for upstream in fleet.upstreams.values() for request in upstream.requests]
        for request in requests:
            assert request.abandoned.wait(max(0.0, left + LIMIT - time.monotonic())), (stage, request.target)
        seconds = time.monotonic() - left
    settled(lambda: len(rows(client.gateway.data)) >= before + len(routes), 5)
    new = rows(client.gateway.data, "1 ORDER BY rowid LIMIT -1 OFFSET ?", before)
    assert [row["status"] for row in new] == ["cancelled"] * len(routes)
    assert [row["error"] for row in new] == [None] * len(routes)
    kept = sorted({row["output"] or "" for row in new if row["notes"].get("stream")})
    assert kept == ["".join(told)], "what had arrived is in the row"
    return seconds


def note(figure: Figure, closed: Closed) -> None:
    count = sum(number for number, _ in closed.values())
    slowest = max(seconds for _, seconds in closed.values())
    figure("upstreams closed after a client left", f"{count} of {count}, the last after {slowest:.2f} s")


@pytest.mark.parametrize("stage", STAGES)
def test_u6_by_every_route(client: Client, fleet: Fleet, figure: Figure, closed: Closed, stage: str) -> None:
    routes = [spoken(api, stream=stream) for api, stream in product(SPOKEN, (False, True))]
    seconds = leave(client, fleet, routes, stage)
    closed[stage, "route"] = (len(routes), seconds)
    note(figure, closed)


@pytest.mark.parametrize("stage", STAGES)
def test_u6_every_vendor(client: Client, fleet: Fleet, figure: Figure, closed: Closed, full: bool, stage: str) -> None:
    """By both ways, and as the only one who waits for an answer that would be cached."""
    forms = (False, True) if full or stage == "in mid-stream" else (True,)
    ways = WAYS if full or stage == "in mid-stream" else ("lean",)
    routes = [asked(vendor, way, stream=stream) for vendor, way, stream in product(MODELS, ways, forms)]
    assert all(answer.good for answer in client.ask_all([Question(*each) for each in product(MODELS, ways, forms)]))
    seconds = leave(client, fleet, routes, stage)
    closed[stage, "vendor"] = (len(routes), seconds)
    note(figure, closed)


def test_u6_in_the_request_s_body(client: Client, fleet: Fleet, figure: Figure) -> None:
    """Nobody is asked, and there is no row."""
    before = len(rows(client.gateway.data))
    routes = [spoken(api, stream=stream) for api, stream in product(SPOKEN, (False, True))]
    lines = [sent(client, route, cut=1) for route in routes]
    assert client.ask(Question("groq")).good, "and so the gateway has seen what was sent before, and waits for the rest"
    for number, line in enumerate(lines):
        go(line, reset=number % 3 == 0)
    assert client.ask(Question("openai")).good
    assert len(fleet["openai"].requests) == 1
    assert len(rows(client.gateway.data)) == before + 2
    figure("left in the request's body", f"0 of {len(routes)} asked a provider")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("way", WAYS)
def test_u6_others_get_their_answer(client: Client, fleet: Fleet, figure: Figure, way: str, stream: bool) -> None:
    """Of those who share a call the first and another one leave."""
    fleet["openai"].script = Scenario(REPLY, delay=0.4)
    question = Question("openai", way, stream, text=f"shared {uuid.uuid4()}")
    route = Route("/v1/chat/completions", question.body, "openai", stream)
    first = sent(client, route)
    assert fleet["openai"].arrived.wait(5)
    with ThreadPoolExecutor(9) as pool:
        others = [pool.submit(client.ask, replace(question, stream=bool(number % 2))) for number in range(8)]
        second = sent(client, route)
        time.sleep(0.15)  # for all to be there
        go(first)
        go(second, reset=True)
        answers = [other.result() for other in others]
    assert [answer.text for answer in answers] == [REPLY.text] * 8
    assert all(answer.good for answer in answers)
    assert len(fleet["openai"].requests) == 1
    assert sum(not answer.row["cache_hit"] for answer in answers) == 1, "one pays"
    figure("others who got their answer after the first left", f"8 of 8, by {way}, {'streamed' if stream else 'whole'}")
