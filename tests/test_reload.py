"""A configuration that changes while it serves: who gets which, what is told of a bad one, and what stays."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import time
import uuid
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from fastapi import FastAPI

from proxy.app import Gateway
from proxy.config import Config, load
from proxy.live import Live
from tests.gateway import Local, Process, rows, until, written
from tests.live import Server
from tests.upstreams.fleet import Fleet
from tests.upstreams.scenario import Reply, Scenario

NAME = "gateway.yaml"


def config(number: int, **blocks: Any) -> dict[str, Any]:
    """A configuration of which every part tells its number."""
    return {
        "model_list": [{"model_name": "name", "litellm_params": {"model": f"echo/target-{number}"}}],
        "deployments": {
            "p": {
                "model": "name",
                "version": f"v{number}",
                "prompt": f"generation {number} says {{{{text}}}}",
                "params": {"max_tokens": 100 + number},
            },
        },
        **blocks,
    }


def write(folder: Path, wanted: dict[str, Any] | str) -> None:
    """As editors and deployers do: beside it, and then in its place."""
    fresh = folder / "fresh"
    fresh.write_text(wanted if isinstance(wanted, str) else yaml.safe_dump(wanted))
    fresh.replace(folder / NAME)


def body(**fields: Any) -> dict[str, Any]:
    return {"deployment_id": "p", "llm_inputs": {"text": str(uuid.uuid4())}, "trace_id": str(uuid.uuid4()), **fields}


def told(url: str) -> dict[str, Any]:
    """What `/ready` says of the configuration, which it says without a key."""
    found: dict[str, Any] = httpx.get(f"{url}/ready").json()["config"]
    return found


def loaded(gateway: Process) -> list[str]:
    """When each worker read its configuration; of two, twenty connections reach both."""
    return [told(gateway.url)["loaded_at"] for _ in range(20)]


def said(text: str) -> int:
    """The number of the configuration that answered."""
    assert text.startswith("You said: generation "), text
    return int(text.split()[3])


def answered(url: str) -> int:
    """The number of the configuration that a request gets now, on a connection of its own."""
    response = httpx.post(f"{url}/api/parea/v1/completion", json=body())
    assert response.status_code == 200, response.text
    return said(response.json()["content"])


@pytest.fixture(scope="module", autouse=True)
def _litellm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """It is imported once in a process, and not while gateways come and go."""
    with Local(tmp_path_factory.mktemp("first"), config(1)) as running:
        running.wait_until_ready()


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Local]:
    with Local(tmp_path, config(1)) as running:
        yield running


def reload(gateway: Local | Process) -> httpx.Response:
    return reload_at(gateway.url)


def reload_at(url: str) -> httpx.Response:
    return httpx.post(f"{url}/admin/reload", timeout=20)


def test_it_is_read_again_when_it_is_told_to(gateway: Local, tmp_path: Path) -> None:
    assert answered(gateway.url) == 1
    write(tmp_path, config(2))
    response = reload(gateway)
    assert response.status_code == 200
    assert response.json() == told(gateway.url)
    assert {**response.json(), "loaded_at": ""} == {
        "generation": 2,
        "loaded_at": "",
        "files": [str(tmp_path / NAME), str(tmp_path / "deployments")],
        "problem": None,
        "needs_restart": [],
    }
    assert answered(gateway.url) == 2


def test_what_says_the_same_is_no_new_generation(gateway: Local, tmp_path: Path) -> None:
    before = told(gateway.url)
    write(tmp_path, config(1))
    after = reload(gateway).json()
    assert after["generation"] == 1
    assert after["loaded_at"] > before["loaded_at"]


def test_a_bad_file_changes_nothing_and_is_told(gateway: Local, tmp_path: Path) -> None:
    secret = "sk-that-nobody-may-see"
    write(tmp_path, yaml.safe_dump(config(2)) + f"general_settings: {{master_key: [{secret}]}}\n")
    response = reload(gateway)
    assert response.status_code == 422
    problem = response.json()["detail"]
    assert "general_settings.master_key" in problem
    assert "line " in problem
    ready = httpx.get(f"{gateway.url}/ready")
    assert ready.json()["config"] == {**told(gateway.url), "problem": problem, "generation": 1}
    assert answered(gateway.url) == 1
    assert secret not in response.text + ready.text
    write(tmp_path, config(3))
    assert reload(gateway).json()["problem"] is None
    assert answered(gateway.url) == 3


@pytest.mark.parametrize(
    "wrong", ["model_list: [", "server: {dialects: [parea, parea]}", "server: {dialects: ['no.such:thing']}", "", None]
)
def test_whatever_is_wrong_the_gateway_goes_on(gateway: Local, tmp_path: Path, wrong: str | None) -> None:
    if wrong is None:
        (tmp_path / NAME).unlink()
    else:
        write(tmp_path, wrong)
    response = reload(gateway)
    if wrong == "":  # which is a configuration, of nothing
        assert response.status_code == 200
        return
    assert response.status_code == 422
    assert told(gateway.url)["problem"] == response.json()["detail"]
    assert answered(gateway.url) == 1
    # the file need not be told of: it is watched, also while it is not there
    write(tmp_path, config(2))
    until(lambda: told(gateway.url)["generation"] == 2)
    assert (answered(gateway.url), told(gateway.url)["problem"]) == (2, None)


def test_a_change_of_the_file_is_enough(gateway: Local, tmp_path: Path) -> None:
    write(tmp_path, config(2))
    until(lambda: told(gateway.url)["generation"] == 2)
    (tmp_path / NAME).write_text(yaml.safe_dump(config(3)))
    until(lambda: told(gateway.url)["generation"] == 3)
    assert answered(gateway.url) == 3
    (tmp_path / NAME).write_text("model_list: 7")
    until(lambda: told(gateway.url)["problem"] is not None)
    assert answered(gateway.url) == 3


def test_a_mounted_folder_that_is_swapped(tmp_path: Path) -> None:
    """As Kubernetes does it: the file is a link through a link, and the one in the middle is replaced."""
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / NAME).write_text(yaml.safe_dump(config(number)))
    (tmp_path / "..data").symlink_to("1")
    (tmp_path / NAME).symlink_to("..data/" + NAME)
    with Local(tmp_path, None, path=tmp_path / NAME) as gateway:
        assert answered(gateway.url) == 1
        (tmp_path / "..new").symlink_to("2")
        (tmp_path / "..new").replace(tmp_path / "..data")
        until(lambda: told(gateway.url)["generation"] == 2)
        assert answered(gateway.url) == 2


def test_every_file_that_was_read_is_watched(tmp_path: Path) -> None:
    """Also those that only a later configuration names, and files that come into a folder."""
    more, folder = tmp_path / "more.yaml", tmp_path / "deployments"
    more.write_text("20")
    folder.mkdir()
    path = written(tmp_path, config(1))

    def read() -> Config:
        """The file's configuration or, from the seventh on, that of a number made of `more` and `folder`."""
        found = load(path, {})
        if found.deployments["p"].version != "v7":
            return found
        number = int(more.read_text()) + len(list(folder.iterdir()))
        made = load(written(tmp_path / "data", config(number)), {})
        return replace(made, files=(*found.files, more, folder))

    with Server(lambda: Gateway(read(), tmp_path / "data", load=read).app) as served:
        assert answered(served.url) == 1
        write(tmp_path, config(7))
        until(lambda: answered(served.url) == 20)
        more.write_text("30")
        until(lambda: answered(served.url) == 30)
        (folder / "one.yaml").write_text("")
        until(lambda: answered(served.url) == 31)


