"""D10: SIGTERM and SIGINT, once and twice, with answers under way and rows that wait for the disk.

What must stay true: after the first signal what has begun is finished, within the grace, and its rows are there; what
has no end of its own is ended with the grace, and has a row that says so. A second signal, whichever, ends at once.
"""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.process import GRACE
from tests.faults.evidence import intact, missing
from tests.faults.load import ECHO, Load
from tests.faults.plugin import Figure
from tests.gateway import Process, rows
from tests.upstreams.fleet import Fleet
from tests.upstreams.scenario import SCENARIOS, Reply, Scenario

pytestmark = pytest.mark.fault("D10")

STREAMS = 8


def config(fleet: Fleet) -> dict[str, Any]:
    upstream = {"model_name": "upstream", "litellm_params": {"model": "openai/gpt-4o-mini"}}
    return {"model_list": [*ECHO["model_list"], upstream], "providers": fleet.providers}


def stream(gateway: Process, trace_id: str) -> str:
    """The text of a streamed answer, up to where it was cut."""
    chat = {"model": "upstream", "stream": True, "messages": [{"role": "user", "content": trace_id}]}
    text = ""
    with (
        contextlib.suppress(httpx.TransportError),
        httpx.Client(timeout=60, headers={"x-trace-id": trace_id}) as client,
        client.stream("POST", f"{gateway.url}/v1/chat/completions", json=chat) as response,
    ):
        for piece in response.iter_text():
            text += piece
    return text


@contextlib.contextmanager
def streaming(gateway: Process, fleet: Fleet, scenario: Scenario) -> Iterator[dict[str, Future[str]]]:
    """Streams of an upstream that plays `scenario`, all of them under way."""
    gateway.wait_for("/ready")
    fleet["openai"].script = scenario
    ids = [str(uuid.uuid4()) for _ in range(STREAMS)]
    with ThreadPoolExecutor(STREAMS) as pool:
        answers = {trace_id: pool.submit(stream, gateway, trace_id) for trace_id in ids}
        end = time.monotonic() + 20
        while len(fleet["openai"].requests) < STREAMS:
            assert time.monotonic() < end
            time.sleep(0.01)
        yield answers


def test_d10_what_has_begun_is_finished(fleet: Fleet, tmp_path: Path, figure: Figure) -> None:
    """Streams are open, rows wait for a lock that somebody holds, connections are idle."""
    load = Load(("whole", "posted", "edited"))
    with Process(tmp_path, config(fleet)) as gateway, httpx.Client() as idle:
        slow = Scenario(Reply(("one ", "two ", "three")), delay=1.5)
        with streaming(gateway, fleet, slow) as answers:
            idle.get(f"{gateway.url}/health")
            load.ask(gateway.port, requests=50)
            with closing(sqlite3.connect(gateway.data / "traces.db", isolation_level=None)) as lock:
                lock.execute("BEGIN IMMEDIATE")
                asking = threading.Thread(target=lambda: load.ask(gateway.port, clients=30, requests=30))
                asking.start()
                log: dict[str, Any] = {"pending": 0}
                while log["pending"] < 30:
                    log = httpx.get(f"{gateway.url}/health").json()["log"]
                gateway.process.send_signal(signal.SIGTERM)
                signalled = time.monotonic()
                time.sleep(0.5)
            asking.join()
            texts = [answer.result() for answer in answers.values()]
        gateway.process.wait(GRACE)
        took = time.monotonic() - signalled
    assert all("three" in text and "[DONE]" in text for text in texts)
    kept = {row["trace_id"]: row["status"] for row in rows(gateway.data)}
    assert {kept[trace_id] for trace_id in answers} == {"success"}
    assert load.statuses == {200: 80}
    assert load.cut == 0
    assert load.unsaid == set()
    lost = missing(gateway.data, load)
    figure(
        f"SIGTERM with {STREAMS} streams open and 30 rows in the queue",
        f"{len(texts)} of {STREAMS} streams whole, {len(lost)} of {len(load.said)} rows lost, exit after {took:.1f} s",
    )
    assert lost == set()
    intact(gateway.data)


