"""A row of the log as a request that can be made again.

What must stay true: what is sent is what was sent, as far as the row tells; a row that does not tell enough is `Unfit`,
with the reason, and never sent in part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from proxy.config.deployment import Versions
from proxy.errors import BadRequest
from proxy.functions import as_tools
from proxy.ids import new_id
from proxy.middleware.render import fill_messages
from proxy.middleware.trace import MODEL_PARAMS
from proxy.middleware.veil import ADDED, HIDDEN
from proxy.models import Call, CompletionRequest, Json, Kind, LogPolicy, Message, TraceContext
from proxy.record import REPLAY, Record

PARAMS = {logged: name for name, logged in MODEL_PARAMS.items()}

OMITTED = "its inputs were omitted"
NO_CALL = "no call of a model"
EMBEDDING = "an embedding, of which the log keeps no vectors"
UNREADABLE = "its messages are not those of a chat"
WITHHELD = "a credential among its parameters was withheld"
NO_INPUTS = "no inputs for the deployment"
UNKNOWN = "its own version of its deployment is not in the config, so what was said besides cannot be told"
OTHERWISE = "its messages are not those of its deployment"


class Unfit(Exception):
    """Why a row cannot be called again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True, frozen=True)
class Wanted:
    """What shall be otherwise than it was. A parameter that is None is left out."""

    model: str | None = None
    deployment: str | None = None
    params: Mapping[str, Json] = field(default_factory=dict)


def call_of(record: Record, wanted: Wanted, known: Mapping[str, Versions], run: str, number: int) -> Call:
    """The call that repeats `record`, as its child; `known` are the deployments of the config. Raises `Unfit`."""
    request = _request(record, wanted, known)
    return Call(request=request, remarks={REPLAY: {"run": run, "number": number}})


def _request(record: Record, wanted: Wanted, known: Mapping[str, Versions]) -> CompletionRequest:
    configuration, messages = _payload(record)
    kind: Kind = "text" if record.notes.get("kind") == "text" else "chat"
    made = CompletionRequest(
        dialect=REPLAY,
        trace=_place(record),
        kind=kind,
        model=wanted.model,
        stream=bool(record.notes.get("stream")),
        policy=LogPolicy(outputs="outputs" not in _omitted(record)),
    )
    if wanted.deployment is None:
        made.messages, made.params = messages, _params(configuration)
        if wanted.model is None:
            made.model = configuration.get("model") or record.model
            made.provider = configuration.get("provider")
    else:
        made.deployment_id, made.inputs = wanted.deployment, dict(record.inputs or {})
        made.history, made.turns = _beside(record, messages, known)
        if not (made.inputs or made.history or made.turns):
            raise Unfit(NO_INPUTS)
    made.params = {name: value for name, value in {**made.params, **wanted.params}.items() if value is not None}
    return made


def _omitted(record: Record) -> Sequence[Json]:
    omitted = record.notes.get("omitted")
    return omitted if isinstance(omitted, list) else []


def _payload(record: Record) -> tuple[dict[str, Json], list[Message]]:
    """The configuration of a call, and its messages, as they can be sent. Raises `Unfit`."""
    configuration = record.configuration
    if "inputs" in _omitted(record):
        raise Unfit(OMITTED)
    if record.notes.get("kind") == "embedding":
        raise Unfit(EMBEDDING)
    if not isinstance(configuration, dict) or not configuration.get("messages"):
        raise Unfit(NO_CALL)
    messages, model = configuration["messages"], configuration.get("model") or record.model
    if not isinstance(messages, list) or not all(_said(message) for message in messages):
        raise Unfit(UNREADABLE)
    if not isinstance(model, str) or not isinstance(configuration.get("provider"), str | None):
        raise Unfit(NO_CALL)
    return configuration, [dict(message) for message in messages]


def _said(message: Json) -> bool:
    return (
        isinstance(message, dict)
        and isinstance(message.get("role"), str)
        and isinstance(message.get("content"), str | list | None)
    )


def _place(record: Record) -> TraceContext:
    """Below the original. A name that the gateway gave is given anew."""
    return TraceContext(
        trace_id=new_id(),
        root_trace_id=record.root_trace_id,
        parent_trace_id=record.trace_id,
        session_id=record.session_id,
        name=None if record.name == f"llm-{record.provider or 'unknown'}" else record.name,
        project_name=record.project_name,
        project_uuid=record.project_uuid,
        end_user=record.end_user,
        tags=list(dict.fromkeys([*record.tags, REPLAY])),
        metadata=record.metadata,
        target=record.target,
    )


def _params(configuration: Mapping[str, Json]) -> dict[str, Json]:
    """Parameters by OpenAI's names, the tools among them. Raises `Unfit`."""
    logged = configuration.get("model_params") or {}
    functions = configuration.get("functions") or []
    if not isinstance(logged, dict) or not isinstance(functions, list):
        raise Unfit(UNREADABLE)
    # What was withheld at the top is sent to nobody in any case; further down something would be missing.
    params: dict[str, Json] = {
        PARAMS.get(str(name), str(name)): _sent(value) if name in ADDED else value
        for name, value in logged.items()
        if value is not None and value != HIDDEN
    }
    own = [one for one in functions if isinstance(one, dict) and one.get("type", "function") != "function"]
    try:
        tools = as_tools([one for one in functions if one not in own], configuration.get("function_call"))
    except BadRequest:
        raise Unfit(UNREADABLE) from None
    if own:
        tools = {**tools, "tools": [*tools.get("tools", ()), *own]}
    if _withheld([params, tools]):
        raise Unfit(WITHHELD)
    return {**params, **tools}


def _sent(added: Json) -> Json:
    return {name: value for name, value in added.items() if value != HIDDEN} if isinstance(added, dict) else added


def _withheld(value: Json) -> bool:
    if isinstance(value, dict):
        return any(map(_withheld, value.values()))
    return any(map(_withheld, value)) if isinstance(value, list) else value == HIDDEN


def _beside(
    record: Record, messages: list[Message], known: Mapping[str, Versions]
) -> tuple[list[Message], list[Message]]:
    """What was said before and after the messages of the row's own deployment; of any other row its inputs are all that
    counts. Raises `Unfit` where that cannot be told.
    """
    if record.deployment_id is None:
        return [], []
    kept = known.get(record.deployment_id)
    every = kept.versions.values() if kept is not None else ()
    version = next((one for one in every if one.version == record.deployment_version), None)
    if version is None:
        raise Unfit(UNKNOWN)
    filled, _ = fill_messages(map(dict, version.messages), record.inputs or {})
    template = [_bare(message) for message in filled]
    said = [_bare(message) for message in messages]
    for at in range(len(said) - len(template) + 1):
        if said[at : at + len(template)] == template:
            return messages[:at], messages[at + len(template) :]
    raise Unfit(OTHERWISE)


def _bare(message: Message) -> Message:
    return {name: value for name, value in message.items() if value not in (None, "")}
