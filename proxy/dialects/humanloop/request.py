"""From the body of one of Humanloop's completion routes to the call that it means.

What must stay true: keys travel apart from the request, and an address that a client names is never used; the messages
of a conversation are no templates, only a prompt or a chat template is; a call's place in the log follows from the ids
that the client gives, without looking anything up.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import SecretStr

from proxy.dialects.controls import Controls
from proxy.dialects.humanloop import extras as humanloop_extras
from proxy.dialects.humanloop.schema import (
    PROVIDERS,
    Asked,
    Chat,
    ChatConfig,
    ChatInline,
    CompletionInline,
    Configured,
    Deployed,
    MessageWire,
    ModelConfig,
    config_id,
)
from proxy.errors import Unprocessable
from proxy.functions import as_tools
from proxy.ids import datapoint_id, derived_id, new_id, sample_of
from proxy.models import Call, CompletionRequest, Json, Kind, LogPolicy, Message, TraceContext

HEADERS = (b"x-log-omit", b"x-log-sample-rate", b"x-cache", b"x-continue", b"x-tags")
"""The gateway's controls that this API has no word of its own for."""

SAMPLING = ("temperature", "top_p", "stop", "presence_penalty", "frequency_penalty", "seed", "response_format")
TOOL = ("name", "description", "parameters", "strict")
ONE_OF = (("session_id", "session_reference_id"), ("parent_id", "parent_reference_id"))
NOTED = ("source", "source_datapoint_id", "environment", "session_reference_id", "parent_reference_id", "save")
"""The fields that are kept with the row as they were sent."""


def call_of(wire: Asked, headers: Mapping[bytes, bytes], body: Mapping[str, Json]) -> Call:
    """The call that `wire` means; `body` is what it was read from."""
    _check(wire)
    controls = Controls.of({name: headers[name] for name in HEADERS if name in headers}, {})
    config = wire.config if isinstance(wire, CompletionInline | ChatInline) else None
    kind = _kind(wire, config)
    template, turns = _messages(wire)
    params, unsent = humanloop_extras.completed(_params(wire, config, kind), config.other if config else None)
    request = CompletionRequest(
        dialect="humanloop",
        trace=_place(wire, controls.trace.tags, config),
        kind=kind,
        model=config.model if config else None,
        provider=config.provider if config else None,
        deployment_id=wire.model_config_id if isinstance(wire, Configured) else None,
        environment=(wire.environment or "") if isinstance(wire, Deployed) else None,
        messages=template,
        turns=turns,
        params=params,
        inputs=wire.inputs or {},
        strict_inputs=True,
        policy=controls.policy if wire.save is not False else controls.policy.narrowed(LogPolicy(False, False)),
        stream=bool(wire.stream),
        cache=controls.cache,
        resume=controls.resume,
    )
    keys, dropped = _keys(wire.provider_api_keys or {})
    request.trace.end_user = request.trace.end_user or params.get("user")
    call = Call(request=request, api_keys=keys, dropped=dropped | unsent)
    if config is not None:
        call.config_id = request.trace.extra["model_config_id"] = config_id(body["model_config"])
    call.told = {"inputs": wire.return_inputs is not False, "logprobs": wire.logprobs}
    return call


def _check(wire: Asked) -> None:
    """What no single field can tell."""
    wrong = [
        {"loc": ["body", second], "msg": f"give {first} or {second}, not both", "type": "value_error"}
        for first, second in ONE_OF
        if getattr(wire, first) and getattr(wire, second)
    ]
    if isinstance(wire, Deployed) and not (wire.project or wire.project_id):
        wrong.append({"loc": ["body", "project"], "msg": "give project or project_id", "type": "missing"})
    if wrong:
        raise Unprocessable(wrong)


def _kind(wire: Asked, config: ModelConfig | None) -> Kind:
    return "chat" if isinstance(wire, Chat) or (config is not None and config.endpoint == "chat") else "text"


