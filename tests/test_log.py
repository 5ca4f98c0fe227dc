"""`parea-proxy log`: each verb as its users run it, on logs of a few rows and of twenty thousand."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import pty
import select
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from proxy import timestamps
from proxy.cli import main
from proxy.commands.log.show import WIDTH, bar
from proxy.commands.log.stats import sparkline
from proxy.record import Record
from proxy.stores.index import finding
from proxy.stores.log import listing
from proxy.stores.log.sqlite import SQLiteLog
from tests.gateway import rows as on_disk

ROOT = Path(__file__).parents[1]
NOON = 1795176000.0  # 2026-11-20 12:00 UTC
MANY = 20_000


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, utc: None) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PAREA_PROXY_DATA", "data")
    monkeypatch.setenv("HOME", str(tmp_path))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["log", *arguments], prog_name="parea-proxy")


def lines(*arguments: str) -> list[str]:
    found = run(*arguments)
    assert found.exit_code == 0, found.output
    return found.stdout.splitlines()


def ids(*arguments: str) -> str:
    found = run(*arguments, "--json")
    assert found.exit_code == 0, found.output
    return " ".join(row["trace_id"] for row in json.loads(found.stdout))


def refused(*arguments: str) -> str:
    """The one line in which a command is refused."""
    found = run(*arguments)
    assert (found.exit_code, found.stdout) == (2, ""), found.output
    (line,) = found.stderr.splitlines()
    return line


def store(*records: Record, folder: str = "data") -> None:
    async def write() -> None:
        log = SQLiteLog(Path(folder) / "traces.db")
        waiting = []
        for record in records:
            waiting.append(log.append(record))
            if len(waiting) == 1000:
                assert all(await asyncio.gather(*waiting))
                waiting.clear()
        assert all(await asyncio.gather(*waiting))
        await log.close()

    Path(folder).mkdir(exist_ok=True)
    asyncio.run(write())


def record(trace_id: str, second: float = 0, **fields: Any) -> Record:
    return Record(trace_id, **{"root_trace_id": trace_id, "start_timestamp": timestamps.at(NOON + second), **fields})


SAID = [{"role": "system", "content": "Be\x1b[2J terse"}, {"role": "user", "content": "Hi"}]
AGENT = (
    record("agent-1", name="agent", latency=4.0, status="success"),
    record(
        "call-1",
        1,
        root_trace_id="agent-1",
        parent_trace_id="agent-1",
        name="llm-openai",
        model="gpt-4o",
        project_name="demo",
        latency=2.0,
        cost=0.25,
        total_tokens=7,
        metadata={"team": "red"},
        status="success",
        configuration={
            "messages": [{"role": "system", "content": "Be\x1b[2J terse"}, {"role": "user", "content": "Hi"}]
        },
        output="Hello\nthere",
        scores=[{"name": "quality", "score": 0.5}],
        notes={"attempts": [{"target": "a", "ended": "timeout", "status": 504, "seconds": 1.0}]},
    ),
    record("tool-1", 3, root_trace_id="agent-1", parent_trace_id="call-1", name="tool", status="error", error="boom"),
)


def test_every_row_is_listed_newest_first() -> None:
    store(*AGENT)
    assert ids() == "tool-1 call-1 agent-1"
    assert ids("--limit", "1") == "tool-1"
    assert ids("--tops") == "agent-1"
    assert ids("--status", "error") == "tool-1"
    assert ids("--model", "gpt%", "--project", "demo", "--since", "2026-11-20") == "call-1"
    assert ids("--search", "THERE") == "call-1"
    assert ids("--where", "latency > 1 and cost is null") == "agent-1"
    assert ids("--since", "2026-11-21") == ""
    assert lines() == [
        "trace    started (UTC)        name        model   latency  cost       tokens  status",
        "tool-1   2026-11-20 12:00:03  tool        -       -        -          -       error",
        "call-1   2026-11-20 12:00:01  llm-openai  gpt-4o  2.000 s  $0.250000  7       success",
        "agent-1  2026-11-20 12:00:00  agent       -       4.000 s  -          -       success",
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--where", "nope = 1"], "where: is no condition on a row: no such column: nope"),
        (["--where", "1) or (1"], "where: is no condition on a row: "),
        (["--since", "soon"], "since: should be a time ago, such as 2h"),
        (["stats", "--by", "nothing"], "by: nothing to group by; one of day, hour"),
        (["stats", "--by", "metadata.taem"], 'by: no row has metadata.taem; did you mean "metadata.team"?'),
        (["stats", "--by", "notes.far-off"], "by: no row has notes.far-off"),
        (["--where", "costs > 1"], 'where: is no condition on a row: no such column: costs; did you mean "cost"?'),
        (["sql", "select t.modle from traces t"], 'no such column: t.modle; did you mean "model"?'),
        (["sql", "select 1 from trace"], 'no such table: trace; did you mean "traces"?'),
        (["sql", "delete from traces"], "the log can only be read"),
        (["sql", "selec 1"], 'near "selec": syntax error'),
        (["show", "nothing"], "there is no trace 'nothing': parea-proxy log lists them"),
        (["show", ""], "there is no trace ''"),
        (["export", "--output", "no/such/folder"], "--output no/such/folder: cannot be written: No such file"),
        (["--data", "elsewhere"], "there is no trace log at elsewhere/traces.db yet"),
        (["tail", "--data", "elsewhere"], "there is no trace log at elsewhere/traces.db yet"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(arguments: list[str], told: str) -> None:
    store(*AGENT)
    assert refused(*arguments).startswith(told)


@pytest.fixture
def zone(utc: None) -> Iterator[Callable[[str], None]]:
    """Moves this machine into a zone."""
    with pytest.MonkeyPatch.context() as patch:

        def move(name: str) -> None:
            patch.setenv("TZ", name)
            time.tzset()

        yield move


def test_a_time_that_is_read_off_the_table_finds_its_row(
    monkeypatch: pytest.MonkeyPatch, zone: Callable[[str], None]
) -> None:
    store(*AGENT)
    zone("Asia/Tokyo")
    head, first, second, _ = lines()
    assert head.startswith("trace    started (JST)")
    assert "2026-11-20 21:00:01" in second
    for since in ("2026-11-20T21:00:01", "2026-11-20 21:00:01", "2026-11-20T12:00:01Z", "2026-11-20T13:00:01+01:00"):
        assert ids("--since", since) == "tool-1 call-1"
    assert ids("--since", "2026-11-21") == "\n".join(lines("export", "--since", "2026-11-20T21:00:04")) == ""
    assert lines("stats", "--by", "hour")[0].startswith("hour (UTC)")
    assert lines("stats", "--by", "hour")[1].startswith("2026-11-20T12:00")
    monkeypatch.setattr(listing, "MANY", 2)
    assert run("stats").stderr.startswith("since 2026-11-13 21:00 JST, of 3 rows")


@pytest.mark.parametrize(
    ("name", "told"), [("Europe/Berlin", "CET/CEST"), ("America/Sao_Paulo", "-03"), ("UTC", "UTC")]
)
def test_the_zone_is_told_with_its_summer_time(zone: Callable[[str], None], name: str, told: str) -> None:
    store(*AGENT)
    zone(name)
    assert f"started ({told}) " in lines()[0]


def test_options_go_behind_the_verb() -> None:
    found = run("--limit", "2", "stats")
    assert found.exit_code == 2
    assert "options go behind the verb: parea-proxy log stats ..." in found.stderr


def test_one_is_shown_with_its_tree_and_all_that_was_said() -> None:
    store(*AGENT)
    head, *tree = lines("show", "ag")[:4]
    assert head.split() == ["name", "when", "model", "latency", "cost", "tokens", "status", "trace"]
    places = [(line[: head.index("when")].rstrip(), line.index("\u2501"), line.count("\u2501")) for line in tree]
    (_, begin, _) = places[0]
    assert places == [
        ("agent", begin, WIDTH),
        ("\u2514\u2500\u2500 llm-openai", begin + WIDTH // 4, WIDTH // 2),
        ("    \u2514\u2500\u2500 tool", begin + WIDTH * 3 // 4, 1),
    ]
    assert lines("show", "call-1")[4:] == [
        *["system", "Be\N{REPLACEMENT CHARACTER}[2J terse", "", "user", "Hi", "", "output", "Hello", "there", ""],
        *["scores", "quality: 0.5", "", "attempts", "1. a  timeout (504)  1.0 s"],
    ]
    assert lines("show", "tool")[-2:] == ["error", "boom"]
    assert [one["trace_id"] for one in json.loads(run("show", "call", "--json").stdout)] == ["call-1", "tool-1"]


def test_a_replay_of_days_later_leaves_the_bars_as_they_were() -> None:
    """It is told how much later it ran; shown by itself it has a bar like any other row."""
    late: dict[str, Any] = {"parent_trace_id": "call-1", "root_trace_id": "agent-1", "notes": {"replay": {"number": 1}}}
    store(*AGENT)
    before = lines("show", "agent-1")
    store(record("again-1", 2 * 86400 + 3600, **late), record("again-2", 100 * 60, **late))
    after = lines("show", "agent-1")
    bars = ["".join(one for one in line if one in " \u2501").strip() for line in (*before, *after)]
    assert [one for one in bars[len(before) :] if one] == [one for one in bars[: len(before)] if one]
    assert [line.partition("replay, ")[2][:4].rstrip() for line in after if "replay, " in line] == ["+2 h", "+2 d"]
    assert lines("show", "again-1")[1].count("\u2501") == WIDTH


def test_the_beginning_of_several_ids_is_told() -> None:
    store(*AGENT, record("agent-2"))
    assert refused("show", "agent") == "several ids begin with 'agent': agent-1, agent-2 ..."


def test_a_session_and_a_circle_are_shown_whole() -> None:
    store(
        record("b", root_trace_id="t", parent_trace_id="c", session_id="talk", name="b"),
        record("c", root_trace_id="t", parent_trace_id="b", session_id="talk", name="c"),
        record("d", root_trace_id="t", parent_trace_id="gone", session_id="talk", name="d"),
    )
    assert [line.partition("   ")[0] if line[0] != "\u2502" else line[:9] for line in lines("show", "talk")[1:]] == [
        *["talk  no row of its own", "\u251c\u2500\u2500 b", "\u2502   \u2514\u2500\u2500 c", "\u2514\u2500\u2500 d"]
    ]


def test_names_are_whole_however_deep_they_stand() -> None:
    chain = [record(f"r{place}", parent_trace_id=f"r{place - 1}" if place else None) for place in range(150)]
    store(*(dataclasses.replace(one, root_trace_id="r0", name=f"<{one.trace_id}>") for one in chain))
    shown = lines("show", "r0")[1:]
    assert [line.split("  \u2501")[0].split()[-1] for line in shown] == [f"<r{place}>" for place in range(150)]
    assert shown[-1].startswith("\u2026 109 \u2026 ")


def test_a_call_of_a_deployment_is_compared_with_its_version() -> None:
    Path("config.yaml").write_text(
        "deployments: {p: {version: v7, messages: [{role: system, content: Be terse.}, {role: user, content: Hi}]}}"
    )
    said = [{"role": "system", "content": "Be terse."}, {"role": "user", "content": "Good day"}]
    for trace_id, version in (("a", "v7"), ("b", "v6")):
        store(record(trace_id, deployment_id="p", deployment_version=version, configuration={"messages": said}))
    shown = lines("show", "a")
    assert shown[shown.index("beside deployment p, version v7") + 1 :] == [
        *["--- p@v1", "+++ a", "@@ -1,4 +1,4 @@", " system:", "   Be terse.", " user:", "-  Hi", "+  Good day"]
    ]
    assert "-  Hi" in json.loads(run("show", "a", "--json").stdout)[0]["deployment_diff"]
    assert not any("beside" in line for line in lines("show", "b"))


def test_questions_in_sql() -> None:
    store(*AGENT)
    assert lines("sql", "select name, cost from traces where cost > 0") == ["name        cost", "llm-openai  0.25"]
    assert json.loads(run("sql", "select trace_id as id, x'00' as b from traces limit 1", "--json").stdout) == [
        {"id": "agent-1", "b": "00"}
    ]
    assert run("sql", "select '-1' as a, -1 as b", "--csv").stdout == '"a","b"\n"\'-1",-1\n'
    assert run("sql", "select 1 where 0", "--json").stdout == "[]\n"
    told = run("sql", "select 1 as a, 2 as a, 3 as a, 9e999 as b", "--json").stdout
    assert json.loads(told, parse_constant=pytest.fail) == [{"a": 1, "a:1": 2, "a:2": 3, "b": None}]
    assert "not a number" in run("sql", "select 1", "--timeout", "nan").stderr
    assert lines("sql", "select output from traces where output is not null")[1].count("\n") == 0
    wide = ", ".join(f"'{'x' * 300}' as c{place}" for place in range(20))
    assert [len(line) for line in lines("sql", f"select {wide}")] == [19 * 62 + 3, 20 * 300 + 19 * 2]
    endless = "with recursive n(i) as (values (1) union all select i from n) select count(*) from n"
    assert refused("sql", endless, "--timeout", "0.1") == "stopped after 0.1 s: ask for less, or allow more time"


def test_a_search_that_is_stopped_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    store(*(Record(f"t{n}", f"t{n}", output=f"said {n} " + "word " * 50) for n in range(20_000)))
    with closing(sqlite3.connect("data/traces.db", isolation_level=None)) as connection:
        connection.execute("DELETE FROM blocks")
    monkeypatch.setattr(finding, "READ", 0)  # what is too much to be read beforehand is read by a function
    assert refused("--search", "absent", "--timeout", "0.05") == (
        "stopped after 0.05 s: 20,000 rows have no search index yet; a running gateway makes it in some minutes; ask"
        " again then, narrow it with since, or allow more time"
    )
    assert ids("--search", "absent", "--timeout", "60") == ""


def test_what_is_imported_is_indexed_as_far_as_a_gateway_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.stores.index.indexer.SPAN", 50)
    monkeypatch.setattr("proxy.stores.index.indexer.REST", 60.0)
    Path("rows.jsonl").write_text(
        "".join(json.dumps({"trace_id": f"t{n}", "root_trace_id": f"t{n}", "output": "x"}) + "\n" for n in range(120))
    )
    lines("import", "rows.jsonl")
    with closing(sqlite3.connect("data/traces.db")) as connection:
        assert connection.execute("SELECT first, last FROM blocks WHERE made").fetchall() == [(1, 50), (51, 100)]


def test_figures() -> None:
    store(*AGENT)
    head, *rows = lines("stats", "--by", "model")
    assert head.split()[:3] == ["model", "calls", "errors"]
    assert [row.split()[:4] for row in rows] == [["-", "2", "1", "0%"], ["gpt-4o", "1", "0", "0%"]]
    (found,) = json.loads(run("stats", "--json", "--model", "gpt-4o").stdout)
    assert (found["calls"], found["cost"], found["latency"]["p99"], found["hit_rate"]) == (1, 0.25, 2.0, 0.0)
    assert "course" not in lines("stats", "--by", "day")[0]
    assert lines("stats", "--by", "metadata.team", "--status", "error")[1].split()[:2] == ["-", "1"]


def test_of_many_rows_the_last_days_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    week = 7 * 86400
    store(record("new", week), record("edge", 0), record("old", -1), record("none", start_timestamp=""))
    assert json.loads(run("stats", "--json").stdout)[0]["calls"] == 4
    monkeypatch.setattr(listing, "MANY", 3)
    found = run("stats", "--json")
    assert json.loads(found.stdout)[0]["calls"] == 2
    assert found.stderr == "since 2026-11-20 12:00 UTC, of 4 rows; --since all adds up all of them\n"
    for since, calls in (("all", 4), ("2026-11-20T11:59:59", 3)):
        asked = run("stats", "--json", "--since", since)
        assert (json.loads(asked.stdout)[0]["calls"], asked.stderr) == (calls, "")


def test_bars() -> None:
    assert sparkline([0, 1, 4, 8]) == " \u2581\u2584\u2588"
    assert sparkline([0, 1, 1000]) == " \u2581\u2588"
    assert bar((0, 0), 0, 10).index("\u2501") == 0
    assert bar((10, 10), 0, 10).index("\u2501") == WIDTH - 1
    assert bar(None, 0, 0) == ""


@pytest.mark.parametrize("form", ["jsonl", "parea"])
def test_what_is_exported_is_imported_as_it_was_and_twice_is_once(form: str) -> None:
    said = {
        "metadata": {"=x": "\u2028"},
        "tags": ["a"],
        "input_tokens": 1,
        "extra": {"own": 1},
        "notes": {"stream": True},
    }
    store(*AGENT, record("full", 9, end_timestamp=timestamps.at(NOON), deployment_version="v2", **said))
    assert lines("export", "--format", form, "--output", "out") == []
    assert stat.S_IMODE(Path("out").stat().st_mode) == 0o600
    was = "4 rows were there already, and nothing of them is changed: --replace does that"
    for told in (["4 rows imported from out, 1 of them failed"], ["0 rows imported from out", was]):
        assert lines("import", "out", "--data", "other") == told
        assert lines("export", "--format", form, "--data", "other") == Path("out").read_text().split("\n")[:-1]
    if form == "jsonl":
        assert sorted(map(str, on_disk(Path("other")))) == sorted(map(str, on_disk(Path("data"))))


def test_a_tree_of_pareas_api_is_imported() -> None:
    tree = {"trace_id": "a", "trace_name": "top", "children_logs": [{"trace_id": "b", "trace_name": "x"}]}
    Path("page.json").write_text(json.dumps({"total": 1, "results": [tree]}, indent=2))
    assert lines("import", "page.json", "--check") == ["2 rows can be read from page.json"]
    assert not Path("data").exists()
    assert lines("import", "page.json") == ["2 rows imported from page.json"]
    assert [(row["trace_id"], row["parent_trace_id"]) for row in on_disk(Path("data"))] == [("a", None), ("b", "a")]


def test_a_file_with_a_wrong_line_is_not_imported_at_all() -> None:
    good = '{"trace_id": "a", "root_trace_id": "a"}\n'
    Path("in").write_text(good + "\n" + '{"trace_id": "b"}\n' + "{nothing}\n" + good + '{"trace_name": 1}\n' * 12)
    found = run("import", "in")
    assert found.exit_code == 2
    told = found.stderr.splitlines()
    assert told[:3] == ["in: nothing was imported", "  line 3: root_trace_id: Field required", told[2]]
    assert told[2].startswith("  line 4: is not valid JSON: ")
    assert (told[3], told[-1]) == ("  line 6: trace_id: Field required", "  and 4 more")
    assert not Path("data").exists()


def test_what_the_config_omits_is_not_imported() -> None:
    store(*AGENT)
    run("export", "--output", "out")
    Path("config.yaml").write_text("log: {omit: outputs}")
    assert run("import", "out", "--data", "other").exit_code == 0
    (row,) = on_disk(Path("other"), "trace_id = 'call-1'")
    assert (row["output"], row["notes"]["omitted"]) == (None, ["outputs"])


def test_examples_and_datapoints() -> None:
    store(*AGENT)
    (made,) = map(json.loads, lines("export", "--format", "openai"))
    assert [message["role"] for message in made["messages"]] == ["system", "user", "assistant"]
    found = {one["id"]: one for one in map(json.loads, lines("export", "--format", "humanloop"))}
    assert found["call-1"]["messages"][1]["content"] == "Hi"
    assert (found["call-1"]["project"], found["call-1"]["duration"]) == ("demo", 2.0)
    told = run("export", "--format", "openai", "--output", "out")
    assert told.stderr == "1 rows written to out, 2 passed over that are no such thing\n"


def test_an_export_that_fails_leaves_what_was_there() -> None:
    store(*AGENT)
    Path("out").write_text("before")
    assert refused("export", "--where", "nothing", "--output", "out").startswith("where:")
    assert Path("out").read_text() == "before"
    assert [path.name for path in Path().iterdir() if "out" in path.name] == ["out"]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "proxy", "log", *arguments]


def environ() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def test_what_comes_is_shown_until_ctrl_c() -> None:
    store(record("a"), record("b", 1))
    tail = subprocess.Popen(
        command("tail", "--json", "-n", "1"), env=environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert tail.stdout is not None
        assert json.loads(tail.stdout.readline())["trace_id"] == "b"
        store(record("c", name="line\nbreak\u2028"))
        assert json.loads(tail.stdout.readline())["trace_id"] == "c"
        for path in Path("data").iterdir():
            path.rename(f"{path}.old")
        store(record("d"))
        assert json.loads(tail.stdout.readline())["trace_id"] == "d"
        tail.send_signal(signal.SIGINT)
        assert tail.communicate(timeout=10) == (b"", b"")
        assert tail.returncode == 0
    finally:
        tail.kill()
        tail.wait()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc here")
def test_ctrl_c_ends_a_question_that_is_under_way() -> None:
    store(record("a"))
    long = "(WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n)"
    where = ("--where", f"trace_id = 'a' OR {long}")
    tail = subprocess.Popen(command("tail", "--json", *where), env=environ(), stdout=subprocess.PIPE, stderr=-1)
    try:
        assert tail.stdout is not None
        assert json.loads(tail.stdout.readline())["trace_id"] == "a"
        used = cpu(tail.pid)
        store(record("b"))
        while cpu(tail.pid) < used + 0.5:
            time.sleep(0.01)
        tail.send_signal(signal.SIGINT)
        assert tail.communicate(timeout=5) == (b"", b"")
        assert tail.returncode == 0
    finally:
        tail.kill()
        tail.wait()


def test_who_runs_it_in_the_background_does_not_end_it_with_ctrl_c() -> None:
    store(record("a"))
    ignoring = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", *command("tail", "--json")]
    with subprocess.Popen(ignoring, env=environ(), stdout=subprocess.PIPE) as tail:
        try:
            assert tail.stdout is not None
            assert json.loads(tail.stdout.readline())["trace_id"] == "a"
            tail.send_signal(signal.SIGINT)
            store(record("b"))
            assert json.loads(tail.stdout.readline() or "{}").get("trace_id") == "b"
        finally:
            tail.kill()


def cpu(pid: int) -> float:
    """Seconds that a process has worked."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def test_a_line_for_people_is_one_line() -> None:
    store(record("a", name="x\ny\x1b[2J", model="m"))
    tail = subprocess.Popen(command("tail"), env=environ(), stdout=subprocess.PIPE, text=True)
    try:
        assert tail.stdout is not None
        assert tail.stdout.readline().split()[3:5] == ["x\\ny\N{REPLACEMENT CHARACTER}[2J", "m"]
    finally:
        tail.kill()
        tail.communicate()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of `MANY` rows, 60 MB of text."""
    folder = tmp_path_factory.mktemp("many")
    messages = [{"role": "user", "content": "x" * 3000}]
    store(
        *(
            record(f"t{n:06}", n, configuration={"messages": messages}, status="success", output="y", model=f"m{n % 9}")
            for n in range(MANY)
        ),
        folder=str(folder),
    )
    return folder


def peak(*arguments: str) -> int:
    """The most memory, in bytes, that a command holds at a time."""
    code = (
        "import resource, sys\nfrom proxy.cli import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "log", *arguments],
        env=environ(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=50,
        check=True,
    )
    return int(done.stderr.split()[-1])


VERBS = {
    "json": ["--limit", str(MANY), "--json"],
    "table": ["sql", "select trace_id, configuration from traces"],
    "stats": ["stats", "--by", "trace_id"],
    **{form: ["export", "--format", form] for form in ("jsonl", "openai", "parea", "humanloop", "csv")},
}


@pytest.fixture(scope="module")
def little(many: Path) -> int:
    """What a command needs for one row."""
    return peak("export", "--format", "humanloop", "--where", "rowid = 1", "--data", str(many))


@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_holds_the_log_in_memory(many: Path, little: int, verb: str) -> None:
    assert peak(*VERBS[verb], "--data", str(many)) - little < 16 * 2**20


def test_nor_does_an_import(many: Path, little: int) -> None:
    assert run("export", "--output", "out", "--data", str(many)).exit_code == 0
    assert Path("out").stat().st_size > 64 * 2**20
    assert peak("import", "out", "--data", "other") - little < 32 * 2**20


def screen(*arguments: str) -> tuple[int, bytes]:
    """How many lines a command writes to stdout, and what to a terminal on stderr."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command(*arguments), env={**environ(), "TERM": "xterm"}, stdout=subprocess.PIPE, stderr=theirs
    ) as done:
        os.close(theirs)
        assert done.stdout is not None
        written, told = 0, b""
        end = time.monotonic() + 40
        streams = [ours, done.stdout.fileno()]
        while streams and time.monotonic() < end:
            for stream in select.select(streams, [], [], 1)[0]:
                try:
                    piece = os.read(stream, 65536)
                except OSError:  # the other side of a terminal is closed
                    piece = b""
                if not piece:
                    streams.remove(stream)
                elif stream == ours:
                    told += piece
                else:
                    written += piece.count(b"\n")
        os.close(ours)
    assert done.returncode == 0
    return written, told


