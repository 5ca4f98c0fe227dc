"""What `doctor` looks at, one finding for each, in the order in which they are told."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from proxy import timestamps
from proxy.commands import load
from proxy.config import Config
from proxy.errors import ConfigError
from proxy.stores import checkup
from proxy.stores.keyfile import KEY_SIZE
from proxy.stores.schema.database import WAL_LIMIT

if TYPE_CHECKING:
    from proxy.commands.doctor.secrets import Search

PATIENCE = 10.0
"""Seconds for each check that reads a database, unless all is to be looked at."""

LITTLE, TOO_LITTLE = 2**30, 64 * 2**20
"""Bytes that are free on the disk."""

AHEAD = timedelta(minutes=5)
"""How far a row may be in the future: clients have clocks of their own."""

TOLD = 3


@dataclass(slots=True, frozen=True)
class Finding:
    """How one thing is, in a sentence, and what to do about it where it is not well."""

    name: str
    state: Literal["ok", "warn", "fail"]
    said: str
    fix: str = ""

    def told(self) -> dict[str, str]:
        return asdict(self)


Check = Callable[[Path, bool], Iterator[Finding]]


def findings(path: Path | None, data: Path, *, full: bool) -> list[Finding]:
    """Everything about the config at `path` and the folder `data`."""
    config, told = _config(path)
    if not data.is_dir():
        fix = "parea-proxy serve makes it; --data (PAREA_PROXY_DATA) says where it is"
        return [told, Finding("data folder", "warn", f"{data}: there is none", fix)]
    found = [told, _running(data)]
    checks: dict[str, Check] = {
        "permissions": _private,
        "disk": _room,
        "trace log": partial(_integrity, "trace log", Path("traces.db")),
        "cache": partial(_integrity, "cache", Path("cache/cache.db")),
        "schema": _schema,
        "WAL": _wal,
        "clock": _clock,
        "cache seals": _cache,
        "left over": _left_over,
        "secrets": partial(_secrets, config),
    }
    for name, check in checks.items():
        found += _guarded(name, check, data, full)
    return found


def _guarded(name: str, check: Check, data: Path, full: bool) -> list[Finding]:
    """What a check finds; that it cannot be made is a finding, too."""
    try:
        return list(check(data, full))
    except sqlite3.Error as error:
        damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
        fix = "restore a backup, or start the gateway: it moves the file aside and begins an empty one" * damaged
        return [Finding(name, "fail", f"cannot be read: {error}", fix or "look at the permissions, and try again")]
    except OSError as error:
        return [Finding(name, "fail", f"{error.filename}: {error.strerror}", "look at the permissions of the folder")]


def _config(path: Path | None) -> tuple[Config, Finding]:
    try:
        config = load(path)
    except ConfigError as error:
        return Config(), Finding("config", "fail", error.message.replace("\n ", ""), "parea-proxy check tells more")
    exposed = [one for one in config.files if _open_to(one) & 0o022]
    if exposed:
        fix = f"chmod go-w {' '.join(map(str, exposed))}"
        return config, Finding("config", "fail", f"{config.name}: others may change it", fix)
    keys = [one for one in config.warnings if one.kind == "key"]
    if keys:
        said = f"{config.name} is valid, with {len(keys)} warning{'s' * (len(keys) > 1)}"
        return config, Finding("config", "warn", said, "parea-proxy check tells them")
    return config, Finding("config", "ok", f"{config.name} is valid")


def _running(data: Path) -> Finding:
    if pids := checkup.holders(data / "board"):
        return Finding("gateway", "ok", f"process {', '.join(map(str, pids))}")
    # one that could not make its board serves all the same
    if pid := checkup.opener(data / "traces.db"):
        said = f"process {pid} has the trace log open: a gateway without a board, or somebody who reads"
        return Finding("gateway", "warn", said, f"ps -p {pid} tells which")
    if pids is None:
        return Finding("gateway", "warn", "cannot be told: its board is not whole", "ps tells, or start one with room")
    return Finding("gateway", "ok", "none runs on this folder")


def _open_to(path: Path) -> int:
    """What a file's mode lets others than its owner do; nothing where there is none."""
    try:
        return stat.S_IMODE(path.stat().st_mode) & 0o077
    except OSError:
        return 0


