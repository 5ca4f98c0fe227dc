"""D5: two gateways, and several workers of one, on one data folder at once.

What must stay true: every row of an answer is there; an answer from the cache is the one to the question, whoever
answered it first; a worker that is killed costs neither.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.faults.evidence import intact, missing, rows
from tests.faults.load import ECHO, Load
from tests.faults.plugin import Figure
from tests.gateway import Process

pytestmark = pytest.mark.fault("D5")


def test_d5_two_gateways_on_one_folder(tmp_path: Path, full: bool, figure: Figure) -> None:
    requests = 6000 if full else 600
    load = Load(("whole", "stream", "posted"), repeat=requests // 20)
    with Process(tmp_path, ECHO) as one, Process(tmp_path, ECHO) as other:
        load.ask(one.port, other.port, clients=8, requests=requests)
        asked, repeated = [Load(("whole",), repeat=20, size=20) for _ in range(2)]
        asked.ask(one.port, requests=20)
        repeated.ask(other.port, requests=20)
    lost = missing(one.data, load)
    figure(
        "rows lost by two gateways on one folder",
        f"{len(lost)} of {len(load.said):,} ({len(load.wrong)} wrong of {load.hits:,} answers from the cache)",
    )
    assert lost == set()
    assert load.statuses == {200: requests}
    assert load.wrong == []
    assert load.hits > requests // 10
    assert asked.hits == 0
    # What the first wrote last may have been on its way.
    assert repeated.hits > 10, "what one gateway bought the other must find"
    assert repeated.wrong == []
    assert rows(one.data) == len(load.said) + len(load.unsaid) + 40
    # Both wait for each other's commits; a row may be given up only where one of them is kept waiting for seconds.
    assert load.unsaid == set()
    intact(one.data)


@pytest.mark.timeout(180)
def test_d5_starting_together_on_a_new_folder(tmp_path: Path, full: bool) -> None:
    for number in range(5 if full else 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        gateways = [Process(folder, ECHO) for _ in range(4 if full else 2)]
        starts = [threading.Thread(target=gateway.__enter__) for gateway in gateways]
        for start in starts:
            start.start()
        for start in starts:
            start.join()
        load = Load(repeat=20).ask(*[gateway.port for gateway in gateways], requests=80)
        for gateway in gateways:
            gateway.__exit__(None, None, None)
        assert load.statuses == {200: 80}
        assert load.unsaid == set()
        assert missing(folder / "data", load) == set()
        intact(folder / "data")


def workers(gateway: Process) -> list[int]:
    """The processes that serve, oldest first."""
    children = Path(f"/proc/{gateway.process.pid}/task/{gateway.process.pid}/children").read_text().split()
    return [pid for pid in map(int, children) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.mark.timeout(120)
def test_d5_workers_that_are_killed_lose_nothing(tmp_path: Path, full: bool, figure: Figure) -> None:
    if not full:
        pytest.skip("the long form only")
    loads: list[Load] = []
    killed = 0
    with Process(tmp_path, ECHO, PAREA_PROXY_WORKERS="2") as gateway:
        for _ in range(10):
            end = time.monotonic() + 20
            while len(pids := workers(gateway)) < 2:
                assert time.monotonic() < end, "a killed worker is not replaced"
                time.sleep(0.02)
            loads.append(Load(("whole", "stream", "posted"), repeat=50))
            load = loads[-1]
            asking = threading.Thread(target=lambda load=load: load.ask(gateway.port, clients=8, seconds=1.0))
            asking.start()
            time.sleep(0.5)
            os.kill(pids[killed % 2], signal.SIGKILL)
            killed += 1
            asking.join()
            assert load.answers
            # Whoever comes now is answered by the other, or by the one that takes its place.
            loads.append(Load(repeat=50).ask(gateway.port, requests=20))
            assert loads[-1].statuses == {200: 20}
    lost = missing(gateway.data, *loads)
    figure(
        "rows lost by two workers, of which one is killed",
        f"{len(lost)} of {sum(len(load.said) for load in loads):,} in {killed} rounds",
    )
    assert lost == set()
    assert [load.wrong for load in loads if load.wrong] == []
    assert sum(load.hits for load in loads) > 0
    intact(gateway.data)
