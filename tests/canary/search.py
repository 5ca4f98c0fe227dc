"""The search for what must be nowhere: every file of a gateway's data folder, what it printed, and what it told.

A canary begins with `MARK`, so where no form of `MARK` is (those of `doctor --canary`), there is none. Its characters
are such that JSON, URLs and Python's `repr` leave them alone. What may be kept begins with `KEPT` instead, and is
found: the search can find.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from proxy.app import PAREA
from proxy.needles import forms
from tests.faults.plugin import Figure
from tests.gateway import Process, rows

MARK = "canary0zQ7xWv"
KEPT = "kept0mD3yTn"
MASTER = f"{MARK}-master-key"
JSON = {"content-type": "application/json"}
numbers = itertools.count()


@dataclass
class Search:
    """What was sent and what came back, and the count of what was searched for it."""

    canaries: set[str] = field(default_factory=set)
    secrets: set[str] = field(default_factory=set)
    """Keys that cannot begin with `MARK`; each is searched for by itself."""
    found: set[bytes] = field(default_factory=set)
    """What was found before; only the test that leaks is to fail."""
    told: list[tuple[str, bytes]] = field(default_factory=list)
    """Headers of every answer and bodies of failures, by case, that were not searched yet."""
    cases: int = 0
    searches: int = 0
    size: int = 0

    def marked(self, label: str, mark: str = MARK) -> str:
        text = f"{mark}-{label}-{next(numbers)}"
        if mark == MARK:
            self.canaries.add(text)
        return text

    def note(self, case: str, response: httpx.Response) -> None:
        """Keep what must hold no canary: always the headers, the body if it tells of a failure."""
        self.cases += 1
        headers = b"".join(name + b": " + value + b"\n" for name, value in response.headers.raw)
        self.told.append((f"headers of {case}", headers))
        if response.status_code >= 400 or b'"status":"error"' in response.content:
            self.told.append((f"failure of {case}", response.content))

    def heard(self, case: str, told: bytes) -> None:
        """Keep what else must hold no canary."""
        self.told.append((case, told))

    def channels(self, gateway: Process) -> Iterator[tuple[str, bytes]]:
        for path in sorted(gateway.data.rglob("*")):
            # SQLite and the cache may take a file away while it is looked for
            with contextlib.suppress(FileNotFoundError):
                if path.is_file():
                    yield str(path.relative_to(gateway.data)), path.read_bytes()
        yield "stdout and stderr", gateway.output.read_bytes()
        yield from self.told

    def leaks(self, gateway: Process) -> list[str]:
        """Every place where a canary or a secret is now and was not before, with its surroundings."""
        needles = [form for text in (MARK, *self.secrets) for form in forms(text)]
        pattern = re.compile(b"|".join(map(re.escape, needles)))
        leaks = []
        for channel, data in self.channels(gateway):
            self.searches += len(self.canaries) + len(self.secrets)
            self.size += len(data)
            if not any(needle in data for needle in needles):
                continue
            for match in pattern.finditer(data):
                at, end = match.span()
                if (text := data[at : end + 24]) not in self.found:
                    self.found.add(text)
                    leaks.append(f"{channel}: {data[max(0, at - 60) : end + 60]!r}")
        self.told.clear()
        return leaks

    def begin(self) -> None:
        """Count from nothing: every file of tests has gateways of its own."""
        self.canaries.clear()
        self.secrets.clear()
        self.found.clear()
        self.told.clear()
        self.cases = self.searches = self.size = 0

    def __str__(self) -> str:
        return (
            f"{len(self.found)} of {self.searches:,} searches find one ({len(self.canaries)} canaries, "
            f"{self.cases} cases, {self.size / 2**20:,.0f} MiB searched)"
        )


search = Search()
client = httpx.Client(verify=False, timeout=30)
"""Without what costs most about a client, the certificates: there are thousands of requests here."""


def keyed() -> dict[str, str]:
    """Headers with the gateway's key, and a key in every other place that a client may put one."""
    return JSON | {
        "x-api-key": MASTER,
        "x-user-id": search.marked("x-user-id"),
        "authorization": f"Bearer {search.marked('bearer')}",
        "api-key": search.marked("api-key"),
        "cookie": f"session={search.marked('cookie')}",
    }


def row_of(gateway: Process, trace_id: str) -> dict[str, Any]:
    """The row of a call, once it is there: nobody waits for that of a client that has left."""
    end = time.monotonic() + 5
    while not (found := rows(gateway.data, "trace_id = ?", trace_id)) and time.monotonic() < end:
        time.sleep(0.01)
    return found[0]


def cached(gateway: Process, text: str) -> bool:
    """Whether `text` comes to stand in the cache: an answer does not wait for the cache's disk."""
    end = time.monotonic() + 5
    while not (
        found := any(text.encode() in data for name, data in search.channels(gateway) if name.startswith("cache"))
    ):
        if time.monotonic() > end:
            break
        time.sleep(0.01)
    return found


def send(
    gateway: Process,
    case: str,
    path: str,
    body: Any,
    headers: dict[str, str] | None = None,
    *,
    patience: float = 30,
) -> httpx.Response | None:
    """The answer to a completion; of one that is cut, or that the client leaves, as much as came, or None."""
    parts: list[bytes] = []
    given = keyed() | (headers or {})
    try:
        with client.stream("POST", gateway.url + path, json=body, headers=given, timeout=patience) as response:
            parts.extend(response.iter_raw())
    except (httpx.RemoteProtocolError, httpx.ReadTimeout):
        if not parts:
            return None
    answered = httpx.Response(response.status_code, headers=response.headers, content=b"".join(parts))
    search.note(case, answered)
    return answered


def post(
    gateway: Process, case: str, body: dict[str, Any], *, stream: bool = False, patience: float = 30
) -> httpx.Response | None:
    """The same for Parea's completions."""
    path = "/completion/stream" if stream else "/completion"
    return send(gateway, case, PAREA + path, body, patience=patience)


def finish(gateways: Mapping[str, Process], capsys: pytest.CaptureFixture[str], title: str, figure: Figure) -> None:
    """Search once more with the gateways stopped and everything flushed, and tell the count."""
    for gateway in gateways.values():
        gateway.__exit__(None, None, None)
        assert search.leaks(gateway) == []
    with capsys.disabled():
        print(f"\ncanary, {title}: {search}")
    figure(f"canaries, {title}", str(search))
    assert search.searches > 0
