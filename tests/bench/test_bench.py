"""The instruments tell the truth: what is counted was sent, and CPU time and memory are those of the whole tree."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from proxy.config.settings import CacheSettings
from proxy.stores.cache.diskcache import cache_store
from proxy.stores.log.reader import Reader
from proxy.stores.retention import keeping
from tests.bench import failover, log, native, retention, scale, subject
from tests.bench.client import Connection, get, post
from tests.bench.generator import read
from tests.bench.load import MODEL, NUMBER, Job, quantile, run
from tests.bench.measure import Case, Measurement
from tests.bench.process import cpu_seconds, resident
from tests.bench.report import UPSTREAM
from tests.bench.server import BenchError, Server
from tests.bench.start import plain
from tests.bench.subject import Subject
from tests.bench.upstream import CHUNKS, ENDING

KINDS = [
    pytest.param(True, id="c", marks=pytest.mark.skipif(native.compiler() is None, reason="no C compiler")),
    pytest.param(False, id="python"),
]


@pytest.fixture(scope="module", params=KINDS)
def in_c(request: pytest.FixtureRequest) -> bool:
    """Whether the upstream and the generator are those in C."""
    found: bool = request.param
    return found


@pytest.fixture(scope="module")
def upstream(in_c: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with subject.upstream(tmp_path_factory.mktemp("bench"), in_c=in_c) as server:
        yield server.wait(10)


def _job(server: Server, case: str = "miss", **fields: int | float | str) -> Job:
    ask = subject.direct(server).asks[case]
    given = {"port": server.port, "path": ask.path, "body": ask.body, "expect": ask.expect, "session": server.pid}
    return Job(**{**given, "chunks": ask.chunks, **fields})  # type: ignore[arg-type]


def _asked(server: Server) -> int:
    return int(server.get("/")[1])


@pytest.mark.parametrize("case", ["miss", "unpaced"])
@pytest.mark.parametrize("connections", [1, 7])
def test_the_load_sends_exactly_what_it_counts(upstream: Server, in_c: bool, case: str, connections: int) -> None:
    before = _asked(upstream)
    result = run(_job(upstream, case, connections=connections, requests=50), generator_in_c=in_c)
    assert result.failure == ""
    assert result.requests == 50 == _asked(upstream) - before
    assert result.chunks == (50 * CHUNKS if case == "unpaced" else 0)
    assert 0 < result.first_p50 <= result.p50 <= result.p99 <= result.seconds


def test_the_load_stops_in_time_and_counts_every_request(upstream: Server, in_c: bool) -> None:
    before = _asked(upstream)
    result = run(_job(upstream, connections=4, seconds=0.3), generator_in_c=in_c)
    assert result.requests == _asked(upstream) - before > 100
    assert 0.3 <= result.seconds < 1.5


def test_a_rate_is_kept_and_requests_count_from_when_they_were_due(upstream: Server, in_c: bool) -> None:
    result = run(_job(upstream, connections=3, rate=50, seconds=0.5), generator_in_c=in_c)
    assert result.failure == ""
    assert 20 <= result.requests <= 25
    assert result.seconds >= 0.45
    late = run(_job(upstream, "paced", connections=1, rate=50, seconds=0.2), generator_in_c=in_c)
    assert late.p99 > 0.9  # one connection, and each answer takes a second


def test_pieces_come_at_their_pace_and_tell_when_they_were_sent(upstream: Server, in_c: bool) -> None:
    result = run(_job(upstream, "paced", connections=2, requests=2), generator_in_c=in_c)
    assert result.failure == ""
    assert 0.97 <= result.p50 < 3.0  # 100 pieces, 100 a second
    assert 0 < result.chunk_p50 <= result.chunk_p99 < 0.5
    assert 0 < result.first_p50 < 0.5


def test_a_stream_that_lacks_pieces_ends_the_load_as_a_failure(upstream: Server, in_c: bool) -> None:
    result = run(_job(upstream, "unpaced", chunks=2 * CHUNKS, requests=1), generator_in_c=in_c)
    assert result.failure.startswith(f"answered {CHUNKS} pieces of {2 * CHUNKS}")


def test_an_unexpected_answer_ends_the_load_as_a_failure(upstream: Server, in_c: bool) -> None:
    result = run(_job(upstream, expect="something else", seconds=5.0), generator_in_c=in_c)
    assert result.failure.startswith("answered 200")
    assert result.requests == 1


def test_a_load_on_nobody_is_a_failure(upstream: Server) -> None:
    if native.compiler() is None:
        pytest.skip("the generator in Python ends with an error of its own")
    result = run(_job(upstream, port=9, requests=1))
    assert result.failure.startswith("cannot connect")


def test_a_job_arrives_as_it_was_given() -> None:
    job = Job(1, "/path", f"body {NUMBER}", "expected", 0, 2, 0.5, 3, 4, 5, 6, 7, 8, (("x-name", "value"),))
    found, request = read(io.BytesIO(job.written()))
    assert found == replace(job, path="", body="", headers=())
    assert request == post("/path", job.body.encode(), [("x-name", "value")])
    assert b"x-name: value\r\n" in request


ECHO_SCRIPT = (
    "import http.server as h, sys\n"
    "class E(h.BaseHTTPRequestHandler):\n"
    "    protocol_version = 'HTTP/1.1'\n"
    "    def do_GET(self): self.reply(b'')\n"
    "    def do_POST(self): self.reply(self.rfile.read(int(self.headers['content-length'])))\n"
    "    def reply(self, body):\n"
    "        print(body.decode(), flush=True); self.send_response(200)\n"
    "        self.send_header('content-length', str(len(body))); self.end_headers(); self.wfile.write(body)\n"
    "h.HTTPServer(('127.0.0.1', int(sys.argv[1])), E).serve_forever()\n"
)


def test_requests_and_models_are_numbered_anew_after_so_many(tmp_path: Path, in_c: bool) -> None:
    """A server that writes down what it was asked."""
    log = tmp_path / "echo.log"
    with Server("an echo", [sys.executable, "-c", ECHO_SCRIPT, "{port}"], log=log, ready="/") as server:
        server.wait(10)
        job = Job(
            server.port, "/", f"ask {NUMBER} {MODEL}", "ask", server.pid, requests=5, first=40, distinct=3, models=2
        )  # fmt: skip
        assert run(job, generator_in_c=in_c).failure == ""
    asked = [line.split()[1:] for line in log.read_text().splitlines() if line.startswith("ask")]
    assert [(int(number), int(model)) for number, model in asked] == [(40, 0), (41, 1), (42, 0), (40, 0), (41, 1)]


async def test_a_stream_arrives_whole_and_piece_by_piece(upstream: Server) -> None:
    connection = await Connection.open(upstream.port)
    ask = subject.direct(upstream).asks["unpaced"]
    answer = await connection.ask(post(ask.path, ask.body.encode()))
    assert answer.status == 200
    assert answer.body.count(b'"content"') == CHUNKS
    assert ENDING.encode() in answer.body
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert answer.started < answer.first < answer.ended
    assert (await connection.ask(get("/"))).status == 200
    connection.close()


async def test_both_upstreams_answer_alike(tmp_path: Path) -> None:
    if native.compiler() is None:
        pytest.skip("no C compiler")
    answers = []
    for in_c in (True, False):
        with subject.upstream(tmp_path, in_c=in_c) as server:
            connection = await Connection.open(server.wait(10).port)
            asks = subject.direct(server).asks
            found = [
                await connection.ask(post(asks[case].path, asks[case].body.encode())) for case in ("miss", "paced")
            ]
            connection.close()
        bodies = [re.sub(rb"@\d{19}", b"@", answer.body).replace(b"data: ", b"") for answer in found]
        answers.append([[json.loads(line) for line in body.splitlines() if line[:1] == b"{"] for body in bodies])
    assert answers[0] == answers[1]
    assert len(answers[0][1]) == CHUNKS + 2


SPIN = "import time\nend = time.process_time() + {seconds}\nwhile time.process_time() < end: pass\n"


def test_cpu_seconds_and_memory_are_those_of_the_whole_tree() -> None:
    """A leader that has waited for one busy child while another, orphaned by a parent that ended, is still alive."""
    orphan = SPIN.format(seconds=0.2) + "hold = bytearray(64 * 2**20)\nprint('spun', flush=True)\ntime.sleep(60)"
    parent = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {orphan!r}])\n" + SPIN.format(
        seconds=0.3
    )
    leader = (
        f"import subprocess, sys, time\nsubprocess.run([sys.executable, '-c', {parent!r}])\n"
        + SPIN.format(seconds=0.1)
        + "print('spun', flush=True)\ntime.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", leader], stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout is not None
        assert [process.stdout.readline(), process.stdout.readline()] == [b"spun\n", b"spun\n"]
        before = cpu_seconds(process.pid)
        assert 0.57 <= before < 2.0  # three interpreters have started, too
        time.sleep(0.2)
        assert cpu_seconds(process.pid) - before < 0.1
        assert resident(process.pid) > 64 * 2**20
    finally:
        os.killpg(process.pid, 9)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


HIT = Case("hit", "hit", "hit", (1,))


def _measured(upstream: Server, other: Subject, own: str) -> Measurement:
    measurement = Measurement(upstream, [subject.direct(upstream), other], seconds=0.05, most=5, own=[own])
    measurement.round([HIT])
    return measurement


def test_a_round_refuses_a_server_that_does_not_cache(upstream: Server) -> None:
    with pytest.raises(BenchError, match="calls for .* requests of 'hit'"):
        _measured(upstream, Subject("other", upstream, subject.openai()), own="other")


def test_a_peer_that_fails_is_left_out_with_its_words(upstream: Server) -> None:
    asks = {"hit": subject.openai()["hit"], "miss": replace(subject.openai()["miss"], expect="nothing like it")}
    measurement = _measured(upstream, Subject("other", upstream, asks), own="none")
    assert measurement.figures() == []
    assert measurement.skipped["other, hit"].startswith("the upstream answered 200")


def test_a_peer_is_not_asked_by_more_clients_than_it_bears(upstream: Server) -> None:
    other = Subject("other", upstream, subject.openai(), most=2, bound="its pool")
    measurement = Measurement(upstream, [subject.direct(upstream), other], seconds=0.05, most=5, own=[])
    measurement.round([Case("miss", "miss", "miss", (2, 3))])
    assert [(figure.connections, figure.subject) for figure in measurement.figures()] == [
        (2, UPSTREAM), (2, "other"), (3, UPSTREAM),
    ]  # fmt: skip
    assert measurement.skipped == {"other, 3 clients": "its pool"}


def test_a_server_that_does_not_come_up_is_refused_with_its_last_words(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "raise SystemExit('no such thing')"]
    with (
        Server("it", argv, log=tmp_path / "log", ready="/") as server,
        pytest.raises(BenchError, match="ended before it was ready(.|\n)*no such thing"),
    ):
        server.wait(10)


def test_nothing_outlives_a_server_that_is_stopped(tmp_path: Path) -> None:
    child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    leader = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    with Server("it", [sys.executable, "-c", leader], log=tmp_path / "log", ready="/") as server:
        deadline = time.monotonic() + 10
        while len(_members(server.pid)) < 2:
            assert time.monotonic() < deadline
    while _members(server.pid):
        assert time.monotonic() < deadline


def _members(session: int) -> list[str]:
    members = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(stat[3]) == session and stat[0] != "Z":
            members.append(name)
    return members


def test_a_server_that_chooses_its_port_announces_it(tmp_path: Path) -> None:
    """In its log, where an earlier start of it has announced another."""
    log = tmp_path / "log"
    log.write_text("at http://127.0.0.1:9/\n")
    script = (
        "import http.server as h\n"
        "server = h.HTTPServer(('127.0.0.1', 0), h.SimpleHTTPRequestHandler)\n"
        "print(f'at http://127.0.0.1:{server.server_port}/', flush=True)\nserver.serve_forever()\n"
    )
    argv = [sys.executable, "-c", script]
    with Server("it", argv, log=log, ready="/nothing", status=404, announced=r"at http://127.0.0.1:(\d+)/") as server:
        server.wait(10)
        assert server.port not in (0, 9)


def test_starts_are_timed_from_exec(tmp_path: Path) -> None:
    start = plain(lambda: subject.upstream(tmp_path), subject.direct, 1)
    assert 0 < start.port <= start.ready <= start.answered < 10


def test_a_stock_is_made_once_and_holds_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "FOLDER", tmp_path)
    entries, rows = scale.stock("entries", 300, scale.fill_entries), scale.stock("rows", 300, scale.fill_rows)
    cache = cache_store(entries / "data", CacheSettings())

    async def held() -> int:
        found = int((await cache.stats())["entries"])
        await cache.close()
        return found

    assert asyncio.run(held()) == 300
    with closing(sqlite3.connect(rows / "data/traces.db")) as connection:
        assert connection.execute("SELECT count(*) FROM traces").fetchone() == (300,)
    (entries / "mark").touch()
    assert (scale.stock("entries", 300, scale.fill_entries) / "mark").exists()


def test_a_log_is_measured_as_it_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With few rows; what is asked for must be there, or the question would be another one."""
    for name, little in (("ACCEPTED", 64), ("LOOPS", 16), ("TURNS", (1, 4)), ("ASKED", 1), ("MODELS", {"model-0": 1})):
        monkeypatch.setattr(log, name, little)
    monkeypatch.setattr(scale, "FOLDER", tmp_path)
    monkeypatch.setattr(keeping, "INTERVAL", 0.5)
    monkeypatch.setattr(retention, "SECONDS", 1.0)
    found = log.measure(tmp_path / "log", 600)
    assert found.accepted > 0
    assert [turns for turns, _ in found.sizes] == [1, 4]
    reader = Reader(scale.stock("log", 600, log.fill) / "data/traces.db")
    asked = log.questions(reader)
    assert [one.what for one in found.questions] == list(asked)
    assert found.retention is not None
    assert 200 < found.retention.removed < 400, "the older half"
    assert all(one.rows > 10 for one in found.retention.waited)
    assert not (tmp_path / "log/kept").exists()
    assert len(asked["a tree"](0)) > 1  # type: ignore[arg-type]
    assert len(asked["a session"](0)) > 1  # type: ignore[arg-type]
    assert asked["of a common model"](0).after  # type: ignore[attr-defined]
    assert reader.rows() == 600
    reader.close()
    assert [row.trace_id for row in islice(log.rows(), 50)] == [row.trace_id for row in islice(log.rows(), 50)]


def test_quantiles_are_nearest_ranks() -> None:
    assert quantile([1.0], 0.99) == 1.0
    assert quantile([float(number) for number in range(100)], 0.5) == 50.0
    assert quantile([float(number) for number in range(100)], 0.99) == 99.0


@pytest.mark.parametrize(("behaviour", "statuses"), [("healthy", [200, 200]), ("half", [500, 200]), ("dead", [0, 0])])
def test_an_upstream_fails_as_it_was_told_and_counts(tmp_path: Path, behaviour: str, statuses: list[int]) -> None:
    argv = [sys.executable, "-m", "tests.bench.flaky", "{port}", behaviour]
    with Server("it", argv, log=tmp_path / "log", ready="/") as upstream:
        upstream.wait(20)
        assert [upstream.post("/v1/chat/completions", failover.BODY, {})[0] for _ in statuses] == statuses
        assert upstream.get("/") == (200, b"2")
