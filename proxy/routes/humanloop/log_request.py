"""A datapoint as a client logs it, and the row that it becomes.

What must stay true: with `save: false` nothing of what was asked or answered reaches the row, and a reference gives the
same id wherever it is used.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import Field

from proxy import timestamps
from proxy.config.deployment import Deployment
from proxy.dialects.humanloop.schema import MessageWire, config_id
from proxy.errors import Unprocessable
from proxy.ids import datapoint_id, new_id
from proxy.models import ALL, Json, LogPolicy
from proxy.record import Record
from proxy.routes.humanloop import feedback
from proxy.routes.humanloop.body import Amount, Count, Id, Moment, Wire
from proxy.routes.humanloop.feedback import FeedbackGiven

KEPT = (
    *("reference_id", "parent_reference_id", "session_reference_id", "source", "source_datapoint_id", "environment"),
    *("save", "judgment", "stdout", "raw_output", "output_message", "prompt_cost", "output_cost"),
    *("provider_request", "provider_response", "provider_latency", "finish_reason", "tool_choice"),
    *("trial_id", "status"),
)
"""The fields without a column, which are kept as they were sent."""

KEYS = frozenset({"api_key", "provider_api_key", "provider_api_keys"})
"""What is never stored, in case a configuration comes with it."""

SAMPLING = ("top_p", "stop", "presence_penalty", "frequency_penalty", "seed", "response_format")
ONE_OF = (("session_id", "session_reference_id"), ("parent_id", "parent_reference_id"))

Judgment = bool | int | float | list[str] | str


class LoggedConfig(Wire):
    """What made the datapoint: a model configuration or a tool. All of it is kept as it was sent."""

    type: Literal["model", "tool"] = "model"
    name: str | None = None
    model: str | None = Field(None, description="Required of a model configuration")
    provider: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: str | list[str] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None


class ChosenFunction(Wire):
    name: str


class ToolChoice(Wire):
    """A tool choice that names the tool, in the form that the clients read."""

    type: Literal["function"]
    function: ChosenFunction


class LogRequest(Wire):
    """One datapoint."""

    project: Id | None = Field(None, description="The project's name; this or `project_id` is needed")
    project_id: Id | None = None
    session_id: Id | None = None
    session_reference_id: Id | None = Field(None, description="The caller's own id of the session")
    parent_id: Id | None = None
    parent_reference_id: Id | None = Field(None, description="The `reference_id` of the parent")
    reference_id: Id | None = Field(None, description="The caller's own id of the datapoint")
    source: str | None = None
    source_datapoint_id: Id | None = None
    inputs: dict[str, Any] | None = None
    messages: list[MessageWire] | None = None
    output: str | None = None
    raw_output: str | None = Field(None, description="The output as the model gave it")
    output_message: MessageWire | None = None
    judgment: Judgment | None = None
    metadata: dict[str, Any] | None = None
    save: bool | None = Field(None, description="false: neither inputs nor outputs are kept anywhere")
    config: LoggedConfig | None = None
    config_id: Id | None = None
    environment: str | None = None
    feedback: FeedbackGiven | list[FeedbackGiven] | None = None
    created_at: Moment | None = None
    error: str | None = None
    stdout: str | None = None
    duration: Amount | None = Field(None, description="Seconds")
    provider_latency: Amount | None = Field(None, description="Seconds of the duration that the provider took")
    finish_reason: str | None = None
    tool_choice: str | ToolChoice | None = None
    trial_id: str | None = None
    status: str | None = None
    user: str | None = None
    prompt_tokens: Count | None = None
    output_tokens: Count | None = None
    prompt_cost: Amount | None = Field(None, description="USD")
    output_cost: Amount | None = Field(None, description="USD")
    provider_request: dict[str, Any] | None = None
    provider_response: dict[str, Any] | None = None


def check(items: list[LogRequest], *, several: bool) -> None:
    """What no single field can tell."""
    wrong: list[dict[str, Any]] = []
    for place, item in enumerate(items):
        body: list[Any] = ["body", place] if several else ["body"]
        if not (item.project or item.project_id):
            wrong.append({"loc": [*body, "project"], "msg": "give project or project_id", "type": "missing"})
        for first, second in ONE_OF:
            if getattr(item, first) and getattr(item, second):
                wrong.append(
                    {"loc": [*body, second], "msg": f"give {first} or {second}, not both", "type": "value_error"}
                )
        if item.config is not None:
            needed = "model" if item.config.type == "model" else "name"
            if not getattr(item.config, needed):
                wrong.append({"loc": [*body, "config", needed], "msg": "Field required", "type": "missing"})
    if wrong:
        raise Unprocessable(wrong)
    feedback.check(
        (["body", *([place] if several else []), "feedback"], one)
        for place, item in enumerate(items)
        for one in _feedback(item)
    )


def to_record(
    item: LogRequest, raw: Json, deployment: Deployment | None, now: datetime, *, id: str | None = None
) -> Record:
    """The row of a datapoint, whose place in the log and project are still to be said; `raw` is what was sent, `id` is
    its own where it has one already.
    """
    trace_id = id or datapoint_id(item.reference_id or new_id())
    policy = ALL if item.save is not False else LogPolicy(inputs=False, outputs=False)
    record = Record(
        trace_id,
        trace_id,
        end_user=item.user,
        metadata=item.metadata,
        inputs=item.inputs,
        output=item.output,
        input_tokens=item.prompt_tokens,
        output_tokens=item.output_tokens,
        error=item.error or None,
        status="error" if item.error else "success" if item.output is not None else None,
        scores=_scores(item, trace_id, now, policy),
        notes={"dialect": "humanloop"},
        extra=_extra(item, raw),
        policy=policy,
    )
    _measure(record, item, now)
    _configure(record, item, deployment)
    return record


def _feedback(item: LogRequest) -> list[FeedbackGiven]:
    given = item.feedback
    return given if isinstance(given, list) else [] if given is None else [given]


def _scores(item: LogRequest, trace_id: str, now: datetime, policy: LogPolicy) -> list[dict[str, Json]]:
    scores = [feedback.score(one, trace_id, now) for one in _feedback(item)]
    by_name = {one["name"]: feedback.without_text(one) if policy.omits else one for one in scores}
    return list(by_name.values())


def _extra(item: LogRequest, raw: Json) -> dict[str, Json]:
    extra = {name: raw[name] for name in KEPT if getattr(item, name) is not None}
    if item.config is not None:
        config = {name: value for name, value in raw["config"].items() if name not in KEYS}
        extra |= {"config": config, "model_config_id": config_id(config)}
    if item.config_id is not None:
        extra["model_config_id"] = item.config_id
    if item.model_extra:
        extra["unknown"] = sorted(item.model_extra)
    return extra


def _measure(record: Record, item: LogRequest, now: datetime) -> None:
    """When it began and ended, and what it cost; without a time of its own it has just ended."""
    lasted = timedelta(seconds=item.duration or 0.0)
    began = item.created_at or now - lasted
    record.start_timestamp = timestamps.text(began)
    record.end_timestamp = timestamps.text(began + lasted)
    record.latency = item.duration
    tokens = [count for count in (item.prompt_tokens, item.output_tokens) if count is not None]
    record.total_tokens = sum(tokens) if tokens else None
    costs = [cost for cost in (item.prompt_cost, item.output_cost) if cost is not None]
    record.cost = sum(costs) if costs else None


def _configure(record: Record, item: LogRequest, deployment: Deployment | None) -> None:
    """What made it: by the configuration that came along, or by the deployment that its id is of."""
    config = item.config or LoggedConfig()
    configuration: dict[str, Json] = {}
    if deployment is not None:
        record.deployment_id, record.deployment_version = deployment.id, deployment.version
    record.model = config.model or (deployment.model if deployment else None)
    record.provider = config.provider or (deployment.provider if deployment else None)
    record.name = config.name or (f"llm-{record.provider}" if record.provider else "log")
    params = {"temp": config.temperature, "max_length": config.max_tokens}
    params |= {name: getattr(config, name) for name in SAMPLING}
    if kept := {name: value for name, value in params.items() if value is not None}:
        configuration["model_params"] = kept
    if config.tools:
        configuration["functions"] = config.tools
    if item.messages is not None:
        configuration["messages"] = [one.model_dump(exclude_none=True) for one in item.messages]
    if configuration or record.model:
        record.configuration = {"model": record.model, "provider": record.provider, **configuration}
