"""Tables of the log on terminals of several widths, and in a pipe."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.cells import cell_len

from proxy.cli import main
from proxy.commands.log.stats import halved

DAY = "2026-11-20T12:00:"
LONG = "summarise-the-ticket-and-route-it"
ROWS = [
    {
        "trace_id": f"01a2013b-ce{at:02}-7c4b-b606-f29326791eac",
        "root_trace_id": "01a2013b-ce00-7c4b-b606-f29326791eac",
        "parent_trace_id": "01a2013b-ce00-7c4b-b606-f29326791eac" if at else None,
        "name": (LONG, "agent", "\u8981\u7d04\u3059\u308b\u6587\u66f8\u306e\u540d\u524d\u306e\u4f8b")[at % 3],
        "model": ("bedrock/anthropic.claude-3-5-sonnet-20241022-v2:0", "gpt-4o")[at % 2],
        "status": ("success", "error", "cancelled")[at % 3],
        "start_timestamp": f"{DAY}{at:02}Z",
        "latency": (12.345, 0.004)[at % 2],
        "cost": (1.905875, 0.0000125)[at % 2],
        "total_tokens": 1234567,
        "metadata": {"team": "red"},
        "output": "word " * 100 if at == 1 else "short",
    }
    for at in range(7)
]
TOP = "01a2013b-ce00"
VERBS = (["log"], ["traces"], ["log", "show", TOP], ["log", "stats", "--by", "model"])


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, utc: None) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PAREA_PROXY_DATA", "data")
    kept(ROWS)


def kept(rows: Sequence[Mapping[str, object]]) -> None:
    Path("rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    assert CliRunner().invoke(main, ["log", "import", "rows.jsonl"]).exit_code == 0


def shown(width: int, *arguments: str) -> list[str]:
    """What a command prints on a terminal of so many columns."""
    environ = {"TTY_COMPATIBLE": "1", "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": str(width), "LINES": "24"}
    found = CliRunner().invoke(main, arguments, prog_name="parea-proxy", env=environ)
    assert found.exit_code == 0, found.output
    return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", found.stdout).splitlines()]


def piped(*arguments: str) -> list[str]:
    found = CliRunner().invoke(main, arguments, prog_name="parea-proxy")
    assert found.exit_code == 0, found.output
    return found.stdout.splitlines()


@pytest.mark.parametrize("width", [50, 60, 80, 100, 120, 200, 300])
@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_a_row_is_a_line_and_a_number_is_whole_however_narrow_it_is(verb: list[str], width: int) -> None:
    lines = shown(width, *verb)
    groups = 7 if verb == ["log"] or TOP in verb else len(piped(*verb)) - 1 - (verb == ["traces"])
    rows = lines[1 : 1 + groups]
    assert len(rows) == groups
    assert all(cell_len(line) <= width for line in lines[: 1 + groups])
    wide = piped(*verb)[1 : 1 + groups]
    whole = {number for line in wide for number in re.findall(r"\$?\d+\.\d+(?: s)?|\b\d{7}\b", line)}
    told = {number for line in rows for number in re.findall(r"\$?\d+\.\d+(?: s)?|\b\d{7}\b", line)}
    assert told <= whole
    told_ids = {found for line in rows for found in re.findall(r"01a2013b[-0-9a-f]*", line)}
    if verb[1:2] != ["stats"]:
        assert len(told_ids) == groups
    for one in told_ids:
        assert len(json.loads("".join(piped("log", "show", one, "--json")))) == (7 if one.startswith(TOP) else 1)


def test_what_there_is_no_room_for_is_told() -> None:
    assert shown(80, "log")[0].split() == ["trace", "started", "(UTC)", "name", "model", "latency", "cost", "status"]
    assert shown(80, "log")[-1] == "no room for: tokens (--json has all)"
    assert shown(60, "log")[0].split() == ["trace", "started", "(UTC)", "name", "model", "status"]
    assert shown(60, "log")[-1] == "no room for: latency, cost, tokens (--json has all)"
    assert "no room" not in shown(200, "log")[-1]


def test_bars_have_room_of_their_own_or_are_left_out() -> None:
    for width, bar in ((300, 16), (80, 8), (40, 0)):  # two thirds of the time, in 24 columns, in 12 and in none
        head, first, *_ = shown(width, "log", "show", TOP)
        assert ("when" in head) == (bar > 0)
        assert first.count("\u2501") == bar
    assert halved([" \u2581\u2588 "]) == ["\u2581\u2588"]


def test_ids_are_as_long_as_it_takes_to_tell_them_apart() -> None:
    kept([{"trace_id": f"conversation-of-a-customer-{at}", "root_trace_id": "c", "status": "error"} for at in range(2)])
    told = [line.split()[0] for line in shown(80, "log")[1:-1]]
    assert {len(one) for one in told if one.startswith("01a")} == {len(TOP)}
    assert [one for one in told if one.startswith("con")] == [f"conversation-of-a-customer-{at}" for at in (1, 0)]


def test_a_pipe_is_not_filled_up_to_the_longest_text() -> None:
    head, *rows = piped("log", "sql", "select output, trace_id from traces order by rowid")
    places = [row.index("01a2013b") for row in rows]
    assert places[0] == places[2] == head.index("trace_id") == 62
    assert places[1] > 400
    assert all(line == line.rstrip() for line in [head, *rows])


def test_a_question_has_its_first_columns_and_whole_numbers() -> None:
    head, first, *rest = shown(40, "log", "sql", "select 1234567890123 as n, output, name, model, cost from traces")
    assert (head.split(), first.split()[0]) == (["n", "output", "name"], "1234567890123")
    assert " ".join(rest[-2:]) == "no room for: model, cost (--json has all)"
