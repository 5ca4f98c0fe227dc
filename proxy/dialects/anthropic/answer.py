"""An answer in Anthropic's words: a message of content blocks, and the named events that stream one.

What its clients need:

* A stream's `message_start` has a count of the prompt, which `message_delta` replaces. The provider's own is only
  known at the end, so the first one is an estimate: a client that reads nothing else would keep a 0 for the truth.
* `input_tokens` are those that came from no cache, `cache_read_input_tokens` the others.
* A tool's input is an object. Arguments that are none stand in one, under `arguments`.
"""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from proxy.dialects.blocks import Block, Blocks, Step, parsed
from proxy.dialects.sse import named
from proxy.estimate import expected
from proxy.ids import derived_id
from proxy.models import Call, Completion, Event, Json, Usage

STOP = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
DELTAS = {
    "text": ("text_delta", "text"),
    "refusal": ("text_delta", "text"),
    "thought": ("thinking_delta", "thinking"),
    "call": ("input_json_delta", "partial_json"),
}
"""By the kind of a block, the type of its deltas and the field that holds the text."""


def whole(call: Call, completion: Completion) -> dict[str, Json]:
    """The whole message."""
    blocks = _blocks(call)
    for _ in blocks.add(completion):
        continue
    return {
        **_head(call, completion.model),
        "content": [_content(block) for block in blocks.told],
        **_end(completion),
        "usage": _usage(completion.usage),
    }


def events(call: Call, event: Event) -> Iterator[bytes]:
    """The pieces of a stream that tell `event`."""
    blocks = call.told.get("blocks")
    if blocks is None:
        blocks = call.told["blocks"] = _blocks(call)
        model = event.model if isinstance(event, Completion) else call.target.model if call.target else ""
        tokens = expected(call.request.messages or [], call.request.params)
        usage = _usage(event.usage if isinstance(event, Completion) else Usage(tokens))
        message = {**_head(call, model), "content": [], "stop_reason": None, "stop_sequence": None}
        yield named("message_start", message={**message, "usage": {**usage, "output_tokens": 0}})
    for step in blocks.add(event):
        yield _step(step)
    if isinstance(event, Completion):
        yield named("message_delta", delta=_end(event), usage=_usage(event.usage))
        yield named("message_stop")


def failure(envelope: dict[str, Json]) -> bytes:
    """The event that tells of a failure in mid-stream."""
    return named("error", error=envelope["error"])


def _blocks(call: Call) -> Blocks:
    return Blocks("toolu", call.request.trace.trace_id)


def _head(call: Call, model: str) -> dict[str, Json]:
    return {
        "id": derived_id("msg", call.request.trace.trace_id),
        "type": "message",
        "role": "assistant",
        "model": model,
    }


def _end(completion: Completion) -> dict[str, Json]:
    """Why it ended. Which stop sequence it was, only a provider with Anthropic's words can say."""
    choice = completion.choices[0] if completion.choices else None
    sequence = choice.extra.get("stop_sequence") if choice else None
    if isinstance(sequence, str):
        return {"stop_reason": "stop_sequence", "stop_sequence": sequence}
    reason = STOP.get(choice.finish_reason, "end_turn") if choice else "end_turn"
    return {"stop_reason": "refusal" if choice and choice.extra.get("refusal") else reason, "stop_sequence": None}


def _usage(usage: Usage) -> dict[str, Json]:
    counted: dict[str, Json] = {
        "input_tokens": max(usage.prompt_tokens - usage.cached_tokens, 0),
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
    }
    if usage.reasoning_tokens:
        counted["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return counted


def _content(block: Block) -> dict[str, Json]:
    match block.kind:
        case "thought":
            return {"type": "thinking", "thinking": block.text, "signature": block.signature}
        case "hidden":
            return {"type": "redacted_thinking", "data": block.text}
        case "call":
            text = block.text or "{}"
            # As it stands: read and written anew, a whole number beyond 64 bits would become a double.
            told = {"arguments": text} if parsed(text) is None else orjson.Fragment(text)
            return {"type": "tool_use", "id": block.id, "name": block.name, "input": told}
        case _:
            return {"type": "text", "text": block.text}


def _step(step: Step) -> bytes:
    block = step.block
    match step.kind:
        case "start":
            empty = _content(Block(block.kind, block.index, block.number, block.id, block.name))
            begun = _content(block) if block.kind == "hidden" else empty
            return named("content_block_start", index=block.index, content_block=begun)
        case "stop":
            return named("content_block_stop", index=block.index)
        case "sign":
            delta = {"type": "signature_delta", "signature": step.text}
        case _:
            kind, name = DELTAS[block.kind]
            delta = {"type": kind, name: step.text}
    return named("content_block_delta", index=block.index, delta=delta)
