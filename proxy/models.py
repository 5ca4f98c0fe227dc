"""The nouns every room shares: what is asked, what comes back, what is written down.

Inside the gateway a conversation has OpenAI's shape: messages are OpenAI chat messages, parameters carry OpenAI's names
(`temperature`, `max_tokens`, `tools`, `tool_choice`, `response_format`, ...). Dialects translate to and from it at
the edge, providers at the other edge; nothing in between knows a vendor's words.

What must stay true:

* A `CompletionRequest` holds no credentials. Keys that a client sends travel in `Call.api_keys`, apart from it.
* A handler yields `Chunk`s and then exactly one `Completion`; a whole answer is a stream of one.
* A `Record` is the finished row: ids and times are made above the store, and the store inserts it as it stands.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import SecretStr

Json = Any
"""A JSON value: None, bool, int, float, str, list or dict of the same."""

Message = dict[str, Json]
"""An OpenAI chat message: `role`, `content` (text or a list of parts), `tool_calls`, `tool_call_id`, `name`."""

Status = Literal["success", "error", "cancelled"]
CacheStatus = Literal["hit", "miss", "shared", "bypass"]


@dataclass(slots=True, frozen=True)
class LogPolicy:
    """What of a call may be written down: its inputs, its outputs, and the probability that its whole trace is kept."""

    inputs: bool = True
    outputs: bool = True
    rate: float = 1.0

    @property
    def omits(self) -> bool:
        return not (self.inputs and self.outputs)

    def narrowed(self, other: LogPolicy) -> LogPolicy:
        """The stricter of two policies, field by field: what either side forbids stays unwritten."""
        if other is ALL:
            return self
        return LogPolicy(self.inputs and other.inputs, self.outputs and other.outputs, min(self.rate, other.rate))


ALL = LogPolicy()
"""Everything may be written down."""


@dataclass(slots=True)
class TraceContext:
    """Where a call stands in the log: its place in the tree and the labels it carries.

    `parent_trace_id` is None for the root of a tree, and then `root_trace_id` is the trace id itself.
    """

    trace_id: str
    root_trace_id: str
    parent_trace_id: str | None = None
    session_id: str | None = None
    name: str | None = None
    project_name: str | None = None
    project_uuid: str | None = None
    experiment_uuid: str | None = None
    end_user: str | None = None
    tags: list[str] = field(default_factory=list)
    metadata: dict[str, Json] | None = None
    target: str | None = None
    eval_metric_ids: list[int] | None = None


@dataclass(slots=True)
class CompletionRequest:
    """What a client asked for, in the gateway's own words, whichever dialect it spoke.

    `messages` is None when they shall come from the deployment; `history` goes before them. `params` holds only what
    the client meant (no nulls). `inputs` fill `{{name}}` in the messages.
    """

    dialect: str
    trace: TraceContext
    model: str | None = None
    provider: str | None = None
    deployment_id: str | None = None
    messages: list[Message] | None = None
    history: list[Message] = field(default_factory=list)
    params: dict[str, Json] = field(default_factory=dict)
    inputs: dict[str, Json] = field(default_factory=dict)
    policy: LogPolicy = LogPolicy()
    stream: bool = False
    cache: bool = False
    retry: bool = False
    fallbacks: list[str] = field(default_factory=list)


@dataclass(slots=True, frozen=True)
class Target:
    """One endpoint of one provider, with its key and base: what a model name resolves to.

    `provider` is a name of the provider table (`openai`, `azure`, ..., `echo`), `model` the provider's own model id.
    `settings` are the provider's further credentials and options (`api_version`, `aws_region_name`, ...); `params` are
    defaults that a request's own parameters override. `timeout` is the whole call's, in seconds.
    """

    provider: str
    model: str
    api_key: SecretStr | None = field(default=None, repr=False)
    api_base: str | None = None
    settings: Mapping[str, Json] = field(default_factory=dict, repr=False)
    params: Mapping[str, Json] = field(default_factory=dict)
    timeout: float | None = None
    input_cost_per_token: float | None = None
    output_cost_per_token: float | None = None

    def with_key(self, api_key: SecretStr) -> Target:
        """This target with the key that a request brought instead of the configured one."""
        return replace(self, api_key=api_key)


@dataclass(slots=True)
class Call:
    """One request on its way through the pipeline: the request, its credentials, and what is noted about it.

    Each call belongs to one task. `resolve` fills `targets` and completes the request, and names in
    `template_of` the deployment whose messages are used, if they are not the request's own; providers note in
    `dropped` every parameter they could not send (name -> reason); `logged` is None until the row is settled, then
    whether it is on disk. `started` is a monotonic clock, so a latency is never negative; `started_at` is for people.
    """

    request: CompletionRequest
    api_keys: Mapping[str, SecretStr] = field(default_factory=dict, repr=False)
    targets: tuple[Target, ...] = ()
    template_of: str | None = None
    deployment_version: str | None = None
    dropped: dict[str, str] = field(default_factory=dict)
    unfilled: list[str] = field(default_factory=list)
    cache_status: CacheStatus = "bypass"
    logged: bool | None = None
    started: float = field(default_factory=time.perf_counter)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def elapsed(self) -> float:
        """Seconds since the call arrived."""
        return time.perf_counter() - self.started


@dataclass(slots=True)
class ToolCall:
    """A tool call of the model, or in a `Chunk` a fragment of one; `arguments` is JSON text."""

    id: str = ""
    name: str = ""
    arguments: str = ""
    index: int = 0


@dataclass(slots=True)
class Chunk:
    """A piece of a streamed answer: what choice `index` gained since the last one."""

    text: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list)
    reasoning: str = ""
    index: int = 0


@dataclass(slots=True)
class Usage:
    """Token counts. `estimated` says that the provider sent none and the gateway counted."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(slots=True)
class Choice:
    """One answer of a completion."""

    index: int = 0
    text: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list)
    finish_reason: str = "stop"
    reasoning: str = ""
    logprobs: Json = None


@dataclass(slots=True)
class Completion:
    """The whole answer, always a handler's last event. `cost` is in USD, None when the model has no known price."""

    choices: list[Choice]
    usage: Usage
    model: str
    provider: str
    cost: float | None = None
    cache_hit: bool = False

    @property
    def text(self) -> str:
        return self.choices[0].text if self.choices else ""

    @property
    def tool_calls(self) -> list[ToolCall]:
        return self.choices[0].tool_calls if self.choices else []


Event = Chunk | Completion


@dataclass(slots=True)
class Record:
    """One row of the trace log: a completion of the gateway, or a function that a client logged.

    Times are ISO 8601 in UTC with microseconds; `latency` and `time_to_first_token` are seconds. `configuration` has
    the wire's shape (`model`, `provider`, `model_params`, `messages`, `functions`, `function_call`). `notes` is what
    the gateway remarks about the call: `dropped` parameters, `unfilled` template names, `cache`, `dialect`. `extra`
    keeps what a client logged that has no column. `policy` says what of it may be written down; it is no column
    itself. A record with `counted_only` has lost the draw of its trace: ids and counters, no content.
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
    policy: LogPolicy = LogPolicy()
    counted_only: bool = False
