"""What a user of humanloop 0.7.35 writes. Run with GATEWAY set to the API's address; prints one JSON object of what it
saw. `validate=True` makes the client check the answer against the API's own schema.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from humanloop import Humanloop
from humanloop.exceptions import ApiException, ApiStreamingException

client = Humanloop(api_key="anything", host=os.environ["GATEWAY"])
seen: dict[str, Any] = {}

ADA = {"name": "Ada"}
HI = [{"role": "user", "content": "hi"}]
SUPPORT = {"project": "support", "inputs": ADA}
VENDOR = {"model": "gpt-4o-mini", "provider": "openai", "endpoint": "complete", "prompt_template": "Hello {{name}}"}
CHAT = {"model": "gpt-4o-mini", "chat_template": [{"role": "system", "content": "You help {{name}}."}]}
TOOL = {"name": "get_weather", "description": "d", "parameters": {"type": "object", "properties": {}}}


def flow(function: Callable[[], Any]) -> None:
    try:
        seen[function.__name__] = function()
    except Exception as error:  # which it is, is the finding
        seen[function.__name__] = f"{type(error).__name__}: {error}"


def refused(call: Callable[..., Any], **fields: Any) -> list[Any]:
    try:
        call(**fields)
    except ApiException as error:
        return [error.status, error.body["detail"]]
    return ["no error"]


@flow
def deployed() -> Any:
    answer = client.completions.create_deployed(**SUPPORT, validate=True)
    (one,) = answer.data
    seen["deployed_ids"] = [one.id, one.model_config_id_, answer.project_id]
    return [one.index, one.output, one.raw_output, one.inputs, one.finish_reason, answer.num_samples]


@flow
def vendor() -> Any:
    answer = client.completions.create_deployed(project="vendor", inputs=ADA, validate=True)
    usage = answer.usage
    return [answer.data[0].output, usage.prompt_tokens, usage.generation_tokens, usage.total_tokens]


@flow
def every_field() -> Any:
    answer = client.completions.create_deployed(
        project="vendor",
        session_reference_id="conversation-1",
        parent_reference_id="nobody-has-it",
        inputs=ADA,
        source="app",
        metadata={"k": "v"},
        save=True,
        source_datapoint_id="evtc_1",
        provider_api_keys={"anthropic": "sk-other"},
        num_samples=2,
        stream=False,
        user="user-1",
        seed=7,
        return_inputs=False,
        environment="production",
        validate=True,
    )
    seen["session"] = answer.session_id
    seen["samples"] = [one.id for one in answer.data]
    return [[[one.index, one.output, one.inputs] for one in answer.data], answer.user, answer.metadata]


@flow
def unsaved() -> Any:
    answer = client.complete_deployed(project="support", inputs={"name": "Confidential"}, save=False)
    seen["unsaved_id"] = answer.data[0].id
    return answer.data[0].output


@flow
def shortcuts() -> Any:
    answers = [
        client.complete_deployed(**SUPPORT),
        client.complete(project="support", model_config=VENDOR, inputs=ADA),
        client.chat(project="support", messages=HI, model_config=CHAT, inputs=ADA),
        client.chat_deployed(project="vendor", messages=HI, inputs=ADA),
    ]
    return [answer.data[0].output for answer in answers]


@flow
def same_session() -> Any:
    answer = client.complete_deployed(**SUPPORT, session_reference_id="conversation-1")
    again = client.complete_deployed(**SUPPORT, session_id=answer.session_id, parent_id=answer.data[0].id)
    return [answer.session_id, again.session_id]


@flow
def experiment() -> Any:
    """One variant for one session, whatever the weights are."""
    asked = [
        client.complete_deployed(**SUPPORT, environment="staging", session_reference_id="conversation-2")
        for _ in range(3)
    ]
    return [answer.data[0].output for answer in asked]


@flow
def by_project_id() -> Any:
    return client.complete_deployed(project_id=seen["deployed_ids"][2], inputs=ADA).data[0].output


@flow
def complete() -> Any:
    answer = client.completions.create(project="support", model_config=VENDOR, inputs=ADA, validate=True)
    return [answer.data[0].output, answer.data[0].finish_reason]


@flow
def complete_without_a_project() -> Any:
    return client.complete(model_config=VENDOR, inputs=ADA).data[0].output


@flow
def complete_model_config() -> Any:
    config = seen["deployed_ids"][1]
    answer = client.complete_model_configuration(project="support", model_config_id=config, inputs=ADA)
    return [answer.data[0].output, answer.data[0].model_config_id_ == config]


@flow
def chat() -> Any:
    answer = client.chats.create(project="support", messages=HI, model_config=CHAT, inputs=ADA, validate=True)
    one = answer.data[0]
    return [one.output, one.output_message.role, one.output_message.content, one.finish_reason]


@flow
def chat_tool() -> Any:
    config = {"model": "openai/gpt-4o-mini~tool", "tools": [TOOL]}
    answer = client.chats.create(project="support", messages=HI, model_config=config, tool_choice="auto", validate=True)
    one = answer.data[0]
    calls = one.output_message.tool_calls
    return [one.finish_reason, [[call.function.name, json.loads(call.function.arguments)] for call in calls]]


@flow
def chat_deployed() -> Any:
    answer = client.chats.create_deployed(project="vendor", messages=HI, inputs=ADA, validate=True)
    return [answer.data[0].output, answer.data[0].output_message.content]


@flow
def chat_model_config() -> Any:
    config = seen["deployed_ids"][1]
    return client.chat_model_config(project="support", messages=HI, model_config_id=config, inputs=ADA).data[0].output


@flow
def feedback() -> Any:
    data_id = seen["deployed_ids"][0]
    one = client.feedback(type="rating", value="good", data_id=data_id, user="user-1")
    many = client.feedback([{"type": "comment", "value": "fine", "data_id": data_id}])
    return [one.type, one.value, one.data_id == data_id, one.id[:4], [each.value for each in many]]


@flow
def logs() -> Any:
    made = client.log(
        project="support",
        inputs=ADA,
        output="logged by hand",
        source="sdk",
        reference_id="reference-1",
        session_reference_id="conversation-1",
        config={"type": "model", "model": "gpt-4o-mini"},
        duration=0.5,
        metadata={"k": "v"},
    )
    changed = client.logs.update(id=made.id, output="changed", validate=True)
    by_reference = client.logs.update_by_ref(reference_id="reference-1", error="on purpose", validate=True)
    seen["logged"] = made.id
    found = client.logs.get(id=made.id, validate=True)
    same = changed.id == made.id == by_reference.id == found.id
    return [same, found.output, found.error, found.source, found.reference_id, found.config.model, found.duration]


@flow
def log_of_a_completion() -> Any:
    found = client.logs.get(id=seen["deployed_ids"][0], validate=True)
    return [found.id == seen["deployed_ids"][0], found.output, found.inputs, found.project]


@flow
def log_of_each_sample() -> Any:
    return [client.logs.get(id=sample, validate=True).output for sample in seen["samples"]]


@flow
def several_logs() -> Any:
    made = client.log([{"project": "support", "output": "a"}, {"project": "support", "output": "b"}])
    return [len(made), len({one.id for one in made})]


@flow
def listed_logs() -> Any:
    page = client.logs.list(project_id=seen["deployed_ids"][2], search="by hand", size=2, page=1)
    every = client.logs.list(project_id=seen["deployed_ids"][2], size=50)
    ids = [one.id for one in every.records]
    return [
        page.page,
        page.size,
        seen["logged"] in ids,
        seen["deployed_ids"][0] in ids,
        every.total >= len(ids),
    ]


@flow
def sessions() -> Any:
    made = client.sessions.create(validate=True)
    used = client.complete_deployed(**SUPPORT, session_id=made.id)
    found = client.sessions.get(id=seen["session"], validate=True)
    listed = client.sessions.list(project_id=seen["deployed_ids"][2], page=1, size=50)
    ids = [one.id for one in listed.records]
    return [made.id[:5], used.session_id == made.id, found.reference_id, found.datapoints_count, made.id in ids]


@flow
def projects() -> Any:
    listed = client.projects.list(page=1, size=10, validate=True)
    sought = client.projects.list(filter="upp", validate=True)
    found = client.projects.get(id=seen["deployed_ids"][2], validate=True)
    names = {one.name for one in listed.records}
    return [
        names >= {"support", "vendor"},
        [one.name for one in sought.records],
        found.name,
        found.active_config.config.model,
    ]


@flow
def configs() -> Any:
    project = seen["deployed_ids"][2]
    active = client.projects.get_active_config(id=project, validate=True)
    staged = client.projects.get_active_config(id=project, environment="staging")
    deployed = client.projects.list_deployed_configs(id=project)
    return [
        active.config.chat_template[0].content,
        bool(staged.config),
        sorted(one.environment_name for one in deployed),
    ]


@flow
def unknown_project() -> Any:
    return refused(client.complete_deployed, project="nobody", inputs=ADA)


@flow
def unknown_environment() -> Any:
    return refused(client.complete_deployed, project="support", inputs=ADA, environment="moon")


@flow
def no_project() -> Any:
    return refused(client.complete_deployed, inputs=ADA)


@flow
def missing_inputs() -> Any:
    return refused(client.complete_deployed, project="support", inputs={})


@flow
def unknown_log() -> Any:
    return refused(client.logs.get, id="data_none")


@flow
def vendor_refuses() -> Any:
    config = {**VENDOR, "model": "gpt-4o-mini~e429after"}
    return refused(client.complete, project="support", model_config=config, inputs=ADA)


@flow
def wrong_key() -> Any:
    return refused(Humanloop(api_key="wrong", host=os.environ["GUARDED"]).complete_deployed, **SUPPORT)


async def text(asked: Any) -> list[Any]:
    """Every sample's text and finish reason, by its index, and whether its id is the same throughout."""
    outputs: dict[int, str] = {}
    finishes: dict[int, list[str]] = {}
    ids: dict[int, set[str]] = {}
    async for chunk in (await asked).content:
        outputs[chunk["index"]] = outputs.get(chunk["index"], "") + chunk["output"]
        finishes.setdefault(chunk["index"], []).extend([chunk["finish_reason"]] if chunk["finish_reason"] else [])
        ids.setdefault(chunk["index"], set()).add(chunk["id"])
    return [[outputs[index], finishes[index], len(ids[index])] for index in sorted(outputs)]


