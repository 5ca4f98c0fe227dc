"""Does a request cost the same when there is much of everything: cached answers, rows, model names, streams at once?

Two servers that differ in one thing are asked the same, in interleaved rounds. The million cached answers and the
million rows are made by the gateway's own stores, once for each version of them, and kept in .bench.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import uvloop

from proxy.config.settings import CacheSettings, LogSettings
from proxy.record import Record
from proxy.stores.cache.diskcache import cache_store
from proxy.stores.log.sqlite import trace_log
from tests.bench import subject
from tests.bench.environment import FOLDER
from tests.bench.load import Job, run
from tests.bench.measure import say
from tests.bench.server import ROOT, Server
from tests.bench.subject import PACES, Ask
from tests.bench.upstream import CHUNKS, WHOLE

MANY = 1_000_000
MODELS = 1000
STREAMS = 500
CLIENTS = 16

ROOMY = 20 * 2**30
"""Bytes that a million answers do not reach."""

BATCH = 2000
PATH = "/api/parea/v1/completion"


@dataclass(frozen=True, slots=True)
class Scale:
    """CPU in microseconds of a request (of a piece, for streams) when there is little and when there is much."""

    what: str
    case: str
    little: str
    much: str
    little_cpu: float
    much_cpu: float

    @property
    def ratio(self) -> float:
        return self.much_cpu / self.little_cpu


class Comparison:
    """The servers, and what they were found to cost."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._costs: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._filled: set[tuple[str, int]] = set()

    def cost(self, key: str, case: str) -> float:
        return median(self._costs[key, case])

    def hits(self, key: str, server: Server, model: str, distinct: int, models: int = 1) -> None:
        body = subject.parea(model)
        job = self._job(server, Ask(PATH, body, '"cache_hit":true'), models)
        if (key, distinct) not in self._filled:
            self._run(server, replace(job, expect=Ask("", "").expect, requests=distinct, seconds=0.0))
            self._filled.add((key, distinct))
        self._keep(key, f"hit of {distinct}", server, replace(job, distinct=distinct))

    def misses(self, key: str, server: Server, model: str, models: int = 1) -> None:
        job = self._job(server, Ask(PATH, subject.parea(model)), models)
        self._keep(key, "miss", server, replace(job, first=time.time_ns()))

    def streams(self, key: str, server: Server, count: int) -> None:
        body = subject.parea(question=subject.paced(PACES["unpaced"]))
        job = self._job(server, Ask(f"{PATH}/stream", body, chunks=CHUNKS), 1)
        self._keep(key, "stream", server, replace(job, first=time.time_ns(), connections=count), pieces=CHUNKS)

    def _job(self, server: Server, ask: Ask, models: int) -> Job:
        return Job(
            server.port, ask.path, ask.body, ask.expect, server.pid, CLIENTS, seconds=self._seconds, models=models,
            chunks=ask.chunks,
        )  # fmt: skip

    def _keep(self, key: str, case: str, server: Server, job: Job, pieces: int = 1) -> None:
        requests, cpu = self._run(server, job)
        cost = 1e6 * cpu / requests / pieces
        self._costs[key, case].append(cost)
        say(f"{case:12} {key:28}{cost:9.1f} CPU us")

    def _run(self, server: Server, job: Job) -> tuple[int, float]:
        result = run(job)
        if result.failure or not result.requests:
            raise server.broken(result.failure or "answered nothing")
        return result.requests, result.cpu


