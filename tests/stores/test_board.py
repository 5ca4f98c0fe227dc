from __future__ import annotations

import contextlib
import math
import os
import random
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.board import Board as Joint
from proxy.board import Use
from proxy.stores.shared.board import MOMENT, PLACE, STEP, WINDOW, Board
from proxy.stores.shared.sheet import HEAD, LANES, SIZE, SLOTS


class Clock:
    """A clock that is set by hand, in place of the machine's."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        patch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with contextlib.closing(Board(tmp_path / "board")) as made:
        yield made


TAKES = st.lists(st.tuples(st.floats(0, 40), st.integers(0, 40), st.booleans()), max_size=60)


@settings(max_examples=60, deadline=None)
@given(takes=TAKES, requests=st.integers(1, 8), tokens=st.integers(1, 100))
def test_no_minute_has_more_in_it_than_its_limit(
    takes: list[tuple[float, int, bool]], requests: int, tokens: int
) -> None:
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        clock = Clock(patch)
        boards = [Board(Path(folder) / "board") for _ in range(2)]
        taken: list[tuple[float, int]] = []
        for pause, size, which in takes:
            clock.now += pause
            told = boards[which].wait("a", requests, tokens, None, size)
            wait = boards[not which].take("a", requests, tokens, None, size)
            assert told == wait
            if not wait:
                taken.append((clock.now, size))
            else:
                assert wait <= WINDOW + STEP
            minute = [size for at, size in taken if at > clock.now - WINDOW]
            assert len(minute) <= requests
            assert sum(minute) <= max([tokens, *minute])
        for one in boards:
            one.close()


@settings(max_examples=60, deadline=None)
@given(pauses=st.lists(st.floats(0, 30), max_size=30), limit=st.integers(1, 5))
def test_who_waits_as_long_as_told_is_let_in_and_nobody_much_later_than_need_be(
    pauses: list[float], limit: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        clock, board, taken = Clock(patch), Board(), list[float]()
        for pause in pauses:
            clock.now += pause
            if wait := board.take("a", limit):
                assert clock.now + wait <= taken[-limit] + WINDOW + STEP
                clock.now += wait
                assert board.take("a", limit) == 0
            taken.append(clock.now)


HAMMER = """
import pathlib, sys, time
from proxy.stores.shared.board import Board
board = Board(pathlib.Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[4])):
    if board.take("a", *eval(sys.argv[2])) == 0:
        begun = time.monotonic_ns()
        if eval(sys.argv[3]):
            ended = time.monotonic_ns()
            board.release("a")
            print(begun, ended)
        else:
            print(begun, 0)
"""
"""Takes so many times; if the third argument says so it gives back, and says from when to when it surely had it."""


def hammered(path: Path, limits: str, *, back: bool, times: int) -> list[tuple[int, int]]:
    """What was taken by four processes that tried all at once, each so many `times`."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", HAMMER, str(path), limits, str(back), str(times)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for one in running:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in running:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    lines = [line.split() for one in running for line in one.communicate()[0].splitlines()]
    return [(int(begun), int(ended)) for begun, ended in lines]


@pytest.mark.fault("D5")
def test_processes_at_once_take_no_more_than_the_limit_and_no_less(tmp_path: Path) -> None:
    # so many that each is interrupted by the others; without the lock some of their counts are lost
    assert len(hammered(tmp_path / "requests", "(30_000,)", back=False, times=20_000)) == 30_000
    assert len(hammered(tmp_path / "tokens", "(None, 300_001, None, 10)", back=False, times=20_000)) == 30_000


@pytest.mark.fault("D5")
def test_processes_at_once_have_no_more_calls_under_way_than_the_limit(tmp_path: Path) -> None:
    had = hammered(tmp_path / "board", "(None, None, 2)", back=True, times=10_000)
    moments = sorted([(begun, 1) for begun, _ in had] + [(ended, -1) for _, ended in had])
    under_way, most = 0, 0
    for _, change in moments:
        under_way += change
        most = max(most, under_way)
    assert 1 <= most <= 2
    with contextlib.closing(Board(tmp_path / "board")) as board:
        assert board.busy("a") == 0


