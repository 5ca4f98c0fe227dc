"""The nouns every room shares: what is asked and what comes back; `record.py` has what is written down.

Inside the gateway a conversation has OpenAI's shape: messages are OpenAI chat messages, parameters carry OpenAI's names
(`temperature`, `max_tokens`, `tools`, `tool_choice`, `response_format`, ...). Dialects translate to and from it at
the edge, providers at the other edge; nothing in between knows a vendor's words.

What must stay true:

* A `CompletionRequest` holds no credentials. Keys that a client sends travel in `Call.api_keys`, apart from it.
* A handler yields `Chunk`s and then exactly one `Completion`; a whole answer is a stream of one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import SecretStr

from proxy.caller import Caller
from proxy.patience import Patience
from proxy.target import Attempt, Group, Target

Json = Any
"""A JSON value: None, bool, int, float, str, list or dict of the same."""

Message = dict[str, Json]
"""An OpenAI chat message: `role`, `content` (text or a list of parts), `tool_calls`, `tool_call_id`, `name`."""

Status = Literal["success", "error", "cancelled"]
CacheStatus = Literal["hit", "miss", "shared", "bypass"]
Kind = Literal["chat", "text", "embedding"]
"""A conversation to go on with, a text to complete, or texts to embed."""


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

    `parent_trace_id` is None for the root of a tree, and then `root_trace_id` is the trace id itself. Without `rooted`
    the client named a parent and no root, and the parent's root is to be looked up. A `claimed` trace id is the
    client's own choice and may have been used before; one that is `repeated` means the row that the same key has under
    it. `extra` is what a dialect records besides.
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
    extra: dict[str, Json] = field(default_factory=dict)
    rooted: bool = True
    claimed: bool = False
    repeated: bool = False


@dataclass(slots=True)
class CompletionRequest:
    """What a client asked for, in the gateway's own words, whichever dialect it spoke.

    `messages` is None when they shall come from the deployment; `history` goes before them. Of texts to complete
    or to embed each is one message of the user's. `params` holds only what the client meant (no nulls).
    `inputs` fill `{{name}}` in the messages; with `strict_inputs` each name must have one. A request's own messages are
    no templates without any input, unless the client's API was made for them (`templates`). `turns` go on after the
    messages and never are. `environment` asks for what the trace's project has deployed there, `""` being its default
    environment. `timeout` is in seconds and can only lower the configured one. With `resume` an answer that breaks off
    is gone on with by another target.
    """

    dialect: str
    trace: TraceContext
    kind: Kind = "chat"
    model: str | None = None
    provider: str | None = None
    deployment_id: str | None = None
    environment: str | None = None
    messages: list[Message] | None = None
    history: list[Message] = field(default_factory=list)
    turns: list[Message] = field(default_factory=list)
    params: dict[str, Json] = field(default_factory=dict)
    inputs: dict[str, Json] = field(default_factory=dict)
    strict_inputs: bool = False
    templates: bool = False
    policy: LogPolicy = LogPolicy()
    stream: bool = False
    cache: bool = False
    retry: bool = False
    fallbacks: list[str] = field(default_factory=list)
    timeout: float | None = None
    resume: bool = False


@dataclass(slots=True)
class Call:
    """One request on its way through the pipeline: the request, its credentials, and what is noted about it.

    Each call belongs to one task. `resolve` fills `groups`, what the asked name stands for and after it what the
    request's own fallbacks do, with `targets`, all of theirs in the file's order, and completes the request, and names
    in `template_of` the deployment whose messages are used, if they are not the request's own; providers note in
    `dropped` every parameter they could not send (name -> reason), and refuse to call at all without one that is
    `demanded`; `remarks` are further notes for the row; `config_id` is the deployment's id as a Humanloop model
    configuration; `cache_reason` says why the cache did what it did; `asked` is when the first provider was asked, None
    while none was; `calls` is how often each provider was called, in vain or not; `attempts` are the targets that
    were asked or passed over, in order, and `current` is the one that was asked last; an answer that is not `lasting`
    is for those who ask now and not kept; `told` is what the dialect remembers from decoding to the end of its answer;
    `logged` is None until the row is settled, then whether it is on disk. `caller` is the key that it came with, None
    for the master's or where none is needed; `allowance` tells a caller what is left to it, as headers;
    `estimated_cost` is what a call without a `Completion` may have cost, in USD. `patience` is that of a call that
    nobody sits and waits for: it has no time limit in all, only its attempts do.
    `started` and `asked` are of a monotonic clock, so a latency is never negative; `started_at` is for people, in
    seconds since 1970.
    """

    request: CompletionRequest
    api_keys: Mapping[str, SecretStr] = field(default_factory=dict, repr=False)
    groups: tuple[Group, ...] = ()
    targets: tuple[Target, ...] = ()
    template_of: str | None = None
    deployment_version: str | None = None
    config_id: str | None = None
    dropped: dict[str, str] = field(default_factory=dict)
    demanded: frozenset[str] = frozenset()
    unfilled: list[str] = field(default_factory=list)
    remarks: dict[str, Json] = field(default_factory=dict)
    cache_status: CacheStatus = "bypass"
    cache_reason: str = "the request ended before the cache was asked"
    asked: float | None = None
    calls: dict[str, int] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    current: Target | None = None
    lasting: bool = True
    told: dict[str, Json] = field(default_factory=dict, repr=False)
    logged: bool | None = None
    caller: Caller | None = None
    allowance: list[tuple[bytes, bytes]] | None = None
    estimated_cost: float | None = None
    patience: Patience | None = None
    started: float = field(default_factory=time.perf_counter)
    started_at: float = field(default_factory=time.time)

    @property
    def target(self) -> Target | None:
        """The target that answers, or that failed last; before one was asked, the first that may be."""
        return self.current or (self.targets[0] if self.targets else None)

    def elapsed(self) -> float:
        """Seconds since the call arrived."""
        return time.perf_counter() - self.started

    def shift(self, seconds: float) -> None:
        """Count as if it had arrived so much later."""
        self.started += seconds
        self.started_at += seconds
        if self.asked is not None:
            self.asked += seconds


@dataclass(slots=True)
class ToolCall:
    """A tool call of the model, or in a `Chunk` a fragment of one; `arguments` is JSON text."""

    id: str = ""
    name: str = ""
    arguments: str = ""
    index: int = 0


@dataclass(slots=True)
class Chunk:
    """A piece of a streamed answer: what choice `index` gained since the last one; the fields are as in `Choice`."""

    text: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list)
    reasoning: str = ""
    index: int = 0
    logprobs: Json = None
    extra: dict[str, Json] = field(default_factory=dict)


@dataclass(slots=True)
class Usage:
    """Token counts. `estimated` says that the provider sent none and the gateway counted.

    `cached_tokens` are those of the prompt that the provider had in a cache of its own, `reasoning_tokens` those of the
    completion that the model thought with.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(slots=True)
