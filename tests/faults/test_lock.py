"""D4: another process holds the locks of the log and of the cache, for longer and longer.

What must stay true: what needs neither is answered as if nothing were; rows wait for the lock as long as the gateway
has patience, and those that waited too long are told and counted; every answer leaves.
"""

from __future__ import annotations

import http.client
import sqlite3
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from proxy.stores.schema.database import BUSY_TIMEOUT
from tests.faults.evidence import intact, missing
from tests.faults.load import ECHO, Load
from tests.faults.plugin import Figure
from tests.gateway import Process

pytestmark = pytest.mark.fault("D4")


@contextmanager
def locked(*paths: Path) -> Iterator[None]:
    """Hold the locks of these databases."""
    connections = [sqlite3.connect(path, isolation_level=None, timeout=10) for path in paths]
    try:
        for connection in connections:
            connection.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        for connection in connections:
            connection.close()


class Watch:
    """Asks for something that needs no database, all the while, and keeps the seconds that each answer took."""

    def __init__(self, port: int) -> None:
        self.seconds: list[float] = []
        self._port = port
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)) as connection:
            while not self._over.wait(0.01):
                began = time.perf_counter()
                connection.request("GET", "/v1/models")
                response = connection.getresponse()
                assert response.status == 200
                response.read()
                self.seconds.append(time.perf_counter() - began)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seconds", [2, 4, 40])
def test_d4_a_lock_that_is_held(tmp_path: Path, seconds: int, full: bool, figure: Figure) -> None:
    if not full and seconds > 2:
        pytest.skip("the long form only")
    load = Load(("whole", "posted", "edited"), repeat=10**6)
    with Process(tmp_path, ECHO) as gateway:
        if full:
            gateway.wait_for("/ready")
        load.ask(gateway.port, requests=20)
        asking = threading.Thread(target=lambda: load.ask(gateway.port, clients=4, seconds=seconds + 0.5))
        with Watch(gateway.port) as watch:
            with locked(gateway.data / "traces.db", gateway.data / "cache" / "cache.db"):
                asking.start()
                time.sleep(seconds)
            asking.join()
        after = Load().ask(gateway.port, requests=20)
        log = httpx.get(f"{gateway.url}/health").json()["log"]
    told = len(load.unsaid)
    quick = statistics.quantiles(watch.seconds, n=100)[98]
    figure(
        f"unrelated GETs while the log is locked for {seconds} s",
        f"99 % within {quick * 1000:.0f} ms, worst {max(watch.seconds) * 1000:.0f} ms",
    )
    figure(
        f"rows of {load.answers:,} answers while the log is locked for {seconds} s",
        f"0 lost unsaid, {told} told as lost, slowest answer {load.slowest:.1f} s",
    )
    assert set(load.statuses) == {200}
    assert load.cut == 0
    assert not load.wrong
    assert after.unsaid == set()
    assert missing(gateway.data, load, after) == set()
    assert log["writable"] is True
    assert log["dropped"] >= told
    assert (told > 0) == (seconds > BUSY_TIMEOUT)
    # One batch may wait before another, and each for as long as the patience is.
    assert load.slowest < 2 * BUSY_TIMEOUT + 2
    # Below 50 ms on a machine that does nothing else; whoever waits for the lock waits for seconds.
    assert statistics.median(watch.seconds) < 0.05
    assert max(watch.seconds) < 1
    intact(gateway.data)
