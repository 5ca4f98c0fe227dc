"""Calls that one API recorded and the others replay, over real sockets, when the vendor is gone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from proxy.errors import ConfigError
from proxy.middleware.cassette import Player
from proxy.recording import Mode
from proxy.stores.cassette import Folder
from tests.gateway import Local, Process, rows
from tests.spoken import ANTHROPIC, LIMIT, PAREA, SPOKEN, WEATHER, Body, Spoken, events
from tests.upstreams.fleet import Fleet
from tests.upstreams.scenario import SCENARIOS, Reply, Scenario

MODEL = "gpt-4o-mini"
ROOT = Path(__file__).parents[1]
CHAT = next(one for one in SPOKEN if one.name == "openai")
HUMANLOOP = next(one for one in SPOKEN if one.name == "humanloop-chat")
DIALECTS = (CHAT, ANTHROPIC, PAREA)
FORMS = (False, True)
SAID = "Where is it raining, {} {}?"
GONE: Body = {"providers": {"openai": {"api_base": "http://127.0.0.1:9/v1"}}}
"""A configuration without keys, of a vendor that is not there."""


def local(folder: Path, mode: Mode, config: Body) -> Local:
    """A gateway with a data folder of its own and the cassette of `folder`."""
    own = folder / str(uuid.uuid4())
    own.mkdir()
    cassette = Folder(folder / "cassette", make=mode != "replay")
    return Local(own, config, player=Player(cassette, mode))


def ask(gateway: Local, spoken: Spoken, text: str, *, stream: bool, tools: bool = False) -> httpx.Response:
    body = spoken.body(MODEL, text, stream=stream, tools=tools)
    if tools and spoken is ANTHROPIC:
        body["tools"][0]["description"] = WEATHER["description"]
    return httpx.post(gateway.url + spoken.route(stream=stream), json=body, timeout=20)


def text_of(spoken: Spoken, answer: httpx.Response, *, stream: bool) -> str:
    assert answer.status_code == 200, answer.text
    return spoken.pieces(list(events(answer.text))) if stream else spoken.text(answer.json())


@pytest.fixture(scope="module")
def recorded(_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a cassette of everything that is replayed here."""
    folder = tmp_path_factory.mktemp("recorded")
    vendor = _fleet["openai"]
    _fleet.reset()
    with local(folder, "record", {"providers": _fleet.providers}) as gateway:
        gateway.wait_until_ready()
        for spoken in DIALECTS:
            for stream in FORMS:
                text = SAID.format(spoken.name, stream)
                vendor.script = Scenario(Reply(("In ", "Bergen,", f" {uuid.uuid4()}")))
                told = text_of(spoken, ask(gateway, spoken, text, stream=stream), stream=stream)
                (folder / text).write_text(told)
        vendor.script = SCENARIOS["tool"]
        ask(gateway, CHAT, "weather", stream=True, tools=True)
        for status in (400, 429):
            vendor.script = Scenario(status=status)
            for spoken in DIALECTS:
                answer = ask(gateway, CHAT, f"refuse {status} {spoken.name}", stream=False)
                assert answer.status_code == status
        vendor.script = Scenario(Reply(("one", " two", " three")), fault="cut", after=2)
        ask_broken(gateway, CHAT, folder)
        assert all(row["notes"]["cassette"] == "recorded" for row in rows(gateway.data))
    _fleet.reset()
    return folder


def ask_broken(gateway: Local, spoken: Spoken, folder: Path) -> str:
    """What arrives of a stream that breaks off."""
    path, body = spoken.route(stream=True), spoken.body(MODEL, "break", stream=True)
    arrived = ""
    with httpx.stream("POST", gateway.url + path, json=body, timeout=20) as answer:
        try:
            for piece in answer.iter_text():
                arrived += piece
        except httpx.RemoteProtocolError:
            return arrived
    raise AssertionError(f"it came to an end: {arrived}")


@pytest.fixture(scope="module")
def replaying(recorded: Path) -> Iterator[Local]:
    with local(recorded, "replay", GONE) as gateway:
        yield gateway