HOLD = """
import pathlib, sys
from proxy.stores.shared.board import Board
board = Board(pathlib.Path(sys.argv[1]))
board.take("a"), board.take("a", None, None, 2)
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.mark.fault("D5")
@pytest.mark.parametrize("buried", [True, False])
def test_what_a_killed_process_had_under_way_is_over(tmp_path: Path, buried: bool) -> None:
    with contextlib.closing(Board(tmp_path / "board")) as board:
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path / "board")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert board.take("a", None, None, 2) == PLACE
        holder.kill()
        if buried:
            holder.wait()
        else:
            os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
        end = time.monotonic() + 10
        while board.take("a", None, None, 2):
            assert time.monotonic() < end
            time.sleep(0.01)
        assert board.busy("a") == 1
        holder.communicate()


def test_a_board_that_is_closed_gives_back_what_it_had(tmp_path: Path) -> None:
    with contextlib.closing(Board(tmp_path / "board")) as board:
        other = Board(tmp_path / "board")
        other.take("a")
        board.take("a")
        assert board.busy("a") == other.busy("a") == 2
        other.close()
        assert board.busy("a") == 1
        assert every(other)
        assert board.busy("a") == 1


def every(board: Joint, id: str = "a") -> bool:
    """Whether all that a board does is done, and its numbers are numbers."""
    limits = (5, 500, 3, 50)
    numbers = [board.take(id, *limits), board.wait(id, *limits), board.take(id), board.cooled(id), board.fail(id)]
    numbers += [board.cool(id, 1), board.cooled(id), board.busy(id), board.latency(id) or 0]
    board.probe(id, 1)
    board.unprobe(id)
    board.spend(id, 5)
    board.spend(id, -5, 0)
    board.observe(id, 1)
    used = board.use(id)
    numbers += [used.requests, used.tokens, used.busy, used.failures, used.cooled, used.latency or 0]
    board.recovered(id)
    board.release(id)
    board.release(id)
    return all(math.isfinite(number) for number in numbers)


@pytest.mark.fault("D6")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bytes=st.binary(max_size=200), size=st.sampled_from([0, 100, SIZE - 1, SIZE, SIZE + 1]))
def test_a_file_of_anything_is_made_anew(tmp_path: Path, bytes: bytes, size: int) -> None:
    path = tmp_path / "board"
    path.write_bytes(bytes.ljust(size, b"\xff"))
    with contextlib.closing(Board(path)) as board:
        assert every(board)
        assert board.use("b") == Use()
    assert path.stat().st_size == SIZE


@pytest.mark.fault("D6")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), fill=st.sampled_from([b"\xff", b"\x7f", b"\x00", b"?", None]))
def test_anything_written_over_it_while_it_is_open_raises_nothing(
    tmp_path: Path, seed: int, fill: bytes | None
) -> None:
    path = tmp_path / "board"
    with contextlib.closing(Board(path)) as board:
        every(board)
        noise = random.Random(seed)
        with path.open("r+b") as file:
            file.seek(0 if seed % 2 else 8 * HEAD)
            size = SIZE - file.tell()
            file.write(noise.randbytes(size) if fill is None else fill * size)
        assert every(board)
        assert every(board, "b")
        with contextlib.closing(Board(path)) as other:
            assert every(other)
    with contextlib.closing(Board(path)) as board:
        board.recovered("a")
        assert board.busy("a") == 0
    path.unlink()


@pytest.mark.fault("S4")
def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "board"
    path.write_bytes(b"")
    path.chmod(0o666)
    with contextlib.closing(Board(path)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.fault("D3")
def test_without_a_file_it_is_of_this_process(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for path in (tmp_path, tmp_path / "nowhere" / "board"):
        with contextlib.closing(Board(path)) as board:
            assert every(board)
            assert [board.take("b", 1), board.take("b", 1) > 0] == [0, True]
    assert [str(tmp_path) in line for line in caplog.messages] == [True, True]


FULL = """
import pathlib, resource, signal, sys
from proxy.stores.shared.board import Board
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
board = Board(pathlib.Path(sys.argv[1]))
print(board.take("a", 1), board.take("a", 1) > 0)
"""


@pytest.mark.fault("D3")
def test_on_a_disk_that_fills_up_it_is_of_this_process(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "board")], capture_output=True, text=True, check=True
    )
    assert done.stdout == "0.0 True\n"
    assert "each of them has for itself" in done.stderr
    assert (tmp_path / "board").stat().st_size == 0


def test_more_processes_than_lanes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    boards = [Board(tmp_path / "board") for _ in range(LANES + 1)]
    assert [board.take("a") for board in boards] == [0] * len(boards)
    assert [board.busy("a") for board in boards] == [LANES] * LANES + [1]
    assert len(caplog.messages) == 1
    for board in boards:
        board.close()


def test_any_number_of_ids(board: Board) -> None:
    board.take("held")
    for number in range(2 * SLOTS):
        assert board.take(f"{number}", 1) == 0
        board.release(f"{number}")
    assert board.busy("held") == 1
    # what was used last is still known
    last = [board.take(f"{number}", 1) for number in range(2 * SLOTS - SLOTS // 8, 2 * SLOTS)]
    assert all(wait > 0 for wait in last)


def test_what_was_taken_too_much_is_given_back_where_it_was_taken(board: Board, clock: Clock) -> None:
    assert board.take("a", None, 100, None, 90) == 0
    taken = clock.now
    clock.now += 30
    assert board.take("a", None, 100, None, 20) > 0
    board.spend("a", -80, taken)
    assert board.use("a").tokens == 10
    assert board.take("a", None, 100, None, 90) == 0
    assert board.take("a", None, 100, None, 1) > 0
    clock.now += WINDOW - 30 + STEP
    assert board.use("a").tokens == 90
    board.spend("a", -10, taken)
    assert board.use("a").tokens == 90
    board.spend("a", 7)
    assert board.use("a").tokens == 97


def test_failures_of_the_last_minute_are_counted(board: Board, clock: Clock) -> None:
    assert [board.fail("a"), board.fail("a")] == [1, 2]
    clock.now += 40
    assert board.fail("a") == 3
    clock.now += 40
    assert board.fail("a") == 2


def test_a_cool_down_ends_with_one_probe_at_a_time(tmp_path: Path, clock: Clock) -> None:
    one, other = Board(tmp_path / "board"), Board(tmp_path / "board")
    assert one.cooled("a") == 0
    assert one.cool("a", 5) == 5
    assert other.cooled("a") == 5
    assert not other.probe("a", 30)
    clock.now += 6
    assert other.cooled("a") == -1
    assert [one.probe("a", 30), one.probe("a", 30), other.probe("a", 30)] == [True, False, False]
    # whoever probes may die of it
    clock.now += 31
    assert other.probe("a", 30)
    other.unprobe("a")
    assert one.probe("a", 30)
    assert [one.cool("a", 5, 15), one.cool("a", 5, 15)] == [10, 10]
    clock.now += 11
    assert other.probe("a", 30)
    assert other.cool("a", 5, 15) == 15
    clock.now += 16
    one.recovered("a")
    assert [other.cooled("a"), other.use("a").failures, other.cool("a", 5)] == [0, 0, 5]
    assert other.cool("a", 8) == 8
    assert other.cool("a", 2) == 8
    one.close()
    other.close()


def test_a_restart_keeps_limits_and_forgives_targets(tmp_path: Path) -> None:
    board = Board(tmp_path / "board")
    board.take("a", 1)
    board.fail("a")
    board.cool("a", 100)
    other = Board(tmp_path / "board")
    assert other.cooled("a") > 90
    other.close()
    board.close()
    with contextlib.closing(Board(tmp_path / "board")) as board:
        assert board.take("a", 1) > 0
        assert [board.cooled("a"), board.use("a").failures, board.busy("a")] == [0, 0, 0]


def test_what_the_machines_last_start_left_is_void(tmp_path: Path) -> None:
    path = tmp_path / "board"
    board = Board(path)
    board.take("a", 1)
    board.close()
    with path.open("r+b") as file:
        file.seek(8)
        file.write(b"another.")
    with contextlib.closing(Board(path)) as board:
        assert board.take("a", 1) == 0


def test_the_mean_follows_what_is_measured(board: Board) -> None:
    assert board.latency("a") is None
    board.observe("a", 1.0)
    assert board.latency("a") == 1.0
    for _ in range(30):
        board.observe("a", 0.1)
    assert board.latency("a") == pytest.approx(0.1, abs=0.01)


LOCK = """
import fcntl, sys
file = open(sys.argv[1])
fcntl.flock(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.readline()
"""


@pytest.mark.fault("D4")
def test_a_lock_that_is_never_free_holds_nobody_up(board: Board, tmp_path: Path) -> None:
    board.take("a", 5)
    holder = subprocess.Popen(
        [sys.executable, "-c", LOCK, str(tmp_path / "board")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    begun = time.monotonic()
    assert board.take("a", 5) == MOMENT
    assert time.monotonic() - begun < 0.5
    assert every(board, "b")
    while wait := board.take("a", 5):
        assert wait == MOMENT
        assert time.monotonic() - begun < 10
    assert time.monotonic() - begun > 1
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert board.take("a", 5) == 0
    assert board.take("a", 3) > MOMENT
