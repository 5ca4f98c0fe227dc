"""parea-ai 0.2.220, unmodified, with nothing set but PAREA_BASE_URL."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.clients import environment
from tests.gateway import Local, rows


@pytest.fixture(scope="module")
def seen(gateway: Local, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("home")
    return environment.seen(environment.DEVELOPMENT, "parea_script.py", home=home, PAREA_BASE_URL=gateway.parea)


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


def test_a_long_cached_answer_arrives_whole_every_time(gateway: Local, tmp_path: Path) -> None:
    def replay(_: int) -> str:
        script, arguments, environ = "replay_script.py", ["10", "200000"], {"PAREA_BASE_URL": gateway.parea}
        return environment.run(environment.DEVELOPMENT, script, *arguments, home=tmp_path, **environ)

    with ThreadPoolExecutor(4) as pool:
        outputs = list(pool.map(replay, range(4)))
    assert [output.splitlines()[-1] for output in outputs] == ["10"] * 4


def test_a_key_that_may_not_see_the_log_completes_and_logs_at_once(tmp_path: Path) -> None:
    """Refused, the client would try what it logs three times, with seconds between."""
    keyed = {"hash": f"sha256:{sha256(b'a-key').hexdigest()}", "models": ["echo"], "project": "support"}
    models = [{"model_name": "echo", "litellm_params": {"model": "echo/echo"}}]
    with Local(tmp_path, {"model_list": models, "keys": {"team": keyed}}) as gateway:
        gateway.wait_until_ready()
        environ = {"PAREA_BASE_URL": gateway.parea, "PAREA_API_KEY": "a-key"}
        saw = environment.seen(environment.DEVELOPMENT, "parea_keyed_script.py", home=tmp_path, **environ)
        found = tree(gateway, saw["function"], 2)
    assert (saw["project"], saw["answer"]) == ("support", "You said: hi")
    assert saw["seconds"] < 2
    assert {(row["key"], row["project_name"]) for row in found.values()} == {("team", "support")}
    assert {row["name"] for row in found.values()} >= {"asked", "llm-echo"}
