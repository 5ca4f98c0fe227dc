"""What is kept of calls on disk, and what a gateway that starts again needs no LiteLLM for."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from proxy.errors import UpstreamError
from proxy.models import Call, Completion, CompletionRequest, Event, Json, LogPolicy, TraceContext
from proxy.providers import plans
from proxy.providers.litellm import LiteLLM
from proxy.target import Target
from tests.upstreams.fleet import Fleet

SAID = "a secret that only the provider is told"


def a_call(stream: bool = False, policy: LogPolicy = LogPolicy(), **params: Json) -> Call:  # noqa: B008
    messages = [{"role": "user", "content": SAID}]
    trace = TraceContext("t", "t")
    return Call(CompletionRequest("parea", trace, messages=messages, params=params, stream=stream, policy=policy))


async def run(path: Path, target: Target, *calls: Call) -> list[Completion]:
    """What a gateway of its own answers, from its start to its end."""
    provider, answers = LiteLLM(timeout=10, plans=path), []
    await provider.start()
    for call in calls:
        events: list[Event] = []
        async with aclosing(provider.complete(call, target)) as answer:
            events += [event async for event in answer]
        assert isinstance(events[-1], Completion)
        answers.append(events[-1])
    await provider.close()
    return answers


def records(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(path.read_bytes())["records"]
    return found


def written(document: dict[str, Any]) -> bytes:
    """A file with this content, as the gateway itself would write it."""
    checksum = hashlib.blake2b(orjson.dumps(document), digest_size=16).hexdigest()
    return orjson.dumps({**document, "checksum": checksum})


AGAIN = """
import asyncio, json, sys
from pathlib import Path
from pydantic import SecretStr
from proxy.models import Call, CompletionRequest, TraceContext
from proxy.target import Target
from proxy.providers.litellm import LiteLLM

async def main():
    path, provider_name, model, key, base, params = sys.argv[1:]
    provider = LiteLLM(timeout=10, plans=Path(path))
    await provider.start()
    ready, costs = await provider.ready(), []
    for stream in (False, True):
        said = [{"role": "user", "content": "hi"}]
        request = CompletionRequest("parea", TraceContext("t", "t"), messages=said, params=json.loads(params),
                                    stream=stream)
        async for event in provider.complete(Call(request), Target(provider_name, model, SecretStr(key), base)):
            pass
        costs.append(event.cost)
    await provider.close()
    print(json.dumps({"ready": ready, "loaded": "litellm" in sys.modules, "costs": costs}))

