"""Reading `logs.db` of simonw/llm (0.5 to 0.36), which nobody writes meanwhile through here.

Since 0.32 a call is a row of `turns`, whose messages are a chain of `messages` with `parts`; before, it was a row of
`responses`, with the conversation's earlier ones for a history. Both are read, one call at a time.

What must stay true: the file is not changed, one call is in memory and not the file, and attachments never are.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from proxy.errors import ConfigError
from proxy.models import Json

Call = dict[str, Json]
"""What is known of a call: its columns, `asked` and `said`, lists of messages with `parts` as llm has them, `tools`."""

_CHAIN = """WITH RECURSIVE chain(hash, parent, role, depth) AS (
    SELECT hash, parent_hash, role, 0 FROM messages WHERE hash = ?
    UNION ALL
    SELECT m.hash, m.parent_hash, m.role, chain.depth + 1 FROM chain JOIN messages AS m ON m.hash = chain.parent
) SELECT hash, role FROM chain ORDER BY depth DESC"""

_PARTS = "SELECT type, text, payload FROM parts WHERE message_hash = ? ORDER BY position"
_ATTACHMENT = "SELECT type, path, url, length(content) AS bytes FROM attachments WHERE id = ?"
_ATTACHED = """SELECT a.type, a.path, a.url, length(a.content) AS bytes FROM prompt_attachments AS p
JOIN attachments AS a ON a.id = p.attachment_id WHERE p.response_id = ? ORDER BY p."order\""""
_TOOLS = "SELECT t.name, t.description, t.input_schema FROM {table} AS r JOIN tools AS t ON t.id = r.tool_id"


