"""A row of the log as the datapoint that the clients read, whichever API it came by."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from proxy.config import Config
from proxy.ids import sample_id
from proxy.models import Json
from proxy.record import Record
from proxy.routes.humanloop import configs, feedback, samples
from proxy.routes.humanloop.directory import Directory
from proxy.routes.humanloop.feedback import FeedbackResponse

NEVER = "1970-01-01T00:00:00+00:00"
"""The time of a row that has none yet."""

EXTRA = (
    *("session_reference_id", "parent_reference_id", "reference_id", "source", "source_datapoint_id", "judgment"),
    *("stdout", "raw_output", "output_message", "prompt_cost", "output_cost", "provider_request", "provider_response"),
    *("provider_latency", "finish_reason", "tool_choice", "trial_id", "status"),
)
"""The fields that a row keeps as they were sent."""

REASONS = {"tool_calls": "tool_call", "function_call": "tool_call"}


class LogResponse(BaseModel):
    """A datapoint. Fields that are not known are left out."""

    id: str
    config: dict[str, Any]
    config_id: str
    evaluation_results: list[dict[str, Any]]
    observability_status: str
    created_at: datetime
    updated_at: datetime
    project: str
    project_id: str
    save: bool
    feedback: list[FeedbackResponse]
    samples: list[str] | None = Field(None, description="The ids of all samples of its call, where it has several.")
    session_id: str | None = None
    session_reference_id: str | None = None
    parent_id: str | None = None
    parent_reference_id: str | None = None
    reference_id: str | None = None
    inputs: dict[str, Any] | None = None
    source: str | None = None
    source_datapoint_id: str | None = None
    metadata: dict[str, Any] | None = None
    messages: list[dict[str, Any]] | None = None
    output: str | None = None
    raw_output: str | None = None
    output_message: dict[str, Any] | None = None
    judgment: Any = None
    environment: str | None = None
    experiment: dict[str, Any] | None = None
    error: str | None = None
    stdout: str | None = None
    duration: float | None = None
    provider_latency: float | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    tokens: int | None = None
    prompt_cost: float | None = None
    output_cost: float | None = None
    provider_request: dict[str, Any] | None = None
    provider_response: dict[str, Any] | None = None
    user: str | None = None
    finish_reason: str | None = None
    tool_choice: str | dict[str, Any] | None = None
    trial_id: str | None = None
    status: str | None = None


def moments(record: Record) -> tuple[str, str]:
    """When a row was made, and when it last changed by itself."""
    began = record.start_timestamp or record.end_timestamp or NEVER
    return began, record.end_timestamp or began


async def to_log(row: Record, config: Config, directory: Directory, index: int | None = None) -> dict[str, Json]:
    """A row, or one sample of a row, the first if it is not said which, as a `LogResponse`."""
    several = samples.indices(row)
    record = samples.view(row, several[0] if several and index is None else index or 0) or row
    project, project_id = await directory.of(row)
    created_at, updated_at = moments(record)
    used = configs.of_row(config, record)
    reason = record.notes.get("finish_reason")
    shown = {
        "id": record.trace_id,
        "config": used,
        "config_id": used["id"],
        "evaluation_results": [],
        "observability_status": "completed",
        "created_at": created_at,
        "updated_at": updated_at,
        "project": project,
        "project_id": project_id,
        "save": not record.notes.get("omitted"),
        "feedback": feedback.given(record),
        "samples": [sample_id(row.trace_id, each) for each in several] or None,
        "session_id": record.session_id,
        "parent_id": record.parent_trace_id if record.parent_trace_id != record.session_id else None,
        "inputs": record.inputs,
        "metadata": record.metadata,
        "messages": _messages(record),
        "output": record.output,
        "raw_output": record.output,
        "environment": record.notes.get("environment") or record.extra.get("environment") or None,
        "experiment": record.notes.get("experiment"),
        "error": record.error,
        "duration": record.latency,
        "provider_latency": record.latency,
        "prompt_tokens": record.input_tokens,
        "output_tokens": record.output_tokens,
        "tokens": record.total_tokens,
        "user": record.end_user,
        "finish_reason": REASONS.get(reason, reason) if isinstance(reason, str) else None,
        **{name: record.extra[name] for name in EXTRA if name in record.extra},
    }
    return {name: value for name, value in shown.items() if value is not None}


def _messages(record: Record) -> list[dict[str, Json]] | None:
    """The conversation; what was filled into a prompt to be completed is none."""
    stored = (record.configuration or {}).get("messages")
    if record.notes.get("kind") == "text" or not isinstance(stored, list):
        return None
    return configs.messages([one for one in stored if isinstance(one, dict)])
