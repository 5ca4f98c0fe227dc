"""What counts as a change of a file, and when."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.watch import UNREAD, Stamp, Watch, read_since, stamps


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "config.yaml"
    file.write_text("a: 1")
    return file


def in_place(file: Path) -> None:
    """Of the same length, and with the times of before, as `cp -p` and `rsync -t` leave them."""
    before = file.stat()
    file.write_text("a: 2")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def renamed(file: Path) -> None:
    other = file.with_name("new")
    other.write_text("a: 1")
    other.replace(file)


def deleted(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize("change", [in_place, renamed, deleted])
def test_a_look_sees(change: Callable[[Path], None], file: Path) -> None:
    before = stamps([file])
    assert stamps([file]) == before
    time.sleep(0.01)  # the clock of file systems ticks a few times in this
    change(file)
    assert stamps([file]) != before


def test_a_link_that_leads_elsewhere(tmp_path: Path) -> None:
    """As Kubernetes brings a new version of what is mounted: all files at once, by one link in the middle."""
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "config.yaml").write_text(version)
    (tmp_path / "..data").symlink_to("one")
    file = tmp_path / "config.yaml"
    file.symlink_to("..data/config.yaml")
    before = stamps([file, tmp_path])
    (tmp_path / "..new").symlink_to("two")
    (tmp_path / "..new").replace(tmp_path / "..data")
    now = stamps([file, tmp_path])
    assert now[file] != before[file]
    assert now[tmp_path] != before[tmp_path]


def test_a_folder_is_its_files(tmp_path: Path, file: Path) -> None:
    before = stamps([tmp_path])
    (tmp_path / ".config.yaml.swp").write_text("an editor's own")
    assert stamps([tmp_path]) == before
    added = tmp_path / "b.yaml"
    added.write_text("b")
    with_b = stamps([tmp_path])
    assert with_b != before
    renamed(added)
    assert stamps([tmp_path]) != with_b
    added.unlink()
    assert stamps([tmp_path]) == before


def test_what_was_not_looked_at_before_it_was_read(tmp_path: Path, file: Path) -> None:
    """A file that an included one brought: it counts as changed where it may be another now."""
    now = time.time()
    os.utime(file, (now - 9, now - 9))
    looked = stamps([file])
    assert read_since([file], {}, time.time() + 9) == looked
    assert read_since([file], {}, now - 60)[file] == UNREAD
    assert read_since([file], looked, now - 60) == looked


def playing(seen: list[str]) -> Watch:
    """A watch whose looks see these, one after the other."""
    watched = Watch(every=0, still=0, look=lambda paths: {path: of(seen.pop(0)) for path in paths})
    watched.follow({Path("config.yaml"): of("read")})
    return watched


def of(content: str) -> Stamp:
    return ((content, 0, 0, 0, 0, 0),)


async def test_what_is_still_being_written_waits() -> None:
    seen = ["read", "half", "more", "half", "whole", "whole", "never"]
    assert await playing(seen).changed()
    assert seen == ["never"]


async def test_a_change_that_is_taken_back_is_none() -> None:
    seen = ["half", "read", "half", "read", "whole", "whole", "never"]
    assert await playing(seen).changed()
    assert seen == ["never"]


async def test_patience_ends(file: Path) -> None:
    watched = Watch(every=0.01)
    watched.follow(stamps([file]))
    assert not await watched.changed(0.02)
