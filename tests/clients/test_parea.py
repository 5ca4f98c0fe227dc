"""parea-ai 0.2.220, unmodified, with nothing set but PAREA_BASE_URL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.gateway import Local, rows
from tests.upstreams.fleet import Fleet

HERE = Path(__file__).parent
DEPLOYMENT = {"model": "echo", "version": "7", "messages": [{"role": "user", "content": "Hello {{name}}"}]}


@pytest.fixture(scope="module")
def gateway(_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    echo = {"model_name": "echo", "litellm_params": {"model": "echo/echo"}}
    config = {"model_list": [echo], "providers": _fleet.providers, "deployments": {"p-hello": DEPLOYMENT}}
    with Local(tmp_path_factory.mktemp("gateway"), config) as running:
        yield running


def run(gateway: Local, script: str, *arguments: str) -> str:
    environ = {"PATH": os.environ["PATH"], "PAREA_BASE_URL": gateway.parea, "HOME": str(gateway.data)}
    command = [sys.executable, str(HERE / script), *arguments]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def seen(gateway: Local) -> dict[str, Any]:
    # the client itself prints as well; the last line is the script's
    found: dict[str, Any] = json.loads(run(gateway, "parea_script.py").splitlines()[-1])
    return found


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("completion", ["You said: Hello Ada", "success", "echo", 0.0, None]),
        ("again", True),
        ("stream", "You said: data: one two"),
        ("vendor", ["Hello from openai", 6, 5, True]),
        ("function", {"city": "Paris"}),
        ("failed", ["error", "", True]),
        ("prompt", [[{"role": "user", "content": "Hello Ada"}], 7.0]),
        ("deployed", "You said: Hello Bob"),
        ("acompletion", "You said: async"),
        ("astream", "You said: async stream"),
        ("stream_error", ["HTTPStatusError", 404]),
    ],
)
def test_what_the_client_saw(seen: dict[str, Any], what: str, expected: Any) -> None:
    assert seen[what] == expected


def test_an_asynchronous_stream_fails_too(seen: dict[str, Any]) -> None:
    assert "astream_error" not in seen


def tree(gateway: Local, root: str, size: int) -> dict[str, dict[str, Any]]:
    """The rows of a trace by id, once the client's background threads have sent all of them."""
    end = time.monotonic() + 10
    while len(found := rows(gateway.data, "root_trace_id = ?", root)) < size and time.monotonic() < end:
        time.sleep(0.05)
    return {row["trace_id"]: row for row in found}


@pytest.mark.parametrize(("root", "leaves"), [("trunk", 2), ("async_trunk", 3)])
def test_functions_and_the_completions_inside_them_are_one_tree(
    gateway: Local, seen: dict[str, Any], root: str, leaves: int
) -> None:
    found = tree(gateway, seen[root], 1 + 2 * leaves)
    below = [row for row in found.values() if row["parent_trace_id"] == seen[root]]
    completions = [row for row in found.values() if row["name"] == "llm-echo"]
    assert len(found) == 1 + 2 * leaves
    assert len(below) == leaves
    assert {row["parent_trace_id"] for row in completions} == {row["trace_id"] for row in below}


def test_a_function_that_raised_is_an_error(gateway: Local, seen: dict[str, Any]) -> None:
    (row,) = tree(gateway, seen["broken"], 1).values()
    assert row["status"] == "error"
    assert "on purpose" in row["error"]


def test_a_long_cached_answer_arrives_whole_every_time(gateway: Local) -> None:
    with ThreadPoolExecutor(4) as pool:
        outputs = list(pool.map(lambda _: run(gateway, "replay_script.py", "10", "200000"), range(4)))
    assert [output.splitlines()[-1] for output in outputs] == ["10"] * 4