@pytest.mark.parametrize("stream", FORMS, ids=["whole", "stream"])
@pytest.mark.parametrize("spoken", DIALECTS, ids=lambda one: one.name)
@pytest.mark.parametrize("recorded_as", FORMS, ids=["whole", "stream"])
@pytest.mark.parametrize("recorder", DIALECTS, ids=lambda one: one.name)
def test_what_one_api_recorded_every_api_replays(
    recorded: Path, replaying: Local, recorder: Spoken, recorded_as: bool, spoken: Spoken, stream: bool
) -> None:
    text = SAID.format(recorder.name, recorded_as)
    answer = ask(replaying, spoken, text, stream=stream)
    told = text_of(spoken, answer, stream=stream)
    assert told == (recorded / text).read_text()
    assert told.startswith("In Bergen, ")
    row = rows(replaying.data, "1 ORDER BY rowid DESC LIMIT 1")[0]
    assert (row["notes"]["cassette"], row["status"], row["output"]) == ("replayed", "success", told)
    assert (row["provider"], row["model"], row["cache_hit"]) == ("openai", MODEL, 0)


@pytest.mark.parametrize("stream", FORMS, ids=["whole", "stream"])
@pytest.mark.parametrize("spoken", SPOKEN, ids=lambda one: one.name)
def test_every_route_replays_it(recorded: Path, replaying: Local, spoken: Spoken, stream: bool) -> None:
    text = SAID.format("openai", False)
    assert text_of(spoken, ask(replaying, spoken, text, stream=stream), stream=stream) == (recorded / text).read_text()


def test_the_original_clients_read_it(recorded: Path, replaying: Local) -> None:
    for recorder in DIALECTS:
        text = SAID.format(recorder.name, True)
        told, asked = (recorded / text).read_text(), {"role": "user", "content": text}
        common: Body = {"model": f"openai/{MODEL}", "max_tokens": LIMIT, "messages": [asked]}
        with openai.OpenAI(base_url=f"{replaying.url}/v1", api_key="anything") as client:
            assert client.chat.completions.create(**common).choices[0].message.content == told
            chunks = list(client.chat.completions.create(**common, stream=True))
            assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == told
            with pytest.raises(openai.InternalServerError, match="has no recording of this request") as missed:
                client.chat.completions.create(**{**common, "max_tokens": 1})
            assert missed.value.status_code == 504
            assert "-params.max_tokens: 50\n+params.max_tokens: 1" in missed.value.message.replace("\\n", "\n")
        with anthropic.Anthropic(base_url=replaying.url, api_key="anything") as other:
            block = other.messages.create(**common).content[0]
            assert block.type == "text"
            assert block.text == told
            with other.messages.stream(**common) as stream:
                assert stream.get_final_text() == told


PROGRAM = """
from parea import Parea
from parea.schemas import Completion, LLMInputs, Message

asked = LLMInputs(model="default", messages=[Message(content="Hello from Parea")])
answer = Parea(api_key="anything").completion(Completion(llm_configuration=asked))
print(answer.content, answer.status)
"""


def test_parea_s_client_records_and_reads_it(tmp_path: Path) -> None:
    echo = {"model_list": [{"model_name": "default", "litellm_params": {"model": "echo/echo"}}]}
    modes: list[tuple[Mode, Body]] = [("record", echo), ("replay", GONE | {"model_list": echo["model_list"]})]
    for mode, config in modes:
        with local(tmp_path, mode, config) as gateway:
            environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PAREA_BASE_URL": gateway.parea}
            command = [sys.executable, "-W", "ignore", "-c", PROGRAM]
            done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=50)
            assert done.stdout.splitlines()[-1:] == ["You said: Hello from Parea success"], done.stderr
            (row,) = rows(gateway.data)
            assert row["notes"]["cassette"] == f"{mode}ed"


def test_a_name_is_replayed_where_its_keys_are_missing(tmp_path: Path) -> None:
    body = {"model": "fast", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}
    modes: list[tuple[Mode, str]] = [("record", "echo/echo"), ("replay", "groq/llama")]
    for mode, model in modes:
        config = {"model_list": [{"model_name": "fast", "litellm_params": {"model": model}}]}
        with local(tmp_path, mode, config) as gateway:
            answer = httpx.post(gateway.url + CHAT.path, json=body, timeout=20)
            assert text_of(CHAT, answer, stream=False) == "You said: Hello"
            assert answer.json()["model"] == "echo"
    with local(tmp_path, "replay", config) as gateway:
        answer = httpx.post(gateway.url + ANTHROPIC.path, json={**body, "stream": True}, timeout=20)
    assert dict(events(answer.text))["message_start"]["message"]["model"] == "echo"