class Choice:
    """One answer of a completion.

    `logprobs` has OpenAI's shape: `{content: [{token, logprob, bytes, top_logprobs}]}`, or of a text completion
    `{tokens, token_logprobs, top_logprobs, text_offset}`. `extra` is what else a message may hold, by OpenAI's names:
    `refusal`, `audio`, `annotations`, and Anthropic's `thinking_blocks`.
    """

    index: int = 0
    text: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list)
    finish_reason: str = "stop"
    reasoning: str = ""
    logprobs: Json = None
    extra: dict[str, Json] = field(default_factory=dict)


@dataclass(slots=True)
class Completion:
    """The whole answer, always a handler's last event. `cost` is in USD, None when the model has no known price.

    `embeddings` are the vectors of an embedding, in the order of its texts: lists of numbers, or base64 text where that
    was asked for.
    """

    choices: list[Choice]
    usage: Usage
    model: str
    provider: str
    cost: float | None = None
    cache_hit: bool = False
    system_fingerprint: str | None = None
    embeddings: list[Json] = field(default_factory=list)

    @property
    def text(self) -> str:
        return self.choices[0].text if self.choices else ""

    @property
    def tool_calls(self) -> list[ToolCall]:
        return self.choices[0].tool_calls if self.choices else []


Event = Chunk | Completion