def test_what_needs_a_restart_is_told_and_stays(gateway: Local, tmp_path: Path) -> None:
    wanted = config(2, log={"synchronous": "full"}, cache={"ttl": "1h"}, server={"max_connections": 5})
    write(tmp_path, wanted)
    response = reload(gateway)
    assert response.status_code == 200
    keys = ["cache.ttl", "log.synchronous", "server.max_connections"]
    assert response.json()["needs_restart"] == told(gateway.url)["needs_restart"] == keys
    assert answered(gateway.url) == 2
    write(tmp_path, config(3))
    assert reload(gateway).json()["needs_restart"] == []


def test_settings_hold_for_the_next_request(gateway: Local, tmp_path: Path) -> None:
    with httpx.Client() as client:  # one connection, which was open before

        def status(**options: Any) -> int:
            return client.post(f"{gateway.parea}/completion", json=body(), **options).status_code

        foreign = {"host": "llm.example.com"}
        assert (status(), status(headers=foreign)) == (200, 403)
        write(tmp_path, config(2, server={"allowed_hosts": ["llm.example.com"], "max_body": 2000}))
        assert reload(gateway).status_code == 200
        assert (status(), status(headers=foreign)) == (200, 200)
        assert client.post(f"{gateway.parea}/completion", json=body(metadata={"a": "b" * 2000})).status_code == 413
        write(tmp_path, config(3, general_settings={"master_key": "the-key"}))
        assert reload(gateway).status_code == 200
        assert (status(), status(headers={"x-api-key": "the-key"})) == (401, 200)
        assert httpx.post(f"{gateway.url}/admin/reload").status_code == 401
        assert httpx.get(f"{gateway.url}/admin/config").status_code == 401
        shown = httpx.get(f"{gateway.url}/admin/config", headers={"x-api-key": "the-key"})
        assert (shown.status_code, shown.json()["master_key"]) == (200, True)
        assert "the-key" not in shown.text


