"""D3: no space left, in the middle of writing and from the start, and space again.

What must stay true: every answer leaves; what could not be logged is told in the answer and counted by `/health`, and
nothing else is missing; the databases stay intact; with space again it logs again, without a restart.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.faults.evidence import intact, missing, rows, size
from tests.faults.load import ECHO, Load
from tests.faults.plugin import Figure
from tests.gateway import Process

pytestmark = pytest.mark.fault("D3")

TOLD = ("whole", "posted")
"""What is answered with a word on its row; a stream's head has left before."""

MOUNTED = 'mount -t tmpfs -o size={size},mode=0700 tmpfs "$0" && exec "$@"'
IN_A_TMPFS = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]


class Limited(Process):
    """A gateway whose files may be no longer than `kilobytes` when it starts."""

    def __init__(self, folder: Path, kilobytes: int) -> None:
        super().__init__(folder, ECHO)
        self._command = ["bash", "-c", f'ulimit -S -f {kilobytes}; exec "$0" "$@"', *self._command]

    def limit(self, size: int) -> None:
        """From now on files may be `size` bytes long."""
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


class Mounted(Process):
    """A gateway whose data folder is a disk of its own, which ends with it, of so many bytes."""

    def __init__(self, folder: Path, size: int) -> None:
        super().__init__(folder, ECHO)
        self.data.mkdir(mode=0o700)
        self._command = [*IN_A_TMPFS, MOUNTED.format(size=size), str(self.data), *self._command]

    @property
    def seen(self) -> Path:
        """The data folder, as others see it."""
        return Path(f"/proc/{self.process.pid}/root{self.data}")


def fill(path: Path) -> None:
    """Make a file as long as it may be. Raises `OSError` then."""
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(512))


def dropped(gateway: Process) -> int:
    log = httpx.get(f"{gateway.url}/health").json()["log"]
    return int(log["dropped"])


def test_d3_files_that_may_not_grow(tmp_path: Path, full: bool, figure: Figure) -> None:
    """The limit is where one write of SQLite's after the other fails, as on a disk that is filled page by page."""
    limited, free = Load(TOLD, size=1000, repeat=10**6), Load(TOLD)
    with Limited(tmp_path, kilobytes=1 << 30) as gateway:
        free.ask(gateway.port, clients=1, requests=4)
        for pages in range(0, 60, 1 if full else 10):
            gateway.limit(size(gateway.data) + pages * 4096)
            limited.ask(gateway.port, clients=4, requests=20)
            gateway.limit(resource.RLIM_INFINITY)
            free.ask(gateway.port, clients=1, requests=1)
        assert dropped(gateway) == len(limited.unsaid) > 0
        assert limited.said
    assert free.unsaid == set()
    assert set(limited.statuses) == set(free.statuses) == {200}
    assert limited.cut == 0
    assert not limited.wrong
    lost = missing(gateway.data, limited, free)
    figure(
        "said to be logged but missing, files that may not grow",
        f"{len(lost)} of {len(limited.said):,} ({len(limited.unsaid):,} told as lost, {limited.answers:,} of "
        f"{limited.answers:,} answered)",
    )
    assert lost == set()
    assert rows(gateway.data) == len(limited.said) + len(free.said)
    intact(gateway.data)


@pytest.mark.parametrize("kilobytes", [0, 4, 20, 40, 100])
def test_d3_no_space_from_the_start(tmp_path: Path, kilobytes: int, full: bool) -> None:
    if not full and kilobytes not in (0, 20):
        pytest.skip("the long form only")
    load = Load(TOLD, size=1000, repeat=10**6)
    with Limited(tmp_path, kilobytes) as gateway:
        load.ask(gateway.port, requests=40)
        assert load.statuses == {200: 40}
        assert load.unsaid
        gateway.limit(resource.RLIM_INFINITY)
        again = Load(TOLD).ask(gateway.port, requests=10)
        assert dropped(gateway) == len(load.unsaid)
    assert again.statuses == {200: 10}
    assert again.unsaid == set()
    assert missing(gateway.data, load, again) == set()
    assert rows(gateway.data) == len(load.said) + len(again.said)
    intact(gateway.data)


def test_d3_a_full_disk_and_space_again(tmp_path: Path, figure: Figure) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    tried = subprocess.run([*IN_A_TMPFS, MOUNTED.format(size=4096), str(tmp_path), "true"], capture_output=True)
    if tried.returncode != 0:
        pytest.skip("no tmpfs can be mounted here, not even in a namespace of one's own")
    loads = [Load(TOLD, size=2000, repeat=10**6) for _ in range(3)]
    # 2 MiB of it are the board
    with Mounted(tmp_path, 7 * 2**20) as gateway:
        ballast = gateway.seen / "ballast"
        ballast.write_bytes(os.urandom(2**20))
        loads[0].ask(gateway.port, requests=600)
        assert loads[0].unsaid, "the disk was not filled"
        # Now the last byte as well, so that not even a page is left for whoever wants to shrink something.
        with pytest.raises(OSError, match="No space left"):
            fill(gateway.seen / "rest")
        loads[1].ask(gateway.port, requests=100)
        ballast.unlink()
        loads[2].ask(gateway.port, requests=20)
        assert dropped(gateway) == sum(len(load.unsaid) for load in loads)
        shutil.copytree(gateway.seen, tmp_path / "copy")
    assert [load.statuses for load in loads] == [{200: 600}, {200: 100}, {200: 20}]
    assert not any(load.wrong for load in loads)
    assert loads[2].unsaid == set()
    lost = missing(tmp_path / "copy", *loads)
    figure(
        "said to be logged but missing, a full disk of 3 MB",
        f"{len(lost)} of {sum(len(load.said) for load in loads):,} "
        f"({sum(len(load.unsaid) for load in loads):,} told as lost, 720 of 720 answered)",
    )
    assert lost == set()
    assert rows(tmp_path / "copy") == sum(len(load.said) for load in loads)
    intact(tmp_path / "copy")
