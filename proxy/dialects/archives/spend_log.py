"""LiteLLM's spend logs as records: rows of its table `LiteLLM_SpendLogs`, as its proxy gives them and as a
dump of its database has them, where columns of JSON are text.

Facts of these rows, from `proxy/schema.prisma` and `proxy/spend_tracking` of LiteLLM 1.109: what was asked is in
`proxy_server_request` (`messages` is `{}` but for realtime calls) and what was answered in `response`, both only if its
`store_prompts_in_spend_logs` is on; `completionStartTime` is the end where nothing was streamed; `spend` is 0 for a
cache hit; an error stands in `metadata.error_information`.

What must stay true: neither a key nor its hash is kept, wherever the row has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Final

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from proxy.body import validated
from proxy.dialects.archives import foreign
from proxy.models import Json
from proxy.record import Record
from proxy.vendors import VENDORS

PAGES: Final = ("data",)
KINDS: Final = {"text_completion": "text", "embedding": "embedding"}
HELD: Final = frozenset({"user_api_key", "user_api_key_hash", "api_key", "token"})
"""Where the metadata has a key's hash."""

SPENT: Final = frozenset({"user_api_key_alias", "user_api_key_team_alias", "spend_logs_metadata", "error_information"})
"""What of the metadata is in a column."""

KEPT: Final = (
    *("call_type", "model_id", "model_group", "api_base", "user", "team_id", "organization_id", "agent_id"),
    *("litellm_call_id", "cache_key", "mcp_namespaced_tool_name", "requester_ip_address"),
)
"""Columns of LiteLLM's that go to `extra` as they are."""

PROVIDERS: Final = {
    prefix: vendor.name for vendor in reversed(VENDORS.values()) for prefix in (vendor.prefix, *vendor.other_prefixes)
}


def _document(value: Any) -> Any:
    """A column of JSON, which a dump has as text; what is neither is told as it stands."""
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value) if value.strip() else None
    except orjson.JSONDecodeError:
        return value


def _unsaid(value: Any) -> Any:
    return None if value == "" else value


Document = Annotated[Any, BeforeValidator(_document)]
Text = Annotated[str | None, BeforeValidator(_unsaid)]
Count = Annotated[Annotated[int, Field(ge=0, lt=2**53)] | None, BeforeValidator(_unsaid)]
Amount = Annotated[Annotated[float, Field(allow_inf_nan=False)] | None, BeforeValidator(_unsaid)]


