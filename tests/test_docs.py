"""The documents say what the program does. `python -m tests.test_docs` writes docs/schema.md and the last table of
docs/routing.md anew.
"""

from __future__ import annotations

import re
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from proxy import cli
from proxy.commands.log.source import FORMATS
from proxy.config.foreign import BLOCKS, IGNORED, known
from proxy.config.missing import TOPICS, topic_of
from proxy.config.routing import STRATEGIES
from proxy.stores.log.rows import COLUMNS
from proxy.stores.schema.migrations import migrate
from proxy.stores.schema.views import SPEND_DAILY
from proxy.vendors import infer

DOCS = Path(__file__).parents[1] / "docs"
TOPIC_ROWS = re.compile(r"(?<=<!-- topics -->\n).*(?=<!-- end of topics -->)", re.DOTALL)
QUERIES = re.compile(r"```sql\n(.*?)```", re.DOTALL)


HEAD = """# The schema of the trace log

<!-- made by `python -m tests.test_docs` from the migrations, and checked: do not edit -->

`traces.db` is plain SQLite: `sqlite3`, Datasette, pandas and whatever else reads it may do so while the gateway runs
([traces.md](traces.md)). Ask the views: they stay when tables change, and columns are only added to them. A file that a
newer version wrote is refused, one that an older version wrote is brought up to date when it is opened.

- One call is a row of `requests`, one tree of calls a row of `trees`. The table under both is called `traces` since the
  first version, and goes on being one row a call.
- `traces.configuration` has the messages of short conversations only; `requests.configuration` and `messages` have
  them all.
- `DELETE FROM traces` removes rows with all that only they referred to.
"""

WITHOUT_COMMENT = {
    "experiment_uuid": "the experiment in which it was called",
    "provider": "that answered",
    "model": "that answered",
    "input_tokens": "as the provider counted",
    "output_tokens": "as the provider counted",
    "total_tokens": "both",
    "id": "",
}
"""Columns of the first steps, which are never edited."""

MIGRATIONS = {"": "the steps that this file has taken", "name": "of the step", "applied_at": "when, UTC"}


def schema_page() -> str:
    """docs/schema.md: every view and table of a new trace log, with what its comments say."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection)
        found = connection.execute(
            "SELECT type, name, sql FROM sqlite_master WHERE type IN ('view', 'table') ORDER BY type = 'table', rowid"
        ).fetchall()
        parts = [HEAD]
        for kind in ("view", "table"):
            parts.append(f"## {kind.capitalize()}s\n")
            parts.extend(_described(connection, name, sql) for type_, name, sql in found if type_ == kind)
    return "\n".join(parts)


def _described(connection: sqlite3.Connection, name: str, sql: str) -> str:
    columns = [column for _, column, *_ in connection.execute(f"PRAGMA table_info({name})")]
    rows = [f"| `{column}` | {_comment(name, column, sql)} |" for column in columns]
    first = re.match(r"CREATE (?:VIEW|TABLE) \w+ (?:AS |\( )-- (.*)", sql)
    about = first[1] if first else WHAT.get(name) or MIGRATIONS[""]
    return "\n".join([f"### {name}", "", f"{about[0].upper()}{about[1:]}.", "", "| column | |", "|---|---|", *rows, ""])


WHAT = {
    "traces": "one row a call: of a model, or of a function that a client logged",
    "projects": "projects by name",
    "sampled_out": "traces that lost the draw of the sample rate: counters only",
    "totals": "over kept and sampled-out traces together",
}


def _comment(table: str, column: str, sql: str) -> str:
    if table == "migrations":
        return MIGRATIONS[column]
    in_view = rf"(?:\bAS |\bt\.){column},? -- (.*)"
    in_table = rf"^\s+{column} (?:TEXT|INTEGER|REAL|BLOB)[^\n]*? -- (.*)"
    added = rf", {column} (?:TEXT|INTEGER|REAL) /\* (.*?) \*/"
    for pattern in (in_view, in_table, added):
        if said := re.search(pattern, sql, re.MULTILINE):
            return said[1].replace("|", "\\|")
    if table == "totals":
        return "kept or not" if column == "calls" else _comment("spend_daily", column, SPEND_DAILY)
    return WITHOUT_COMMENT[column]


def test_the_schema_is_the_one_that_is_made() -> None:
    assert (DOCS / "schema.md").read_text() == schema_page()


def test_the_queries_run() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    examples = QUERIES.findall((DOCS / "traces.md").read_text())[0]
    statements = [statement for statement in examples.split(";") if statement.strip()]
    for statement in statements:
        connection.execute(statement)
    connection.close()
    assert len(statements) == 6


def test_the_commands_of_deployments_do_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are written, its commands are run one after the other, and what stands below one is its output."""
    page = (DOCS / "deployments.md").read_text()
    written = re.findall(r"`(deployments/[\w./]+)`:\n\n```\w+\n(.*?)```", page, re.DOTALL)
    for name, text in written:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "config.yaml").write_text("model_list: [{model_name: echo, litellm_params: {model: echo/echo}}]")
    monkeypatch.chdir(tmp_path)
    ran = 0
    for commands, output in re.findall(r"```sh\n(.*?)```(?:\n\n```text\n(.*?)```)?", page, re.DOTALL):
        said = "".join(_ran(command) for command in commands.splitlines())
        assert not output or [line.rstrip() for line in said.splitlines()] == output.splitlines()
        ran += len(commands.splitlines())
    assert (len(written), ran) == (5, 10)