def test_the_other_routes_follow_too(gateway: Local, tmp_path: Path) -> None:
    def deployed() -> str:
        response = httpx.post(f"{gateway.parea}/deployed-prompt", json={"deployment_id": "p"})
        found: str = response.json()["prompt"]["raw_messages"][0]["content"]
        return found

    assert deployed().startswith("generation 1 ")
    wanted = config(2)
    wanted["model_list"][0]["model_name"] = wanted["deployments"]["p"]["model"] = "another"
    write(tmp_path, {**wanted, "server": {"dialects": ["parea", "openai"]}})
    assert reload(gateway).status_code == 200
    assert deployed().startswith("generation 2 ")
    models = httpx.get(f"{gateway.url}/v1/models").json()["data"]
    assert [model["id"] for model in models] == ["another", "deployment/p"]
    assert httpx.post(f"{gateway.url}/v1/messages", json={}).status_code == 404
    assert "/v4/sessions" not in httpx.get(f"{gateway.url}/openapi.json").json()["paths"]
    config_now = httpx.get(f"{gateway.url}/admin/config").json()
    assert list(config_now["models"]) == ["another"]


@pytest.fixture
def slow(fleet: Fleet) -> Fleet:
    """OpenAI's answers take a second or two."""
    fleet["openai"].script = Scenario(Reply(("piece 0 ", "piece 1 ", "piece 2 ")), split=120, pause=0.15)
    return fleet


def slowly(fleet: Fleet, number: int) -> dict[str, Any]:
    wanted = config(number, providers=fleet.providers)
    wanted["model_list"][0]["litellm_params"]["model"] = "openai/gpt-4o-mini"
    return wanted


def test_a_stream_ends_with_the_configuration_it_began_with(tmp_path: Path, slow: Fleet) -> None:
    """Its text, its version and its log policy; and equal calls of two configurations share one flight."""
    asked = body(cache=True)
    with Local(tmp_path, slowly(slow, 1)) as gateway, ThreadPoolExecutor() as pool:
        running = pool.submit(gateway.stream, asked)
        until(lambda: len(slow["openai"].requests) == 1)
        write(tmp_path, {**slowly(slow, 1), "log": {"omit": "all"}})
        assert reload(gateway).json()["generation"] == 2
        assert not running.done()
        later = pool.submit(gateway.stream, {**asked, "trace_id": "t-later"})
        assert running.result() == later.result() == "piece 0 piece 1 piece 2 "
        assert len(slow["openai"].requests) == 1
        row, other = gateway.row(asked["trace_id"]), gateway.row("t-later")
        assert (row["output"], row["deployment_version"]) == ("piece 0 piece 1 piece 2 ", "v1")
        assert "omitted" not in row["notes"]
        assert (other["output"], other["notes"]["omitted"]) == (None, ["inputs", "outputs"])


def test_two_reloads_at_once(gateway: Local, tmp_path: Path) -> None:
    write(tmp_path, config(2))
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda _: reload(gateway), range(8)))
    assert {(response.status_code, response.json()["generation"]) for response in responses} == {(200, 2)}


