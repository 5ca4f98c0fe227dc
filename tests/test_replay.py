"""`parea-proxy replay` over real sockets: what was logged by a gateway is called again, with vendors on loopback."""

from __future__ import annotations

import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from contextlib import closing, suppress
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from click.testing import CliRunner, Result

from proxy.cli import main
from tests.gateway import Local, rows
from tests.upstreams.fleet import MODELS, Fleet
from tests.upstreams.scenario import SCENARIOS, TIME, Reply, Scenario, ToolUse

ROME = Scenario(Reply(("The capital of Italy", " is Rome."), usage=(10, 20)))
MILAN = Scenario(Reply(("The capital of Italy", " is Milan, of course."), usage=(10, 40)))
ASK = [{"role": "user", "content": "What is the capital of Italy?"}]
TOOL = {
    "type": "function",
    "function": {"name": "weather", "description": "", "parameters": {"type": "object", "properties": {}}},
}


class Lab:
    """A folder with a config whose models `a` and `b` are two vendors, a gateway that has logged, and its log."""

    def __init__(self, folder: Path, fleet: Fleet) -> None:
        self.folder, self.fleet = folder, fleet
        self.data = folder / "data"
        self.path = folder / "gateway.yaml"
        self.first, self.second = fleet["openai"], fleet["groq"]
        self.first.script, self.second.script = ROME, MILAN
        self.config: dict[str, Any] = {
            "model_list": [self._model("a", "openai", 1e-6), self._model("b", "groq", 1e-7)],
            "router_settings": {"num_retries": 0},
        }

    def _model(self, name: str, vendor: str, cost: float) -> dict[str, Any]:
        entry = self.fleet.providers[vendor]
        prices = {"input_cost_per_token": cost, "output_cost_per_token": cost}
        params = {"model": f"{vendor}/{MODELS[vendor]}", "api_base": entry["api_base"], "api_key": entry["api_key"]}
        return {"model_name": name, "litellm_params": {**params, **prices}}

    def gateway(self) -> Local:
        return Local(self.folder, self.config)

    def logged(self, **fields: Any) -> str:
        """The trace id of a chat that a gateway of this folder has answered, and logged."""
        with self.gateway() as gateway:
            return self.ask(gateway, **fields)

    def ask(self, gateway: Local, **fields: Any) -> str:
        path, headers = fields.pop("path", "/v1/chat/completions"), fields.pop("headers", {})
        body = {"model": "a", "messages": ASK, **fields}
        answer = httpx.post(gateway.url + path, json=body, headers=headers, timeout=20)
        return answer.headers["x-trace-id"]

    def command(self, *arguments: str) -> list[str]:
        self.path.write_text(yaml.safe_dump(self.config))
        return ["replay", *arguments, "--config", str(self.path), "--data", str(self.data)]

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, self.command(*arguments), prog_name="parea-proxy")

    def process(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """The same as its users run it."""
        environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        command = [sys.executable, "-m", "proxy", *self.command(*arguments)]
        return subprocess.Popen(command, env=environ, text=True, **{"stdout": -1, "stderr": -1, **options})

    def refused(self, *arguments: str) -> str:
        """The one line in which a command is refused, before anybody is called."""
        before = len(self.first.requests) + len(self.second.requests)
        found = self.run(*arguments)
        assert (found.exit_code, found.stdout) == (2, ""), found.output
        assert len(self.first.requests) + len(self.second.requests) == before
        return found.stderr.splitlines()[-1]

    def told(self, *arguments: str, status: int = 0) -> dict[str, Any]:
        found = self.run(*arguments, "--json")
        assert found.exit_code == status, found.output
        told: dict[str, Any] = json.loads(found.stdout)
        return told

    def children(self, trace_id: str) -> list[dict[str, Any]]:
        return sorted(rows(self.data, "parent_trace_id = ?", trace_id), key=lambda row: row["trace_id"])

    def files(self) -> dict[str, bytes]:
        """What is in the data folder, but for what every reader of a log makes."""
        found = [path for path in self.data.rglob("*") if path.is_file() and path.name[-4:] not in ("-shm", "-wal")]
        return {str(path): path.read_bytes() for path in found}


@pytest.fixture
def lab(tmp_path: Path, fleet: Fleet) -> Lab:
    return Lab(tmp_path, fleet)


def test_another_model_is_asked_the_same_and_its_answer_stands_below_the_first(lab: Lab) -> None:
    trace_id = lab.logged(temperature=0.5, max_tokens=77, seed=7, stop=["."])
    found = lab.run(trace_id, "--model", "b")
    assert found.exit_code == 0, found.output
    (child,) = lab.children(trace_id)
    assert (child["root_trace_id"], child["model"], child["status"]) == (trace_id, MODELS["groq"], "success")
    assert child["tags"] == ["replay"]
    assert child["notes"]["replay"]["number"] == 1
    (sent,) = lab.second.requests
    (first,) = lab.first.requests
    same = {"messages", "temperature", "max_tokens", "seed", "stop"}
    assert {name: sent.json[name] for name in same} == {name: first.json[name] for name in same}
    assert found.stdout.splitlines()[0] == f"different  {trace_id} -> {child['trace_id']}"
    assert "The capital of Italy is[- Rome-]{+ Milan, of course+}." in found.stdout
    assert "cost $0.000030 -> $0.000005 (-83%)" in found.stdout
    assert "calls        1 of 1: 0 same, 1 different, 0 failed" in found.stdout
    assert found.stderr.startswith("1 call of 1 row to groq/")


def test_the_same_call_gives_the_same_answer_and_not_the_cached_one(lab: Lab) -> None:
    with lab.gateway() as gateway:
        asked = [lab.ask(gateway, headers={"x-cache": "true"}, cache=True) for _ in range(2)]
    before = len(lab.first.requests)
    told = lab.told(*asked, "-n", "3")
    assert told["totals"]["verdicts"] == {"same": 6}
    assert len(lab.first.requests) == before + 6
    assert [one["number"] for one in told["calls"]] == [1, 2, 3] * 2
    assert {child["cache_hit"] for child in lab.children(asked[0])} == {0}


def test_tool_calls_are_compared_by_the_keys_of_their_arguments(lab: Lab) -> None:
    lab.first.script = Scenario(
        Reply(tools=(ToolUse("call00001", "weather", {"city": "Rome", "days": 2, "at": {"hour": 9}}), TIME))
    )
    lab.second.script = Scenario(
        Reply(("Let me look.",), (ToolUse("call00009", "weather", {"at": {"hour": 10}, "city": "Rome", "unit": "C"}),))
    )
    trace_id = lab.logged(tools=[TOOL], tool_choice="auto")
    found = lab.run(trace_id, "--model", "b")
    assert found.exit_code == 0, found.output
    assert '  weather(days: [-2-], at.hour: [-9-]{+10+}, unit: {+"C"+})' in found.stdout
    assert '  get_time is not called(zone: [-"Europe/Paris"-])' in found.stdout
    assert "{+Let me look.+}" in found.stdout
    assert lab.second.requests[-1].json["tools"] == lab.first.requests[-1].json["tools"]
    assert lab.second.requests[-1].json["tool_choice"] == "auto"
    lab.second.script = lab.first.script
    assert lab.told(trace_id, "--model", "b")["totals"]["verdicts"] == {"same": 1}


def test_an_answer_to_tools_is_sent_as_it_was(lab: Lab) -> None:
    call = {"id": "call00001", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    said = [
        *ASK,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call00001", "content": "warm"},
    ]
    trace_id = lab.logged(messages=said, tools=[TOOL])
    assert lab.told(trace_id)["totals"]["verdicts"] == {"same": 1}
    first, again = lab.first.requests
    assert again.json == first.json


def test_a_long_conversation_is_sent_whole_and_a_stream_as_one(lab: Lab) -> None:
    said = [{"role": role, "content": f"{role} {'word ' * 200}"} for role in ("system", "user", "assistant", "user")]
    trace_id = lab.logged(messages=said, stream=True)
    with closing(sqlite3.connect(lab.data / "traces.db")) as connection:
        ((apart,),) = connection.execute("SELECT conversation IS NOT NULL FROM traces WHERE trace_id = ?", (trace_id,))
    assert apart, "the messages are in the row itself, and nothing is shown"
    assert lab.told(trace_id, "--model", "b")["totals"]["verdicts"] == {"different": 1}
    assert lab.second.requests[-1].json["messages"] == said
    (child,) = lab.children(trace_id)
    assert child["notes"]["stream"] is True
    assert child["time_to_first_token"] is not None


def test_several_choices_are_compared_one_by_one(lab: Lab) -> None:
    trace_id = lab.logged(n=2)
    assert lab.told(trace_id)["totals"]["verdicts"] == {"same": 1}
    lab.second.script = [ROME, MILAN]
    told = lab.told(trace_id, "--model", "b")
    (call,) = told["calls"]
    changed = [any(side != "both" for side, _ in one["text"]) for one in call["difference"]]
    assert sorted(changed) == [False, True]


def test_a_call_that_fails_is_told_and_logged_and_the_others_are_made(lab: Lab) -> None:
    with lab.gateway() as gateway:
        asked = [lab.ask(gateway) for _ in range(3)]
    lab.second.script = [SCENARIOS["e500"], MILAN]
    told = lab.told(*asked, "--model", "b", "--concurrency", "1", status=1)
    assert told["totals"]["verdicts"] == {"failed": 1, "different": 2}
    failed = told["calls"][0]
    (child,) = lab.children(failed["original"])
    assert (child["status"], child["error"]) == ("error", failed["error"])
    assert failed["error"]
    assert told["totals"]["sums"]["cost"]["before"] == pytest.approx(2 * 30e-6)


def test_what_cannot_be_called_again_is_counted_with_its_reason(lab: Lab) -> None:
    with lab.gateway() as gateway:
        lab.ask(gateway, log_omit_inputs=True)
        lab.ask(gateway, path="/v1/embeddings", input="x", messages=None, model="a")
        lab.ask(gateway, model="nobody-knows-this")
        lab.ask(gateway)
        span = {"trace_id": str(uuid.uuid4()), "trace_name": "step", "status": "success"}
        span["root_trace_id"] = span["trace_id"]
        assert gateway.client.post("/trace_log", json={**span, "start_timestamp": "2026-11-20T12:00:00Z"}).is_success
    told = lab.told("--since", "2020-01-01")
    assert told["totals"]["rows"] == 1
    (unknown,) = [reason for reason in told["totals"]["skipped"] if "nobody-knows-this" in reason]
    assert told["totals"]["skipped"] == {
        "its inputs were omitted": 1,
        "an embedding, of which the log keeps no vectors": 1,
        "no call of a model": 1,
        unknown: 1,
    }
    # with another model the one that nobody knows can be called
    told = lab.told("--where", "status <> 'nothing'", "--model", "b")
    assert told["totals"]["rows"] == 2
    assert told["totals"]["skipped"]["a replay itself (name it by its id to call it again)"] == 1


def test_rows_are_chosen_as_the_log_chooses_them(lab: Lab) -> None:
    with lab.gateway() as gateway:
        first = [lab.ask(gateway, user=f"u{at}") for at in range(3)]
        second = lab.ask(gateway, model="b", messages=[{"role": "user", "content": "Needle"}])
    assert json.loads(lab.run("--search", "needle", "--dry-run", "--json").stdout)["rows"] == [second]
    assert json.loads(lab.run("--of-model", "gpt-4o%", "--dry-run", "--json").stdout)["rows"] == first[::-1]
    chosen = lab.run("--where", "latency >= 0 and model like 'gpt%'", "--limit", "2", "--dry-run", "--json")
    assert json.loads(chosen.stdout)["rows"] == first[:0:-1]
    assert "2 calls of 2 rows, the newest: there are more (--limit)" in chosen.stderr
    # the beginning of an id will do, and an id that is named twice is one row
    whole = json.loads(lab.run(second, second[:30], "--dry-run", "--json").stdout)
    assert whole["rows"] == [second]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "which rows? Give ids, or a condition"),
        (["x", "--since", "1h"], "ids or conditions, not both"),
        (["x"], "there is no trace 'x': parea-proxy log lists them"),
        (["--where", "nope = 1"], "where: is no condition on a row: no such column: nope"),
        (["x", "--model", "nobody-knows-this"], "model 'nobody-knows-this' is not in the config (there are: a, b)"),
        (["x", "--model", "deployment/p"], "--model: for a deployment write --deployment p"),
        (["x", "--deployment", "p@v1"], "no deployment 'p@v1' in the config"),
        (["x", "--set", "temprature=0"], 'temprature: no parameter of a model; did you mean "temperature"?'),
        (["x", "--set", "temp=0"], 'temp: no parameter of a model; did you mean "temperature"?'),
        (["x", "--set", "temperature"], "--set temperature: needs a value: NAME=VALUE"),
        (["x", "--set", "temperature=hot"], "--set temperature: input should be a valid number"),
        (["x", "--set", "stream=true"], "--set stream: no parameter of a model: each call is streamed if its row was"),
        (["x", "--set", "model=b"], "--set model: no parameter of a model: write --model"),
        (["x", "--html", "no/such/folder"], "--html no/such/folder: there is no such folder"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anybody_is_called(lab: Lab, arguments: list[str], told: str) -> None:
    lab.logged()
    assert told in lab.refused(*arguments)


def test_parameters_are_set_and_taken_out(lab: Lab) -> None:
    trace_id = lab.logged(temperature=0.5, max_tokens=77)
    stop, user = 'stop=["x", "y"]', "user=somebody"
    assert (
        lab.run(trace_id, "--set", "temperature=0", "--set", stop, "--set", user, "--set", "max_tokens=null").exit_code
        == 0
    )
    sent = lab.first.requests[-1].json
    assert (sent["temperature"], sent["stop"], sent["user"]) == (0, ["x", "y"], "somebody")
    assert not {"max_tokens", "max_completion_tokens"} & sent.keys()


def test_a_number_is_text_where_only_text_fits(lab: Lab) -> None:
    assert lab.run(lab.logged(), "--set", "user=123", "--set", "max_tokens=123").exit_code == 0
    sent = lab.first.requests[-1].json
    assert (sent["user"], sent["max_tokens"]) == ("123", 123)


def test_nothing_that_can_be_called_is_no_success(lab: Lab) -> None:
    trace_id = lab.logged(headers={"x-log-omit": "inputs"})
    page = lab.folder / "report.html"
    page.write_text("an older one")
    found = lab.run(trace_id, "--model", "b", "--html", str(page))
    assert (found.exit_code, found.stdout) == (3, "")
    assert found.stderr.splitlines() == [
        "0 calls of 0 rows to nobody; 1 row skipped",
        "nothing could be called: its inputs were omitted (1)",
    ]
    assert page.read_text() == "an older one"
    assert not lab.second.requests


def test_a_run_ends_with_the_first_row_that_cannot_be_stored(lab: Lab) -> None:
    trace_id = lab.logged()
    with closing(sqlite3.connect(lab.data / "traces.db", isolation_level=None)) as log:
        log.execute("CREATE TRIGGER full BEFORE INSERT ON traces BEGIN SELECT RAISE(ABORT, 'it is full'); END")
    found = lab.run(trace_id, "--model", "b", "-n", "40", "--concurrency", "2")
    assert found.exit_code == 1
    made = len(lab.second.requests)
    assert 1 <= made <= 2
    assert f"{made} of 40, stopped since a row could not be stored" in found.stdout
    assert f"spent        ${made * 5e-6:.6f}" in found.stdout
    assert "it was answered, but its row could not be written" in found.stdout
    assert found.stderr.splitlines()[-1] == "stopped: the log cannot store what is answered"


def test_what_a_run_cost_is_told_also_of_rows_that_cost_nobody_knows_what(lab: Lab) -> None:
    lab.first.script = Scenario(status=400)
    trace_id = lab.logged()
    assert "spent        $0.000005\n" in lab.run(trace_id, "--model", "b").stdout
    totals = lab.told(trace_id, "--model", "b", "-n", "2")["totals"]
    assert totals["spent"] == pytest.approx(1e-5)
    assert totals["sums"]["cost"] == {"before": None, "after": None}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is full")
def test_all_is_told_where_the_report_cannot_be_written(lab: Lab) -> None:
    found = lab.run(lab.logged(), "--model", "b", "--html", "/dev/full")
    assert found.exit_code == 1
    assert "calls        1 of 1: 0 same, 1 different, 0 failed" in found.stdout
    assert found.stderr.splitlines()[-1] == "--html /dev/full: cannot be written: No space left on device"


def test_a_deployment_is_filled_with_what_was_logged(lab: Lab) -> None:
    v1 = {"messages": [{"role": "system", "content": "Be terse, {{name}}."}], "model": "a"}
    v2 = {
        "messages": [{"role": "system", "content": "Be long, {{name}}."}],
        "model": "b",
        "params": {"temperature": 0.25},
    }
    v3 = {"messages": [{"role": "system", "content": "Be {{how}}, {{name}}."}], "model": "b"}
    lab.config["deployments"] = {"p": {"versions": {"v1": v1, "v2": v2, "v3": v3}, "current": "v1"}}
    lab.config["projects"] = {"shop": {"environments": {"production": "p"}}}
    with lab.gateway() as gateway:
        body = {"project": "shop", "inputs": {"name": "Ada {{how}}"}, "messages": ASK}
        answer = httpx.post(f"{gateway.url}/v4/chat-deployed", json=body, timeout=20)
        assert answer.status_code == 200, answer.text
        plain = lab.ask(gateway)
    (row,) = rows(lab.data, "deployment_id = 'p'")
    told = lab.told(row["trace_id"], plain, "--deployment", "p@v2")
    assert told["totals"]["skipped"] == {"no inputs for the deployment": 1}
    sent = lab.second.requests[-1].json
    assert sent["messages"] == [{"role": "system", "content": "Be long, Ada {{how}}."}, *ASK]
    assert sent["temperature"] == 0.25
    (child,) = lab.children(row["trace_id"])
    assert (child["deployment_id"], child["notes"]["deployment"]["version"]) == ("p", "v2")
    (reason,) = lab.told(row["trace_id"], "--deployment", "p@v3", status=3)["totals"]["skipped"]
    assert reason == "deployment 'p' needs inputs that are missing: how"
    # without its own version nobody knows what was said beside it
    lab.config["deployments"]["p"]["versions"]["v1"] = {**v1, "messages": [{"role": "system", "content": "Other."}]}
    (reason,) = lab.told(row["trace_id"], "--deployment", "p@v2", status=3)["totals"]["skipped"]
    assert reason.startswith("its own version of its deployment is not in the config")


def test_what_the_log_omits_is_told_nowhere(lab: Lab, tmp_path: Path) -> None:
    with lab.gateway() as gateway:
        own, plain = lab.ask(gateway, log_omit_outputs=True), lab.ask(gateway)
    page = tmp_path / "page.html"
    told = lab.run(own, "--model", "b", "--html", str(page))
    assert "not compared" in told.stdout
    assert {child["output"] for child in lab.children(own)} == {None}
    lab.config["log"] = {"omit": "all"}
    found = lab.run(plain, "--model", "b", "--html", str(page))
    (child,) = lab.children(plain)
    assert (child["output"], child["notes"]["omitted"]) == (None, ["inputs", "outputs"])
    assert "not compared" in found.stdout
    for said in (told.output, found.output, page.read_text()):
        assert "Milan" not in said
        assert "Rome" not in said


def test_the_draw_of_a_trace_is_not_drawn_again(lab: Lab) -> None:
    """At a rate of zero every row would lose, and take the tree that it is in with it."""
    trace_id = lab.logged()
    lab.config["log"] = {"sample_rate": 0}
    assert lab.run(trace_id, "--model", "b").exit_code == 0
    assert [row["output"] is not None for row in rows(lab.data)] == [True, True]


def test_nothing_happens_where_it_is_only_asked_what_would(lab: Lab) -> None:
    trace_id = lab.logged()
    before = lab.files()
    found = lab.run("--since", "1h", "--model", "b", "-n", "7", "--dry-run")
    assert found.exit_code == 0, found.output
    assert found.stdout.split()[1:] == [trace_id, "would", "be", "called"]
    assert "7 calls of 1 row to groq/" in found.stderr
    assert "about $0.0000 with as many tokens as before" in found.stderr
    assert not lab.second.requests
    assert lab.files() == before


def test_no_more_calls_are_under_way_than_was_said(lab: Lab) -> None:
    trace_id = lab.logged()
    lab.second.script = Scenario(ROME.reply, delay=0.15)
    assert lab.run(trace_id, "--model", "b", "-n", "9", "--concurrency", "3").exit_code == 0
    times = []
    for child in lab.children(trace_id):
        begun, ended = (datetime.fromisoformat(child[name]) for name in ("start_timestamp", "end_timestamp"))
        times += [(begun, 1), (ended, -1)]
    under_way, most = 0, 0
    for _, change in sorted(times):
        under_way += change
        most = max(most, under_way)
    assert (len(times), most) == (18, 3)


def test_a_gateway_on_the_same_folder_goes_on_and_knows_of_it(lab: Lab) -> None:
    """The replay is a process of its own, and both write at the same time."""
    lab.second.script = Scenario(MILAN.reply, delay=0.05)
    with lab.gateway() as gateway:
        trace_id = lab.ask(gateway)
        with lab.process(trace_id, "--model", "b", "-n", "20", "--json") as replay:
            meanwhile = [lab.ask(gateway)]
            while replay.poll() is None:
                meanwhile.append(lab.ask(gateway))
                with suppress(subprocess.TimeoutExpired):
                    replay.wait(0.1)  # most of the machine is for it
            printed, said = replay.communicate(timeout=40)
        assert replay.returncode == 0, said
        told = json.loads(printed)
        assert told["totals"]["verdicts"] == {"different": 20}
        shown = httpx.get(f"{gateway.url}/admin/log/{trace_id}").json()
        assert str(shown).count(MODELS["groq"]) >= 20
        assert httpx.get(f"{gateway.url}/health").json()["status"] == "ok"
    expected = {trace_id, *meanwhile, *(one["replay"] for one in told["calls"])}
    assert {row["trace_id"] for row in rows(lab.data)} == expected


def test_ctrl_c_keeps_what_is_done_and_tells_it(lab: Lab) -> None:
    trace_id = lab.logged()
    lab.first.script = [MILAN, Scenario(fault="hang")]
    with lab.process(trace_id, "-n", "20", "--concurrency", "2", "--json") as replay:
        end = time.monotonic() + 40
        while len(lab.first.requests) < 4:  # two were answered, one of them before, so two others are under way
            assert replay.poll() is None, replay.communicate()
            assert time.monotonic() < end
            time.sleep(0.02)
        replay.send_signal(signal.SIGINT)
        told, said = replay.communicate(timeout=20)
    assert replay.returncode == 130, said
    totals = json.loads(told)["totals"]
    assert (totals["interrupted"], totals["made"], totals["planned"]) == (True, 1, 20)
    assert totals["verdicts"] == {"different": 1}
    assert sorted(child["status"] for child in lab.children(trace_id)) == ["cancelled", "cancelled", "success"]


def test_ctrl_c_pressed_again_and_again_keeps_what_is_done(lab: Lab) -> None:
    """From the moment that it is said what will be called."""
    trace_id = lab.logged()
    lab.second.script = [MILAN, Scenario(fault="hang")]
    with lab.process(trace_id, "--model", "b", "-n", "20", "--json") as replay:
        assert replay.stderr is not None
        said = replay.stderr.readline()
        while replay.poll() is None:
            replay.send_signal(signal.SIGINT)
            time.sleep(0.02)
        told, more = replay.communicate(timeout=20)
    assert replay.returncode == 130, said + more
    assert json.loads(told)["totals"]["interrupted"]


def test_a_terminal_is_asked_before_many_calls(lab: Lab) -> None:
    trace_id = lab.logged()
    ours, theirs = pty.openpty()
    with lab.process(trace_id, "-n", "101", stdin=theirs) as replay:
        os.close(theirs)
        os.write(ours, b"n\n")
        _, said = replay.communicate(timeout=40)
    os.close(ours)
    assert replay.returncode == 1
    assert "101 calls of 1 row to openai/" in said
    assert "Go on? [y/N]" in said
    assert not lab.children(trace_id)


def test_a_long_run_shows_how_far_it_has_come(lab: Lab) -> None:
    trace_id = lab.logged()
    lab.first.script = Scenario(MILAN.reply, delay=0.3)
    ours, theirs = pty.openpty()
    told = b""
    with lab.process(trace_id, "-n", "4", "--concurrency", "1", stderr=theirs) as replay:
        os.close(theirs)
        while True:
            try:
                told += os.read(ours, 65536)
            except OSError:  # the other side of a terminal is closed
                break
        printed, _ = replay.communicate(timeout=40)
    os.close(ours)
    assert b"calls" in told
    assert b"calling, " in told
    assert b"%" in told
    assert printed.count("different  ") == 4
    assert "\x1b" not in printed


def test_what_a_client_has_logged_can_be_called_too(lab: Lab) -> None:
    trace_id = str(uuid.uuid4())
    with lab.gateway() as gateway:
        logged = {
            "trace_id": trace_id,
            "root_trace_id": trace_id,
            "trace_name": "llm-openai",
            "start_timestamp": "2026-11-20T12:00:00Z",
            "configuration": {
                "model": "gpt-4o-mini",
                "messages": ASK,
                "model_params": {"temp": 0.5, "max_length": 9, "top_p": None},
            },
            "output": "The capital of Italy is Rome.",
            "status": "success",
        }
        assert gateway.client.post("/trace_log", json=logged).is_success
    assert lab.told(trace_id, "--model", "a")["totals"]["verdicts"] == {"same": 1}
    sent = lab.first.requests[-1].json
    assert (sent["messages"], sent["temperature"], sent["max_tokens"]) == (ASK, 0.5, 9)


def test_a_key_pays_nothing_and_its_policy_holds(lab: Lab) -> None:
    """Whoever reads the data folder owns it; what a caller's key forbids to be logged stays so."""
    secret = "team-key-0123456789"
    known = f"sha256:{sha256(secret.encode()).hexdigest()}"
    lab.config["keys"] = {"team": {"hash": known, "models": ["a"], "omit": "outputs"}}
    trace_id = lab.logged(headers={"authorization": f"Bearer {secret}"})
    assert lab.run(trace_id, "--model", "b").exit_code == 0
    (child,) = lab.children(trace_id)
    assert (child["key"], child["output"]) == (None, None)


def test_calls_beyond_a_limit_wait_and_take_no_longer_for_it(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.stores.shared.board.STEP", 0.4)  # a minute of five seconds, longer than a client waits
    lab.config["model_list"][1]["litellm_params"]["rpm"] = 4
    trace_id = lab.logged()
    told = lab.told(trace_id, "--model", "b", "-n", "7")
    assert told["totals"]["verdicts"] == {"different": 7}
    assert len(lab.second.requests) == 7
    children = lab.children(trace_id)
    starts = sorted(datetime.fromisoformat(row["start_timestamp"]).timestamp() for row in children)
    assert starts[-1] - starts[0] > 4  # the last three have begun only when they might
    assert max(row["latency"] for row in children) < 1
    assert max(one["after"]["latency"] for one in told["calls"]) < 1


def test_nothing_is_loaded_in_the_time_of_a_call(lab: Lab) -> None:
    """Of the first row the gateway has kept how it is written; what the second needs is loaded, but not by its call."""
    with lab.gateway() as gateway:
        ids = [lab.ask(gateway), lab.ask(gateway, stop=["."])]
    with lab.process(*ids, "--concurrency", "1", "--json") as replay:
        printed, said = replay.communicate(timeout=50)
    assert replay.returncode == 0, said
    assert max(one["after"]["latency"] for one in json.loads(printed)["calls"]) < 1


def test_calls_wait_for_what_rests_and_comes_back(lab: Lab) -> None:
    lab.config["router_settings"]["cooldown_time"] = 4
    trace_id = lab.logged()
    refused = Scenario(status=429, headers={"retry-after": "4"})
    lab.second.script = [refused, MILAN]
    told = lab.told(trace_id, "--model", "b", "-n", "5", "--concurrency", "1")
    assert told["totals"]["verdicts"] == {"different": 5}
    assert len(lab.second.requests) == 6
    assert max(row["latency"] for row in lab.children(trace_id)) < 3


def test_who_is_told_to_come_back_soon_does(lab: Lab) -> None:
    """A model that refuses eight of nine calls for half a second each time, as long as it answers one."""
    lab.config["router_settings"].update(disable_cooldowns=True, retry_after=0)
    trace_id = lab.logged()
    lab.second.script = [*[Scenario(status=429, headers={"retry-after": "0.5"})] * 8, MILAN]
    begun = time.monotonic()
    told = lab.told(trace_id, "--model", "b", "--patience", "20")
    assert told["totals"]["verdicts"] == {"different": 1}
    assert len(lab.second.requests) == 9
    assert time.monotonic() - begun < 16


def test_a_terminal_is_told_of_the_wait_and_ctrl_c_ends_it(lab: Lab) -> None:
    lab.config["model_list"][1]["litellm_params"]["rpm"] = 1
    trace_id = lab.logged()
    ours, theirs = pty.openpty()
    told = b""
    with lab.process(trace_id, "--model", "b", "-n", "3", "--json", stderr=theirs) as replay:
        os.close(theirs)
        with suppress(OSError):  # the other side of a terminal is closed
            while b"2 waiting for their model: " not in told:
                told += os.read(ours, 65536)
        replay.send_signal(signal.SIGINT)
        begun = time.monotonic()
        with suppress(OSError):
            while os.read(ours, 65536):
                pass
        printed, _ = replay.communicate(timeout=40)
    os.close(ours)
    assert replay.returncode == 130, told
    assert time.monotonic() - begun < 20  # of the minute that it would have waited
    assert json.loads(printed)["totals"]["verdicts"] == {"different": 1}
    assert len(lab.second.requests) == 1
    assert max(row["latency"] for row in lab.children(trace_id)) < 1


@pytest.mark.parametrize(("status", "asked"), [(500, 2), (401, 1)])
def test_patience_ends_once_for_all(lab: Lab, status: int, asked: int) -> None:
    """A model that is down is looked for once in these seconds, and not by each call; what refuses the key is not."""
    lab.config["router_settings"].update(cooldown_time=2, allowed_fails=0)
    trace_id = lab.logged()
    lab.second.script = Scenario(status=status)
    told = lab.told(trace_id, "--model", "b", "-n", "10", "--concurrency", "1", "--patience", "5", status=1)
    assert told["totals"]["verdicts"] == {"failed": 10}
    assert len(lab.second.requests) == asked
    assert all("try again in" in one["error"] for one in told["calls"][asked:])