asyncio.run(main())
"""


def again(path: Path, target: Target, **params: Json) -> dict[str, Any]:
    """What a new process finds: whether it is ready at once, whether it loaded LiteLLM, and the costs."""
    key = target.api_key.get_secret_value() if target.api_key else ""
    values = [str(path), target.provider, target.model, key, target.api_base or "", json.dumps(params)]
    done = subprocess.run([sys.executable, "-c", AGAIN, *values], capture_output=True, text=True, timeout=55)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


DIRECT = ["openai", "anyscale", "openrouter", "mistral", "litellm", "groq", "fireworks"]


@pytest.mark.parametrize("name", ["openai", "mistral"])
async def test_known_calls_are_answered_without_litellm(fleet: Fleet, tmp_path: Path, name: str) -> None:
    path, target = tmp_path / "plans.json", fleet.target(name)
    first = await run(path, target, a_call(temperature=0.5), a_call(stream=True, temperature=0.5))
    sent = [(request.path, request.json.keys()) for request in fleet[name].requests]
    fleet.reset()
    found = again(path, target, temperature=0.5)
    assert found == {"ready": None, "loaded": False, "costs": [each.cost for each in first]}
    assert [(request.path, request.json.keys()) for request in fleet[name].requests] == sent
    assert fleet[name].requests[0].json["messages"] == [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize("name", ["openai", "mistral"])
async def test_tools_are_sent_again_without_litellm_and_kept_nowhere(fleet: Fleet, tmp_path: Path, name: str) -> None:
    path, target = tmp_path / "plans.json", fleet.target(name)
    city = {"type": "string", "description": "where, in a word"}
    schema = {"type": "object", "properties": {"city": city}, "required": ["city"]}
    tools = [{"type": "function", "function": {"name": "weather", "description": "how it is", "parameters": schema}}]
    params: dict[str, Any] = {"tools": tools, "tool_choice": "auto", "temperature": 0.5}
    first = await run(path, target, a_call(**params), a_call(stream=True, **params))
    sent = [request.json for request in fleet[name].requests]
    kept = path.read_text()
    assert len(records(path)) == 2
    assert not any(words in kept for words in ("weather", "city", "in a word"))
    fleet.reset()
    found = again(path, target, **params)
    assert found == {"ready": None, "loaded": False, "costs": [each.cost for each in first]}
    hi = [{"role": "user", "content": "hi"}]
    assert [request.json for request in fleet[name].requests] == [{**each, "messages": hi} for each in sent]
    assert again(path, target, **{**params, "tools": [*tools, *tools]})["loaded"]


async def test_tools_that_litellm_changes_are_a_matter_of_its_own(fleet: Fleet, tmp_path: Path) -> None:
    path, schema = tmp_path / "plans.json", {"type": "object", "properties": {}, "additionalProperties": False}
    tool = {"type": "function", "function": {"name": "f", "parameters": {**schema, "$schema": "x"}, "strict": True}}
    await run(path, fleet.target("mistral"), a_call(tools=[tool]))
    assert fleet["mistral"].requests[0].json["tools"] != [tool]
    assert records(path) == {}


async def test_an_unknown_call_loads_litellm_by_itself(fleet: Fleet, tmp_path: Path) -> None:
    path, target = tmp_path / "plans.json", fleet.target("openai")
    await run(path, target, a_call())
    found = again(path, target, seed=7)
    assert (found["ready"], found["loaded"]) == (None, True)


@pytest.mark.parametrize("name", DIRECT)
async def test_nothing_of_the_call_is_kept(fleet: Fleet, tmp_path: Path, name: str) -> None:
    path, target = tmp_path / "plans.json", fleet.target(name)
    await run(path, target, a_call(temperature=0.5, user="a name", stop=["a word"]), a_call(temperature=0.25))
    (record,) = records(path).values()
    assert record["wire"]["fields"]["temperature"] == 0.25
    kept = path.read_text()
    assert target.api_key is not None
    assert target.api_key.get_secret_value() not in kept
    assert not any(words in kept for words in (SAID, "a name", "a word"))


@pytest.mark.parametrize("policy", [LogPolicy(inputs=False), LogPolicy(outputs=False)])
async def test_a_call_that_omits_leaves_nothing(fleet: Fleet, tmp_path: Path, policy: LogPolicy) -> None:
    path = tmp_path / "plans.json"
    await run(path, fleet.target("openai"), a_call(policy=policy, temperature=0.5))
    assert records(path) == {}


async def test_the_file_is_its_owner_s_and_nothing_else_is_left(fleet: Fleet, tmp_path: Path) -> None:
    path, target = tmp_path / "plans.json", fleet.target("openai")
    before = os.umask(0o022)
    try:
        await run(path, target, a_call())
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    path.unlink()
    path.mkdir()  # cannot be replaced by a file
    await run(path, target, a_call())
    assert os.listdir(tmp_path) == ["plans.json"]


async def test_who_needed_litellm_loads_it_at_once(fleet: Fleet, tmp_path: Path) -> None:
    path, target = tmp_path / "plans.json", fleet.target("openai")

    def needed() -> bool:
        return bool(orjson.loads(path.read_bytes())["needed"])

    await run(path, target, a_call(), a_call(stop=["a word"]))
    assert needed()
    await run(path, target)
    assert needed(), "a run without calls says nothing"
    await run(path, target, a_call())
    assert not needed()


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"records": 5}', b'{"records": {"zz": {"name": 5}}}', None])
async def test_a_damaged_file_is_no_file(fleet: Fleet, tmp_path: Path, damage: bytes | None) -> None:
    path, target = tmp_path / "plans.json", fleet.target("openai")
    if damage is None:
        path.mkdir()
    else:
        path.write_bytes(damage)
    (answer,) = await run(path, target, a_call())
    assert answer.text == "Hello from openai"
    assert path.is_dir() or len(records(path)) == 1


async def test_a_record_of_another_form_is_none(fleet: Fleet, tmp_path: Path) -> None:
    path, target = tmp_path / "plans.json", fleet.target("openai")
    path.write_bytes(written({**plans._versions(), "needed": False, "records": {"zz": {"name": 5}}}))
    (answer,) = await run(path, target, a_call())
    assert answer.text == "Hello from openai"


async def test_another_version_counts_for_nothing(fleet: Fleet, tmp_path: Path) -> None:
    path, target = tmp_path / "plans.json", fleet.target("openai")
    await run(path, target, a_call())
    document = orjson.loads(path.read_bytes())
    for record in document["records"].values():
        record["wire"]["url"] = "http://127.0.0.1:9/"
    del document["checksum"]
    path.write_bytes(written(document | {"litellm": "1.0"}))
    (answer,) = await run(path, target, a_call())
    assert answer.text == "Hello from openai"


async def test_what_others_wrote_into_the_file_counts_for_nothing(fleet: Fleet, tmp_path: Path) -> None:
    path, target = tmp_path / "plans.json", fleet.target("openai")
    await run(path, target, a_call())
    document = orjson.loads(path.read_bytes())
    checksum = document.pop("checksum")
    assert orjson.loads(written(document))["checksum"] == checksum
    for record in document["records"].values():
        record["wire"]["url"] = "http://127.0.0.1:9/"
    path.write_bytes(orjson.dumps(document | {"checksum": checksum}))
    (answer,) = await run(path, target, a_call())
    assert answer.text == "Hello from openai"


async def test_the_newest_are_kept_and_the_others_need_litellm(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "MOST", 2)
    path, target = tmp_path / "plans.json", fleet.target("openai")
    await run(path, target, a_call(temperature=0.1), a_call(temperature=0.2))
    assert not orjson.loads(path.read_bytes())["needed"]
    await run(path, target, a_call(temperature=0.3), a_call(temperature=0.2))
    kept = [record["wire"]["fields"]["temperature"] for record in records(path).values()]
    assert sorted(kept) == [0.2, 0.3]
    assert orjson.loads(path.read_bytes())["needed"]


async def test_what_strictness_refuses_was_not_learnt_without_it(fleet: Fleet, tmp_path: Path) -> None:
    path, target = tmp_path / "plans.json", fleet.target("openai")
    await run(path, target, a_call(top_k=5))
    strict = LiteLLM(timeout=10, plans=path, strict_params=True)
    await strict.start()
    with pytest.raises(UpstreamError, match="top_k"):
        async with aclosing(strict.complete(a_call(top_k=5), target)) as events:
            assert [event async for event in events]
    await strict.close()


async def test_another_address_is_another_kind(fleet: Fleet, tmp_path: Path) -> None:
    path, target = tmp_path / "plans.json", fleet.target("openai")
    await run(path, target, a_call())
    other = Target("openai", target.model, SecretStr("sk-other"), fleet.target("anyscale").api_base)
    with pytest.raises(UpstreamError):
        await run(path, other, a_call())
    assert len(fleet["anyscale"].requests) == 1
