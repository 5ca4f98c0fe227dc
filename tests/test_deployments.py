"""Versions of a deployed prompt on a whole gateway, over every API, and the commands that look at them."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from proxy import cli
from proxy.record import Record
from proxy.stores.log.sqlite import SQLiteLog
from tests.gateway import Local

FOLDER = {
    "team/p/v1.md": "---\nmodel: echo\nparams: {temperature: 0}\n---\nOne {{word}}",
    "team/p/v2.prompt": "---\nmodel: echo\nendpoint: chat\n---\n"
    "<system>\n  Be brief.\n</system>\n<user>Two {{word}}</user>",
    "team/p/deployment.yaml": "current: v1  # safe\nenvironments: {live: {v1: 1, v2: 1}, next: v2}\n",
}
CONFIG: dict[str, Any] = {
    "model_list": [{"model_name": "echo", "litellm_params": {"model": "echo/echo"}}],
    "deployments": {"plain": {"model": "echo", "prompt": "Only {{word}}"}},
    "projects": {"s": {"environments": {"production": "team/p:live", "staging": "team/p@v2"}}},
}
IDS = ("team/p@v2", "team/p@2", "team/p:next")


def written(folder: Path) -> Path:
    for name, text in FOLDER.items():
        path = folder / "deployments" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "config.yaml").write_text(json.dumps(CONFIG))
    return folder


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    with Local(written(tmp_path_factory.mktemp("gateway")), CONFIG) as running:
        yield running


OWN: dict[str, Any] = {"messages": [{"role": "user", "content": "own"}]}
BODIES: dict[str, dict[str, Any]] = {
    "/api/parea/v1/completion": {"llm_inputs": {"word": "w"}},
    "/v1/chat/completions": OWN,
    "/v1/messages": OWN | {"max_tokens": 9},
    "/v1/responses": {"input": "own"},
    "/v5/chat/completions": OWN,
    "/v4/beta/chat/completions": OWN,
}


def ask(gateway: Local, path: str, deployment_id: str, trace_id: str) -> httpx.Response:
    named = {"model": f"deployment/{deployment_id}"}
    if path == "/api/parea/v1/completion":
        named = {"deployment_id": deployment_id, "trace_id": trace_id}
    headers = {"x-trace-id": trace_id}
    return gateway.client.post(f"{gateway.url}{path}", json={**BODIES[path], **named}, headers=headers)


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("deployment_id", IDS)
def test_a_version_over_every_api(gateway: Local, path: str, deployment_id: str) -> None:
    trace_id = f"{path}-{deployment_id}".replace("/", "_")
    answered = ask(gateway, path, deployment_id, trace_id)
    assert answered.status_code == 200, answered.text
    row = gateway.row(trace_id)
    assert row["deployment_id"] == "team/p"
    assert row["notes"]["deployment"] == {"version": "v2", "asked": deployment_id}
    assert len(row["deployment_version"]) == 12


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    ("deployment_id", "there"), [("team/p@v3", ("v1", "v2")), ("team/p:nix", ("current, live, next",))]
)
def test_what_is_not_there_is_a_404_over_every_api(
    gateway: Local, path: str, deployment_id: str, there: tuple[str, ...]
) -> None:
    answered = ask(gateway, path, deployment_id, "none")
    assert answered.status_code == 404
    for one in there:
        assert one in answered.text


def test_an_end_user_keeps_the_version_of_a_canary(gateway: Local) -> None:
    drawn: Counter[str] = Counter()
    for user in range(30):
        body = {"deployment_id": "team/p:live", "llm_inputs": {"word": "w"}, "end_user_identifier": f"u{user}"}
        both = {gateway.complete(body)["content"] for _ in range(2)}
        assert len(both) == 1
        drawn.update(both)
    assert set(drawn) == {"You said: One w", "You said: Two w"}
    assert min(drawn.values()) >= 5


def test_history_goes_before_the_deployed_messages_and_is_no_template(gateway: Local) -> None:
    history = [{"role": "user", "content": "earlier {{word}}"}, {"role": "assistant", "content": "yes"}]
    body = {
        "deployment_id": "team/p@v2",
        "llm_inputs": {"word": "w"},
        "llm_configuration": {"history": history},
        "trace_id": "history",
    }
    assert gateway.complete(body)["content"] == "You said: Two w"
    messages = gateway.row("history")["configuration"]["messages"]
    assert [(one["role"], one["content"]) for one in messages] == [
        ("user", "earlier {{word}}"),
        ("assistant", "yes"),
        ("system", "Be brief."),
        ("user", "Two w"),
    ]


def test_pareas_route_tells_the_version(gateway: Local) -> None:
    prompt = gateway.client.post("/deployed-prompt", json={"deployment_id": "team/p@v2"}).json()
    assert (prompt["deployment_id"], prompt["version_number"], prompt["name"]) == ("team/p", 2.0, "team/p v2")
    assert gateway.client.post("/deployed-prompt", json={"deployment_id": "team/p@v3"}).status_code == 404


def test_the_list_of_models_has_versions_and_environments(gateway: Local) -> None:
    listed = gateway.client.get(f"{gateway.url}/v1/models").json()["data"]
    assert [one["id"] for one in listed] == ["echo", "deployment/plain"] + [
        f"deployment/team/p{suffix}" for suffix in ("", ":current", ":live", ":next", "@v1", "@v2")
    ]


def test_humanloop_sees_every_version_and_a_canary_as_an_experiment(gateway: Local) -> None:
    def get(path: str) -> Any:
        return gateway.client.get(f"{gateway.url}/v4/projects{path}").json()

    (project,) = [one for one in get("")["records"] if one["name"] == "s"]
    variants = project["active_experiment"]["configs"]
    assert [(one["display_name"], one["weight"]) for one in variants] == [("team/p v1", 0.5), ("team/p v2", 0.5)]
    listed = get(f"/{project['id']}/configs")
    assert [one["config"]["name"] for one in listed] == ["team/p v1", "team/p v2"]
    staging = get(f"/{project['id']}/deployed-configs")[1]
    assert (staging["model_config_id"], staging["model_config_name"]) == (listed[1]["config"]["id"], "team/p v2")
    body = {"project": "s", "model_config_id": listed[1]["config"]["id"], "inputs": {"word": "w"}, "messages": []}
    answered = gateway.client.post(f"{gateway.url}/v4/chat-model-config", json=body).json()
    assert answered["data"][0]["model_config_id"] == listed[1]["config"]["id"]
    logged = gateway.client.get(f"{gateway.url}/v4/logs/{answered['data'][0]['id']}").json()
    assert logged["config"]["name"] == "team/p v2"
    deployed = gateway.client.post(
        f"{gateway.url}/v4/chat-deployed", json={"project": "s", "environment": "staging", "inputs": {"word": "w"}}
        | {"messages": []},
    ).json()  # fmt: skip
    assert deployed["data"][0]["model_config_id"] == listed[1]["config"]["id"]


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(cli.main, ["deployments", *arguments], prog_name="parea-proxy")
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(written(tmp_path))
    return tmp_path


def test_list_and_show_as_json(here: Path) -> None:
    plain, kept = json.loads(run("list", "--json").output)
    assert (plain["deployment"], plain["environments"]) == ("plain", {"current": {"v1": 1.0}})
    assert [one["number"] for one in kept["versions"]] == ["v1", "v2"]
    assert kept["environments"] == {"current": {"v1": 1.0}, "live": {"v1": 1.0, "v2": 1.0}, "next": {"v2": 1.0}}
    shown = json.loads(run("show", "team/p:next", "--json").output)
    assert shown["meant"] == [
        {
            "model": "echo",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Two {{word}}"}],
        }
    ]


def test_every_version_that_is_used_has_a_line_with_its_own_file(here: Path) -> None:
    folder = here / "deployments" / "team" / "p"
    (folder / "v3.yaml").write_text("{model: echo, prompt: Three}")
    (folder / "v4.yaml").write_text("{model: echo, prompt: Four}")

    def lines(*arguments: str) -> list[list[str]]:
        table = run(*arguments).output.split("\n\n")[0].splitlines()[1:]
        return [[cell for cell in re.split(r"  +", line) if cell] for line in table if line.startswith("team/p ")]

    first, second, rest = lines("list")
    assert (first[2], Path(first[-1]).name) == ("current, live 50%", "v1.md")
    assert (second[2], Path(second[-1]).name) == ("live 50%, next", "v2.prompt")
    assert [cell.strip() for cell in rest] == ["team/p", "and 2 more"]
    files = ["v1.md", "v2.prompt", "v3.yaml", "v4.yaml"]
    for arguments in (["list", "--stats"], ["show", "team/p"]):
        assert [Path(cells[-1]).name for cells in lines(*arguments)] == files
    _, kept = json.loads(run("list", "--json").output)
    assert [Path(one["file"]).name for one in kept["versions"]] == files


def test_figures_by_version(here: Path) -> None:
    _, kept = json.loads(run("list", "--json", "--stats").output)
    assert [one["stats"] for one in kept["versions"]] == [None, None]

    async def log() -> None:
        (here / "data").mkdir()
        traces = SQLiteLog(here / "data" / "traces.db")
        for number, latency in enumerate((0.5, 1.5, 9.0)):
            row = Record(f"t{number}", f"t{number}", deployment_id="team/p", latency=latency, cost=0.25)
            row.deployment_version, row.status = kept["versions"][1]["version"], "error" if number else "success"
            row.scores, row.feedback_score = [{"name": "good", "score": 0.5}], 1.0
            assert await traces.append(row)
        await traces.close()

    asyncio.run(log())
    line = run("show", "team/p", "--stats").output.splitlines()[2]
    assert " 3      2       $0.750000  1.500 s  0.5    1 " in line
    stats = json.loads(run("show", "team/p", "--stats", "--json").output)["versions"][1]["stats"]
    assert (stats["calls"], stats["errors"], stats["cost"], stats["latency"]) == (3, 2, 0.75, 1.5)


def test_a_diff(here: Path) -> None:
    lines = run("diff", "team/p@v1", "v2").output.splitlines()
    assert lines[:2] == ["--- team/p@v1", "+++ team/p@v2"]
    assert {"-prompt: One {{word}}", "+  content: Two {{word}}", " model: echo"} <= set(lines)
    assert json.loads(run("diff", "team/p@v1", "team/p:next", "--json").output)["diff"][2:] == lines[2:]
    assert "is several versions" in run("diff", "team/p:live", "v2", code=2).output
    assert run("diff", "plain", "plain").output == ""


def test_a_verb_edits_its_file_and_no_other(here: Path) -> None:
    before = {path: path.read_text() for path in here.rglob("*.*") if path.is_file()}
    dry = run("promote", "team/p@v2", "--dry-run").output
    assert "+current: v2  # safe\n" in dry
    assert {path: path.read_text() for path in before} == before
    assert run("promote", "team/p@v2").output.startswith("team/p:current is v2 now (")
    changed = [path.name for path, text in before.items() if path.read_text() != text]
    assert changed == ["deployment.yaml"]
    assert run("canary", "team/p@v1", "12.5%").output.startswith("team/p:current is v2 87.5%, v1 12.5% now")
    assert run("rollback", "team/p").output.startswith("team/p:current is v2 again")
    text = (here / "deployments" / "team" / "p" / "deployment.yaml").read_text()
    assert re.match("current: v2 +# safe\n", text)
    assert "SHARE should be a percentage" in run("canary", "team/p@v2", "few", code=2).output


def test_the_built_in_config_cannot_be_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "the built-in config cannot be changed" in run("promote", "p@v1", code=2).output


def test_text_of_a_prompt_cannot_steer_the_terminal(here: Path) -> None:
    (here / "deployments" / "evil.md").write_text("---\nmodel: echo\n---\nred \x7f \u202e text\nline")
    shown = run("show", "evil").output
    assert "\u202e" not in shown
    assert "\x7f" not in shown
