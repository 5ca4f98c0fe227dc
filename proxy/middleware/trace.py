"""The trace: every call leaves one row, however it ends, and the row is on disk before the answer's last event leaves.

    answered   the row is committed, then the `Completion` goes out
    failed     the row is committed, then the error goes out
    left       the caller closed the handler; the row is handed to the writer without waiting, with what had arrived

Nothing is awaited while a cancellation passes: the code behind such an await would not run.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import orjson

from proxy import timestamps
from proxy.caller import nanodollars
from proxy.draft import Draft
from proxy.errors import GatewayError, UpstreamError
from proxy.middleware.meter import Meter
from proxy.middleware.veil import veiled
from proxy.models import Call, Choice, Chunk, Completion, Event, Json, Status, ToolCall
from proxy.protocols import Handler, Middleware
from proxy.record import Record

Write = Callable[[Record], asyncio.Future[bool]]
"""Takes a finished record through the processors to the log; tells later whether its row is on disk."""

ALONE = frozenset({"success", "cancelled", ""})
"""How an attempt ends of which a row need not tell when it is the only one."""

MODEL_PARAMS = {"temperature": "temp", "max_tokens": "max_length"}
"""The log keeps model parameters by Parea's names, which its readers know."""


def trace(write: Write, meter: Meter | None = None) -> Middleware:
    """Surround a handler so that every ending of a call is written down by `write` and counted by `meter`."""

    def unanswered(call: Call, record: Record) -> asyncio.Future[bool]:
        if meter is not None:
            meter.count(call, record, None)
        return write(record)

    def middleware(inner: Handler) -> Handler:
        async def handler(call: Call) -> AsyncGenerator[Event, None]:
            draft: Draft | None = None
            first: float | None = None
            completion: Completion | None = None
            if meter is not None:
                meter.busy += 1
            try:
                events = inner(call)
                try:
                    async for event in events:
                        if first is None:
                            first = call.elapsed()
                        if isinstance(event, Chunk):
                            draft = draft or Draft()
                            draft.add(event)
                            yield event
                        else:
                            completion = event
                finally:
                    # What `aclosing` does, without its two coroutines for each call; there is nothing behind it.
                    await events.aclose()
                if completion is None:
                    raise RuntimeError("a handler ended without a Completion")
            except (GeneratorExit, asyncio.CancelledError):
                unanswered(call, _record(call, "cancelled", first, choices=_told(draft)))
                raise
            except Exception as error:
                call.logged = await unanswered(call, _record(call, "error", first, choices=_told(draft), error=error))
                if isinstance(error, UpstreamError) and error.quoted and call.request.policy.omits:
                    raise error.withheld() from None
                raise
            record = _record(call, "success", first, completion=completion)
            if meter is not None:
                meter.count(call, record, completion)
            call.logged = await write(record)
            yield completion

        return handler

    return middleware


def _told(draft: Draft | None) -> list[Choice]:
    return (draft or Draft()).choices()


def _record(
    call: Call,
    status: Status,
    first: float | None,
    *,
    completion: Completion | None = None,
    choices: list[Choice] | None = None,
    error: Exception | None = None,
) -> Record:
    request, place = call.request, call.request.trace
    latency = call.elapsed()
    target = call.target
    provider = completion.provider if completion else target.provider if target else request.provider
    answered = completion.choices if completion else choices or []
    usage = completion.usage if completion else None
    cost = completion.cost if completion else call.estimated_cost
    hit = bool(completion and completion.cache_hit)
    return Record(
        trace_id=place.trace_id,
        root_trace_id=place.root_trace_id,
        parent_trace_id=place.parent_trace_id,
        session_id=place.session_id,
        name=place.name or f"llm-{provider or 'unknown'}",
        project_name=place.project_name,
        project_uuid=place.project_uuid,
        deployment_id=request.deployment_id,
        deployment_version=call.deployment_version,
        experiment_uuid=place.experiment_uuid,
        end_user=place.end_user,
        tags=place.tags,
        metadata=place.metadata,
        target=place.target,
        eval_metric_ids=place.eval_metric_ids,
        provider=provider,
        model=completion.model if completion else target.model if target else request.model,
        inputs=request.inputs or None,
        configuration=_configuration(call),
        output=output_of(answered),
        input_tokens=usage.prompt_tokens if usage else None,
        output_tokens=usage.completion_tokens if usage else None,
        total_tokens=usage.total_tokens if usage else None,
        cost=cost,
        latency=latency,
        time_to_first_token=first if request.stream else None,
        start_timestamp=timestamps.at(call.started_at),
        end_timestamp=timestamps.at(call.started_at + latency),
        status=status,
        error=_message(error),
        cache_hit=hit,
        notes=_notes(call, completion, answered, error),
        sample_rate=request.policy.rate,
        extra=place.extra,
        policy=request.policy,
        key=call.caller.name if call.caller else None,
        spent=nanodollars(cost) if call.caller and not hit else 0,
        signed=call.caller is not None and not call.caller.log,
    )


