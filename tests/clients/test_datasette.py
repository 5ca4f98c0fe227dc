"""Datasette, unmodified, on the trace log of a gateway that goes on serving."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.clients import environment
from tests.gateway import Local

VIEWS = ["cache", "deployments", "messages", "requests", "sessions", "spend_daily", "totals", "trees"]


def ask(gateway: Local, text: str) -> str:
    body = {"model": "echo", "messages": [{"role": "system", "content": "s" * 2000}, {"role": "user", "content": text}]}
    response = gateway.client.post(f"{gateway.url}/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    return response.headers["x-trace-id"]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    with Local(tmp_path_factory.mktemp("read")) as running:
        ask(running, "first")
        yield running


@pytest.fixture(scope="module")
def datasette(gateway: Local, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of Datasette on the gateway's log."""
    home = tmp_path_factory.mktemp("datasette")
    command = [str(environment.program("datasette", "datasette")), "serve", str(gateway.data / "traces.db"), "-p", "0"]
    environ = {"PATH": os.environ["PATH"], "HOME": str(home)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environ, text=True) as process:
        try:
            assert process.stderr is not None
            lines: list[str] = []
            while not (found := re.search(r"running on (http://127\.0\.0\.1:\d+)", "".join(lines))):
                assert (line := process.stderr.readline()), "".join(lines)
                lines.append(line)
            with httpx.Client(base_url=found[1]) as client:
                yield client
        finally:
            process.terminate()


def rows(datasette: httpx.Client, path: str, **query: str) -> Any:
    response = datasette.get(path, params={"_shape": "array", **query})
    assert response.status_code == 200, response.text
    return response.json()


def test_it_lists_the_views(datasette: httpx.Client) -> None:
    assert sorted(view["name"] for view in datasette.get("/traces.json").json()["views"]) == VIEWS


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_has_a_page(datasette: httpx.Client, view: str) -> None:
    for path in (f"/traces/{view}", f"/traces/{view}.json"):
        assert datasette.get(path).status_code == 200
    assert "<th" in datasette.get("/traces/requests").text


def test_it_sees_calls_as_they_are_answered(gateway: Local, datasette: httpx.Client) -> None:
    before = len(rows(datasette, "/traces/trees.json"))
    trace_id = ask(gateway, "second")
    (found,) = rows(datasette, "/traces/requests.json", trace_id=trace_id)
    assert (found["dialect"], found["status"], found["output"]) == ("openai", "success", "You said: second")
    assert len(rows(datasette, "/traces/trees.json")) == before + 1
    said = rows(datasette, "/traces/messages.json", trace_id=trace_id, _sort="place")
    assert [(one["role"], one["content"][:6]) for one in said] == [("system", "ssssss"), ("user", "second")]


def test_a_person_s_own_query_runs(datasette: httpx.Client) -> None:
    query = "SELECT model, sum(calls) AS calls FROM spend_daily GROUP BY model"
    (found,) = rows(datasette, "/traces.json", sql=query)
    assert found["calls"] >= 1
