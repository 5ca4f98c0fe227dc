"""D2: a system call on the gateway's files fails, or the process is killed in it, the first, second, ... n-th time.

SQLite is tested like this, in a loop over n until nothing is left to fail. What must stay true: a call that fails costs
no answer, and rows only with the word that they are lost; the databases stay intact; once the disk is well again the
log is written again, without a restart.
"""

from __future__ import annotations

import itertools
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.faults.evidence import intact, missing
from tests.faults.load import ECHO, Load
from tests.faults.plugin import Figure
from tests.gateway import Process

pytestmark = [
    pytest.mark.fault("D2"),
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]

FILES = [
    f"{name}{suffix}" for name in ("traces.db", "cache/cache.db") for suffix in ("", "-wal", "-shm", "-journal")
] + ["cache.key", "cache.clearings", "plans.json", "board"]

INJECTED = {
    "pwrite64": ("ENOSPC", "EIO", "KILL"),
    "fdatasync": ("EIO", "KILL"),
    "openat": ("ENOSPC", "EMFILE", "KILL"),
    "ftruncate": ("EIO", "KILL"),
    "unlink": ("EIO", "KILL"),
    "pread64": ("EIO", "KILL"),
    "mmap": ("ENOMEM", "KILL"),
}

SHORT = [
    ("pwrite64", "ENOSPC", 30, True),
    ("pwrite64", "KILL", 40, False),
    ("fdatasync", "EIO", 3, True),
    ("openat", "EMFILE", 2, False),
]
"""Call, what becomes of it, the how-manieth, and whether in a folder that is still empty."""


class Traced(Process):
    """A gateway under strace, which lets a system call on one of its files fail."""

    def __init__(self, folder: Path, call: str, outcome: str, when: str, synchronous: str) -> None:
        super().__init__(folder, ECHO | {"log": {"synchronous": synchronous}})
        self._told = folder / "strace"
        # With --seccomp-bpf, which stops the process at no other call, strace injects no signals.
        fault = ["signal=KILL"] if outcome == "KILL" else [f"error={outcome}", "--seccomp-bpf"]
        strace = ["strace", "-D", "-f", *fault[1:], "-qq", "-o", str(self._told), "-e", f"trace={call}"]
        paths = [argument for name in FILES for argument in ("-P", str(self.data / name))]
        injection = ["-e", f"inject={call}:{fault[0]}:when={when}", "-e", "signal=none"]
        self._command = [*strace, *paths, *injection, *self._command]

    @property
    def injected(self) -> int:
        """How many calls failed, or killed."""
        return self._told.read_text().count("(INJECTED)") or int(self.process.returncode == -signal.SIGKILL)


@dataclass
class Count:
    """What a loop came to."""

    runs: int = 0
    injected: int = 0
    answers: int = 0
    said: int = 0
    unsaid: int = 0
    lost: int = 0


def run(folder: Path, call: str, outcome: str, number: int, *, fresh: bool, ever: bool, count: Count) -> bool:
    """One process under one fault, and the proof of what it said; False when nothing was injected any more.

    `ever`: not only the n-th call, but every one from that on.
    """
    synchronous = "full" if call == "fdatasync" else "normal"
    loads = [Load()]
    if not fresh:
        with Process(folder, ECHO) as before:
            loads[0].ask(before.port, requests=20)
    gateway = Traced(folder, call, outcome, f"{number}+" if ever else str(number), synchronous)
    loads.append(Load(size=500))
    if outcome == "KILL":
        killed(gateway, loads[-1])
    else:
        failing(gateway, loads[-1], healed=not ever)
    data = gateway.data
    if outcome == "KILL" or ever:
        with Process(folder, ECHO) as after:
            loads.append(Load().ask(after.port, requests=8))
        assert loads[-1].statuses == {200: 8}
        assert not loads[-1].unsaid
    lost = missing(data, *loads)
    count.runs += 1
    count.injected += gateway.injected
    count.answers += sum(load.answers for load in loads)
    count.said += sum(len(load.said) for load in loads)
    count.unsaid += sum(len(load.unsaid) for load in loads)
    count.lost += len(lost)
    assert lost == set()
    assert not any(load.wrong for load in loads)
    intact(data)
    return gateway.injected > 0


