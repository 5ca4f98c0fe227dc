from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from proxy import __version__, cli
from proxy.config import STARTER, load
from proxy.config.settings import CacheSettings
from proxy.record import Record
from proxy.stores.cache.diskcache import cache_store
from proxy.stores.log.sqlite import SQLiteLog

ROOT = Path(__file__).parents[1]
SECRET = "hunter2-secret"


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty current directory, an empty home, and no key in the environment."""
    for name in list(os.environ):
        if name not in {"PATH", "LANG", "LC_ALL", "TMPDIR"}:
            monkeypatch.delenv(name)
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")


def run(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(cli.main, arguments, env=environ, prog_name="parea-proxy")


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments], env=environ, capture_output=True, text=True, timeout=30, check=False
    )


def stored(folder: Path, *records: Record) -> None:
    async def write() -> None:
        log = SQLiteLog(folder / "traces.db")
        for record in records:
            assert await log.append(record)
        await log.close()

    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(write())


def record(trace_id: str, **fields: Any) -> Record:
    fields = {"root_trace_id": trace_id, "start_timestamp": "2026-01-01T00:00:00.000000+00:00", **fields}
    return Record(trace_id, **fields)


@pytest.mark.parametrize(
    "command",
    [
        "--version",
        "--help",
        "check",
        "init",
        "traces",
        "traces none",
        "log",
        "log show a",
        "log stats",
        "log sql VALUES(1)",
        "log export",
        "cache stats",
        "cache clear",
        "deployments list --stats",
    ],
)
def test_no_command_but_serve_imports_what_serving_needs(command: str) -> None:
    stored(Path.home() / ".parea-proxy", record("a"))
    (Path.home() / ".parea-proxy" / "cache").mkdir()
    code = f"""
import sys
from proxy.cli import main
try:
    main({command.split()!r})
except SystemExit as end:
    code = end.code
