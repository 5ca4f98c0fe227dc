"""The trace log by itself: how fast rows go in, how large they are, and what a question costs when there are many.

Rows go in as the gateway puts them, a turn of the event loop each; a file of a million rows like those of a team that
has used the gateway for three months is asked what the command line, `/admin` and Parea's API ask. The file is made by
the gateway's own store, once for each version of it, and kept in .bench.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median

import uvloop

from proxy import timestamps
from proxy.config.settings import LogSettings
from proxy.protocols import TraceQuery
from proxy.record import Record
from proxy.selection import Selection
from proxy.stores.index.adding import add
from proxy.stores.index.indexer import index, prepare
from proxy.stores.log.reader import Reader
from proxy.stores.log.sqlite import trace_log
from tests.bench import retention, scale
from tests.bench.language import said, vocabulary
from tests.bench.measure import say
from tests.bench.retention import Retention

ACCEPTED = 50_000
"""Rows whose way in is timed."""

AT_ONCE = 16
"""Rows of one turn of the loop: as many clients."""

TURNS = (1, 16, 64)
LOOPS = 2048
"""Rows of each file whose size is taken."""

ASKED = 20
"""How often a question is asked, for `PATIENCE` seconds in all, but three times at least."""

PATIENCE = 4.0
WEEK = timestamps.at(1_795_176_000 - 7 * 86400)
END = 1_795_176_000.0  # 2026-11-20 12:00 UTC
DAYS = 90
RARE = "zymurgy"
"""A word that is in one text of a hundred thousand; the language has no y."""

Messages = list[dict[str, str | None]]
MODELS = {f"model-{n}": 100 // (n + 1) for n in range(11)} | {"model-rare": 0.3}


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked of so many rows, and how long it took, in milliseconds."""

    what: str
    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class Log:
    """Rows a second (and by the CPU's second) on their way in; bytes of a turn by the turns of its loop; questions to a
    file of `rows` rows, which has so many bytes a row.
    """

    accepted: float
    accepted_cpu: float
    sizes: Sequence[tuple[int, float]]
    rows: int
    row_bytes: float
    questions: Sequence[Question]
    retention: Retention | None = None

    def question(self, what: str) -> Question | None:
        return next((one for one in self.questions if one.what == what), None)


def measure(folder: Path, many: int) -> Log:
    """All of it; the files of a run are in `folder`, that with `many` rows is kept."""
    folder.mkdir(parents=True)
    accepted, cpu = uvloop.run(_accepted(folder / "in", min(many, ACCEPTED)))
    say(f"{accepted:,.0f} rows/s, {cpu:,.0f} rows a CPU second")
    sizes = [(turns, uvloop.run(_size(folder / f"loop-{turns}", turns))) for turns in TURNS]
    path = scale.stock("log", many, fill) / "data" / "traces.db"
    reader = Reader(path)
    found = [_timed(what, ask) for what, ask in questions(reader).items()]
    reader.close()
    kept = retention.measure(folder / "kept", path, DAYS / 2, END)
    return Log(accepted, cpu, sizes, many, path.stat().st_size / many, found, kept)


def rows(seed: int = 1) -> Iterator[Record]:
    """Rows as a team leaves them in three months, the earliest first, without end: single calls, agents of 1 to 4
    levels, chats whose conversations grow.
    """
    dice = random.Random(seed)
    number = 0
    while True:
        number += 1
        yield from _tree(dice, number)


async def fill(data: Path, count: int) -> None:
    """A log of `count` rows, spread over three months, of which the search index has all and the sums all but the
    latest.
    """
    log = trace_log(data, LogSettings())
    made = islice(rows(), count)
    place = 0
    while batch := list(islice(made, scale.BATCH)):
        for one in batch:
            _date(one, END - DAYS * 86400 * (1 - place / count))
            place += 1
        assert all(await asyncio.gather(*map(log.append, batch))), "a row was not stored"
    await log.close()
    with closing(sqlite3.connect(data / "traces.db", isolation_level=None)) as connection:
        prepare(connection)
        began = time.process_time()
        while index(connection, all=True):
            continue
        say(f"search index: {1e6 * (time.process_time() - began) / count:.0f} us of CPU a row")
        began = time.process_time()
        while add(connection):
            continue
        say(f"sums: {1e6 * (time.process_time() - began) / count:.1f} us of CPU a row")


