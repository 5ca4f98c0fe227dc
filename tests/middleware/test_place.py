from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import AsyncGeneratorType
from typing import Any

import httpx
import pytest

from proxy.config.settings import LogSettings
from proxy.middleware.place import place
from proxy.models import Call, Event
from proxy.record import Record
from proxy.stores.log.sqlite import SQLiteLog, trace_log
from tests.gateway import Local, rows
from tests.middleware.calls import make_call, make_completion

ECHO = {"model_name": "echo", "litellm_params": {"model": "echo/echo"}}
BODY = {"model": "echo", "messages": [{"role": "user", "content": "x"}]}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    with Local(tmp_path_factory.mktemp("gateway"), {"model_list": [ECHO]}) as running:
        yield running


def ask(gateway: Local, text: str = "x", **headers: str) -> str:
    """The trace id of an answered call."""
    body = {"model": "echo", "messages": [{"role": "user", "content": text}]}
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    response = httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=sent)
    assert response.status_code == 200, response.text
    return response.headers["x-trace-id"]


def test_a_tree_of_any_depth_needs_no_more_than_each_parent(gateway: Local) -> None:
    for above, below in (("", "g0"), ("g0", "g1"), ("g1", "g2"), ("g2", "g3")):
        ask(gateway, x_trace_id=below, **({"x_parent_trace_id": above} if above else {}))
    found = {row["trace_id"]: row for row in rows(gateway.data, "root_trace_id = 'g0'")}
    assert {name: row["parent_trace_id"] for name, row in found.items()} == {
        "g0": None,
        "g1": "g0",
        "g2": "g1",
        "g3": "g2",
    }


def test_the_session_is_the_parents_too(gateway: Local) -> None:
    ask(gateway, x_trace_id="in-session", x_session_id="s-1")
    below = ask(gateway, x_parent_trace_id="in-session")
    assert gateway.row(below)["session_id"] == "s-1"


def test_an_unknown_parent_is_the_root(gateway: Local) -> None:
    below = ask(gateway, x_parent_trace_id="elsewhere")
    assert gateway.row(below)["root_trace_id"] == "elsewhere"


def test_an_id_in_a_header_of_every_call_makes_a_row_for_each(gateway: Local) -> None:
    ids = [ask(gateway, f"call {number}", x_trace_id="same") for number in range(3)]
    assert ids[0] == "same"
    assert len(set(ids)) == 3
    found = rows(gateway.data, "root_trace_id = 'same'")
    assert sorted(row["output"] for row in found) == [f"You said: call {number}" for number in range(3)]
    assert {row["parent_trace_id"] for row in found} == {None, "same"}


def test_so_do_calls_at_the_same_time(gateway: Local) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda number: ask(gateway, f"at once {number}", x_trace_id="at-once"), range(8)))
    assert len(set(ids)) == 8
    assert len(rows(gateway.data, "root_trace_id = 'at-once'")) == 8


def test_a_repeated_id_brings_nothing_into_a_row_that_omits(gateway: Local) -> None:
    ask(gateway, "private-zebra", x_trace_id="zebra")
    second = ask(gateway, "x", x_trace_id="zebra", x_log_omit="all")
    assert gateway.row(second)["output"] is None
    assert gateway.row("zebra")["output"] == "You said: private-zebra"


def test_a_repeated_id_with_a_parent_stays_below_its_parent(gateway: Local) -> None:
    ask(gateway, x_trace_id="trunk")
    ask(gateway, x_trace_id="leaf", x_parent_trace_id="trunk")
    again = ask(gateway, x_trace_id="leaf", x_parent_trace_id="trunk")
    assert again != "leaf"
    assert gateway.row(again)["parent_trace_id"] == gateway.row(again)["root_trace_id"] == "trunk"


def test_parea_repeats_a_request_with_its_id_and_means_one_row(gateway: Local) -> None:
    body: dict[str, Any] = {"llm_configuration": BODY, "inference_id": "repeated"}
    assert [gateway.complete(body)["inference_id"] for _ in range(3)] == ["repeated"] * 3
    assert len(rows(gateway.data, "root_trace_id = 'repeated'")) == 1


@pytest.fixture
def log(tmp_path: Path) -> SQLiteLog:
    return trace_log(tmp_path, LogSettings())


async def ended(call: Call) -> AsyncGenerator[Event, None]:
    yield make_completion()


async def test_a_call_that_leaves_nothing_open_goes_straight_on(log: SQLiteLog) -> None:
    call = make_call()
    events = place(log)(ended)(call)
    assert isinstance(events, AsyncGeneratorType)
    assert events.ag_code is ended.__code__
    await events.aclose()
    await log.close()


async def test_an_id_is_free_again_when_its_call_has_left_no_row(log: SQLiteLog) -> None:
    handler = place(log)(ended)
    for _ in range(2):
        call = make_call()
        call.request.trace.claimed = True
        async for _ in handler(call):
            assert call.request.trace.trace_id == "t"
    await log.close()


async def test_a_log_that_cannot_be_read_costs_only_the_answer(tmp_path: Path) -> None:
    log = trace_log(tmp_path, LogSettings())
    await asyncio.wait_for(log.append(Record("p", "r")), 5)
    (tmp_path / "traces.db").write_bytes(b"x" * 4096)
    (tmp_path / "traces.db-wal").unlink(missing_ok=True)
    call = make_call()
    call.request.trace.rooted, call.request.trace.parent_trace_id = False, "p"
    call.request.trace.root_trace_id = "p"
    assert [event async for event in place(log)(ended)(call)]
    assert call.request.trace.root_trace_id in ("p", "r")
    await log.close()