heavy = {{"litellm", "fastapi", "uvicorn", "starlette", "openai", "proxy.app"}} & set(sys.modules)
print("imported:", sorted(heavy), "exit:", code)
"""
    done = python("-c", code)
    expected = 2 if command == "traces none" else 0
    assert done.stdout.splitlines()[-1] == f"imported: [] exit: {expected}", done.stderr


def test_version_imports_next_to_nothing() -> None:
    done = python("-X", "importtime", "-m", "proxy", "--version")
    assert done.stdout == f"parea-proxy {__version__}\n"
    assert not [line for line in done.stderr.splitlines() if line.endswith((" pydantic", " yaml", " rich", " asyncio"))]


def test_help_names_every_command_and_has_examples() -> None:
    found = run("--help")
    assert found.exit_code == 0
    for word in ("serve", "check", "init", "traces", "cache", "Examples:"):
        assert word in found.output
    assert "..." not in found.output.partition("Commands:")[2]


@pytest.mark.parametrize(
    "option", ["config", "host", "port", "data", "workers", "mode", "cassette", "pace", "log-level"]
)
def test_every_option_of_serve_is_an_environment_variable(option: str) -> None:
    assert f"PAREA_PROXY_{option.upper().replace('-', '_')}" in "".join(run("serve", "--help").output.split())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--mode", "record"], "--mode record: needs --cassette (PAREA_PROXY_CASSETTE)"),
        (["--cassette", "tapes"], "--cassette: needs --mode record, replay or auto"),
        (["--mode", "auto", "--cassette", "tapes", "--workers", "2"], "--mode auto: needs --workers 1"),
        (["--mode", "replay", "--cassette", "tapes"], "--cassette tapes: No such file or directory: record first"),
        (["--mode", "record", "--cassette", "/dev/null/tapes"], "--cassette /dev/null/tapes: Not a directory\n"),
    ],
)
def test_serve_needs_to_know_what_it_plays(options: list[str], told: str) -> None:
    found = run("serve", "--port", "0", *options)
    assert found.exit_code == 2
    assert found.stderr.startswith(told)
    assert not Path("tapes").exists()


@pytest.mark.fault("S4")
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.com", ""])
def test_serve_refuses_a_network_without_a_key(host: str) -> None:
    found = run("serve", "--host", host)
    assert found.exit_code == 2
    assert "refusing to listen" in found.stderr
    assert not (Path.home() / ".parea-proxy").exists()


@pytest.mark.fault("S4")
@pytest.mark.parametrize("data", [".", "..", "~"])
def test_serve_refuses_a_data_folder_that_others_need(data: str) -> None:
    found = run("serve", "--data", str(Path(data).expanduser()))
    assert found.exit_code == 2
    assert "must be a folder of its own" in found.stderr


def test_a_port_that_is_no_number_is_told_with_its_variable() -> None:
    found = run("serve", PAREA_PROXY_PORT="abc")
    assert found.exit_code == 2
    assert "PAREA_PROXY_PORT" in found.stderr


def test_a_port_in_use_is_told_before_anything_is_written() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        found = run("serve", "--port", str(port))
    assert found.exit_code == 2
    assert found.stderr == (
        f"cannot listen on 127.0.0.1: port {port} is in use: choose another with --port (PAREA_PROXY_PORT)\n"
    )
    assert not (Path.home() / ".parea-proxy").exists()


@pytest.mark.parametrize(
    ("store", "told"),
    [
        ("os:system", "cache.store: 'os:system' cannot be used: TypeError: "),
        ("builtins:print", "cache.store: 'builtins:print' cannot be used: what it makes has no get, set, clear"),
        ("no_such:thing", "cache.store: no module 'no_such' for 'no_such:thing'"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_told_without_a_traceback(store: str, told: str) -> None:
    Path("config.yaml").write_text(f"cache: {{store: '{store}'}}")
    done = python("-m", "proxy", "serve", "--port", "0")
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    stored(Path("log"), record("a"))
    for form in ([], ["--json"], ["a"]):
        reading, writing = os.pipe()
        os.close(reading)
        command = [sys.executable, "-m", "proxy", "traces", "--data", "log", *form]
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=environ, stdout=writing, stderr=subprocess.PIPE, timeout=30, check=False)
        os.close(writing)
        assert (done.returncode, done.stderr) == (0, b"")


def test_serve_tells_a_broken_config_in_one_message() -> None:
    Path("config.yaml").write_text("cash: {}\nlog: {omit: al}\n")
    found = run("serve")
    assert found.exit_code == 2
    assert found.stderr == (
        "config.yaml: 2 problems\n"
        '  line 1: cash: unknown key; did you mean "cache"?\n'
        "  line 2: log.omit: should be 'none', 'inputs', 'outputs' or 'all'; did you mean \"all\"?\n"
    )


def test_serve_answers_until_it_is_told_to_stop() -> None:
    Path("config.yaml").write_text(
        "router_settings: {redis_host: x}\nmodel_list: [{model_name: m, litellm_params: {model: echo/echo}}]"
    )
    Path("data").mkdir(mode=0o755)
    told = served()
    assert stat.S_IMODE(Path("data").stat().st_mode) == 0o700
    assert "Application shutdown complete" in told
    assert "config.yaml, line 1: router_settings.redis_host is LiteLLM's; not supported here: no Redis" in told
    assert "config: config.yaml | data: data\nm -> echo/echo\n" in told
    assert Path("data/traces.db").exists()


def test_serve_says_little_when_it_shall_and_takes_every_loopback_address() -> None:
    told = served("--log-level", "warning", host="127.0.0.2")
    assert told == ""


def served(*options: str, host: str = "127.0.0.1") -> str:
    """What `serve` says on stderr while it comes up, answers once, and is told to stop."""
    with socket.socket() as free:
        free.bind((host, 0))
        port = free.getsockname()[1]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PAREA_PROXY_PORT": str(port)}
    command = [sys.executable, "-m", "proxy", "serve", "--host", host, *options]
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert wait_for(f"http://{host}:{port}/health", server) == 200
        finally:
            server.send_signal(signal.SIGTERM)
            _, told = server.communicate(timeout=20)
    assert server.returncode in {0, -signal.SIGTERM}
    return told


def wait_for(url: str, server: subprocess.Popen[str]) -> int:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.URLError:
            time.sleep(0.02)  # until the port opens
    raise AssertionError("the server did not come up")


def test_check_prints_where_each_name_leads_and_no_secret() -> None:
    Path("config.yaml").write_text(
        f"""
model_list:
  - {{model_name: fast, litellm_params: {{model: groq/llama, api_key: os.environ/TEAM_KEY, tags: [x]}}}}
  - {{model_name: fast, litellm_params: {{model: openai/gpt-4o}}}}
  - {{model_name: own, litellm_params: {{model: openai/x, api_key: {SECRET}, api_base: "http://u:{SECRET}@h:1/v1?k={SECRET}"}}}}
