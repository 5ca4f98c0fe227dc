"""S7: SQL in whatever a client can filter, order, page or search by is a value like any other; reading never writes.

What each filter finds stands in tests/stores/test_search.py.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.stores.log.search import ALIASES, FIELDS, OPERATORS, TIME_RANGES
from proxy.stores.schema.database import open_reader
from tests.faults.plugin import FULL, Figure
from tests.gateway import Process

pytestmark = pytest.mark.fault("S7")

INJECTIONS = [
    "' OR '1'='1",
    "' OR 1=1 --",
    '" OR ""="',
    "') OR ('1'='1",
    "x' AND 1=0 UNION SELECT sql FROM sqlite_master --",
    "x') UNION ALL SELECT 1,2,3,4,5,6,7,8,9,10 --",
    "'; DROP TABLE traces; --",
    "1; DELETE FROM traces",
    "'; ATTACH DATABASE 'stolen.db' AS s; CREATE TABLE s.t AS SELECT * FROM traces; --",
    "x' AND (SELECT count(*) FROM traces) > 0 --",
    "x' AND randomblob(1000000000) --",
    "x' AND load_extension('/tmp/evil.so') --",
    "t.trace_id",
    "t.trace_id) --",
    "rowid",
    "sqlite_master",
    "(SELECT group_concat(inputs) FROM traces)",
    "CASE WHEN 1 THEN 1 ELSE 0 END",
    "1 DESC, (SELECT 1)",
    "-1 UNION SELECT 1",
    "0x31",
    "1e309",
    "%' ESCAPE '",
    "%%%_%\\%",
    "$.a') OR json_extract(inputs, '$",
    '$."a"."b"[0]',
    "*",
    "?1",
    ":name",
    "x'00'",
    "\x00' OR 1=1",
    "/**/OR/**/1=1",
    "\u02bc OR 1=1",
    "N' OR 1=1",
]

USED = INJECTIONS if FULL else INJECTIONS[::4]

WORDS = st.one_of(st.sampled_from(INJECTIONS), st.text(max_size=12), st.integers(), st.none(), st.booleans())
TEXTS = st.one_of(st.sampled_from(INJECTIONS), st.text(max_size=12))
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "filter_field": st.one_of(st.sampled_from([*FIELDS, *ALIASES]), TEXTS),
        "filter_key": TEXTS,
        "filter_operator": st.one_of(st.sampled_from(OPERATORS), TEXTS),
        "filter_value": st.one_of(WORDS, st.lists(WORDS, max_size=3), st.dictionaries(TEXTS, WORDS, max_size=2)),
        "time_range": st.one_of(st.sampled_from(list(TIME_RANGES)), TEXTS),
        "status": TEXTS,
        "project_name": TEXTS,
        "page": st.one_of(st.integers(1, 3), TEXTS),
        "page_size": st.one_of(st.integers(1, 50), TEXTS),
    },
)


@dataclass
class Logged:
    """A gateway that has logged three calls, and what its log then was."""

    gateway: Process
    client: httpx.Client
    state: str
    asked: int = 0

    def search(self, body: dict[str, Any]) -> httpx.Response:
        self.asked += 1
        return self.client.post("/api/parea/v1/get_trace_logs", json=body)


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    with Process(tmp_path_factory.mktemp("gateway"), {}) as gateway, httpx.Client(timeout=30) as client:
        client.base_url = httpx.URL(gateway.url)
        gateway.wait_for("/openapi.json")
        for number in range(3):
            body = {"trace_id": f"t-{number}", "trace_name": f"n-{number}", "project_name": "p", "inputs": {"a": "b"}}
            assert client.post("/api/parea/v1/trace_log", json=body).json()["logged"]
        yield Logged(gateway, client, state(gateway.data))


def state(data: Path) -> str:
    """Everything in the log: tables, indexes and rows."""
    connection = sqlite3.connect(f"file:{data / 'traces.db'}?mode=ro", uri=True)
    try:
        return hashlib.sha256("\n".join(connection.iterdump()).encode()).hexdigest()
    finally:
        connection.close()


@pytest.fixture
def unchanged(logged: Logged) -> Iterator[None]:
    """The log is what it was, and the gateway has made no file beside it."""
    before = {path.name for path in logged.gateway.data.parent.rglob("*")}
    yield
    assert state(logged.gateway.data) == logged.state
    assert {path.name for path in logged.gateway.data.parent.rglob("*")} - before <= {"plans.json"}


@pytest.mark.usefixtures("unchanged")
def test_s7_an_injection_is_a_value(logged: Logged, figure: Figure) -> None:
    """In every field and with every operator that takes text: none of the rows has it, so none is found."""
    texts = [name for name, field in FIELDS.items() if field.kind in ("text", "object", "list", "content")]
    for text in USED:
        for name in [*texts, *ALIASES] if FULL else texts[::3]:
            found = logged.search({"filter_field": name, "filter_operator": "equals", "filter_value": text})
            assert (found.status_code, found.json().get("total")) in ((200, 0), (400, None)), (name, text, found.text)
        keyed = {"filter_field": "metadata", "filter_key": text, "filter_operator": "exists"}
        assert logged.search(keyed).json()["total"] == 0
        for refused in ("filter_field", "filter_operator", "time_range"):
            asked = {"filter_field": "name", "filter_operator": "equals", "filter_value": "n-1", refused: text}
            assert logged.search(asked).status_code == 400
        for number in ("page", "page_size"):
            answered = logged.search({number: text})
            assert answered.status_code in (400, 422), answered.text
        for named in ("project_name", "status"):
            assert logged.search({named: text}).json()["total"] == 0
    assert logged.search({"filter_field": "name", "filter_operator": "in", "filter_value": ["n-1", "x"]}).json()[
        "total"
    ]
    figure("searches that ran what they were given", f"0 of {logged.asked:,}")


GETS = {
    "/v4/logs": ("project_id", "search", "metadata_search", "version_status", "start_date", "end_date", "page", "size"),
    "/v4/sessions": ("project_id", "page", "size"),
    "/v4/projects": ("filter", "user_filter", "sort_by", "order", "page", "size"),
    "/v5/models": ("name", "limit", "starting_after", "ending_before", "sort_by", "sort_order", "model_vendor"),
    "/v1/models": ("limit", "after_id", "before_id"),
}


@pytest.mark.usefixtures("unchanged")
def test_s7_so_it_is_in_a_query_and_in_a_path(logged: Logged, figure: Figure) -> None:
    project = logged.client.get("/v4/projects").json()["records"][0]["id"]
    good = {"/v4/logs": {"project_id": project}, "/v4/sessions": {"project_id": project}}
    asked = 0
    for text in USED:
        for path, names in GETS.items():
            for name in names:
                answered = logged.client.get(path, params=good.get(path, {}) | {name: text})
                assert answered.status_code < 500, (path, name, text, answered.text)
                asked += 1
        for place in ("/api/parea/v1/trace_log/{}", "/v4/logs/{}", "/v4/sessions/{}", "/v4/projects/{}"):
            answered = logged.client.get(place.format(httpx.URL("http://x", params={"x": text}).query.decode()[2:]))
            assert answered.status_code == 404, (place, text, answered.text)
            asked += 1
    figure("queries and paths that ran what they were given", f"0 of {asked:,}")


@pytest.mark.timeout(200)
@pytest.mark.usefixtures("unchanged")
def test_s7_any_search_is_answered_or_refused(logged: Logged, figure: Figure) -> None:
    """And finds at most what is there."""

    @settings(max_examples=3000 if FULL else 80, deadline=None, suppress_health_check=list(HealthCheck))
    @given(BODIES)
    def ask(body: dict[str, Any]) -> None:
        answered = logged.search(body)
        assert answered.status_code in (200, 400, 422), (body, answered.text)
        assert answered.status_code != 200 or answered.json()["total"] <= 3
        assert "sqlite" not in answered.text.lower() or "sqlite" in str(body).lower()

    before = logged.asked
    ask()
    figure("arbitrary searches answered or refused", f"{logged.asked - before:,} of {logged.asked - before:,}")


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO projects (name) VALUES ('x')",
        "UPDATE traces SET output = 'x'",
        "DELETE FROM traces",
        "DROP TABLE traces",
        "CREATE TABLE x (y)",
        "CREATE TEMP TABLE x AS SELECT 1",
        "REINDEX",
        "VACUUM",
        "PRAGMA user_version = 99",
        "ATTACH DATABASE '{folder}/stolen.db' AS s; CREATE TABLE s.t AS SELECT * FROM traces",
        "VACUUM INTO '{folder}/stolen.db'",
    ],
)
@pytest.mark.usefixtures("unchanged")
def test_s7_what_reads_cannot_write(logged: Logged, statement: str, tmp_path: Path) -> None:
    connection = open_reader(logged.gateway.data / "traces.db")
    try:
        for one in statement.format(folder=tmp_path).split("; "):
            if one.startswith(("ATTACH", "PRAGMA")):
                try:
                    connection.execute(one)
                except sqlite3.OperationalError:
                    break
            else:
                with pytest.raises(
                    sqlite3.OperationalError, match="readonly|read-only|not authorized|attempt to write"
                ):
                    connection.execute(one)
        assert connection.execute("PRAGMA user_version").fetchone()[0] != 99
    finally:
        connection.close()
    assert [path.name for path in tmp_path.iterdir() if path.stat().st_size] == []
