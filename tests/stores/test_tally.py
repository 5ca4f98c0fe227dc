from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.stores.shared.tally import HEAD, ROWS, SIZE, TEXT, Tally
from proxy.tally import WIDTH, Series

WORKER = """
import sys
from pathlib import Path
from proxy.stores.shared.tally import Tally

tally = Tally(Path(sys.argv[1]))
for name in sys.argv[2].split():
    tally.cells[tally.place("call", name)] += 1
tally.cells[tally.place("now", "busy")] = 7
print("counted", flush=True)
sys.stdin.read()
"""


def worker(folder: Path, names: str) -> subprocess.Popen[str]:
    """A process that has counted each of the names and waits."""
    command = [sys.executable, "-c", WORKER, str(folder), names]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "counted\n"
    return process


def totals(tally: Tally, kind: str = "call") -> dict[tuple[str, ...], float]:
    found: dict[tuple[str, ...], float] = {}
    for series in tally.read():
        if series.kind == kind and (series.live or kind != "now"):
            found[series.labels] = found.get(series.labels, 0.0) + series.values[0]
    return found


def test_all_processes_are_read_and_the_dead_are_taken_over(tmp_path: Path) -> None:
    first, second = worker(tmp_path, "a b b"), worker(tmp_path, "b c")
    own = Tally(tmp_path)
    own.cells[own.place("call", "a")] += 1
    assert totals(own) == {("a",): 2, ("b",): 3, ("c",): 1}
    assert totals(own, "now") == {("busy",): 14}
    first.kill()
    first.communicate()
    assert totals(own) == {("a",): 2, ("b",): 3, ("c",): 1}, "what a process has counted goes with it"
    assert totals(own, "now") == {("busy",): 7}, "what a process was doing outlasts it"
    third = worker(tmp_path, "a")
    assert totals(own) == {("a",): 3, ("b",): 3, ("c",): 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tally.0", "tally.1", "tally.2"]
    for process in (second, third):
        process.kill()
        process.communicate()
    own.close()


def test_a_file_that_is_given_back_is_counted_on(tmp_path: Path) -> None:
    tally = Tally(tmp_path)
    tally.cells[tally.place("call", "a")] += 2
    tally.cells[tally.place("now", "busy")] = 1
    tally.close()
    tally.close()
    again = Tally(tmp_path)
    assert totals(again) == {("a",): 2}
    assert totals(again, "now") == {("busy",): 0}
    again.cells[again.place("call", "a")] += 1
    assert totals(again) == {("a",): 3}
    assert oct((tmp_path / "tally.0").stat().st_mode & 0o777) == "0o600"
    again.close()


def test_series_are_bounded(tmp_path: Path) -> None:
    tally = Tally(tmp_path)
    places = {tally.place("call", str(number)) for number in range(3 * ROWS)}
    assert len(places) == ROWS + 1, "one more for all that found no room"
    assert tally.place("call", "x" * TEXT) in places
    assert tally.place("call", "\udc80") in places
    for place in places:
        tally.cells[place] += 1
    assert len(totals(tally)) == ROWS
    tally.close()
    emptied = Tally(tmp_path)
    assert totals(emptied) == {}, "a full file is not begun anew"
    emptied.close()


@given(noise=st.lists(st.tuples(st.integers(16, SIZE - 9), st.binary(min_size=1, max_size=8)), max_size=8))
def test_whatever_is_in_a_file_nothing_raises(
    tmp_path_factory: pytest.TempPathFactory, noise: list[tuple[int, bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("noise")
    tally = Tally(folder)
    tally.place("call", "a")
    tally.close()
    with (folder / "tally.0").open("r+b") as file:
        for at, content in [*noise, (HEAD, b"[")]:
            file.seek(at)
            file.write(content)
    again, beside = Tally(folder), Tally(folder)
    for one in (again, beside):
        one.cells[one.place("call", "b")] += 1
        for series in one.read():
            assert isinstance(series, Series)
            assert len(series.values) == WIDTH
            assert all(value >= 0 for value in series.values)
        one.close()


@pytest.mark.parametrize("trouble", ["folder", "link", "short"])
def test_without_a_file_it_counts_for_itself(trouble: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "tally.0"
    if trouble == "folder":
        path.mkdir()
    elif trouble == "link":
        os.symlink(tmp_path / "elsewhere", path)
    else:
        path.write_bytes(b"tally")
    with caplog.at_level(logging.WARNING):
        tally = Tally(tmp_path)
    assert bool(caplog.records) is (trouble != "short"), "a file that is none is replaced"
    tally.cells[tally.place("call", "a")] += 1
    assert totals(tally) == {("a",): 1}
    tally.close()