@pytest.mark.usefixtures("utc")
def test_the_commands_of_the_log_do_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (DOCS / "log.md").read_text()
    (rows,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    (tmp_path / "log.jsonl").write_text(rows)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PAREA_PROXY_DATA", "data")
    ran = 0
    for commands, output in re.findall(r"```sh\n(.*?)```\n\n```text\n(.*?)```", page, re.DOTALL):
        said = "".join(_ran(command) for command in commands.splitlines())
        assert [line.rstrip() for line in said.splitlines()] == [line.rstrip() for line in output.splitlines()]
        ran += len(commands.splitlines())
    assert ran == 19 == page.count("\nparea-proxy ")


@pytest.mark.usefixtures("utc")
def test_the_commands_of_replay_do_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for new ids, and for how long a call took."""
    page = (DOCS / "replay.md").read_text()
    for form, name in (("json", "log.jsonl"), ("yaml", "config.yaml")):
        (text,) = re.findall(rf"```{form}\n(.*?)```", page, re.DOTALL)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PAREA_PROXY_DATA", "data")
    assert _ran("parea-proxy log import log.jsonl")
    ran = 0
    for commands, output in re.findall(r"```sh\n(.*?)```\n\n```text\n(.*?)```", page, re.DOTALL):
        said = "".join(_ran(command) for command in commands.splitlines())
        assert _timeless(said) == _timeless(output)
        ran += len(commands.splitlines())
    assert ran == 4 == page.count("\nparea-proxy ")
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")


def _timeless(said: str) -> list[str]:
    """The lines of an output, without ids and times that are others with each run."""
    said = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d+\.\d{3} s|(?<= s) \([+-]\d+%\)", "*", said)
    return [" ".join(line.split()) for line in said.splitlines()]


def _ran(command: str) -> str:
    program, *arguments = shlex.split(command)
    if program == "cat":
        return Path(*arguments).read_text()
    result = CliRunner().invoke(cli.main, arguments, prog_name=program)
    assert result.exit_code == 0, (command, result.output)
    return result.stdout


def forms() -> list[tuple[str, str]]:
    """(beginning, provider) of the table in docs/models.md."""
    rows = re.findall(r"^\| (`.*`)(?:,[^|`]*)? \| (\w+) \|$", (DOCS / "models.md").read_text(), re.MULTILINE)
    return [(name, provider) for names, provider in rows for name in re.findall(r"`([^`]+)`", names) if name[-1] != "."]


@pytest.mark.parametrize(("name", "provider"), forms())
def test_names_lead_where_the_document_says(name: str, provider: str) -> None:
    assert infer(f"{name}1") == provider


def test_the_table_of_names_is_read() -> None:
    assert len(forms()) > 20


def topics() -> str:
    """The table of what LiteLLM's other keys ask for, with some of the keys of each."""
    keys: dict[str, list[str]] = {topic.name: [] for topic in TOPICS}
    keys["anything else"] = []
    others = [
        (block, key) for block, names in known().items() for key in sorted(names - BLOCKS[block].model_fields.keys())
    ]
    for block, key in [*(("", key) for key in sorted(IGNORED)), *others]:
        topic = topic_of(block, key)
        if block != "credential_values":
            keys[topic.name if topic else "anything else"].append(f"{block}.{key}" if block else key)
    rows = [(topic.name, topic.instead) for topic in TOPICS] + [("anything else", "is told without a reason")]
    told = [f"| {name} | {len(keys[name])} | `{'`, `'.join(keys[name][:4])}` | {here} |" for name, here in rows]
    return "\n".join(["| what LiteLLM has | keys | such as | here |", "|---|---|---|---|", *told, ""])


def test_the_topics_are_those_of_the_program() -> None:
    assert TOPIC_ROWS.findall((DOCS / "routing.md").read_text()) == [topics()]


def test_every_topic_has_a_key() -> None:
    assert "| 0 |" not in topics()


def test_the_table_of_keys_has_every_key_that_has_an_effect() -> None:
    rows = re.findall(r"^\| `(\w+)`: (`.*?`) \|", (DOCS / "routing.md").read_text(), re.MULTILINE)
    told = {(block, key) for block, keys in rows for key in re.findall(r"`(\w+)`", keys)}
    assert told == {(block, key) for block, model in BLOCKS.items() for key in model.model_fields}


def test_the_table_of_strategies_has_them_all() -> None:
    text = (DOCS / "routing.md").read_text()
    assert {word for word in STRATEGIES if f"`{word}`" not in text} == set()


if __name__ == "__main__":
    (DOCS / "schema.md").write_text(schema_page())
    page = DOCS / "routing.md"
    page.write_text(TOPIC_ROWS.sub(lambda _: topics(), page.read_text()))


def test_the_page_of_imports_has_every_format_and_only_columns_that_there_are() -> None:
    page = (DOCS / "import.md").read_text()
    formats, *tables = re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE)
    assert re.findall(r"^\| `(\w+)` \|", formats, re.MULTILINE) == [*FORMATS, "prompt"]
    said = [name for table in tables for cell in re.findall(r"^\| ([^|]*)", table, re.MULTILINE)[2:] for name in
            re.findall(r"`(\w+)[`.]", cell)]  # fmt: skip
    assert len(said) > 50
    assert set(said) - {"execute_tool"} <= set(COLUMNS)