def _date(row: Record, at: float) -> None:
    row.start_timestamp, row.end_timestamp = timestamps.at(at), timestamps.at(at + (row.latency or 0.0))


def _text(dice: random.Random, typical: int) -> str:
    count = max(3, min(2000, int(dice.lognormvariate(0, 0.8) * typical / 6)))
    rare = f" {RARE}" if dice.random() < 1e-5 else ""
    return said(dice, count) + rare


def _tree(dice: random.Random, number: int) -> Iterator[Record]:
    """A tree: a call by itself, or an agent with calls and tools below it, in a loop whose conversation grows."""
    root = f"tree-{number:09d}"
    # A session has some ten trees: chats that are gone on with.
    session = f"session-{number // 10:08d}" if number % 10 < 4 else None
    common = {"project_name": f"project-{min(int(dice.expovariate(0.7)), 7)}", "session_id": session}
    messages: Messages = [{"role": "system", "content": "You answer questions of customers. " * 20}]
    messages.append({"role": "user", "content": _text(dice, 400)})
    if dice.random() < 0.6:
        yield _call(dice, root, root, None, messages, common)
        return
    yield Record(root, root, name="agent", latency=9.0, status="success", inputs={"task": "answer"}, **common)  # type: ignore[arg-type]
    above = root
    for turn in range(min(40, 1 + int(dice.expovariate(0.25)))):
        call = _call(dice, f"{root}-{turn}", root, above, messages, common)
        yield call
        tool = _text(dice, 200)
        yield Record(
            f"{root}-{turn}-t", root, call.trace_id, session, name="tool", inputs={"query": tool[:40]}, output=tool,
            status="error" if dice.random() < 0.02 else "success", latency=0.2, project_name=common["project_name"],
        )  # fmt: skip
        messages = [*messages, {"role": "assistant", "content": call.output}, {"role": "user", "content": tool}]
        above = root if turn % 3 else call.trace_id  # one level, two, or three below the top


def _call(dice: random.Random, id: str, root: str, above: str | None, messages: Messages, common: object) -> Record:
    (model,) = dice.choices(list(MODELS), list(MODELS.values()))
    deployed = dice.random()
    failed, hit = dice.random() < 0.02, dice.random() < 0.15
    given, made = sum(len(str(one["content"])) for one in messages) // 4, dice.randrange(10, 400)
    assert isinstance(common, dict)
    return Record(
        id, root, above, name="llm-openai", provider="openai", model=model,
        deployment_id="p-rare" if deployed < 0.001 else "p-weather" if deployed < 0.2 else None,
        deployment_version="v1" if deployed < 0.2 else None, end_user=f"user-{dice.randrange(2000)}",
        metadata={"team": dice.choice(["red", "blue", "green"])}, key=f"key-{dice.randrange(5)}",
        configuration={"model": model, "provider": "openai", "model_params": {"temp": 0.5}, "messages": messages},
        output=None if failed else _text(dice, 500), error="the provider is overloaded" if failed else None,
        input_tokens=given, output_tokens=made, total_tokens=given + made, cost=(given + 4 * made) * 1e-6,
        latency=0.0005 if hit else dice.lognormvariate(0, 0.6), time_to_first_token=None if hit else 0.3,
        status="error" if failed else "success", cache_hit=hit,
        notes={"dialect": "openai", "cache": "hit" if hit else "miss", "finish_reason": "stop"}, **common,
    )  # fmt: skip


