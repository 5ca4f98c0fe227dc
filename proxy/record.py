"""What is written down of a call: the finished row.

Ids and times are made above the store, and the store inserts a record as it stands.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from proxy.models import Json, LogPolicy


@dataclass(slots=True)
class Record:
    """One row of the trace log: a completion of the gateway, or a function that a client logged.

    Times are ISO 8601 in UTC with microseconds; `latency` and `time_to_first_token` are seconds. `configuration` has
    the wire's shape (`model`, `provider`, `model_params`, `messages`, `functions`, `function_call`). `notes` is what
    the gateway remarks about the call: `dropped` parameters, `unfilled` template names, `cache`, `dialect`. `extra`
    keeps what a client logged that has no column. `policy` says what of it may be written down; it is no column
    itself. A record with `counted_only` has lost the draw of its trace: ids and counters, no content. One that is a
    `stand_in` says only what nobody has said: where its row exists already, it changes nothing. One that is `signed`
    changes no row that does not bear its `key`. `key` is the name of
    the key that the call came with, and `spent` what it cost that key, in nanodollars: each record is counted once,
    also where a later one has the same trace id.
    """

    trace_id: str
    root_trace_id: str
    parent_trace_id: str | None = None
    session_id: str | None = None
    name: str | None = None
    project_name: str | None = None
    project_uuid: str | None = None
    deployment_id: str | None = None
    deployment_version: str | None = None
    experiment_uuid: str | None = None
    end_user: str | None = None
    tags: list[str] = field(default_factory=list)
    metadata: dict[str, Json] | None = None
    target: str | None = None
    eval_metric_ids: list[int] | None = None
    provider: str | None = None
    model: str | None = None
    inputs: dict[str, Json] | None = None
    configuration: dict[str, Json] | None = None
    output: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cost: float | None = None
    latency: float | None = None
    time_to_first_token: float | None = None
    start_timestamp: str = ""
    end_timestamp: str | None = None
    status: str | None = None
    error: str | None = None
    cache_hit: bool = False
    sample_rate: float = 1.0
    scores: list[dict[str, Json]] = field(default_factory=list)
    feedback_score: float | None = None
    notes: dict[str, Json] = field(default_factory=dict)
    extra: dict[str, Json] = field(default_factory=dict)
    key: str | None = None
    policy: LogPolicy = LogPolicy()
    counted_only: bool = False
    stand_in: bool = False
    spent: int = 0
    signed: bool = False


FLAGS = frozenset({"policy", "counted_only", "stand_in", "spent", "signed"})
"""The fields of a `Record` that are no columns."""

SESSION = "session"
"""The name of a session's own row, which its first call makes for it."""


def split(output: str) -> tuple[str, list[dict[str, Json]]]:
    """The text of an answer and its tool calls, of which the log makes one text."""
    at = 0 if output.startswith("[") else output.rfind("\n[\n") + 1
    if at == 0 and not output.startswith("["):
        return output, []
    try:
        calls = json.loads(output[at:])
    except (ValueError, RecursionError):
        return output, []
    if isinstance(calls, list) and calls and all(_is_call(one) for one in calls):
        return output[:at].removesuffix("\n"), calls
    return output, []


def _is_call(value: Json) -> bool:
    return (
        isinstance(value, dict)
        and value.get("type") == "function"
        and isinstance(function := value.get("function"), dict)
        and isinstance(function.get("name"), str)
        and isinstance(function.get("arguments"), str)
    )
