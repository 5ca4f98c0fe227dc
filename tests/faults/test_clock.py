"""D8: the clock jumps by a second, an hour and a day, forwards and back, also in the middle of a call.

What must stay true: latencies and deadlines are those of a clock that never jumps; rows stay in the order in which they
were written and say what the clock said; entries of the cache expire by the clock, early or late, and are never wrong.
"""

from __future__ import annotations

import shutil
import sqlite3
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.load import ECHO, Load
from tests.faults.plugin import Figure
from tests.gateway import Process, rows
from tests.upstreams.fleet import Fleet
from tests.upstreams.scenario import Reply, Scenario

pytestmark = pytest.mark.fault("D8")

SECOND, HOUR, DAY = 1, 3600, 86400
JUMPS = [SECOND, -SECOND, HOUR, -HOUR, DAY, -DAY]
DELAY = 0.3


class Clocked(Process):
    """A gateway whose clock is set by the test."""

    def __init__(self, folder: Path, library: Path, config: dict[str, Any]) -> None:
        self._offset = folder / "offset"
        self.jump(0)
        super().__init__(folder, config, LD_PRELOAD=str(library), CLOCK_OFFSET=str(self._offset))

    def jump(self, seconds: int) -> None:
        """Set the clock to the true time and so many seconds."""
        with self._offset.open("r+b" if self._offset.exists() else "wb") as file:
            file.write(struct.pack("q", seconds))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler for the clock")
    path = tmp_path_factory.mktemp("clock") / "clock.so"
    source = Path(__file__).with_name("clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", path, source], check=True)
    return path


@pytest.fixture
def gateway(tmp_path: Path, library: Path, fleet: Fleet) -> Iterator[Clocked]:
    upstream = {"model_name": "upstream", "litellm_params": {"model": "openai/gpt-4o-mini"}}
    models = {"model_list": [*ECHO["model_list"], upstream]}
    config = models | {"cache": {"ttl": "30m"}, "providers": fleet.providers}
    with Clocked(tmp_path, library, config) as gateway:
        yield gateway


def asked(model: str, prompt: str, **fields: Any) -> dict[str, Any]:
    configuration = {"messages": [{"role": "user", "content": prompt}], "model": model}
    return {"llm_configuration": configuration, **fields}


def test_d8_a_jump_in_the_middle_of_a_call(gateway: Clocked, fleet: Fleet, full: bool, figure: Figure) -> None:
    gateway.wait_for("/ready")
    latencies = []
    for jump in JUMPS if full else (HOUR, -DAY):
        for path in ("completion", "completion/stream"):
            gateway.jump(0)
            fleet.reset()
            fleet["openai"].script = Scenario(Reply(("one ", "two")), delay=DELAY)
            answers: list[httpx.Response] = []
            body = asked("upstream", "say", trace_id=f"{path}{jump}", cache=False)
            call = threading.Thread(
                target=lambda path=path, body=body, answers=answers: answers.append(
                    httpx.post(f"{gateway.parea}/{path}", json=body, timeout=20)
                )
            )
            call.start()
            assert fleet["openai"].arrived.wait(20)
            gateway.jump(jump)
            call.join()
            assert answers[0].status_code == 200
            (row,) = rows(gateway.data, "trace_id = ?", body["trace_id"])
            assert row["status"] == "success"
            assert DELAY * 0.9 < row["latency"] < DELAY + 5
            took = datetime.fromisoformat(row["end_timestamp"]) - datetime.fromisoformat(row["start_timestamp"])
            assert took.total_seconds() == pytest.approx(row["latency"], abs=0.001)
            if row["time_to_first_token"] is not None:
                assert DELAY * 0.9 < row["time_to_first_token"] <= row["latency"]
            latencies.append(row["latency"])
    figure("latencies below zero or off, the clock jumping in a call", f"0 of {len(latencies)}")


def test_d8_rows_keep_their_order_and_tell_the_clocks_time(gateway: Clocked) -> None:
    loads = []
    for jump in (0, *JUMPS, 0):
        gateway.jump(jump)
        load = Load(("whole", "posted")).ask(gateway.port, clients=1, requests=4)
        assert load.statuses == {200: 4}
        now = datetime.now(UTC) + timedelta(seconds=jump)
        for trace_id in load.said:
            (row,) = rows(gateway.data, "trace_id = ?", trace_id)
            if row["start_timestamp"]:
                assert abs(datetime.fromisoformat(row["start_timestamp"]) - now) < timedelta(seconds=30)
        loads.append(load)
    with closing(sqlite3.connect(gateway.data / "traces.db")) as connection:
        written = [name for (name,) in connection.execute("SELECT trace_id FROM traces ORDER BY rowid")]
    assert written == [trace_id for load in loads for trace_id in load.said]


def test_d8_entries_expire_by_the_clock(gateway: Clocked, figure: Figure) -> None:
    def ask() -> tuple[str, str]:
        response = httpx.post(f"{gateway.parea}/completion", json=asked("echo", "what time is it"), timeout=20)
        return response.headers["x-cache"], response.json()["content"]

    def settled() -> str:
        """Whether it is a hit, once what was being written is."""
        first, content = ask()
        for _ in range(100):
            assert content == "You said: what time is it"
            again, content = ask()
            if again == "hit":
                return first
        raise AssertionError("it is never kept")

    found = []
    for jump in (0, HOUR // 4, HOUR, HOUR // 4, 0, -DAY, DAY):
        gateway.jump(jump)
        found.append(settled())
    # After an hour it has expired. What is written then lasts at all times before, and not a day later.
    assert found == ["miss", "hit", "miss", "hit", "hit", "hit", "miss"]
    figure("wrong answers from the cache, the clock jumping", "0")