class Calls:
    """The calls of a `logs.db`. Raises `ConfigError` for a file that is none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)
        self._db.row_factory = sqlite3.Row
        try:
            self._tables = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        except sqlite3.Error as error:
            self._db.close()
            raise ConfigError(f"{path}: cannot be read: {error}") from None
        if not self._tables & {"turns", "responses"}:
            self._db.close()
            raise ConfigError(f"{path}: is no logs.db of llm: it has no table `turns` or `responses`{self._hint()}")

    def __enter__(self) -> Calls:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def _hint(self) -> str:
        ours = {"traces", "migrations"} <= self._tables
        return "; it is a log of parea-proxy: `log export` it first, with --data" if ours else ""

    def count(self) -> int:
        """How many there are."""
        return sum(int(self._one(f"SELECT count(*) AS n FROM {name}")["n"]) for name in self._sources())

    def read(self) -> Iterator[Call]:
        """Each, the older table first. Raises `ConfigError` where the file cannot be read on."""
        try:
            for source in self._sources():
                with closing(self._db.execute(f"SELECT * FROM {source} ORDER BY id")) as rows:
                    for row in rows:
                        yield self._turn(dict(row)) if source == "turns" else self._response(dict(row))
        except sqlite3.Error as error:
            raise ConfigError(f"{self._path}: cannot be read: {error}") from None

    def _sources(self) -> list[str]:
        return [name for name in ("responses", "turns") if name in self._tables]

    def _one(self, query: str, *values: Any) -> dict[str, Any]:
        row = self._db.execute(query, values).fetchone()
        return dict(row) if row is not None else {}

    def _all(self, query: str, *values: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in self._db.execute(query, values)]

    def _turn(self, row: Call) -> Call:
        asked = self._messages(row.pop("parent_message_hash"))
        said = self._messages(row.pop("tip_message_hash"))
        thread = self._one("SELECT name FROM threads WHERE id = ?", row["thread_id"])
        return {
            **row,
            "conversation_id": row["thread_id"],
            "conversation": thread.get("name"),
            "asked": asked,
            "said": said[len(asked) :],
            "tools": self._all(f"{_TOOLS.format(table='turn_tools')} WHERE r.turn_id = ? ORDER BY t.id", row["id"]),
            "schema": self._schema(row),
        }

    def _messages(self, tip: str | None) -> list[Json]:
        return [
            {"role": role, "parts": [self._part(part) for part in self._db.execute(_PARTS, (hash,))]}
            for hash, role in self._db.execute(_CHAIN, (tip,)).fetchall()
        ]

    def _part(self, row: sqlite3.Row) -> Json:
        part: dict[str, Json] = json.loads(row["payload"]) if row["payload"] else {}
        part["type"] = row["type"]
        if row["text"] is not None:
            part["text"] = row["text"]
        elif "text_ref" in part:
            pieces = part.pop("text_ref")
            part["text"] = "".join(one.get("literal") or self._fragment(one.get("fragment")) for one in pieces)
        if isinstance(named := part.get("attachment"), dict):
            part["attachment"] = self._one(_ATTACHMENT, named.get("id"))
        if isinstance(several := part.get("attachments"), list):
            part["attachments"] = [self._one(_ATTACHMENT, one.get("id")) for one in several]
        return part

    def _fragment(self, number: Any) -> str:
        return str(self._one("SELECT content FROM fragments WHERE id = ?", number).get("content") or "")

    def _response(self, row: Call) -> Call:
        """A call as it was logged before: its own prompt, after what its conversation had said until then."""
        asked: list[Json] = []
        if conversation := row.get("conversation_id"):
            earlier = self._all(
                "SELECT * FROM responses WHERE conversation_id = ? AND id < ? ORDER BY id", conversation, row["id"]
            )
            for one in earlier:
                asked += [*self._prompt(one, system=not asked), self._said(one)]
        asked += self._prompt(row, system=not asked)
        named = self._one("SELECT name FROM conversations WHERE id = ?", conversation) if conversation else {}
        tools: list[Json] = []
        if "tool_responses" in self._tables:
            tools = self._all(f"{_TOOLS.format(table='tool_responses')} WHERE r.response_id = ?", row["id"])
        return {
            **row,
            "conversation": named.get("name"),
            "asked": asked,
            "said": [self._said(row)],
            "tools": tools,
            "schema": self._schema(row),
        }

    def _prompt(self, row: Call, *, system: bool) -> list[Json]:
        """What was asked by one row: rules, results of tools, and the prompt with its fragments and attachments."""
        found: list[Json] = []
        rules = [*self._fragments("system_fragments", row["id"]), row.get("system") or ""]
        if system and (text := "\n".join(filter(None, rules))):
            found.append({"role": "system", "parts": [{"type": "text", "text": text}]})
        if "tool_results" in self._tables and (results := self._rows_of("tool_results", row["id"])):
            found.append({"role": "tool", "parts": [{**one, "type": "tool_result"} for one in results]})
        texts = [*self._fragments("prompt_fragments", row["id"]), row.get("prompt") or ""]
        parts: list[Json] = [{"type": "text", "text": text}] if (text := "\n".join(filter(None, texts))) else []
        if "prompt_attachments" in self._tables:
            listed = self._all(_ATTACHED, row["id"])
            parts += [{"type": "attachment", "attachment": one} for one in listed]
        return [*found, {"role": "user", "parts": parts}] if parts else found

    def _said(self, row: Call) -> Json:
        parts: list[Json] = [{"type": "reasoning", "text": text}] if (text := row.get("reasoning")) else []
        parts += [{"type": "text", "text": row["response"]}] if row.get("response") else []
        if "tool_calls" in self._tables:
            for one in self._rows_of("tool_calls", row["id"]):
                given = json.loads(one["arguments"]) if one["arguments"] else {}
                parts.append({**one, "type": "tool_call", "arguments": given})
        return {"role": "assistant", "parts": parts}

    def _rows_of(self, table: str, response: str) -> list[dict[str, Any]]:
        return self._all(f"SELECT * FROM {table} WHERE response_id = ? ORDER BY id", response)

    def _fragments(self, table: str, response: str) -> list[str]:
        if table not in self._tables:
            return []
        query = (
            f"SELECT f.content FROM {table} AS p JOIN fragments AS f ON f.id = p.fragment_id WHERE p.response_id = ?"
        )
        return [str(one["content"]) for one in self._all(f'{query} ORDER BY p."order"', response)]

    def _schema(self, row: Call) -> Json:
        if not row.get("schema_id"):
            return None
        return self._one("SELECT content FROM schemas WHERE id = ?", row["schema_id"]).get("content")