def _private(data: Path, full: bool) -> Iterator[Finding]:
    own, links, others = [], [], []
    for path in [data, *data.rglob("*")]:
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(found.st_mode) and path != data:
            links.append(path)
        elif stat.S_IMODE(found.st_mode) & 0o077:
            own.append(path)
        if hasattr(os, "getuid") and found.st_uid != os.getuid():
            others.append(path)
    closed = not _open_to(data)
    if own:
        # behind a closed door nobody comes to a file that is open
        state: Literal["warn", "fail"] = "warn" if closed else "fail"
        yield Finding("permissions", state, f"open to others: {_named(own, data)}", f"chmod -R go-rwx {data}")
    if others:
        yield Finding("permissions", "warn", f"somebody else's: {_named(others, data)}", f"chown -R $USER {data}")
    if links:
        fix = "put the file itself there: what a link leads to is not looked at"
        yield Finding("permissions", "warn", f"links: {_named(links, data)}", fix)
    if not own and not others and not links:
        yield Finding("permissions", "ok", f"{data} and all in it are its owner's alone")


def _named(paths: list[Path], data: Path) -> str:
    names = [str(path.relative_to(data)) for path in paths[:TOLD]]
    return ", ".join(names) + (f" and {len(paths) - TOLD} more" if len(paths) > TOLD else "")


def _room(data: Path, full: bool) -> Iterator[Finding]:
    free = shutil.disk_usage(data).free
    state: Literal["ok", "warn", "fail"] = "ok" if free >= LITTLE else "warn" if free >= TOO_LITTLE else "fail"
    fix = "make room: rows that cannot be written are dropped; parea-proxy cache clear empties the cache"
    yield Finding("disk", state, f"{free / 2**20:,.0f} MiB are free", "" if state == "ok" else fix)


def _integrity(name: str, file: Path, data: Path, full: bool) -> Iterator[Finding]:
    path = data / file
    if not path.exists():
        yield Finding(name, "ok", "there is none yet")
        return
    wrong, whole = checkup.damage(path, full=full, until=float("inf") if full else time.monotonic() + PATIENCE)
    if wrong:
        copied = f"sqlite3 {path} .recover > rows.sql saves what can be; then restore a backup"
        fix = copied if name == "trace log" else "parea-proxy cache clear"
        yield Finding(name, "fail", f"damaged: {'; '.join(wrong)}".replace("\n", " "), fix)
    elif not whole:
        yield Finding(name, "warn", f"looked at for {PATIENCE:.0f} s, not all of it", "doctor --full")
    else:
        yield Finding(name, "ok", f"sound, {path.stat().st_size / 2**20:,.1f} MiB")


def _schema(data: Path, full: bool) -> Iterator[Finding]:
    path = data / "traces.db"
    if not path.exists():
        return
    try:
        begun = checkup.begun(path)
    except ConfigError:
        fix = "choose another data folder with --data, or put the file elsewhere"
        yield Finding("schema", "fail", f"{path.name} is a database of another program, and no trace log", fix)
        return
    if not begun:
        yield Finding("schema", "warn", f"{path.name} is empty", "the next start of the gateway makes the log in it")
        return
    found = checkup.schema(path)
    if found.unknown:
        fix = "upgrade the gateway, or choose another folder with --data"
        yield Finding("schema", "fail", f"of a newer version ({', '.join(found.unknown)})", fix)
    elif found.lacking:
        fix = "restore a backup: somebody has removed them"
        yield Finding("schema", "fail", f"without {', '.join(found.lacking)}", fix)
    elif found.behind:
        fix = "the next start of the gateway takes them"
        yield Finding("schema", "warn", f"older: steps not taken: {', '.join(found.behind)}", fix)
    else:
        own = f"; not the gateway's: {', '.join(found.foreign)}" if found.foreign else ""
        yield Finding("schema", "ok", f"of this version{own}")


def _wal(data: Path, full: bool) -> Iterator[Finding]:
    for path in (data / "traces.db-wal", data / "cache" / "cache.db-wal"):
        size = path.stat().st_size if path.exists() else 0
        said = f"{path.name} has {size / 2**20:,.1f} MiB"
        if size > WAL_LIMIT:
            fix = "end what reads the file in one long transaction; it is cut off soon afterwards"
            yield Finding("WAL", "warn", said, fix)
        elif size:
            yield Finding("WAL", "ok", said)