def leave(gateway: Process, trace_id: str) -> None:
    """Begin to read a streamed answer, and go."""
    chat = {"model": "upstream", "stream": True, "messages": [{"role": "user", "content": trace_id}]}
    with (
        httpx.Client(timeout=60, headers={"x-trace-id": trace_id}) as client,
        client.stream("POST", f"{gateway.url}/v1/chat/completions", json=chat) as response,
    ):
        next(response.iter_text())


def test_d10_rows_that_no_answer_waits_for(fleet: Fleet, tmp_path: Path) -> None:
    """Their clients have left, and a lock keeps them from the disk until after the signal."""
    ids = [str(uuid.uuid4()) for _ in range(STREAMS)]
    with Process(tmp_path, config(fleet)) as gateway:
        gateway.wait_for("/ready")
        fleet["openai"].script = SCENARIOS["stall"]
        with closing(sqlite3.connect(gateway.data / "traces.db", isolation_level=None)) as lock:
            lock.execute("BEGIN IMMEDIATE")
            for trace_id in ids:
                leave(gateway, trace_id)
            end = time.monotonic() + 20
            while httpx.get(f"{gateway.url}/health").json()["log"]["pending"] < STREAMS:
                assert time.monotonic() < end
            gateway.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            assert gateway.process.poll() is None, "it waits for its rows"
        gateway.process.wait(GRACE)
    kept = {row["trace_id"]: row["status"] for row in rows(gateway.data)}
    assert [kept.get(trace_id) for trace_id in ids] == ["cancelled"] * STREAMS


@pytest.mark.timeout(120)
@pytest.mark.parametrize("one", [signal.SIGTERM, signal.SIGINT])
def test_d10_what_has_no_end_is_ended_with_the_grace(
    fleet: Fleet, tmp_path: Path, one: signal.Signals, full: bool, figure: Figure
) -> None:
    if not full:
        pytest.skip(f"the long form only: the grace is {GRACE} s")
    with Process(tmp_path, config(fleet)) as gateway, streaming(gateway, fleet, SCENARIOS["stall"]) as answers:
        signalled = time.monotonic()
        gateway.process.send_signal(one)
        gateway.process.wait(GRACE + 5)
        took = time.monotonic() - signalled
    assert GRACE - 1 < took < GRACE + 3
    kept = {row["trace_id"]: (row["status"], row["output"]) for row in rows(gateway.data)}
    figure(
        f"{one.name} with {STREAMS} streams that never end",
        f"exit after {took:.1f} s, {len(kept.keys() & answers.keys())} of {STREAMS} rows there",
    )
    assert [kept[trace_id] for trace_id in answers] == [("cancelled", "Hello from")] * STREAMS


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    "signals", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGINT)]
)
def test_d10_a_second_signal_ends_at_once(
    fleet: Fleet, tmp_path: Path, signals: tuple[signal.Signals, ...], workers: int, full: bool, figure: Figure
) -> None:
    if not full and signals != (signal.SIGTERM, signal.SIGTERM):
        pytest.skip("the long form only")
    load = Load()
    environ = {"PAREA_PROXY_WORKERS": str(workers)}
    with (
        Process(tmp_path, config(fleet), **environ) as gateway,
        streaming(gateway, fleet, SCENARIOS["stall"]),
    ):
        load.ask(gateway.port, requests=50)
        gateway.process.send_signal(signals[0])
        time.sleep(1)
        assert gateway.process.poll() is None, "the first signal waits for the streams"
        second = time.monotonic()
        gateway.process.send_signal(signals[1])
        gateway.process.wait(GRACE + 10)
        took = time.monotonic() - second
    figure(
        f"exit after a second signal, {workers} {'worker' if workers == 1 else 'workers'}",
        f"{took:.1f} s",
    )
    assert took < 2
    assert missing(gateway.data, load) == set()
    intact(gateway.data)