def test_long_work_shows_a_bar_where_somebody_looks(many: Path) -> None:
    written, told = screen("export", "--data", str(many))
    assert b"exporting" in told
    assert b"%" in told
    assert written == MANY
    assert run("export", "--data", str(many)).stderr == ""


def test_short_work_shows_none() -> None:
    store(*AGENT)
    assert screen("export")[1] == b""


@pytest.fixture
def writer() -> Iterator[sqlite3.Connection]:
    store(*AGENT)
    connection = sqlite3.connect("data/traces.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.close()


@pytest.mark.usefixtures("writer")
def test_a_gateway_that_writes_is_not_waited_for() -> None:
    assert ids() == "tool-1 call-1 agent-1"
    assert lines("sql", "select count(*) as n from traces") == ["n", "3"]


def told_by(*arguments: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command(*arguments), env={**environ(), **variables}, capture_output=True, check=False)


@pytest.mark.parametrize("verb", [(), ("--json",), ("show", "a"), ("export", "--format", "csv")])
def test_a_pipe_gets_utf_8_whatever_the_locale(verb: tuple[str, ...]) -> None:
    store(record("a", name="\u65e5\u672c\U0001f600"))
    done = told_by(*verb, PYTHONIOENCODING="latin-1")
    assert (done.returncode, done.stderr) == (0, b"")
    assert "\u65e5\u672c\U0001f600" in done.stdout.decode()


@pytest.mark.parametrize("verb", [("log",), ("log", "export"), ("log", "sql", "select 1", "--csv")])
def test_a_full_disk_is_told_in_one_line(verb: tuple[str, ...]) -> None:
    store(record("a"))
    with open("/dev/full", "wb") as full:
        asked = [sys.executable, "-m", "proxy", *verb]
        done = subprocess.run(asked, env=environ(), stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (2, b"the output cannot be written: No space left on device\n")


@pytest.mark.parametrize(
    "verb", [("sql", "select name as 'a\x1b[2J' from traces", "--csv"), ("export", "--format", "csv")]
)
def test_csv_steers_no_terminal_and_is_as_it_is_elsewhere(verb: tuple[str, ...]) -> None:
    store(record("a", name="\x1b[2J\x9b31m\u202e"))
    assert "\x9b31m\u202e" in told_by(*verb).stdout.decode()
    ours, theirs = pty.openpty()
    subprocess.run(command(*verb), env=environ(), stdout=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert shown
    assert not {"\x1b", "\x9b", "\u202e"} & set(shown)


def test_an_export_into_a_pipe_or_through_a_link_leaves_them() -> None:
    store(record("a"))
    os.mkfifo("pipe")
    with subprocess.Popen(["cat", "pipe"], stdout=subprocess.PIPE) as reader:
        assert run("export", "--output", "pipe").exit_code == 0
        read, _ = reader.communicate(timeout=20)
    assert json.loads(read)["trace_id"] == "a"
    assert Path("pipe").is_fifo()
    Path("link").symlink_to("target")
    assert run("export", "--output", "link").exit_code == 0
    assert Path("link").is_symlink()
    assert json.loads(Path("target").read_text())["trace_id"] == "a"
    assert Path("target").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_export_that_is_ended_leaves_nothing(many: Path, ending: signal.Signals) -> None:
    with subprocess.Popen(command("export", "--output", "out", "--data", str(many)), env=environ()) as export:
        end = time.monotonic() + 20
        while not any(path.name.startswith(".out.") for path in Path().iterdir()):
            assert time.monotonic() < end
            time.sleep(0.005)
        export.send_signal(ending)
        assert export.wait(20) != 0
    assert [path.name for path in Path().iterdir() if "out" in path.name] == []


def test_an_export_without_a_row_is_imported() -> None:
    store(record("a"))
    assert run("export", "--where", "false", "--output", "none").exit_code == 0
    assert lines("import", "none") == ["0 rows imported from none"]


def test_ctrl_c_is_no_lack_of_time() -> None:
    store(record("a"))
    endless = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i FROM n) SELECT count(*) FROM n"
    for asked in (["sql", endless, "--timeout", "300"], ["--where", f"({endless})"]):
        with subprocess.Popen(command(*asked), env=environ(), stdout=-1, stderr=-1, text=True) as question:
            try:
                while cpu(question.pid) < 1.5:
                    time.sleep(0.01)
                question.send_signal(signal.SIGINT)
                assert question.communicate(timeout=10) == ("", "\nAborted!\n")
                assert question.returncode == 1
            finally:
                question.kill()


def test_an_empty_file_is_told() -> None:
    Path("data").mkdir()
    Path("data/traces.db").touch()
    assert refused().startswith("the trace log data/traces.db cannot be read: it is empty: ")


AS_NOBODY = """
import os, sys
import proxy.commands.log.rows, proxy.commands.log.tail, proxy.commands.log.vacuum, proxy.commands.log.watchdog
import proxy.report, proxy.stores.log.following, proxy.stores.erasure.forgetting, proxy.stores.log.reader
from proxy.cli import main
if os.geteuid() == 0:
    os.setegid(65534)
    os.seteuid(65534)
main(["log", *sys.argv[1:]])
"""


def test_what_cannot_be_done_where_nothing_can_be_made_is_told() -> None:
    """As anybody but root, whom no mode stops; in a folder that others may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as folder:
        store(*AGENT, folder=folder)
        for file in Path(folder).iterdir():
            file.chmod(0o444)
        Path(folder).chmod(0o555)

        def told(*verb: str) -> tuple[int, str]:
            asked = [sys.executable, "-c", AS_NOBODY, *verb, "--data", folder]
            done = subprocess.run(asked, cwd=folder, env=environ(), capture_output=True, text=True, timeout=20)
            return done.returncode, done.stderr

        path = f"the trace log {folder}/traces.db"
        why = "cannot be followed where nothing can be made beside it: parea-proxy log lists what it holds"
        assert told("tail") == (2, f"{path} {why}\n")
        code, said = told("vacuum")
        assert (code, said.count("\n")) == (2, 1)
        assert said.startswith(f"{path} cannot be made anew: ")