async def stream_error(**fields: Any) -> list[Any]:
    try:
        await text(client.complete_deployed_stream(**fields))
    except ApiStreamingException as error:
        return [error.status, json.loads(error.body)["detail"]]
    except Exception as error:
        return [type(error).__name__]
    return ["no error"]


async def noticed(asked: Any) -> list[Any]:
    """What had arrived of a stream, whether its end was told, and what its reader is told instead."""
    arrived: list[str] = []
    ends: list[str] = []
    try:
        async for chunk in (await asked).content:
            arrived.append(chunk["output"])
            ends.extend([chunk["finish_reason"]] if chunk["finish_reason"] else [])
    except Exception as error:
        return ["".join(arrived), ends, type(error).__name__]
    return ["".join(arrived), ends, "no error"]


async def concurrent() -> None:
    failing = {**VENDOR, "model": "gpt-4o-mini~serr"}
    steps: dict[str, Callable[[], Any]] = {
        "async_deployed": lambda: client.acomplete_deployed(**SUPPORT, validate=True),
        "deployed_stream": lambda: text(client.complete_deployed_stream(**SUPPORT)),
        "samples_stream": lambda: text(client.complete_deployed_stream(project="vendor", inputs=ADA, num_samples=2)),
        "complete_stream": lambda: text(client.complete_stream(project="support", model_config=VENDOR, inputs=ADA)),
        "chat_stream": lambda: text(client.chat_stream(project="support", messages=HI, model_config=CHAT, inputs=ADA)),
        "chat_deployed_stream": lambda: text(client.chat_deployed_stream(project="vendor", messages=HI, inputs=ADA)),
        "stream_error": lambda: stream_error(project="nobody", inputs=ADA),
        "failed_stream": lambda: noticed(client.complete_stream(project="support", model_config=failing, inputs=ADA)),
        "failed_chat_stream": lambda: noticed(
            client.chat_stream(
                project="support", messages=HI, model_config={**CHAT, "model": failing["model"]}, inputs=ADA
            )
        ),
        "broken_stream": lambda: text(
            client.complete_stream(project="support", model_config={**VENDOR, "model": "gpt-4o-mini~cut"}, inputs=ADA)
        ),
    }
    for name, step in steps.items():
        try:
            found = await step()
            seen[name] = found if isinstance(found, list) else found.data[0].output
        except Exception as error:
            seen[name] = f"{type(error).__name__}"


asyncio.run(concurrent())
json.dump(seen, sys.stdout)
