"""D1: `kill -9` at a random moment under load, again and again on one data folder.

What must stay true: every row of an answer that had arrived is there, after this kill and after every later one, the
databases are intact, and the next start serves from them.
"""

from __future__ import annotations

import asyncio
import random
import signal
from pathlib import Path

import pytest

from tests.faults.evidence import intact, missing
from tests.faults.load import ECHO, Load
from tests.faults.plugin import Figure
from tests.gateway import Process

pytestmark = pytest.mark.fault("D1")

EARLIEST, LATEST = 0.02, 0.8
"""Seconds from the first answer to the kill."""


async def killed(gateway: Process, load: Load, clients: int) -> int:
    """The number of answers until the gateway was killed, at a random moment after the first ones."""
    # What is loaded on the first request is loaded before.
    await load.run(gateway.port, clients=4, requests=8)
    load.begun.clear()
    asking = asyncio.create_task(load.run(gateway.port, clients=clients, seconds=30))
    await load.begun.wait()
    await asyncio.sleep(random.uniform(EARLIEST, LATEST))
    gateway.process.kill()
    await asking
    return load.answers


@pytest.mark.timeout(180)
@pytest.mark.parametrize("synchronous", ["normal", "full"])
async def test_d1_what_was_acknowledged_survives_kill_9(
    tmp_path: Path, synchronous: str, full: bool, figure: Figure
) -> None:
    config = ECHO | {"log": {"synchronous": synchronous}}
    rounds = (20 if full else 3) if synchronous == "normal" else (5 if full else 1)
    loads: list[Load] = []
    lost: set[str] = set()
    for _ in range(rounds):
        # A fourth of what is asked is asked before, so the cache is read and written as well.
        loads.append(Load(repeat=50 if len(loads) % 4 == 3 else 0))
        with Process(tmp_path, config) as gateway:
            assert await killed(gateway, loads[-1], clients=16) > 0
            assert gateway.process.wait(10) == -signal.SIGKILL
        lost |= missing(gateway.data, *loads)
        intact(gateway.data)
        assert not loads[-1].wrong
        assert set(loads[-1].statuses) == {200}
    acknowledged = sum(len(load.said) + len(load.edited) for load in loads)
    figure(
        f"acknowledged rows and edits lost to kill -9, synchronous: {synchronous}",
        f"{len(lost)} of {acknowledged:,} in {rounds} rounds",
    )
    assert lost == set()