def measure(folder: Path, upstream: Server, rounds: int, seconds: float, many: int) -> list[Scale]:
    """All comparisons, with `many` entries and rows."""
    entries, rows = stock("entries", many, fill_entries), stock("rows", many, fill_rows)
    one, wide = folder / "few", folder / "models"
    for made in (one, wide):
        made.mkdir(parents=True)
    with ExitStack() as stack:

        def serve(where: Path, models: int = 0) -> Server:
            return stack.enter_context(subject.gateway_server(where, upstream.port, models=models))

        few, full, long, named = serve(one), serve(entries), serve(rows), serve(wide, MODELS)
        for server in (few, full, long, named):
            server.wait()
        compared = Comparison(seconds)
        for _ in range(rounds):  # nothing is added to the ten entries before these are through
            for key, server in (("few", few), ("entries", full), ("rows", long)):
                compared.hits(key, server, "bench", 10)
        for _ in range(rounds):
            compared.hits("few", few, "bench", MODELS)
            compared.hits("models", named, subject.numbered_models(), MODELS, MODELS)
            for key, server in (("few", few), ("entries", full), ("rows", long)):
                compared.misses(key, server, "bench")
            compared.misses("models", named, subject.numbered_models(), MODELS)
            compared.streams("1 stream", few, 1)
            compared.streams(f"{STREAMS} streams", few, STREAMS)
    return _found(compared, many)


def _found(compared: Comparison, many: int) -> list[Scale]:
    def scale(what: str, case: str, little: tuple[str, str], much: tuple[str, str], measured: str = "") -> Scale:
        (few, label), (key, large) = little, much
        name = measured or case
        return Scale(what, case, label, large, compared.cost(few, name), compared.cost(key, name))

    return [
        scale("cached answers", "hit", ("few", "10"), ("entries", f"{many:,}"), "hit of 10"),
        scale("cached answers", "miss", ("few", "few"), ("entries", f"{many:,}")),
        scale("rows", "hit", ("few", "few"), ("rows", f"{many:,}"), "hit of 10"),
        scale("rows", "miss", ("few", "few"), ("rows", f"{many:,}")),
        scale("model names", "hit", ("few", "1"), ("models", f"{MODELS:,}"), f"hit of {MODELS}"),
        scale("model names", "miss", ("few", "1"), ("models", f"{MODELS:,}")),
        scale("streams at once", "stream", ("1 stream", "1"), (f"{STREAMS} streams", f"{STREAMS}")),
    ]


def stock(kind: str, count: int, fill: Callable[[Path, int], Coroutine[None, None, None]]) -> Path:
    """The folder with `count` of something, which `fill` puts into its `data`, made if it is not there."""
    stores = sorted((ROOT / "proxy/stores").glob("*.py")) + [
        ROOT / "proxy/record.py",
        ROOT / "proxy/middleware/entry.py",
    ]
    version = hashlib.blake2b(b"".join(path.read_bytes() for path in stores), digest_size=6).hexdigest()
    folder = FOLDER / "stock" / f"{kind}-{count}-{version}"
    if not folder.exists():
        for old in folder.parent.glob(f"{kind}-{count}-*"):
            shutil.rmtree(old)
        with _draft(folder) as draft:
            say(f"making {count:,} {kind} (once, in .bench/stock)")
            uvloop.run(fill(draft / "data", count))
    return folder


@contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    """A folder that becomes `folder` once it is complete."""
    draft = folder.with_name(folder.name + ".draft")
    shutil.rmtree(draft, ignore_errors=True)
    (draft / "data").mkdir(parents=True, mode=0o700)
    yield draft
    draft.rename(folder)


async def fill_entries(data: Path, count: int) -> None:
    store = cache_store(data, CacheSettings(max_size=ROOMY))
    for begin in range(0, count, BATCH):
        numbers = range(begin, min(begin + BATCH, count))
        await asyncio.gather(
            *(store.set(hashlib.blake2b(b"%d" % one, digest_size=32).digest(), WHOLE) for one in numbers)
        )
    await store.close()


async def fill_rows(data: Path, count: int) -> None:
    store = trace_log(data, LogSettings())
    messages = [{"role": "user", "content": subject.QUESTION}]
    for begin in range(0, count, BATCH):
        kept = [
            store.append(
                Record(
                    trace_id=f"row-{number:09d}", root_trace_id=f"row-{number:09d}", provider="openai", model="bench",
                    configuration={"model": "bench", "messages": messages}, output="an answer " * 60, input_tokens=42,
                    output_tokens=CHUNKS, start_timestamp="2026-01-01T00:00:00.000000+00:00", status="success",
                )
            )
            for number in range(begin, min(begin + BATCH, count))
        ]  # fmt: skip
        assert all(await asyncio.gather(*kept)), "a row was not stored"
    await store.close()