general_settings: {{master_key: {SECRET}}}
"""
    )
    found = run("check", TEAM_KEY=SECRET)
    assert found.exit_code == 0
    rows = [" ".join(line.split()) for line in found.stdout.splitlines()]
    assert "fast 100% groq/llama TEAM_KEY - 3 called" in rows
    assert "fast openai/gpt-4o - - 4 no api_key: set OPENAI_API_KEY, or write it here" in rows
    assert "own 100% openai/x at http://h:1/v1 config - 5 called" in rows
    assert (
        "warning: line 3: model_list[0].litellm_params.tags is LiteLLM's; not supported here: no routing"
        in found.stdout
    )
    assert SECRET not in found.output


def test_check_as_json() -> None:
    Path("config.yaml").write_text(
        "model_list: [{model_name: a, litellm_params: {model: groq/x}}]\nrouter_settings: {redis_port: 1}"
    )
    found = run("check", "--json", GROQ_API_KEY=SECRET, PAREA_PROXY_KEY=SECRET)
    value = json.loads(found.stdout)
    target = {"id": "groq/x", "target": "groq/x", "key_from": "GROQ_API_KEY", "api_base": None, "used": True}
    limits = dict.fromkeys(("rpm", "tpm", "max_parallel", "timeout", "first_token_timeout", "idle_timeout"))
    assert value["models"] == {"a": [{**target, "order": 0, "share": 1.0, "place": None, **limits, "line": 1}]}
    assert value["providers"]["groq"] == {"key_from": "GROQ_API_KEY", "api_base": None, "missing": []}
    assert value["providers"]["azure"]["missing"] == ["api_key", "api_base"]
    assert (value["valid"], value["config"], value["master_key"]) == (True, "config.yaml", False)
    assert value["warnings"] == [
        {
            "key": "router_settings.redis_port",
            "message": "is LiteLLM's; not supported here"
            ": no Redis: what is known is shared by the workers of one machine",
            "line": 2,
            "kind": "key",
            "file": "",
        }
    ]
    assert SECRET not in found.output


def test_check_tells_what_each_project_has_deployed() -> None:
    Path("config.yaml").write_text(
        """
deployments: {p: {model: gpt-4o}, q: {model: gpt-4o}}
projects:
  support: {id: pr_1, default: live, environments: {try: {experiment: {p: 3, q: 1}}, live: q}}
