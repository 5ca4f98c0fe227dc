"""An answer as OpenAI's `Response`: an object with items of output, and the numbered events that stream one.

What its clients need:

* The object has the same id, and an item the same id and place, in every event; the last event holds all of it.
* Each event is numbered, from 0 on.
* A stream that fails ends with `response.failed`, which is for people who read events, and with an event that has an
  `error`, which is what makes the client raise.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from proxy.dialects.blocks import Block, Blocks, Step
from proxy.dialects.responses.thought import sealed
from proxy.dialects.sse import named
from proxy.ids import derived_id
from proxy.models import Call, Choice, Completion, Event, Json, Usage

INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
PREFIXES = {"thought": "rs", "hidden": "rs", "call": "fc", "text": "msg", "refusal": "msg"}
"""How the ids of items begin, by the kind of their block."""

ENCRYPTED = "reasoning.encrypted_content"
"""What a client includes that wants to send thoughts back."""


def whole(call: Call, completion: Completion) -> dict[str, Json]:
    """The whole response."""
    stream = _Stream(call)
    for _ in stream.blocks.add(completion):
        continue
    return stream.ended(completion)


def events(call: Call, event: Event) -> list[bytes]:
    """The pieces of a stream that tell `event`."""
    stream = call.told.get("stream")
    begun: list[bytes] = []
    if stream is None:
        stream = call.told["stream"] = _Stream(call)
        begun = stream.begin(event.model if isinstance(event, Completion) else None)
    if isinstance(event, Completion):
        return begun + stream.end(event)
    return begun + [piece for step in stream.blocks.add(event) for piece in stream.step(step)]


def failure(call: Call, error: dict[str, Json]) -> list[bytes]:
    """The events that tell of a failure in mid-stream; `error` is that of OpenAI's envelope."""
    stream = call.told.get("stream") or _Stream(call)
    code = "rate_limit_exceeded" if error["code"] == "rate_limit_exceeded" else "server_error"
    failed = stream.response("failed", error={"code": code, "message": error["message"]})
    # With `error` beside it every client raises; the fields of the event stand there too, as OpenAI documents it.
    told = {name: error[name] for name in ("code", "message", "param")}
    return [stream.event("response.failed", response=failed), stream.event("error", **told, error=error)]