def _message(error: Exception | None) -> str | None:
    if error is None:
        return None
    # Only our own errors have messages that are fit to be kept; a bug's text may hold anything.
    return error.message if isinstance(error, GatewayError) else f"internal error ({type(error).__name__})"


def _notes(
    call: Call, completion: Completion | None, answered: list[Choice], error: Exception | None
) -> dict[str, Json]:
    request = call.request
    notes: dict[str, Json] = {"dialect": request.dialect, "cache": call.cache_status}
    if request.stream:
        notes["stream"] = True
    if request.kind != "chat":
        notes["kind"] = request.kind
    if call.cache_status != "shared" and sum(call.calls.values()) > 1:
        notes["calls"] = dict(call.calls)
    if call.attempts:
        if call.current is not None and call.current.id:
            notes["target"] = call.current.id
        if (len(call.attempts) > 1 or call.attempts[0].ended not in ALONE) and call.cache_status != "shared":
            notes["attempts"] = _attempts(call)
    if call.remarks:
        notes.update(call.remarks)
    if call.dropped:
        notes["dropped"] = dict(call.dropped)
    if call.unfilled:
        notes["unfilled"] = list(call.unfilled)
    if completion and completion.usage.estimated:
        notes["usage_estimated"] = True
    if call.estimated_cost is not None:
        notes["cost_estimated"] = True
    if completion and completion.choices:
        notes["finish_reason"] = completion.choices[0].finish_reason
    if len(answered) > 1 or (answered and answered[0].index != 0):
        # Which samples `output` holds, in its order; what broke off has no reason yet.
        ended = completion is not None
        notes["samples"] = [
            {"index": choice.index} | ({"finish_reason": choice.finish_reason} if ended else {}) for choice in answered
        ]
    if error is not None:
        notes["failure"] = error.code if isinstance(error, GatewayError) else type(error).__name__
    return notes


def _attempts(call: Call) -> list[dict[str, Json]]:
    """Each attempt and why it ended. A call that was shared is told by the row of the caller that it was made for."""
    return [
        {
            "target": attempt.target,
            "model": attempt.name,
            "ended": attempt.ended or "cancelled",
            "status": attempt.status,
            "seconds": round(attempt.seconds, 3),
        }
        for attempt in call.attempts
    ]


def _configuration(call: Call) -> dict[str, Json]:
    request = call.request
    params = {MODEL_PARAMS.get(name, name): value for name, value in veiled(request.params).items()}
    tools, choice = params.pop("tools", None), params.pop("tool_choice", None)
    target = call.target
    configuration: dict[str, Json] = {
        "model": request.model or (target.model if target else None),
        "provider": request.provider or (target.provider if target else None),
        "model_params": params,
        "messages": [
            message if message.get("content") is not None else {**message, "content": ""}
            for message in (*request.history, *(request.messages or ()), *request.turns)
        ],
    }
    if tools:
        configuration["functions"] = [tool.get("function", tool) for tool in tools]
    if choice is not None:
        configuration["function_call"] = choice
    return configuration


def output_of(choices: list[Choice]) -> str | None:
    """The text of an answer, as a row has it."""
    if not choices:
        return None
    if len(choices) == 1:
        return _said(choices[0])
    return orjson.dumps([_said(choice) for choice in choices]).decode()


def _said(choice: Choice) -> str:
    if not choice.tool_calls:
        return choice.text
    calls = orjson.dumps([_tool_call(call) for call in choice.tool_calls], option=orjson.OPT_INDENT_2).decode()
    return f"{choice.text}\n{calls}" if choice.text else calls


def _tool_call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