def _place(wire: Asked, tags: list[str], config: ModelConfig | None) -> TraceContext:
    """A session is the root of its tree; without one the topmost parent is that the client names."""
    trace_id = datapoint_id(new_id())
    session = session_of(wire.session_id, wire.session_reference_id)
    parent = parent_of(wire.parent_id, wire.parent_reference_id)
    extra = {name: value for name in NOTED if (value := getattr(wire, name, None)) is not None}
    if config is not None:
        extra |= {f"model_config_{name}": value for name in ("name", "description") if (value := getattr(config, name))}
    if unknown := [*wire.unknown(), *(f"model_config.{name}" for name in (config.unknown() if config else ()))]:
        extra["unknown"] = unknown
    return TraceContext(
        trace_id=trace_id,
        root_trace_id=session or parent or trace_id,
        rooted=bool(session or parent is None),
        parent_trace_id=parent or session,
        session_id=session,
        project_name=wire.project or None,
        project_uuid=wire.project_id or None,
        end_user=wire.user or None,
        tags=tags,
        metadata=wire.metadata,
        extra=extra,
    )


def session_of(own: str | None, reference: str | None) -> str | None:
    """The session that a client names by its id or by its own id of it."""
    return own or (derived_id("sesh", reference) if reference else None)


def parent_of(own: str | None, reference: str | None) -> str | None:
    """The parent that a client names by either; the samples of a call are one row, which is then the parent."""
    if own:
        at = sample_of(own)
        return at[0] if at else own
    return datapoint_id(reference) if reference else None


def _keys(sent: Mapping[str, SecretStr | None]) -> tuple[dict[str, SecretStr], dict[str, str]]:
    """The keys by the gateway's names for providers, and why the others are of no use."""
    keys: dict[str, SecretStr] = {}
    dropped: dict[str, str] = {}
    for name, key in sent.items():
        if key is None or not key.get_secret_value():
            continue
        if name in PROVIDERS:
            keys[PROVIDERS[name]] = key
        elif name == "openai_azure_endpoint":
            dropped[f"provider_api_keys.{name}"] = "an address comes from the config only (providers.azure.api_base)"
        else:
            dropped[f"provider_api_keys.{name}"] = "no provider of that name is served here"
    return keys, dropped


def _params(wire: Asked, config: ModelConfig | None, kind: Kind) -> dict[str, Json]:
    """The parameters by OpenAI's names: the configuration's, then what the request itself says."""
    found = _configured(config) if config is not None else {}
    if wire.seed is not None:
        found.setdefault("seed", wire.seed)
    if wire.num_samples is not None:
        found["n"] = wire.num_samples
    if wire.user:
        found["user"] = wire.user
    if wire.suffix:
        found["suffix"] = wire.suffix
    if wire.logprobs is not None:
        found |= {"logprobs": wire.logprobs} if kind == "text" else {"logprobs": True, "top_logprobs": wire.logprobs}
    if isinstance(wire, Chat):
        choice = wire.tool_choice or wire.tool_call
        found |= {"tool_choice": choice} if choice else {}
        found |= {"response_format": wire.response_format} if wire.response_format else {}
    return found


def _configured(config: ModelConfig) -> dict[str, Json]:
    found = {name: value for name in SAMPLING if (value := getattr(config, name)) is not None}
    if config.max_tokens not in (None, -1):
        found["max_tokens"] = config.max_tokens
    if isinstance(config, ChatConfig) and config.tools:
        tools = [tool.model_dump(include=set(TOOL), exclude_none=True) for tool in config.tools]
        found |= as_tools(tools, None)
    return found


def _messages(wire: Asked) -> tuple[list[Message] | None, list[Message]]:
    """The messages that are templates, None if they are the deployment's, and those that go on after them."""
    template: list[Message] | None = None
    if isinstance(wire, CompletionInline):
        template = [{"role": "user", "content": wire.config.prompt_template}]
    elif isinstance(wire, ChatInline):
        template = _conversation(wire.config.chat_template or []) or None
    return template, _conversation(wire.messages) if isinstance(wire, Chat) else []


def _conversation(sent: list[MessageWire]) -> list[Message]:
    """OpenAI's messages. The older form of a tool call has no id; it gets one that its answer then refers to."""
    messages: list[Message] = []
    pending: str | None = None
    for position, wire in enumerate(sent):
        message = wire.model_dump(exclude_none=True, exclude={"tool_call"})
        message.setdefault("content", None if wire.tool_calls or wire.tool_call else "")
        if wire.tool_call is not None and not wire.tool_calls:
            pending = f"call_{position}"
            function = {"name": wire.tool_call.name, "arguments": wire.tool_call.arguments or "{}"}
            message["tool_calls"] = [{"id": pending, "type": "function", "function": function}]
        elif wire.role == "tool" and wire.tool_call_id is None and pending is not None:
            message["tool_call_id"] = pending
        messages.append(message)
    return messages