class _Stream:
    """One response while it is told."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.blocks = Blocks("call", call.request.trace.trace_id)
        self.sequence = 0

    def event(self, kind: str, **data: Json) -> bytes:
        number, self.sequence = self.sequence, self.sequence + 1
        return named(kind, sequence_number=number, **data)

    def begin(self, model: str | None) -> list[bytes]:
        started = self.response("in_progress", model=model)
        return [self.event(f"response.{kind}", response=started) for kind in ("created", "in_progress")]

    def end(self, completion: Completion) -> list[bytes]:
        """The last events; the very last one holds the whole response."""
        steps = list(self.blocks.add(completion))
        choice, reason, cut = self._ending(completion)
        pieces = [piece for step in steps for piece in self.step(step, choice, whole=step.block is not cut)]
        kind = "response.incomplete" if reason else "response.completed"
        return [*pieces, self.event(kind, response=self.ended(completion))]

    def ended(self, completion: Completion) -> dict[str, Json]:
        """The response when all its blocks are told."""
        choice, reason, cut = self._ending(completion)
        return self.response(
            "incomplete" if reason else "completed",
            model=completion.model,
            completed_at=None if reason else int(self.call.started_at + self.call.elapsed()),
            incomplete_details={"reason": reason} if reason else None,
            output=[self._item(block, choice, whole=block is not cut) for block in self.blocks.told],
            usage=_usage(completion.usage),
        )

    def _ending(self, completion: Completion) -> tuple[Choice, str | None, Block | None]:
        """The answer, why it is not whole, and the block that was cut short."""
        choice = completion.choices[0] if completion.choices else Choice()
        reason = INCOMPLETE.get(choice.finish_reason)
        return choice, reason, self.blocks.told[-1] if reason and self.blocks.told else None

    def response(self, status: str, **told: Json) -> dict[str, Json]:
        asked: dict[str, Json] = self.call.told.get("asked", {})
        target = self.call.target
        response = {
            "id": derived_id("resp", self.call.request.trace.trace_id),
            "object": "response",
            "created_at": int(self.call.started_at),
            "status": status,
            "background": False,
            "completed_at": None,
            "error": None,
            "incomplete_details": None,
            **asked,
            "output": [],
            "usage": None,
            **told,
        }
        response["model"] = told.get("model") or (target.model if target else self.call.request.model or "")
        return response

    def step(self, step: Step, choice: Choice | None = None, *, whole: bool = True) -> Iterator[bytes]:
        """The events of one step; `choice` is the whole answer, at its end."""
        block = step.block
        item: dict[str, Any] = {"output_index": block.index}
        part: dict[str, Any] = item | {"item_id": self._id(block)}
        if step.kind == "start":
            yield self.event("response.output_item.added", **item, item=self._begun(block))
        match block.kind:
            case "call":
                yield from self._arguments(step, part)
            case "thought":
                yield from self._summary(step, part | {"summary_index": 0})
            case "text" | "refusal":
                yield from self._content(step, part | {"content_index": 0}, choice)
        if step.kind == "stop":
            yield self.event("response.output_item.done", **item, item=self._item(block, choice, whole=whole))

    def _arguments(self, step: Step, part: dict[str, Any]) -> Iterator[bytes]:
        if step.kind == "delta":
            yield self.event("response.function_call_arguments.delta", **part, delta=step.text)
        elif step.kind == "stop":
            done = {"name": step.block.name, "arguments": step.block.text}
            yield self.event("response.function_call_arguments.done", **part, **done)

    def _summary(self, step: Step, part: dict[str, Any]) -> Iterator[bytes]:
        if step.kind == "start":
            yield self.event("response.reasoning_summary_part.added", **part, part=_summary(""))
        elif step.kind == "delta":
            yield self.event("response.reasoning_summary_text.delta", **part, delta=step.text)
        elif step.kind == "stop":
            said = step.block.text
            yield self.event("response.reasoning_summary_text.done", **part, text=said)
            yield self.event("response.reasoning_summary_part.done", **part, part=_summary(said))

    def _content(self, step: Step, part: dict[str, Any], choice: Choice | None) -> Iterator[bytes]:
        block = step.block
        text = block.kind == "text"
        kind = "response.output_text" if text else "response.refusal"
        if step.kind == "start":
            empty = Block(block.kind, block.index, block.number)
            yield self.event("response.content_part.added", **part, part=_part(empty, None))
        elif step.kind == "delta":
            logprobs = {"logprobs": step.logprobs} if text else {}
            yield self.event(f"{kind}.delta", **part, delta=step.text, **logprobs)
        elif step.kind == "stop":
            said = {"text": block.text, "logprobs": block.logprobs} if text else {"refusal": block.text}
            yield self.event(f"{kind}.done", **part, **said)
            yield self.event("response.content_part.done", **part, part=_part(block, choice))

    def _id(self, block: Block) -> str:
        return derived_id(PREFIXES[block.kind], self.call.request.trace.trace_id, str(block.index))

    def _begun(self, block: Block) -> dict[str, Json]:
        begun = {"id": self._id(block), "status": "in_progress"}
        if block.kind == "call":
            return begun | {"type": "function_call", "call_id": block.id, "name": block.name, "arguments": ""}
        if block.kind in ("thought", "hidden"):
            return begun | {"type": "reasoning", "summary": []}
        return begun | {"type": "message", "role": "assistant", "content": []}

    def _item(self, block: Block, choice: Choice | None, *, whole: bool) -> dict[str, Json]:
        item = self._begun(block) | {"status": "completed" if whole else "incomplete"}
        if block.kind == "call":
            return item | {"arguments": block.text}
        if block.kind in ("thought", "hidden"):
            summary = [] if block.kind == "hidden" else [_summary(block.text)]
            return item | {"summary": summary} | self._sealed(block)
        return item | {"content": [_part(block, choice)]}

    def _sealed(self, block: Block) -> dict[str, Json]:
        """A thought as it can come back, for clients that send such back and if anybody would take it."""
        if ENCRYPTED not in self.call.told.get("include", ()):
            return {}
        if block.kind == "hidden":
            return {"encrypted_content": sealed([{"type": "redacted_thinking", "data": block.text}])}
        if not block.signature:
            return {}
        thought = {"type": "thinking", "thinking": block.text, "signature": block.signature}
        return {"encrypted_content": sealed([thought])}


def _part(block: Block, choice: Choice | None) -> dict[str, Json]:
    if block.kind == "refusal":
        return {"type": "refusal", "refusal": block.text}
    listed = choice.extra.get("annotations") if choice else None
    annotations = [_annotation(one) for one in listed] if isinstance(listed, list) else []
    return {"type": "output_text", "text": block.text, "annotations": annotations, "logprobs": block.logprobs}


def _annotation(found: Json) -> Json:
    """A chat's `{type, url_citation: {...}}` is flat here."""
    kind = found.get("type") if isinstance(found, dict) else None
    inner = found.get(kind) if isinstance(kind, str) else None
    return {"type": kind, **inner} if isinstance(inner, dict) else found


def _summary(said: str) -> dict[str, Json]:
    return {"type": "summary_text", "text": said}


def _usage(usage: Usage) -> dict[str, Json]:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }
