"""The routes by themselves, then the original client against them over a real socket."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from proxy.config import Config
from proxy.protocols import TraceLog, refusal
from proxy.record import Record
from proxy.routes import web
from proxy.routes.traces import Update, Write, router
from proxy.stores.log.sqlite import SQLiteLog
from tests.live import Server

PREFIX = "/api/parea/v1"
ROOT = "5b1f2b52-8d6c-4a6f-9d59-2f9a6a6f0001"


def application(log: TraceLog, write: Write | None = None, update: Update | None = None) -> FastAPI:
    return web.build(
        [(PREFIX, router(Config(), log, write or log.append, update or log.update))], prefix=PREFIX, refuse=refusal([])
    )


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SQLiteLog]:
    log = SQLiteLog(tmp_path / "traces.db")
    yield log
    await log.close()


def connected(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://127.0.0.1{PREFIX}")


@pytest.fixture
async def client(log: SQLiteLog) -> AsyncIterator[httpx.AsyncClient]:
    async with connected(application(log)) as client:
        yield client


def posted(trace_id: str, **fields: Any) -> dict[str, Any]:
    return {"trace_id": trace_id, "start_timestamp": "2026-11-20T15:10:10.970322+00:00", **fields}


async def test_a_project_is_made_and_found(client: httpx.AsyncClient) -> None:
    made = (await client.post("/project", json={"name": "mine", "extra": 1})).json()
    found = (await client.post("/project", json={"name": "mine"})).json()
    assert made == {**found, "was_created": True}
    assert found["was_created"] is False
    assert found["name"] == "mine"
    assert (await client.post("/project", json={})).json()["name"] == "default"


async def test_children_come_before_their_parents(client: httpx.AsyncClient) -> None:
    for trace_id, parent in (("leaf", "mid"), ("mid", ROOT), (ROOT, ROOT)):
        answer = await client.post("/trace_log", json=posted(trace_id, parent_trace_id=parent, root_trace_id=ROOT))
        assert answer.json() == {"trace_id": trace_id, "logged": True}
    tree = (await client.get(f"/trace_log/{ROOT}")).json()
    assert tree["parent_trace_id"] == ROOT
    assert tree["children_logs"][0]["children_logs"][0]["trace_id"] == "leaf"
    assert (await client.get("/trace_log/mid")).json()["children_logs"][0]["trace_id"] == "leaf"
    page = (await client.post("/get_trace_logs", json={"project_name": "default"})).json()
    assert {key: page[key] for key in page if key != "results"} == {
        "total": 1,
        "page": 1,
        "total_pages": 1,
        "page_size": 20,
    }
    assert page["results"] == [tree]


@pytest.mark.parametrize("name", ["nobody", "no/body", "no%0Abody", "%1B%C3%9F%0A"])
async def test_an_unknown_id_is_404(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get(f"/trace_log/{name}")
    assert (answer.status_code, answer.json()) == (404, {"detail": "trace_id: no log has this id"})


async def test_a_client_that_repeats_itself_leaves_one_row(client: httpx.AsyncClient, log: SQLiteLog) -> None:
    for _ in range(3):
        await client.post("/trace_log", json=posted("t", status="error", error="x"))
    assert (await log.health())["rows"] == 1


async def test_a_function_around_a_completion_keeps_what_the_gateway_counted(
    client: httpx.AsyncClient, log: SQLiteLog
) -> None:
    await log.append(
        Record("t", "t", start_timestamp="2026", cost=0.5, input_tokens=3, cache_hit=True, output="answer")
    )
    zeros = {"cost": 0.0, "input_tokens": 0, "cache_hit": False, "output": None, "latency": 0.0}
    await client.post("/trace_log", json=posted("t", trace_name="f", **zeros))
    tree = (await client.get("/trace_log/t")).json()
    assert [tree[name] for name in ("cost", "input_tokens", "cache_hit", "output", "trace_name")] == [
        0.5,
        3,
        True,
        "answer",
        "f",
    ]


async def test_an_edit_before_and_after_its_log(client: httpx.AsyncClient) -> None:
    async def put(**fields: Any) -> int:
        return (await client.put("/trace_log", json={"trace_id": "t", "field_name_to_value_map": fields})).status_code

    assert await put(trace_name="edited", colour="red") == 200
    await client.post("/trace_log", json=posted("t", trace_name="original", output="o"))
    assert await put(scores=[{"name": "q", "score": 1}]) == 200
    tree = (await client.get("/trace_log/t")).json()
    assert (tree["trace_name"], tree["colour"], tree["output"]) == ("edited", "red", "o")
    assert tree["scores"] == [{"name": "q", "score": 1.0}]


async def test_feedback_by_either_id_is_kept_with_the_scores(client: httpx.AsyncClient) -> None:
    await client.post("/feedback", json={"inference_id": "t", "score": 0, "target": "better"})
    await client.post("/trace_log", json=posted("t", scores=[{"name": "q", "score": 0.5, "reason": "r"}]))
    await client.post("/feedback", json={"trace_id": "t", "score": 1, "name": "thumbs", "comment": "nice"})
    tree = (await client.get("/trace_log/t")).json()
    assert (tree["feedback_score"], tree["target"]) == (1.0, "better")
    assert sorted(tree["scores"], key=lambda score: score["name"]) == [
        {"name": "feedback", "score": 0.0},
        {"name": "q", "score": 0.5, "reason": "r"},
        {"name": "thumbs", "score": 1.0, "reason": "nice"},
    ]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "where"),
    [
        ("POST", "/trace_log", {"inputs": {}}, 422, ["body", "trace_id"]),
        ("POST", "/trace_log", {"trace_id": "t", "cost": "CANARY"}, 422, ["body", "cost"]),
        ("PUT", "/trace_log", {"trace_id": "t", "field_name_to_value_map": {"cost": "CANARY"}}, 422, None),
        ("POST", "/feedback", {"trace_id": "t", "score": 7.25}, 422, ["body", "score"]),
        ("POST", "/feedback", {"score": 1}, 422, ["body", "trace_id"]),
        ("POST", "/trace_log/langchain", {"id": None}, 422, ["body", "id"]),
        ("POST", "/trace_log/CANARY", {"id": "x"}, 404, None),
        ("POST", "/get_trace_logs", {"filter_field": "CANARY", "filter_value": "1"}, 400, None),
        ("POST", "/get_trace_logs", {"filter_field": "cost", "filter_operator": "CANARY"}, 400, None),
        ("POST", "/get_trace_logs", {"page": "CANARY"}, 422, ["body", "page"]),
    ],
)
async def test_refusals_name_the_field_and_not_the_value(
    client: httpx.AsyncClient, method: str, path: str, body: Any, status: int, where: list[str] | None
) -> None:
    answer = await client.request(method, path, json=body)
    assert answer.status_code == status
    assert "CANARY" not in answer.text
    assert "7.25" not in answer.text
    if where:
        assert answer.json()["detail"][0]["loc"] == where


async def test_everything_goes_through_the_processors(log: SQLiteLog) -> None:
    written: list[str] = []
    updated: list[str] = []

    def write(record: Record) -> asyncio.Future[bool]:
        written.append(record.trace_id)
        record.output = None
        return log.append(record)

    def update(trace_id: str, fields: Any, key: str | None = None) -> asyncio.Future[bool]:
        updated.append(trace_id)
        return log.update(trace_id, {name: value for name, value in fields.items() if name != "output"}, key)

    async with connected(application(log, write, update)) as client:
        await client.post("/trace_log", json=posted("a", output="secret", log_sample_rate=0.25))
        await client.post("/trace_log/langchain", json={"id": "b", "child_runs": [{"id": "c"}]})
        await client.put("/trace_log", json={"trace_id": "a", "field_name_to_value_map": {"output": "secret"}})
        await client.post("/feedback", json={"trace_id": "b", "score": 1})
    assert (written, updated) == (["a", "b", "c"], ["a", "b"])
    record = await log.get("a")
    assert record is not None
    assert (record.output, record.sample_rate) == (None, 0.25)


async def test_a_log_that_cannot_be_stored_is_answered_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("")
    log = SQLiteLog(tmp_path / "blocked" / "traces.db")
    async with connected(application(log)) as client:
        assert (await client.post("/trace_log", json=posted("t"))).json() == {"trace_id": "t", "logged": False}
        assert (await client.post("/project", json={"name": "p"})).json()["was_created"] is True
    await log.close()


def test_the_original_client(tmp_path: Path) -> None:
    program = Path(__file__).with_name("parea_client.py")
    log = SQLiteLog(tmp_path / "traces.db")
    with Server(lambda: application(log)) as server:
        environment = {**os.environ, "PAREA_BASE_URL": server.url + PREFIX}
        done = subprocess.run([sys.executable, program], env=environment, capture_output=True, text=True, timeout=50)
    asyncio.run(log.close())
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])  # the client talks too
    leaf: dict[str, Any] = {"leaf": [{"score_length": []}]}
    assert seen["outline"] == {"the-root": [{"coroutine": []}, {"coroutine": []}, {"threads": [leaf, leaf]}]}
    assert seen["root"] == {
        "trace_name": "the-root",
        "status": "success",
        "output": '{"answer": "why?"}',
        "end_user_identifier": "ann",
        "session_id": "s1",
        "inputs": {"question": "why?"},
    }
    assert seen["leaf"] == {
        "scores": [["length", 6.0, "counted"]],
        "metadata": {"purpose": "test", "n": "5"},
        "output": "oneone",
    }
    assert seen["omitted"] == [{}, None, None]
    assert seen["failing"] == ["error", True]
    assert seen["edited"] == ["because", {"a": "1"}, 0.5, [["thumbs", 0.5, "fine"]]]
    assert seen["langchain"] == {"chain": [{"tool": []}]}
    everything = ["failing", "omitted", "the-root"]
    assert seen["searches"] == {
        "all": [3, 1, everything],
        "like": [1, 1, ["the-root"]],
        "status": [1, 1, ["failing"]],
        "metadata": [1, 1, ["the-root"]],
        "score": [1, 1, ["the-root"]],
        "paged": [3, 2, everything[2:]],
        "elsewhere": [0, 0, []],
    }
