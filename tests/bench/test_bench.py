"""The instruments tell the truth: what is counted was sent, and CPU time and memory are those of the whole tree."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import subject
from tests.bench.client import Connection, get, post
from tests.bench.load import NUMBER, Job, quantile, run
from tests.bench.measure import Figure, Measurement
from tests.bench.process import cpu_seconds, resident
from tests.bench.server import BenchError, Server
from tests.bench.start import Start, plain
from tests.bench.table import Report, aligned
from tests.bench.upstream import CHUNKS, ENDING


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with subject.upstream(tmp_path_factory.mktemp("bench")) as server:
        yield server.wait(10)


def _job(server: Server, case: str = "miss", **fields: int | float | str) -> Job:
    ask = subject.direct(server).asks[case]
    given = {"port": server.port, "path": ask.path, "body": ask.body, "expect": ask.expect, "session": server.pid}
    return Job(**{**given, **fields})  # type: ignore[arg-type]


def _asked(server: Server) -> int:
    return int(server.get("/")[1])


@pytest.mark.parametrize("case", ["miss", "stream"])
@pytest.mark.parametrize("connections", [1, 7])
def test_the_load_sends_exactly_what_it_counts(upstream: Server, case: str, connections: int) -> None:
    before = _asked(upstream)
    result = run(_job(upstream, case, connections=connections, requests=50))
    assert result.failure == ""
    assert result.requests == 50 == _asked(upstream) - before
    assert 0 < result.first_p50 <= result.p50 <= result.p99 <= result.seconds


def test_the_load_stops_in_time_and_counts_every_request(upstream: Server) -> None:
    before = _asked(upstream)
    result = run(_job(upstream, connections=4, seconds=0.3))
    assert result.requests == _asked(upstream) - before > 100
    assert 0.3 <= result.seconds < 1.5


def test_an_unexpected_answer_ends_the_load_as_a_failure(upstream: Server) -> None:
    result = run(_job(upstream, expect="something else", seconds=5.0))
    assert result.failure.startswith("answered 200")
    assert result.requests == 1


def test_requests_are_numbered_anew_after_so_many_distinct_ones(tmp_path: Path) -> None:
    """A server that answers with what it was asked, so that the last number can be expected."""
    script = (
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
    log = tmp_path / "echo.log"
    with Server("an echo", [sys.executable, "-c", script, "{port}"], log=log, ready="/") as server:
        server.wait(10)
        result = run(Job(server.port, "/", f"ask {NUMBER}", "ask", server.pid, requests=5, first=40, distinct=3))
        assert result.failure == ""
    asked = [int(line.split()[1]) for line in log.read_text().splitlines() if line.startswith("ask")]
    assert asked == [40, 41, 42, 40, 41]


async def test_a_stream_arrives_whole_and_piece_by_piece(upstream: Server) -> None:
    connection = await Connection.open(upstream.port)
    ask = subject.direct(upstream).asks["stream"]
    answer = await connection.ask(post(ask.path, ask.body.encode()))
    assert answer.status == 200
    assert answer.body.count(b'"content"') == CHUNKS
    assert ENDING.encode() in answer.body
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert answer.started < answer.first < answer.ended
    assert (await connection.ask(get("/"))).status == 200
    connection.close()


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


def test_a_round_refuses_a_server_that_does_not_cache(upstream: Server, tmp_path: Path) -> None:
    with subject.upstream(tmp_path) as other:
        subjects = [subject.direct(upstream), subject.litellm(other.wait(10))]
        measurement = Measurement(upstream, subjects, seconds=0.05)
        with pytest.raises(BenchError, match="calls for"):
            measurement.round(["miss"])


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


def test_starts_are_timed_from_exec(tmp_path: Path) -> None:
    start = plain(lambda: subject.upstream(tmp_path), 1)
    assert 0.03 < start.health < 10


def _figure(subject: str, cpu: float, case: str = "hit", connections: int = 1) -> Figure:
    return Figure(case, connections, subject, 100, 1000.0, 1.0, 2.0, 0.9, 1.8, 0.9, cpu, 0.5)


def test_the_targets_are_judged_by_the_weakest_figure() -> None:
    figures = [
        _figure("gateway", 0.1),
        _figure("LiteLLM", 4.5),
        _figure("gateway", 0.1, connections=32),
        _figure("LiteLLM", 3.5, connections=32),
    ]
    hit, miss, health, cached, stalled = Report(figures, {"gateway": Start(0.3, 0.7)}, {}, []).targets()
    assert (hit.met, hit.measured) == (False, "1/45.0, 1/35.0")
    assert miss.met is None
    assert health.met is True
    assert cached.met is False
    assert stalled.met is None


def test_the_table_tells_ratios_of_the_same_case_only() -> None:
    figures = [_figure("gateway", 0.1), _figure("LiteLLM", 4.5), _figure("gateway", 3.0, "miss")]
    first, second, third = str(Report(figures, {}, {}, [])).splitlines()[1:4]
    assert first.endswith("1.0x  1/45.0")
    assert "x" not in second
    assert "1/" not in third


def test_quantiles_are_nearest_ranks() -> None:
    assert quantile([1.0], 0.99) == 1.0
    assert quantile([float(number) for number in range(100)], 0.5) == 50.0
    assert quantile([float(number) for number in range(100)], 0.99) == 99.0


def test_columns_are_aligned() -> None:
    assert aligned([["", "b"], ["aaa", "1"], ["b", "22"]]) == "      b\naaa   1\nb    22"