def _clock(data: Path, full: bool) -> Iterator[Finding]:
    path = data / "traces.db"
    with contextlib.suppress(ConfigError):  # which the schema tells
        if path.exists() and checkup.begun(path):
            yield _ahead(path)


def _ahead(path: Path) -> Finding:
    ahead = checkup.later(path, timestamps.text(datetime.now(UTC) + AHEAD))
    if ahead:
        fix = "look at this machine's clock, and at those of the clients that log rows of their own"
        return Finding("clock", "warn", f"{ahead} rows began in the future", fix)
    return Finding("clock", "ok", "no row began in the future")


def _cache(data: Path, full: bool) -> Iterator[Finding]:
    folder, key = data / "cache", data / "cache.key"
    if not (folder / "cache.db").exists():
        return
    secret = key.read_bytes() if key.exists() else b""
    if len(secret) != KEY_SIZE:
        fix = "parea-proxy cache clear: without its key no entry is read"
        yield Finding("cache seals", "fail", "cache.key is not there, or is none", fix)
        return
    found = checkup.cached(folder, secret, float("inf") if full else time.monotonic() + PATIENCE)
    wrong = [f"{found.refused} are not sealed by this gateway"] if found.refused else []
    wrong += [f"{found.lost} name a file that is not there"] if found.lost else []
    if wrong:
        fix = "parea-proxy cache clear; they are never answered with. Ask who else writes into this folder"
        yield Finding("cache seals", "fail", f"of {found.entries} entries {', '.join(wrong)}", fix)
    elif not found.whole:
        yield Finding(
            "cache seals", "warn", f"{found.entries} entries hold, and not all were looked at", "doctor --full"
        )
    else:
        yield Finding("cache seals", "ok", f"{found.entries} entries, all sealed")
    if found.strays:
        fix = "parea-proxy cache clear removes them"
        yield Finding(
            "cache files", "warn", f"{len(found.strays)} files are of no entry, such as {found.strays[0]}", fix
        )


def _left_over(data: Path, full: bool) -> Iterator[Finding]:
    """What was moved aside, and drafts of files that a process was killed over."""
    aside = [one for one in data.iterdir() if ".damaged" in one.name]
    drafts = [one for one in data.iterdir() if one.name.startswith(".") and one.stat().st_mtime < time.time() - 60]
    if aside:
        fix = "look at what can be saved, then remove them: they hold rows, or answers"
        yield Finding("left over", "warn", f"moved aside as damaged: {_named(aside, data)}", fix)
    if drafts:
        yield Finding("left over", "warn", f"drafts of a killed process: {_named(drafts, data)}", "remove them")
    if not aside and not drafts:
        yield Finding("left over", "ok", "nothing is left over")


def _secrets(config: Config, data: Path, full: bool) -> Iterator[Finding]:
    """Keys in rows: those of the config, which must never be there, and what looks like one."""
    from proxy.commands.doctor.secrets import search

    if not (data / "traces.db").exists():
        return
    found: Search = search(config, data / "traces.db", float("inf") if full else time.monotonic() + PATIENCE)
    for kind, state, fix in (
        ("keys of the config", "fail", "replace them where they were given out, and remove the rows"),
        ("what looks like a key", "warn", "log.redact: [keys] keeps it out; remove the rows, and replace what is real"),
    ):
        places = found.places[kind]
        if places:
            columns = Counter(f"{one.table}.{one.column}" for one in places)
            where = "; ".join(f"{one.table} {one.id}, {one.column}" for one in places[:TOLD])
            said = f"{kind} in {found.counts[kind]:,} texts ({', '.join(columns)}): {where}"
            yield Finding("secrets", "fail" if state == "fail" else "warn", said, fix)
    if not found.whole:
        yield Finding("secrets", "warn", f"{found.texts:,} texts looked through, and not all", "doctor --full")
    elif not any(found.counts.values()):
        yield Finding("secrets", "ok", f"none in {found.texts:,} texts")
