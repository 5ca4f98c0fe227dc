"""The beginning and the end of a process: what is served before LiteLLM is there, what a signal leaves behind, and two
workers on one port.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway import Process, rows
from tests.upstreams.fleet import Fleet
from tests.upstreams.scenario import Reply, Scenario

ECHO = {"model_list": [{"model_name": "echo", "litellm_params": {"model": "echo/echo"}}]}
ROOT = Path(__file__).parents[1]


def asked(model: str = "echo", provider: str | None = None, **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"say {uuid.uuid4()}"}]
    return {"llm_configuration": {"model": model, "provider": provider, "messages": messages}, **fields}


def kept(cache: Path) -> int:
    """The answers in the cache's database."""
    with closing(sqlite3.connect(f"file:{cache}?mode=ro", uri=True)) as connection:
        found: int = connection.execute("SELECT count(*) FROM Cache").fetchone()[0]
        return found


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """Every request has a connection of its own, so that any worker may get it."""
    with httpx.Client(verify=False, timeout=30, limits=httpx.Limits(max_keepalive_connections=0)) as client:
        yield client


def test_a_cached_answer_is_served_before_litellm_is_loaded(fleet: Fleet, tmp_path: Path, client: httpx.Client) -> None:
    config = ECHO | {"providers": fleet.providers}
    body = asked()
    with Process(tmp_path, config) as gateway:
        first = client.post(f"{gateway.parea}/completion", json=body)
    with Process(tmp_path, config) as gateway:
        hit = client.post(f"{gateway.parea}/completion", json=body)
        ready = client.get(f"{gateway.url}/ready")
        # what needs LiteLLM waits for it, instead of failing
        waited = client.post(f"{gateway.parea}/completion", json=asked("gpt-4o-mini", "openai"))
        afterwards = client.get(f"{gateway.url}/ready")
    assert (first.headers["x-cache"], hit.headers["x-cache"]) == ("miss", "hit")
    assert first.json()["content"] == hit.json()["content"]
    assert (ready.status_code, list(ready.json()["reasons"])) == (503, ["litellm"])
    assert "load" in ready.json()["reasons"]["litellm"]
    assert waited.json()["content"] == "Hello from openai"
    assert afterwards.status_code == 200


@pytest.mark.fault("D10")
def test_a_signal_lets_a_running_stream_finish_and_loses_no_row(
    fleet: Fleet, tmp_path: Path, client: httpx.Client
) -> None:
    fleet["openai"].script = Scenario(Reply(("one ", "two ", "three")), delay=1.0)
    running = asked("gpt-4o-mini", "openai", trace_id=str(uuid.uuid4()))
    with Process(tmp_path, ECHO | {"providers": fleet.providers}) as gateway, ThreadPoolExecutor(9) as pool:
        stream = pool.submit(client.post, f"{gateway.parea}/completion/stream", json=running)
        assert fleet["openai"].arrived.wait(20)
        answers = [pool.submit(client.post, f"{gateway.parea}/completion", json=asked()) for _ in range(100)]
        answers[9].result()
        gateway.process.send_signal(signal.SIGTERM)
        streamed = stream.result()
        assert gateway.process.wait(20) in (0, -signal.SIGTERM)
        answered = [answer.result() for answer in answers if answer.exception() is None]
    pieces = [json.loads(event.removeprefix("data: "))["chunk"] for event in streamed.text.split("\r\n\r\n") if event]
    assert "".join(pieces) == "one two three"
    kept = {row["trace_id"]: row["status"] for row in rows(gateway.data)}
    assert kept[running["trace_id"]] == "success"
    assert len(answered) >= 10
    assert {response.json()["trace_id"] for response in answered} <= kept.keys()


@pytest.mark.fault("S4")
@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_no_network_is_served_without_a_key(host: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "proxy", "serve", "--host", host, "--port", "0", "--data", str(tmp_path / "data")]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "without a key" in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.fault("D5")
def test_two_workers_serve_log_and_cache_together(tmp_path: Path, client: httpx.Client) -> None:
    with Process(tmp_path, ECHO, PAREA_PROXY_WORKERS="2") as gateway:
        url = f"{gateway.parea}/completion"
        with ThreadPoolExecutor(8) as pool:
            answered = list(pool.map(lambda _: client.post(url, json=asked()), range(100)))
        body = asked()
        first = client.post(url, json=body)
        # the other worker finds it on the disk, for which the answer does not wait
        on_disk = tmp_path / "data" / "cache" / "cache.db"
        end = time.monotonic() + 5
        while kept(on_disk) < len(answered) + 1:
            assert time.monotonic() < end, "the answers do not come into the cache"
            time.sleep(0.01)
        others = [client.post(url, json=body) for _ in range(20)]
    assert {response.status_code for response in (*answered, first, *others)} == {200}
    assert (first.headers["x-cache"], {other.headers["x-cache"] for other in others}) == ("miss", {"hit"})
    assert len(set(re.findall(r"Started server process \[(\d+)\]", gateway.output.read_text()))) == 2
    ids = {response.json()["trace_id"] for response in (*answered, first, *others)}
    assert ids == {row["trace_id"] for row in rows(gateway.data)}


def test_health_is_answered_all_the_while(tmp_path: Path) -> None:
    with Process(tmp_path, ECHO) as gateway:
        health, ready = [], [503]
        while ready[-1] != 200:
            health.append(httpx.get(f"{gateway.url}/health").status_code)
            ready.append(httpx.get(f"{gateway.url}/ready").status_code)
    assert set(health) == {200}
    assert set(ready) == {200, 503}