def test_a_large_configuration_does_not_stall_answers(gateway: Local, tmp_path: Path) -> None:
    wanted = config(2)
    names = [{"model_name": f"m-{number}", "litellm_params": {"model": "echo/echo"}} for number in range(1000)]
    write(tmp_path, {**wanted, "model_list": [*wanted["model_list"], *names]})
    waits = []
    with httpx.Client() as client, ThreadPoolExecutor() as pool:
        client.get(f"{gateway.url}/health")
        loading = pool.submit(reload, gateway)
        while not loading.done():
            began = time.perf_counter()
            client.get(f"{gateway.url}/health")
            waits.append(time.perf_counter() - began)
    assert loading.result().json()["generation"] == 2
    # the test itself is on the same machine; a load on the loop would be 0.3 s and more in one piece
    assert sorted(waits)[-1] < 0.2, waits


Inside = Callable[..., tuple[Gateway, str]]


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    """Serves a configuration from `tmp_path`; gives the gateway itself, to look at its objects, and its URL."""
    with ExitStack() as held:

        def serve(wanted: dict[str, Any], host: str = "127.0.0.1") -> tuple[Gateway, str]:
            path, made = written(tmp_path, wanted), list[Gateway]()

            def make() -> Live:
                made.append(Gateway(load(path, {}), tmp_path / "data", host=host, load=lambda: load(path, {})))
                return made[0].app

            url = held.enter_context(Server(make)).url
            return made[0], url

        yield serve


def memory() -> tuple[int, int]:
    """Objects, and bytes of this process."""
    gc.collect()
    return len(gc.get_objects()), int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_network_is_never_served_without_a_key(tmp_path: Path, inside: Inside) -> None:
    _, url = inside(config(1, general_settings={"master_key": "the-key"}), host="0.0.0.0")
    write(tmp_path, config(2))
    response = httpx.post(f"{url}/admin/reload", headers={"x-api-key": "the-key"})
    assert response.status_code == 422
    assert "without a key" in response.json()["detail"]
    assert httpx.post(f"{url}/api/parea/v1/completion", json=body()).status_code == 401


def test_old_configurations_go(tmp_path: Path, inside: Inside) -> None:
    """Also the routes besides completions that were loaded for them."""
    gateway, url = inside(config(1))
    old: list[weakref.ref[Any]] = []
    measured = []
    with httpx.Client(base_url=url) as client:
        for number in range(2, 202):
            old.append(weakref.ref(gateway.app.current.app))
            write(tmp_path, config(number))
            assert client.post("/admin/reload").status_code == 200
            assert said(client.post("/api/parea/v1/completion", json=body()).json()["content"]) == number
            assert client.get("/v1/models").status_code == 200
            if number in (100, 201):
                measured.append(memory())
    assert {one() for one in old} == {None}
    (objects, size), (later_objects, later_size) = measured
    assert later_objects < objects + 500
    assert later_size < size + 4 * 2**20


def test_what_an_old_configuration_leaves_is_collected(tmp_path: Path, inside: Inside) -> None:
    """Without waiting for the collector, which comes by seldom."""
    _, url = inside(config(1))
    assert reload_at(url).status_code == 200
    write(tmp_path, config(2))
    assert reload_at(url).status_code == 200
    assert httpx.get(f"{url}/v1/models").status_code == 200
    gc.collect()
    routes = [weakref.ref(one) for one in gc.get_objects() if isinstance(one, FastAPI)]
    assert routes
    gc.disable()
    try:
        for number in (3, 4):
            write(tmp_path, config(number))
            assert reload_at(url).status_code == 200
            assert httpx.get(f"{url}/v1/models").status_code == 200
        until(lambda: {one() for one in routes} == {None})
    finally:
        gc.enable()


def test_a_request_holds_its_configuration(tmp_path: Path, slow: Fleet, inside: Inside) -> None:
    gateway, url = inside(slowly(slow, 1))
    old = weakref.ref(gateway.app.current.app)
    with ThreadPoolExecutor() as pool:
        running = pool.submit(httpx.post, f"{url}/api/parea/v1/completion/stream", json=body(), timeout=20)
        until(lambda: len(slow["openai"].requests) == 1)
        write(tmp_path, slowly(slow, 2))
        assert reload_at(url).status_code == 200
        assert old() is not None
        assert running.result().status_code == 200
        until(lambda: old() is None)


