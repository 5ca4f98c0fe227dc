"""One call of any API but Parea's, and the row that it leaves."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from tests.canary.search import search, send
from tests.gateway import Process, rows
from tests.spoken import SPOKEN, Spoken, events

OTHERS = tuple(one for one in SPOKEN if one.name != "parea")
"""Parea's routes have a file of their own."""

CACHED = {"x-cache": "true"}
streams = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def newest(gateway: Process) -> dict[str, Any]:
    return next(iter(rows(gateway.data, "1 ORDER BY rowid DESC LIMIT 1")), {})


def ask(
    gateway: Process, case: str, one: Spoken, body: Any, headers: dict[str, str], *, stream: bool, patience: float = 30
) -> tuple[httpx.Response | None, dict[str, Any]]:
    """The answer and the row of a call; what a stream tells of a failure must hold no canary either."""
    before = newest(gateway).get("trace_id")
    response = send(gateway, case, one.route(stream=stream), body, headers, patience=patience)
    end = time.monotonic() + 5
    while (row := newest(gateway)).get("trace_id") == before and time.monotonic() < end:
        time.sleep(0.01)
    assert row.get("trace_id") != before
    if stream and response is not None and response.status_code == 200:
        for event in events(response.text.rpartition("\n\n")[0]):
            if one.told(event):
                data = event[1]
                # a response that failed repeats what was asked, as the API says; the failure itself must not
                search.heard(f"told of {case}", repr(data.get("response", data)["error"]).encode())
    return response, row