@pytest.mark.parametrize("model", ["up/echo", "deployment/greeting"])
def test_another_vendor_behind_a_name_of_some_form_finds_the_same_recordings(tmp_path: Path, model: str) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    modes: list[tuple[Mode, str]] = [("record", "echo/*"), ("replay", "mistral/*")]
    for mode, behind in modes:
        config = {
            "model_list": [{"model_name": "up/*", "litellm_params": {"model": behind}}],
            "deployments": {"greeting": {"model": "up/echo"}},
        }
        with local(tmp_path, mode, config) as gateway:
            answer = httpx.post(gateway.url + CHAT.path, json=body, timeout=20)
            assert text_of(CHAT, answer, stream=False) == "You said: Hello"
    (file,) = (tmp_path / "cassette").iterdir()
    assert json.loads(file.read_text())["request"]["model"] == "up/echo"


def test_embeddings_are_replayed(tmp_path: Path) -> None:
    body = {"model": "echo/echo", "input": ["one", "two"]}
    answers = []
    modes: list[Mode] = ["record", "replay"]
    for mode in modes:
        with local(tmp_path, mode, GONE) as gateway:
            answers.append(httpx.post(f"{gateway.url}/v1/embeddings", json=body, timeout=20).json())
    assert len(answers[0]["data"]) == 2
    assert answers[0]["data"] == answers[1]["data"]


def test_a_stream_comes_chunk_by_chunk(replaying: Local) -> None:
    answer = ask(replaying, CHAT, SAID.format("openai", True), stream=True)
    told = [data["choices"][0]["delta"].get("content") for _, data in events(answer.text) if data and data["choices"]]
    assert [piece for piece in told if piece][:2] == ["In ", "Bergen,"]


@pytest.mark.parametrize("stream", FORMS, ids=["whole", "stream"])
@pytest.mark.parametrize("spoken", [*DIALECTS, HUMANLOOP], ids=lambda one: one.name)
def test_a_tool_call_is_replayed(replaying: Local, spoken: Spoken, stream: bool) -> None:
    answer = ask(replaying, spoken, "weather", stream=stream, tools=True)
    assert answer.status_code == 200, answer.text
    called = spoken.called(list(events(answer.text))) if stream else spoken.arguments(answer.json())
    assert called == ["get_weather", {"city": "Paris"}]


@pytest.mark.parametrize("spoken", DIALECTS, ids=lambda one: one.name)
@pytest.mark.parametrize("status", [400, 429])
def test_a_vendor_s_refusal_is_replayed(replaying: Local, spoken: Spoken, status: int) -> None:
    answer = ask(replaying, spoken, f"refuse {status} {spoken.name}", stream=False)
    assert answer.status_code == (200 if spoken.always_200 else status)
    assert "openai" in spoken.refused(answer.json())
    row = rows(replaying.data, "1 ORDER BY rowid DESC LIMIT 1")[0]
    assert row["notes"]["failure"] == {400: "invalid_request", 429: "rate_limited"}[status]


@pytest.mark.parametrize("mode", ["record", "auto"])
def test_what_the_gateway_itself_refuses_is_not_recorded(fleet: Fleet, tmp_path: Path, mode: Mode) -> None:
    """One target fails, again and again, one is at its limit, and one has no key."""
    vendor = fleet["openai"]
    api_base = fleet.providers["openai"]["api_base"]
    target = {"model": f"openai/{MODEL}", "api_key": vendor.key, "api_base": api_base}
    config = {
        "model_list": [
            {"model_name": "failing", "litellm_params": target},
            {"model_name": "limited", "litellm_params": {**target, "rpm": 1}},
        ],
        "router_settings": {"allowed_fails": 0, "cooldown_time": 600},
    }
    vendor.script = Scenario(status=500)
    with local(tmp_path, mode, config) as gateway:
        gateway.wait_until_ready()

        def post(model: str, text: str) -> tuple[int, str]:
            body = {"model": model, "messages": [{"role": "user", "content": text}]}
            answer = httpx.post(gateway.url + CHAT.path, json=body, timeout=20)
            return answer.status_code, answer.headers["x-cache-reason"].partition(": ")[2]

        assert [post("failing", text) for text in ("one", "two")] == [(502, "recorded")] * 2
        assert [post("limited", text) for text in ("three", "four")] == [(502, "recorded"), (429, "refused")]
        assert post("groq/llama", "five") == (401, "refused")
        noted = [row["notes"]["cassette"] for row in rows(gateway.data)]
        assert sorted(noted) == ["recorded"] * 3 + ["refused"] * 2
    assert sorted(path.name.partition("-")[0] for path in (tmp_path / "cassette").iterdir()) == ["one", "three", "two"]