async def _accepted(data: Path, count: int) -> tuple[float, float]:
    """Rows that are committed in a second, and in a CPU's second, by as many clients as wait for theirs at a time."""
    log = trace_log(data, LogSettings())
    made = list(islice(rows(2), count))
    for row in made:
        _date(row, END)
    began, spent = time.perf_counter(), time.process_time()
    for start in range(0, count, AT_ONCE):
        assert all(await asyncio.gather(*map(log.append, made[start : start + AT_ONCE])))
    took, cpu = time.perf_counter() - began, time.process_time() - spent
    await log.close()
    return count / took, count / cpu


async def _size(data: Path, turns: int) -> float:
    """Bytes of the file for each turn of loops of so many, each with a question and an answer of 500 characters."""
    log = trace_log(data, LogSettings())
    dice = random.Random(turns)
    for loop in range(max(1, LOOPS // turns)):
        messages: list[dict[str, str]] = []
        for turn in range(turns):
            text = "".join(dice.choices("abcdefghij klmnopqrst", k=500))
            messages = [*messages, {"role": "user", "content": text}]
            row = Record(
                f"{loop}-{turn}", f"{loop}", provider="openai", model="bench", start_timestamp=timestamps.at(END),
                configuration={"model": "bench", "messages": messages}, output=text[:400], status="success",
            )  # fmt: skip
            assert await log.append(row)
            messages = [*messages, {"role": "assistant", "content": text[::-1]}]
    await log.close()
    return (data / "traces.db").stat().st_size / (turns * max(1, LOOPS // turns))


def questions(reader: Reader) -> dict[str, Callable[[int], object]]:
    """What is asked; each gets the number of the time, so that it asks for another one each time."""
    total = reader.rows() or 0
    deep = reader.page(Selection(where=f"t.rowid <= {total // 2}"), None, 1).after
    trees = [row.root_trace_id for row in reader.page(Selection(where="parent_trace_id is not null"), deep, 50).records]
    sessions = [row.session_id for row in reader.page(Selection(where="session_id is not null"), deep, 50).records]

    def listed(**asked: str) -> Callable[[int], object]:
        return lambda _: reader.page(Selection(**asked), None, 50)  # type: ignore[arg-type]

    return {
        "first page": listed(),
        "first page of trees": listed(rows="tops"),
        "a page in the middle": lambda _: reader.page(Selection(), deep, 50),
        "of a common model": listed(model="model-0"),
        "of a rare model": listed(model="model-rare"),
        "of a model that is not there": listed(model="model-none"),
        "that failed": listed(status="error"),
        "of a project": listed(project="project-5"),
        "of a common deployment": listed(where="deployment_id = 'p-weather'"),
        "of a rare deployment": listed(where="deployment_id = 'p-rare'"),
        "search for a common word": listed(search=vocabulary()[0][0]),
        "search for a rare word": listed(search=RARE),
        "search for words that are rare together": listed(search=" ".join(vocabulary()[0][200:1000:200])),
        "a session": lambda turn: reader.members(sessions[turn % len(sessions)] or ""),
        "a tree": lambda turn: reader.members(trees[turn % len(trees)]),
        "stats by model": lambda _: reader.figures(Selection(), "model", 20, seconds=60),
        "stats by model, 7 days": lambda _: reader.figures(Selection(since=WEEK), "model", 20, seconds=60),
        "spend_daily": lambda _: list(reader.ask("SELECT * FROM spend_daily", seconds=60)),
        "spend_daily, 7 days": lambda _: list(
            reader.ask(f"SELECT * FROM spend_daily WHERE day >= '{WEEK[:10]}'", seconds=60)
        ),
        "Parea's get_trace_logs": lambda _: reader.search(TraceQuery(page_size=20)),
    }


def _timed(what: str, ask: Callable[[int], object]) -> Question:
    took: list[float] = []
    until = time.perf_counter() + PATIENCE
    while len(took) < ASKED and (len(took) < 3 or time.perf_counter() < until):
        began = time.perf_counter()
        ask(len(took))
        took.append(1000 * (time.perf_counter() - began))
    took.sort()
    found = Question(what, median(took), took[min(len(took) - 1, int(0.99 * len(took)))])
    say(f"{what:32}{found.p50:10.1f} ms{found.p99:10.1f} ms")
    return found
