"""Clients that take their time, and more of them than there are files: the rest is served as if they were not there."""

from __future__ import annotations

import json
import os
import selectors
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.http.door import SETTLED
from tests.faults.plugin import FULL, Figure
from tests.gateway import Process, rows, until
from tests.upstreams.fleet import Fleet
from tests.upstreams.scenario import Reply, Scenario

pytestmark = pytest.mark.fault("P2")

CHAT = "/v1/chat/completions"
HEAD = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" % CHAT.encode()
KINDS = (b"", HEAD + b"X-A: ", HEAD + b"Content-Length: 1000000\r\n\r\n[")
"""What three kinds of slow clients have said: nothing, half a head, the beginning of a body."""


def asked(text: str, model: str = "echo", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


class Narrow(Process):
    """A gateway that may have so many files open."""

    def __init__(self, folder: Path, config: dict[str, Any], files: int) -> None:
        super().__init__(folder, config)
        self._command = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *self._command]


def config(fleet: Fleet, **server: str) -> dict[str, Any]:
    echo = {"model_name": "echo", "litellm_params": {"model": "echo/echo"}}
    return {"model_list": [echo], "providers": fleet.providers, "server": server}


@pytest.fixture(scope="module")
def gateway(_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """The long forms have the deadlines that users have, the short ones a second."""
    limits = {"send_timeout": "10s"} if FULL else {"receive_timeout": "1s", "send_timeout": "1s"}
    with Process(tmp_path_factory.mktemp("gateway"), config(_fleet, **limits)) as running:
        running.wait_for("/ready")
        yield running


@pytest.fixture(scope="module")
def narrow(_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """May have 64 files open."""
    with Narrow(tmp_path_factory.mktemp("narrow"), config(_fleet), files=64) as running:
        running.wait_for("/ready")
        yield running


@contextmanager
def crowd(gateway: Process, size: int) -> Iterator[list[socket.socket]]:
    """So many connections."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=10)) for _ in range(size)
        ]


@contextmanager
def dripping(clients: list[socket.socket]) -> Iterator[None]:
    """While it is held, each client says a byte every now and then."""
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.2):
            for client in clients:
                try:
                    client.send(b"1")
                except OSError:
                    continue  # it was shown the door

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def held(clients: list[socket.socket], seconds: float) -> int:
    """How many of the clients are still connected after so many seconds, or as soon as none is."""
    end = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client, selectors.EVENT_READ)
        while (left := end - time.monotonic()) > 0 and selector.get_map():
            for key, _ in selector.select(left):
                if _ended(key.fileobj):
                    selector.unregister(key.fileobj)
        return len(selector.get_map())


def _ended(client: Any) -> bool:
    try:
        return not client.recv(2**16)
    except ConnectionResetError:
        return True


def health(gateway: Process, count: int) -> list[float]:
    """Milliseconds that answers of /health took, each on a connection of its own."""
    took = []
    for _ in range(count):
        begun = time.perf_counter()
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
            client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert client.recv(2**16).startswith(b"HTTP/1.1 200 ")
        took.append(1000 * (time.perf_counter() - begun))
    return took


def cpu(gateway: Process) -> float:
    """CPU seconds that the gateway has used."""
    spent = Path(f"/proc/{gateway.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(spent[11]) + int(spent[12])) / os.sysconf("SC_CLK_TCK")


def lines(gateway: Process) -> int:
    """How many lines the gateway has said."""
    return len(gateway.output.read_text().splitlines())


def test_p2_slow_requests_are_ended_at_the_deadline(gateway: Process, full: bool, figure: Figure) -> None:
    idle = health(gateway, 50)
    with crowd(gateway, 150) as clients:
        for number, client in enumerate(clients):
            client.sendall(KINDS[number % len(KINDS)])
        with dripping([client for number, client in enumerate(clients) if KINDS[number % len(KINDS)]]):
            beside = health(gateway, 50)
            left = held(clients, 15 if full else 8)
    assert left == 0
    assert statistics.median(beside) < 50 + statistics.median(idle)
    assert lines(gateway) < 100
    figure("slow clients held after the deadline", f"{left} of {len(clients)}")
    figure("/health beside them, median and worst, ms", f"{statistics.median(beside):.1f}, {max(beside):.1f}")
    figure("/health alone, median and worst, ms", f"{statistics.median(idle):.1f}, {max(idle):.1f}")


def test_p2_who_does_not_read_is_dropped_with_the_providers_call(
    gateway: Process, fleet: Fleet, full: bool, figure: Figure
) -> None:
    clients = 20 if full else 3
    fleet["openai"].script = Scenario(Reply(("x" * 1000,) * 20_000))
    with ExitStack() as stack:
        body = json.dumps(asked("hi", "openai/gpt-4o-mini", stream=True)).encode()
        for _ in range(clients):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", gateway.port))
            client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        until(lambda: len(fleet["openai"].requests) == clients)
        begun = time.monotonic()
        left = sum(request.abandoned.wait(30) for request in fleet["openai"].requests)
        took = time.monotonic() - begun
        assert left == clients
        until(lambda: len(rows(gateway.data, "status = 'cancelled'")) == clients)
    assert health(gateway, 1)
    assert lines(gateway) < 100
    figure("clients that do not read dropped, and their calls with them", f"{left} of {clients}, in {took:.0f} s")


def test_p2_idle_connections_beyond_the_files_do_no_harm(narrow: Process, full: bool, figure: Figure) -> None:
    with httpx.Client(base_url=narrow.url, timeout=10) as client:
        before, begun = cpu(narrow), time.monotonic()
        with crowd(narrow, 100):
            time.sleep(2 * SETTLED)  # from then on who is idle makes room
            first = health(narrow, 1)[0]
            answers = [client.post(CHAT, json=asked(f"{number % 5}", cache=True)) for number in range(20)]
            time.sleep(max(0.0, begun + (7 if full else 2) - time.monotonic()))
            used = (cpu(narrow) - before) / (time.monotonic() - begun)
    assert {answer.status_code for answer in answers} == {200}
    assert [answer.headers["x-cache"] for answer in answers[5:]] == ["hit"] * 15
    assert {answer.headers["x-trace-id"] for answer in answers} == {row["trace_id"] for row in rows(narrow.data)}
    assert used < 0.5
    assert lines(narrow) < 100
    figure("64 files, 100 idle connections: /health after, ms", f"{first:.1f}")
    figure("64 files, 100 idle connections: CPU, lines said", f"{100 * used:.0f} %, {lines(narrow)}")


def test_p2_work_under_way_keeps_its_files(narrow: Process, fleet: Fleet) -> None:
    """As many calls as there is room for, each with a provider's connection: whoever comes then is told so."""
    fleet["openai"].script = Scenario(Reply(("one", "two")), fault="stall", after=1)
    body = asked("hi", "openai/gpt-4o-mini", stream=True)
    time.sleep(2 * SETTLED)
    with httpx.Client(base_url=narrow.url, timeout=20) as client, ExitStack() as stack:
        statuses = [stack.enter_context(client.stream("POST", CHAT, json=body)).status_code for _ in range(12)]
        assert not any(request.abandoned.is_set() for request in fleet["openai"].requests)
    taken = statuses.count(200)
    assert statuses == [200] * taken + [503] * (12 - taken)
    assert 4 <= taken < 12
