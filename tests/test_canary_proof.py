"""`doctor --canary` on whole configurations: it holds where nothing leaks, and tells where something does."""

from __future__ import annotations

import asyncio
import json
import logging
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from click.testing import CliRunner, Result

from proxy.cli import main
from proxy.commands.doctor import canary
from proxy.commands.doctor.questions import PROJECT
from proxy.commands.doctor.standin import StandIn
from proxy.errors import UpstreamError
from proxy.middleware import write
from proxy.middleware.flight import Flight
from proxy.record import Record
from proxy.stores.log.sqlite import SQLiteLog
from tests.gateway import Local, rows

ECHO = {"model_list": [{"model_name": "echo", "litellm_params": {"model": "echo/echo"}}]}
# nobody listens there, and nobody is asked
VENDOR = {
    "model_list": [
        {
            "model_name": "gpt-4o",
            "litellm_params": {"model": "openai/gpt-4o", "api_key": "k", "api_base": "http://127.0.0.1:9", "rpm": 1},
        }
    ]
}


def doctor(folder: Path, config: dict[str, Any], *more: str) -> Result:
    path = folder / "gateway.yaml"
    path.write_text(yaml.safe_dump(config))
    return CliRunner().invoke(
        main, ["doctor", "--canary", "--config", str(path), "--data", str(folder / "data"), *more]
    )


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few of the calls are enough to see whether it works."""
    monkeypatch.setattr(canary, "ENDINGS", ("answered", "refused"))


KEY = sha256(b"somebody's").hexdigest()
CONFIGS: dict[str, dict[str, Any]] = {
    "plain": ECHO,
    "a vendor with a limit": VENDOR,
    "inputs omitted": {**ECHO, "log": {"omit": "inputs"}},
    "few traces kept": {**ECHO, "log": {"sample_rate": 0.0}},
    "redacted": {**ECHO, "log": {"redact": ["emails", "keys", "cards"]}},
    "a master key": {**ECHO, "general_settings": {"master_key": "the-masters-key"}},
    "keys": {**VENDOR, "keys": {"ada": {"hash": f"sha256:{KEY}", "omit": "outputs", "rpm": 1, "models": ["gpt*"]}}},
    "in memory": {**ECHO, "cache": {"store": "memory"}},
    "two dialects": {**ECHO, "server": {"dialects": ["openai", "humanloop"]}},
}


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("name", CONFIGS)
def test_it_holds_where_nothing_leaks(tmp_path: Path, name: str) -> None:
    found = doctor(tmp_path, CONFIGS[name], "--json")
    told = json.loads(found.stdout)
    assert (found.exit_code, told["holds"], told["found"], told["refused"]) == (0, True, [], {}), told
    assert told["calls"] > 50
    assert told["canaries"] > 50
    assert told["kept"]["expected"] == told["kept"]["found"] > 5
    assert told["rows_removed"] == told["calls"]
    assert rows(tmp_path / "data") == []


def test_it_says_so(tmp_path: Path) -> None:
    found = doctor(tmp_path, ECHO)
    assert found.exit_code == 0, found.output
    assert "300 calls by 13 routes" in found.stdout
    assert "0 found" in found.stdout
    assert found.stdout.endswith("What is to be omitted is written nowhere.\n")


@pytest.mark.usefixtures("few")
def test_beside_a_gateway_its_rows_stay_and_those_of_the_proof_go(tmp_path: Path) -> None:
    with Local(tmp_path, ECHO) as gateway:
        body = {"model": "echo", "messages": [{"role": "user", "content": "Hi " * 1000}]}
        answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=body)
        assert doctor(tmp_path, ECHO).exit_code == 0
        again = httpx.post(f"{gateway.url}/v1/chat/completions", json=body)
        kept = [row["trace_id"] for row in rows(gateway.data)]
        assert kept == [answer.headers["x-trace-id"], again.headers["x-trace-id"]]
        names = [one["name"] for one in httpx.get(f"{gateway.url}/v4/projects").json()["records"]]
        assert PROJECT not in names


@pytest.mark.usefixtures("few")
def test_rows_of_a_proof_that_was_killed_go_with_those_of_the_next(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)

    async def left_over() -> None:
        log = SQLiteLog(data / "traces.db")
        assert await log.append(Record("t-1", "t-1", project_name=PROJECT))
        assert await log.append(Record("t-2", "t-2", project_name="somebody's"))
        await log.close()

    asyncio.run(left_over())
    assert doctor(tmp_path, ECHO).exit_code == 0
    assert [row["trace_id"] for row in rows(data)] == ["t-2"]


@pytest.mark.usefixtures("few")
def test_what_leaks_into_the_log_is_told_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(record: Record) -> Record:
        return record

    monkeypatch.setattr(write, "omit", forgetful)
    found = doctor(tmp_path, ECHO)
    assert found.exit_code == 1
    assert "traces.db" in found.stdout
    assert found.stdout.endswith("What is to be omitted is written.\n")
    assert rows(tmp_path / "data") == []


@pytest.mark.usefixtures("few")
def test_what_leaks_into_the_cache_or_the_words_of_the_gateway_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Flight, "writable", property(lambda flight: True, lambda flight, value: None), raising=False)
    failure = StandIn._failure

    def noisy(provider: StandIn) -> UpstreamError:
        logging.getLogger("noisy").info("it fails: %s", provider.said)
        return failure(provider)

    monkeypatch.setattr(StandIn, "_failure", noisy)
    found = doctor(tmp_path, ECHO, "--json")
    assert found.exit_code == 1
    places = {one.partition(",")[0] for one in json.loads(found.stdout)["found"]}
    assert places <= {"cache/cache.db", "cache/cache.db-wal", "what the gateway said"}
    assert len(places) >= 2


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    "log", [{"redact": [{"name": "all", "pattern": r"kept\w+"}]}, {"omit": "all"}], ids=["redacted", "omitted"]
)
def test_where_nothing_is_kept_nothing_is_proved(tmp_path: Path, log: dict[str, Any]) -> None:
    found = doctor(tmp_path, {**ECHO, "log": log})
    assert found.exit_code == 1
    assert "This proves nothing" in found.stdout


def test_another_store_cannot_be_searched(tmp_path: Path) -> None:
    found = doctor(tmp_path, {**ECHO, "log": {"store": "somewhere.else:log"}})
    assert found.exit_code == 2
    assert "log.store" in found.output