def test_a_stream_that_broke_off_breaks_off_again(recorded: Path, replaying: Local) -> None:
    arrived = ask_broken(replaying, CHAT, recorded)
    assert '"content":"one"' in arrived
    assert '"content":" two"' in arrived
    assert "three" not in arrived


@pytest.mark.parametrize("stream", FORMS, ids=["whole", "stream"])
@pytest.mark.parametrize("spoken", SPOKEN, ids=lambda one: one.name)
def test_a_miss_is_a_504_that_tells_what_differs(replaying: Local, spoken: Spoken, stream: bool) -> None:
    answer = ask(replaying, spoken, "Where is it raining, openai Fals?", stream=stream)
    assert answer.status_code == 504
    told = spoken.refused(answer.json())
    assert "cassette has no recording of this request" in told
    assert "--- where-is-it-raining-openai-false" in told
    assert 'messages[0].content: "Where is it raining, openai Fals?"' in told
    assert answer.headers["x-should-retry"] == "false"


def test_the_port_is_ready_and_litellm_is_never_imported(recorded: Path, tmp_path: Path) -> None:
    environ = {
        "PAREA_PROXY_MODE": "replay",
        "PAREA_PROXY_CASSETTE": str(recorded / "cassette"),
        "PYTHONPROFILEIMPORTTIME": "1",
    }
    with Process(tmp_path, GONE, **environ) as gateway:
        gateway.wait_for("/ready")
        body = CHAT.body(MODEL, SAID.format("openai", False))
        assert httpx.post(gateway.url + CHAT.path, json=body).status_code == 200
        assert httpx.get(gateway.url + "/openapi.json").status_code == 200
    imported = set(re.findall(r"\| +([\w.]+)$", gateway.output.read_text(), re.M))
    assert "fastapi" in imported
    assert not imported & {"litellm", "openai", "proxy.providers.litellm"}


def test_a_cassette_that_is_not_used_is_told(tmp_path: Path) -> None:
    with Process(tmp_path, GONE, PAREA_PROXY_MODE="live", PAREA_PROXY_CASSETTE="tapes") as gateway:
        assert "--cassette is not used with --mode live\n" in gateway.output.read_text()


# keys


def test_no_key_is_in_a_cassette(fleet: Fleet, tmp_path: Path) -> None:
    vendor = fleet["openai"]
    brought, caller = "sk-brought-canary-0123456789", "sk-caller-canary-9876543210"
    hashed = subprocess.run(["sha256sum"], input=caller.encode(), capture_output=True, check=True).stdout.split()[0]
    config = {"providers": fleet.providers, "keys": {"a": {"hash": f"sha256:{hashed.decode()}"}}}
    secrets = (vendor.key, brought, caller)
    said = f"my keys are {', '.join(secrets)}"
    vendor.script = Scenario(Reply(("the key", f" {vendor.key[:8]}", vendor.key[8:], " ", caller)))
    with local(tmp_path, "record", config) as gateway:
        gateway.wait_until_ready()
        for stream in FORMS:
            body = CHAT.body(MODEL, said, stream=stream)
            headers = {"authorization": f"Bearer {caller}"}
            answer = httpx.post(gateway.url + CHAT.path, json=body, headers=headers, timeout=20)
            assert vendor.key in text_of(CHAT, answer, stream=stream)
            body = {**PAREA.body(MODEL, f"{said} {stream}"), "provider_api_key": brought}
            answer = httpx.post(gateway.url + PAREA.path, json=body, headers=headers, timeout=20)
            assert answer.json()["status"] == "error"
    kept = [path.read_text() for path in (tmp_path / "cassette").iterdir()]
    assert len(kept) == 4
    for text in kept:
        assert "my keys are (withheld)" in text
        pieces = [chunk.get("text", "") for chunk in json.loads(text)["answer"].get("chunks", [])]
        for secret in secrets[:1] if "brought" in text else secrets:
            assert secret not in text + "".join(pieces)