"""
    )
    rows = [" ".join(line.split()) for line in run("check").stdout.splitlines()]
    assert "project environment deployment share" in rows
    assert rows[rows.index("support try p 75.0%") :][:3] == [
        "support try p 75.0%",
        "support try q 25.0%",
        "support live (default) q",
    ]
    value = json.loads(run("check", "--json").stdout)
    project = value["projects"]["support"]
    assert (project["id"], project["default"]) == ("pr_1", "live")
    assert project["environments"]["try"]["deployments"] == {"p": 3, "q": 1}
    assert value["deployments"]["p"]["config_id"].startswith("config_")


def test_check_of_a_broken_config() -> None:
    Path("other.yaml").write_text(f"providers: {{opnai: {{api_key: {SECRET}}}}}")
    told = run("check", "--config", "other.yaml")
    assert (told.exit_code, told.stdout) == (2, "")
    assert 'line 1: providers.opnai: unknown key; did you mean "openai"?' in told.stderr
    as_json = run("check", "--json", PAREA_PROXY_CONFIG="other.yaml")
    assert as_json.exit_code == 2
    assert json.loads(as_json.stdout) == {"valid": False, "error": told.stderr.rstrip("\n")}
    assert SECRET not in told.output + as_json.output


def test_check_without_a_config_file_is_the_built_in_one() -> None:
    assert "built-in config is valid." in run("check").stdout


def test_init_writes_the_built_in_config_and_overwrites_nothing() -> None:
    assert run("init").exit_code == 0
    assert Path("config.yaml").read_text("utf-8") == STARTER.read_text("utf-8")
    assert load(Path("config.yaml"), {}).models == load(None, {}).models
    Path("config.yaml").write_text("mine")
    refused = run("init")
    assert refused.exit_code == 2
    assert refused.stderr == "config.yaml exists already: --force overwrites it\n"
    assert Path("config.yaml").read_text() == "mine"
    assert run("init", "--force").exit_code == 0
    assert Path("config.yaml").read_text() != "mine"
    assert run("init", "no/such/folder.yaml").exit_code == 2


def test_traces_lists_newest_first() -> None:
    stored(
        Path("log"),
        record("old", status="success", project_name="one", model="gpt-4o", latency=1.5, cost=0.25, total_tokens=7),
        record("new", status="error", start_timestamp="2026-01-02T00:00:00.000000+00:00", error=f"{SECRET}"),
        record("child", root_trace_id="old", parent_trace_id="old"),
    )

    def ids(*options: str) -> list[str]:
        found = run("traces", "--data", "log", "--json", *options)
        assert found.exit_code == 0
        return [row["trace_id"] for row in json.loads(found.stdout)]

    assert ids() == ["new", "old"]
    assert ids("--limit", "1") == ["new"]
    assert ids("--status", "success") == ["old"]
    assert ids("--project", "one") == ["old"]
    lines = run("traces", PAREA_PROXY_DATA="log").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["trace", "new", "old", "2"]
    assert lines[2].split()[-6:] == ["gpt-4o", "1.500", "s", "$0.250000", "7", "success"]


def test_traces_shows_one_as_a_tree() -> None:
    stored(
        Path("log"),
        record("root-1", name="agent", status="success", latency=2.0),
        record("kid-1", root_trace_id="root-1", parent_trace_id="root-1", name="plan", model="gpt-4o", total_tokens=9),
        record(
            "kid-2", root_trace_id="root-1", parent_trace_id="kid-1", name="tool\x1b[2J", status="error", error="boom"
        ),
    )
    for name in ("root-1", "root"):
        lines = run("traces", name, "--data", "log").stdout.splitlines()
        assert lines == [
            "agent    2.000 s  success  root-1",
            "└── plan  gpt-4o  9 tokens  -  kid-1",
            "    └── tool\N{REPLACEMENT CHARACTER}[2J    error  boom  kid-2",
        ]
    below = json.loads(run("traces", "kid-1", "--data", "log", "--json").stdout)
    assert [row["trace_id"] for row in below] == ["kid-1", "kid-2"]


@pytest.mark.parametrize("name", ["elsewhere", "talk"])
def test_traces_shows_a_tree_or_a_session_without_a_row_of_its_own(name: str) -> None:
    place = {"root_trace_id": "elsewhere", "session_id": "talk"}
    stored(
        Path("log"),
        record("kid-1", parent_trace_id="span", name="plan", **place),
        record("kid-2", parent_trace_id="kid-1", name="tool", **place),
        record("kid-3", parent_trace_id="span", name="end", **place),
        record("other"),
    )
    lines = run("traces", name, "--data", "log").stdout.splitlines()
    assert lines == [
        f"{name}  no row of its own",
        "├── plan    -  kid-1",
        "│   └── tool    -  kid-2",
        "└── end    -  kid-3",
    ]


def test_traces_shows_every_row_however_deep() -> None:
    chain = [record(f"r{place}", parent_trace_id=f"r{place - 1}" if place else None) for place in range(1_500)]
    stored(Path("log"), *(dataclasses.replace(one, root_trace_id="r0") for one in chain))
    shown = run("traces", "r0", "--data", "log").stdout.splitlines()
    assert [line.split()[-1] for line in shown] == [f"r{place}" for place in range(1_500)]
    assert shown[-1].startswith("\u2026 1459 \u2026 ")


@pytest.mark.parametrize("name", ["absent", "%", ""])
def test_traces_of_an_unknown_id(name: str) -> None:
    stored(Path("log"), record("root-1"), record("root-2"))
    found = run("traces", name, "--data", "log")
    assert found.exit_code == 2
    assert "parea-proxy traces lists them" in found.stderr


def test_traces_without_a_log_makes_none() -> None:
    found = run("traces")
    assert found.exit_code == 2
    assert str(Path.home() / ".parea-proxy" / "traces.db") in found.stderr
    assert not (Path.home() / ".parea-proxy").exists()


def test_cache_stats_and_clear() -> None:
    async def fill() -> None:
        store = cache_store(Path("data"), CacheSettings())
        await store.set(b"key", b"x" * 100)
        await store.close()

    Path("config.yaml").write_text("cache: {ttl: 1d}")
    assert run("cache", "stats").stdout == "0 entries, 0 bytes\n"
    assert not Path("data").exists()
    Path("data").mkdir()
    asyncio.run(fill())
    before = json.loads(run("cache", "stats", "--json").stdout)
    assert before["entries"] == 1
    assert before["bytes"] > 0
    assert json.loads(run("cache", "clear", "--json").stdout) == {"dropped": 1}
    assert json.loads(run("cache", "stats", "--json").stdout)["entries"] == 0
    assert run("cache", "clear").stdout == "0 entries dropped\n"


def test_cache_in_memory_cannot_be_seen_from_outside() -> None:
    Path("config.yaml").write_text("cache: {store: memory}")
    found = run("cache", "stats")
    assert found.exit_code == 2
    assert "inside the serving process" in found.stderr
