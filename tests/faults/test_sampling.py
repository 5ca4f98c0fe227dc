"""D11: traces of several calls each, sampled by two workers that get their calls in any order.

What must stay true: a trace is kept whole or not at all; the share that is kept is the rate, as far as chance allows;
the totals count every call, kept or not.
"""

from __future__ import annotations

import random
import sqlite3
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.load import ECHO
from tests.faults.plugin import Figure
from tests.gateway import Process, rows

pytestmark = pytest.mark.fault("D11")

RATE = 0.3
CALLS = 3
"""Of each trace: its root and two below it."""


def calls(root: str) -> list[dict[str, Any]]:
    """The calls of one trace."""
    ids = [root, *(str(uuid.uuid4()) for _ in range(CALLS - 1))]
    asked = {"model": "echo", "messages": [{"role": "user", "content": "three words here"}]}
    return [
        {
            "trace_id": trace_id,
            "root_trace_id": root,
            "parent_trace_id": root,
            "log_sample_rate": RATE,
            "cache": False,
            "llm_configuration": asked,
        }
        for trace_id in ids
    ]


def test_d11_a_trace_is_kept_or_dropped_whole(tmp_path: Path, full: bool, figure: Figure) -> None:
    traces = 2000 if full else 200
    bodies = [body for _ in range(traces) for body in calls(str(uuid.uuid4()))]
    random.shuffle(bodies)
    with Process(tmp_path, ECHO, PAREA_PROXY_WORKERS="2") as gateway:

        def ask(some: list[dict[str, Any]]) -> set[int]:
            with httpx.Client(timeout=30) as client:
                return {client.post(f"{gateway.parea}/completion", json=body).status_code for body in some}

        with ThreadPoolExecutor(6) as pool:
            assert set().union(*pool.map(ask, (bodies[part::6] for part in range(6)))) == {200}
    kept = Counter(row["root_trace_id"] for row in rows(gateway.data))
    with closing(sqlite3.connect(gateway.data / "traces.db")) as connection:
        counted = connection.execute("SELECT calls, input_tokens FROM totals").fetchone()
    figure(
        f"traces kept in part, of {traces:,} with {CALLS} calls each",
        f"{sum(number != CALLS for number in kept.values())} ({len(kept):,} kept at a rate of {RATE})",
    )
    assert set(kept.values()) == {CALLS}
    # five standard deviations of a binomial share
    assert abs(len(kept) / traces - RATE) < 5 * (RATE * (1 - RATE) / traces) ** 0.5
    assert counted == (CALLS * traces, 3 * CALLS * traces)