@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
def test_the_key_that_a_client_sends_for_nothing_is_not_there_either(tmp_path: Path, header: str) -> None:
    key = "sk-sent-for-nothing-0123456789"
    body = {"model": "echo/echo", "messages": [{"role": "user", "content": f"my key is {key}"}], "stream": True}
    modes: list[Mode] = ["record", "replay"]
    for mode in modes:
        with local(tmp_path, mode, GONE) as gateway:
            headers = {header: f"Bearer {key}" if header == "authorization" else key}
            answer = httpx.post(gateway.url + CHAT.path, json=body, headers=headers, timeout=20)
            hidden = key if mode == "record" else "(withheld)"
            assert text_of(CHAT, answer, stream=True) == f"You said: my key is {hidden}"
    (file,) = (tmp_path / "cassette").iterdir()
    assert key not in file.read_text()


# several processes


def test_two_processes_record_into_one_folder(tmp_path: Path) -> None:
    """Each request of either is there, whole, and so is the one that both made."""
    cassette = str(tmp_path / "cassette")
    gateways = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        echo = {"model_list": [{"model_name": "default", "litellm_params": {"model": "echo/echo"}}]}
        environ = {"PAREA_PROXY_MODE": "record", "PAREA_PROXY_CASSETTE": cassette}
        gateways.append(Process(tmp_path / name, echo, **environ))

    def post(url: str, text: str) -> None:
        body = {"model": "default", "messages": [{"role": "user", "content": text}]}
        assert httpx.post(f"{url}/v1/chat/completions", json=body, timeout=20).status_code == 200

    with gateways[0] as one, gateways[1] as other:
        work = [
            threading.Thread(target=post, args=(gateway.url, text))
            for number in range(8)
            for gateway, text in ((one, f"one {number}"), (other, f"other {number}"), (one, "both"), (other, "both"))
        ]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()
    found = Folder(Path(cassette), make=False).all()
    asked = sorted(recording.request["messages"][0]["content"] for recording in found)
    expected = [*(f"{who} {number}" for who in ("one", "other") for number in range(8)), *["both"] * 8]
    assert asked == sorted(expected)
    assert not [path for path in Path(cassette).iterdir() if path.suffix != ".json"]


ANSWERED = {"choices": [{"text": "hi", "finish_reason": "stop"}], "usage": {}, "model": "m", "provider": "p"}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ('{"request": {}, "answer": {"completion": %s}, "anwser": 1}', "anwser: is not known here"),
        ('{"request": {}, "answer": {"completion": %s, "chunk": []}}', "answer.chunk: is not known here"),
        ('{"request": {}, "answer": {"completion": %s, "chunks": [{"txt": 1}]}}', "answer.chunks[0].txt: is not known"),
        ('{"request": {}, "request": {}, "answer": {"completion": %s}}', "request: is there more than once"),
    ],
)
def test_what_is_misspelt_or_doubled_is_told_and_not_passed_over(tmp_path: Path, document: str, said: str) -> None:
    (tmp_path / "one.json").write_text(document % json.dumps(ANSWERED))
    with pytest.raises(ConfigError, match=re.escape(f"  one.json: {said}")):
        Folder(tmp_path, make=False)


def test_a_misspelt_field_of_a_choice_is_told(tmp_path: Path) -> None:
    wrong = {**ANSWERED, "choices": [{"text": "hi", "finish_reason": "stop", "tool_call": []}]}
    (tmp_path / "one.json").write_text(json.dumps({"request": {}, "answer": {"completion": wrong}}))
    with pytest.raises(ConfigError, match=re.escape("answer.completion.choices[0].tool_call: is not known here")):
        Folder(tmp_path, make=False)


def test_a_damaged_file_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "cassette").mkdir()
    (tmp_path / "cassette" / "torn.json").write_text('{\n  "answer": {')
    command = [sys.executable, "-m", "proxy", "serve", "--port", "0", "--mode", "replay"]
    command += ["--cassette", str(tmp_path / "cassette"), "--data", str(tmp_path / "data")]
    environ: dict[str, Any] = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "  torn.json, line 2: is no JSON: " in done.stderr