def test_the_servers_log_tells_of_it_once(tmp_path: Path) -> None:
    secret = "sk-that-nobody-may-see"
    with Process(tmp_path, config(1)) as gateway:
        write(tmp_path, config(2, cache={"ttl": "1h"}, general_settings={"alerting": ["slack"]}))
        until(lambda: told(gateway.url)["generation"] == 2)
        assert reload(gateway).status_code == 200
        write(tmp_path, config(3, general_settings={"master_key": [secret]}))
        until(lambda: told(gateway.url)["problem"] is not None)
        time.sleep(1.5)  # of further looks, which find nothing new
    told_of = gateway.output.read_text()
    for line in ("configuration 2 serves\n", "cache.ttl: needs a restart", "alerting", "general_settings.master_key"):
        assert told_of.count(line) == 1, (line, told_of)
    assert secret not in told_of


@pytest.mark.parametrize("workers", [1, 2])
def test_sighup(workers: int, tmp_path: Path) -> None:
    """The process stays, its workers too, and each of them reads the configuration."""
    with Process(tmp_path, config(1), PAREA_PROXY_WORKERS=str(workers)) as gateway:
        until(lambda: gateway.output.read_text().count("Application startup complete") == workers)
        before = max(loaded(gateway))
        gateway.process.send_signal(signal.SIGHUP)  # also where no file has changed
        until(lambda: min(loaded(gateway)) > before)
        write(tmp_path, config(2))
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: gateway.output.read_text().count("configuration 2 serves\n") == workers)
        assert {answered(gateway.url) for _ in range(20)} == {2}
        assert gateway.output.read_text().count("Started server process") == workers
    assert gateway.process.returncode in (0, -signal.SIGTERM, 143)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_gateway_ends_with_its_terminal(workers: int, tmp_path: Path) -> None:
    """Closing it is a SIGHUP, too."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        pytest.skip("whoever runs this has asked to outlive the terminal (nohup)")
    near, far = os.openpty()
    gateway = Process(tmp_path, config(1), PAREA_PROXY_WORKERS=str(workers))
    gateway.terminal = far
    with gateway:
        os.close(far)
        until(lambda: gateway.output.read_text().count("Application startup complete") == workers)
        gateway.process.send_signal(signal.SIGHUP)  # while it is open, it is read again
        write(tmp_path, config(2))
        until(lambda: gateway.output.read_text().count("configuration 2 serves\n") == workers)
        os.close(near)
        gateway.process.wait(20)
    assert gateway.output.read_text().count("Application shutdown complete") == workers


def test_every_worker_follows_whoever_was_asked(tmp_path: Path) -> None:
    with Process(tmp_path, config(1), PAREA_PROXY_WORKERS="2") as gateway:
        until(lambda: gateway.output.read_text().count("Application startup complete") == 2)
        before = max(loaded(gateway))
        assert reload(gateway).status_code == 200  # also where no file has changed
        until(lambda: min(loaded(gateway)) > before)
        write(tmp_path, config(2))
        assert reload(gateway).status_code == 200
        until(lambda: gateway.output.read_text().count("configuration 2 serves\n") == 2)
        write(tmp_path, "log: {nonsense: 1}")
        assert reload(gateway).status_code == 422
        until(lambda: gateway.output.read_text().count("unknown key") == 2)
        assert {answered(gateway.url) for _ in range(20)} == {2}


def test_a_reload_while_the_server_ends(tmp_path: Path) -> None:
    names = [{"model_name": f"m-{number}", "litellm_params": {"model": "echo/echo"}} for number in range(2000)]
    with Process(tmp_path, config(1)) as gateway, ThreadPoolExecutor() as pool:
        write(tmp_path, {"model_list": names})
        gateway.process.send_signal(signal.SIGHUP)
        asked = pool.submit(reload, gateway)
        time.sleep(0.1)
        gateway.process.send_signal(signal.SIGTERM)
        gateway.process.wait(20)
        # it was answered, or was not begun
        assert asked.exception() is not None or asked.result().status_code == 200
    assert "Traceback" not in gateway.output.read_text()
    assert "never retrieved" not in gateway.output.read_text()


FULL = os.environ.get("RELOAD") == "full"
"""The long form: RELOAD=full python -m pytest tests/test_reload.py -k none_fails"""


class Load:
    """Clients that ask all the while, each on a connection of its own, and check each answer by itself. Every so many
    requests one of them changes the configuration.
    """

    def __init__(self, gateway: Process, folder: Path, providers: dict[str, Any], requests: int, reloads: int) -> None:
        self.gateway = gateway
        self.folder = folder
        self.providers = providers
        self.requests = requests
        self.every = requests // reloads
        self.done = 0
        self.taken = self.newest = 1
        """The number of the last configuration that is known to serve, and of the last that was written."""
        self.wrong: list[str] = []
        self.numbers: dict[str, int] = {}
        """By trace id, the number that its answer told."""
        self._one = asyncio.Lock()

    async def client(self) -> None:
        async with httpx.AsyncClient(base_url=self.gateway.url, timeout=30) as client:
            while self.done < self.requests:
                self.done += 1
                if self.done % self.every == 0:
                    await self.change(client)
                await self.ask(client, streamed=self.done % 2 == 0, vendor=self.done % 10 < 2)

    async def ask(self, client: httpx.AsyncClient, *, streamed: bool, vendor: bool) -> None:
        least = self.taken
        asked = body(deployment_id="vendor" if vendor else "p", cache=False)
        response = await client.post(f"/api/parea/v1/completion{'/stream' if streamed else ''}", json=asked)
        if response.status_code != 200:
            self.wrong.append(f"{response.status_code} {response.text}")
            return
        if streamed:
            events = [event.removeprefix("data: ") for event in response.text.split("\r\n\r\n") if event]
            content = "".join(json.loads(event)["chunk"] for event in events)
        else:
            content = response.json()["content"]
        if vendor:
            self.wrong += [] if content == "one two" else [content]
            return
        number = self.numbers[asked["trace_id"]] = said(content)
        if not least <= number <= self.newest or not content.endswith(asked["llm_inputs"]["text"]):
            self.wrong.append(f"{content} after {least}")

    async def change(self, client: httpx.AsyncClient) -> None:
        async with self._one:
            number = self.newest + 1
            if number % 5 == 0:
                write(self.folder, "model_list: [{model_name: name}]")
                if (await client.post("/admin/reload")).status_code != 422:
                    self.wrong.append("a bad file was taken")
            self.newest = number
            write(self.folder, changing(number, self.providers))
            if number % 10 == 0:
                self.gateway.process.send_signal(signal.SIGHUP)
                return
            answer = await client.post("/admin/reload")
            if answer.status_code != 200:
                self.wrong.append(answer.text)
            self.taken = number


def changing(number: int, providers: dict[str, Any]) -> dict[str, Any]:
    wanted = config(number, providers=providers, server={"max_body": 10**6 + number})
    vendor = {"provider": "openai", "model": "gpt-4o-mini"}
    wanted["deployments"]["vendor"] = {**wanted["deployments"]["p"], **vendor}
    return wanted


@pytest.mark.timeout(600)
def test_of_requests_during_reloads_none_fails(
    tmp_path: Path, fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    """And none sees two configurations: in its row and in what the vendor got, all parts tell the same number."""
    requests, reloads = (10_000, 100) if FULL else (1_000, 20)
    fleet["openai"].script = Scenario(Reply(("one ", "two")))
    with Process(tmp_path, changing(1, fleet.providers)) as gateway:
        gateway.wait_for("/ready")
        load = Load(gateway, tmp_path, fleet.providers, requests, reloads)

        async def run() -> None:
            await asyncio.gather(*[load.client() for _ in range(8)])

        began = time.monotonic()
        asyncio.run(run())
        spent = time.monotonic() - began
        status = told(gateway.url)
    assert load.wrong == []
    assert (status["problem"], load.newest) == (None, reloads + 1)
    kept = {row["trace_id"]: row for row in rows(gateway.data, "deployment_id IS NOT NULL")}
    assert len(kept) >= requests
    for trace_id, row in kept.items():
        number = load.numbers.get(trace_id, int(row["deployment_version"][1:]))
        prompt = row["configuration"]["messages"][0]["content"]
        assert row["deployment_version"] == f"v{number}"
        assert row["configuration"]["model_params"]["max_length"] == 100 + number
        assert prompt.startswith(f"generation {number} says ")
        assert row["model"] == ("gpt-4o-mini" if row["deployment_id"] == "vendor" else f"target-{number}")
    for sent in fleet["openai"].requests:
        asked = json.loads(sent.body)
        assert asked["messages"][0]["content"].startswith(f"generation {asked['max_tokens'] - 100} says ")
    with capsys.disabled():
        print(f"\n{len(kept)} requests, {reloads} changes and {reloads // 5} bad files in {spent:.0f} s: none failed")
