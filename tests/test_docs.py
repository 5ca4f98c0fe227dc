"""The documents say what the program does. `python -m tests.test_docs` writes the schema in docs/traces.md and the last
table of docs/routing.md anew.
"""

from __future__ import annotations

import re
import shlex
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from proxy import cli
from proxy.config.foreign import BLOCKS, IGNORED, known
from proxy.config.missing import TOPICS, topic_of
from proxy.config.routing import STRATEGIES
from proxy.stores.migrations import migrate
from proxy.vendors import infer

DOCS = Path(__file__).parents[1] / "docs"
SCHEMA = re.compile(r"(?<=<!-- schema -->\n).*(?=<!-- end of schema -->)", re.DOTALL)
TOPIC_ROWS = re.compile(r"(?<=<!-- topics -->\n).*(?=<!-- end of topics -->)", re.DOTALL)
QUERIES = re.compile(r"```sql\n(.*?)```", re.DOTALL)


def schema() -> str:
    """The DDL of a new trace log, as `.schema` shows it."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    found = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid").fetchall()
    connection.close()
    return "```sql\n" + "\n\n".join(f"{sql};" for (sql,) in found) + "\n```\n"


def test_the_schema_is_the_one_that_is_made() -> None:
    assert SCHEMA.findall((DOCS / "traces.md").read_text()) == [schema()]


def test_the_queries_run() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    examples = QUERIES.findall((DOCS / "traces.md").read_text())[0]
    statements = [statement for statement in examples.split(";") if statement.strip()]
    for statement in statements:
        connection.execute(statement)
    connection.close()
    assert len(statements) == 4


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
    assert ran == 16 == page.count("\nparea-proxy ")


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
    page = DOCS / "traces.md"
    page.write_text(SCHEMA.sub(lambda _: schema(), page.read_text()))
    page = DOCS / "routing.md"
    page.write_text(TOPIC_ROWS.sub(lambda _: topics(), page.read_text()))
