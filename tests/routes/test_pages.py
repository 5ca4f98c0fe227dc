"""The log by HTTP: the same filters as on the command line, page by page."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Iterator
from functools import partialmethod
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from proxy.cli import main
from proxy.errors import NotReady
from proxy.selection import Selection, Slice
from proxy.stores.log.reader import Reader
from tests.gateway import Local

CONFIG: dict[str, Any] = {"model_list": [{"model_name": "echo", "litellm_params": {"model": "echo/echo"}}]}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    with Local(tmp_path_factory.mktemp("gateway"), CONFIG) as gateway:
        for number in range(5):
            said: dict[str, Any] = {
                "trace_id": f"t{number}",
                "trace_name": "x",
                "output": f"said {number}",
                "root_trace_id": "t0",
            }
            said |= {"start_timestamp": f"2026-01-01T00:00:0{number}", "status": "error" if number == 3 else "success"}
            said |= {"latency": number, "metadata": {"team": "red"}, "parent_trace_id": "t0" if number else None}
            assert gateway.client.post("/trace_log", json=said).json()["logged"]
        yield gateway


def ask(gateway: Local, path: str, params: dict[str, Any], expected: int = 200) -> Any:
    response = httpx.get(f"{gateway.url}/admin/{path}", params=params)
    assert response.status_code == expected, response.text
    return response.json()


def test_pages_follow_each_other(gateway: Local) -> None:
    found: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = ask(gateway, "log", {"limit": 2, **after})
        found += [row["trace_id"] for row in page["rows"]]
        if page["after"] is None:
            break
        after = {"after": page["after"]}
    assert found == ["t4", "t3", "t2", "t1", "t0"]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"status": "error"}, ["t3"]),
        ({"search": "said 2"}, ["t2"]),
        ({"where": "latency > 2 AND status = 'success'"}, ["t4"]),
        ({"rows": "tops"}, ["t0"]),
        ({"since": "2026-01-01T00:00:04"}, ["t4"]),
        ({"since": "all"}, ["t4", "t3", "t2", "t1", "t0"]),
        ({"project": "other"}, []),
    ],
)
def test_filters(gateway: Local, params: dict[str, str], expected: list[str]) -> None:
    assert [row["trace_id"] for row in ask(gateway, "log", params)["rows"]] == expected


@pytest.mark.parametrize(
    ("path", "params", "status"),
    [
        ("log", {"where": "DELETE FROM traces"}, 400),
        ("log", {"where": "(SELECT load_extension('x'))"}, 400),
        ("log", {"where": "metadata ->> '$withheld'"}, 400),
        ("log", {"after": "nothing"}, 400),
        ("log", {"since": "soon"}, 400),
        ("log", {"limit": 501}, 422),
        ("log", {"status": "other"}, 422),
        ("stats", {"by": "nothing"}, 400),
        ("log/nothing", {}, 404),
        ("sql", {}, 422),
        ("sql", {"query": "select withheld from traces"}, 400),
        ("sql", {"query": "delete from traces where output = 'withheld'"}, 400),
        ("sql", {"query": "select 1; select 'withheld'"}, 400),
        ("sql", {"query": "select 1", "limit": 10_001}, 422),
    ],
)
def test_what_cannot_be_asked(gateway: Local, path: str, params: dict[str, Any], status: int) -> None:
    told = ask(gateway, path, params, status)
    assert "detail" in told
    assert "withheld" not in json.dumps(told)


def test_one_row_and_those_below_it(gateway: Local) -> None:
    found = ask(gateway, "log/t0", {})
    assert found["row"]["output"] == "said 0"
    assert [row["trace_id"] for row in found["below"]] == ["t1", "t2", "t3", "t4"]


def test_a_row_by_the_beginning_of_its_id_and_a_session_by_its_own(tmp_path: Path) -> None:
    with Local(tmp_path, CONFIG) as gateway:
        for name in ("one-1", "one-2", "other"):
            said = {
                "trace_id": name,
                "trace_name": "x",
                "session_id": "sess-1",
                "start_timestamp": "2026-01-01T00:00:00",
            }
            assert gateway.client.post("/trace_log", json=said).json()["logged"]
        assert ask(gateway, "log/ot", {})["row"]["trace_id"] == "other"
        told = ask(gateway, "log/one", {}, 400)["detail"]
        assert "one-1, one-2" in str(told)
        session = ask(gateway, "log/sess-1", {})
        assert session["row"] is None
        assert [row["trace_id"] for row in session["below"]] == ["one-1", "one-2", "other"]


@pytest.mark.parametrize(
    ("path", "params", "told"),
    [
        ("log", {"bogus": "withheld"}, "there is no 'bogus'"),
        (
            "log",
            {"statuss": "withheld", "limits": "withheld"},
            "no 'statuss'; did you mean \"status\"?, there is no 'limits'",
        ),
        ("stats", {"after": "withheld"}, "there is no 'after'"),
        ("log/t0", {"id": "withheld"}, "there is no 'id'"),
        ("log", {"x" * 500: "withheld"}, f"there is no '{'x' * 40}'"),
    ],
)
def test_what_is_not_known_is_not_passed_over(gateway: Local, path: str, params: dict[str, str], told: str) -> None:
    found = json.dumps(ask(gateway, path, params, 400)["detail"])
    assert json.dumps(told)[1:-1] in found
    assert "withheld" not in found


def test_of_many_rows_the_last_days_are_added_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Local(tmp_path, CONFIG) as gateway:
        for name, day in (("old", "2025-12-01"), ("edge", "2026-01-01"), ("new", "2026-01-08")):
            said = {"trace_id": name, "trace_name": "x", "start_timestamp": f"{day}T00:00:00"}
            assert gateway.client.post("/trace_log", json=said).json()["logged"]

        def calls(**params: str) -> int:
            (group,) = ask(gateway, "stats", params)["groups"]
            return int(group["calls"])

        assert (calls(), ask(gateway, "stats", {})["since"]) == (3, None)
        monkeypatch.setattr("proxy.stores.log.listing.MANY", 2)
        assert (calls(), calls(since="all"), calls(since="2025-01-01")) == (2, 3, 3)
        assert ask(gateway, "stats", {})["since"].startswith("2026-01-01T00:00:00")


def test_figures(gateway: Local) -> None:
    (group,) = ask(gateway, "stats", {"by": "metadata.team"})["groups"]
    assert (group["group"], group["calls"], group["errors"], group["p95"]) == ("red", 5, 1, 4.0)


def test_questions_in_sql(gateway: Local) -> None:
    asked = "select trace_id as id, length(trace_id) as a, x'00' as a, 9e999 as c from traces order by id"
    found = ask(gateway, "sql", {"query": asked, "limit": 2})
    assert found["columns"] == ["id", "a", "a:1", "c"]
    assert found["rows"] == [{"id": f"t{n}", "a": 2, "a:1": "00", "c": None} for n in range(2)]
    assert (found["more"], ask(gateway, "sql", {"query": asked, "limit": 5})["more"]) == (True, False)
    assert ask(gateway, "sql", {"query": "select 1 where 0"}) == {"columns": ["1"], "rows": [], "more": False}
    told = ask(gateway, "sql", {"query": "select absent from traces"}, 400)["detail"]
    assert told == "query: cannot be answered (no such column); parea-proxy log sql tells what is wrong with it"
    large = (
        "with recursive n(i) as (values (1) union all select i + 1 from n limit 100) select hex(zeroblob(1e5)) from n"
    )
    assert "more than 8 MiB" in ask(gateway, "sql", {"query": large}, 400)["detail"]


def test_a_question_ends(gateway: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reader, "ask", partialmethod(Reader.ask, seconds=0.1))
    endless = "with recursive n(i) as (values (1) union all select i from n) select count(*) from n"
    assert "stopped after 0.1 s" in ask(gateway, "sql", {"query": endless}, 400)["detail"]


@pytest.mark.parametrize("form", ["jsonl", "openai", "parea", "humanloop", "csv"])
def test_an_export_is_what_the_command_line_writes(tmp_path: Path, form: str) -> None:
    with Local(tmp_path, CONFIG) as gateway:
        for number in range(7):
            content = f"=said {number}\x1b"
            gateway.complete(
                {"llm_configuration": {"model": "echo", "messages": [{"role": "user", "content": content}]}}
            )
        found = httpx.get(f"{gateway.url}/admin/export", params={"format": form, "since": "1d"})
        assert found.status_code == 200
        kind = "text/csv; charset=utf-8" if form == "csv" else "application/x-ndjson"
        assert found.headers["content-type"] == kind
        assert found.headers["content-disposition"].startswith('attachment; filename="')
        command = ["log", "export", "--format", form, "--data", str(gateway.data), "--output", str(tmp_path / "out")]
        told = CliRunner().invoke(main, [*command, "--config", str(tmp_path / "gateway.yaml")])
        assert told.exit_code == 0, told.output
        assert found.text == (tmp_path / "out").read_text()
        assert found.text.count("\n") >= 7


def test_an_export_is_read_page_by_page_and_breaks_off_where_it_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.routes.export.AT_ONCE", 2)
    asked: list[str | None] = []

    def page(reader: Reader, selection: Selection, after: str | None = None, limit: int = 50) -> Slice:
        asked.append(after)
        if len(asked) == 7:
            raise NotReady("the trace log cannot be read")
        return whole(reader, selection, after, limit)

    whole = Reader.page
    with Local(tmp_path, CONFIG) as gateway:
        for number in range(5):
            said = {"trace_id": f"t{number}", "trace_name": "x", "start_timestamp": f"2026-01-01T00:00:0{number}"}
            assert gateway.client.post("/trace_log", json=said).json()["logged"]
        monkeypatch.setattr(Reader, "page", page)
        lines = httpx.get(f"{gateway.url}/admin/export").text.splitlines()
        assert [json.loads(line)["trace_id"] for line in lines] == ["t4", "t3", "t2", "t1", "t0"]
        assert len(asked) == 3
        assert httpx.get(f"{gateway.url}/admin/export", params={"where": "absent"}).status_code == 400
        asked.append(None)
        with httpx.stream("GET", f"{gateway.url}/admin/export") as broken:
            assert broken.status_code == 200
            with pytest.raises(httpx.RemoteProtocolError):
                broken.read()


def test_an_export_ends_with_its_client(gateway: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    async def endless(*_: object) -> AsyncGenerator[str, None]:
        try:
            while True:
                yield await asyncio.to_thread("x".__mul__, 65536)
        finally:
            ended.set()

    monkeypatch.setattr("proxy.routes.export._pieces", endless)
    with httpx.stream("GET", f"{gateway.url}/admin/export") as response:
        assert next(response.iter_raw())
    assert ended.wait(10)


def test_the_document_tells_what_may_be_asked(gateway: Local) -> None:
    paths = httpx.get(f"{gateway.url}/openapi.json").json()["paths"]

    def asked(path: str) -> set[str]:
        return {one["name"] for one in paths[path]["get"]["parameters"]}

    filters = {"project", "model", "status", "since", "search", "where"}
    assert asked("/admin/log") == filters | {"rows", "after", "limit"}
    assert asked("/admin/stats") == filters | {"rows", "by", "limit"}
    assert asked("/admin/sql") == {"query", "limit"}
    assert asked("/admin/export") == filters | {"format"}
    told = paths["/admin/export"]["get"]["responses"]
    assert {"application/x-ndjson", "text/csv"} <= set(told["200"]["content"])
    assert "400" in told


def test_it_is_the_masters(tmp_path: Path) -> None:
    config = {
        **CONFIG,
        "general_settings": {"master_key": "the-key"},
        "keys": {"reader": {"hash": f"sha256:{sha256(b'the-reader-key').hexdigest()}", "log": True}},
    }
    with Local(tmp_path, config) as gateway:
        for path in ("log", "log/t0", "stats", "sql?query=select 1", "export"):
            assert httpx.get(f"{gateway.url}/admin/{path}").status_code == 401
            refused = httpx.get(f"{gateway.url}/admin/{path}", headers={"x-api-key": "the-reader-key"})
            assert refused.status_code == 403
        assert httpx.get(f"{gateway.url}/admin/log", headers={"x-api-key": "the-key"}).json()["rows"] == []