def killed(gateway: Traced, load: Load) -> None:
    """Ask until the process is killed, which may be before it serves."""
    try:
        with gateway:
            load.ask(gateway.port, requests=80)
    except RuntimeError:
        assert gateway.injected, gateway.output.read_text()
    assert set(load.statuses) <= {200}


def failing(gateway: Traced, load: Load, *, healed: bool) -> None:
    """Ask beside the failing calls; every answer leaves, and what is dropped is told and counted."""
    load.kinds = ("whole", "posted", "edited")
    with gateway:
        load.ask(gateway.port, requests=80)
        last = Load(("whole",))
        while not last.said and last.answers < 5:
            last.ask(gateway.port, requests=1, clients=1)
        log = httpx.get(f"{gateway.url}/health").json()["log"]
        if healed:
            assert last.said, "it does not log again"
            assert caches(gateway), "it does not cache again"
    assert load.statuses == {200: 80}
    assert load.cut == 0
    assert log["dropped"] >= len(load.unsaid) + len(last.unsaid)
    load.said |= last.said


def caches(gateway: Traced) -> bool:
    """Whether what is asked again and again is answered from the disk before long, or the cache said that it is off."""
    load = Load(kinds=("whole",), repeat=1)
    end = time.monotonic() + 5
    while not load.hits and time.monotonic() < end:
        load.ask(gateway.port, requests=1, clients=1)
    return bool(load.hits) or "is off for now" in gateway.output.read_text()


@pytest.mark.parametrize(("call", "outcome", "number", "fresh"), SHORT)
def test_d2_a_call_that_fails_loses_nothing_that_was_said(
    tmp_path: Path, call: str, outcome: str, number: int, fresh: bool
) -> None:
    count = Count()
    assert run(tmp_path, call, outcome, number, fresh=fresh, ever=False, count=count), "nothing was injected"


@pytest.mark.timeout(400)
@pytest.mark.parametrize("call", INJECTED)
def test_d2_in_a_loop_until_nothing_is_left_to_fail(tmp_path: Path, call: str, full: bool, figure: Figure) -> None:
    if not full:
        pytest.skip("the long form only")
    count = Count()
    for outcome, fresh in itertools.product(INJECTED[call], (True, False)):
        # Closely where a database is opened and made, then further and further apart.
        for number in (2**exponent for exponent in itertools.count()):
            folder = tmp_path / f"{outcome}-{number}-{fresh}"
            folder.mkdir()
            try:
                more = run(folder, call, outcome, number, fresh=fresh, ever=False, count=count)
            except BaseException as error:
                error.add_note(f"{call}: {outcome} the {number}th time, {fresh=}")
                raise
            shutil.rmtree(folder)
            if not more:
                break
    figure(
        f"said to be logged but missing, {call} failing or killing",
        f"{count.lost} of {count.said:,} in {count.runs} runs ({count.injected} faults, {count.unsaid} told as lost)",
    )


@pytest.mark.parametrize("call", ["pwrite64", "fdatasync"])
def test_d2_a_disk_that_stays_broken_costs_rows_and_no_answer(tmp_path: Path, call: str, full: bool) -> None:
    if call == "fdatasync" and not full:
        pytest.skip("the long form only")
    count = Count()
    for number in (1, 40, 100) if full else (40,):
        folder = tmp_path / str(number)
        folder.mkdir()
        run(folder, call, "EIO", number if call == "pwrite64" else number // 10 + 1, fresh=True, ever=True, count=count)
    assert count.unsaid > 0