class SpendLog(BaseModel):
    """A row of the table."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True, protected_namespaces=())

    request_id: Annotated[str, Field(min_length=1)]
    startTime: Annotated[str, Field(min_length=1)]
    endTime: Text = None
    completionStartTime: Text = None
    call_type: Text = None
    model: Text = None
    custom_llm_provider: Text = None
    model_id: Text = None
    spend: Amount = None
    total_tokens: Count = None
    prompt_tokens: Count = None
    completion_tokens: Count = None
    end_user: Text = None
    session_id: Text = None
    status: Text = None
    cache_hit: Any = None
    metadata: Document = None
    request_tags: Document = None
    messages: Document = None
    proxy_server_request: Document = None
    response: Document = None


def records(value: Json) -> Iterator[Record]:
    """The rows in a value: one row, a list, or a page. Raises `Unprocessable` with the place of what does not fit."""
    for item, place in foreign.entries(value, PAGES):
        yield _record(validated(SpendLog, item, *place), place)


def _record(row: SpendLog, place: foreign.Place) -> Record:
    metadata = row.metadata if isinstance(row.metadata, dict) else {}
    asked = row.proxy_server_request if isinstance(row.proxy_server_request, dict) else {}
    provider = PROVIDERS.get(row.custom_llm_provider or "", row.custom_llm_provider)
    model = row.model.removeprefix(f"{row.custom_llm_provider}/") if row.model else None
    start = foreign.moment(row.startTime, *place, "startTime") or ""
    end = foreign.moment(row.endTime, *place, "endTime")
    hit = str(row.cache_hit).lower() in ("true", "t", "1")
    failed = row.status == "failure"
    messages = row.messages if isinstance(row.messages, list) else _asked(asked)
    tools = foreign.functions(asked.get("tools"))
    return Record(
        trace_id=row.request_id,
        root_trace_id=row.request_id,
        session_id=row.session_id,
        name=f"llm-{provider}" if provider else row.call_type or "llm",
        project_name=_text(metadata.get("user_api_key_team_alias")),
        end_user=row.end_user,
        tags=[str(tag) for tag in row.request_tags] if isinstance(row.request_tags, list) else [],
        metadata=said if isinstance(said := metadata.get("spend_logs_metadata"), dict) and said else None,
        provider=provider,
        model=model,
        configuration=foreign.configuration(model, provider, foreign.params(asked), messages, tools),
        output=None if failed else _answered(row.response),
        input_tokens=row.prompt_tokens,
        output_tokens=row.completion_tokens,
        total_tokens=row.total_tokens,
        cost=None if hit and not row.spend else row.spend,
        latency=_between(start, end),
        time_to_first_token=_first(start, foreign.moment(row.completionStartTime, *place, "completionStartTime"), end),
        start_timestamp=start,
        end_timestamp=end,
        status="error" if failed else "success",
        error=_error(metadata) if failed else None,
        cache_hit=hit,
        notes=_notes(row, metadata, hit),
        extra={"litellm": _extra(row, metadata)},
        key=_text(metadata.get("user_api_key_alias")),
    )


def _notes(row: SpendLog, metadata: Mapping[str, Json], hit: bool) -> dict[str, Json]:
    kind = next((kind for word, kind in KINDS.items() if word in (row.call_type or "")), None)
    error = metadata.get("error_information")
    notes = {
        "dialect": "litellm",
        "cache": "hit" if hit else None,
        "kind": kind,
        "target": row.model_id,
        "finish_reason": _finish(row.response),
        "failure": _text(error.get("error_class")) if isinstance(error, dict) and row.status == "failure" else None,
    }
    return {name: value for name, value in notes.items() if value is not None}


def _extra(row: SpendLog, metadata: Mapping[str, Json]) -> dict[str, Json]:
    given = {**(row.model_extra or {}), "call_type": row.call_type, "model_id": row.model_id}
    kept = {name: given[name] for name in KEPT if given.get(name) not in (None, "", "Cache OFF")}
    about = {
        name: value
        for name, value in metadata.items()
        if name not in HELD and name not in SPENT and value not in (None, "", [], {})
    }
    return {**kept, **({"metadata": about} if about else {})}


def _asked(request: Mapping[str, Json]) -> list[Json] | None:
    """The messages of a request: of a chat, of the Responses API, or a text to complete or to embed."""
    if isinstance(messages := request.get("messages"), list):
        system = request.get("system")
        return [{"role": "system", "content": system}, *messages] if system else messages
    given = request.get("input", request.get("prompt"))
    if given is None:
        return None
    said = [{"role": "system", "content": rules}] if (rules := request.get("instructions")) else []
    items = given if isinstance(given, list) else [given]
    return [*said, *(one if isinstance(one, dict) else {"role": "user", "content": str(one)} for one in items)]


def _answered(response: Json) -> str | None:
    """The answer: of a chat, of a text completion, of Anthropic's API or of OpenAI's Responses; else the JSON of it."""
    if not isinstance(response, dict) or not response:
        return response if isinstance(response, str) and response else None
    if isinstance(choices := response.get("choices"), list) and choices and isinstance(choices[0], dict):
        return foreign.message_text(choices[0].get("message")) or _text(choices[0].get("text"))
    for name in ("content", "output"):
        if isinstance(blocks := response.get(name), list):
            return _blocks(blocks)
    if isinstance(response.get("data"), list):
        return None  # vectors, which the log does not keep
    return orjson.dumps(response).decode()


def _blocks(blocks: list[Json]) -> str:
    """Text and tool calls of Anthropic's blocks, or of the items of a Response."""
    texts, calls = [], []
    for block in blocks:
        if not isinstance(block, dict):
            continue
        if block.get("type") == "tool_use":
            calls.append(foreign.call(block.get("id"), block.get("name"), block.get("input")))
        elif block.get("type") == "function_call":
            calls.append(foreign.call(block.get("call_id"), block.get("name"), block.get("arguments")))
        else:
            texts.append(foreign.message_text(block) or _text(block.get("text")) or "")
    return foreign.answer("".join(texts), calls)


def _finish(response: Json) -> str | None:
    choices = response.get("choices") if isinstance(response, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    return _text(first.get("finish_reason")) if isinstance(first, dict) else None


def _error(metadata: Mapping[str, Json]) -> str:
    told = metadata.get("error_information")
    if not isinstance(told, dict):
        return "error"
    return _text(told.get("error_message")) or _text(told.get("error_class")) or "error"


def _first(start: str, first: str | None, end: str | None) -> float | None:
    """Until the first token; an answer in one piece has none."""
    return _between(start, first) if first and end and first < end else None


def _between(start: str, end: str | None) -> float | None:
    if end is None:
        return None
    return max((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds(), 0.0)


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) and value else None
